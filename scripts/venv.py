"""The project's virtual environment: made once, filled from pinned files, and able to say what it holds.

What was finished stands in `.venv/tandem.json`, as hashes of the requirement files: an interrupted or outdated
environment is completed by the next run, a complete one costs nothing to recognise.
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from scripts.host import SetupError
from scripts.pip_settings import read_pip_config, uv_flags, uv_settings

_MISLEADING = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
"""Variables of the caller that would send packages, or their look-up, somewhere else."""


class Venv:
    """The environment in `root/.venv`, filled from `root/requirements`."""

    def __init__(self, root: Path) -> None:
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._requirements = root / "requirements"
        self._stamp = self.folder / "tandem.json"

    # what it holds

    @property
    def state(self) -> dict[str, str]:
        """What was finished here: `python` (version), `device`, and a hash for each file that was installed."""
        try:
            state = json.loads(self._stamp.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def usable(self) -> bool:
        """Whether the environment was finished and its Python still runs."""
        if "python" not in self.state:
            return False
        if Path(sys.prefix) == self.folder:
            return True
        return self.python.exists() and subprocess.run([self.python, "-c", ""], check=False).returncode == 0

    def holds(self, name: str) -> bool:
        """Whether `requirements/<name>.txt`, as it is now, has been installed."""
        return self.state.get(name) == self._digest(name)

    def pins(self, name: str) -> list[str]:
        """The lines of `requirements/<name>.txt` that name a package."""
        lines = (self._requirements / f"{name}.txt").read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    # making and filling it

    def create(self) -> str:
        """Makes it anew, or takes over a sound one that somebody else made; returns which, in words."""
        if self.folder.exists() and not self._stamp.exists() and self._foreign():
            self._note(python=".".join(map(str, sys.version_info[:3])))
            return "taken over as it was"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self._stamp.write_text("{}")
        base = getattr(sys, "_base_executable", sys.executable)
        self._call([base, "-m", "venv", str(self.folder)], "Making .venv failed")
        self._note(python=".".join(map(str, sys.version_info[:3])))
        return "made"

    def install_uv(self) -> None:
        """Installs the pinned uv with pip. Raises SetupError where it cannot be had."""
        self._pip("uv")
        self._note(uv=self._digest("uv"))

    def install(self, name: str) -> None:
        """Installs `requirements/<name>.txt` as pinned, bytecode compiled: with uv where it is there, else with pip."""
        self._note(**{name: ""})
        if self.holds("uv"):
            self._uv(name)
        else:
            self._pip(name)
        self._note(**{name: self._digest(name)})

    def note_device(self, device: str) -> None:
        """Remembers which device set fills it."""
        self._note(device=device)

    def run(self, *arguments: str) -> None:
        """Runs its Python. Raises SetupError when that fails."""
        self._call([str(self.python), *arguments], f"`python {' '.join(arguments)}` failed")

    def needs_torch_index(self, name: str) -> bool:
        """Whether `requirements/<name>.txt` has a build of torch that only PyTorch's own index offers.

        The configured places may offer it as well; they are asked.
        """
        torch = next((pin for pin in self.pins(name) if pin.startswith("torch==") and "+cpu" in pin), None)
        return torch is not None and "UV_TORCH_BACKEND" not in self._uv_env and not self._finds(torch)

    # inside

    def _uv(self, name: str) -> None:
        env = self._uv_env
        command = [*self._uv_install, *(["--torch-backend", "cpu"] if self.needs_torch_index(name) else [])]
        requirements = str(self._requirements / f"{name}.txt")
        command += ["--compile-bytecode", "--requirement", requirements]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
            for line in process.stderr or ():
                # One line for each of 200 packages would hide what else is said.
                if not line.startswith((" + ", " - ", " ~ ")):
                    print(f"      {line}", end="", flush=True)
        if process.returncode:
            raise SetupError(f"Installing {name}.txt failed (exit {process.returncode}); the lines above say why.")

    def _finds(self, pin: str) -> bool:
        """Whether the configured places already offer `pin`."""
        if not any(self._uv_env.get(variable) for variable in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX")):
            return False
        probe = [*self._uv_install, "--dry-run", "--quiet", pin]
        return subprocess.run(probe, env=self._uv_env, capture_output=True, check=False).returncode == 0

    def _pip(self, name: str) -> None:
        requirements = str(self._requirements / f"{name}.txt")
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        self._call([*command, "--requirement", requirements], f"Installing {name}.txt with pip failed")

    def _call(self, command: list[str], failure: str) -> None:
        code = subprocess.run(command, env=self._env, check=False).returncode
        if code:
            raise SetupError(f"{failure} (exit {code}); the lines above say why.")

    def _foreign(self) -> bool:
        """Whether `.venv` holds somebody's own sound environment of the Python that runs this."""
        probe = "import sys, pip; print(*sys.version_info[:2])"
        answer = subprocess.run([self.python, "-c", probe], capture_output=True, text=True, check=False)
        return answer.stdout.split() == [str(part) for part in sys.version_info[:2]]

    def _note(self, **entries: str) -> None:
        partial = self._stamp.with_suffix(".part")
        partial.write_text(json.dumps(self.state | entries, indent=2))
        partial.replace(self._stamp)

    def _digest(self, name: str) -> str:
        return hashlib.sha256((self._requirements / f"{name}.txt").read_bytes()).hexdigest()

    @cached_property
    def _env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
        return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUTF8": "1"}

    @property
    def _uv_install(self) -> list[str]:
        command = [str(self.folder / "bin" / "uv"), "pip", "install", "--python", str(self.python)]
        return [*command, "--no-deps", "--no-build", *uv_flags(self._pip_config)]

    @cached_property
    def _uv_env(self) -> dict[str, str]:
        return self._env | uv_settings(self._pip_config, self._env, system_certificates=_has_certificates())

    @cached_property
    def _pip_config(self) -> dict[str, str]:
        return read_pip_config(self.python, self._env)


def _has_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())))
