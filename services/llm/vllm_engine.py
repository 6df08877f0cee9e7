"""vLLM's async engine and OpenAI app, in this process. Everything here imports vLLM when it is called, not before."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
import warnings
from contextlib import AsyncExitStack, nullcontext, redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

from models.llm.arguments import engine_argv, engine_environment
from models.llm.contract import EngineConfigError, served_name, variable
from services.llm.constraints import blame_constraints
from services.llm.device import Machine, resolve_device
from services.llm.failure import sentence
from services.llm.lean_streams import lighten
from services.llm.log import only_errors, take_over
from services.llm.malformed import answer_malformed
from services.llm.process import EngineOutput, kill_engines, started_by_us, stop_engines, yield_to_engine
from services.llm.tracing import quieten, stop_tracing, tracing_argv, tracing_environment
from services.runtime import settle_garbage_collector
from services.settings.telemetry import TracingSettings

if TYPE_CHECKING:
    from argparse import Namespace

    from models.llm.contract import Device
    from services.asgi import ASGIApp
    from services.settings.llm import LLMSettings

_SHUTDOWN_SECONDS = 4.0
_LAST_WORDS_SECONDS = 10.0

logger = logging.getLogger("tandem.llm")


class VLLMEngine:
    """`services.llm.host.Engine` over vLLM."""

    def __init__(
        self, settings: LLMSettings, machine: Machine, *, tracing: TracingSettings | None = None, debug: bool = False
    ) -> None:
        self._settings = settings
        self._tracing = tracing or TracingSettings()
        self._machine = machine
        self._debug = debug
        self.model = served_name(settings)
        self.models = (self.model, *(lora.name for lora in settings.lora_modules))
        self._device: Device | None = None
        self._args: Namespace | None = None
        self._llm: Any = None
        self._output: EngineOutput | None = None
        self._abandoned = False
        self._stack = AsyncExitStack()

    def load(self) -> None:
        """Check the settings, import vLLM, start its engine process and wait until the model is loaded."""
        device = self._device = resolve_device(self._settings.device, self._machine)
        engine = engine_argv(self._settings, device, bfloat16=self._machine.bfloat16)
        logger.info("Loading %s on %s", self.model, device.upper())
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        environment = engine_environment(self._settings, device, cores) | tracing_environment(self._tracing)
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        take_over(debug=self._debug)
        if self._tracing.endpoint and not self._debug:
            quieten()
        warnings.filterwarnings("ignore", module=r"(vllm|torch|transformers)\b")
        with nullcontext() if self._debug else only_errors():
            self._args = _parse([*tracing_argv(self._tracing), *engine])
            self._start_engine(self._args)

    def _start_engine(self, args: Namespace) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        from services.llm.norms import left_open, prefer_kernels

        arguments = AsyncEngineArgs.from_cli_args(args)
        operations = left_open(arguments)
        config = arguments.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
        prefer_kernels(config, operations)
        self._output = EngineOutput(lambda line: print(line, file=sys.stderr, flush=True))
        self._output.forwarding = self._debug
        if self._abandoned:
            raise RuntimeError("Loading was given up.")
        with started_by_us(self._output):
            self._llm = AsyncLLM.from_vllm_config(
                vllm_config=config,
                usage_context=UsageContext.OPENAI_API_SERVER,
                enable_log_requests=args.enable_log_requests,
                disable_log_stats=args.disable_log_stats,
            )
        self._output.forwarding = True

    async def open(self) -> ASGIApp:
        """Make vLLM's OpenAI app on the loaded engine, as its own server does."""
        from vllm.entrypoints.launchers.api_server.app_state import init_app_state
        from vllm.entrypoints.launchers.app import build_app

        args, llm = self._args, self._llm
        assert args is not None, "load comes first"
        blame_constraints(args)
        await llm.reset_mm_cache()
        tasks = await llm.get_supported_tasks()
        with nullcontext() if self._debug else only_errors():
            app = await asyncio.to_thread(build_app, args, tasks, llm.model_config)
            answer_malformed(app)
            lighten(app)
            app.state.server = _Unstoppable()
            await init_app_state(llm, app.state, args, tasks)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        settle_garbage_collector()
        if self._device == "cpu":
            yield_to_engine()
        asgi: ASGIApp = app
        return asgi

    async def close_app(self) -> None:
        await self._stack.aclose()

    def alive(self) -> bool:
        return not self._llm.errored

    async def respond(self) -> None:
        await self._llm.is_sleeping()

    def abandon(self) -> None:
        self._abandoned = True
        kill_engines()

    def close(self) -> None:
        if self._llm is not None:
            stop_engines()
            self._llm.shutdown(timeout=_SHUTDOWN_SECONDS)
            if self._tracing.endpoint:
                stop_tracing()
            self._llm = None

    def explain(self, error: BaseException | None) -> str:
        # What the engine raised long before it died is another matter.
        within = math.inf if error else _LAST_WORDS_SECONDS
        cause = self._output.root_cause(within) if self._output else None
        return sentence(error, cause, self._device)


class _Unstoppable:
    """Stands where vLLM's error handler looks for its server, to stop it when the engine is dead.

    `EngineThread` does that here.
    """

    should_exit = False


def _parse(argv: list[str]) -> Namespace:
    """Parse as vLLM does. Raises EngineConfigError for what its parser refuses."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.entrypoints.launchers.launcher import validate_api_server_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    complaint = StringIO()
    try:
        with redirect_stderr(complaint):
            args: Namespace = make_arg_parser(FlexibleArgumentParser()).parse_args(argv)
        validate_parsed_serve_args(args)
        validate_api_server_args(args)
    except SystemExit:
        said = complaint.getvalue().strip().rpartition("error: ")[2]
        raise EngineConfigError(
            f"vLLM refuses its arguments ({said}): correct {variable('extra_args')}.", setting="extra_args"
        ) from None
    return args
