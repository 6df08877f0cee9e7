"""What metrics, log, keys, limits and traces cost a `/classify` request in the gateway's own process: `python -m tests.cost`.

The real protocol and app over fakes: no socket, no hop, no other process. The variants take turns and the least of many
measurements counts, so that it says something on a busy machine too. What clients see is measured by `make bench ARGS=--cost`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from services.gateway.control.identity import Identity
from services.http_protocol import HttpProtocol
from services.runtime import settle_garbage_collector
from services.settings.telemetry import LogsSettings, TracingSettings
from services.telemetry.access_log import AccessLog
from services.telemetry.line_writer import LineWriter
from services.telemetry.tracing import create_tracing
from tests.fakes import FakeClassifier
from tests.gateway import Bundle
from tests.keys import control_over, make_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from services.telemetry.access_log import AccessLine

_CONNECTIONS = 32
_TURNS, _TIMES = 40, 30
_MANY = 10**9
_BODY = b'{"model":"flowers","rows":[{"height":1.5,"width":2.5,"age":3}]}'
_LIMIT = {"requests_per_minute": _MANY}
_KEYS = {"log": True, "keys": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "nothing": {"counts": False},
    "metrics": {},
    "+ access log": {"log": True},
    "+ keys": _KEYS,
    "+ a limit a minute": _KEYS | {"limits": {"caller": _LIMIT}},
    "+ tracing, none sampled": _KEYS | {"limits": {"caller": _LIMIT}, "sampled": 0.0},
    "+ tracing, 1 % sampled": _KEYS | {"limits": {"caller": _LIMIT}, "sampled": 0.01},
    "untraced, a limit that workers share in a file": _KEYS | {"limits": {"caller": _LIMIT}, "shared": True},
    "untraced, limits also at once and on the model": _KEYS
    | {"limits": {"caller": _LIMIT | {"concurrent_requests": _MANY}, "caller_models": {"flowers": _LIMIT}}},
}


class Transport(asyncio.Transport):
    """Takes an answer and keeps it."""

    last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        Transport.last = bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 3000)}.get(name, default)


class _Classifier(FakeClassifier):
    """Answers at once and keeps nothing."""

    async def predict(self, spec: Any, payloads: Sequence[Any]) -> Any:
        return [[[0.5, 0.5]]] * len(payloads)


async def prepare(
    folder: Path,
    *,
    counts: bool = True,
    log: bool = False,
    keys: bool = False,
    limits: dict[str, Any] | None = None,
    sampled: float | None = None,
    shared: bool = False,
) -> Callable[[int], Awaitable[None]]:
    """What asks such a gateway so many times on each connection."""
    counting = (limits or {}) | ({"ledger": folder / "ledger"} if shared else {})
    control, store = control_over(folder, **counting)
    secret = await make_key(store, "bench") if keys else ""
    identity = control._identity
    assert isinstance(identity, Identity)
    await identity.refresh()
    settings = TracingSettings(endpoint="http://127.0.0.1:9", sample_ratio=sampled or 0.0)
    tracing = create_tracing(settings, "cost") if sampled is not None else None
    bundle = Bundle(classifier=_Classifier(), control=control, tracing=tracing)
    telemetry: Any = bundle.telemetry
    telemetry._log = AccessLog(LogsSettings(), LineWriter(os.open(os.devnull, os.O_WRONLY))) if log else None
    if not counts:
        telemetry.begin, telemetry.end = _begin, _end
    await bundle.monitor.look()
    config = uvicorn.Config(bundle.app, lifespan="off", log_config=None)
    config.load()
    connections = [HttpProtocol(config=config, server_state=ServerState(), app_state={}) for _ in range(_CONNECTIONS)]
    for one in connections:
        one.connection_made(Transport())
    key = b"authorization: Bearer %s\r\n" % secret.encode() if keys else b""
    head = b"POST /classify HTTP/1.1\r\nhost: 127.0.0.1:3000\r\ncontent-type: application/json\r\n"
    request = b"%b%bcontent-length: %d\r\n\r\n%b" % (head, key, len(_BODY), _BODY)

    async def ask(times: int) -> None:
        for _ in range(times):
            for one in connections:
                one.data_received(request)
            while any(not one.cycle.response_complete for one in connections):  # noqa: ASYNC110 - let the loop turn
                await asyncio.sleep(0)
        telemetry.flush()

    await ask(20)
    assert Transport.last.startswith(b"HTTP/1.1 200 "), Transport.last
    return ask


def _begin(line: AccessLine, headers: Any = ()) -> float:
    return 0.0


def _end(began: float, line: AccessLine) -> None:
    """Note nothing."""


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(at) for at in range(len(VARIANTS))]
        asks = [await prepare(folder, **variant) for folder, variant in zip(folders, VARIANTS.values(), strict=True)]
        settle_garbage_collector()
        least = [float("inf")] * len(asks)
        for _ in range(_TURNS):
            for at, ask in enumerate(asks):
                began = time.process_time()
                await ask(_TIMES)
                least[at] = min(least[at], (time.process_time() - began) / (_TIMES * _CONNECTIONS) * 1e6)
    print("CPU microseconds a request, and how much of it is more than with nothing")
    for title, one in zip(VARIANTS, least, strict=True):
        print(f"{title:<48}{one:6.1f}{one - least[0]:+7.1f}")


if __name__ == "__main__":
    uvloop.run(main())
    os._exit(0)  # without waiting for a collector that is not there
