"""A Platform behind ASGI. Thin: it translates, delays, and breaks the connection where the plan says so."""

import asyncio
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulator import control
from simulator.messages import Misbehaviour, Request, Response
from simulator.platform import Platform

TRANSPORT = "simulator.transport"
_LINES_PER_CHUNK = 500


class Protocol(HttpToolsProtocol):
    """uvicorn's own, except that the application can reach the connection to break it."""

    def on_message_begin(self) -> None:
        """Called by the parser before each request."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]


def make_app(platform: Platform) -> Starlette:
    """The application that serves a platform."""
    latency_seconds = platform.dials.latency_ms / 1000

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = await _received(scope, receive)
        if (request.method, request.path) == control.OPERATIONS:
            await _stream_lines(platform.operations(), send)
            return
        is_control = request.path.startswith(control.PREFIX)
        response = control.answer(platform, request) if is_control else platform.handle(request)
        misbehaviour = response.misbehaviour
        stall_seconds = latency_seconds + (misbehaviour.stall_seconds if misbehaviour else 0)
        if stall_seconds:
            await asyncio.sleep(stall_seconds)
        if misbehaviour and (misbehaviour.is_reset or misbehaviour.content_length is not None):
            await _misbehave(scope["extensions"][TRANSPORT], response, misbehaviour, receive)
        else:
            await _send(response, send)

    return Starlette(routes=[Mount("/", app=serve)])


async def _received(scope: Scope, receive: Receive) -> Request:
    body, is_more = b"", scope["method"] != "GET"
    while is_more:
        message = await receive()
        body += message.get("body", b"")
        is_more = message.get("more_body", False)
    return Request(
        method=scope["method"],
        path=unquote_to_bytes(scope["raw_path"]).decode("utf-8", "replace"),
        query=scope["query_string"].decode("latin-1"),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def _send(response: Response, send: Send) -> None:
    headers = {**response.headers, "content-length": str(len(response.body))}
    await send({"type": "http.response.start", "status": response.status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": response.body})


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _stream_lines(lines: Iterator[bytes], send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", control.JSONL.encode())]})
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line + b"\n")
        if len(chunk) >= _LINES_PER_CHUNK:
            await send({"type": "http.response.body", "body": b"".join(chunk), "more_body": True})
            chunk.clear()
    await send({"type": "http.response.body", "body": b"".join(chunk)})


async def _misbehave(
    transport: asyncio.Transport, response: Response, misbehaviour: Misbehaviour, receive: Receive
) -> None:
    """Write what the plan wants, close, and wait until the server has noticed, so that it sends nothing after it."""
    if misbehaviour.is_reset:
        transport.abort()
    else:
        headers = {**response.headers, "content-length": str(misbehaviour.content_length), "connection": "close"}
        lines = [f"HTTP/1.1 {response.status} OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        transport.write("\r\n".join(lines).encode("latin-1") + response.body)
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
