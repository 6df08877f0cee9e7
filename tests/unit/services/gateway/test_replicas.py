from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from services.errors import DeadlineExceeded, NotRunning, Unavailable
from services.gateway.address import Address
from services.gateway.replicas import Replicas
from services.gateway.upstream import Upstream
from tests.http_server import Name, Request, serving_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.http_server import Server

PATIENCE = 10.0


async def echo(request: Request) -> None:
    await request.answer(b"answer to " + request.body)


async def never(request: Request) -> None:
    await asyncio.Event().wait()


async def hangs_up(request: Request) -> None:
    request.hang_up()


async def not_found(request: Request) -> None:
    await request.answer(b"{}", "404 Not Found")


@asynccontextmanager
async def connected(name: Name, **options: Any) -> AsyncIterator[Replicas]:
    def make(port: str) -> Upstream:
        return Upstream("model", Address.parse(f"http://127.0.0.1:{port}"), connect_timeout=0.3, probe_timeout=0.3)

    replicas = Replicas("model", make, name.resolve, 0.02, **options)
    await replicas.open()
    try:
        async with asyncio.timeout(PATIENCE):
            yield replicas
    finally:
        await replicas.close()


@asynccontextmanager
async def three() -> AsyncIterator[tuple[list[Server], Name]]:
    """Three servers that echo, and a name that stands for them."""
    async with serving_tcp(echo) as a, serving_tcp(echo) as b, serving_tcp(echo) as c:
        servers = [server for server, _ in (a, b, c)]
        yield servers, Name(a[1], b[1], c[1])


async def call(replicas: Replicas, timeout: float = PATIENCE) -> tuple[int, bytes]:
    return await replicas.call("POST", "/task", body=b"question", headers={}, timeout=timeout)


async def read(replicas: Replicas) -> bytes:
    async with replicas.stream("POST", "/task", body=b"question", idle_timeout=PATIENCE) as response:
        return await response.read()


def asked(servers: list[Server]) -> list[int]:
    return [len(server.requests) for server in servers]


both = pytest.mark.parametrize("ask", [call, read])


@both
async def test_requests_one_after_another_take_turns(ask: Any) -> None:
    async with three() as (servers, name), connected(name) as replicas:
        for _ in range(9):
            await ask(replicas)
        assert asked(servers) == [3, 3, 3]


@both
async def test_a_replica_with_much_to_do_is_left_to_it(ask: Any) -> None:
    async with three() as (servers, name), connected(name) as replicas:
        servers[0].on_request = never
        tasks = [asyncio.create_task(ask(replicas)) for _ in range(3)]
        for _ in range(2):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(10):
            await ask(replicas)
        assert len(servers[0].requests) == 1
        assert sum(asked(servers)) == 13
        [stuck] = [task for task in tasks if not task.done()]
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        servers[0].on_request = echo
        for _ in range(6):
            await ask(replicas)
        assert len(servers[0].requests) > 1


@both
async def test_what_cannot_be_sent_to_one_is_sent_to_another_and_the_dead_is_asked_no_more(ask: Any) -> None:
    async with serving_tcp(echo) as (alive, port):
        async with serving_tcp(echo) as (_, dead):
            pass
        async with connected(Name(dead, port)) as replicas:
            for _ in range(6):
                await ask(replicas)
            assert len(alive.requests) == 6
            assert len(replicas.each()) == 1
            async with serving_tcp(echo, dead) as (back, _):
                await replicas.probe()
                assert len(replicas.each()) == 2
                for _ in range(6):
                    await ask(replicas)
                assert len(back.requests) == 3


@both
async def test_what_was_sent_is_not_sent_to_another(ask: Any) -> None:
    """What killed one replica could kill them all."""
    async with three() as (servers, name), connected(name) as replicas:
        for server in servers:
            server.on_request = hangs_up
            server.on_probe = hangs_up
        with pytest.raises(Unavailable):
            await ask(replicas)
        assert sum(asked(servers)) == 1


@both
async def test_all_dead_or_none_known_is_not_running(ask: Any) -> None:
    async with serving_tcp(echo) as (_, dead):
        pass
    for name in (Name(dead), Name()):
        async with connected(name) as replicas:
            with pytest.raises(NotRunning, match="The model is not running"):
                await ask(replicas)
            with pytest.raises(NotRunning, match="The model is not running"):
                await replicas.probe()


async def test_a_deadline_is_one_for_all_of_them() -> None:
    async with serving_tcp(never) as (_, port), connected(Name(port)) as replicas:
        with pytest.raises(DeadlineExceeded):
            await call(replicas, 0.05)


@both
async def test_only_those_that_are_ready_are_asked(ask: Any) -> None:
    async with three() as (servers, name), connected(name) as replicas:
        for server in servers[:2]:
            server.on_probe = lambda request: request.answer(b'{"state": "starting"}')
        assert await replicas.probe() == b'{"state": "ready"}'
        for _ in range(5):
            await ask(replicas)
        assert asked(servers) == [0, 0, 5]
        servers[2].on_probe = lambda request: request.answer(b'{"state": "starting"}')
        assert await replicas.probe() == b'{"state": "starting"}'
        servers[2].on_probe = lambda request: request.answer(b"not JSON")
        servers[0].on_probe = lambda request: request.answer(b'{"state": "ready"}')
        await replicas.probe()
        assert len(replicas.each()) == 1


async def test_how_many_take_requests_is_told() -> None:
    async with three() as (servers, name):
        port = name.ports.pop()
        async with connected(name) as replicas:
            told: list[int] = []
            replicas.listen(told.append)
            assert told == [2]
            servers[0].on_probe = lambda request: request.answer(b'{"state": "starting"}')
            await replicas.probe()
            assert told[-1] == 1
            name.ports.append(port)
            await name.followed()
            assert told[-1] == 2


async def test_one_that_lives_but_does_not_answer_is_not_said_to_be_dead() -> None:
    async with three() as (servers, name), connected(name) as replicas:
        for server in servers:
            server.on_probe = never
        with pytest.raises(Unavailable, match="does not answer"):
            await replicas.probe()


async def test_replicas_come_and_go_with_the_name() -> None:
    async with three() as (servers, name):
        ports, name.ports = name.ports, name.ports[:1]
        async with connected(name) as replicas:
            await asyncio.gather(*(call(replicas) for _ in range(6)))
            assert asked(servers) == [6, 0, 0]
            name.ports = ports[1:]
            await name.followed()
            await asyncio.gather(*(call(replicas) for _ in range(6)))
            assert asked(servers) == [6, 3, 3]
            assert servers[0].open == 0
            name.broken = True
            await name.followed()
            await call(replicas)
            assert sum(asked(servers)) == 13


async def test_an_answer_under_way_is_read_to_its_end_when_its_replica_leaves_the_name() -> None:
    go_on = asyncio.Event()

    async def slow(request: Request) -> None:
        await request.begin()
        await request.chunk(b"first, ")
        await go_on.wait()
        await request.chunk(b"last")
        await request.chunk(b"")

    async with serving_tcp(slow) as (old, old_port), serving_tcp(echo) as (_, new_port):
        name = Name(old_port)
        async with connected(name) as replicas:
            async with replicas.stream("POST", "/task", idle_timeout=PATIENCE) as response:
                assert await anext(response.content.iter_any()) == b"first, "
                name.ports = [new_port]
                await name.followed()
                go_on.set()
                assert await response.read() == b"last"
            assert await call(replicas) == (200, b"answer to question")
            assert len(old.requests) == 1


async def test_what_one_has_not_is_asked_of_the_others() -> None:
    async with three() as (servers, name):
        for server in servers[:2]:
            server.on_request = not_found
        async with connected(name, differ=True) as replicas:
            assert {await call(replicas) for _ in range(3)} == {(200, b"answer to question")}
            servers[2].on_request = not_found
            assert await call(replicas) == (404, b"{}")
        async with connected(name) as replicas:
            before = sum(asked(servers))
            assert (await call(replicas))[0] == 404
            assert sum(asked(servers)) == before + 1


@both
async def test_a_refused_token_is_said(ask: Any) -> None:
    async def refuses(request: Request) -> None:
        await request.answer(b"{}", "401 Unauthorized")

    async with serving_tcp(refuses) as (server, port), connected(Name(port)) as replicas:
        server.on_probe = refuses
        for refused in (ask(replicas), replicas.probe()):
            with pytest.raises(Unavailable, match=r"refuses the gateway's token \(TANDEM_HOP__TOKEN\)"):
                await refused


async def test_a_connection_is_replaced_when_it_is_old() -> None:
    async with serving_tcp(echo) as (server, port):
        address = Address.parse(f"http://127.0.0.1:{port}")
        upstream = Upstream("model", address, connect_timeout=1, probe_timeout=1, max_age=0.05)
        await upstream.open()
        try:
            for _ in range(3):
                await upstream.call("POST", "/", headers={}, timeout=PATIENCE)
            assert server.connections <= 2
            await asyncio.sleep(0.06)
            await upstream.call("POST", "/", headers={}, timeout=PATIENCE)
            assert server.open == 1
            assert server.connections >= 2
        finally:
            await upstream.close()
