from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from models.engines.loader import load_engine
from models.engines.trees import BOOSTER_FILE, LARGE_BATCH

if TYPE_CHECKING:
    import xgboost

    from models.spec import Engine, Rows
    from tests.unit.models.conftest import Shelf


@pytest.fixture(scope="module")
def anywhere(shelf: Shelf) -> Rows:
    """Rows that reach leaves which data seldom reaches, edges of the splits among them."""
    features = shelf.trained["fraud"].spec.features
    rng = np.random.default_rng(11)
    rows = rng.uniform([f.low for f in features], [f.high for f in features], (20_000, len(features)))
    booster = json.loads(_booster(shelf).save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    for tree in booster:
        for feature, value, left in zip(
            tree["split_indices"], tree["split_conditions"], tree["left_children"], strict=True
        ):
            if left != -1:
                rows[rng.integers(0, len(rows), 20), feature] = value
    return rows.astype(np.float32)


def _booster(shelf: Shelf) -> xgboost.Booster:
    import xgboost

    return xgboost.Booster(model_file=shelf.folders["fraud"] / BOOSTER_FILE)


def test_graph_and_booster_agree_on_every_bit(shelf: Shelf, anywhere: Rows) -> None:
    small = cast("Engine", load_engine(shelf.trained["fraud"].spec, shelf.folders["fraud"]))
    large = shelf.engine("fraud")
    rows = np.concatenate([shelf.trained["fraud"].rows, anywhere])
    in_graph, in_booster = small.predict(rows), large.predict(rows)
    np.testing.assert_array_equal(in_graph, in_booster)
    np.testing.assert_allclose(in_booster[:, 1], _booster(shelf).inplace_predict(rows), atol=1e-6)


def test_predicting_does_not_import_xgboost(shelf: Shelf) -> None:
    folder = shelf.folders["fraud"]
    (folder / "spec.json").write_text(shelf.trained["fraud"].spec.model_dump_json())
    program = f"""
import sys
from pathlib import Path
import numpy as np
from models.engines.loader import load_engine
from models.spec import ModelSpec

folder = Path({str(folder)!r})
engine = load_engine(ModelSpec.model_validate_json((folder / "spec.json").read_bytes()), folder)
engine.predict(np.zeros(({LARGE_BATCH + 1}, len(engine.spec.features)), dtype=np.float32))
print({{"xgboost", "torch", "sklearn", "onnx"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_contributions_flip_their_sign_with_the_label(shelf: Shelf) -> None:
    engine = shelf.engine("fraud")
    names = [feature.name for feature in engine.spec.features]
    honest = np.array([[25, 0.8, 13, 4, 900, 0, 0, 0.05, 1, 0, 2000]], dtype=np.float32)
    bad = np.array([[400, 9.0, 3, 4000, 3, 4, 3, 0.7, 0, 1, 20]], dtype=np.float32)
    for row, label in ((honest, "legitimate"), (bad, "fraud")):
        attributions = engine.attribute(row)
        assert attributions.label == label
        assert attributions.output > 0
        assert attributions.contributions[names.index("merchant_risk")] > 0


def test_a_worse_sign_never_makes_a_payment_look_better(shelf: Shelf) -> None:
    engine = shelf.engine("fraud")
    names = [feature.name for feature in engine.spec.features]
    rows = shelf.trained["fraud"].rows[:500]
    for name, step in (("merchant_risk", 0.3), ("declined_last_day", 2), ("account_age_days", -200)):
        worse = rows.copy()
        worse[:, names.index(name)] += step
        assert (engine.predict(worse)[:, 1] >= engine.predict(rows)[:, 1]).all()
