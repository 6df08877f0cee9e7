"""Triton Inference Server through pytriton: its Python backend with dynamic batching, v2 REST."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
from iris_model import LABELS, IrisModel
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

NAMES = np.array([name.encode() for name in LABELS])


def main() -> None:
    """`server.py PORT FOLDER`."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    model = IrisModel()

    @batch
    def infer(features):
        found = model.probabilities(features)
        return {"label": NAMES[found.argmax(axis=1)][:, None], "probabilities": found.astype(np.float32)}

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=port,
        grpc_address="127.0.0.1",
        grpc_port=port + 1,
        metrics_address="127.0.0.1",
        metrics_port=port + 2,
    )
    shutil.rmtree(folder / "workspace", ignore_errors=True)
    with Triton(config=config, workspace=str(folder / "workspace")) as server:
        server.bind(
            model_name="iris",
            infer_func=infer,
            inputs=[Tensor(name="features", dtype=np.float32, shape=(4,))],
            outputs=[
                Tensor(name="label", dtype=bytes, shape=(1,)),
                Tensor(name="probabilities", dtype=np.float32, shape=(3,)),
            ],
            config=ModelConfig(
                max_batch_size=1024,
                batcher=DynamicBatcher(max_queue_delay_microseconds=int(os.environ.get("BENCH_QUEUE_DELAY_US", "0"))),
            ),
        )
        server.serve()


if __name__ == "__main__":
    main()
