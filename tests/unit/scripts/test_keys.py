from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from scripts.keys import main
from services.gateway.control.keys import digest_of
from services.gateway.control.keys_file import FileKeys

if TYPE_CHECKING:
    from pathlib import Path


def test_command_line_shows_a_secret_once_and_never_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = FileKeys(tmp_path / "keys.json")
    created = ["create", "batch", "--scope", "infer", "--model", "iris", "--expires", "90d"]
    created += ["--requests-per-minute", "60"]
    assert main(created, store) == 0
    secret = capsys.readouterr().out.strip()
    (made,) = store.read()
    assert made.digest == digest_of(secret.encode()).hex()
    assert (made.scopes, made.models, made.limits.requests_per_minute) == (("infer",), ("iris",), 60)
    assert made.expires == pytest.approx(time.time() + 90 * 86_400, abs=60)
    assert main(["list"], FileKeys(tmp_path / "keys.json")) == 0
    listed = capsys.readouterr().out
    assert "batch" in listed
    assert "60 requests/min" in listed
    assert secret not in listed
    assert made.digest not in listed
    assert main(created, store) == 1
    assert "already" in capsys.readouterr().err


def test_command_line_rotates_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = FileKeys(tmp_path / "keys.json")
    main(["create", "one", "--model", "iris"], store)
    old = capsys.readouterr().out.strip()
    assert main(["rotate", "one"], store) == 0
    new = capsys.readouterr().out.strip()
    (made,) = store.read()
    assert made.digest == digest_of(new.encode()).hex() != digest_of(old.encode()).hex()
    assert made.models == ("iris",)
    assert main(["rotate", "one", "--overlap", "1h"], store) == 0
    both = sorted(store.read(), key=lambda one: one.created)
    assert both[0].expires == pytest.approx(time.time() + 3600, abs=60)
    assert both[1].expires is None
    assert main(["revoke", "one"], store) == 0
    assert store.read() == ()
    assert main(["revoke", "one"], store) == 1
    assert "no key 'one'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", ["create ../x", "create x --expires soon", "create x --requests-per-minute 0", "create"]
)
def test_command_line_refuses_nonsense(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SystemExit):
        main(wrong.split(), FileKeys(tmp_path / "keys.json"))
