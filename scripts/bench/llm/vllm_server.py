"""vLLM's own OpenAI server with the engine settings that Tandem's LLM service uses.

`vllm serve` looks up the version of a distribution called `vllm`, which the CPU build is not, so this calls what that
command calls. Usage: `python -m scripts.bench.llm.vllm_server PORT`.
"""

from __future__ import annotations

import os
import sys

from models.llm.arguments import engine_argv, engine_environment
from services.llm.device import resolve_device, this_machine
from services.llm.process import allow_tiles
from services.settings.tree import load_settings

# In the engine's process as well, which imports this module before it begins: without that right it dies where there is AMX.
allow_tiles()


def main(port: int) -> None:
    """Serve until stopped."""
    settings = load_settings().llm
    machine = this_machine()
    device = resolve_device(settings.device, machine)
    for name, value in engine_environment(settings, device, len(os.sched_getaffinity(0))).items():
        os.environ.setdefault(name, value)

    import uvloop
    from vllm.entrypoints.launchers.api_server.entry import run_server
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    argv = [*engine_argv(settings, device, bfloat16=machine.bfloat16), "--host", "127.0.0.1", "--port", str(port)]
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(argv)
    validate_parsed_serve_args(args)
    uvloop.run(run_server(args))


if __name__ == "__main__":
    main(int(sys.argv[1]))
