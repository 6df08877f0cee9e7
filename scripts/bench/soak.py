"""Memory of every process over minutes of full load."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil
import uvloop

from scripts.bench import messages, report, rounds, tables, wrk
from scripts.bench.catalogue import PEERS_BY_NAME, TARGET
from scripts.bench.environments import Unavailable
from scripts.bench.llm import client, servers
from scripts.bench.server import Server, StartError, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONNECTIONS = 64
SETTLED_SECONDS = 60.0
LOOK_SECONDS = 5.0
MOST_GROWTH = 0.05
CHAT_STREAMS = 4
CHAT_TOKENS = 64
_ROLES = ("Gateway", "Classifier", "LLM")


@dataclass
class Track:
    """Resident memory of one process over time: (seconds since the load began, bytes)."""

    role: str
    points: list[tuple[float, int]] = field(default_factory=list)

    def growth(self, settled: float) -> float:
        """Share by which the end (median of the last looks) lies above the first look after `settled` seconds."""
        after = [size for moment, size in self.points if moment >= settled]
        if not after:
            return 0.0
        last = sorted(after[-5:])
        return last[len(last) // 2] / after[0] - 1


def role(process: psutil.Process) -> str:
    """What a process is there for, from its command line."""
    try:
        line = " ".join(process.cmdline())
        name = process.name()
    except psutil.Error:
        return "gone"
    for known in _ROLES:
        if f" {known} " in f"{line} ":
            return known
    if "EngineCore" in name or "EngineCore" in line:
        return "LLM engine"
    return "arbiter" if "bentoml" in line and "serve" in line else name


def memory(seconds: float, facts: dict[str, Any], folder: Path) -> int:
    """Load Tandem for so long, print and write `memory.json`; exit status 1 when a process grew too much."""
    peer = PEERS_BY_NAME[TARGET]
    try:
        command = peer.prepare(peer)
        with running(command, peer.port, peer.log_file) as server:
            server.wait(lambda: messages.answers_iris(peer.url, peer.protocol), peer.start_timeout)
            rounds.settle(peer, server)
            body = messages.iris(peer.protocol, 1)
            end = time.perf_counter() + seconds
            chat = threading.Thread(target=_chat, args=(peer.port, end), daemon=True)
            if servers.chat_works(peer.port):
                chat.start()
            else:
                print("the language model is not there: its memory is that of an idle service", flush=True)
            with wrk.start(peer.url, body, "soak", CONNECTIONS, seconds) as load:
                tracks = _watch(server, seconds)
                output, _ = load.communicate(timeout=60)
    except (StartError, Unavailable) as error:
        print(f"not run: {error}")
        return 1
    outcome = wrk.parse(output, 0.0)
    settled = min(SETTLED_SECONDS, seconds / 4)
    _report(tracks, settled, outcome, facts | {"soak_seconds": seconds}, folder)
    grown = any(track.growth(settled) > MOST_GROWTH for track in tracks)
    return 1 if grown or outcome.errors or outcome.socket_errors else 0


def _chat(port: int, end: float) -> None:
    """Keep the language model at work beside the classifiers."""
    model = servers.model_name()
    uvloop.run(
        client.keep_streaming(
            port,
            lambda number: client.chat_request(port, model, number, CHAT_TOKENS),
            CHAT_STREAMS,
            lambda _: time.perf_counter() < end,
        )
    )


def _watch(server: Server, seconds: float) -> list[Track]:
    tracks: dict[int, Track] = {}
    began = time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        server.trim_log()
        for process in server.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                size = process.memory_info().rss
                track = tracks.get(process.pid) or tracks.setdefault(process.pid, Track(role(process)))
                track.points.append((now, size))
        time.sleep(min(LOOK_SECONDS, max(0.1, seconds - now)))
    return list(tracks.values())


def _report(tracks: Sequence[Track], settled: float, outcome: wrk.Outcome, facts: dict[str, Any], folder: Path) -> None:
    rows, content = [], []
    for track in tracks:
        first = next((size for moment, size in track.points if moment >= settled), 0)
        last = track.points[-1][1]
        growth = track.growth(settled)
        rows.append([track.role, f"{first / 2**20:.1f}", f"{last / 2**20:.1f}", f"{100 * growth:+.2f} %"])
        points = [[round(moment, 1), round(size / 2**20, 1)] for moment, size in track.points]
        content.append({"role": track.role, "growth": round(growth, 4), "rss_mib": points})
    print("\n" + tables.grid(["process", f"RSS MiB at {settled:.0f} s", "at the end", "growth"], rows))
    print(
        f"{outcome.requests:,} requests, {outcome.per_second:,.0f}/s, p99 {outcome.p99:.1f} ms, errors {outcome.errors}"
    )
    load = {"requests": outcome.requests, "per_second": round(outcome.per_second), "errors": outcome.errors}
    report.write(folder / "memory.json", facts | {"load": load, "processes": content})
