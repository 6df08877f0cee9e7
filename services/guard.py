"""What stands before a Classifier or LLM that a network reaches: a token for all but the probes, and never a pickle.

In a bundle the two listen on Unix sockets, which only the server's user may open, and nothing of this is in a request's way.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bentoml.exceptions import BentoMLConfigException

from services.binding import asked_host, host_of, is_loopback, is_served, own_url
from services.errors import InvalidInput, ServingError, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.asgi import ASGIApp, Header, Receive, Scope, Send
    from services.settings.hop import HopSettings

SendError = Callable[["Send", ServingError], Awaitable[None]]

PROBES = frozenset({"/livez", "/healthz", "/readyz"})
"""What an orchestrator asks, and whose answer is a status and nothing else."""

_BEARER = b"bearer "


class Guard:
    """Lets in who shows a token."""

    def __init__(self, app: ASGIApp, tokens: Iterable[str] | None, send_error: SendError) -> None:
        """Each of `tokens` opens `app`: with none of them nobody comes in, with None everybody does."""
        self._app = app
        self._tokens = None if tokens is None else [token.encode() for token in tokens]
        self._send_error = send_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await self._send_error(send, refusal)

    def _refusal(self, scope: Scope) -> ServingError | None:
        headers: list[Header] = scope["headers"]
        if any(name == b"content-type" and b"pickle" in value.lower() for name, value in headers):
            return InvalidInput("No pickle is read from a network.")
        if self._tokens is None or scope["path"] in PROBES or self._shown(headers):
            return None
        if not self._tokens:
            return Unauthenticated("This service listens on a network and has no token: set TANDEM_HOP__TOKEN_FILE.")
        return Unauthenticated(
            "This service takes requests from a gateway that shows its token: `Authorization: Bearer ...`."
        )

    def _shown(self, headers: list[Header]) -> bool:
        for name, value in headers:
            if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
                shown = value[len(_BEARER) :].strip()
                return any(hmac.compare_digest(shown, token) for token in self._tokens or ())
        return False


def guarded(app: ASGIApp, service: str, hop: HopSettings, send_error: SendError) -> ASGIApp:
    """`app`, behind a `Guard` unless `service` listens on a Unix socket. On loopback a token is asked for where one is set."""
    url = own_url(service)
    if url is not None and url.startswith("file://"):
        return app
    tokens = hop.tokens()
    everybody = hop.auth == "off" or (not tokens and is_loopback(host_of(url)))
    return Guard(app, None if everybody else tokens, send_error)


def readable_tokens(hop: HopSettings) -> tuple[str, ...]:
    """What `HopSettings.tokens` has, for deployment hooks. Raises BentoMLConfigException when the file cannot be used."""
    try:
        return hop.tokens()
    except ValueError as problem:
        raise BentoMLConfigException(str(problem)) from None


def check_hop(service: str, hop: HopSettings) -> None:
    """For the deployment hook of `service`. Raises BentoMLConfigException when it would listen where other machines reach
    it and nothing guards it.
    """
    if not is_served(service):
        return
    tokens = readable_tokens(hop)
    host = asked_host()
    if hop.auth == "off" or tokens or is_loopback(host):
        return
    raise BentoMLConfigException(
        f"The {service} would listen on {host}, where other machines reach it, and no token is configured. Make one with "
        "`openssl rand -hex 32` and give it to every role (TANDEM_HOP__TOKEN_FILE or TANDEM_HOP__TOKEN), listen on 127.0.0.1 "
        "(`--host 127.0.0.1`), or set TANDEM_HOP__AUTH=off if something else keeps strangers out."
    )
