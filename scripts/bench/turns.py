"""Servers that are measured by turns of some hundredths of a second, so that whatever the machine does meanwhile hits all of them alike.

While one has its turn, the others and their clients are stopped: what a server does in the background, as to write its log or to send
spans, falls into its own turns, and what it does once in a while, more often a request than if it ran alone. Speeds are of the turns.
Latencies are of a second before them, which nothing interrupts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.bench import wrk
from scripts.bench.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.bench.messages import Body
    from scripts.bench.samples import Load
    from scripts.bench.server import Server

TURN_SECONDS = 0.05
"""Shorter than the moments in which a shared machine is slower, and many times what a processor's caches need to know a server again."""
_PLAIN_SECONDS = 1
_TRY_SECONDS = 0.5
_TRIES = 20
_MOST_SECONDS = 600
"""After which a client ends that nobody has stopped."""


@dataclass(frozen=True)
class Contestant:
    """A server that runs, and what it is loaded with."""

    name: str
    url: str
    server: Server
    body: Body


def by_turns(contestants: Sequence[Contestant], load: Load, number: int, seconds: float) -> list[Sample]:
    """One sample of each, of `seconds` at least, all of the round `number`. Every second time they follow on each other in reverse order, so
    that a steady drift hits all alike.
    """
    with contextlib.ExitStack() as stack:
        turns = [_Turns(one, load) for one in contestants]
        for one in turns:
            one.begin()
            stack.callback(one.give_up)
        for order in range(2 * max(1, round(seconds / TURN_SECONDS / 2))):
            for one in reversed(turns) if order % 2 else turns:
                one.take()
        return [one.end(number) for one in turns]


class _Turns:
    """One contestant's turns. It is stopped in between, and so is its client."""

    def __init__(self, contestant: Contestant, load: Load) -> None:
        """Load it for a second without turns."""
        self._contestant = contestant
        self._load = load
        self._name = f"turns-{contestant.name}"
        self._plain = wrk.measure(contestant.url, contestant.body, self._name, load.connections, _PLAIN_SECONDS)
        contestant.server.trim_log()

    def begin(self) -> None:
        """Start its client, and stop both."""
        one = self._contestant
        self._pids = [process.pid for process in one.server.processes()]
        self._usage = one.server.usage()
        self._client = wrk.start(one.url, one.body, self._name, self._load.connections, _MOST_SECONDS)
        self._seconds = 0.0
        self._stop()

    def take(self) -> None:
        """Have one turn."""
        began = time.perf_counter()
        self._go_on()
        time.sleep(TURN_SECONDS)
        self._stop()
        self._seconds += time.perf_counter() - began

    def end(self, number: int) -> Sample:
        """What was measured. The server goes on."""
        one, plain = self._contestant, self._plain
        client_cpu = wrk.children_cpu()
        output = self._told()
        self._go_on()
        found = wrk.parse(output, wrk.children_cpu() - client_cpu)
        usage = one.server.usage()
        return Sample(
            peer=one.name,
            round=number,
            load=self._load,
            per_second=found.requests / self._seconds,
            p50=plain.p50,
            p90=plain.p90,
            p99=plain.p99,
            longest=plain.longest,
            errors=plain.errors + found.errors,
            socket_errors=plain.socket_errors + found.socket_errors,
            server_cores=(usage.cpu_seconds - self._usage.cpu_seconds) / self._seconds,
            client_cores=found.client_cpu_seconds / self._seconds,
            other_cores=0.0,
            rss_mib=usage.rss_bytes / 2**20,
        )

    def _told(self) -> str:
        """What the client says at its end, while its server is still stopped, so that nothing more comes.

        Raises:
            RuntimeError: it does not end.

        """
        self._client.send_signal(signal.SIGCONT)
        for _ in range(_TRIES):  # an interrupt that another of its threads takes than the first ends nothing
            self._client.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._client.communicate(timeout=_TRY_SECONDS)[0]
        raise RuntimeError("wrk does not end when it is interrupted")

    def give_up(self) -> None:
        """Leave nothing stopped, and no client behind; after `end` there is none."""
        self._go_on()
        if self._client.poll() is None:
            self._client.kill()
            self._client.communicate()

    def _stop(self) -> None:
        self._tell(signal.SIGSTOP)

    def _go_on(self) -> None:
        self._tell(signal.SIGCONT)

    def _tell(self, what: signal.Signals) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)
        self._client.send_signal(what)
