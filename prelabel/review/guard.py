"""What every request passes first: host, origin and size are checked, and headers are added.

A page of somebody else's that reaches this server by a name it controls (DNS rebinding) sends that
name as ``Host``; one that posts a form here sends its own ``Origin``. Both are refused by exact
comparison, before anything is read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**20
"""Of a request's body."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer, browsers hide the origin of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
    "cache-control": "no-store",
}

SAFE = {"GET", "HEAD"}


class Guard:
    """The outermost layer of the app; ``origins`` are those that people may use, whole."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self.app = app
        self.origins = {origin.encode() for origin in origins}
        self.hosts = {origin.split(b"://", 1)[1] for origin in self.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        body = None if refusal else await _body(receive)
        if body is None:
            refusal = refusal or (413, "This is more than a form of this page can send.")
            response = PlainTextResponse(refusal[1], refusal[0])
            await response(scope, receive, _with_headers(send))
            return
        await self.app(scope, _replay(body, receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and reason if a request is not one of our pages'."""
        given: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            given.setdefault(name, []).append(value)
        hosts, origins = given.get(b"host", []), given.get(b"origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 400, "This server does not go by that name; use the address it printed."
        if any(origin not in self.origins for origin in origins):
            return 403, "This request comes from another site."
        if scope["method"] not in SAFE and len(origins) != 1:
            return 403, "This request does not say which site it comes from."
        length = b"".join(given.get(b"content-length", [b"0"]))
        if not length.isdigit() or int(length[:20]) > MOST_BYTES:
            return 413, "This is more than a form of this page can send."
        return None


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body; None where it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives the body again, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    """Return a sender that adds the headers of every answer."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message.get("headers", [])}
            added = [
                (name.encode(), value.encode())
                for name, value in HEADERS.items()
                if name.encode() not in own
            ]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return adding
