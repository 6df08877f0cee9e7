"""The language model behind its control: rights and limits of the model, a place in its queue, the deadline, the count of tokens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from services.errors import DeadlineExceeded, ServingError
from services.gateway.control.admission import Gate
from services.gateway.control.llm_span import LLMSpan
from services.gateway.control.metering import Meter, MeteredResponse
from services.gateway.control.tokens import NOTHING, Ask, read_ask, with_usage
from services.gateway.control.work import current, current_request
from services.telemetry.spans import current_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from services.gateway.backends import LLMBackend
    from services.gateway.control.work import Work
    from services.gateway.streamed import Answer, Content, Taker
    from services.settings.control import AdmissionSettings
    from services.telemetry.metrics import Metrics

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/responses": "chat",
    "/v1/embeddings": "embeddings",
}
"""What takes tokens, by the name of OpenTelemetry's conventions."""
_EMBEDS = frozenset({"/v1/embeddings"})
_ASKS_FOR_USAGE = frozenset({"/v1/chat/completions", "/v1/completions"})
"""Paths whose streams say what they used only when asked."""
_TURN_TOKENS = 4096


class GuardedLLM:
    """An `LLMBackend` before another one."""

    def __init__(
        self,
        llm: LLMBackend,
        settings: AdmissionSettings,
        models: Callable[[], Sequence[str]],
        metrics: Metrics,
        workers: int = 1,
        *,
        captures: bool = False,
    ) -> None:
        """`models()` is what is served, first of all what a request means that names none; the settings' bounds are for
        `workers` together. `captures` lets prompts and answers into traces.
        """
        self._captures = captures
        self._llm = llm
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self.gate = Gate(
            "language model",
            requests=max(1, settings.llm_in_flight // workers),
            tokens=max(1, settings.llm_tokens_in_flight // workers),
            queue=max(1, settings.llm_queue // workers),
            patience=settings.patience,
            quantum=_TURN_TOKENS,
            admitted=partial(metrics.admitted, "llm"),
        )

    @asynccontextmanager
    async def stream(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> AsyncIterator[Answer]:
        ask = await self._let_in(method, path, body)
        work = current()
        asks_for_usage = ask.streams and not ask.reports_usage and path in _ASKS_FOR_USAGE
        if asks_for_usage:
            body = with_usage(body)
        async with AsyncExitStack() as stack:
            meter = None
            if ask.tokens:
                meter = stack.enter_context(self._metered(path, ask, work, body))
                headers = headers | meter.headers()
                await stack.enter_async_context(self.gate.enter(ask.tokens))
            async with before(work.deadline):
                response = await stack.enter_async_context(self._llm.stream(method, path, body, headers))
            passed: Answer = response
            if meter is not None:
                passed = MeteredResponse(response, meter, hide=asks_for_usage)
            if work.deadline is not None:
                passed = _TimedResponse(passed, work.deadline)
            yield passed

    async def call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        ask = await self._let_in(method, path, body)
        work = current()
        async with AsyncExitStack() as stack:
            meter = None
            if ask.tokens:
                meter = stack.enter_context(self._metered(path, ask, work, body))
                headers = {**(headers or {}), **meter.headers()}
                await stack.enter_async_context(self.gate.enter(ask.tokens))
            async with before(work.deadline):
                status, answer = await self._llm.call(method, path, body, headers)
            if meter is not None:
                meter.answered(status, answer)
        return status, answer

    @contextmanager
    def _metered(self, path: str, ask: Ask, work: Work, body: bytes) -> Iterator[Meter]:
        """Takes the time of one request, from here to its end however it ends."""
        served = self._models()
        model = ask.model or next(iter(served), "")
        model = model if model in served else "unknown"
        above = current_span()
        span = LLMSpan(above, _OPERATIONS[path], model, body, captures=self._captures) if above is not None else None
        generation = self._metrics.generation(_OPERATIONS[path], model, current_request().line)
        try:
            yield Meter(work, generation, ask.prompt, span)
        except ServingError as error:
            generation.error = generation.error or error.kind
            raise
        finally:
            over = work.deadline is not None and work.deadline <= asyncio.get_running_loop().time()
            if over and not generation.complete:
                generation.error = generation.error or DeadlineExceeded.kind
            generation.end()
            if span is not None:
                span.end(generation)

    async def _let_in(self, method: str, path: str, body: bytes) -> Ask:
        if method != "POST":
            return NOTHING
        ask = read_ask(body, self._settings)
        if path in _EMBEDS:
            ask = msgspec.structs.replace(ask, answer=0)
        elif path not in _OPERATIONS:
            ask = msgspec.structs.replace(ask, prompt=0, answer=0)
        work = current()
        if work.caller:
            await work.use(ask.model or next(iter(self._models()), ""), ask)
        return ask


def before(deadline: float | None) -> AbstractAsyncContextManager[None]:
    """Raises DeadlineExceeded when what is done here takes until past `deadline`."""
    return nullcontext() if deadline is None else _before(deadline)


@asynccontextmanager
async def _before(deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise DeadlineExceeded("The answer did not come in the time that the caller gave.") from None


class _TimedResponse:
    """An answer up to a deadline."""

    def __init__(self, response: Answer, deadline: float) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status
        self.headers = response.headers
        self.content = _TimedContent(response.content, deadline)

    async def read(self) -> bytes:
        """The whole body."""
        async with before(self._deadline):
            return await self._response.read()


class _TimedContent:
    """A body in pieces. Raises DeadlineExceeded in the reader's place, so that it can still end its stream well."""

    def __init__(self, content: Content, deadline: float) -> None:
        self._content = content
        self._deadline = deadline

    def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces that come."""
        return self._until(aiter(self._content.iter_any()))

    def offer_to(self, taker: Taker) -> None:
        """See `Content`."""
        self._content.offer_to(taker)

    async def _until(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            async with before(self._deadline):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
