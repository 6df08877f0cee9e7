"""One target under atheris: `python -m scripts.fuzz.run TARGET CORPUS [libFuzzer options]`. `scripts.fuzz` starts it."""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["services", "hpack"]):
    from scripts.fuzz import connections, targets


def main() -> None:
    """Fuzzes until the time is up, then ends the process."""
    logging.disable()
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, {**targets.TARGETS, **connections.TARGETS}[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
