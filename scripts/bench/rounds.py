"""Rounds of measurements: every server is started, checked, warmed, loaded and stopped, one after another."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from scripts.bench import h2load, machine, messages, wrk
from scripts.bench.environments import Unavailable
from scripts.bench.samples import Load, Sample, Start
from scripts.bench.server import Server, StartError, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scripts.bench.catalogue import Peer
    from scripts.bench.messages import Body
    from scripts.bench.server import Command
    from scripts.bench.wrk import Outcome

BULK_ROWS = 1000
BUSY = Load(64)
"""The point that warms a server up, and whose batches are looked at."""


@dataclass
class Outcomes:
    """What a run has produced so far."""

    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a peer has no figures."""
    metrics: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Text of `/metrics` by peer, before and after its last measurement at 64 connections, where it has one."""


def prepare(peers: Sequence[Peer], outcomes: Outcomes) -> dict[str, Command]:
    """How to start each peer that this machine can run; the others go to `outcomes.skipped`."""
    commands = {}
    for peer in peers:
        try:
            commands[peer.name] = peer.prepare(peer)
        except Unavailable as reason:
            outcomes.skipped[peer.name] = str(reason)
            print(f"{peer.name}: skipped, {reason}", flush=True)
    return commands


def run(
    peers: Sequence[Peer],
    loads: Sequence[Load],
    *,
    rounds: int,
    seconds: float,
    extra: Callable[[Peer, int], None] | None = None,
) -> Outcomes:
    """Measure `peers` at `loads`, `rounds` times over.

    The order turns from round to round, so that a slow drift of the machine hits all alike. `extra` runs in each
    round on each running server, after its loads.
    """
    outcomes = Outcomes()
    commands = prepare(peers, outcomes)
    for number in range(rounds):
        turn = number % len(peers)
        for peer in (*peers[turn:], *peers[:turn]):
            if peer.name not in commands or peer.name in outcomes.skipped:
                continue
            visit = partial(_visit, peer, commands[peer.name], loads, number, seconds, outcomes, extra)
            _persist(peer.name, visit, outcomes)
    return outcomes


def _persist(name: str, visit: Callable[[], None], outcomes: Outcomes) -> None:
    """Visit a peer, and once more when it did not start: some lose a race of their own now and then."""
    for last in (False, True):
        try:
            visit()
        except StartError as error:
            print(f"{name}: {'skipped' if last else 'trying again'}, {error}", flush=True)
            if last:
                outcomes.skipped[name] = str(error)
        else:
            return


def _visit(
    peer: Peer,
    command: Command,
    loads: Sequence[Load],
    number: int,
    seconds: float,
    outcomes: Outcomes,
    extra: Callable[[Peer, int], None] | None,
) -> None:
    with running(command, peer.port, peer.log_file) as server:
        took = server.wait(lambda: messages.answers_iris(peer.url, peer.protocol), peer.start_timeout)
        outcomes.starts.append(Start(peer.name, number, took))
        settle(peer, server)
        warm = messages.iris(peer.protocol, 1)
        _client(peer, warm, f"{peer.protocol}-warm", BUSY.connections, peer.warm_seconds)()
        for load in loads:
            if load.rows > 1 and peer.fixed_answer:
                continue
            before = _metrics(peer)
            sample = measure(peer, server, load, number, seconds)
            if load == BUSY:
                outcomes.metrics[peer.name] = before, _metrics(peer)
            outcomes.samples.append(sample)
            _say(sample)
        if extra is not None:
            extra(peer, number)


def settle(peer: Peer, server: Server) -> None:
    """Wait until a gated server loads nothing any more: the language model would share the cores.

    Raises:
        StartError: it takes longer than the peer's start may.

    """
    deadline = time.perf_counter() + peer.start_timeout
    while peer.gated and _llm_state(peer) == "starting":
        if time.perf_counter() > deadline:
            raise StartError(f"still loading after {peer.start_timeout:.0f} s: {server.log_tail()}")
        time.sleep(0.3)


def _llm_state(peer: Peer) -> str:
    status, content = messages.get(peer.at("/health"))
    if status != 200:  # noqa: PLR2004 - HTTP's OK
        return "starting"
    try:
        return str(json.loads(content)["llm"]["state"])
    except (ValueError, KeyError, TypeError):
        return "starting"


def measure(
    peer: Peer,
    server: Server,
    load: Load,
    number: int,
    seconds: float,
    models: Sequence[str] = ("iris",),
) -> Sample:
    """One point: what the clients saw and what it cost. Requests are for each of `models` by turns."""
    body, *more = (messages.iris(peer.protocol, load.rows, model) for model in models)
    fire = _client(peer, body, f"{peer.protocol}-{load.rows}", load.connections, seconds, more)
    server.trim_log()
    before, machine_before = server.usage(), machine.cpu_seconds()
    began = time.perf_counter()
    outcome = fire()
    elapsed = time.perf_counter() - began
    after, machine_after = server.usage(), machine.cpu_seconds()
    server_cpu = after.cpu_seconds - before.cpu_seconds
    others = machine_after - machine_before - server_cpu - outcome.client_cpu_seconds
    return Sample(
        peer=peer.name,
        round=number,
        load=load,
        per_second=outcome.per_second,
        p50=outcome.p50,
        p90=outcome.p90,
        p99=outcome.p99,
        longest=outcome.longest,
        errors=outcome.errors,
        socket_errors=outcome.socket_errors,
        server_cores=server_cpu / elapsed,
        client_cores=outcome.client_cpu_seconds / elapsed,
        other_cores=max(0.0, others / elapsed),
        rss_mib=after.rss_bytes / 2**20,
    )


def _client(
    peer: Peer, body: Body, name: str, connections: int, seconds: float, others: Sequence[Body] = ()
) -> Callable[[], Outcome]:
    """What loads the peer in its protocol when it is called; with `others` by turns, over HTTP."""
    if peer.protocol == "grpc":
        return h2load.ready(peer.url, body, name, connections, seconds)
    return partial(wrk.measure, peer.url, body, name, connections, seconds, others)


def _metrics(peer: Peer) -> str:
    status, text = messages.get(peer.at("/metrics"))
    return text.decode(errors="replace") if status == 200 else ""  # noqa: PLR2004 - HTTP's OK


def _say(sample: Sample) -> None:
    disturbed = f"  others used {sample.other_cores:.2f} cores" if sample.other_cores > 0.15 else ""  # noqa: PLR2004
    print(
        f"round {sample.round + 1}  {sample.peer:<13} {sample.load.connections:>4} conns {sample.load.rows:>5} rows  "
        f"{sample.per_second:>8.0f}/s  p50 {sample.p50:>7.2f}  p99 {sample.p99:>7.2f} ms  "
        f"errors {sample.errors + sample.socket_errors}{disturbed}",
        flush=True,
    )
