"""Says which GPU a language model needs: `python -m scripts.size FOLDER|config.json [--context N]`.

Reads nothing but `config.json`, and measures the weights where they lie beside it. The formulas and where they come from are in
`scripts/sizing/memory.py`; what comes out is an estimate: `docs/deploy.md` says how to check it on the GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.sizing.memory import GPUS, OVERHEAD, UTILIZATION, read
from scripts.sizing.parameters import UnknownModel, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.sizing.memory import Model

_GIB = 2**30


def lines(model: Model, context: int, utilization: float) -> Iterator[str]:
    """What there is to say about `model`."""
    counts = model.counts
    active = f", {_billions(counts.active)} active a token" if counts.active != counts.total else ""
    yield f"parameters       {_billions(counts.total)}{active}"
    yield f"weights          {_size(model.weight_bytes)}"
    yield f"with overhead    {_size(model.weight_bytes * OVERHEAD)} (x {OVERHEAD})"
    each = model.sequence_bytes(context)
    yield f"KV cache         {_size(each)} a sequence of {context:,} tokens ({each / context / 1024:.1f} KiB a token)"
    yield ""
    yield f"{'GPU':14} {'memory':>9}  {'needed':>6}  sequences at once"
    for gpu in GPUS:
        fit = model.fit(gpu, context, utilization)
        needed, sequences = (str(fit.gpus), f"{fit.sequences:,}") if fit else ("-", "does not fit on eight")
        yield f"{gpu.name:14} {gpu.mebibytes / 1024:5.1f} GiB  {needed:>6}  {sequences}"
    yield ""
    yield f"On a CPU, sequences of this length for each TANDEM_LLM__KV_CACHE_GIB: {_GIB // each:,}."
    yield "No more than TANDEM_LLM__MAX_NUM_SEQS run in one step; shorter sequences leave room for more."


def main(arguments: Sequence[str]) -> int:
    """Prints the estimate; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        model = read(options.model, options.bits, options.cache_bytes)
        said = list(lines(model, options.context or _longest(model), options.utilization))
    except UnknownModel as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"{options.model} cannot be read as a model's configuration: {error}", file=sys.stderr)
        return 1
    print(*said, sep="\n")
    if not known(model.config):
        print(f"Of the family {model.config.get('model_type')!r} nothing is known here: it was counted as Llama's are.")
    return 0


def _longest(model: Model) -> int:
    longest = model.config.get("max_position_embeddings")
    if not isinstance(longest, int):
        raise UnknownModel("config.json does not say how long a context may be: give --context.")
    return longest


def _billions(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} billion" if parameters >= 10**8 else f"{parameters / 1e6:.2f} million"


def _size(number: float) -> str:
    return f"{number / _GIB:.2f} GiB" if number >= _GIB / 10 else f"{number / 2**20:.1f} MiB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.size", description="GPU memory of a language model.")
    parser.add_argument("model", type=Path, help="a model's folder, or its config.json")
    parser.add_argument(
        "--context", type=_positive, metavar="TOKENS", help="length of a sequence; default: the longest"
    )
    parser.add_argument("--bits", type=float, help="bits of a weight, when it is quantized while it is loaded")
    parser.add_argument("--cache-bytes", type=int, choices=(1, 2), default=2, help="1 for an fp8 KV cache; default: 2")
    parser.add_argument(
        "--utilization",
        type=float,
        default=UTILIZATION,
        metavar="SHARE",
        help="of a GPU's memory; default: %(default)s",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
