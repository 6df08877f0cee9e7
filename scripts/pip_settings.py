"""The machine's pip configuration, said in uv's words: mirrors, find-links folders, certificates and proxies.

uv reads none of pip's files and variables, and a mirror behind a company's wall is often known to pip alone.
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import ast
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECTIONS = ("global", "install", ":env:")
"""pip's sections that decide about an installation; a later one wins."""


def read_pip_config(python: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Options such as `index-url` and their values, as the pip of `python` sees them; empty where it cannot tell."""
    command = [str(python), "-m", "pip", "config", "list"]
    answer = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    return parse_pip_config(answer.stdout) if answer.returncode == 0 else {}


def parse_pip_config(listing: str) -> dict[str, str]:
    """Reads what `pip config list` prints: lines like `global.index-url='https://mirror/simple'`."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        key, separator, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if separator and section in found:
            found[section][option] = str(ast.literal_eval(value))
    return {option: value for section in _SECTIONS for option, value in found[section].items()}


def uv_settings(pip: Mapping[str, str], env: Mapping[str, str], *, system_certificates: bool) -> dict[str, str]:
    """Environment variables for uv that mean what `pip` means. A variable that `env` already has is left alone.

    `system_certificates` says whether the machine has a certificate store; pip trusts it, so uv may.
    """
    links = _words(pip.get("find-links"))
    extra = _words(pip.get("extra-index-url"))
    trusts_system = system_certificates and "cert" not in pip and "SSL_CERT_FILE" not in env
    said = {
        "UV_FIND_LINKS": ",".join(links),
        "UV_DEFAULT_INDEX": pip.get("index-url"),
        "UV_INDEX": " ".join(extra),
        # uv would stop at the first index that knows a name; pip takes the best of all of them.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else None,
        "UV_INSECURE_HOST": " ".join(_words(pip.get("trusted-host"))),
        "SSL_CERT_FILE": pip.get("cert"),
        "UV_SYSTEM_CERTS": "true" if trusts_system else None,
        "UV_HTTP_TIMEOUT": pip.get("default-timeout") or pip.get("timeout"),
        "ALL_PROXY": pip.get("proxy"),
    }
    return {name: value for name, value in said.items() if value and name not in env}


def uv_flags(pip: Mapping[str, str]) -> list[str]:
    """What uv takes from pip's settings only on its command line."""
    return ["--no-index"] if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []


def _words(value: str | None) -> list[str]:
    return value.split() if value else []
