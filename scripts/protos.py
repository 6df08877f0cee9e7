"""Writes the Python files of every .proto of ours beside it: `make protos`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ("services/gateway/tandem_v1/inference.proto",)


def generate(out: Path) -> int:
    """Write messages, their types, and the client and server stubs under the folder `out`; returns protoc's exit status."""
    from grpc_tools import protoc

    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    code: int = protoc.main(["protoc", f"--proto_path={ROOT}", *outputs, *PROTOS])
    return code


if __name__ == "__main__":
    sys.exit(generate(ROOT))
