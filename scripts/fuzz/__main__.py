"""Fuzzes Tandem's decoders, guided by coverage: `python -m scripts.fuzz [--seconds 30] [TARGET ...]` (`make fuzz`).

With a target and a file, tries that file alone: `python -m scripts.fuzz frame .tandem/fuzz/crash-frame-...`.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from scripts.fuzz import connections, targets

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".tandem" / "fuzz"
TARGETS = {**targets.TARGETS, **connections.TARGETS}
SEEDS = {**targets.seeds(), **connections.seeds()}
_AT_ONCE = 2
_LONGEST = 4096
"""Bytes of an input."""
_SLOWEST = 10
"""Seconds that one input may take."""
_MOST_MEMORY = 2048
"""Megabytes; numpy and the gateway's libraries take a quarter of it."""
_TAIL = 3000


def main(arguments: list[str] | None = None) -> int:
    """Runs each target for its share of the time; returns 1 when one broke."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="for all of them together, two at once")
    parser.add_argument("what", nargs="*", metavar="TARGET", help=f"all of {', '.join(TARGETS)}; or one, and a file")
    given = parser.parse_args(arguments)
    if given.what and Path(given.what[-1]).is_file():
        TARGETS[given.what[0]](Path(given.what[-1]).read_bytes())
        return 0
    unknown = [name for name in given.what if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]!r}")
    if importlib.util.find_spec("atheris") is None:
        print("Nothing is fuzzed: atheris has no wheel for this machine (docs/dependencies.md).")
        return 0
    names = given.what or [*TARGETS]
    each = max(1, given.seconds * min(_AT_ONCE, len(names)) // len(names))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return max(pool.map(partial(_run, each), names))


def _run(seconds: int, name: str) -> int:
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = {
        "max_total_time": seconds,
        "max_len": _LONGEST,
        "timeout": _SLOWEST,
        "rss_limit_mb": _MOST_MEMORY,
        "artifact_prefix": FOLDER / f"crash-{name}-",
        "print_final_stats": 1,
    }
    command = [sys.executable, "-m", "scripts.fuzz.run", name, str(corpus)]
    command += [f"-{option}={value}" for option, value in options.items()]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        print(f"{name} broke:\n{said[-_TAIL:]}\nTry it again with `python -m scripts.fuzz {name} FILE`.")
        return 1
    runs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "?")
    print(f"{name}: {runs} inputs in {seconds} s, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
