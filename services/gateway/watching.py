"""Lets metrics see how full the queues are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from services.telemetry import definitions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.gateway.batching import Batcher
    from services.gateway.control.admission import Gate
    from services.telemetry.metrics import Metrics


class Batched(Protocol):
    """What a version of a model is reached through."""

    @property
    def batcher(self) -> Batcher[Any, Any]: ...


def watch_batchers(metrics: Metrics, lanes: Mapping[tuple[str, str], Batched], limit: int) -> None:
    """Show the batchers of `lanes`, by name and version, whose queues each take `limit` rows. Versions go together."""

    def sums(figure: Callable[[Batcher[Any, Any]], int]) -> Callable[[], dict[tuple[str, ...], float]]:
        def read() -> dict[tuple[str, ...], float]:
            found: dict[tuple[str, ...], float] = {}
            for (model, _), lane in lanes.items():
                found[model,] = found.get((model,), 0) + figure(lane.batcher)
            return found

        return read

    metrics.watch(definitions.BATCH_QUEUE_ROWS, sums(lambda batcher: batcher.queued_rows))
    metrics.watch(definitions.BATCHES_IN_FLIGHT, sums(lambda batcher: batcher.in_flight))
    metrics.watch(definitions.BATCH_QUEUE_LIMIT, sums(lambda _: limit))


def watch_gates(metrics: Metrics, gates: Mapping[str, Gate]) -> None:
    """Show what waits at each of `gates`, by the name of what is behind it, and what it has let in."""

    def read(figure: Callable[[Gate], int]) -> dict[tuple[str, ...], float]:
        return {(name,): figure(gate) for name, gate in gates.items()}

    for definition, figure in (
        (definitions.ADMISSION_QUEUE, _queued),
        (definitions.ADMISSION_QUEUE_LIMIT, _queue_limit),
        (definitions.ADMISSION_IN_FLIGHT, _in_flight),
        (definitions.ADMISSION_TOKENS, _tokens),
    ):
        metrics.watch(definition, partial(read, figure))


def _queued(gate: Gate) -> int:
    return gate.queued


def _queue_limit(gate: Gate) -> int:
    return gate.queue_limit


def _in_flight(gate: Gate) -> int:
    return gate.in_flight


def _tokens(gate: Gate) -> int:
    return gate.tokens_in_flight
