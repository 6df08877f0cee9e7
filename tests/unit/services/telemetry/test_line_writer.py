from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from services.telemetry.line_writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for end in (reading, writing):
            try:
                os.close(end)
            except OSError:
                continue


def settle(writer: LineWriter) -> None:
    """Wait until the thread has nothing to do."""
    writer.flush()
    writer.close()


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as target:
        writer = LineWriter(target.fileno())
        for number in range(1000):
            writer.add(b"%d\n" % number)
            if not number % 100:
                writer.flush()
        settle(writer)
    assert file.read_bytes().split() == [b"%d" % number for number in range(1000)]
    assert writer.dropped == 0


def test_a_full_disk_drops_lines_counts_them_and_says_so_once(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(full)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            writer.add(b"lost\n")
            settle(writer)
        assert writer.dropped == 3
        with (tmp_path / "log").open("wb") as room:
            os.dup2(room.fileno(), full)
        writer.add(b"kept\n")
        settle(writer)
    os.close(full)
    assert (tmp_path / "log").read_bytes() == b"kept\n"
    assert [record.getMessage() for record in caplog.records] == [
        "Log lines cannot be written and are lost: No space left on device.",
        "Log lines can be written again; 3 were lost.",
    ]


def test_closed_output_hurts_nobody() -> None:
    with pipe() as (reading, writing):
        os.close(reading)
        writer = LineWriter(writing)
        writer.add(b"nobody reads this\n")
        settle(writer)
        assert writer.dropped == 1
        os.close(writing)
        writer.add(b"nor this\n")
        settle(writer)
    assert writer.dropped == 2


def test_a_line_that_was_cut_is_ended_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    out = b""
    room = 8

    def write(_: int, data: memoryview) -> int:
        nonlocal out
        taken = min(len(data), room - len(out))
        if not taken:
            raise OSError(28, "No space left on device")
        out += bytes(data[:taken])
        return taken

    monkeypatch.setattr("services.telemetry.line_writer.os.write", write)
    writer = LineWriter(-1)
    for one in (b"first\n", b"second\n", b"third\n"):
        writer.add(one)
    settle(writer)
    assert (out, writer.dropped) == (b"first\nse", 2)
    settle(writer)
    room = 100
    writer.add(b"fourth\n")
    settle(writer)
    assert (out, writer.dropped) == (b"first\nse\nfourth\n", 2)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_stops_reading_holds_nobody_up(blocking: bool) -> None:
    with pipe() as (reading, writing):
        os.set_blocking(writing, blocking)
        writer = LineWriter(writing, most_waiting=10)
        big = b"x" * 100_000 + b"\n"  # more than a pipe takes
        writer.add(big)
        writer.flush()
        for number in range(15):
            writer.add(b"%d\n" % number)
            writer.flush()
        assert writer.dropped == 5
        with os.fdopen(os.dup(reading), "rb") as reader:
            assert len(reader.readline()) == len(big)
            writer.flush()
            settle(writer)
            assert [int(reader.readline()) for _ in range(10)] == list(range(10))
