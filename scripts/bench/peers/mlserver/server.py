"""Write MLServer's settings for a port into a folder and start it there."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """`server.py PORT FOLDER`."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    model = folder / "iris"
    model.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "debug": False,
        "parallel_workers": 1,
    }
    settings["environments_dir"] = str(folder / "environments")
    (folder / "settings.json").write_text(json.dumps(settings))
    spec = {
        "name": "iris",
        "implementation": "runtime.Iris",
        "max_batch_size": 64,
        "max_batch_time": 0.001,
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
    }
    (model / "model-settings.json").write_text(json.dumps(spec))
    os.chdir(folder)
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(folder)])


if __name__ == "__main__":
    main()
