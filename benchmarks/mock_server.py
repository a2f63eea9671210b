"""An OpenAI-shaped server with a fixed latency. Run: python mock_server.py PORT MILLISECONDS."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

REPLY = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": '{"label": "spam"}'},
        }
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 6, "total_tokens": 106},
}


def main() -> None:
    """Serve until killed."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2]) / 1000

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(seconds)
        return web.json_response(REPLY)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()
