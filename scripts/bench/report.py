"""Prints a run, and writes its JSON and charts."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scripts.bench import charts, goals, tables
from scripts.bench.catalogue import PEERS_BY_NAME, TARGET
from scripts.bench.histogram import batches_between
from scripts.bench.machine import pinned
from scripts.bench.samples import as_json, ratio, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.bench.rounds import Outcomes
    from scripts.bench.samples import Load


def title(name: str) -> str:
    """A server's name with its version, where it has one."""
    peer = PEERS_BY_NAME[name]
    versions = list(pinned(name.partition("-")[0], peer.distributions).values()) if peer.distributions else []
    return f"{peer.title} {versions[0]}" if versions else peer.title


def serving(outcomes: Outcomes, loads: Sequence[Load], facts: dict[str, Any], folder: Path) -> None:
    """Tables and goals to standard output, `serving.json` and two charts to `folder`."""
    summaries = summarise(outcomes.samples)
    for load in loads:
        rows = "one row" if load.rows == 1 else f"{load.rows:,} rows"
        print(f"\n{load.connections} connections, {rows} a request\n{tables.serving(summaries, load, title)}")
    print("\nStart to first right answer\n" + tables.starts(outcomes.starts, title))
    checked = goals.check(outcomes.samples, outcomes.starts)
    if checked:
        print("\n" + tables.goals(checked))
    for name, why in outcomes.skipped.items():
        print(f"skipped: {name}: {why}")
    buckets = batches_between(*outcomes.metrics.get(TARGET, ("", "")))
    peers = dict.fromkeys(one.peer for one in outcomes.samples)
    write(
        folder / "serving.json",
        facts
        | {
            "peers": {name: _versions(name) for name in peers},
            "skipped": outcomes.skipped,
            "summaries": as_json(summaries),
            "ratios": [
                {"peer": peer, **asdict(load), "target_times_peer": _round(ratio(outcomes.samples, load, TARGET, peer))}
                for load in loads
                for peer in peers
                if peer != TARGET and ratio(outcomes.samples, load, TARGET, peer) is not None
            ],
            "goals": [asdict(one) for one in checked],
            "starts": as_json(outcomes.starts),
            "batch_rows": [[one.upper, one.batches] for one in buckets if one.upper != float("inf")],
            "samples": as_json(outcomes.samples),
        },
    )
    if summaries:
        charts.throughput_against_latency(summaries, TARGET, title, folder / "throughput-latency.svg")
    if buckets:
        charts.batch_size_histogram(buckets, folder / "batch-sizes.svg")


def v2(outcomes: Outcomes, loads: Sequence[Load], facts: dict[str, Any], folder: Path, page: Path | None) -> None:
    """Table and goals of the Open Inference Protocol's servers to standard output and `page`, `v2.json` to `folder`."""
    summaries = summarise(outcomes.samples)
    table = tables.by_load(summaries, loads, title)
    checked = goals.check_v2(outcomes.samples)
    print(f"\nOpen Inference Protocol, REST and gRPC\n{table}\n\n{tables.goals(checked)}")
    for name, why in outcomes.skipped.items():
        print(f"skipped: {name}: {why}")
    peers = dict.fromkeys(one.peer for one in outcomes.samples)
    content = {
        "peers": {name: _versions(name) for name in peers},
        "skipped": outcomes.skipped,
        "summaries": [
            one | {"cpu_us": round(summary.cpu_us, 1)}
            for one, summary in zip(as_json(summaries), summaries, strict=True)
        ],
        "goals": [asdict(one) for one in checked],
        "samples": as_json(outcomes.samples),
    }
    write(folder / "v2.json", facts | content)
    if page is not None:
        fill(page, "v2", table)


def fill(page: Path, name: str, text: str) -> None:
    """Put `text` between the two comments of that name on a page, in the place of what was there."""
    begin, end = f"<!-- bench:{name} -->\n", f"<!-- end of bench:{name} -->\n"
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}")
    print(f"wrote {page.name}", flush=True)


def facts(machine: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """What every result file begins with."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "settings": settings,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {path.name}", flush=True)


def _versions(name: str) -> dict[str, str]:
    peer = PEERS_BY_NAME[name]
    return pinned(name.partition("-")[0], peer.distributions) if peer.distributions else {}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
