"""`tandem.v1.InferenceService`: the language model over gRPC, through the same data plane as the OpenAI routes."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from services.errors import DeadlineExceeded, InvalidInput, ModelNotFound, ServingError, Unavailable, error_for
from services.gateway.explaining import CHAT_PATH
from services.gateway.openai.errors import normalised
from services.gateway.sse import lines_of
from services.gateway.tandem_v1 import inference_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from services.gateway.dataplane import DataPlane
    from services.gateway.rpc.calls import Call, Work

SERVICE = pb.DESCRIPTOR.services_by_name["InferenceService"]
_EVENT = b"data: "
_DONE = b"[DONE]"
_OK = 200


class _Text(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Text | None = None
    delta: _Text | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class _Completion(msgspec.Struct):
    """A chat completion, or one event of its stream."""

    model: str = ""
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode


class LLMService:
    """The service's methods over one data plane."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    @property
    def methods(self) -> dict[str, Work]:
        """The methods by name."""
        return {"Predict": self.predict, "StreamPredict": self.stream_predict}

    async def predict(self, request: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        """The whole answer."""
        body = self._body(request, call)
        with _read_errors():
            async with self._dataplane.generate("POST", CHAT_PATH, body, _headers(call)) as response:
                answer = await response.read()
                if response.status != _OK:
                    raise _refusal(response.status, answer)
        completion = _completion(answer)
        message = completion.choices[0].message if completion.choices else None
        return _response(completion, message.content if message else None)

    async def stream_predict(self, request: pb.PredictRequest, call: Call) -> AsyncIterator[pb.PredictResponse]:
        """The answer piece by piece; the last response has the usage and why the text ends."""
        body = self._body(request, call, stream=True, stream_options={"include_usage": True})
        reason = ""
        with _read_errors():
            async with self._dataplane.generate("POST", CHAT_PATH, body, _headers(call)) as response:
                if response.status != _OK:
                    raise _refusal(response.status, await response.read())
                async for line in lines_of(response.content):
                    if not line.startswith(_EVENT) or line[len(_EVENT) :].startswith(_DONE):
                        continue
                    event = _completion(line[len(_EVENT) :])
                    choice = event.choices[0] if event.choices else _Choice()
                    reason = choice.finish_reason or reason
                    text = choice.delta.content if choice.delta else None
                    if event.usage:
                        yield _response(event, text, reason)
                    elif text:
                        yield pb.PredictResponse(text=text, model=event.model)

    def _body(self, request: pb.PredictRequest, call: Call, **options: Any) -> bytes:
        served = self._dataplane.llm_models()
        model = request.model or (served[0] if served else "")
        if served and model not in served:
            raise ModelNotFound(f"The model {model!r} does not exist. Served: {', '.join(served)}.", param="model")
        if not request.messages:
            raise InvalidInput("messages: at least one is required.", param="messages")
        call.line.model = model
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        fields: dict[str, Any] = {"model": model, "messages": messages, **options}
        if request.HasField("temperature"):
            if not math.isfinite(request.temperature):
                raise InvalidInput("temperature: must be a finite number.", param="temperature")
            fields["temperature"] = round(request.temperature, 6)
        if request.HasField("max_tokens"):
            fields["max_tokens"] = request.max_tokens
        return msgspec.json.encode(fields)


def _headers(call: Call) -> dict[str, str]:
    return {"content-type": "application/json", "x-request-id": call.line.request_id}


def _completion(data: bytes) -> _Completion:
    try:
        completion = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unavailable("The language model sent an answer that cannot be read.") from None
    if completion.error is not None:
        raise Unavailable("The language model failed on this request.")
    return completion


def _response(completion: _Completion, text: str | None, reason: str | None = None) -> pb.PredictResponse:
    if reason is None and completion.choices:
        reason = completion.choices[0].finish_reason
    usage = pb.Usage(**msgspec.structs.asdict(completion.usage)) if completion.usage else None
    return pb.PredictResponse(text=text or "", usage=usage, finish_reason=reason or "", model=completion.model)


def _refusal(status: int, answer: bytes) -> ServingError:
    status, body = normalised(status, answer, CHAT_PATH)
    error = msgspec.json.decode(body)["error"]
    return error_for(status)(error["message"], param=error["param"])


@contextmanager
def _read_errors() -> Iterator[None]:
    """What breaks while an answer is read, in the words of the error table."""
    try:
        yield
    except TimeoutError:
        raise DeadlineExceeded("The language model went silent.") from None
    except OSError:
        raise Unavailable("The language model broke off.") from None
