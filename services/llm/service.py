"""The LLM: vLLM's async engine in this service's process, with its OpenAI app behind the service's socket."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import bentoml

from models.llm.contract import EngineConfigError
from services import bentoml_patches
from services.asgi import use_front
from services.drain import drain_on_signals
from services.guard import check_hop, guarded
from services.llm.channels import Channels
from services.llm.device import Machine, gpus, resolve_device, this_machine
from services.llm.front import EngineFront, send_error
from services.llm.host import EngineThread
from services.llm.pulse import Pulse
from services.llm.vllm_engine import VLLMEngine
from services.runtime import DEPENDENCY_OPTIONS, SERVICE_OPTIONS
from services.settings.tree import load_settings, shared_metrics_folder

if TYPE_CHECKING:
    from services.asgi import ASGIApp
    from services.settings.llm import LLMSettings


def resources(settings: LLMSettings, machine: Machine) -> dict[str, Any]:
    """What to ask BentoML for: the GPUs that the model takes, and nothing on CPU.

    Settings that cannot work ask for nothing: the service then starts, and says why the model does not.
    """
    try:
        device = resolve_device(settings.device, machine)
    except EngineConfigError:
        return {}
    return {"resources": {"gpu": settings.tensor_parallel_size}} if device == "gpu" else {}


bentoml_patches.apply()


@bentoml.service(
    name="LLM",
    workers=1,
    **resources(load_settings().llm, this_machine()),
    **SERVICE_OPTIONS,
    **DEPENDENCY_OPTIONS,
)
class LLM:
    """One engine, loaded in the background: the service answers for it from the first moment."""

    def __init__(self) -> None:
        settings = load_settings()
        logging.getLogger("tandem").setLevel(settings.log_level.upper())
        self._machine = this_machine()
        self._hop = settings.hop
        self._channels = Channels()
        self._host = EngineThread(
            VLLMEngine(settings.llm, self._machine, tracing=settings.tracing, debug=settings.log_level == "debug"),
            Pulse(settings.llm.hung_after, settings.llm.restart_after),
        )

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Runs once, before anything is served."""
        check_hop("LLM", load_settings().hop)

    @bentoml.on_startup
    async def start(self) -> None:
        """Begin loading."""
        drain_on_signals(load_settings().drain, closing=self._channels.close)
        self._host.start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Stop the engine."""
        await self._host.stop()

    def front(self, fallback: ASGIApp) -> ASGIApp:  # noqa: ARG002 - nothing is left to BentoML
        """The app that answers every request."""
        gpus_here = gpus if self._machine.gpus else lambda: None
        front = EngineFront(self._host, gpus_here, shared_metrics_folder(), self._channels)
        return guarded(front, "LLM", self._hop, send_error)


use_front(LLM)
