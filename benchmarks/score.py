"""`prelabel score` from the ledger, beside pandas and scikit-learn on the same rows, same run.

The command reads the project's files and its ledger, scores each annotator and their consensus and
has the intervals. The reference does much less: it reads the labels from the same database with
``pandas.read_sql`` and has scikit-learn's accuracy and macro F1 of each annotator, without
intervals and without checks. Each runs in a process of its own; prints seconds, peak memory, and
the ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from prelabel.ledger import ANNOTATIONS, Ledger
from prelabel.project import load_project
from prelabel.records import Item

NAMES = tuple("abcdefghijklmnopqrstuvwxyz")
OURS = """
import sys
sys.argv = ["prelabel", "score", "--json", "--project", sys.argv[1]]
from prelabel.__main__ import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""
PLAIN = """
import json, sqlite3, sys
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score
folder = sys.argv[1]
query = "SELECT item_id, annotator, label FROM annotations WHERE outcome = 'labeled' ORDER BY n"
votes = pd.read_sql(query, sqlite3.connect(f"{folder}/.prelabel/ledger.sqlite"))
gold = pd.read_json(f"{folder}/gold.jsonl", lines=True, dtype=False).set_index("id")["label"]
found = []
for name, own in votes.groupby("annotator"):
    own = own[own["item_id"].isin(gold.index)]
    right, given = gold.loc[own["item_id"]], own["label"].map(json.loads)
    accuracy, f1 = accuracy_score(right, given), f1_score(right, given, average="macro")
    found.append({"annotator": name, "accuracy": accuracy, "macro_f1": f1})
print(json.dumps(found))
"""
REPORT = """
import resource
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print('{"peak_mb": %f}' % peak, file=sys.stderr)
"""


def make_project(folder: Path, args: argparse.Namespace) -> None:
    """Write a project of made-up items, gold of some of them, and a ledger of annotations."""
    folder.mkdir()
    labels = NAMES[: args.labels]
    guideline = {
        "name": "mail",
        "task": "classification",
        "question": "What is this message about?",
    }
    defined = [{"name": label, "definition": f"It is about {label}."} for label in labels]
    (folder / "guideline.yaml").write_text(json.dumps(guideline | {"labels": defined}))
    (folder / "prelabel.yaml").write_text("items: {path: items.jsonl}\ngold: {path: gold.jsonl}\n")
    truth = np.random.default_rng(0).integers(args.labels, size=args.n)
    items = [
        Item(f"item-{i}", {"text": f"message {i}: come and see what is new"}) for i in range(args.n)
    ]
    with (folder / "items.jsonl").open("w") as file:
        file.writelines(json.dumps({"id": item.id, **item.fields}) + "\n" for item in items)
    with (folder / "gold.jsonl").open("w") as file:
        for item, at in zip(items[: args.gold], truth.tolist(), strict=False):
            file.write(json.dumps({"id": item.id, "label": labels[at]}) + "\n")
    project = load_project(folder)
    ledger = Ledger(project.state / "ledger.sqlite")
    names = [f"annotator-{k}" for k in range(args.annotators)]
    for name in names:
        ledger.add_annotator(f"{name}@import", name, "import", {})
    columns = [column.name for column in ANNOTATIONS.columns if column.name != "n"]
    insert = (
        f"INSERT INTO annotations ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    )
    connection = ledger.engine.raw_connection()
    connection.execute("PRAGMA synchronous=OFF")
    for k, name in enumerate(names):
        rows = annotations(items, truth, f"{name}@import", project.guideline.hash, k, args)
        connection.cursor().executemany(insert, ([row[c] for c in columns] for row in rows))
    connection.commit()
    connection.close()
    ledger.close()


def annotations(
    items: list[Item], truth: np.ndarray, identifier: str, guideline: str, seed: int, args: Any
) -> Iterator[dict[str, Any]]:
    """Yield an annotator's rows: right 7 times in 10, 2 in 100 failed and 1 abstained from."""
    rng = np.random.default_rng(seed + 1)
    guess = rng.integers(args.labels, size=len(items))
    given = np.where(rng.random(len(items)) < 0.7, truth, guess).tolist()
    chance = rng.random(len(items)).tolist()
    sure = rng.uniform(0.5, 1.0, len(items)).round(6).tolist()
    fixed = {
        "annotator": identifier, "guideline_hash": guideline, "detail": "", "rationale": "",
        "calls": 1, "input_tokens": 200, "output_tokens": 6, "cached_tokens": 0, "cost": 1e-5,
        "unconfirmed": 0.0, "replayed": False, "latency": 0.5, "shown": "[]",
        "created": time.time(), "extras": None, "distribution": None, "failure": None,
        "label": None,
    }  # fmt: skip
    for item, at, c, p in zip(items, given, chance, sure, strict=True):
        row = fixed | {"item_id": item.id, "item_hash": item.hash, "outcome": "labeled"}
        if c < 0.02:
            row |= {"outcome": "failed", "failure": "timeout"}
        elif c < 0.03:
            row["outcome"] = "abstained"
        else:
            row["label"] = json.dumps(NAMES[at])
            if args.beliefs:
                rest = [
                    [NAMES[k], round((1 - p) / (args.labels - 1), 6)]
                    for k in range(args.labels)
                    if k != at
                ]
                row["distribution"] = json.dumps({"": [[NAMES[at], p], *rest]})
        yield row


def timed(code: str, folder: Path) -> tuple[float, float, Any]:
    """Return seconds, peak MB and what a process of its own printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code + REPORT, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    peak = json.loads(done.stderr.strip().splitlines()[-1])["peak_mb"]
    return seconds, peak, json.loads(done.stdout)


def main() -> None:
    """Make a project, score it both ways, and print seconds, memory and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=100_000, help="items")
    parser.add_argument("--annotators", type=int, default=3)
    parser.add_argument("--labels", type=int, default=5)
    parser.add_argument("--gold", type=int, default=2_000)
    parser.add_argument("--beliefs", action="store_true", help="with label distributions")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "project"
        make_project(folder, args)
        ours, our_peak, report = timed(OURS, folder)
        plain, plain_peak, found = timed(PLAIN, folder)
    for one, own in zip(report["annotators"], found, strict=True):
        assert abs(one["accuracy"]["value"] - own["accuracy"]) < 1e-9, (one, own)
    print(f"{args.n * args.annotators:,} annotations, {args.gold:,} gold items")
    print(f"prelabel score     {ours:7.1f} s {our_peak:7.0f} MB")
    print(f"pandas and sklearn {plain:7.1f} s {plain_peak:7.0f} MB")
    print(f"ratio              {ours / plain:7.2f}x {our_peak / plain_peak:6.2f}x")


if __name__ == "__main__":
    main()
