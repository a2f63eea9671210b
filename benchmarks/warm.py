"""Warm replay: all answers in the cache, an empty ledger. Rate, and memory at two sizes.

The cache is filled directly (paying is not what is measured); the replay runs in a process of its
own, which compiles each prompt, looks it up, reads the answer and writes the annotation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mock_server import REPLY
from setting import make_project

from prelabel.annotate import LLMAnnotator
from prelabel.budget import Budget
from prelabel.project import load_project
from prelabel.run import opened

REPLAY = """
import json, resource, sys, time
from prelabel.project import load_project
from prelabel.run import label
started = time.perf_counter()
status = label(load_project(sys.argv[1]))
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
assert status.replayed == status.total, status
print(json.dumps({"n": status.total, "seconds": seconds, "peak_mb": peak}))
"""


async def fill(folder: Path) -> None:
    """Put an answer for every item into the project's cache."""
    project = load_project(folder)
    with opened(project) as (_ledger, cache):
        config = project.config.annotators[0]
        one = LLMAnnotator(project, config, cache, Budget(None, lambda: 0.0))
        reply = {"raw": REPLY, "cost": 1e-5, "latency": 0.1, "at": time.time()}
        for item in project.items():
            prompt = one.compiler.compile(item)
            cache.put(one.llm.key([*one.llm.static, *prompt.messages], 0), reply, 1e-5)


def main() -> None:
    """Measure two sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, nargs="+", default=[10_000, 100_000])
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in args.n:
            project = make_project(Path(folder) / str(n), n, 1, 16, "warm")
            asyncio.run(fill(project))
            command = [sys.executable, "-c", REPLAY, str(project)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout)
            rows.append(row)
            rate = n / row["seconds"]
            print(f"{n} annotations: {rate:.0f}/s in all, peak {row['peak_mb']:.0f} MB")
    if len(rows) > 1:
        more = rows[-1]["n"] - rows[0]["n"]
        rate = more / (rows[-1]["seconds"] - rows[0]["seconds"])
        bytes_each = (rows[-1]["peak_mb"] - rows[0]["peak_mb"]) * 2**20 / more
        print(f"without start-up: {rate:.0f}/s; memory grows by {bytes_each:.0f} bytes an item")


if __name__ == "__main__":
    main()
