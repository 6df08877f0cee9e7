"""The OpenAI API, as the OpenAPI document has it: the fields that everybody uses. vLLM takes more, and they are passed on.

https://platform.openai.com/docs/api-reference describes the rest.
"""

from __future__ import annotations

from typing import Any

from services.gateway.openai.routes import MODELS_PATH
from services.gateway.openapi import JSON, Operation, array_of, nullable, object_of, ref

_TAG = "OpenAI API"
_ERROR = "OpenAIError"
_STREAM = "text/event-stream"
_STRING: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_POSITIVE: dict[str, Any] = {"type": "integer", "minimum": 1}
_ID = {"type": "integer", "minimum": 0, "description": "Of a token."}
_MODEL = {
    **nullable(_STRING),
    "description": "A name that `GET /v1/models` lists; left out, the language model itself.",
}
_SAMPLING: dict[str, Any] = {
    "model": _MODEL,
    "max_tokens": nullable(_POSITIVE),
    "temperature": nullable({"type": "number", "minimum": 0, "maximum": 2}),
    "top_p": nullable({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    "n": nullable(_POSITIVE),
    "seed": nullable({"type": "integer"}),
    "stop": nullable({"anyOf": [_STRING, array_of(_STRING)]}),
    "stream": nullable({"type": "boolean"}),
    "stream_options": nullable(object_of({}, {"include_usage": {"type": "boolean"}})),
}
_PROMPT = {"anyOf": [_STRING, array_of(_STRING), array_of(_ID), array_of(array_of(_ID))]}
_MESSAGES = array_of(ref("ChatMessage"))


def operations() -> tuple[Operation, ...]:
    """Its operations."""
    return (
        _post("/v1/chat/completions", "A chat goes on.", ref("ChatRequest"), ref("ChatCompletion"), streams=True),
        _post("/v1/completions", "A text goes on.", ref("CompletionRequest"), ref("Completion"), streams=True),
        _post("/v1/responses", "A response to an input.", ref("ResponsesRequest"), ref("Response"), streams=True),
        _post(
            "/v1/embeddings", "Vectors for texts, when the model has them.", ref("EmbeddingRequest"), ref("Embeddings")
        ),
        _post("/tokenize", "The tokens of a text or chat.", ref("TokenizeRequest"), ref("Tokens")),
        _post("/detokenize", "The text of tokens.", ref("DetokenizeRequest"), object_of({"prompt": _STRING})),
        _get(MODELS_PATH, "list_models", "The language model and its adapters.", ref("ModelList")),
        _get(f"{MODELS_PATH}/{{model}}", "get_model", "One of them.", ref("LanguageModel"), 404),
    )


def schemas() -> dict[str, Any]:
    """Its components."""
    return {**_requests(), **_answers()}


def _requests() -> dict[str, Any]:
    return {
        "ChatMessage": object_of({"role": _STRING}, {"content": {}}),
        "ChatRequest": object_of({"messages": _MESSAGES}, {**_SAMPLING, "max_completion_tokens": nullable(_POSITIVE)}),
        "CompletionRequest": object_of({"prompt": _PROMPT}, {**_SAMPLING, "echo": {"type": "boolean"}}),
        "ResponsesRequest": object_of(
            {"input": {"anyOf": [_STRING, array_of({"type": "object"})]}},
            {"model": _MODEL, "instructions": nullable(_STRING), "max_output_tokens": nullable(_POSITIVE)},
        ),
        "EmbeddingRequest": object_of({"input": _PROMPT}, {"model": _MODEL}),
        "TokenizeRequest": {
            "anyOf": [
                object_of({"prompt": _STRING}, {"model": _MODEL}),
                object_of({"messages": _MESSAGES}, {"model": _MODEL}),
            ]
        },
        "DetokenizeRequest": object_of({"tokens": array_of(_ID)}, {"model": _MODEL}),
    }


def _answers() -> dict[str, Any]:
    message = object_of({"role": _STRING, "content": nullable(_STRING)})
    reason = {"finish_reason": nullable(_STRING)}
    usage = {"usage": ref("Usage")}
    head: dict[str, Any] = {"id": _STRING, "object": _STRING, "created": {"type": "integer"}, "model": _STRING}
    return {
        "Usage": object_of({"prompt_tokens": _COUNT, "total_tokens": _COUNT}, {"completion_tokens": nullable(_COUNT)}),
        "ChatCompletion": object_of(
            {**head, "choices": array_of(object_of({"index": _COUNT, "message": message, **reason})), **usage}
        ),
        "Completion": object_of(
            {**head, "choices": array_of(object_of({"index": _COUNT, "text": _STRING, **reason})), **usage}
        ),
        "Response": object_of({"id": _STRING, "object": _STRING, "output": array_of({"type": "object"})}),
        "Embeddings": object_of({"data": array_of(object_of({"index": _COUNT, "embedding": {}})), **usage}),
        "Tokens": object_of({"count": _COUNT, "max_model_len": _COUNT, "tokens": array_of(_ID)}),
        "LanguageModel": object_of({"id": _STRING}),
        "ModelList": object_of({"object": {"const": "list"}, "data": array_of(ref("LanguageModel"))}),
        _ERROR: object_of(
            {
                "error": object_of(
                    {"message": _STRING, "type": _STRING, "param": nullable(_STRING), "code": _STRING},
                    additionalProperties=False,
                )
            },
            additionalProperties=False,
        ),
    }


def _post(path: str, summary: str, body: dict[str, Any], answer: dict[str, Any], *, streams: bool = False) -> Operation:
    return Operation(
        method="POST",
        path=path,
        tag=_TAG,
        id=path.removeprefix("/v1").strip("/").replace("/", "_"),
        summary=summary,
        body={JSON: body},
        answer={JSON: answer, **({_STREAM: {"type": "string"}} if streams else {})},
        error=_ERROR,
        errors=(404, 413),
        scopes="a key with the scope `chat`",
    )


def _get(path: str, name: str, summary: str, answer: dict[str, Any], *errors: int) -> Operation:
    return Operation("GET", path, _TAG, name, summary, {JSON: answer}, error=_ERROR, errors=errors)
