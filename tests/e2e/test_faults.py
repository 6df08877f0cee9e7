"""Two gateways before one Classifier: what their clients see when a disk is full, Redis is gone, the clock jumps, a thousand
connections idle, and when each gateway is replaced in turn. Neither has a language model.

`test_recovery.py` has what dies or hangs behind a gateway.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.rows import CLASSIFY
from tests.e2e.server import PROJECT, Server, free_port
from tests.haproxy import HAProxy
from tests.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
IDLE = 1000
HOUR = 3600


class Pair:
    """The two gateways, the Classifier and the Redis that counts for both."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._folder = folder
        self.redis = RedisServer(folder)
        self.redis.start()
        self.clock = folder / "clock"
        self.set_clock(0)
        self.classifier = Server("", PROJECT, home, folder / "classifier.log", role="classifier")
        self.gateways = {"strict": self.start("strict"), "open": self.start("open")}

    def start(self, name: str, port: int = 0) -> Server:
        """A gateway: "strict" lets nobody in without Redis and cannot write its log, "open" has a clock that can be set."""
        env = {
            "TANDEM_GATEWAY__CLASSIFIER_URL": self.classifier.url,
            "TANDEM_GATEWAY__LLM_URL": f"http://127.0.0.1:{free_port()}",
            "TANDEM_GATEWAY__READY_WHEN": "any",
            "TANDEM_AUTH": "off",
            "TANDEM_REDIS__URL": self.redis.url,
            "TANDEM_REDIS__TIMEOUT": "2",
            "TANDEM_LIMITS__CALLER__REQUESTS_PER_MINUTE": "1000000",
            "TANDEM_DRAIN__DELAY": "3",
        }
        if name == "strict":
            return Server("", PROJECT, self._home, Path("/dev/full"), env, role="gateway", port=port)
        env["TANDEM_LIMITS__ON_STORE_FAILURE"] = "fail_open"
        if FAKETIME is not None:
            env |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_CACHE_DURATION": "1",
            }
        return Server("", PROJECT, self._home, self._folder / f"{name}-{port}.log", env, role="gateway", port=port)

    def set_clock(self, seconds: int) -> None:
        """Let the clock of the open gateway be so many seconds off."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self.clock)

    def stop(self) -> None:
        for server in (*self.gateways.values(), self.classifier):
            server.stop()
        self.redis.stop()


@pytest.fixture(scope="module")
def pair(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    own_home = tmp_path_factory.mktemp("home")
    (own_home / "models").symlink_to(home / "models")
    started = Pair(own_home, tmp_path_factory.mktemp("pair"))
    try:
        for gateway in started.gateways.values():
            gateway.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def idle(pair: Pair) -> Iterator[list[socket.socket]]:
    """As many connections to the strict gateway, none of which asks for anything."""
    address = ("127.0.0.1", pair.gateways["strict"].port)
    opened = [socket.create_connection(address, timeout=30) for _ in range(IDLE)]
    yield opened
    for connection in opened:
        connection.close()


def statuses(server: Server, count: int, **headers: str) -> Counter[int]:
    return Counter(server.http.post("/classify", json=CLASSIFY, headers=headers).status_code for _ in range(count))


def test_connections_that_idle_are_in_nobodys_way(pair: Pair, idle: list[socket.socket]) -> None:
    assert statuses(pair.gateways["strict"], 50) == {200: 50}
    assert pair.gateways["strict"].http.get("/readyz").status_code == 200


def test_full_disk_loses_log_lines_and_no_request(pair: Pair) -> None:
    server = pair.gateways["strict"]
    assert statuses(server, 50) == {200: 50}
    server.wait_for(lambda: server.metric("tandem_log_lines_dropped_total") >= 50, 30)
    assert statuses(server, 50) == {200: 50}


def test_without_redis_each_gateway_keeps_to_its_policy_and_recovers(pair: Pair) -> None:
    strict, lenient = pair.gateways["strict"], pair.gateways["open"]
    pair.redis.stop()
    try:
        refused = strict.http.post("/classify", json=CLASSIFY)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert statuses(lenient, 20) == {200: 20}
        assert strict.http.get("/livez").status_code == 200
    finally:
        pair.redis.start()
    strict.wait_for(lambda: statuses(strict, 1) == {200: 1}, 30)
    assert statuses(lenient, 20) == {200: 20}


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_clock_that_jumps_changes_nothing(pair: Pair, seconds: int) -> None:
    server = pair.gateways["open"]
    before = server.metric("tandem_request_duration_seconds_sum")
    pair.set_clock(seconds)
    try:
        server.wait_for(lambda: abs(_told(server) - time.time() - seconds) < HOUR / 2, 30)
        assert statuses(server, 20, **{"x-request-timeout": "30"}) == {200: 20}
        late = server.http.post("/classify", json=CLASSIFY, headers={"x-request-timeout": "0.0000001"})
        assert late.status_code == 504
        assert server.http.get("/readyz").status_code == 200
        assert 0 <= server.metric("tandem_request_duration_seconds_sum") - before < HOUR / 2
    finally:
        pair.set_clock(0)


def _told(server: Server) -> float:
    """The time that a server believes it is."""
    return parsedate_to_datetime(server.http.get("/livez").headers["date"]).timestamp()


def test_connections_that_idle_are_closed(idle: list[socket.socket]) -> None:
    watched = select.poll()
    for connection in idle:
        watched.register(connection, select.POLLIN)
    deadline = time.monotonic() + 90
    left = len(idle)
    while left and time.monotonic() < deadline:
        for number, _ in watched.poll(1000):
            watched.unregister(number)
            left -= 1
    assert not left


class Asking:
    """Clients that ask through an address for a prediction, again and again, and keep what they hear."""

    def __init__(self, url: str, clients: int) -> None:
        self._url = url
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._running = [self._pool.submit(self._ask) for _ in range(clients)]

    def end(self) -> Counter[str]:
        """Ask no more; how often each outcome was heard."""
        self._over.set()
        heard: Counter[str] = Counter()
        for one in self._running:
            heard += one.result(60)
        self._pool.shutdown()
        return heard

    def _ask(self) -> Counter[str]:
        heard: Counter[str] = Counter()
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._over.wait(0.01):
                try:
                    answer = client.post("/classify", json=CLASSIFY)
                    heard[f"{answer.status_code} {'' if answer.is_success else answer.text}"] += 1
                except httpx.TransportError as error:
                    heard[repr(error)] += 1
        return heard


def test_gateways_are_replaced_in_turn_without_a_failed_request(pair: Pair, tmp_path: Path) -> None:
    proxy = HAProxy(tmp_path, {name: server.port for name, server in pair.gateways.items()})
    try:
        for name in pair.gateways:
            proxy.wait_for(name, "UP")
        asking = Asking(proxy.url, 4)
        try:
            for name, server in list(pair.gateways.items()):
                server.terminate()
                assert server.wait_stopped(90) == 0
                server.stop()
                pair.gateways[name] = pair.start(name, server.port)
                pair.gateways[name].wait_ready()
                proxy.wait_for(name, "UP")
        finally:
            heard = asking.end()
    finally:
        proxy.stop()
    assert heard.keys() == {"200 "}
    assert heard["200 "] > 20


def test_ctrl_c_is_quick_and_quiet(pair: Pair) -> None:
    """Runs last: nobody is told first, though load balancers would be given three seconds."""
    server = pair.gateways["open"]
    os.kill(server.processes()[0].pid, signal.SIGINT)
    assert server.wait_stopped(60) == 0
    said = server.tail(200)
    assert "Traceback" not in said
    assert "Aborted" not in said
    assert said.rstrip().endswith("Stopped.")
