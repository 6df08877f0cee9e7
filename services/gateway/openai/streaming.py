"""Server-sent events from vLLM to the client, as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from services.errors import DeadlineExceeded, Unavailable
from services.gateway.openai.errors import error_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.errors import ServingError

_END = b"\n\n"
"""Ends an event."""


async def relayed(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The bytes of `response` in the pieces they arrive in.

    When the language model dies half way the stream ends with an error event, for the status is out already.
    """
    last = _END
    try:
        async for piece in response.content.iter_any():
            yield piece
            last = piece
    except DeadlineExceeded as error:
        yield _error_event(last, error)
    except aiohttp.ServerTimeoutError:
        yield _error_event(last, DeadlineExceeded("The language model went silent."))
    except (aiohttp.ClientError, OSError):
        yield _error_event(last, Unavailable("The language model broke off."))


def _error_event(last: bytes, error: ServingError) -> bytes:
    """An event of its own, also when `last`, the piece before it, ended within one."""
    return (b"" if last.endswith(_END) else _END) + b"data: " + error_body(error, "") + _END
