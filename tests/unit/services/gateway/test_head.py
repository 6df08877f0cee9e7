from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.head import Head, read_head

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_head_says_what_is_for_the_gateway_and_nothing_else() -> None:
    told = [(b"host", b"a"), (b"x-request-id", b"id-1"), (b"x-request-timeout", b"3"), (b"traceparent", TRACE)]
    head = read_head([*told, (b"authorization", b"Bearer tdm_x")])
    assert (head.request_id, head.secret, head.timeout) == ("id-1", b"tdm_x", b"3")
    assert head.caller is not None
    assert head.caller.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert read_head([(b"host", b"a"), (b"cookie", b"b")]) == Head()


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ([(b"x-api-key", b"a")], b"a"),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"b")], b"a"),
        ([(b"x-api-key", b"a"), (b"authorization", b"Bearer b")], b"b"),
        ([(b"authorization", b"Basic b"), (b"x-api-key", b"a")], b"a"),
        ([(b"authorization", b"Basic b")], None),
    ],
)
def test_key_is_found_wherever_clients_put_it(headers: list[tuple[bytes, bytes]], secret: bytes | None) -> None:
    assert read_head(headers).secret == secret


def test_id_that_is_unfit_is_passed_over_for_the_next() -> None:
    assert read_head([(b"x-request-id", b"a\tb"), (b"x-request-id", b"c")]).request_id == "c"
    assert not read_head([(b"x-request-id", b"x" * 129)]).request_id


def test_head_full_of_traces_is_read_no_more_often_than_another() -> None:
    """Nobody has been asked for a key by then."""

    class Counted(list[tuple[bytes, bytes]]):
        reads = 0

        def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
            self.reads += 1
            return super().__iter__()

    headers = Counted([(b"traceparent", TRACE)] * 100)
    assert read_head(headers).caller is None
    assert headers.reads <= 3
