"""The charts of a run, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scripts.bench.histogram import Bucket
    from scripts.bench.samples import Summary

_COLOURS = ("#c1272d", "#0000a7", "#008176", "#eecc16", "#7a4fa3", "#b3b3b3", "#e07b39", "#4d4d4d", "#57a0d3")
_QUIET = {"svg.hashsalt": "tandem", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}


def throughput_against_latency(
    summaries: Sequence[Summary], target: str, title: Callable[[str], str], path: Path
) -> None:
    """A line a server through its points at 1, 64 and 256 connections; right and low is better."""
    figure, axes = _figure(7.5, 4.6)
    singles = [one for one in summaries if one.load.rows == 1]
    for colour, peer in zip(_COLOURS, dict.fromkeys(one.peer for one in singles), strict=False):
        points = sorted((one for one in singles if one.peer == peer), key=lambda one: one.load.connections)
        axes.plot(
            [one.per_second for one in points],
            [one.p99 for one in points],
            "o-",
            color=colour,
            linewidth=2.4 if peer == target else 1.2,
            markersize=5 if peer == target else 3.5,
            label=title(peer),
        )
        if peer == target:
            for one in points:
                axes.annotate(f"{one.load.connections}", (one.per_second, one.p99), (4, 4), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel="requests a second", ylabel="p99 latency, ms")
    axes.set_title("iris, one row a request; points are 1, 64 and 256 connections", fontsize=9)
    axes.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    _save(figure, path)


def batch_size_histogram(buckets: Sequence[Bucket], path: Path) -> None:
    """How many rows the batches held."""
    figure, axes = _figure(6.0, 3.2)
    total = sum(one.batches for one in buckets) or 1.0
    last = max((place for place, one in enumerate(buckets) if one.batches), default=0)
    shown = buckets[: last + 1]
    labels = ["more" if one.upper == float("inf") else f"{one.upper:.0f}" for one in shown]
    axes.bar(labels, [100 * one.batches / total for one in shown], color=_COLOURS[0])
    axes.set(xlabel="rows in a batch, up to", ylabel="share of batches, %")
    axes.set_title("iris, 64 connections, one row a request", fontsize=9)
    axes.grid(axis="x", visible=False)
    _save(figure, path)


def llm_bars(rows: Sequence[tuple[str, int, float, float]], path: Path) -> None:
    """Chunks a second and inter-token p99, by streams; `rows` are (server, streams, chunks a second, p99 ms)."""
    figure, axes = _figure(7.5, 3.2, columns=2)
    servers = list(dict.fromkeys(row[0] for row in rows))
    streams = list(dict.fromkeys(row[1] for row in rows))
    width = 0.8 / len(servers)
    for column, label in ((2, "chunks a second"), (3, "inter-token p99, ms")):
        panel = axes[column - 2]
        for place, server in enumerate(servers):
            found = {row[1]: row[column] for row in rows if row[0] == server}
            where = [index + (place - (len(servers) - 1) / 2) * width for index in range(len(streams))]
            heights = [found.get(count, 0.0) for count in streams]
            panel.bar(where, heights, width, label=server, color=_COLOURS[place])
        panel.set_xticks(range(len(streams)), [str(count) for count in streams])
        panel.set(xlabel="streams at once", ylabel=label)
        panel.grid(axis="x", visible=False)
    axes[0].legend(fontsize=7.5, frameon=False)
    _save(figure, path)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update(_QUIET)
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
