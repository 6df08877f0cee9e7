"""A stand-in for the language model: what it answers, as data, and what it was asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from services.gateway import streamed
    from services.gateway.streamed import Taker

LLM_NAME = "fake-llm"


@dataclass
class Answer:
    """What `FakeLLM` answers one request with: pieces that come one after another, then perhaps an error."""

    pieces: list[bytes] = field(default_factory=list)
    status: int = 200
    content_type: str = "application/json"
    error: Exception | None = None
    """Raised once the pieces are out."""
    hold: asyncio.Event | None = None
    """Waited for once the pieces are out."""


def chat_answer(text: str | None) -> Answer:
    """A whole chat completion."""
    return Answer([json.dumps({"choices": [{"message": {"content": text}}]}).encode()])


def chat_events(*texts: str) -> list[bytes]:
    """The events of a streamed chat completion."""
    events = [f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n".encode() for text in texts]
    return [*events, b"data: [DONE]\n\n"]


class _Content:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._answer.pieces:
            yield piece
        if self._answer.hold is not None:
            await self._answer.hold.wait()
        if self._answer.error is not None:
            raise self._answer.error

    def offer_to(self, taker: Taker) -> None:
        """Nobody takes anything past the reader."""


class FakeResponse:
    """An answer whose head has come."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = {"content-type": answer.content_type}
        self.content = _Content(answer)

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.content.iter_any()])


@dataclass(frozen=True)
class Asked:
    """One request that reached `FakeLLM`."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


class FakeLLM:
    """An `LLMBackend` that keeps what reaches it and answers everything with `answer`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer = chat_answer("Because it is tall.")
        self.error: Exception | None = None
        self.open = 0
        """Answers being read."""
        self.reached = asyncio.Event()
        self.left = asyncio.Event()
        """Set when the last answer being read was left."""

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AsyncIterator[streamed.Answer]:
        self.asked.append(Asked(method, path, body, headers))
        self.reached.set()
        if self.error is not None:
            raise self.error
        self.open += 1
        try:
            yield FakeResponse(self.answer)
        finally:
            self.open -= 1
            if not self.open:
                self.left.set()

    async def call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        async with self.stream(method, path, body, dict(headers or {})) as response:
            return response.status, await response.read()
