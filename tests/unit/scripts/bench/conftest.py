from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models.spec import Feature, ModelSpec
from scripts.bench.messages import FEATURES


@pytest.fixture
def iris_spec() -> ModelSpec:
    features = tuple(Feature(name=name, description=name, low=0.0, high=10.0) for name in FEATURES)
    return ModelSpec(
        name="iris",
        version="1",
        framework="scikit-learn",
        engine="linear",
        description="Iris.",
        features=features,
        labels=("a", "b"),
        inputs=(),
        outputs=(),
        trained_at=datetime(2026, 1, 1, tzinfo=UTC),
        data_source="none",
    )
