"""RMSNorm on CPU by the kernels that vLLM has compiled for it. Importing this imports vLLM and makes them known to it.

vLLM leaves a model's norms there to six or nine small operations of torch each, for torch.compile to join; where nothing is compiled, as
on CPU by default, they cost a tenth of the embedded model's step. It ships kernels for them all the same. They are put before
its own way through its register of implementations (`vllm.ir`), as the other platforms' kernels are.
"""

# ruff: noqa: ARG001 - their parameters are those of vLLM's own, by its check

from collections.abc import Sequence

import torch
from vllm.config import CompilationMode, VllmConfig
from vllm.ir import ops
from vllm.platforms import current_platform

PROVIDER = "tandem"
"""What the register calls them."""
_CHOOSE_KERNELS = ("--ir-op-priority", "--kernel-config")
"""Arguments of vLLM's with which an operator chooses."""
_LANES = 8
"""What the length of a row has to be a multiple of, by the kernels' own check."""
_TYPES = (torch.float32, torch.bfloat16, torch.float16)

current_platform.import_kernels()
_kernels = torch.ops._C  # noqa: SLF001 - vLLM's name for its library


def prefer_kernels(config: VllmConfig, extra_args: Sequence[str] = ()) -> None:
    """Put the kernels first in `config` on CPU, where nothing is compiled, unless the operator's `extra_args` choose kernels."""
    chosen = any(one.replace("_", "-").startswith(_CHOOSE_KERNELS) for one in extra_args)
    if chosen or not current_platform.is_cpu() or config.compilation_config.mode != CompilationMode.NONE:
        return
    priority = config.kernel_config.ir_op_priority
    priority.rms_norm.insert(0, PROVIDER)
    priority.fused_add_rms_norm.insert(0, PROVIDER)


def _fits(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return (
        variance_size is None
        and weight is not None
        and x.dtype in _TYPES
        and x.dtype == weight.dtype
        and x.shape[-1] % _LANES == 0
        and x.is_contiguous()
    )


def _both_fit(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return _fits(x, weight, epsilon, variance_size) and x_residual.dtype == x.dtype and x_residual.is_contiguous()


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
