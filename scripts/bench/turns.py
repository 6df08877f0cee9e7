"""Servers that are measured by turns of some hundredths of a second, so that whatever the machine does meanwhile hits all of them alike.

While one has its turn, the others and their clients are stopped: what a server does in the background, as to write its log or to send
spans, falls into its own turns, and what it does once in a while, more often a request than if it ran alone. Waiting alone is free while
one rests, so this is for servers that are busy all the time. Speeds are of the turns. Latencies are of a second before them, which
nothing interrupts.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scripts.bench import machine, wrk
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
_SLACK_SECONDS = 60


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

    Raises:
        RuntimeError: a client failed.

    """
    count = 2 * math.ceil(seconds / TURN_SECONDS / 2)
    most = 2 * count * TURN_SECONDS * len(contestants) + _SLACK_SECONDS
    with contextlib.ExitStack() as stack:
        turns = [_Turns(one, load) for one in contestants]
        for one in turns:
            stack.callback(one.give_up)
            one.begin(most)
        began, machine_before = time.perf_counter(), machine.cpu_seconds()
        for order in range(count):
            for one in reversed(turns) if order % 2 else turns:
                one.take()
        elapsed, used = time.perf_counter() - began, machine.cpu_seconds() - machine_before
        samples = [one.end(number) for one in turns]
        own = sum(one.cpu_seconds for one in turns)
        return [replace(one, other_cores=max(0.0, used - own) / elapsed) for one in samples]


class _Turns:
    """One contestant's turns. It is stopped in between, and so is its client."""

    def __init__(self, contestant: Contestant, load: Load) -> None:
        """Load it for a second without turns."""
        self._contestant = contestant
        self._load = load
        self._name = f"turns-{contestant.name}"
        self._plain = wrk.measure(contestant.url, contestant.body, self._name, load.connections, _PLAIN_SECONDS)
        contestant.server.trim_log()
        self._pids = [process.pid for process in contestant.server.processes()]
        self._usage = contestant.server.usage()
        self._client: subprocess.Popen[str] | None = None
        self._seconds = 0.0
        self.cpu_seconds = 0.0
        """What server and client used, once the turns have ended."""

    def begin(self, most: float) -> None:
        """Start its client, which ends after so many seconds that nobody has ended it, and stop both."""
        one = self._contestant
        self._client = wrk.start(one.url, one.body, self._name, self._load.connections, most)
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
        server_cpu = one.server.usage().cpu_seconds - self._usage.cpu_seconds
        client_cpu = wrk.children_cpu()
        output = self._told()
        self._go_on()
        found = wrk.parse(output, wrk.children_cpu() - client_cpu)
        self.cpu_seconds = server_cpu + found.client_cpu_seconds
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
            server_cores=server_cpu / self._seconds,
            client_cores=found.client_cpu_seconds / self._seconds,
            other_cores=0.0,
            rss_mib=one.server.usage().rss_bytes / 2**20,
        )

    def _told(self) -> str:
        """What the client says at its end, while its server is still stopped, so that nothing more comes.

        Raises:
            RuntimeError: it has ended before, or does not end.

        """
        client = self._client
        assert client is not None
        if client.poll() is not None:
            raise RuntimeError(f"wrk ended in the midst of its turns, with status {client.returncode}")
        client.send_signal(signal.SIGCONT)
        for _ in range(_TRIES):  # an interrupt that another of its threads takes than the first ends nothing
            client.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return client.communicate(timeout=_TRY_SECONDS)[0]
        raise RuntimeError("wrk does not end when it is interrupted")

    def give_up(self) -> None:
        """Leave nothing stopped, and no client behind; after `end` there is none."""
        self._go_on()
        client = self._client
        if client is not None and client.stdout is not None and not client.stdout.closed:
            client.kill()
            client.communicate()

    def _stop(self) -> None:
        self._tell(signal.SIGSTOP)

    def _go_on(self) -> None:
        self._tell(signal.SIGCONT)

    def _tell(self, what: signal.Signals) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)
        if self._client is not None:
            self._client.send_signal(what)
