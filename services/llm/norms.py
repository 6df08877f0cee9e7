"""RMSNorm on CPU by the kernels that vLLM has compiled for it. Importing this imports vLLM and makes them known to it.

vLLM leaves a model's norms there to six or nine small operations of torch each, for torch.compile to join; where nothing is compiled, which
is Tandem's default on CPU, they cost a tenth of the embedded model's step. It ships kernels for them all the same. They are put before
its own way through its register of implementations (`vllm.ir`), as the other platforms' kernels are.
"""

# ruff: noqa: ARG001 - their parameters are those of vLLM's own, by its check

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from vllm.config import CompilationMode, VllmConfig
from vllm.ir import ops
from vllm.platforms import current_platform

if TYPE_CHECKING:
    from vllm.engine.arg_utils import AsyncEngineArgs

PROVIDER = "tandem"
"""What the register calls them."""
OPERATIONS = ("rms_norm", "fused_add_rms_norm")
"""What there are kernels for, by the register's names."""
_LANES = 8
"""What the length of a row has to be a multiple of, by the kernels' own check."""
_TYPES = (torch.float32, torch.bfloat16, torch.float16)

current_platform.import_kernels()
_kernels = torch.ops._C  # noqa: SLF001 - vLLM's name for its library


def left_open(arguments: "AsyncEngineArgs") -> list[str]:
    """The operations of `OPERATIONS` for which the operator has not chosen how they are done."""
    given = (arguments.ir_op_priority, arguments.kernel_config.ir_op_priority)
    return [operation for operation in OPERATIONS if not any(getattr(one, operation) for one in given)]


def prefer_kernels(config: VllmConfig, operations: Sequence[str] = OPERATIONS) -> None:
    """Put the kernels first for `operations` in `config`: on CPU, where nothing is compiled, and the model is in the engine's own
    process, which knows them.
    """
    if (
        current_platform.is_cpu()
        and config.compilation_config.mode == CompilationMode.NONE
        and config.parallel_config.distributed_executor_backend == "uni"
    ):
        for operation in operations:
            getattr(config.kernel_config.ir_op_priority, operation).insert(0, PROVIDER)


def _fits(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return (
        variance_size is None
        and weight is not None
        and x.dtype in _TYPES
        and x.dtype == weight.dtype
        and x.shape[-1] % _LANES == 0
        and x.is_contiguous()
        and weight.dim() == 1
        and weight.shape[0] == x.shape[-1]
        and weight.is_contiguous()
    )


def _both_fit(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return (
        _fits(x, weight, epsilon, variance_size)
        and x_residual.dtype == x.dtype
        and x_residual.shape == x.shape
        and x_residual.is_contiguous()
    )


def _rms_norm(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> torch.Tensor:
    normed = torch.empty_like(x)
    _kernels.rms_norm(normed, x, weight, epsilon)
    return normed


def _fused_add_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    _kernels.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual


ops.rms_norm.register_impl(PROVIDER, supports_args=_fits, supported=hasattr(_kernels, "rms_norm"))(_rms_norm)
ops.fused_add_rms_norm.register_impl(
    PROVIDER, supports_args=_both_fit, supported=hasattr(_kernels, "fused_add_rms_norm"), inplace=True
)(_fused_add_rms_norm)
