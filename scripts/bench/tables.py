"""The figures as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scripts.bench.goals import Goal
    from scripts.bench.samples import Load, Start, Summary


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned; figures to the right, the first column to the left."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def render(line: Sequence[str]) -> str:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([render(lines[0]), rule, *(render(line) for line in lines[1:])])


def serving(summaries: Sequence[Summary], load: Load, title: Callable[[str], str]) -> str:
    """One point for all servers, the fastest first."""
    chosen = sorted((one for one in summaries if one.load == load), key=lambda one: -one.per_second)
    bulk = load.rows > 1
    head = ["server", "rows/s" if bulk else "req/s", "p50 ms", "p99 ms", "errors", "CPU cores", "RSS MiB"]
    rows = [
        [
            title(one.peer),
            f"{one.rows_per_second:,.0f}",
            f"{one.p50:.2f}",
            f"{one.p99:.2f}",
            str(one.errors),
            f"{one.server_cores:.2f}",
            f"{one.rss_mib:.0f}",
        ]
        for one in chosen
    ]
    return grid(head, rows)


def by_load(summaries: Sequence[Summary], loads: Sequence[Load], title: Callable[[str], str]) -> str:
    """A row for each server that has all the points, the last of which is the bulk one; the fastest at the one before first."""
    points = {(one.peer, one.load): one for one in summaries}
    *_, busy, bulk = loads
    complete = [
        peer for peer in dict.fromkeys(one.peer for one in summaries) if all((peer, load) in points for load in loads)
    ]
    peers = sorted(complete, key=lambda peer: -points[peer, busy].per_second)
    head = ["server"]
    for load in loads[:-1]:
        head += [f"{load.connections} conn: req/s", "p50 / p99 ms"]
    head += [f"CPU µs a request at {busy.connections}", f"{bulk.rows:,} rows: rows/s", "errors"]
    rows = []
    for peer in peers:
        found = [points[peer, load] for load in loads]
        cells = [cell for one in found[:-1] for cell in (f"{one.per_second:,.0f}", f"{one.p50:.2f} / {one.p99:.2f}")]
        cells += [f"{points[peer, busy].cpu_us:.0f}", f"{found[-1].rows_per_second:,.0f}"]
        rows.append([title(peer), *cells, str(sum(one.errors for one in found))])
    return grid(head, rows)


def starts(measured: Sequence[Start], title: Callable[[str], str]) -> str:
    """Seconds to the first right answer, the slowest of all rounds."""
    worst: dict[str, float] = {}
    for one in measured:
        worst[one.peer] = max(worst.get(one.peer, 0.0), one.seconds)
    return grid(["server", "start s"], [[title(peer), f"{seconds:.1f}"] for peer, seconds in worst.items()])


def goals(checked: Sequence[Goal]) -> str:
    """The goals and whether they were met."""
    return grid(["goal", "measured", "met"], [[one.text, one.measured, "yes" if one.met else "NO"] for one in checked])
