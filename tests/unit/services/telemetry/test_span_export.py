"""What waits for the collector, and when it goes."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from services.settings.telemetry import TracingSettings
from services.telemetry import span_export
from services.telemetry.span_export import SpanExporter, SpanSender
from services.telemetry.spans import TraceSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 20.0


class Sent:
    """Numbers of the spans that were sent, by request; `gate` holds each up, `fails` makes it raise."""

    def __init__(self) -> None:
        self.requests: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def send(self, spans: Sequence[TraceSpan]) -> bool:
        self.requests.append([one.began for one in spans])
        self.gate.wait(PATIENCE)
        if self.fails:
            raise RuntimeError("It fails.")
        return True

    def have(self, count: int) -> bool:
        return len(self.requests) == count

    def wait(self, enough: Callable[[], Any]) -> None:
        until = time.monotonic() + PATIENCE
        while not enough():
            assert time.monotonic() < until
            time.sleep(0.005)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(SpanExporter, "send", lambda _, spans: sent.send(spans))
    return sent


def sender(**settings: Any) -> SpanSender:
    return SpanSender(TracingSettings(endpoint="http://127.0.0.1:9", **settings), "test")


def take(into: SpanSender, first: int, last: int) -> None:
    for number in range(first, last):
        into.take(TraceSpan.first(into.take, "span", began=number))


def test_closing_sends_all_that_waits(sent: Sent) -> None:
    closing = sender(export_interval=1000)
    take(closing, 0, 100)
    closing.close()
    assert sent.requests == [[*range(100)]]


def test_many_do_not_wait_for_the_interval_and_few_do(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "_MOST_TOGETHER", 10)
    patient = sender(export_interval=1000)
    take(patient, 0, 35)
    sent.wait(partial(sent.have, 3))
    assert sent.requests == [[*range(10)], [*range(10, 20)], [*range(20, 30)]]
    patient.close()
    assert sent.requests[3:] == [[*range(30, 35)]]


def test_few_go_when_their_time_has_come(sent: Sent) -> None:
    soon = sender(export_interval=0.01)
    take(soon, 0, 1)
    sent.wait(lambda: sent.requests)
    soon.close()
    assert sent.requests == [[0]]


def test_nothing_is_sent_where_nothing_waits(sent: Sent) -> None:
    """Which would be taken for a collector that takes spans again."""
    idle = sender(export_interval=0.001)
    time.sleep(0.05)
    idle.close()
    assert sent.requests == []


def test_the_oldest_make_room(sent: Sent) -> None:
    small = sender(queue_size=5, export_interval=1000)
    sent.gate.clear()
    take(small, 0, 5)
    sent.wait(lambda: sent.requests)
    take(small, 5, 15)
    sent.gate.set()
    small.close()
    assert sent.requests == [[*range(5)], [*range(10, 15)]]


def test_what_fails_does_not_end_the_sending(sent: Sent, caplog: pytest.LogCaptureFixture) -> None:
    sent.fails = True
    failing = sender(export_interval=0.01)
    for number in range(2):
        take(failing, number, number + 1)
        sent.wait(partial(sent.have, number + 1))
    failing.close()
    assert "Spans could not be sent" in caplog.text


def test_nothing_is_sent_once_it_has_closed(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "_CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(span_export, "_MOST_TOGETHER", 1)
    slow = sender(export_interval=1000)
    sent.gate.clear()
    take(slow, 0, 3)
    slow.close()
    sent.gate.set()
    slow._thread.join(PATIENCE)
    assert sent.requests == [[0]]
