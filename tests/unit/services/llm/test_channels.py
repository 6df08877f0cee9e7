from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from services.channel import CHANNEL_HEADER, TAKEN, frames_in
from services.llm.channels import _MOST_OF_ONE, Channel, Channels, Sender
from tests.asgi import Client, http_scope
from tests.waiting import until

if TYPE_CHECKING:
    from services.asgi import Message

EVENTS = [(b"content-type", b"text/event-stream")]


def start(status: int = 200, headers: Any = EVENTS) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def sent_over(channel: Channel, *messages: Message) -> tuple[list[Message], list[tuple[int, bytes]]]:
    """What goes over the answer's own connection, and what over `channel`, of stream 7."""
    own, carried = Client(), Client()
    sender = Sender(own.send, channel, 7)
    for message in messages:
        await sender(message)
    sender.leave()
    channel.close()
    await channel.carry(carried.send)
    return own.sent, list(frames_in(b"".join(message["body"] for message in carried.sent)))


async def test_pieces_of_a_stream_go_over_the_channel_and_its_head_and_end_do_not() -> None:
    own, over = await sent_over(Channel(), start(), piece(b"one"), piece(b"two"), piece(b"", more=False))
    assert own[0]["headers"] == [*EVENTS, (CHANNEL_HEADER.encode(), TAKEN.encode())]
    assert own[1:] == [piece(b"", more=False)]
    assert over == [(7, b"one"), (7, b"two"), (7, b"")]


async def test_a_last_piece_that_is_not_empty_goes_over_the_channel_too() -> None:
    own, over = await sent_over(Channel(), start(), piece(b"all", more=False))
    assert own[1:] == [piece(b"", more=False)]
    assert over == [(7, b"all"), (7, b"")]


@pytest.mark.parametrize("head", [start(500), start(headers=[(b"content-type", b"application/json")])])
async def test_other_answers_take_their_own_connection(head: Message) -> None:
    messages = [head, piece(b"one"), piece(b"", more=False)]
    assert await sent_over(Channel(), *messages) == (messages, [])


async def test_what_the_channel_has_no_room_for_takes_its_own_connection_from_then_on() -> None:
    large = b"x" * _MOST_OF_ONE
    own, over = await sent_over(Channel(), start(), piece(b"one"), piece(large), piece(b"two"), piece(b"", more=False))
    assert own[1:] == [piece(large), piece(b"two"), piece(b"", more=False)]
    assert over == [(7, b"one"), (7, b"")]


async def test_a_gateway_that_does_not_read_gets_no_more_than_so_much() -> None:
    channel = Channel()
    for number in range(64):
        own = Client()
        sender = Sender(own.send, channel, number)
        for message in (start(), *[piece(b"x" * 1000)] * 100):
            await sender(message)
    assert channel._size < 2**20 + 64_000
    assert len(own.sent) == 101, "the last ones wait for their own connection"


async def test_nothing_is_put_on_a_channel_that_is_lost() -> None:
    channels, gateway = Channels(), Client()
    serving = asyncio.ensure_future(channels.serve(gateway.receive, gateway.send))
    await until(lambda: gateway.sent)
    name = gateway.headers[CHANNEL_HEADER]
    scope = http_scope("POST", "/task", [(CHANNEL_HEADER.encode(), f"{name}/7".encode())])
    own = Client()
    sender = channels.sender(scope, own.send)
    await sender(start())
    gateway.leave()
    await serving
    await sender(piece(b"one"))
    assert own.sent[1:] == [piece(b"one")]
    assert channels.sender(scope, own.send)._channel is None


@pytest.mark.parametrize("value", ["", "unknown/7", "/7", "unknown", "unknown/x"])
async def test_a_request_that_names_no_open_channel_gets_its_own_connection(value: str) -> None:
    own = Client()
    sender = Channels().sender(http_scope("POST", "/task", [(CHANNEL_HEADER.encode(), value.encode())]), own.send)
    for message in (start(), piece(b"one")):
        await sender(message)
    assert own.sent == [start(), piece(b"one")]


async def test_none_is_opened_once_they_are_closed() -> None:
    channels, gateway = Channels(), Client()
    channels.close()
    await channels.serve(gateway.receive, gateway.send)
    assert gateway.status == 503


async def test_a_head_that_comes_once_the_channel_is_closing_takes_its_own_connection() -> None:
    channel, own = Channel(), Client()
    sender = Sender(own.send, channel, 7)
    channel.close()
    for message in (start(), piece(b"one")):
        await sender(message)
    assert own.sent == [start(), piece(b"one")]
    assert not channel.streams
