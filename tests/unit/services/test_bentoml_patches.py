"""What middleware is left out, in a Python of its own each, for a patch cannot be taken back; and how the supervisor stops."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from _bentoml_impl.server import serving
from _bentoml_impl.server.serving import API_SERVER_NAME
from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter
from circus.sighandler import SysHandler

from services import bentoml_patches

ROOT = Path(__file__).parent.parent.parent.parent
bentoml_patches.apply()

APP = """
import json
import bentoml

@bentoml.service
class Plain:
    @bentoml.api
    def hello(self) -> str:
        return "hello"

def middleware():
    return [entry.cls.__name__ for entry in Plain.to_asgi().user_middleware]
"""


def middleware_of(*lines: str) -> list[list[str]]:
    """What `print(json.dumps(middleware()))` printed, each time that `lines` say it."""
    code = "\n".join((APP, *lines))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_left_out_middleware_is_what_bentoml_has_and_is_gone() -> None:
    show, apply = "print(json.dumps(middleware()))", "from services import bentoml_patches; bentoml_patches.apply()"
    before, once, twice = middleware_of(show, apply, show, apply, show)
    assert set(before) >= bentoml_patches.LEFT_OUT, "BentoML renamed what is left out: the patch does nothing now"
    assert once == [name for name in before if name not in bentoml_patches.LEFT_OUT]
    assert once, "the others stay"
    assert twice == once


FRONT = """
import bentoml
from services import bentoml_patches
from services.asgi import use_front
from services.runtime import SERVICE_OPTIONS
bentoml_patches.apply()

@bentoml.service(**SERVICE_OPTIONS)
class Fronted:
    pass

class Outer:
    pass

def names(app):
    return [entry.cls.__name__ for entry in app.user_middleware]

use_front(Fronted)
app = Fronted.to_asgi()
print(type(app).__name__, *names(app._bentoml_app))
Fronted.middlewares.insert(0, (Outer, {}))
print(*names(Fronted.to_asgi()))
"""


def test_front_stands_around_bentomls_app_unless_other_middleware_stands_before_it() -> None:
    done = subprocess.run([sys.executable, "-c", FRONT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "FrontMiddleware ContextMiddleware",
        "Outer FrontMiddleware ContextMiddleware",
    ]


def test_uvicorn_serves_through_our_protocol() -> None:
    code = "from services import bentoml_patches; bentoml_patches.apply(); import uvicorn\n"
    code += "config = uvicorn.Config('service:none', lifespan='off')\n"
    code += "config.app = lambda: None\nconfig.load()\nprint(config.http_protocol_class.__module__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "services.http_protocol"


WATCHED = """
import os, signal, sys
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.watcher import Watcher
from services import bentoml_patches
bentoml_patches.apply()
respawn = sys.argv[1] == "respawn"
watcher = Watcher(name="w", cmd="sleep", args=["600"], numprocesses=2, respawn=respawn, use_sockets=False)
arbiter = create_standalone_arbiter([watcher], check_delay=0.05)
first = []

def look():
    if not first and watcher.is_active() and len(watcher.processes) == 2:
        first.extend(watcher.processes)
        os.kill(first[0], signal.SIGKILL)
    if first and len(watcher.processes) == 2 and first[0] not in watcher.processes:
        print("replaced", flush=True)
        for worker in watcher.processes:
            os.kill(worker, signal.SIGKILL)
        os._exit(0)
    arbiter.loop.call_later(0.05, look)

arbiter.loop.call_later(0.05, look)
arbiter.start()
"""


@pytest.mark.parametrize(("mode", "printed", "said"), [("respawn", "replaced", ""), ("end", "", "No active process")])
def test_a_lost_worker_is_replaced_or_ends_its_service(mode: str, printed: str, said: str) -> None:
    command = [sys.executable, "-c", WATCHED, mode]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == printed, done.stderr
    assert said in done.stderr
    assert (done.returncode == 0) is (mode == "respawn")


def test_every_service_of_the_bundle_is_built_without_it() -> None:
    code = "from service import Gateway\nfrom _bentoml_impl.server.app import ServiceAppFactory\n"
    code += "print(ServiceAppFactory.middlewares.fget.tandem)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_other_release_of_bentoml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bentoml_patches, "version", lambda _: "1.4.40")
    with pytest.raises(RuntimeError, match=r"1\.4\.39 and found 1\.4\.40"):
        bentoml_patches.apply()


def test_pinned_version_is_the_one_that_is_required() -> None:
    chosen = (ROOT / "requirements" / "cpu.in").read_text(encoding="utf-8")
    assert f"bentoml=={bentoml_patches.BENTOML_VERSION}" in chosen


class Watcher:
    """Stands for circus' own."""

    def __init__(self, name: str, ended: list[str]) -> None:
        self.name = name
        self.graceful_timeout = 86_400.0
        self.stop_signal = signal.SIGTERM
        self.stop_children = True
        self._ended = ended

    async def _stop(self, _close_output_streams: bool) -> None:
        await asyncio.sleep(0)
        self._ended.append(self.name)


async def test_entry_service_ends_before_its_address_and_before_what_it_depends_on() -> None:
    ended: list[str] = []
    names = ("service_Classifier", "service_LLM", bentoml_patches.ENTRY_WATCHER)
    watchers = [Watcher(name, ended) for name in names]
    sockets = {API_SERVER_NAME: SimpleNamespace(close=lambda: ended.append("address"))}
    with ExitStack() as stack:
        stack.callback(lambda: ended.append("sockets of the dependencies"))
        arbiter = SimpleNamespace(watchers=watchers, sockets=sockets, exit_stack=stack)
        await Arbiter._stop_watchers(arbiter, close_output_streams=True)
    assert ended[:2] == ["service", "address"]
    assert set(ended[2:4]) == {"service_Classifier", "service_LLM"}
    assert ended[4:] == ["sockets of the dependencies"]
    assert all(watcher.graceful_timeout < 3600 for watcher in watchers)


def test_supervisor_that_is_stopped_stops_its_processes_as_circus_does() -> None:
    assert "_stop_watchers" in vars(CircusArbiter), "circus renamed what is replaced: the patch does nothing now"
    assert Arbiter.stop is CircusArbiter.stop
    assert "self._stop_watchers(close_output_streams=True)" in inspect.getsource(CircusArbiter)


def test_ctrl_c_asks_the_entry_service_to_hurry() -> None:
    assert "handle_int" in vars(SysHandler)
    watchers = [Watcher("service_LLM", []), Watcher(bentoml_patches.ENTRY_WATCHER, [])]
    quit_asked: list[bool] = []
    handler = SimpleNamespace(
        controller=SimpleNamespace(arbiter=SimpleNamespace(watchers=watchers)), quit=lambda: quit_asked.append(True)
    )
    SysHandler.handle_int(handler)
    assert [watcher.stop_signal for watcher in watchers] == [signal.SIGTERM, bentoml_patches.HURRY]
    assert quit_asked == [True]


def test_every_server_counts_in_a_folder_of_its_own(tmp_path: Path) -> None:
    assert "from bentoml.serving import ensure_prometheus_dir" in inspect.getsource(serving.serve_http)
    code = "from services import bentoml_patches; bentoml_patches.apply()\nimport bentoml.serving, os\n"
    code += "folders = [bentoml.serving.ensure_prometheus_dir() for _ in range(2)]\n"
    code += "print(*folders, *map(os.listdir, folders))"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    first, second, *inside = done.stdout.split()
    assert Path(first).parent == Path(second).parent == tmp_path
    assert first != second
    assert inside == ["[]", "[]"]
    assert not list(tmp_path.iterdir()), "gone with the server"
