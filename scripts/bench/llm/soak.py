"""Thousands of streams through the gateway: none may stall, none may be lost."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import uvloop

from scripts.bench import report
from scripts.bench.environments import Unavailable
from scripts.bench.llm import client, servers
from scripts.bench.server import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AT_ONCE = 64
TOKENS = 32
STALLED_SECONDS = 5.0
"""A stream with no byte for so long has stalled, whether it ends well or not."""
GIVE_UP_SECONDS = 60.0


def verdict(streams: Sequence[client.Stream], tokens: int = TOKENS) -> dict[str, Any]:
    """How many were whole, short, lost or stalled, and the longest silence."""
    lost = [one for one in streams if one.failure is not None]
    short = [one for one in streams if one.failure is None and one.tokens != tokens]
    return {
        "streams": len(streams),
        "whole": len(streams) - len(lost) - len(short),
        "lost": len(lost),
        "short": len(short),
        "stalled": sum(one.longest_gap > STALLED_SECONDS for one in streams),
        "longest_silence_s": round(max((one.longest_gap for one in streams), default=0.0), 3),
        "reasons": dict(Counter(one.failure for one in lost).most_common(5)),
    }


def run(count: int, facts: dict[str, Any], folder: Path) -> int:
    """Run `count` streams, print and write `llm-soak.json`; exit status 1 when one stalled or was lost."""
    model = servers.model_name()
    try:
        with servers.tandem() as server:
            began = time.perf_counter()
            streams = uvloop.run(
                client.keep_streaming(
                    server.port,
                    lambda number: client.chat_request(server.port, model, number, TOKENS),
                    AT_ONCE,
                    lambda number: number < count,
                    GIVE_UP_SECONDS,
                )
            )
            elapsed = time.perf_counter() - began
    except (StartError, Unavailable) as error:
        print(f"not run: {error}")
        return 1
    found = verdict(streams) | {"seconds": round(elapsed, 1), "at_once": AT_ONCE, "tokens_a_stream": TOKENS}
    print(", ".join(f"{key} {value}" for key, value in found.items()))
    report.write(folder / "llm-soak.json", facts | {"model": model, "soak": found})
    return 0 if not (found["lost"] or found["short"] or found["stalled"]) else 1
