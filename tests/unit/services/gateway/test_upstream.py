from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from services.errors import DeadlineExceeded, NotRunning, Unavailable
from services.gateway import hop
from services.gateway.address import Address
from services.gateway.upstream import Upstream
from tests.http_server import Request, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

Ask = Callable[..., Coroutine[Any, Any, object]]
Answer = Callable[[Request], Awaitable[None]]

CONNECT_TIMEOUT = 0.3
PROBE_TIMEOUT = 0.2
PATIENCE = 10.0
"""Seconds in which everything must be over; nothing here should take one."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Upstream]:
    upstream = Upstream("model", Address.parse(url), connect_timeout=CONNECT_TIMEOUT, probe_timeout=PROBE_TIMEOUT)
    await upstream.open()
    try:
        async with asyncio.timeout(PATIENCE):
            yield upstream
    finally:
        await upstream.close()


def to(path: Path) -> str:
    return f"file://{path}"


async def call(upstream: Upstream, timeout: float = PATIENCE) -> tuple[int, bytes]:
    return await upstream.call("POST", "/task", body=b"question", headers={"x-one": "1"}, timeout=timeout)


async def read(upstream: Upstream, idle_timeout: float = PATIENCE) -> bytes:
    async with upstream.stream("POST", "/task", body=b"question", idle_timeout=idle_timeout) as response:
        return await response.read()


async def echo(request: Request) -> None:
    await request.answer(b"answer to " + request.body)


async def never(request: Request) -> None:
    await asyncio.Event().wait()


async def breaks_off(request: Request) -> None:
    await request.begin()
    await request.chunk(b"half an ans")
    request.hang_up()


async def goes_silent(request: Request) -> None:
    await request.begin()
    await request.chunk(b"half an ans")
    await never(request)


async def babbles(request: Request) -> None:
    await request.write(b"This is not HTTP at all.\r\n\r\n")


async def refuses_kept_connections(request: Request) -> None:
    """As uvicorn does when its idle timer fires at the moment a request comes in."""
    if request.number > 1:
        request.hang_up()
    else:
        await echo(request)


async def hangs_up(request: Request) -> None:
    request.hang_up()


both = pytest.mark.parametrize("ask", [call, read])


async def test_call_carries_the_request_and_its_answer(path: Path) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        assert await call(upstream) == (200, b"answer to question")
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/task", b"question")
    assert request.headers["x-one"] == "1"


async def test_call_reads_chunks_and_any_status(path: Path) -> None:
    async def answer(request: Request) -> None:
        if request.number == 1:
            await request.answer(b"{}", "503 Service Unavailable")
            return
        await request.begin()
        for chunk in (b"in ", b"three ", b"parts", b""):
            await request.chunk(chunk)

    async with serving(answer, path), connected(to(path)) as upstream:
        assert await call(upstream) == (503, b"{}")
        assert await call(upstream) == (200, b"in three parts")


async def test_large_bodies_cross(path: Path) -> None:
    body = bytes(range(256)) * 2**14
    async with serving(echo, path), connected(to(path)) as upstream:
        assert await upstream.call("POST", "/", body=body, headers={}, timeout=PATIENCE) == (200, b"answer to " + body)


@both
async def test_connection_is_kept(path: Path, ask: Ask) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        for _ in range(3):
            await ask(upstream)
        assert server.connections == 1


async def test_connection_that_the_server_gives_up_is_not_kept(path: Path) -> None:
    async def answer(request: Request) -> None:
        await request.answer(b"", headers="connection: close\r\n")

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        await call(upstream)
        await call(upstream)
        assert server.connections == 2
        assert server.probes == 0


async def test_connection_idle_for_too_long_is_not_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hop, "_KEEP_ALIVE_SECONDS", 0.0)
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        await call(upstream)
        await asyncio.sleep(0.001)
        await call(upstream)
        assert server.connections == 2


async def test_connection_that_died_idle_is_not_used(path: Path) -> None:
    async def answer(request: Request) -> None:
        await echo(request)
        request.hang_up()

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        await asyncio.gather(call(upstream), call(upstream))
        await asyncio.sleep(0.01)
        await call(upstream)
        assert (server.connections, server.probes) == (3, 0)


async def test_concurrent_calls_get_their_own_answers(path: Path) -> None:
    async with serving(echo, path), connected(to(path)) as upstream:
        answers = await asyncio.gather(
            *(upstream.call("POST", "/", body=b"%d" % n, headers={}, timeout=PATIENCE) for n in range(50))
        )
        assert [body for _, body in answers] == [b"answer to %d" % n for n in range(50)]


@both
async def test_keep_alive_race_is_survived_by_one_new_connection(path: Path, ask: Ask) -> None:
    async with serving(refuses_kept_connections, path) as server, connected(to(path)) as upstream:
        await ask(upstream)
        await ask(upstream)
        assert len(server.requests) == 3
        assert server.probes == 1


@both
async def test_connection_lost_twice_is_unavailable(path: Path, ask: Ask) -> None:
    async with serving(hangs_up, path) as server, connected(to(path)) as upstream:
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert len(server.requests) == 2


@both
async def test_nothing_is_sent_again_to_a_dependency_that_does_not_answer_a_probe(path: Path, ask: Ask) -> None:
    async with serving(hangs_up, path) as server, connected(to(path)) as upstream:
        server.on_probe = never
        began = time.perf_counter()
        with pytest.raises(Unavailable, match="does not answer"):
            await ask(upstream)
        assert time.perf_counter() - began < 5 * PROBE_TIMEOUT
        assert len(server.requests) == 1


@both
async def test_connection_lost_half_way_is_unavailable_and_not_tried_again(path: Path, ask: Ask) -> None:
    async with serving(breaks_off, path) as server, connected(to(path)) as upstream:
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert len(server.requests) == 1


@both
async def test_answer_that_is_not_http_is_unavailable(path: Path, ask: Ask) -> None:
    async with serving(babbles, path), connected(to(path)) as upstream:
        with pytest.raises(Unavailable):
            await ask(upstream)


@both
@pytest.mark.parametrize("slow", [never, goes_silent])
async def test_slow_answer_passes_the_deadline_and_frees_the_connection(path: Path, ask: Ask, slow: Answer) -> None:
    async with serving(slow, path) as server, connected(to(path)) as upstream:
        with pytest.raises(DeadlineExceeded):
            await ask(upstream, 0.05)
        await server.closed.wait()
        server.on_request = echo
        await ask(upstream)
        assert server.connections == 2


@both
async def test_cancelled_request_closes_its_connection(path: Path, ask: Ask) -> None:
    arrived = asyncio.Event()

    async def answer(request: Request) -> None:
        arrived.set()
        await never(request)

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        task = asyncio.create_task(ask(upstream))
        await arrived.wait()
        task.cancel()
        await server.closed.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.open == 0


@both
async def test_nobody_listens(path: Path, ask: Ask) -> None:
    async with connected(to(path)) as upstream:
        with pytest.raises(Unavailable, match="not running"):
            await ask(upstream)
        with pytest.raises(Unavailable, match="not running"):
            await upstream.probe()


@pytest.fixture
def full_address() -> Iterator[str]:
    """Where nobody accepts and no more fit into the backlog, so that a connection is never made."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield f"tcp://127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


@both
async def test_connection_that_is_never_made_is_unavailable(full_address: str, ask: Ask) -> None:
    async with connected(full_address) as upstream:
        began = time.perf_counter()
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert time.perf_counter() - began < 5 * CONNECT_TIMEOUT


async def test_socket_of_a_dead_worker_accepts_and_the_probe_says_so(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        async with connected(to(path)) as upstream:
            began = time.perf_counter()
            with pytest.raises(Unavailable, match="does not answer"):
                await upstream.probe()
            assert time.perf_counter() - began < 5 * PROBE_TIMEOUT


async def test_probe_says_what_the_dependency_says(path: Path) -> None:
    async with serving(echo, path), connected(to(path)) as upstream:
        assert await upstream.probe() == b'{"state": "ready"}'


@pytest.mark.parametrize("broken", [hangs_up, breaks_off, babbles])
async def test_probe_of_a_broken_dependency(path: Path, broken: Answer) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        server.on_probe = broken
        with pytest.raises(Unavailable):
            await upstream.probe()


async def test_probes_share_one_connection(path: Path) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        for _ in range(10):
            await upstream.probe()
        assert (server.connections, server.open) == (1, 1)
        assert not upstream._pool._idle


@both
@pytest.mark.parametrize("noticed", [False, True])
async def test_everybody_hears_when_the_process_is_gone_though_its_socket_accepts(
    path: Path, ask: Ask, noticed: bool
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with socket.socket(socket.AF_UNIX) as held_by_the_arbiter:
        held_by_the_arbiter.bind(str(path))
        held_by_the_arbiter.listen(16)
        worker = await asyncio.start_unix_server(answer, sock=held_by_the_arbiter.dup())
        async with connected(to(path)) as upstream:
            assert await upstream.probe() == b"{}"
            worker.close()
            for writer in writers:
                writer.transport.abort()
            if noticed:  # the kept connection was seen to end before anybody used it again
                await asyncio.sleep(0.05)
            waiting = asyncio.create_task(ask(upstream))
            began = time.perf_counter()
            with pytest.raises(NotRunning):
                await upstream.probe()
            with pytest.raises(NotRunning, match="The model is not running"):
                await waiting
            assert time.perf_counter() - began < 5 * PROBE_TIMEOUT
            with pytest.raises(NotRunning):
                await upstream.probe()


async def test_stream_hands_on_pieces_as_they_come(path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request) -> None:
        await request.begin("content-type: text/event-stream\r\n")
        await request.chunk("data: gr\u00fcn\n\n".encode()[:9])
        await go_on.wait()
        await request.chunk("data: gr\u00fcn\n\n".encode()[9:])
        await request.chunk(b"")

    async with (
        serving(answer, path),
        connected(to(path)) as upstream,
        upstream.stream("POST", "/", idle_timeout=PATIENCE) as response,
    ):
        assert response.status == 200
        assert response.headers["content-type"] == "text/event-stream"
        pieces = []
        async for piece in response.content.iter_any():
            pieces.append(piece)
            go_on.set()
    assert b"".join(pieces).decode() == "data: gr\u00fcn\n\n"
    assert len(pieces) == 2


async def test_stream_left_early_closes_the_connection(path: Path) -> None:
    async with serving(goes_silent, path) as server, connected(to(path)) as upstream:
        async with upstream.stream("POST", "/", idle_timeout=PATIENCE) as response:
            assert await anext(response.content.iter_any()) == b"half an ans"
            assert server.open == 1
        await server.closed.wait()
        assert server.open == 0


async def test_errors_of_the_reader_pass_through_a_stream(path: Path) -> None:
    async with serving(echo, path), connected(to(path)) as upstream:
        with pytest.raises(ZeroDivisionError):
            async with upstream.stream("POST", "/", idle_timeout=PATIENCE):
                raise ZeroDivisionError


async def test_answers_are_not_redirected(path: Path) -> None:
    async def answer(request: Request) -> None:
        await request.answer(b"", "307 Temporary Redirect", "location: /invocations\r\n")

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        async with upstream.stream("POST", "/task", idle_timeout=PATIENCE) as response:
            assert response.status == 307
        assert [request.path for request in server.requests] == ["/task"]
