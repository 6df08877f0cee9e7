"""Plain BentoML, two composed services as in its documentation: a gateway that depends on a batchable classifier."""

import bentoml
import numpy as np
from iris_model import IrisModel, predictions
from iris_types import ClassifyResponse, Row


@bentoml.service
class Classifier:
    """Adaptively batched probabilities."""

    def __init__(self):
        self.model = IrisModel()

    @bentoml.api(batchable=True)
    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, shape (rows, 3)."""
        return self.model.probabilities(rows)


@bentoml.service
class Gateway:
    """Validates, calls the classifier, names the classes."""

    classifier = bentoml.depends(Classifier)

    @bentoml.api
    async def classify(self, model: str, rows: list[Row]) -> ClassifyResponse:
        """One prediction a row."""
        values = np.array([row.values() for row in rows])
        found = await self.classifier.to_async.probabilities(values)
        return ClassifyResponse(model=model, version="1", predictions=predictions(found))
