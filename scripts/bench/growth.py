"""How the cost of a request grows with rows, connections, models and workers: `make bench ARGS=--growth`.

Tandem alone, its servers side by side and loaded in turn, as in `cost.py`.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from models import store
from scripts.bench import messages, report, rounds, tables, wrk
from scripts.bench.catalogue import Peer, tandem_alone
from scripts.bench.environments import Unavailable
from scripts.bench.paths import WORK
from scripts.bench.samples import Load, as_json, summarise
from scripts.bench.server import StartError, running

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scripts.bench.samples import Sample, Summary
    from scripts.bench.server import Command, Server

_FIRST_PORT = 3520
_SETTLE_SECONDS = 2.0
_COPIES = 16
_NOT_WEIGHTS = shutil.ignore_patterns("model.yaml", store.SPEC_FILE)
_BUSY = Load(64)


@dataclass(frozen=True)
class Setup:
    """One way to start the server."""

    name: str
    env: dict[str, str] = field(default_factory=dict)
    copies: int = 1
    """How often the iris model is stored, each under a name of its own."""


_USUAL = Setup("usual")
_MANY_MODELS = Setup("models", copies=_COPIES)
_GATEWAYS = Setup("gateways", {"TANDEM_GATEWAY__WORKERS": "2"})
_CLASSIFIERS = Setup("classifiers", {"TANDEM_CLASSIFIER__WORKERS": "2"})


@dataclass(frozen=True)
class Point:
    """One load of one server."""

    title: str
    setup: Setup
    load: Load
    models: int = 1
    """So many models are asked by turns."""


POINTS = (
    *(Point(f"connections: {count}", _USUAL, Load(count)) for count in (1, 4, 16, 64, 256)),
    *(Point(f"rows: {rows:,}, over 4 connections", _USUAL, Load(4, rows)) for rows in (10, 100, 1000)),
    *(Point(f"models: {count} of {_COPIES} asked", _MANY_MODELS, _BUSY, count) for count in (1, 4, 16)),
    Point("workers: 2 gateways", _GATEWAYS, _BUSY),
    Point("workers: 2 Classifiers", _CLASSIFIERS, _BUSY),
)


def run(options: argparse.Namespace, facts: dict[str, Any], folder: Path, page: Path | None) -> int:
    """Measure every point, print the table, and write `growth.json` and the page; the exit status."""
    samples: list[Sample] = []
    setups = list({point.setup.name: point.setup for point in POINTS}.values())
    try:
        with contextlib.ExitStack() as stack:
            serving = {one.name: stack.enter_context(_serving(one, at)) for at, one in enumerate(setups)}
            time.sleep(_SETTLE_SECONDS)
            for number in range(options.rounds):
                # Turned by one from round to round, as elsewhere, so many points would keep their places.
                for point in Random(number).sample(POINTS, len(POINTS)):  # noqa: S311 - an order, no secret
                    peer, server = serving[point.setup.name]
                    names = model_names(point.models)
                    sample = rounds.measure(peer, server, point.load, number, options.seconds, models=names)
                    samples.append(replace(sample, peer=point.title))
                    print(f"round {number + 1}  {point.title:<40} {sample.per_second:>8.0f}/s", flush=True)
    except (StartError, Unavailable) as error:
        print(f"not run: {error}")
        return 1
    publish(samples, facts, folder, page)
    return 0


def publish(samples: Sequence[Sample], facts: dict[str, Any], folder: Path, page: Path | None) -> None:
    """The table to standard output and `page`, `growth.json` to `folder`."""
    summaries = summarise(samples)
    ordered = sorted(summaries, key=lambda one: [point.title for point in POINTS].index(one.peer))
    table = tables.grid(
        ["one row, 64 connections, but", "req/s", "p50 / p99 ms", "CPU µs a request", "CPU µs a row", "errors"],
        [_row(one) for one in ordered],
    )
    print(f"\n{table}")
    report.write(
        folder / "growth.json",
        facts
        | {
            "points": [asdict(point) for point in POINTS],
            "summaries": as_json(ordered),
            "samples": as_json(samples),
        },
    )
    if page is not None:
        report.fill(page, "growth", table)


def _row(one: Summary) -> list[str]:
    return [
        one.peer,
        f"{one.per_second:,.0f}",
        f"{one.p50:.2f} / {one.p99:.2f}",
        f"{one.cpu_us:.0f}",
        f"{one.cpu_us / one.load.rows:.1f}",
        str(one.errors),
    ]


@contextlib.contextmanager
def _serving(setup: Setup, at: int) -> Iterator[tuple[Peer, Server]]:
    """A server so set up, warm; `at` is its place among them."""
    peer = Peer(f"growth-{setup.name}", setup.name, _FIRST_PORT + at, partial(_command, setup=setup), start_timeout=180)
    with running(peer.prepare(peer), peer.port, peer.log_file) as server:
        server.wait(lambda: messages.answers_iris(peer.url, peer.protocol), peer.start_timeout)
        wrk.measure(peer.url, messages.iris(peer.protocol, 1), "growth-warm", _BUSY.connections, peer.warm_seconds)
        print(f"{setup.name}: up", flush=True)
        yield peer, server


def _command(peer: Peer, setup: Setup) -> Command:
    return tandem_alone(peer, setup.env, _copied(setup.copies) if setup.copies > 1 else None)


def _copied(copies: int) -> Path:
    """A store of so many iris models, all alike but for their names."""
    folder = WORK / "growth" / "models"
    shutil.rmtree(folder, ignore_errors=True)
    spec, weights = store.find("iris")

    def write(path: Path) -> None:
        shutil.copytree(weights, path, dirs_exist_ok=True, ignore=_NOT_WEIGHTS)

    for name in model_names(copies):
        store.save(spec.model_copy(update={"name": name}), write, folder=folder)
    return folder


def model_names(count: int) -> list[str]:
    """What the first so many models of such a store are called."""
    return ["iris", *(f"iris-{number}" for number in range(2, count + 1))]
