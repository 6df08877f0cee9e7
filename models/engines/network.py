"""A torch network that comes with its own code: TorchScript (`.pt`) or an exported program (`.pt2`).

Neither needs the Python that it was made from. TorchScript is read without Python's pickle. `torch.export.load` is
not so careful: it unpickles whatever it does not find to be plain tensors, so an archive is looked through first.
"""

from __future__ import annotations

import json
import re
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from models.engines.table import table_engine
from models.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import Engine, ModelSpec, Rows, TensorEngine, Tensors

    Call = Callable[..., Any]

SCRIPT_FILE = "network.pt"
PROGRAM_FILE = "network.pt2"
TABLE_FILE = "network.json"
"""Is there when the network is one over a table of features."""

_HARMLESS = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/[a-z_]+|models/[^/]+\.json|data/weights/weight_\d+"
    r"|data/(weights|constants)/[^/]+_config\.json|data/constants/tensor_\d+|data/sample_inputs/[^/]+\.pt)"
)
_TENSOR = re.compile(r"(weight|tensor)_\d+")
_PICKLED = "the archive holds pickled objects, which may run code when they are loaded"
_LINE = 300


def load(spec: ModelSpec, folder: Path, threads: int) -> Engine | TensorEngine:
    """Load a stored network."""
    import torch

    torch.set_num_threads(threads)  # one setting for the whole process: that is how torch has it
    script = folder / SCRIPT_FILE
    call = load_script(script) if script.is_file() else load_program(folder / PROGRAM_FILE).module()
    if not (folder / TABLE_FILE).is_file():
        return TorchTensors(spec, call)

    def score(rows: Rows) -> NDArray[Any]:
        return run(call, [rows])[0]

    return table_engine(spec, folder, score)


def load_script(path: Path) -> Call:
    """A TorchScript module. Raises RuntimeError when the file is none."""
    import torch

    with catch_warnings():
        simplefilter("ignore", DeprecationWarning)  # what is exported anew should be a program; old files still load
        module: Call = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    return module


def load_program(path: Path) -> Any:
    """An exported program. Raises ValueError when the archive holds, or may hold, pickled Python objects."""
    import torch

    return torch.export.load(_looked_through(path))


def _looked_through(path: Path) -> BytesIO:
    """The archive once more, with nothing in it but what was found to load without running code.

    It is packed anew for torch reads archives with a reader of its own, which might see another file in it.
    """
    import torch

    content = BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(content, "w") as copy:
        for name in archive.namelist():
            part = archive.read(name)
            if not _HARMLESS.fullmatch(name):
                raise ValueError(f"the archive holds {name!r}, which may run code when it is loaded")
            if name.endswith("_config.json"):
                payloads = json.loads(part)["config"].values()
                if any(one["use_pickle"] or not _TENSOR.fullmatch(one["path_name"]) for one in payloads):
                    raise ValueError(_PICKLED)
            if name.endswith(".pt"):
                try:  # where this does not succeed, torch.export.load unpickles whatever it is
                    torch.load(BytesIO(part), weights_only=True)
                except Exception:  # noqa: BLE001 - torch raises whatever its reader meets
                    raise ValueError(_PICKLED) from None
            copy.writestr(name, part)
    content.seek(0)
    return content


def run(call: Call, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The outputs of one call, in order. Raises BadInput with torch's words when it refuses the inputs."""
    import torch

    given = [torch.from_numpy(array if array.flags.writeable else array.copy()) for array in inputs]
    try:
        with torch.inference_mode():
            answer = call(*given)
    except (RuntimeError, AssertionError, IndexError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(f"The model refuses these inputs: {lines[-1][:_LINE]}") from error
    values = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, (tuple, list)) else [answer]
    return [value.detach().cpu().numpy() for value in values]


class TorchTensors:
    """A `TensorEngine` over a network, whose inputs and outputs go by their order."""

    def __init__(self, spec: ModelSpec, call: Call) -> None:
        self.spec = spec
        self._call = call

    def infer(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """The network's outputs."""
        values = run(self._call, [tensors[tensor.name] for tensor in self.spec.inputs])
        return {tensor.name: value for tensor, value in zip(self.spec.outputs, values, strict=True)}
