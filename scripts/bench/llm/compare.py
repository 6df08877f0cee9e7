"""Streams through Tandem's gateway against vLLM's own server, in turn, with the same engine settings."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import asdict
from random import Random
from typing import TYPE_CHECKING, Any

import uvloop

from scripts.bench import charts, machine, report, tables
from scripts.bench.environments import Unavailable
from scripts.bench.llm import client, figures, servers
from scripts.bench.server import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scripts.bench.llm.figures import LlmSample
    from scripts.bench.llm.servers import Running

STREAMS = (1, 16, 64)
LEAST_TOKENS, MOST_TOKENS = 32, 96
WARM_SECONDS = 3.0
LEAST_ROUNDS = 10
"""What is to be told apart is a few hundredths, and one pair of figures differs from the next by more."""


def run(rounds: int, seconds: float, facts: dict[str, Any], folder: Path, *, quick: bool = False) -> bool:
    """Measure, print, write `llm.json` and a chart. False when a server did not start.

    Both servers stay up for the whole part and take turns, so that each pair of figures is seconds apart; the one
    that is not asked is idle.
    """
    rounds = rounds if quick else max(rounds, LEAST_ROUNDS)
    samples: list[LlmSample] = []
    print("\nlanguage model: starting Tandem, then vLLM's own server", flush=True)
    try:
        with servers.tandem() as own, servers.vllm() as other:
            for server in (own, other):
                measure(server, 16, WARM_SECONDS, 0)
            for number in range(rounds):
                pair = (own, other) if number % 2 == 0 else (other, own)
                for streams in STREAMS:
                    for server in pair:
                        samples.append(measure(server, streams, seconds, number))
                        _say(samples[-1])
    except (StartError, Unavailable) as error:
        print(f"language model: skipped, {error}", flush=True)
        return False
    write_report(
        samples,
        facts
        | {"model": servers.model_name(), "tokens_a_stream": f"{LEAST_TOKENS} to {MOST_TOKENS}", "llm_rounds": rounds},
        folder,
    )
    return True


def measure(server: Running, streams: int, seconds: float, number: int) -> LlmSample:
    """One point: `streams` at once, each followed by the next, for `seconds`."""
    model = servers.model_name()
    offset = time.time_ns() % 10**9
    server.server.trim_log()
    gc.collect()
    gc.disable()
    try:
        before, machine_before, own_before = server.server.usage(), machine.cpu_seconds(), time.process_time()
        began = time.perf_counter()
        found = uvloop.run(
            client.keep_streaming(
                server.port,
                lambda count: client.chat_request(server.port, model, offset + count, length(count)),
                streams,
                _until(began + seconds),
            )
        )
        elapsed = time.perf_counter() - began
        after, machine_after, own_after = server.server.usage(), machine.cpu_seconds(), time.process_time()
    finally:
        gc.enable()
    server_cpu, client_cpu = after.cpu_seconds - before.cpu_seconds, own_after - own_before
    cost = figures.Cost(
        server_cores=server_cpu / elapsed,
        client_cores=client_cpu / elapsed,
        other_cores=max(0.0, (machine_after - machine_before - server_cpu - client_cpu) / elapsed),
        rss_mib=after.rss_bytes / 2**20,
    )
    return figures.sample(server.name, number, streams, found, (began, began + seconds), cost)


def length(number: int) -> int:
    """How many tokens the stream `number` is long, of either server: of one length, all would end and begin together, and how many
    do would decide the longest gaps.
    """
    return Random(number).randint(LEAST_TOKENS, MOST_TOKENS)  # noqa: S311 - no secret


def _until(end: float) -> Callable[[int], bool]:
    return lambda _: time.perf_counter() < end


def _say(one: LlmSample) -> None:
    print(
        f"round {one.round + 1}  {one.server:<7} {one.streams:>3} streams  {one.chunks_per_second:>7.0f} chunks/s  "
        f"TTFT p50 {one.ttft_p50:>7.1f}  gap p50 {one.itl_p50:>6.2f}  p99 {one.itl_p99:>7.2f} ms  failed {one.failed}  "
        f"others {one.other_cores:.2f} cores",
        flush=True,
    )


def write_report(samples: Sequence[LlmSample], facts: dict[str, Any], folder: Path) -> None:
    """Tables and goals to standard output, `llm.json` and a chart to `folder`."""
    head = ["server", "streams", "chunks/s", "tokens/s", "TTFT p50", "gap p50", "gap p99", "CPU cores", "RSS MiB"]
    titles = {figures.TANDEM: "Tandem", figures.VLLM: "vLLM's own server"}
    rows, bars, summaries = [], [], []
    for streams in STREAMS:
        for name, title in titles.items():
            found = figures.medians(samples, name, streams)
            if not found:
                continue
            summaries.append({"server": name, "streams": streams} | {key: _short(found[key]) for key in found})
            bars.append((title, streams, found["chunks_per_second"], found["itl_p99"]))
            rows.append(
                [
                    title,
                    str(streams),
                    f"{found['chunks_per_second']:,.0f}",
                    f"{found['tokens_per_second']:,.0f}",
                    f"{found['ttft_p50']:.1f} ms",
                    f"{found['itl_p50']:.2f} ms",
                    f"{found['itl_p99']:.2f} ms",
                    f"{found['server_cores']:.2f}",
                    f"{found['rss_mib']:.0f}",
                ]
            )
    checked = list(figures.check(samples))
    print("\n" + tables.grid(head, rows) + "\n\n" + tables.goals(checked))
    report.write(
        folder / "llm.json",
        facts
        | {
            "summaries": summaries,
            "goals": [asdict(goal) for goal in checked],
            "samples": [{key: _short(value) for key, value in asdict(one).items()} for one in samples],
        },
    )
    charts.llm_bars(bars, folder / "llm-streams.svg")


def _short(value: Any) -> Any:
    """Fit for JSON, which has no NaN."""
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 3)
    return value
