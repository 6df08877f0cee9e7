"""LitServe with batching, as its documentation shows it: decode, batch, predict, unbatch, encode."""

import sys

import litserve
import numpy as np
from iris_model import IrisModel, predictions
from iris_types import ClassifyRequest


class Iris(litserve.LitAPI):
    """One request may carry several rows; a batch is the rows of several requests."""

    def setup(self, device):
        """Load the model in the worker."""
        self.model = IrisModel()

    def decode_request(self, request: ClassifyRequest):
        """Rows of one request, shape (rows, 4)."""
        return np.array([row.values() for row in request.rows])

    def batch(self, inputs):
        """All rows together, and how many belong to each request."""
        return np.concatenate(inputs), [len(rows) for rows in inputs]

    def predict(self, batch):
        """Probabilities of all rows, with the sizes passed on."""
        rows, sizes = batch
        return self.model.probabilities(rows), sizes

    def unbatch(self, output):
        """Probabilities a request."""
        probabilities, sizes = output
        return np.split(probabilities, np.cumsum(sizes)[:-1])

    def encode_response(self, output):
        """The answer of `/classify`."""
        return {"model": "iris", "version": "1", "predictions": predictions(output)}


if __name__ == "__main__":
    api = Iris(max_batch_size=64, batch_timeout=0.001, api_path="/classify")
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=30)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False, access_log=False
    )
