"""A scripted server that speaks OpenAI's and Anthropic's wire formats, for tests and benchmarks.

An item's text says what the server does with it: ``[[rate_limited,valid]] some text`` answers the
first call with a 429 and all later ones properly. Without a mark the answer is valid, and its label
follows from the text alone, so that a test can foretell it. All that is received is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from time import monotonic, time
from typing import Any

from aiohttp import web

MARK = re.compile(r"\[\[([\w,.=:-]+)\]\]")
FENCE = re.compile(r"<(item[\w-]*)>\n(.*?)\n</\1>", re.DOTALL)


@dataclass
class Reply:
    """What the server does with one call; ``content`` None leaves it to the schema."""

    content: str | None = None
    finish: str = "stop"
    refusal: str | None = None
    status: int = 200
    body: Any = None  # an error's body, or a raw text
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: str = ""  # "before" or "after" reading the request, "half" way through the answer
    trickle: float = 0.0  # seconds between the bytes of the answer
    null: bool = False
    usage: bool = True


def error(message: str, code: str = "", kind: str = "") -> dict[str, Any]:
    """Return an error body as OpenAI and Anthropic write it."""
    inner = {"message": message, "type": kind or code, "code": code or None}
    return {"type": "error", "error": inner}


TOO_LONG = "This model's maximum context length is 10 tokens. prompt is too long: 20 tokens"
HTML = "<html>502 gateway</html>"

BEHAVIOURS: dict[str, Callable[[], Reply]] = {
    "valid": Reply,
    "off_list": lambda: Reply('{"label": "Not toxic."}'),
    "mute": lambda: Reply(refusal="I will not label this.", null=True),
    "filtered": lambda: Reply("", finish="content_filter"),
    "truncated": lambda: Reply('{"label": "to', finish="length"),
    "malformed": lambda: Reply('{"label": '),
    "prose": lambda: Reply("I think it is toxic."),
    "two": lambda: Reply('{"label": "toxic"}\n{"label": "not_toxic"}'),
    "twice": lambda: Reply('{"label": "toxic", "label": "not_toxic"}'),
    "fenced": lambda: Reply('```json\n{"label": "toxic"}\n```'),
    "null": lambda: Reply(null=True),
    "unmetered": lambda: Reply(usage=False),
    "empty": lambda: Reply(body=""),
    "nothing": lambda: Reply(body={}),
    "html": lambda: Reply(body=HTML),
    "rate_limited": lambda: Reply(status=429, body=error("slow down", "rate_limit_exceeded")),
    "wait": lambda: Reply(
        status=429, body=error("slow down", "rate_limit_exceeded"), headers={"Retry-After": "1"}
    ),
    "wait_date": lambda: Reply(
        status=429,
        body=error("slow down", "rate_limit_exceeded"),
        headers={"Retry-After": formatdate(time() + 2, usegmt=True)},
    ),
    "quota": lambda: Reply(status=429, body=error("You ran out.", "insufficient_quota")),
    "down": lambda: Reply(status=500, body=error("boom", "server_error")),
    "unavailable": lambda: Reply(status=503, body=error("overloaded", "overloaded_error")),
    "overloaded": lambda: Reply(status=529, body=error("overloaded", "overloaded_error")),
    "hang": lambda: Reply(delay=60),
    "trickle": lambda: Reply(trickle=0.2),
    "reset": lambda: Reply(reset="after"),
    "half": lambda: Reply(reset="half"),
    "error_200": lambda: Reply(body=error("upstream is down", "server_error")),
    "bad": lambda: Reply(status=400, body=error("no such parameter", "invalid_request_error")),
    "too_large": lambda: Reply(status=413, body=error("body too large", "request_too_large")),
    "unknown_key": lambda: Reply(status=401, body=error("bad key", "invalid_api_key")),
    "forbidden": lambda: Reply(status=403, body=error("not yours", "permission_error")),
    "no_model": lambda: Reply(status=404, body=error("no such model", "model_not_found")),
    "policy": lambda: Reply(status=400, body=error("unsafe", "content_policy_violation")),
    "too_long": lambda: Reply(status=400, body=error(TOO_LONG, "context_length_exceeded")),
}


def by_mark(text: str, n: int) -> Reply:
    """Return what the text's mark asks for at its n-th call (from 0)."""
    found = MARK.search(text)
    steps = found[1].split(",") if found else ["valid"]
    name = steps[min(n, len(steps) - 1)]
    if name.startswith("delay="):
        return Reply(delay=float(name[6:]))
    return BEHAVIOURS[name]()


def chosen(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the answer that the server gives to ``text``: it depends on nothing else."""
    answer: dict[str, Any] = {}
    for name, kind in schema["properties"].items():
        if kind["type"] == "boolean":
            answer[name] = name != "abstain" and zlib.crc32(f"{name} {text}".encode()) % 2 == 0
        elif kind["type"] == "array":
            names = kind["items"]["enum"]
            answer[name] = [n for n in names if zlib.crc32(f"{n} {text}".encode()) % 2 == 0]
        elif "enum" in kind:
            labels = [label for label in kind["enum"] if label != "abstain"]
            answer[name] = labels[zlib.crc32(text.encode("utf-8", "replace")) % len(labels)]
        else:
            answer[name] = 'so says the "label": it fits'
    return answer


class Wire:
    """What the server has seen and done. ``calls`` and ``answered`` count by the item's text."""

    def __init__(
        self, script: Callable[[str, int], Reply] = by_mark, *, delay: float = 0.0
    ) -> None:
        self.script, self.delay, self.url = script, delay, ""
        self.labels = ["toxic", "not_toxic"]  # where a request names none
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.times: list[tuple[float, str]] = []
        self.requests: list[dict[str, Any]] = []
        self.keep_requests = True
        self.flying = self.peak = 0
        self.tokens: Counter[str] = Counter()
        self.cached, self.written = 0, 0  # Anthropic: tokens reported as read and written

    def schema(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the schema that a request asks for, or the default labels'."""
        wanted = body.get("response_format", {}).get("json_schema") or body.get("output_format")
        wanted = wanted or body.get("output_config", {}).get("format")
        if wanted and "schema" in wanted:
            return dict(wanted["schema"])
        return {"properties": {"label": {"type": "string", "enum": self.labels}}}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call by the script."""
        body = await request.json()
        text = item_text(body)
        n = self.calls[text]
        self.calls[text] += 1
        self.times.append((monotonic(), text))
        if self.keep_requests:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append({"body": body, "headers": headers})
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        try:
            reply = self.script(text, n)
            await asyncio.sleep(reply.delay or self.delay)
            return await self.send(request, body, text, reply)
        except ConnectionResetError:  # whoever asked is gone
            return web.Response()
        finally:
            self.flying -= 1

    async def send(
        self, request: web.Request, body: dict[str, Any], text: str, reply: Reply
    ) -> web.StreamResponse:
        """Send an answer; count it once it is sent whole."""
        if reply.reset == "after":
            assert request.transport
            request.transport.abort()
            return web.Response()
        made = (
            reply.body if reply.body is not None else self.answer(request.path, body, text, reply)
        )
        raw = made if isinstance(made, str) else json.dumps(made)
        kind = "text/html" if isinstance(made, str) else "application/json"
        data = raw.encode()
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_type, response.content_length = kind, len(data)
        await response.prepare(request)
        for byte in data if reply.trickle else b"":
            await response.write(bytes([byte]))
            await asyncio.sleep(reply.trickle)
        await response.write(data[: len(data) // 2] if reply.reset else data)
        if reply.reset:
            assert request.transport
            request.transport.abort()
            return response
        await response.write_eof()
        if reply.status == 200 and reply.body is None:
            self.answered[text] += 1
        return response

    def answer(self, path: str, body: dict[str, Any], text: str, reply: Reply) -> dict[str, Any]:
        """Return the body of an answer in the format that the path stands for, and meter it."""
        content = reply.content
        if content is None:
            content = json.dumps(chosen(text, self.schema(body)), ensure_ascii=False)
        read, written = len(json.dumps(body["messages"])) // 4 + 8, len(content) // 4 + 1
        self.tokens += Counter(
            {"in": read, "out": written, "cached": self.cached, "written": self.written}
        )
        shape = anthropic if path.endswith("/messages") else openai
        made = shape(body, text, reply, content)
        if reply.usage:
            made["usage"] = (
                {
                    "input_tokens": read,
                    "output_tokens": written,
                    "cache_read_input_tokens": self.cached,
                    "cache_creation_input_tokens": self.written,
                }
                if shape is anthropic
                else {
                    "prompt_tokens": read,
                    "completion_tokens": written,
                    "total_tokens": read + written,
                }
            )
        return made

    def stats(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        names = ("calls", "answered", "tokens", "peak")
        return {name: getattr(self, name) for name in names}

    def app(self) -> web.Application:
        """Return the server."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self.handle)
        app.router.add_post("/v1/messages", self.handle)

        async def stats(_request: web.Request) -> web.Response:
            return web.json_response(self.stats())

        app.router.add_get("/stats", stats)
        return app


def item_text(body: dict[str, Any]) -> str:
    """Return the text of the item that a request is about: the last that is fenced."""
    fenced = ""
    for message in body["messages"]:
        content = message["content"] or ""
        if not isinstance(content, str):
            content = "".join(block.get("text", "") for block in content)
        if message["role"] == "user" and (found := FENCE.findall(content)):
            fenced = found[-1][1]
    return fenced


def identity(text: str) -> str:
    """Return the id that an answer to ``text`` carries."""
    return f"answer-{zlib.crc32(text.encode('utf-8', 'replace')):08x}"


def openai(body: dict[str, Any], text: str, reply: Reply, content: str) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": None if reply.null else content}
    if reply.refusal:
        message["refusal"] = reply.refusal
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    if body.get("logprobs") and not reply.null:
        choice["logprobs"] = {"content": logprobs(content)}
    return {
        "id": identity(text),
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
    }


def anthropic(body: dict[str, Any], text: str, reply: Reply, content: str) -> dict[str, Any]:
    """Return a message."""
    reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    blocks = [] if reply.null else [{"type": "text", "text": content}]
    return {
        "id": identity(text),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": "refusal" if reply.refusal else reasons[reply.finish],
        "stop_sequence": None,
    }


def logprobs(content: str) -> list[dict[str, Any]]:
    """Return a token a word, the values ``toxic`` and ``not_toxic`` with each other beside them."""
    rows = []
    for piece in re.findall(r'"\w+|\w+|[^"\w]+|"', content):
        other = {'"toxic': '"not_toxic', '"not_toxic': '"toxic'}.get(piece)
        row = {
            "token": piece,
            "bytes": list(piece.encode()),
            "logprob": -0.2231435513 if other else 0,
        }
        tops = [dict(row)]
        if other:
            tops.append({"token": other, "bytes": list(other.encode()), "logprob": -1.6094379124})
        rows.append(row | {"top_logprobs": tops})
    return rows


@contextmanager
def serving(script: Callable[[str, int], Reply] = by_mark, *, delay: float = 0.0) -> Iterator[Wire]:
    """Run the server in a thread."""
    wire = Wire(script, delay=delay)
    loop = asyncio.new_event_loop()
    up, runner = threading.Event(), web.AppRunner(wire.app(), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        up.set()

    async def stop() -> None:
        await runner.cleanup()
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(stop())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield wire
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def main() -> None:
    """Serve until killed; the address is the one line printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds an answer takes")
    parser.add_argument("--script", default="mark", help="mark, or a behaviour for every call")
    options = parser.parse_args()

    def script(text: str, n: int) -> Reply:
        return by_mark(text, n) if options.script == "mark" else BEHAVIOURS[options.script]()

    wire = Wire(script, delay=options.latency)
    wire.keep_requests = False

    async def serve() -> None:
        runner = web.AppRunner(wire.app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", options.port).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
