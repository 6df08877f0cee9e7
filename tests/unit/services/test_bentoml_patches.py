"""Each in a Python of its own, for a patch cannot be taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services import bentoml_patches

ROOT = Path(__file__).parent.parent.parent.parent

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


def test_uvicorn_serves_through_our_protocol() -> None:
    code = "from services import bentoml_patches; bentoml_patches.apply(); import uvicorn\n"
    code += "config = uvicorn.Config('service:none', lifespan='off')\n"
    code += "config.app = lambda: None\nconfig.load()\nprint(config.http_protocol_class.__module__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "services.http_protocol"


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
