"""The language model behind its control: rights and limits of the model, a place in its queue, the deadline, the count of tokens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from services.errors import DeadlineExceeded
from services.gateway.control.admission import Gate
from services.gateway.control.metering import MeteredResponse
from services.gateway.control.tokens import NOTHING, Ask, read_ask, used_tokens, with_usage
from services.gateway.control.work import current

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from services.gateway.backends import LLMBackend
    from services.settings.control import AdmissionSettings

_GENERATES = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses"})
_EMBEDS = frozenset({"/v1/embeddings"})
_ASKS_FOR_USAGE = frozenset({"/v1/chat/completions", "/v1/completions"})
"""Paths whose streams say what they used only when asked."""
_TURN_TOKENS = 4096


class GuardedLLM:
    """An `LLMBackend` before another one."""

    def __init__(
        self, llm: LLMBackend, settings: AdmissionSettings, default_model: Callable[[], str], workers: int = 1
    ) -> None:
        """`default_model()` is what a request means that names none; the settings' bounds are for `workers` together."""
        self._llm = llm
        self._settings = settings
        self._default_model = default_model
        self.gate = Gate(
            "language model",
            requests=max(1, settings.llm_in_flight // workers),
            tokens=max(1, settings.llm_tokens_in_flight // workers),
            queue=max(1, settings.llm_queue // workers),
            patience=settings.patience,
            quantum=_TURN_TOKENS,
        )

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        ask = await self._let_in(method, path, body)
        work = current()
        hides = False
        if work.metered and ask.streams and path in _ASKS_FOR_USAGE:
            body = with_usage(body)
            hides = not ask.reports_usage
        async with AsyncExitStack() as stack:
            if ask.tokens:
                await stack.enter_async_context(self.gate.enter(ask.tokens))
            async with before(work.deadline):
                response = await stack.enter_async_context(self._llm.stream(method, path, body, headers))
            passed: Any = response
            if work.metered and ask.tokens:
                passed = MeteredResponse(response, work, hide=hides, prompt=ask.prompt)
            if work.deadline is not None:
                passed = _TimedResponse(passed, work.deadline)
            yield cast("aiohttp.ClientResponse", passed)

    async def call(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        ask = await self._let_in(method, path, body)
        work = current()
        async with AsyncExitStack() as stack:
            if ask.tokens:
                await stack.enter_async_context(self.gate.enter(ask.tokens))
            async with before(work.deadline):
                status, answer = await self._llm.call(method, path, body)
        if work.metered and ask.tokens:
            work.used((used_tokens(answer) or 0) if status == 200 else 0)  # noqa: PLR2004
        return status, answer

    async def _let_in(self, method: str, path: str, body: bytes) -> Ask:
        if method != "POST":
            return NOTHING
        ask = read_ask(body, self._settings)
        if path in _EMBEDS:
            ask = msgspec.structs.replace(ask, answer=0)
        elif path not in _GENERATES:
            ask = msgspec.structs.replace(ask, prompt=0, answer=0)
        work = current()
        if work.caller:
            await work.use(ask.model or self._default_model(), ask)
        return ask


@asynccontextmanager
async def before(deadline: float | None) -> AsyncIterator[None]:
    """Raises DeadlineExceeded when what is done here takes until past `deadline`."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise DeadlineExceeded("The answer did not come in the time that the caller gave.") from None


class _TimedResponse:
    """As much of aiohttp's response as protocol adapters use, up to a deadline."""

    def __init__(self, response: Any, deadline: float) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status
        self.headers = response.headers
        self.content = _TimedContent(response.content, deadline)

    async def read(self) -> bytes:
        """The whole body."""
        async with before(self._deadline):
            body: bytes = await self._response.read()
        return body


class _TimedContent:
    """A body in pieces or lines. Raises DeadlineExceeded in the reader's place, so that it can still end its stream well."""

    def __init__(self, content: Any, deadline: float) -> None:
        self._content = content
        self._deadline = deadline

    def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces that come."""
        return self._until(aiter(self._content.iter_any()))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._until(aiter(self._content))

    async def _until(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            async with before(self._deadline):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece
