"""Requests that vLLM stumbles over before it has read them.

Its checks take some fields for objects and lists without looking (`structured_outputs: 3`, a tool without its function). What they
raise then is a fault of the request, and vLLM would answer it with 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_READING = "fastapi.dependencies.utils"
"""The module that makes a request's body the arguments of what handles it."""


def answer_malformed(app: Starlette) -> None:
    """Let `app` answer 400 to what cannot be read, and nothing else."""
    for kind in (AttributeError, LookupError):
        app.add_exception_handler(kind, _malformed)
    if app.middleware_stack is not None:  # what vLLM builds on has made it early, with the handlers of that time
        app.middleware_stack = app.build_middleware_stack()


async def _malformed(_request: Request, error: Exception) -> Response:
    if not _while_reading(error):
        raise error
    message = "A field of the request is not of the type that it must be."
    said = {"message": message, "type": "BadRequestError", "param": None, "code": 400}
    return JSONResponse({"error": said}, 400)


def _while_reading(error: Exception) -> bool:
    frames = error.__traceback__
    while frames is not None:
        if frames.tb_frame.f_globals.get("__name__") == _READING:
            return True
        frames = frames.tb_next
    return False
