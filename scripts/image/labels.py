"""What the image says of itself: version, source and licence, under OCI's own names."""

from __future__ import annotations

import re
import subprocess
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = "org.opencontainers.image."


def labels(root: Path, base: str, source: str = "") -> dict[str, str]:
    """The labels for an image of the checkout in `root` on the image `base`.

    `source` is the address that the code is published at; by default that of the git remote, where it has one.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    said = {
        "version": project["version"],
        "licenses": project["license"],
        "source": source or _published(_git(root, "remote", "get-url", "origin")),
        "revision": _revision(root),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "base.name": base,
    }
    return {f"{_PREFIX}{name}": value for name, value in said.items() if value}


def _revision(root: Path) -> str:
    commit = _git(root, "rev-parse", "HEAD")
    return f"{commit}-changed" if commit and _git(root, "status", "--porcelain", "--untracked-files=no") else commit


def _published(remote: str) -> str:
    """A remote as others may know it: an address, without whatever name and password it has; "" for a folder."""
    if shell := re.fullmatch(r"(?:\w+@)([\w.-]+):(?!/)(.+)", remote):
        return f"https://{shell[1]}/{shell[2]}"
    url = urlsplit(remote)
    if url.scheme not in {"http", "https", "ssh", "git"} or not url.hostname:
        return ""
    port = f":{url.port}" if url.port and url.scheme in {"http", "https"} else ""
    return urlunsplit(("http" if url.scheme == "http" else "https", url.hostname + port, url.path, "", ""))


def _git(root: Path, *arguments: str) -> str:
    """What git answers; "" where it knows nothing, as outside a checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
