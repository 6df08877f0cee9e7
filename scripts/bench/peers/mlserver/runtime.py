"""A custom MLServer runtime, as its documentation shows it; batching is turned on in `settings.py`."""

from iris_model import LABELS, IrisModel
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Iris(MLModel):
    """Label and probabilities of every row."""

    async def load(self) -> bool:
        """Load the model."""
        self._model = IrisModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Decode, predict, encode."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        found = self._model.probabilities(rows)
        labels = [LABELS[best] for best in found.argmax(axis=1)]
        return InferenceResponse(
            model_name=self.name,
            outputs=[StringCodec.encode_output("label", labels), NumpyCodec.encode_output("probabilities", found)],
        )
