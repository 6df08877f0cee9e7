"""Requests whose constraints leave the model no token to choose: a grammar that nothing satisfies, or one that goes against the tokens allowed.

vLLM's engine ends such a request alone, as it should, and its server calls that an internal error, as which it would
stand in logs and alerts though nothing is wrong here. Without connectors to other engines it ends requests so for no
other reason (`vllm.v1.core.sched.scheduler`), so what it raises is made the request's own fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

_MESSAGE = (
    "Nothing that the model may write satisfies the constraints of this request: see response_format, "
    "structured_outputs, allowed_token_ids, logit_bias and bad_words."
)


def blame_constraints(args: Namespace) -> None:
    """Let vLLM's server with `args` answer 400 where constraints cannot be satisfied."""
    if args.kv_transfer_config is not None or args.ec_transfer_config is not None:
        return
    from vllm.entrypoints.generate.base.serving import GenerateBaseServing

    GenerateBaseServing._raise_if_error = _raise_if_error  # noqa: SLF001


def _raise_if_error(_serving: object, finish_reason: str | None, _request_id: str) -> None:
    from vllm.exceptions import VLLMValidationError

    if finish_reason == "error":
        raise VLLMValidationError(_MESSAGE)
