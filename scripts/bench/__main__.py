"""`make bench`: Tandem against its peers on the same work, on this machine, in one run."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from scripts.bench import engines, machine, report, rounds, wrk
from scripts.bench.catalogue import DEFAULT, TARGET, select, select_v2
from scripts.bench.paths import PAGE, RESULTS, ROOT, WORK
from scripts.bench.samples import Load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.bench.catalogue import Peer

LOADS = (Load(1), Load(64), Load(256), Load(4, rounds.BULK_ROWS))
LOADS_V2 = (Load(1), Load(64), Load(4, rounds.BULK_ROWS))
PARTS = ("serving", "v2", "llm")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument(
        "--peers", default="default", help=f"`default` ({', '.join(DEFAULT)}), `all`, `none`, or names with commas"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what to measure, of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; ratios are medians over them")
    parser.add_argument("--seconds", type=float, default=3, help="length of each measurement")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one round, 2 s a point, results not kept")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="memory at full load, instead of the above")
    parser.add_argument("--soak-streams", type=int, metavar="N", help="N LLM streams, 64 at once, instead of the above")
    parser.add_argument(
        "--cost", action="store_true", help="what keys, limits, log and traces cost, instead of the above"
    )
    parser.add_argument(
        "--growth", action="store_true", help="cost by rows, connections, models and workers, instead of the above"
    )
    parser.add_argument("--stages", action="store_true", help="where the gateway's time goes, instead of the above")
    parser.add_argument("--busy-ok", action="store_true", help="measure although others use the machine")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit status."""
    options = parse(arguments)
    os.environ.setdefault("BENTOML_HOME", str(ROOT / ".tandem" / "bentoml"))
    if options.quick:
        options.rounds, options.seconds = 1, 2
    folder = WORK / "quick" if options.quick else RESULTS
    try:
        peers = select(options.peers)
        wrk.require()
    except (ValueError, wrk.MissingWrkError) as error:
        print(error, file=sys.stderr)
        return 2
    if not _quiet(busy_ok=options.busy_ok or options.quick):
        return 3
    facts = report.facts(machine.describe(), rounds=options.rounds, seconds=options.seconds)
    return _measure(options, peers, facts, folder)


def _measure(options: argparse.Namespace, peers: Sequence[Peer], facts: dict[str, Any], folder: Path) -> int:
    if options.soak:
        from scripts.bench import soak

        return soak.memory(options.soak, facts, folder)
    if options.soak_streams:
        from scripts.bench.llm import soak as streams

        return streams.run(options.soak_streams, facts, folder)
    if options.cost:
        from scripts.bench import cost

        return cost.run(options, facts, folder)
    if options.growth:
        from scripts.bench import growth

        return growth.run(options, facts, folder, None if options.quick else PAGE)
    if options.stages:
        from scripts.bench import stages

        return stages.run(options.seconds, facts, folder)
    return _compare(options, peers, facts, folder)


def _compare(options: argparse.Namespace, peers: Sequence[Peer], facts: dict[str, Any], folder: Path) -> int:
    parts = set(options.parts.split(","))
    if "serving" in parts:
        bulk = engines.BulkRounds()
        outcomes = rounds.run(peers, LOADS, rounds=options.rounds, seconds=options.seconds, extra=bulk)
        if why := outcomes.skipped.get(TARGET):
            print(f"nothing is written: Tandem was not measured: {why}", file=sys.stderr)
            return 1
        report.serving(outcomes, LOADS, facts, folder)
        engines.report_bulk(bulk.samples, facts, folder)
    if "v2" in parts:
        outcomes = rounds.run(select_v2(options.peers), LOADS_V2, rounds=options.rounds, seconds=options.seconds)
        if not outcomes.samples:
            print(f"no server of the Open Inference Protocol was measured: {outcomes.skipped}", file=sys.stderr)
            return 1
        report.v2(outcomes, LOADS_V2, facts, folder, None if options.quick else PAGE)
    if "llm" in parts:
        from scripts.bench.llm import compare

        if not compare.run(options.rounds, options.seconds, facts, folder, quick=options.quick):
            return 1
    return 0


def _quiet(*, busy_ok: bool) -> bool:
    """Whether the machine is idle enough, and say how busy it is."""
    busy = machine.busy_cores()
    loads = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"load average {loads}; others use {busy:.2f} cores", flush=True)
    if busy <= machine.BUSY_CORES:
        return True
    if busy_ok:
        print("WARNING: the machine is busy: these figures are not for publishing", flush=True)
        return True
    print("the machine is busy: figures would be wrong. Wait, or give --busy-ok for a trial", file=sys.stderr)
    return False


if __name__ == "__main__":
    for one in (signal.SIGTERM, signal.SIGHUP):  # so that what was started is stopped, and nothing stays stopped
        signal.signal(one, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
