"""Cold labeling through label(), beside bare litellm.acompletion on the same server, same run.

Prints labels a second of each, round by round, and the median ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from setting import make_project, mock_server

from prelabel.project import load_project
from prelabel.provider import load_litellm
from prelabel.run import label_async


async def bare(port: int, n: int, width: int) -> float:
    """Return calls a second of litellm alone, with the same requests' shape."""
    litellm = load_litellm()
    schema = {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": ["spam", "ham"]}},
        "required": ["label"],
        "additionalProperties": False,
    }
    form = {"name": "Answer", "strict": True, "schema": schema}
    gate = asyncio.Semaphore(width)

    async def one(i: int) -> None:
        async with gate:
            await litellm.acompletion(
                model="openai/gpt-4o-mini",
                messages=[
                    {"role": "system", "content": "Is this message spam?"},
                    {"role": "user", "content": f"message number {i}"},
                ],
                base_url=f"http://127.0.0.1:{port}/v1",
                api_key="none",
                max_tokens=256,
                temperature=0.0,
                timeout=60,
                num_retries=0,
                max_retries=0,
                response_format={"type": "json_schema", "json_schema": form},
            )

    started = time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(n)))
    return n / (time.perf_counter() - started)


async def main() -> None:
    """Measure both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=600, help="calls a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=64, help="calls in flight")
    parser.add_argument("--latency", type=float, default=100, help="of the server, in ms")
    args = parser.parse_args()
    ratios = []
    with mock_server(args.latency) as port, tempfile.TemporaryDirectory() as folder:
        await bare(port, args.width, args.width)  # connections and imports
        for r in range(args.rounds):
            project = make_project(Path(folder) / str(r), args.n, port, args.width, f"round {r}")
            reference = await bare(port, args.n, args.width)
            started = time.perf_counter()
            status = await label_async(load_project(project))
            ours = args.n / (time.perf_counter() - started)
            assert status.outcomes["labeled"] == args.n, status
            ratios.append(ours / reference)
            print(f"round {r}: litellm {reference:.0f}/s, label {ours:.0f}/s, {ratios[-1]:.2f}x")
    print(f"label / litellm.acompletion, median of {args.rounds}: {statistics.median(ratios):.2f}x")


if __name__ == "__main__":
    asyncio.run(main())
