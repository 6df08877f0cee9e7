"""What the end-to-end tests ask of a server, whether it is a process or a container."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

START_SECONDS = 240.0


class Reached(ABC):
    """A server that a client has been made for."""

    http: httpx.Client

    @abstractmethod
    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of `condition`, which is asked every quarter of a second while the server runs."""

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until `/readyz` says yes."""
        self.wait_for(lambda: self.get_json("/readyz").get("ready"), seconds)

    def get_json(self, path: str) -> dict[str, Any]:
        """The JSON at `path`; {} while nobody answers."""
        try:
            answer: dict[str, Any] = self.http.get(path, timeout=5).json()
        except (httpx.TransportError, ValueError):
            return {}
        return answer
