# A Starlette app that a fix is pasted into (PASTE). Arguments, for each page:
# path, Host, X-Forwarded-Proto (which is not sent).
import asyncio
import sys

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def health(request):
    return PlainTextResponse("ok\n")


routes = [Route("/health", health), Route("/", health)]
app = Starlette(routes=routes)

PASTE


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message):
    if message["type"] == "http.response.start":
        print(message["status"])


for path, host, _ in zip(*[iter(sys.argv[1:])] * 3):
    asyncio.run(app({
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "scheme": "http", "server": ("10.0.0.10", 8080),
        "client": ("10.0.0.1", 40000), "headers": [(b"host", host.encode())],
    }, receive, send))
