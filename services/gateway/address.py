"""Where a dependency is, and what every request to it carries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Address:
    """A Unix socket, or a host and port."""

    socket_path: str | None = None
    host: str = "localhost"
    """What is connected to: a name, or one of the addresses that the name stands for."""
    port: int = 80
    secure: bool = False
    name: str = "localhost"
    """The name, which the server's certificate is for."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """What goes with every request: `host`, and `authorization` where a token is shown."""

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> Address:
        """The address that `url` names: ``file://`` a Unix socket, ``tcp://host:port``, or ``http(s)://``, as BentoML and the
        settings give it. `token` is shown on a network only.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            return cls(unquote(parts.path), headers={"host": "localhost"})
        secure = parts.scheme == "https"
        name = parts.hostname or "localhost"
        headers = {"host": parts.netloc} | ({"authorization": f"Bearer {token}"} if token else {})
        return cls(None, name, parts.port or (443 if secure else 80), secure, name, headers)

    def at(self, host: str) -> Address:
        """The same service at one of the addresses of its name."""
        return replace(self, host=host)

    @property
    def base(self) -> str:
        """What URLs to it begin with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.socket_path else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{host}{port}"
