"""1,000-row requests against the engine alone, and against the training library: how much of a model's own speed arrives at the client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from models import store
from scripts.bench import messages, report, tables, wrk
from scripts.bench.catalogue import TARGET
from scripts.bench.goals import Goal
from scripts.bench.paths import ROOT
from scripts.bench.rounds import BULK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from models.spec import ModelSpec
    from scripts.bench.catalogue import Peer

CONNECTIONS = 4
LEAST_SHARE = 0.7
SECONDS = 1.0


@dataclass(frozen=True)
class BulkSample:
    """Rows a second of one model, served in one protocol (`json` or `v2 binary`), or in one process by the engine `alone` or its `library`."""

    model: str
    way: str
    rows_per_second: float


class BulkRounds:
    """Measures every model's 1,000-row requests on the running target, once a round."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.samples: list[BulkSample] = []
        self._seconds = seconds

    def __call__(self, peer: Peer, number: int) -> None:  # noqa: ARG002 - the order of rounds does not matter here
        """Take one round on a server; only the target has all the models."""
        if peer.name != TARGET:
            return
        for spec in store.list_specs():
            rows = bulk_rows(spec)
            bodies = {"json": json_body(spec, rows), "v2 binary": binary_body(rows)}
            urls = {"json": peer.url, "v2 binary": peer.at(f"/v2/models/{spec.name}/infer")}
            for way, body in bodies.items():
                if messages.post(urls[way], body, timeout=30)[0] != 200:  # noqa: PLR2004 - HTTP's OK
                    print(f"{spec.name}: no 1,000-row answer by {way}", flush=True)
                    continue
                name = f"bulk-{spec.name}-{way.replace(' ', '-')}"
                outcome = wrk.measure(urls[way], body, name, CONNECTIONS, self._seconds)
                good = (outcome.requests - outcome.errors) / outcome.seconds
                self.samples.append(BulkSample(spec.name, way, good * BULK_ROWS))


def bulk_rows(spec: ModelSpec) -> NDArray[np.float32]:
    """Random rows within the features' ranges, always the same; shape (1000, features)."""
    import numpy as np

    low = np.array([feature.low for feature in spec.features], dtype=np.float32)
    high = np.array([feature.high for feature in spec.features], dtype=np.float32)
    share = np.random.default_rng(7).random((BULK_ROWS, len(spec.features)), dtype=np.float32)
    return np.round(low + share * (high - low), 2).astype(np.float32)


def json_body(spec: ModelSpec, rows: NDArray[np.float32]) -> messages.Body:
    """The rows as `/classify` takes them."""
    names = [feature.name for feature in spec.features]
    named = [{name: round(value, 2) for name, value in zip(names, row, strict=True)} for row in rows.tolist()]
    return messages.Body(json.dumps({"model": spec.name, "rows": named}).encode())


def binary_body(rows: NDArray[np.float32]) -> messages.Body:
    """The rows as one FP32 tensor of v2's binary extension, the probabilities asked for in binary too."""
    raw = rows.astype("<f4").tobytes()
    tensor = {"name": "features", "shape": list(rows.shape), "datatype": "FP32"}
    head = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"content-type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return messages.Body(head + raw, headers)


def in_one_process(name: str, what: str, seconds: float) -> float:
    """Rows a second of a model's engine (`alone`) or of its training `library`, called in a loop in a process of its own."""
    line = [sys.executable, "-m", "scripts.bench.engines", name, what, str(seconds)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=True)
    return float(done.stdout.split()[-1])


def report_bulk(samples: Sequence[BulkSample], facts: dict[str, Any], folder: Path) -> list[Goal]:
    """Add the engines and libraries alone, print, write `bulk.json`."""
    models = list(dict.fromkeys(one.model for one in samples))
    alone = ("alone", "library")
    everything = [
        *samples,
        *(BulkSample(name, what, in_one_process(name, what, SECONDS)) for name in models for what in alone),
    ]
    rows, goals = [], []
    for name in models:
        found = {way: _median(everything, name, way) for way in ("json", "v2 binary", *alone)}
        shares = {way: found[way] / found["alone"] for way in ("json", "v2 binary") if found[way]}
        best = max(shares.values(), default=0.0)
        goals.append(Goal(f"{name}: 70 % of the engine's rows/s at 1,000 rows", f"{best:.0%}", best >= LEAST_SHARE))
        served = max(found["json"], found["v2 binary"])
        of_library = served / found["library"]
        title = f"{name}: 70 % of the rows/s of its training library alone"
        goals.append(Goal(title, f"{of_library:.0%}", of_library >= LEAST_SHARE))
        cells = [f"{found[way]:,.0f} ({shares[way]:.0%})" if way in shares else "-" for way in ("json", "v2 binary")]
        rows.append([name, *cells, f"{found['alone']:,.0f}", f"{found['library']:,.0f}"])
    print("\n1,000 rows a request, rows/s (share of the engine alone)")
    print(tables.grid(["model", "JSON", "v2 binary", "engine alone", "training library alone"], rows))
    print("\n" + tables.goals(goals))
    content = {"samples": [asdict(one) for one in everything], "goals": [asdict(goal) for goal in goals]}
    report.write(folder / "bulk.json", facts | content)
    return goals


def _median(samples: Sequence[BulkSample], model: str, way: str) -> float:
    chosen = [one.rows_per_second for one in samples if one.model == model and one.way == way]
    return median(chosen) if chosen else 0.0


def _main(name: str, what: str, seconds: float) -> None:
    from scripts.bench.libraries import contenders
    from services.settings.tree import load_settings

    engine = store.load_classifier(name, threads=load_settings().classifier.threads)
    rows = bulk_rows(engine.spec)
    predict: Callable[[NDArray[np.float32]], object] = engine.predict
    if what == "library":
        predict = next(iter(contenders(name, engine, store.find(name)[1]).values()))
    predict(rows)
    calls, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        predict(rows)
        calls += 1
    print(calls * BULK_ROWS / (time.perf_counter() - began))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
