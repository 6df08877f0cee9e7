from __future__ import annotations

from typing import TYPE_CHECKING

from scripts import protos

if TYPE_CHECKING:
    from pathlib import Path


def test_the_python_files_are_those_of_their_proto(tmp_path: Path) -> None:
    """A release of protoc writes its number into them, so this asks for `make protos` after `make lock` as well."""
    assert protos.generate(tmp_path) == 0
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*"))
    assert [path.name for path in written] == ["inference_pb2.py", "inference_pb2.pyi", "inference_pb2_grpc.py"]
    for path in written:
        assert (protos.ROOT / path).read_text() == (tmp_path / path).read_text()
