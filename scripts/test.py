"""Runs the tests: `python -m scripts.test [pytest arguments]`. All of them, without arguments, with branch coverage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NOTHING_RAN = 5
"""pytest's status when no test was selected."""


def main(arguments: list[str]) -> int:
    """Runs pytest; returns its status, with a sentence when it selected nothing."""
    # The coverage of a selection says nothing.
    options = arguments or ["--cov", "--cov-branch", "--cov-report=term:skip-covered"]
    code = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False).returncode
    if code == _NOTHING_RAN:
        print(f"No test was run: nothing matches {' '.join(arguments) or 'the default selection'}.", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
