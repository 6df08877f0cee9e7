"""`POST /classify`, `/explain` and `/explain_stream`: Tandem's own API, as BentoML's client speaks it too."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from services.gateway.native.answers import classified, explained
from services.gateway.native.schemas import RequestDecoder, RowRequest, RowsRequest, as_row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from models.spec import ModelSpec
    from services.gateway.backends import Row
    from services.gateway.dataplane import DataPlane
    from services.gateway.exchange import Exchange

_encode = msgspec.json.Encoder().encode


class NativeRoutes:
    """Handlers of Tandem's own API over one data plane."""

    def __init__(self, dataplane: DataPlane, max_rows: int) -> None:
        self._dataplane = dataplane
        self.max_rows = max_rows
        self.decode_rows: RequestDecoder[RowsRequest]
        self.decode_row: RequestDecoder[RowRequest]
        dataplane.catalogue.listen(self._learn_models)

    async def classify(self, exchange: Exchange) -> None:
        """Labels and probabilities for a list of rows."""
        spec, request = self.decode_rows(await exchange.body())
        exchange.line.model, exchange.line.version = spec.name, spec.version
        exchange.line.rows = len(request.rows)
        rows = [as_row(row) for row in request.rows]
        answers = await self._dataplane.predict(spec, rows)
        await exchange.json(200, _encode(classified(spec, answers)))

    async def explain(self, exchange: Exchange) -> None:
        """Prediction, attributions and the language model's words for one row."""
        spec, request = self.decode_row(await exchange.body())
        exchange.line.model, exchange.line.version = spec.name, spec.version
        exchange.line.rows = 1
        await exchange.while_connected(self._explain(exchange, spec, as_row(request.row)))

    async def explain_stream(self, exchange: Exchange) -> None:
        """The text of an explanation, as it is generated."""
        spec, request = self.decode_row(await exchange.body())
        exchange.line.model, exchange.line.version = spec.name, spec.version
        exchange.line.rows = 1
        pieces = _encoded(self._dataplane.explain_stream(spec, as_row(request.row)))
        await exchange.while_connected(exchange.stream(200, pieces, b"text/plain; charset=utf-8"))

    def _learn_models(self) -> None:
        catalogue = self._dataplane.catalogue
        specs = tuple(catalogue.specs.values())
        self.decode_rows = RequestDecoder(specs, "rows", self.max_rows, catalogue.others)
        self.decode_row = RequestDecoder(specs, "row", None, catalogue.others)

    async def _explain(self, exchange: Exchange, spec: ModelSpec, row: Row) -> None:
        explanation = await self._dataplane.explain(spec, row)
        await exchange.json(200, _encode(explained(explanation)))


async def _encoded(pieces: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece.encode()
