"""The training library of each model, called as its documentation says: what our engines are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.engines.onnx import GRAPH_FILE, OnnxGraph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.spec import Engine, Rows

    Contenders = dict[str, Callable[[Rows], object]]


def contenders(name: str, engine: Engine, folder: Path) -> Contenders:
    """Ways to predict as the model `name` does, whose engine's files are in `folder`; the first is the training library's own."""
    return {"iris": _iris, "fraud": _fraud, "digits": _digits}[name](engine, folder)


def _iris(engine: Engine, folder: Path) -> Contenders:  # noqa: ARG001 - one signature for the three
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=1000)).fit(*load_iris(return_X_y=True))
    return {"scikit-learn predict_proba": pipeline.predict_proba}


def _fraud(engine: Engine, folder: Path) -> Contenders:  # noqa: ARG001
    import xgboost

    from models.engines.trees import BOOSTER_FILE

    booster = xgboost.Booster(model_file=folder / BOOSTER_FILE)
    booster.set_param({"nthread": 1})
    return {
        "xgboost inplace_predict": booster.inplace_predict,
        "xgboost predict(DMatrix)": lambda rows: booster.predict(xgboost.DMatrix(rows, nthread=1)),
        "ONNX Runtime": OnnxGraph(folder / GRAPH_FILE).run,
    }


def _digits(engine: Engine, folder: Path) -> Contenders:
    import torch
    from safetensors.torch import load_file

    from models.engines import convnet

    side = int(len(engine.spec.features) ** 0.5)
    high = engine.spec.features[0].high
    network = convnet.build(side, len(engine.spec.labels)).eval()
    network.load_state_dict(load_file(folder / convnet.WEIGHTS_FILE))

    def eager(rows: Rows) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(rows) / high).softmax(1).numpy()

    return {"torch": eager, "ONNX Runtime": OnnxGraph(folder / GRAPH_FILE).run}
