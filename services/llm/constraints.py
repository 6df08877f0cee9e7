"""Requests whose constraints leave the model no token to choose: a grammar that nothing satisfies, or one that goes against the tokens allowed.

vLLM's engine ends some such requests alone, as it should, and its server calls that an internal error, as which it would
stand in logs and alerts though nothing is wrong here. Without connectors to other engines it ends requests so for no
other reason (`vllm.v1.core.sched.scheduler`), so what it raises is made the request's own fault. Others its backend
"guidance" answers with an empty text, as if that were right: those are refused before they reach the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    Validate = Callable[..., None]

_MESSAGE = (
    "Nothing that the model may write satisfies the constraints of this request: see response_format, "
    "structured_outputs, allowed_token_ids, logit_bias and bad_words."
)
_NO_WAY_ON = "NoExtensionBias"
"""How llguidance says that no token continues what has been written."""


def blame_constraints(args: Namespace) -> None:
    """Let vLLM's server with `args` answer 400 where constraints cannot be satisfied."""
    from vllm.v1.structured_output import backend_guidance

    backend_guidance.validate_guidance_grammar = _refusing(backend_guidance.validate_guidance_grammar)
    if args.kv_transfer_config is not None or args.ec_transfer_config is not None:
        return
    from vllm.entrypoints.generate.base.serving import GenerateBaseServing

    GenerateBaseServing._raise_if_error = _raise_if_error  # noqa: SLF001


def _raise_if_error(_serving: object, finish_reason: str | None, _request_id: str) -> None:
    from vllm.exceptions import VLLMValidationError

    if finish_reason == "error":
        raise VLLMValidationError(_MESSAGE)


def _refusing(validate: Validate) -> Validate:
    """`validate`, which checks how a grammar is written, and whether it can begin at all."""
    import llguidance
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.structured_output.backend_guidance import serialize_guidance_grammar
    from vllm.v1.structured_output.request import get_structured_output_key

    bytes_alone = llguidance.LLTokenizer("byte")

    def validated(sampling_params: Any, tokenizer: Any = None) -> None:
        validate(sampling_params, tokenizer)
        if sampling_params.structured_outputs is None:
            return
        grammar = serialize_guidance_grammar(*get_structured_output_key(sampling_params.structured_outputs))
        matcher = llguidance.LLMatcher(bytes_alone, grammar, log_level=0)
        matcher.compute_bitmask()
        if matcher.get_error().startswith(_NO_WAY_ON):  # other errors are of tokens that bytes alone do not have
            raise VLLMValidationError(_MESSAGE)

    return validated
