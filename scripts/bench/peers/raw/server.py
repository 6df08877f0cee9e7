"""The floor: uvicorn with uvloop and httptools reading a body and answering with fixed bytes."""

import sys

import uvicorn

ANSWER = (
    b'{"model":"iris","version":"1","predictions":[{"label":"setosa","probabilities":'
    b'{"setosa":0.97,"versicolor":0.03,"virginica":0.0}}]}'
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def app(scope, receive, send):
    """Read the whole request, then answer."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
