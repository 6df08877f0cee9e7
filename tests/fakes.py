"""Stand-ins for models, the classifier and dependencies behind the gateway, as data and small classes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from models.errors import BadInput
from models.spec import Attributions, Feature, ModelSpec, TensorSpec
from services.classifier.routes import Change, Generation, Listed, Listing
from services.errors import ModelNotFound, NotRunning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.spec import Probabilities, Rows
    from services.gateway.backends import Row, RowProbabilities
    from services.gateway.backends import Rows as RowsPayload
    from services.tensors import Tensor, Tensors


def make_spec(name: str = "flowers", version: str = "v1") -> ModelSpec:
    """Three features, two labels."""
    return ModelSpec(
        name=name,
        version=version,
        framework="scikit-learn",
        description="Says whether a flower is large.",
        features=(
            Feature(name="height", description="Height of the plant.", unit="cm", low=0, high=100),
            Feature(name="width", description="Width of the leaf.", unit="cm", low=0, high=10),
            Feature(name="age", description="Age.", unit=None, low=-1, high=50),
        ),
        labels=("small", "large"),
        inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, 3)),),
        outputs=(TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),),
        trained_at=datetime(2026, 1, 1, tzinfo=UTC),
        data_source="Made up for tests.",
    )


def make_listing(generation: int, *specs: ModelSpec, others: Sequence[ModelSpec] = (), run: str = "run") -> Listing:
    """What a Classifier says that serves `specs` by name, and `others` by name and version."""
    listed = [Listed(msgspec.Raw(spec.model_dump_json().encode()), default=True) for spec in specs]
    listed += [Listed(msgspec.Raw(spec.model_dump_json().encode()), default=False) for spec in others]
    return Listing(run, generation, listed, [])


def probabilities_of(row: Sequence[float]) -> list[float]:
    """What every fake model answers for a row: a different answer for a different height."""
    large = round(row[0] / 100, 6)
    return [round(1 - large, 6), large]


def attributions_of(row: Sequence[float]) -> Attributions:
    """What every fake model says of a row; adds up as `Attributions` promises."""
    contributions = (row[0] / 10, -row[1] / 10, 0.25)
    label = ("small", "large")[int(row[0] > 50)]
    return Attributions(
        label=label,
        space="log-odds",
        method="linear",
        baseline=1.0,
        output=1.0 + sum(contributions),
        contributions=contributions,
    )


class FakeEngine:
    """An `Engine` that keeps what it was asked."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.asked: list[int] = []

    def predict(self, rows: Rows) -> Probabilities:
        self.asked.append(len(rows))
        return np.array([probabilities_of(row) for row in rows.tolist()], np.float32).reshape(len(rows), 2)

    def attribute(self, row: Rows) -> Attributions:
        return attributions_of(row[0].tolist())


def make_tensor_spec(name: str = "doubler", shape: tuple[int, ...] = (-1, 2)) -> ModelSpec:
    """One tensor in, one out, both of `shape`."""
    tensors = [TensorSpec(name=tensor, datatype="FP32", shape=shape) for tensor in ("x", "y")]
    changes = {"features": (), "labels": (), "inputs": tuple(tensors[:1]), "outputs": tuple(tensors[1:])}
    return make_spec(name).model_copy(update=changes)


class FakeTensorEngine:
    """A `TensorEngine` that doubles its input and refuses negative numbers."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def infer(self, tensors: Tensors) -> dict[str, Tensor]:
        if (tensors["x"] < 0).any():
            raise BadInput("No negative numbers.")
        return {"y": tensors["x"] * 2}


class FakeClassifier:
    """A `ClassifierBackend` that keeps its batches, waits at a gate and fails when told to."""

    def __init__(self) -> None:
        self.batches: list[list[list[Row]]] = []
        self.seconds = 0.0
        """How long each call takes."""
        self.inferred: list[list[Tensors]] = []
        self.lists = make_listing(0)
        """What it says that it serves."""
        self.changes: list[Change] = []
        self.error: Exception | None = None
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def listen(self, listener: Callable[[int], None]) -> None:
        self.told = listener
        listener(1)

    async def predict(self, spec: ModelSpec, payloads: Sequence[RowsPayload]) -> list[RowProbabilities]:
        self.batches.append([[tuple(row) for row in payload] for payload in payloads])
        await self._pass()
        return [
            np.array([probabilities_of(row) for row in payload.tolist()], np.float32)
            if isinstance(payload, np.ndarray)
            else [probabilities_of(row) for row in payload]
            for payload in payloads
        ]

    async def infer(self, spec: ModelSpec, payloads: Sequence[Tensors]) -> list[Tensors]:
        """Each output is the input of the same position, doubled."""
        self.inferred.append(list(payloads))
        await self._pass()
        return [
            {output.name: payload[given.name] * 2 for given, output in zip(spec.inputs, spec.outputs, strict=True)}
            for payload in payloads
        ]

    async def attribute(self, spec: ModelSpec, row: Row) -> tuple[list[float], Attributions]:
        await self._pass()
        return probabilities_of(row), attributions_of(row)

    async def generation(self) -> Generation:
        return Generation(self.lists.run, self.lists.generation)

    async def listing(self) -> Listing:
        await self._pass()
        return self.lists

    async def change(self, change: Change) -> Listing:
        self.changes.append(change)
        return await self.listing()

    async def _pass(self) -> None:
        self.reached.set()
        await asyncio.sleep(self.seconds)
        await self.gate.wait()
        if self.error is not None:
            raise self.error


class StoringClassifier(FakeClassifier):
    """Has these models, and no other can be loaded."""

    def __init__(self, *specs: ModelSpec) -> None:
        super().__init__()
        self.lists = make_listing(0, *specs)
        self._stored = {spec.name: spec.version for spec in specs}

    async def change(self, change: Change) -> Listing:
        stored = self._stored.get(change.name)
        if stored is None or change.version not in {"", stored}:
            raise ModelNotFound(f"There is no model {change.name!r} in the model store.")
        return self.lists


class FakeDependency:
    """Something whose health can be asked for: `status` is what it says of itself, or the error it fails with."""

    def __init__(self, name: str, status: dict[str, Any] | bytes | Exception | None = None) -> None:
        self.name = name
        self.status: dict[str, Any] | bytes | Exception = status or {"state": "ready"}
        self.probes = 0
        self.probed = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def probe(self) -> bytes:
        self.probes += 1
        self.probed.set()
        await self.gate.wait()
        if isinstance(self.status, Exception):
            raise self.status
        return self.status if isinstance(self.status, bytes) else json.dumps(self.status).encode()

    def die(self) -> None:
        """From now on nothing listens."""
        self.status = NotRunning(f"The {self.name} is not running.")
