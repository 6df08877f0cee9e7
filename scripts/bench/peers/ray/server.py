"""Ray Serve with `serve.batch` behind a FastAPI ingress, as its documentation shows it."""

import signal
import sys
import threading

import numpy as np
import ray
from fastapi import FastAPI
from iris_model import IrisModel, predictions
from iris_types import ClassifyRequest, ClassifyResponse
from ray import serve

app = FastAPI()


@serve.deployment(max_ongoing_requests=512)
@serve.ingress(app)
class Iris:
    """One replica."""

    def __init__(self):
        self.model = IrisModel()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def probabilities(self, inputs):
        """Probabilities of each request's rows."""
        found = self.model.probabilities(np.concatenate(inputs))
        return np.split(found, np.cumsum([len(rows) for rows in inputs])[:-1])

    @app.post("/classify")
    async def classify(self, request: ClassifyRequest) -> ClassifyResponse:
        """One prediction a row."""
        rows = np.array([row.values() for row in request.rows])
        found = await self.probabilities(rows)
        return ClassifyResponse(model="iris", version="1", predictions=predictions(found))


def main() -> None:
    """`server.py PORT`."""
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=100 * 2**20,
        logging_level="warning",
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config={"enable_access_log": False}
    )
    serve.run(Iris.bind())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
