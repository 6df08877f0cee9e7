"""What the terminal says when everything is up: where it listens, and a first command for each kind of model."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.dataplane import DataPlane

_POLL_SECONDS = 0.5


async def announce_when_ready(dataplane: DataPlane, url: str, grpc: str | None) -> None:
    """Print what is being waited for, then, once, how to use the server; `grpc` is where gRPC listens, if it does."""
    models = ", ".join(f"{spec.name} ({spec.framework})" for spec in dataplane.specs.values())
    _say(f"Tandem at {url} is loading: {models}, and the language model.")
    waiting = {"classifier": "The classical models are ready.", "llm": ""}
    while waiting:
        await asyncio.sleep(_POLL_SECONDS)
        for name in tuple(waiting):
            health = dataplane.seen(name)
            if health.ready:
                message = waiting.pop(name)
                if message:
                    _say(message)
            elif health.state == "failed":
                _say(f"The {name} cannot start: {health.reason} The rest goes on without it.")
                waiting.pop(name)
    llm = dataplane.seen("llm")
    if llm.ready:
        _say(_banner(url, str(llm.detail.get("model")), grpc))


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a full disk
        print(line, flush=True)


def _banner(url: str, model: str, grpc: str | None) -> str:
    rpc = f"   gRPC: {grpc}" if grpc else ""
    return f"""
Tandem is ready at {url}

  A prediction:    curl -s {url}/classify -H 'content-type: application/json' -d \\
    '{{"model": "iris", "rows": [{{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}}]}}'
  Explained:       curl -s {url}/explain -H 'content-type: application/json' -d \\
    '{{"model": "iris", "row": {{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}}}}'
  A chat, in Python:
    from openai import OpenAI
    chat = OpenAI(base_url="{url}/v1", api_key="none").chat.completions
    print(chat.create(model="{model}", messages=[{{"role": "user", "content": "What is Tandem?"}}]).choices[0].message.content)

  Health: {url}/health   Metrics: {url}/metrics   API document: {url}/{rpc}
"""
