"""Where the build finds packages: this machine's pip and uv settings, as secrets and folders that exist while it runs.

Nothing of it stays in the image: secrets are mounted, and the stage that sees them is thrown away.
"""

from __future__ import annotations

import re
import shlex
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.pip_settings import uv_flags, uv_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SECRETS = "/run/secrets"
_CACHE = "/var/cache/tandem-uv"
_UV = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|INSECURE_HOST|HTTP_TIMEOUT"
    r"|TORCH_BACKEND|INDEX_\w+_(USERNAME|PASSWORD))"
)
"""uv's own variables that say where packages come from. Those with places of this machine stay out."""
_READ_FROM = {
    "certificates": ("SSL_CERT_FILE", "PIP_CERT"),
    "uv-config": ("UV_CONFIG_FILE",),
    "netrc": ("NETRC",),
}
"""Variables that name a secret file to uv and pip."""
_PIP = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "no-index", "timeout", "default-timeout")


def variables(
    pip: Mapping[str, str], env: Mapping[str, str], files: Iterable[str], *, torch_is_found: bool
) -> dict[str, str]:
    """What the build's shell sets, for `pip`'s configuration, the environment `env` and the secret `files` that it has.

    `torch_is_found` says that the places which are configured have torch's CPU build.
    """
    said = {name: value for name, value in env.items() if _UV.fullmatch(name)}
    said |= uv_settings(pip, env, system_certificates=False)
    said |= {f"PIP_{name.upper().replace('-', '_')}": pip[name] for name in _PIP if name in pip}
    said |= {name: f"{_SECRETS}/{file}" for file in files for name in _READ_FROM[file]}
    if torch_is_found:
        said["UV_TORCH_BACKEND"] = ""
    if flags := uv_flags(pip):
        said["INSTALL_FLAGS"] = " ".join(flags)
    return said


def script(said: Mapping[str, str]) -> str:
    """A piece of shell that sets what is `said`; what is said to be empty is unset."""
    lines = [
        f"export {name}={shlex.quote(value)}" if value else f"unset {name}" for name, value in sorted(said.items())
    ]
    return "".join(f"{line}\n" for line in lines)


def secret_files(pip: Mapping[str, str], env: Mapping[str, str], home: Path) -> dict[str, Path]:
    """Files that the build may read, by the name that it knows them by."""
    candidates = {
        "certificates": (pip.get("cert"), env.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile),
        "uv-config": (env.get("UV_CONFIG_FILE"), home / ".config" / "uv" / "uv.toml", "/etc/uv/uv.toml"),
        "netrc": (env.get("NETRC"), home / ".netrc"),
    }
    found = {
        name: [Path(path) for path in paths if path and Path(path).is_file()] for name, paths in candidates.items()
    }
    return {name: paths[0] for name, paths in found.items() if paths}


def folders(said: Mapping[str, str], uv_cache: Path | None) -> dict[Path, str]:
    """Folders of this machine that the build needs, and where it sees them."""
    found = {folder: f"{folder}:ro" for folder in sorted(set(_local_folders(said)))}
    return found | ({uv_cache: _CACHE} if uv_cache is not None else {})


def _local_folders(said: Mapping[str, str]) -> Iterator[Path]:
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        for word in re.split(r"[\s,]+", said.get(name, "")):
            url = urlsplit(word)
            path = Path(url.path if url.scheme == "file" else word)
            if word and url.scheme in {"", "file"} and path.is_dir():
                # An index leads from `simple` to files beside it.
                yield path.resolve().parent if path.name == "simple" else path.resolve()
