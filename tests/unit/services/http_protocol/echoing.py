"""A real uvicorn that answers with what it was asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.asgi import read_body, send_json
from services.http_protocol import HttpProtocol
from tests.gateway import listening
from tests.wire import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.asgi import Receive, Scope, Send
    from tests.wire import Wire

POST = b"POST"
CHUNKED = b"transfer-encoding: chunked"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked; without reading the body where the path says so."""
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
    }
    if scope["path"] != "/refused":
        seen["body"] = (await read_body(scope, receive, 2**24)).decode("latin-1")
        seen["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    await send_json(send, 200, json.dumps(seen).encode())


@asynccontextmanager
async def connected(path: Path, http: type[HttpProtocol] = HttpProtocol) -> AsyncIterator[Wire]:
    """A connection to `echo`."""
    async with asyncio.timeout(30), listening(echo, path / "socket", http), wire(path / "socket") as connection:
        yield connection
