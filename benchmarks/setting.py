"""What the benchmarks share: a project of made-up items, and a mock server."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GUIDELINE = """\
name: mail
purpose: Keep unwanted mail away.
task: classification
question: Is this message spam?
item: message
labels:
  - name: spam
    definition: Advertising that nobody asked for.
    examples: [{text: Win a car now}, {text: Cheap pills}, {text: You won}]
  - name: ham
    definition: All other messages.
    examples: [{text: See you at six}, {text: The report is done}, {text: Thanks}]
"""


def make_project(folder: Path, n: int, port: int, width: int, tag: str) -> Path:
    """Write a project of ``n`` items; ``tag`` makes its items differ from another's."""
    folder.mkdir(parents=True)
    (folder / "guideline.yaml").write_text(GUIDELINE)
    with (folder / "items.jsonl").open("w") as file:
        for i in range(n):
            text = f"{tag} message number {i}: come and see what we have for you today"
            file.write(json.dumps({"id": str(i), "text": text}) + "\n")
    (folder / "prelabel.yaml").write_text(
        "items: {path: items.jsonl}\n"
        "annotators:\n"
        "  - name: mock\n"
        "    model: openai/gpt-4o-mini\n"
        f"    base_url: http://127.0.0.1:{port}/v1\n"
        "    api_key: none\n"
        "    logprobs: false\n"
        f"run: {{concurrency: {width}}}\n"
    )
    return folder


@contextlib.contextmanager
def mock_server(milliseconds: float) -> Iterator[int]:
    """Start the mock server; give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("mock_server.py")
    server = subprocess.Popen([sys.executable, str(script), str(port), str(milliseconds)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()
