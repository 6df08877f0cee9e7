"""Cuts what a client sends into frames, with every header block in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.rpc.wire.frames import (
    CONTINUATION,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    HEAD,
    HEADERS,
    LARGEST_WINDOW,
    PADDED,
    PREFACE,
    PRIORITISED,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    SETTINGS,
    ViolationError,
    unpadded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    Frame = tuple[int, int, int, bytes]
    """Kind, flags, stream and payload; that of HEADERS is the whole block and nothing else."""

LARGEST_READ = 2**17
"""Bytes of payload in a frame from the client."""
LONGEST_BLOCK = 2**15
"""Bytes of a header block."""
_PRIORITY_SIZE = 5


class FrameReader:
    """Reads one connection."""

    __slots__ = ("_block", "_greeted", "_rest", "_settled")

    def __init__(self) -> None:
        self._rest = b""
        self._greeted = self._settled = False
        self._block: tuple[int, int, bytearray] | None = None

    @property
    def is_within(self) -> bool:
        """Whether a frame, a header block or the client's first word has begun and not ended."""
        return bool(self._rest) or self._block is not None or not self._settled

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes. Raises ViolationError where no frame can be read any more."""
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        if not self._greeted:
            position = self._greet(data)
            end = end if self._greeted else 0
        while end - position >= HEAD.size:
            upper, lower, kind, flags, stream_id = HEAD.unpack_from(data, position)
            size = upper << 8 | lower
            if size > LARGEST_READ:
                raise ViolationError(FRAME_SIZE_ERROR, "a frame is larger than agreed")
            start = position + HEAD.size
            if start + size > end:
                break
            position = start + size
            stream_id &= LARGEST_WINDOW  # the highest bit means nothing
            if kind == CONTINUATION:
                frame = self._continued(flags, stream_id, data[start:position])
            else:
                self._check_order(kind)
                frame = kind, flags, stream_id, data[start:position]
                if kind == HEADERS:
                    frame = self._begun(flags, stream_id, data[start:position])
            if frame is not None:
                yield frame
        self._rest = data[position:]

    def _greet(self, data: bytes) -> int:
        """Where the frames begin. Raises ViolationError for a client of something else."""
        if not data.startswith(PREFACE[: len(data)]):
            raise ViolationError(PROTOCOL_ERROR, "this port speaks gRPC: HTTP/2 with prior knowledge, without TLS")
        self._greeted = len(data) >= len(PREFACE)
        return len(PREFACE) if self._greeted else 0

    def _check_order(self, kind: int) -> None:
        if kind == PUSH_PROMISE:
            raise ViolationError(PROTOCOL_ERROR, "clients promise nothing")
        if self._block is not None:
            raise ViolationError(PROTOCOL_ERROR, "a header block is interrupted")
        if not self._settled:
            if kind != SETTINGS:
                raise ViolationError(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._settled = True

    def _begun(self, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        """The HEADERS of a frame, when its block is complete."""
        if flags & PADDED:
            payload = unpadded(payload)
        if flags & PRIORITISED:
            payload = payload[_PRIORITY_SIZE:]
        if flags & END_HEADERS:
            return HEADERS, flags, stream_id, payload
        self._block = (stream_id, flags, bytearray(payload))
        return None

    def _continued(self, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        """The HEADERS that a frame goes on with, when that completes the block."""
        if self._block is None or self._block[0] != stream_id:
            raise ViolationError(PROTOCOL_ERROR, "a header block goes on that never began")
        _, first, block = self._block
        block += payload
        if not payload or len(block) > LONGEST_BLOCK:
            raise ViolationError(ENHANCE_YOUR_CALM, "a header block is too long")
        if not flags & END_HEADERS:
            return None
        self._block = None
        return HEADERS, first, stream_id, bytes(block)
