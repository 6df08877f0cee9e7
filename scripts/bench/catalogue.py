"""Who is measured: Tandem and its peers, each with how to start it and where to ask."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models import store
from scripts.bench import environments, h2load
from scripts.bench.paths import PEERS, ROOT, WORK
from scripts.bench.server import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.bench.messages import Protocol

TARGET = "tandem"
GRPC_PORT = 3491


@dataclass(frozen=True)
class Peer:
    """One server under measurement."""

    name: str
    title: str
    port: int
    prepare: Callable[[Peer], Command]
    """Makes the environment where needed. Raises `environments.Unavailable`."""
    protocol: Protocol = "classify"
    distributions: tuple[str, ...] = ()
    """What its version is told by."""
    start_timeout: float = 90.0
    engine: str = "sklearn"
    """`sklearn` or `bare`: see `peers/shared/iris_model.py`."""
    queue_delay_us: int = 0
    """Microseconds that Triton may wait for a batch to fill; pytriton's default is none."""
    warm_seconds: float = 2.0
    grpc_port: int = 0
    """Where it takes gRPC calls, where `protocol` is `grpc`."""
    fixed_answer: bool = False
    """Whether it answers the same bytes whatever it is asked."""
    gated: bool = False
    """Whether `/health` must say that nothing is loading any more before the measurement."""

    @property
    def url(self) -> str:
        """Where the classification requests go."""
        if self.protocol == "grpc":
            return f"http://127.0.0.1:{self.grpc_port}/inference.GRPCInferenceService/ModelInfer"
        return self.at("/classify" if self.protocol == "classify" else "/v2/models/iris/infer")

    def at(self, path: str) -> str:
        """Another path of the same server."""
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def log_file(self) -> Path:
        """Where its output goes."""
        return WORK / self.name / "server.log"


def tandem_command(peer: Peer, models: Path | None = None) -> Command:
    """Tandem as `make serve` starts it, with the models in the folder `models`, of the usual store by default, and a BENTOML_HOME of its own.

    BentoML wipes its metrics folder, which lies in there, at every start: another server must not share it.
    """
    if not any(spec.name == "iris" for spec in store.list_specs()):
        raise environments.Unavailable("the models are not trained yet: `make train`")
    home = WORK / peer.name / "home"
    models = models or store.store_folder()
    link = home / "models"
    home.mkdir(parents=True, exist_ok=True)
    if models.resolve() != link.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(models)
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    argv = (bentoml, "serve", "service:Gateway", "--host", "127.0.0.1", "--port", str(peer.port))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    env = {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "TANDEM_GATEWAY__GRPC_PORT": str(GRPC_PORT),
        "PATH": path,
    }
    return Command((*argv, "--timeout-graceful-shutdown", "5"), ROOT, env)


def tandem_alone(peer: Peer, env: dict[str, str], models: Path | None = None) -> Command:
    """The same with `env`, without a language model, which would share the cores while it loads, and without gRPC."""
    command = tandem_command(peer, models)
    return replace(
        command, env=command.env | {"TANDEM_GATEWAY__GRPC_PORT": "0", "TANDEM_LLM__MODEL": "/nonexistent"} | env
    )


def peer_command(*argv: str, interpreter: str | None = None) -> Callable[[Peer], Command]:
    """A peer's command line; `{python}`, `{port}` and `{run}` (a folder of its own) are filled in."""

    def prepare(peer: Peer) -> Command:
        folder = peer.name.partition("-")[0]
        python = environments.ensure(folder, interpreter=interpreter)
        run = WORK / peer.name / "run"
        run.mkdir(parents=True, exist_ok=True)
        values = {"python": str(python), "bin": str(python.parent), "port": str(peer.port), "run": str(run)}
        code = PEERS / folder
        env = {
            "PYTHONPATH": os.pathsep.join((str(PEERS / "shared"), str(code))),
            "PATH": os.pathsep.join((str(python.parent), os.environ.get("PATH", ""))),
            "BENTOML_HOME": str(run / "home"),
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
            "BENCH_ENGINE": peer.engine,
            "BENCH_QUEUE_DELAY_US": str(peer.queue_delay_us),
            # As Tandem does: threads help no model this small, and spin on the other core.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        return Command(tuple(part.format(**values) for part in argv), code, env)

    return prepare


_SERVER = ("{python}", "server.py", "{port}")
_FOLDER = (*_SERVER, "{run}")
_BENTOML = ("{bin}/bentoml", "serve", "service:Gateway", "--host", "127.0.0.1", "--port", "{port}")


def over_grpc(prepare: Callable[[Peer], Command]) -> Callable[[Peer], Command]:
    """The same command, where gRPC can be measured at all."""

    def with_client(peer: Peer) -> Command:
        h2load.require()
        return prepare(peer)

    return with_client


PEERS_BY_NAME = {
    peer.name: peer
    for peer in (
        Peer(TARGET, "Tandem", 3490, tandem_command, gated=True, start_timeout=180),
        Peer("tandem-v2", "Tandem, v2 REST", 3490, tandem_command, "v2", gated=True, start_timeout=180),
        Peer(
            "tandem-grpc",
            "Tandem, gRPC",
            3490,
            over_grpc(tandem_command),
            "grpc",
            gated=True,
            start_timeout=180,
            grpc_port=GRPC_PORT,
        ),
        Peer("bentoml", "BentoML, composed", 3460, peer_command(*_BENTOML), distributions=("bentoml",)),
        Peer("fastapi", "FastAPI", 3462, peer_command(*_SERVER), distributions=("fastapi", "uvicorn")),
        Peer("litserve", "LitServe, batching", 3464, peer_command(*_SERVER), distributions=("litserve",)),
        Peer("mlserver", "MLServer, batching", 3466, peer_command(*_FOLDER), "v2", ("mlserver",)),
        Peer(
            "triton",
            "Triton (pytriton)",
            3470,
            peer_command(*_FOLDER, interpreter=environments.DEBIAN_PYTHON),
            "v2",
            ("nvidia-pytriton", "tritonclient"),
        ),
        Peer(
            "mlserver-grpc",
            "MLServer, batching, gRPC",
            3484,
            over_grpc(peer_command(*_FOLDER)),
            "grpc",
            ("mlserver",),
            grpc_port=3485,
        ),
        Peer(
            "triton-grpc",
            "Triton (pytriton), gRPC",
            3487,
            over_grpc(peer_command(*_FOLDER, interpreter=environments.DEBIAN_PYTHON)),
            "grpc",
            ("nvidia-pytriton", "tritonclient"),
            grpc_port=3488,
        ),
        Peer(
            "triton-delay",
            "Triton (pytriton), 1 ms delay",
            3480,
            peer_command(*_FOLDER, interpreter=environments.DEBIAN_PYTHON),
            "v2",
            ("nvidia-pytriton",),
            queue_delay_us=1000,
        ),
        Peer(
            "raw",
            "uvicorn echo (floor)",
            3474,
            peer_command(*_SERVER),
            distributions=("uvicorn", "uvloop"),
            fixed_answer=True,
        ),
        Peer("ray", "Ray Serve, batching", 3476, peer_command(*_SERVER), distributions=("ray",)),
        Peer(
            "fastapi-bare",
            "FastAPI, numpy only",
            3478,
            peer_command(*_SERVER),
            distributions=("fastapi",),
            engine="bare",
        ),
    )
}
"""Everyone, the target first."""

DEFAULT = ("bentoml", "fastapi", "fastapi-bare", "litserve", "mlserver", "triton", "triton-delay", "tandem-v2", "raw")


V2 = ("tandem-v2", "tandem-grpc", "mlserver", "mlserver-grpc", "triton", "triton-grpc")
"""Everyone who speaks the Open Inference Protocol, over REST and gRPC."""


def select_v2(choice: str) -> list[Peer]:
    """Those of `V2` that `choice`, as `select` takes it, leaves: a server in both protocols, or not at all."""
    chosen = {peer.name.partition("-")[0] for peer in select(choice)}
    return [PEERS_BY_NAME[name] for name in V2 if name.partition("-")[0] in chosen]


def select(choice: str) -> list[Peer]:
    """The target and the chosen peers: `default`, `all`, `none` or names with commas between.

    Raises:
        ValueError: a name is unknown.

    """
    everyone = [name for name in PEERS_BY_NAME if name != TARGET]
    known = {"default": list(DEFAULT), "all": everyone, "none": []}
    names = known[choice] if choice in known else [name.strip() for name in choice.split(",") if name.strip()]
    unknown = [name for name in names if name not in PEERS_BY_NAME]
    if unknown:
        raise ValueError(f"unknown peer {', '.join(unknown)}; known are {', '.join(everyone)}")
    return [PEERS_BY_NAME[TARGET], *(PEERS_BY_NAME[name] for name in names if name != TARGET)]
