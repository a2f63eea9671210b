"""Latency of the next item in a review, over HTTP, with 1,000 and 100,000 items in the queue.

    python benchmarks/review_queue.py [DECISIONS] [SIZE …]

A reviewer loads the next item (two requests: `/next`, and the page that it names) and decides it
(one more). The login page, which asks no database, is the reference of the machine.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from setting import GUIDELINE

from prelabel import api
from prelabel.project import load_project

SERVER = """
import sys
from pathlib import Path
from prelabel.project import load_project
from prelabel.review.serving import Address, serve
serve(
    load_project(Path(sys.argv[1])),
    Address("127.0.0.1", int(sys.argv[2])),
    started=lambda address: print(address, flush=True),
)
"""
PORT = 8799
SIZES = (1_000, 100_000)


def make_project(folder: Path, n: int) -> Path:
    """Write a project in which two annotators differ on every one of ``n`` items."""
    folder.mkdir()
    (folder / "guideline.yaml").write_text(GUIDELINE)
    (folder / "prelabel.yaml").write_text("items: {path: items.jsonl}\n")
    text = "come and see what we have for you today, and tell your friends about it"
    with (folder / "items.jsonl").open("w") as items, (folder / "said.jsonl").open("w") as said:
        for i in range(n):
            items.write(json.dumps({"id": f"m{i}", "text": f"message number {i}: {text}"}) + "\n")
            for name, label in (("one", "spam"), ("two", "ham")):
                said.write(json.dumps({"id": f"m{i}", "annotator": name, "label": label}) + "\n")
    project = load_project(folder)
    api.import_annotations(project, folder / "said.jsonl", layout="long")
    return folder


def timed(action: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    """Return how many milliseconds an action took, and its answer."""
    started = time.perf_counter()
    answer = action()
    return (time.perf_counter() - started) * 1000, answer


def percentile(times: Sequence[float], share: float) -> float:
    """Return a percentile."""
    return statistics.quantiles(times, n=100)[round(share * 100) - 1]


def measure(folder: Path, n: int) -> dict[str, list[float]]:
    """Decide ``n`` items, and return the milliseconds of each step."""
    command = [sys.executable, "-c", SERVER, str(folder), str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            address = server.stdout.readline().strip()
            return decide(address, n)
        finally:
            server.terminate()


def decide(address: str, n: int) -> dict[str, list[float]]:
    """Do what a reviewer's browser does."""
    times: dict[str, list[float]] = {"next item": [], "decision": [], "reference": []}
    origin, token = address.split("/login?token=")
    with httpx.Client(base_url=origin, headers={"origin": origin}, timeout=60) as client:
        for _ in range(100):
            try:
                client.post("/login", data={"token": token})
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        for turn in range(n + 20):
            spent, page = timed(lambda: client.get("/next", follow_redirects=True))
            form = {"label": "spam"}
            for name in ("csrf", "request"):
                found = re.findall(rf'name="{name}" value="(\w+)"', page.text)
                form[name] = found[-1]
            path = page.url.path
            deciding, _ = timed(lambda: client.post(path, data=form))  # noqa: B023
            reference, _ = timed(lambda: client.get("/login"))
            if turn >= 20:  # warm
                for name, value in zip(times, (spent, deciding, reference), strict=True):
                    times[name].append(value)
    return times


def main() -> None:
    """Measure each size."""
    given = [int(text) for text in sys.argv[1:]]
    n, sizes = (given[0] if given else 400), given[1:] or SIZES
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in sizes:
            folder = make_project(Path(scratch) / str(size), size)
            times = found[size] = measure(folder, n)
            for name, each in times.items():
                print(
                    f"{size} items, {name}: p50 {percentile(each, 0.5):.1f} ms, "
                    f"p95 {percentile(each, 0.95):.1f} ms (n={len(each)})"
                )
    small, large = found[sizes[0]]["next item"], found[sizes[-1]]["next item"]
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        ratio = percentile(large, share) / percentile(small, share)
        print(f"next item, {sizes[-1]} over {sizes[0]} items: {name} {ratio:.2f}x")


if __name__ == "__main__":
    main()
