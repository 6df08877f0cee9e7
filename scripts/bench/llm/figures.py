"""Figures of a set of streams, and of two servers compared."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from scripts.bench.goals import Goal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.bench.llm.client import Stream

TANDEM = "tandem"
VLLM = "vllm"


@dataclass(frozen=True)
class LlmSample:
    """One server with so many streams at once, in one round. Times in milliseconds."""

    server: str
    round: int
    streams: int
    finished: int
    failed: int
    chunks_per_second: float
    tokens_per_second: float
    ttft_p50: float
    ttft_p99: float
    itl_p50: float
    itl_p99: float
    server_cores: float
    client_cores: float
    other_cores: float
    rss_mib: float


@dataclass(frozen=True)
class Cost:
    """CPU seconds a second, and memory, while the streams ran."""

    server_cores: float
    client_cores: float
    other_cores: float
    rss_mib: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, by nearest rank; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def sample(
    server: str, number: int, at_once: int, streams: Sequence[Stream], window: tuple[float, float], cost: Cost
) -> LlmSample:
    """Figures of the streams that ran in the window; chunks that came after its end do not count as throughput."""
    begin, end = window
    good = [one for one in streams if one.failure is None]
    chunks = sum(1 for one in streams for stamp in one.stamps if begin <= stamp <= end)
    per_chunk = sum(one.tokens or 0 for one in good) / max(1, sum(len(one.stamps) for one in good))
    firsts = [one.first_token for one in good if one.first_token is not None]
    gaps = [gap for one in good for gap in one.gaps]
    rate = chunks / (end - begin)
    return LlmSample(
        server=server,
        round=number,
        streams=at_once,
        finished=len(good),
        failed=len(streams) - len(good),
        chunks_per_second=rate,
        tokens_per_second=rate * per_chunk,
        ttft_p50=1e3 * percentile(firsts, 0.5),
        ttft_p99=1e3 * percentile(firsts, 0.99),
        itl_p50=1e3 * percentile(gaps, 0.5),
        itl_p99=1e3 * percentile(gaps, 0.99),
        server_cores=cost.server_cores,
        client_cores=cost.client_cores,
        other_cores=cost.other_cores,
        rss_mib=cost.rss_mib,
    )


FIGURES = (
    "chunks_per_second",
    "tokens_per_second",
    "ttft_p50",
    "ttft_p99",
    "itl_p50",
    "itl_p99",
    "server_cores",
    "client_cores",
    "rss_mib",
)


def medians(samples: Sequence[LlmSample], server: str, streams: int) -> dict[str, float]:
    """Median over rounds of each figure."""
    chosen = [one for one in samples if one.server == server and one.streams == streams]
    return {figure: median(getattr(one, figure) for one in chosen) for figure in FIGURES} if chosen else {}


def paired(samples: Sequence[LlmSample], streams: int, figure: str) -> list[tuple[float, float]]:
    """(Tandem's, vLLM's) figure of every round in which both have one."""
    sides = [
        {
            one.round: float(getattr(one, figure))
            for one in samples
            if one.server == server and one.streams == streams and one.finished
        }
        for server in (TANDEM, VLLM)
    ]
    return [(sides[0][number], sides[1][number]) for number in sides[0] if number in sides[1]]


def check(samples: Sequence[LlmSample]) -> Iterator[Goal]:
    """The goals of the language model's part, by medians over rounds."""
    for streams in (16, 64):
        # Under load vLLM puts several tokens into one chunk, so chunks alone could flatter either side.
        for figure, unit in (("chunks_per_second", "chunks/s"), ("tokens_per_second", "tokens/s")):
            if rates := paired(samples, streams, figure):
                found = median(own / other for own, other in rates)
                yield Goal(f"{unit} at least vLLM's own at {streams} streams", f"{found:.3f}x", found >= 1)
        if tails := paired(samples, streams, "itl_p99"):
            found = median(own / other for own, other in tails)
            yield Goal(f"inter-token p99 at most 1.1x vLLM's own at {streams} streams", f"{found:.3f}x", found <= 1.1)  # noqa: PLR2004
    if firsts := paired(samples, 1, "ttft_p50"):
        added = median(own - other for own, other in firsts)
        yield Goal("TTFT p50 at one stream at most 3 ms more", f"{added:+.2f} ms", added <= 3)  # noqa: PLR2004
    failed = sum(one.failed for one in samples if one.server == TANDEM)
    yield Goal("no failed stream", str(failed), failed == 0)
