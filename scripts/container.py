"""What the image runs: `python -m scripts.container`, its entry point and process 1.

Without a command, or with options only, it serves (`scripts.serve`, on all addresses). `keys ...` and `models ...` run the
scripts of those names. Anything else goes to BentoML's own entry point, as BentoCloud and BentoML's users expect.

It makes the image work wherever it is started: read-only, as any user, with models of its own or a volume of somebody's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "0.0.0.0"  # noqa: S104 - published ports lead to the container's own address
VOLUME = Path("/models")
"""Where a volume with a model store is mounted."""
CACHE = Path("/cache")
"""Where a volume for downloaded language models is mounted."""
LEARNT = Path("/app/vllm-cache")
"""What vLLM learnt about the embedded model while the image was built."""
SECRET = "/run/secrets/tandem-keys.json"  # noqa: S105 - where keys are, not what they are

WAYS_OUT = """With this image:
  make a key:      docker run --rm --user "$(id -u)" -v "$PWD/keys:/keys" -e TANDEM_KEYS__FILE=/keys/tandem-keys.json IMAGE keys create NAME
  and mount it:    docker run --user "$(id -u)" -v "$PWD/keys:/run/secrets:ro" -p 3000:3000 -p 3001:3001 IMAGE
  or let all in:   docker run -e TANDEM_AUTH=off ..., where something else keeps strangers out"""


def environment(given: Mapping[str, str], cache: Path = CACHE) -> dict[str, str]:
    """What the container says itself where `given`, its environment, does not."""
    said = {
        "BENTOML_HOME": "/tmp/tandem",  # noqa: S108 - of the container alone
        "VLLM_CACHE_ROOT": "/tmp/vllm",  # noqa: S108 - likewise
        "TANDEM_KEYS__FILE": SECRET,
    }
    if os.access(cache, os.W_OK):
        said["HF_HOME"] = str(cache / "huggingface")
    return {name: value for name, value in said.items() if name not in given}


def settle_models(home: Path, volume: Path, shipped: Path) -> None:
    """Makes `home`/models the model store: the volume where it has models, else a copy of the shipped ones.

    An empty volume is filled with them, as Docker does with its own volumes.
    """
    store = home / "models"
    home.mkdir(parents=True, exist_ok=True)
    if store.exists():
        return
    store.unlink(missing_ok=True)  # a link to a volume that is there no more
    if volume.is_dir():
        if any(volume.iterdir()):
            store.symlink_to(volume)
            return
        if volume.is_mount() and os.access(volume, os.W_OK):
            shutil.copytree(shipped, volume, dirs_exist_ok=True)
            store.symlink_to(volume)
            return
    shutil.copytree(shipped, store)


def settle_vllm_cache(root: Path, learnt: Path) -> None:
    """Puts what was learnt while the image was built where vLLM looks, in `root`."""
    if learnt.is_dir():
        shutil.copytree(learnt, root, dirs_exist_ok=True)


def main(arguments: list[str]) -> int:
    """Runs what the container was asked for; returns the exit status."""
    # The kernel shields process 1 from signals that it has no handler for: a stop during the start would be lost.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bento = Path(os.environ["BENTO_PATH"])
    os.environ.update(environment(os.environ))
    command, *rest = arguments or [""]
    if command == "keys":
        from scripts import keys

        return keys.main(rest)
    settle_models(Path(os.environ["BENTOML_HOME"]), VOLUME, bento / "models")
    if command == "models":
        from scripts import models

        return int(models.main(rest, prog_name="models"))
    if command and not command.startswith("-"):
        os.execvp("bash", ["bash", str(bento / "env" / "docker" / "entrypoint.sh"), *arguments])  # noqa: S606
    settle_vllm_cache(Path(os.environ["VLLM_CACHE_ROOT"]), LEARNT)
    return _serve(arguments)


def _serve(options: list[str]) -> int:
    from scripts import serve
    from scripts.preflight import binding_problem, settings_problems

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", default=os.environ.get("PORT", "3000"))
    wanted, rest = parser.parse_known_args(options)
    problem = None if settings_problems(os.environ) else binding_problem(wanted.host)
    if problem:
        print(f"{problem}\n{WAYS_OUT}", file=sys.stderr)
        return 1
    return serve.main(["--host", wanted.host, "--port", wanted.port, *rest])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
