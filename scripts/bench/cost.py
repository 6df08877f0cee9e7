"""What keys, limits, log, metrics and traces cost on the hot path: `make bench ARGS=--cost`.

Servers that differ in nothing else run side by side. Each is measured beside the one without anything, by turns (`turns.py`): what the
machine does meanwhile hits both alike. All are started anew each round: of two processes that do the same, one may be slower by some
percent for as long as it lives, by where its memory lies.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict, dataclass, field, replace
from statistics import stdev
from typing import TYPE_CHECKING, Any

from scripts.bench import messages, report, tables, wrk
from scripts.bench.catalogue import Peer, tandem_alone
from scripts.bench.collector import collecting
from scripts.bench.environments import Unavailable
from scripts.bench.goals import Goal
from scripts.bench.paths import WORK
from scripts.bench.samples import Load, Sample, as_json, ratio, ratios, summarise
from scripts.bench.server import StartError, running
from scripts.bench.turns import Contestant, by_turns
from services.gateway.control.keys import Key, added, digest_of, new_secret
from services.gateway.control.keys_file import FileKeys

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scripts.bench.server import Command

BUSY = Load(64)
LEAST = 0.9
"""Share of the throughput without all of it that must be left."""
_FIRST_PORT = 3500
_SETTLE_SECONDS = 2.0
_WARM_SECONDS = 1
_BARE = "without"
_UNOBSERVED = "scripts.bench.unobserved:Gateway"
_MANY = "1000000000"
_LIMITS = {"TANDEM_LIMITS__CALLER__REQUESTS_PER_MINUTE": _MANY}
_EVERY_LIMIT = _LIMITS | {
    "TANDEM_LIMITS__CALLER__CONCURRENT_REQUESTS": _MANY,
    "TANDEM_LIMITS__CALLER_MODELS": f'{{"iris": {{"requests_per_minute": {_MANY}}}}}',
}


@dataclass(frozen=True)
class Variant:
    """One way to set the same server up."""

    name: str
    title: str
    env: dict[str, str] = field(default_factory=dict)
    keys: bool = False
    target: str = "service:Gateway"
    sample_ratio: float | None = None
    """Share of the requests that is traced; None without tracing."""


VARIANTS = (
    Variant(_BARE, "nothing: no key, limit, log, metric", {"TANDEM_GATEWAY__ACCESS_LOG": "false"}, target=_UNOBSERVED),
    Variant("metrics", "metrics", {"TANDEM_GATEWAY__ACCESS_LOG": "false"}),
    Variant("log", "metrics, access log"),
    Variant("keys", "metrics, access log, keys", keys=True),
    Variant("all", "metrics, access log, keys, a limit a minute", _LIMITS, keys=True),
    Variant("all-traced-0", "the same, tracing configured, none sampled", _LIMITS, keys=True, sample_ratio=0),
    Variant("all-traced-1", "the same, 1 % of the requests traced", _LIMITS, keys=True, sample_ratio=0.01),
    Variant("all-traced-100", "the same, every request traced", _LIMITS, keys=True, sample_ratio=1),
    Variant("all-limits", "untraced, limits also on requests at once and on the model", _EVERY_LIMIT, keys=True),
)
HELD = ("all", "all-traced-0", "all-traced-1")
"""The variants that the goal is for."""


def run(options: argparse.Namespace, facts: dict[str, Any], folder: Path) -> int:
    """Measure every variant, print and write `cost.json`; exit status 1 when the goal is missed or nothing was measured."""
    samples: list[Sample] = []
    try:
        for number in range(options.rounds):
            _measure_round(number, options.seconds, samples)
    except (StartError, Unavailable, RuntimeError) as error:
        print(f"not run: {error}")
        return 1
    goals = check(samples)
    publish(samples, goals, facts, folder)
    return 0 if all(one.met for one in goals) else 1


def _measure_round(number: int, seconds: float, samples: list[Sample]) -> None:
    """Start every variant, and add each one's sample, and that of the one beside it, to `samples`."""
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(collecting())
        # Whoever starts first may be slower for it.
        places = [(at + number) % len(VARIANTS) for at in range(len(VARIANTS))]
        started = {at: stack.enter_context(_serving(VARIANTS[at], at, collector)) for at in places}
        bare, *others = [started[at] for at in range(len(VARIANTS))]
        time.sleep(_SETTLE_SECONDS)
        for one in (bare, *others):
            wrk.measure(one.url, one.body, "cost-warm", BUSY.connections, _WARM_SECONDS)
        first = number % len(others)  # whoever is measured later is compared with one that has run for longer
        for at, one in enumerate((*others[first:], *others[:first])):
            pair = (one, bare) if at % 2 else (bare, one)
            for sample in by_turns(pair, BUSY, number * len(others) + at, seconds):
                samples.append(sample)
                _say(sample)


def check(samples: Sequence[Sample]) -> list[Goal]:
    """Whether enough throughput is left."""
    goals = []
    for name in HELD:
        left = ratio(samples, BUSY, name, _BARE)
        if left is not None:
            title = next(one.title for one in VARIANTS if one.name == name)
            goals.append(Goal(f"at least {LEAST:.0%} of the throughput with {title}", f"{left:.1%}", left >= LEAST))
    errors = sum(one.errors + one.socket_errors for one in samples)
    return [*goals, Goal("no failed request", str(errors), errors == 0)]


@contextlib.contextmanager
def _serving(variant: Variant, at: int, collector: str) -> Iterator[Contestant]:
    """A server of `variant`, warm, with a folder of its own."""
    peer = peer_of(variant, at, collector)
    headers = {}
    keys = _key_file(variant)
    if variant.keys:
        headers["authorization"] = f"Bearer {_make_key(keys)}"
    body = replace(messages.iris("classify", 1), headers={"content-type": "application/json", **headers})
    with running(peer.prepare(peer), peer.port, peer.log_file) as server:
        server.wait(lambda: messages.post(peer.url, body)[0] == 200, peer.start_timeout)  # noqa: PLR2004 - HTTP's OK
        print(f"{variant.name}: up", flush=True)
        yield Contestant(variant.name, peer.url, server, body)


def peer_of(variant: Variant, at: int, collector: str) -> Peer:
    """`variant` as the benchmark's other parts see a server; `at` is its place among them."""
    return Peer(f"cost-{variant.name}", variant.title, _FIRST_PORT + at, lambda one: _command(one, variant, collector))


def _command(peer: Peer, variant: Variant, collector: str) -> Command:
    env = {"TANDEM_KEYS__FILE": str(_key_file(variant)), **variant.env}
    if variant.sample_ratio is not None:
        env |= {"TANDEM_TRACING__ENDPOINT": collector, "TANDEM_TRACING__SAMPLE_RATIO": str(variant.sample_ratio)}
    command = tandem_alone(peer, env)
    argv = tuple(variant.target if part == "service:Gateway" else part for part in command.argv)
    return replace(command, argv=argv)


def _key_file(variant: Variant) -> Path:
    return WORK / "cost" / f"{variant.name}-keys.json"


def _make_key(file: Path) -> str:
    """The secret of the only key in `file`."""
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    secret = new_secret()
    key = Key(name="bench", digest=digest_of(secret.encode()).hex(), created=time.time())
    asyncio.run(FileKeys(file).change(lambda keys: added(keys, key)))
    return secret


def _cpu_us(sample: Sample) -> float:
    """The server's CPU time a request, in microseconds."""
    return 1e6 * sample.server_cores / sample.per_second


def _say(sample: Sample) -> None:
    print(
        f"pair {sample.round + 1}  {sample.peer:<15} {sample.per_second:>8.0f}/s  {_cpu_us(sample):6.1f} us CPU a request"
        f"  p99 {sample.p99:6.2f} ms  errors {sample.errors + sample.socket_errors}",
        flush=True,
    )


def doubt(samples: Sequence[Sample], name: str) -> float | None:
    """Two standard errors of the share that a variant leaves, by the rounds; none of a single one."""
    found = ratios(samples, BUSY, name, _BARE)
    return 2 * stdev(found) / len(found) ** 0.5 if len(found) > 1 else None


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def publish(samples: Sequence[Sample], goals: Sequence[Goal], facts: dict[str, Any], folder: Path) -> None:
    """The table to standard output, `cost.json` to `folder`."""
    titles = {one.name: one.title for one in VARIANTS}
    summaries = summarise(samples)
    left = {one.peer: ratio(samples, BUSY, one.peer, _BARE) for one in summaries}
    within = {one.peer: doubt(samples, one.peer) for one in summaries}
    cpu = {one.peer: 1e6 * one.server_cores / one.per_second for one in summaries}
    rows = [
        [
            titles[one.peer],
            f"{one.per_second:,.0f}",
            _share(left[one.peer]),
            _share(within[one.peer]),
            f"{cpu[one.peer]:.1f}",
            f"{one.p99:.2f}",
            str(one.errors),
        ]
        for one in sorted(summaries, key=lambda one: list(titles).index(one.peer))
    ]
    print("\n/classify, one row, 64 connections")
    print(tables.grid(["what is on", "req/s", "of without", "within", "CPU us/req", "p99 ms", "errors"], rows))
    print("\n" + tables.goals(goals))
    report.write(
        folder / "cost.json",
        facts
        | {
            "variants": [{"name": one.name, "what_is_on": one.title} for one in VARIANTS],
            "of_without": {name: round(found, 3) for name, found in left.items() if found is not None},
            "of_without_within": {name: round(found, 3) for name, found in within.items() if found is not None},
            "cpu_us_per_request": {name: round(value, 1) for name, value in cpu.items()},
            "goals": [asdict(one) for one in goals],
            "summaries": as_json(summaries),
            "samples": as_json(samples),
        },
    )
