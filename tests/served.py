"""A gateway over fakes behind a real uvicorn in a thread of its own, for tests whose clients block."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from services.http_protocol import HttpProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from services.asgi import ASGIApp


@contextmanager
def served(make: Callable[[], Awaitable[ASGIApp]]) -> Iterator[str]:
    """The address of the app that `make` makes, on the loop that it will run on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        up = threading.Event()
        server: list[uvicorn.Server] = []

        async def run() -> None:
            config = uvicorn.Config(await make(), lifespan="off", log_config=None, http=HttpProtocol)
            server.append(uvicorn.Server(config))
            serving = asyncio.create_task(server[0].serve(sockets=[listener]))
            asyncio.get_running_loop().call_soon(up.set)
            await serving

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        up.wait(30)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server[0].should_exit = True
            thread.join(30)
