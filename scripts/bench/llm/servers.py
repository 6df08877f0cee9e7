"""The two servers of the language model's part."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.llm.arguments import served_name
from scripts.bench import messages
from scripts.bench.catalogue import PEERS_BY_NAME, TARGET, tandem_command
from scripts.bench.llm.figures import TANDEM, VLLM
from scripts.bench.paths import ROOT, WORK
from scripts.bench.server import Command, Server, StartError, running
from services.settings.tree import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

VLLM_PORT = 3494
START_SECONDS = 180.0


@dataclass(frozen=True)
class Running:
    """A server that answers chat requests."""

    name: str
    port: int
    server: Server


def model_name() -> str:
    """What both servers call the language model."""
    return served_name(load_settings().llm)


@contextlib.contextmanager
def tandem() -> Iterator[Running]:
    """Tandem, its language model loaded."""
    peer = PEERS_BY_NAME[TARGET]
    with running(tandem_command(peer), peer.port, peer.log_file) as server:
        server.wait(lambda: messages.get(peer.at("/livez"))[0] == 200, START_SECONDS)  # noqa: PLR2004
        wait_for_chat(server, peer.port)
        yield Running(TANDEM, peer.port, server)


@contextlib.contextmanager
def vllm() -> Iterator[Running]:
    """The server that vLLM ships."""
    command = Command((sys.executable, "-m", "scripts.bench.llm.vllm_server", str(VLLM_PORT)), ROOT)
    with running(command, VLLM_PORT, WORK / VLLM / "server.log") as server:
        server.wait(lambda: chat_works(VLLM_PORT), START_SECONDS)
        yield Running(VLLM, VLLM_PORT, server)


def chat_works(port: int) -> bool:
    """Whether a chat request is answered."""
    payload = {"model": model_name(), "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
    status, _ = messages.post(
        f"http://127.0.0.1:{port}/v1/chat/completions", messages.Body(json.dumps(payload).encode()), timeout=30
    )
    return status == 200  # noqa: PLR2004


def wait_for_chat(server: Server, port: int) -> None:
    """Wait for the language model.

    Raises:
        StartError: it takes too long, or has failed.

    """
    deadline = time.perf_counter() + START_SECONDS
    while not chat_works(port):
        if time.perf_counter() > deadline:
            raise StartError(f"the language model does not answer: {server.log_tail()}")
        time.sleep(0.5)
