"""One virtual environment a peer, made by uv from its pinned requirements and kept while they do not change."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from scripts.bench.paths import PEERS, WORK
from scripts.pip_settings import read_pip_config, uv_flags, uv_settings

DEBIAN_PYTHON = "/usr/bin/python3.11"
"""The only interpreter that Triton's Python backend (inside the pytriton wheel) can embed as it is."""


class Unavailable(Exception):
    """A peer cannot run on this machine; the message says why and goes into the report."""


def python_of(peer: str) -> Path:
    """Interpreter inside a peer's environment, whether built yet or not."""
    return WORK / peer / "venv" / "bin" / "python"


def fingerprint(requirements: bytes, interpreter: str) -> str:
    """What an environment depends on, as a short hash."""
    return hashlib.sha256(requirements + interpreter.encode()).hexdigest()[:16]


def ensure(peer: str, *, interpreter: str | None = None) -> Path:
    """Build the environment of a peer unless the one there is current; returns its interpreter.

    Raises:
        Unavailable: the interpreter is missing or the requirements do not install.

    """
    base = interpreter or str(getattr(sys, "_base_executable", sys.executable))
    if not shutil.which(base):
        raise Unavailable(f"{base} is not on this machine")
    requirements = PEERS / peer / "requirements.txt"
    wanted = fingerprint(requirements.read_bytes(), f"{base} {platform.python_version()}")
    home = WORK / peer
    stamp = home / "fingerprint"
    python = python_of(peer)
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"{peer}: building its environment (once)", flush=True)
    home.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    _run([_uv(), "venv", "--quiet", "--clear", "--python", base, str(home / "venv")], peer)
    install = [_uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    _run([*install, "-r", str(requirements)], peer)
    stamp.write_text(wanted)
    return python


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise Unavailable("uv is not installed; `pip install uv` in this environment")
    return found


def _run(command: list[str], peer: str) -> None:
    env = dict(os.environ)
    pip = read_pip_config(Path(sys.executable), env)
    if command[1] == "pip":
        env |= uv_settings(pip, env, system_certificates=bool(ssl.get_default_verify_paths().cafile))
        command = [*command, *uv_flags(pip)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode:
        raise Unavailable(f"the environment of {peer} could not be built: {done.stderr.strip()[-400:]}")
