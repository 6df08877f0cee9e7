"""vLLM's compiled norms do what its own way does, and are put before it where they are wanted, and only there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from services.settings.llm import EMBEDDED_LLM

WITHIN_VLLM = """
import json
import sys

import torch
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.ir import ops
from vllm.utils.argparse_utils import FlexibleArgumentParser

from services.llm.norms import PROVIDER, left_open, prefer_kernels

OPERATIONS = {"rms_norm": ops.rms_norm, "fused_add_rms_norm": ops.fused_add_rms_norm}
TYPES = (torch.float32, torch.bfloat16, torch.float16)


def flat(found):
    return torch.stack(found) if isinstance(found, tuple) else found


def furthest(operation, kind, rows, size):
    torch.manual_seed(rows)
    given = operation.generate_inputs(num_tokens=rows, hidden_size=size, dtype=kind)
    given_here = [one.clone() if isinstance(one, torch.Tensor) else one for one in given]
    native = flat(operation.impls["native"].impl_fn(*given))
    ours = flat(operation.impls[PROVIDER].impl_fn(*given_here))
    torch.testing.assert_close(ours, native, **operation.get_tolerance(kind))
    return float((ours - native).abs().max()) if rows else 0.0


def chosen(operation, x, weight, *rest):
    residual = [x.clone()] if operation is ops.fused_add_rms_norm else []
    with operation.set_priority([PROVIDER, "native"]):
        return operation.dispatch(x, *residual, weight, 1e-6, *rest).provider


def choices(operation):
    x, weight = torch.randn(4, 64), torch.randn(64)
    return {
        "fits": chosen(operation, x, weight),
        "three dimensions": chosen(operation, torch.randn(2, 3, 64), weight),
        "every other row": chosen(operation, torch.randn(4, 128)[:, :64], weight),
        "sixty long": chosen(operation, torch.randn(4, 60), torch.randn(60)),
        "double": chosen(operation, x.double(), weight.double()),
        "two types": chosen(operation, x.bfloat16(), weight),
        "no weight": chosen(operation, x, None),
        "part of a row": chosen(operation, x, weight, 32),
        "one weight for all": chosen(operation, x, torch.randn(1)),
        "weights of each row": chosen(operation, x, torch.randn(4, 64)),
        "every other weight": chosen(operation, x, torch.randn(128)[::2]),
    }


def one_residual_for_all():
    with ops.fused_add_rms_norm.set_priority([PROVIDER, "native"]):
        return ops.fused_add_rms_norm.dispatch(torch.randn(4, 64), torch.randn(1, 64), torch.randn(64), 1e-6).provider


def keeps_what_it_is_given():
    x, residual, weight = torch.randn(4, 64), torch.randn(4, 64), torch.randn(64)
    given = (x.clone(), residual.clone())
    with ops.fused_add_rms_norm.set_priority([PROVIDER, "native"]):
        ops.fused_add_rms_norm(x, residual, weight, 1e-6)
    return torch.equal(x, given[0]) and torch.equal(residual, given[1])


def preferred(*arguments):
    parser = make_arg_parser(FlexibleArgumentParser())
    parsed = parser.parse_args([
        "--model", sys.argv[1], "--kv-cache-memory-bytes", str(2**28), "--gpu-memory-utilization", "0.2", *arguments
    ])
    engine = AsyncEngineArgs.from_cli_args(parsed)
    operations = left_open(engine)
    config = engine.create_engine_config()
    prefer_kernels(config, operations)
    priority = config.kernel_config.ir_op_priority
    priority.set_default()
    return {name: operation.get_priority() for name, operation in OPERATIONS.items()}


NATIVE = '{"rms_norm": "native"}'
print(json.dumps({
    "furthest": {
        name: [furthest(one, kind, rows, size) for kind in TYPES for rows in (0, 1, 17) for size in (8, 256, 1000)]
        for name, one in OPERATIONS.items()
    },
    "choices": {name: choices(one) for name, one in OPERATIONS.items()},
    "one residual": one_residual_for_all(),
    "keeps": keeps_what_it_is_given(),
    "eager": preferred("--enforce-eager"),
    "other": preferred("--enforce-eager", "--seed", "7"),
    "compiled": preferred("--no-enforce-eager"),
    "other process": preferred("--enforce-eager", "--distributed-executor-backend", "mp"),
    "chosen": [
        preferred("--enforce-eager", *given)
        for given in (
            ("--ir-op-priority", NATIVE),
            ("--ir-op-prior", NATIVE),
            ("--ir_op_priority.rms_norm", "native"),
            ("--kernel-config", '{"ir_op_priority": ' + NATIVE + "}"),
        )
    ],
}))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    command = [sys.executable, "-c", WITHIN_VLLM, str(EMBEDDED_LLM)]
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # as `models.llm.arguments` has it on CPU
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("operation", ["rms_norm", "fused_add_rms_norm"])
def test_the_kernels_agree_with_the_native_way(found: dict[str, Any], operation: str) -> None:
    differences = found["furthest"][operation]
    assert len(differences) == 27
    assert max(differences[:9]) < 1e-5, "in float32"


@pytest.mark.parametrize("operation", ["rms_norm", "fused_add_rms_norm"])
def test_what_the_kernels_cannot_do_goes_the_native_way(found: dict[str, Any], operation: str) -> None:
    choices = found["choices"][operation]
    assert {name for name, provider in choices.items() if provider == "tandem"} == {"fits", "three dimensions"}
    assert set(choices.values()) == {"tandem", "native"}


def test_residual_of_another_shape_goes_the_native_way(found: dict[str, Any]) -> None:
    assert found["one residual"] == "native"


def test_who_keeps_its_rows_finds_them_unchanged(found: dict[str, Any]) -> None:
    assert found["keeps"] is True


def test_they_are_preferred_where_nothing_is_compiled_and_nobody_chose(found: dict[str, Any]) -> None:
    both, native = ["tandem", "native"], ["native"]
    assert found["eager"] == {"rms_norm": both, "fused_add_rms_norm": both}
    assert found["other"] == found["eager"]
    assert found["compiled"] == {"rms_norm": native, "fused_add_rms_norm": native}
    assert found["other process"] == found["compiled"], "which knows nothing of them"
    assert found["chosen"] == [{"rms_norm": native, "fused_add_rms_norm": both}] * 4
