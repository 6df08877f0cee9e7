from __future__ import annotations

import hpack
import pytest

from services.gateway.rpc.wire.frames import ViolationError, fields
from services.gateway.rpc.wire.heads import LONGEST_LIST, HeadReader, MalformedError

CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]


def test_a_head_is_read() -> None:
    head = HeadReader().read(fields([*CALL, (b"grpc-timeout", b"1500m"), (b"grpc-encoding", b"gzip"), (b"x-a", b"b")]))
    assert (head.path, head.timeout, head.encoding, head.status) == (b"/a.B/C", 1.5, b"gzip", b"200")
    assert (b"x-a", b"b") in head.headers
    assert not any(name.startswith(b":") for name, _ in head.headers)


def test_a_repeated_block_is_read_once_and_anew_when_its_meaning_may_have_changed() -> None:
    encoder, reader = hpack.Encoder(), HeadReader()
    reader.read(encoder.encode(CALL))  # fills the table
    repeated = encoder.encode(CALL)
    first = reader.read(repeated)
    assert reader.read(repeated) is first
    other = [*CALL[:2], (b":path", b"/a.B/D"), *CALL[3:]]
    assert reader.read(encoder.encode(other)).path == b"/a.B/D"
    with pytest.raises(MalformedError):  # references count from the newest entry, which is another now
        reader.read(repeated)
    assert reader.read(encoder.encode(CALL)) == first


def test_a_resized_table_makes_all_new_too() -> None:
    encoder, reader = hpack.Encoder(), HeadReader()
    reader.read(encoder.encode(CALL))
    repeated = encoder.encode(CALL)
    first = reader.read(repeated)
    encoder.header_table_size = 2048
    assert reader.read(encoder.encode(CALL)) == first
    assert reader.read(repeated) is not first


def test_only_so_many_blocks_are_kept() -> None:
    reader = HeadReader()
    blocks = [fields([*CALL, (b"x-number", b"%d" % number)]) for number in range(1000)]
    for block in blocks:
        assert reader.read(block).path == b"/a.B/C"
    assert len(reader._known) <= 64
    long = fields([*CALL, (b"x-long", b"x" * 2000)])
    assert reader.read(long) is not reader.read(long)


@pytest.mark.parametrize(
    "pairs",
    [
        CALL[1:],
        [CALL[0], *CALL[2:]],
        [*CALL[:2], (b":path", b""), *CALL[3:]],
        [*CALL[:3], (b":path", b"/again")],
        [*CALL, (b":authority", b"late")],
        [*CALL, (b":unknown", b"x")],
        [*CALL, (b"Upper", b"x")],
        [*CALL, (b"connection", b"close")],
        [*CALL, (b"", b"x")],
        [*CALL, (b"x-split", b"a\r\nb: c")],
        *([*CALL, (b"grpc-timeout", text)] for text in (b"", b"5", b"S", b"5s", b"-5S", b"123456789S", b"1.5S")),
    ],
)
def test_what_is_no_request_is_malformed(pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MalformedError):
        HeadReader().read(fields(pairs))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((0, (b":method", b"GET")), b"405"),
        ((3, (b"content-type", b"application/json")), b"415"),
        ((3, (b"content-type", b"application/grpc-web")), b"415"),
        ((3, (b"content-type", b"application/grpc+proto; charset=x")), b"200"),
        ((4, (b"x-long", b"x" * LONGEST_LIST)), b"431"),
    ],
)
def test_what_is_no_call_has_an_http_status(change: tuple[int, tuple[bytes, bytes]], status: bytes) -> None:
    pairs = list(CALL)
    pairs[change[0]] = change[1]
    assert HeadReader().read(fields(pairs)).status == status


@pytest.mark.parametrize(
    "block", [b"\xff", b"\x80", b"\xbe", b"\x40\x05ab", b"\x00\x7f\xff\xff\xff\xff\x7f", b"\x3f\xff\xff\x7f"]
)
def test_what_cannot_be_decoded_ends_the_connection(block: bytes) -> None:
    with pytest.raises(ViolationError):
        HeadReader().read(block)


def test_a_block_that_unpacks_without_end_ends_the_connection() -> None:
    reader = HeadReader()
    large = b"\x40" + fields([(b"x", b"y" * 3000)])[1:]
    with pytest.raises(ViolationError):
        reader.read(large + b"\xbe" * 100)
