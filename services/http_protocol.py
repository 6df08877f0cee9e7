"""uvicorn's HTTP/1.1 over httptools, with what it leaves open closed. `bentoml_patches.py` puts it in its place.

llhttp, which httptools wraps, refuses every malformed head: contradicting or repeated lengths, bare line feeds, folded
headers. What is left to do here, once a connection or a read rather than once a request:

* a head of any length was taken, a byte a minute: it has a bound in bytes and in seconds, and a body a slowest pace;
* the trailers of a chunked body were added to the request's headers, where a key or a length in them would have counted;
* a wish for an upgrade (a WebSocket, HTTP/2) went past the gateway, or lost the request's body and the requests behind it: it is
  passed over, as RFC 9110 allows, and the request answered in plain HTTP/1.1;
* a timer was started after every answer and stopped by the next request, and nothing else was timed: see `http_patience.py`;
* an answer went out in two writes: `http_answer.py` makes one of them;
* a head was parsed each time that it came: `known_head.py` recognises one that came before on the connection;
* a client that does not read its answer held it, and what makes it, for ever: it is let go of;
* a request that expects `100 Continue` and is refused may be followed by its body or by another request: nobody can tell which, so
  such a connection is closed after the answer.
"""

from __future__ import annotations

from contextvars import copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl

from services.http_answer import Cycle
from services.http_patience import Patience
from services.known_head import known_head

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from services.asgi import Scope
    from services.known_head import KnownHead

LONGEST_HEAD = 64 * 1024
"""Bytes of a request's target and headers, and of what else a client may send that is no body: trailers, chunk extensions."""
_TRIES = 4
"""Heads in a row that a connection remembers and never hears again, after which it remembers no other."""
_SEPARATORS = 4
"""Bytes around the name and value of a header."""


class HttpProtocol(Patience):
    """One connection of a client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._read = 0
        """Bytes of the last read."""
        self._fruitful = False
        """Whether it brought a whole head or a piece of a body."""
        self._fruitless = 0
        """Bytes of the reads since the last that did."""
        self._refusal = HTTPStatus.BAD_REQUEST
        self._context: Context
        self._plain_app: ASGI3Application
        """The app, less uvicorn's look at what a proxy says of its clients."""
        self._known: KnownHead | None = None
        """The head of the last request, which the next one may repeat."""
        self._tries = _TRIES
        self._running: RequestResponseCycle | None = None
        """The request under way, once others wait behind it: `cycle` is the last of them then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._context = copy_context()
        self.flow = _Flow(transport, self._context)
        self.app = _without_distrusted(self.app, self.client)
        self._plain_app = self.app.app if isinstance(self.app, ProxyHeadersMiddleware) else self.app

    def data_received(self, data: bytes) -> None:
        between = self._is_between()
        self._rests = False
        self._read = len(data)
        self._received += self._read
        if between and self._known is not None and (body := self._known.body_in(data)) is not None:
            self._begin_known(self._known, body)
            return
        self._fruitful = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over(memoryview(data)[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._fruitful:
            self._fruitless = 0
            if between and self._tries:
                self._remember(data)
            return
        self._fruitless += self._read
        if self._fruitless > LONGEST_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Begin with the request, as uvicorn does at twice the cost; its root path and limit of tasks are nothing that BentoML sets."""
        self._fruitful = True
        if self._fruitless or self._read > LONGEST_HEAD:
            size = len(self.url) + sum(len(name) + len(value) + _SEPARATORS for name, value in self.headers)
            if size > LONGEST_HEAD:
                self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                raise ValueError("The head is too long.")
        parser, scope = self.parser, self.scope
        scope["method"] = parser.get_method().decode("ascii")
        if parser.should_upgrade():
            return  # `_pass_over` begins anew
        version = parser.get_http_version()
        scope["http_version"] = version
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = target.path
        scope["query_string"] = target.query or b""
        before = self.cycle
        keeps = version != "1.0" and parser.should_keep_alive() and not self.expect_100_continue
        cycle = self.cycle = Cycle(self, keep_alive=keeps)
        self.headers = []  # trailers are not headers
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            if not self.pipeline:
                self._running = before
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _is_between(self) -> bool:
        """Whether what comes next is the beginning of a request, and the only one under way."""
        cycle = self.cycle
        if cycle is None:
            return self.scope is None and not self._received
        return self._rests and self.scope is cycle.scope and not cycle.more_body

    def _remember(self, data: bytes) -> None:
        """Know the head of the request that `data` is all of, if it comes again."""
        cycle = self.cycle
        if cycle.scope is self.scope and cycle.keep_alive and not cycle.more_body and not self.pipeline:
            self._tries -= 1
            self._known = known_head(data, cast("Scope", cycle.scope))

    def _begin_known(self, known: KnownHead, body: bytes) -> None:
        """As `on_headers_complete`, of a request that is all here and whose head came before."""
        self._tries = _TRIES
        self._fruitless = 0
        self.scope = known.scope(len(body))  # type: ignore[assignment]
        self.cycle = Cycle(self, keep_alive=True, known=known, body=body)
        self._start_asgi_task(self.cycle, self.app if known.is_forwarded else self._plain_app)

    def on_body(self, body: bytes) -> None:
        self._fruitful = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with the next request. uvicorn starts a timer here and stops it a request later; see `_end_rest`."""
        self.server_state.total_requests += 1
        self._answered += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if (
            self.pipeline
        ):  # in the context of the connection, for this one belongs to the request that has been answered
            waiting = self.pipeline.pop()
            self._running = waiting[0]
            self._context.run(self._start_asgi_task, *waiting)
        else:
            self._rests = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request of the client that it has left; uvicorn tells the last one alone."""
        super().connection_lost(exc)
        running, self._running = self._running, None
        if running is not None:
            for cycle in (running, *(waiting for waiting, _ in self.pipeline)):
                if not cycle.response_complete:
                    cycle.disconnected = True
                    cycle.message_event.set()

    def _should_upgrade(self) -> bool:
        """Nothing may begin before the wish is taken out."""
        return True

    def _pass_over(self, rest: memoryview) -> None:
        """Parse again the head that wished for an upgrade, without that wish, and `rest`, which came behind it."""
        try:
            while True:
                if self.scope["method"] == "CONNECT":
                    self._refusal = HTTPStatus.METHOD_NOT_ALLOWED
                    raise httptools.HttpParserError("Tandem is no proxy.")  # noqa: TRY301 - refused as any other
                head = _head(self.scope["method"], self.url, self.parser.get_http_version(), self.headers)
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
                self.parser.feed_data(head)
                try:
                    self.parser.feed_data(rest)
                except httptools.HttpParserUpgrade as upgrade:
                    rest = rest[upgrade.args[0] :]
                else:
                    return
        except httptools.HttpParserError:
            self._refuse(self._refusal)


class _Flow(FlowControl):
    """Goes on reading in the context of the connection. asyncio's own loop would in that of whoever resumes, a request as a rule, and have
    every later one begin with what that has set.
    """

    def __init__(self, transport: asyncio.Transport, context: Context) -> None:
        super().__init__(transport)
        self._context = context

    def resume_reading(self) -> None:
        if self.read_paused:
            self._context.copy().run(super().resume_reading)


def _without_distrusted(app: ASGI3Application, client: tuple[str, int] | None) -> ASGI3Application:
    """`app`, less uvicorn's look at what a proxy says of its clients, unless `client` is one whom it would believe."""
    if isinstance(app, ProxyHeadersMiddleware) and (client[0] if client else None) not in app.trusted_hosts:
        return app.app
    return app


def _head(method: str, url: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request, less its wish for an upgrade."""
    lines = [f"{method} ".encode(), url, f" HTTP/{version}\r\n".encode()]
    for name, value in headers:
        if name == b"connection":
            if b"close" in value.lower():
                lines.append(b"connection: close\r\n")
        elif name != b"upgrade":
            lines += [name, b": ", value, b"\r\n"]
    return b"".join((*lines, b"\r\n"))
