"""``kill -9`` a hundred times at random moments: nothing stored is lost, or paid for again.

A driver process imports all once and then forks a child for every run, so that a child starts in
milliseconds; pytest itself only looks at what is left.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import projects as p
import wire as w

from prelabel.project import load_project
from prelabel.run import RunStatus, label, opened

KILLS = 100
SEED = int(os.environ.get("KILL_SEED", "0"))
ITEMS = 2000
LATENCY = 0.02
CONCURRENCY = 3
READ, WRITE = 1.5e-7, 6e-7  # dollars a token of gpt-4o-mini


def stored(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the answers in the cache by the id that the server gave them."""
    path = folder / ".prelabel" / "cache" / "cache.db"
    if not path.exists():
        return {}
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    rows = db.execute("SELECT value FROM Cache WHERE instr(key, ':') = 0").fetchall()
    db.close()
    replies = [json.loads(value) for (value,) in rows]  # too short to be compressed
    return {reply["raw"]["id"]: reply for reply in replies}


def written(folder: Path) -> int:
    """Return the number of annotations on disk."""
    path = folder / ".prelabel" / "ledger.sqlite"
    if not path.exists():
        return 0
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        return int(db.execute("SELECT count(*) FROM annotations").fetchone()[0])
    except sqlite3.OperationalError:  # killed before the tables were made
        return 0
    finally:
        db.close()


def stats(url: str) -> dict[str, Any]:
    """Return what the server has counted."""
    with urllib.request.urlopen(f"{url}/stats") as answer:
        return dict(json.load(answer))


def child(folder: Path, pipe: int) -> None:
    """Label, saying after every write how many annotations were counted."""

    def report(status: RunStatus) -> None:
        os.write(pipe, f"{sum(status.outcomes.values())}\n".encode())

    try:
        label(load_project(folder), report=report, max_cost=1.0)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)


def drive(folder: Path, url: str, seed: int) -> None:
    """Fork, kill, look; print one line of JSON a kill."""
    rng = random.Random(seed)
    p.warm_up(folder / "warm")
    longest = 0.5
    for _ in range(KILLS):
        read, write = os.pipe()
        before = written(folder)
        pid = os.fork()
        if pid == 0:
            child(folder, write)
        os.close(write)
        time.sleep(rng.random() * longest)
        os.kill(pid, signal.SIGKILL)
        _, ended = os.waitpid(pid, 0)
        time.sleep(2 * LATENCY)  # what was sent has arrived
        said = os.read(read, 2**16).split() if select.select([read], [], [], 0)[0] else []
        os.close(read)
        line = {
            "killed": os.WIFSIGNALED(ended),
            "failed": os.WIFEXITED(ended) and os.WEXITSTATUS(ended) != 0,
            "counted": before + int(said[-1] if said else 0),
            "written": written(folder),
            "stored": list(stored(folder)),
            "calls": stats(url)["calls"],
        }
        print(json.dumps(line), flush=True)  # noqa: T201


def test_a_hundred_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    texts = [f"item {n}" for n in range(ITEMS)]
    command = [sys.executable, str(Path(w.__file__)), "--latency", str(LATENCY)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = server.stdout.readline().strip()
        annotator = {"name": "gpt", "model": "openai/gpt-4o-mini", "base_url": f"{url}/v1"}
        annotator["api_key"] = "k"
        p.make_project(tmp_path, texts, [annotator], concurrency=CONCURRENCY)
        driver = [sys.executable, str(Path(__file__)), str(tmp_path), url, str(SEED)]
        done = subprocess.run(driver, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
        epochs = [json.loads(line) for line in done.stdout.splitlines()]
        check_epochs(epochs)
        wide = p.make_project(tmp_path, texts, [annotator], concurrency=16)
        status = label(wide)
        final = stats(url)
    finally:
        server.kill()
        server.communicate()
    assert not status.stopped
    check_facts(tmp_path, texts)
    check_money(tmp_path, epochs, final)


def check_epochs(epochs: list[dict[str, Any]]) -> None:
    """What was counted is written; what is stored stays, and is never asked for again."""
    assert len(epochs) == KILLS
    assert not any(epoch["failed"] for epoch in epochs)
    assert sum(epoch["killed"] for epoch in epochs) > 0.9 * KILLS
    kept: set[str] = set()
    calls: Counter[str] = Counter()
    busy = 0
    for epoch in epochs:
        assert epoch["written"] >= epoch["counted"]
        asked = Counter(epoch["calls"]) - calls
        assert max(asked.values(), default=1) == 1
        assert not kept & {w.identity(text) for text in asked}
        assert kept <= set(epoch["stored"])
        busy += bool(asked)
        kept, calls = set(epoch["stored"]), Counter(epoch["calls"])
    assert busy > 0.3 * KILLS  # else the kills came before the work


def check_facts(folder: Path, texts: list[str]) -> None:
    """Every item has one annotation, with the label that the server gave."""
    assert written(folder) == len(texts)
    found = p.annotations(load_project(folder))
    schema = w.Wire().schema({})
    right = {f"i{n}": w.chosen(text, schema)["label"] for n, text in enumerate(texts)}
    assert {item: a.label for item, a in found.items()} == right
    for path in ("ledger.sqlite", "cache/cache.db"):
        db = sqlite3.connect(folder / ".prelabel" / path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()


def check_money(folder: Path, epochs: list[dict[str, Any]], final: dict[str, Any]) -> None:
    """Costs are those of the answers stored; what was lost in flight is within the unconfirmed."""
    replies = stored(folder)
    asked: Counter[str] = Counter()  # kills that an item was in flight at
    calls: Counter[str] = Counter()
    for epoch in epochs:
        new = Counter(epoch["calls"]) - calls
        asked += Counter(text for text in new if w.identity(text) not in epoch["stored"])
        calls = Counter(epoch["calls"])
    assert all(n <= 1 + asked[text] for text, n in final["answered"].items())
    assert final["calls"] == dict(Counter(final["calls"].keys()) + asked)
    paid = sum(reply["cost"] for reply in replies.values())
    billed = final["tokens"]["in"] * READ + final["tokens"]["out"] * WRITE
    with opened(load_project(folder)) as (_, cache):
        assert abs(cache.spent - paid) < 1e-12
        assert billed <= cache.spent + cache.unconfirmed
        print(f"{sum(asked.values())} answers in flight at {KILLS} kills; ${paid:.6f} paid")  # noqa: T201


if __name__ == "__main__":
    drive(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
