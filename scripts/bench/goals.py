"""What Tandem set out to reach, checked against one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.bench.catalogue import TARGET
from scripts.bench.samples import Load, Sample, Start, Summary, ratio, summarise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUSY = Load(64)
ALONE = Load(1)
AT_LEAST = {"triton": 5.0, "fastapi": 5.0, "mlserver": 8.0, "bentoml": 35.0}
"""Times the requests a second of each peer, at 64 connections."""
START_SECONDS = 8.0
MOST_P99 = 20.0
MOST_P50_ALONE = 1.5


@dataclass(frozen=True)
class Goal:
    """One goal, and whether this run met it."""

    text: str
    measured: str
    met: bool


def check(samples: Sequence[Sample], starts: Sequence[Start]) -> list[Goal]:
    """Every goal for which the run has figures."""
    return [*_ratios(samples), *_latencies(samples), *_start(starts)]


def check_v2(samples: Sequence[Sample]) -> list[Goal]:
    """Whether Tandem is ahead of the other servers of the Open Inference Protocol, in each way to speak it."""
    checked = []
    for way, own in (("REST", f"{TARGET}-v2"), ("gRPC", f"{TARGET}-grpc")):
        for peer in ("mlserver", "triton"):
            found = ratio(samples, BUSY, own, peer if way == "REST" else f"{peer}-grpc")
            if found is not None:
                checked.append(Goal(f"ahead of {peer} over {way} at 64 connections", f"{found:.1f}x", found > 1))
    errors = sum(one.errors + one.socket_errors for one in samples if one.peer.startswith(TARGET))
    return [*checked, Goal("no failed request", str(errors), errors == 0)]


def _ratios(samples: Sequence[Sample]) -> Iterator[Goal]:
    for peer, least in AT_LEAST.items():
        found = ratio(samples, BUSY, TARGET, peer)
        if found is not None:
            yield Goal(f"at least {least:.0f}x {peer} at 64 connections", f"{found:.1f}x", found >= least)
    compared = ratio(samples, BUSY, TARGET, "triton", "p99")
    if compared is not None:
        yield Goal("p99 at most half of triton's at 64 connections", f"{compared:.2f}x", compared <= 1 / 2)


def _latencies(samples: Sequence[Sample]) -> Iterator[Goal]:
    by_load: dict[Load, Summary] = {one.load: one for one in summarise(samples) if one.peer == TARGET}
    if busy := by_load.get(BUSY):
        yield Goal(f"p99 at most {MOST_P99:.0f} ms at 64 connections", f"{busy.p99:.1f} ms", busy.p99 <= MOST_P99)
    if alone := by_load.get(ALONE):
        measured = f"{alone.p50:.2f} ms"
        yield Goal(f"p50 at most {MOST_P50_ALONE} ms at 1 connection", measured, alone.p50 <= MOST_P50_ALONE)
    if by_load:
        errors = sum(one.errors for one in by_load.values())
        yield Goal("no failed request", str(errors), errors == 0)


def _start(starts: Sequence[Start]) -> Iterator[Goal]:
    own = [one.seconds for one in starts if one.peer == TARGET]
    if own:
        worst = max(own)
        yield Goal(f"first answer in under {START_SECONDS:.0f} s", f"{worst:.1f} s", worst < START_SECONDS)
