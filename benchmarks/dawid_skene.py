"""Dawid-Skene: 1,000,000 items x 5 annotators x 5 labels, 20 iterations, against another one.

The other is crowd-kit, where ``--python`` names an interpreter that has it; else a plain NumPy
reference that keeps a row an item. Each runs in a process of its own on the same votes, and starts
from the form that it likes best: a long table, or with ``--table`` a long table for both. The peak
is of the process while it runs, the votes included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

VOTES = """
import json, sys, time
from pathlib import Path
import numpy as np
codes = np.load(sys.argv[1])
labels, iterations, table = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "table"
n, annotators = codes.shape
def long_table(*names):
    import pandas as pd
    columns = (np.repeat(np.arange(n), annotators), np.tile(np.arange(annotators), n))
    return pd.DataFrame(dict(zip(names, (*columns, codes.ravel().astype(np.int64)))))
def start():
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is of making the votes
    return time.perf_counter()
"""
OURS = """
from prelabel.dawid_skene import (
    MAXIMUM_LIKELIHOOD, fit_dawid_skene, fit_matrix, weigh, weigh_matrix
)
how = {"prior": MAXIMUM_LIKELIHOOD, "iterations": iterations, "tolerance": -1.0}
votes = long_table("item", "annotator", "value") if table else codes
started = start()
if table:
    params = fit_dawid_skene(votes, list(range(labels)), **how)
    weights = weigh(votes, params).to_numpy()
else:
    params = fit_matrix(codes, list(range(labels)), list(range(annotators)), **how)
    weights = weigh_matrix(codes, params)
found = weights.argmax(axis=1)
assert params["iterations"] == iterations
"""
CROWD_KIT = """
from crowdkit.aggregation import DawidSkene
votes = long_table("task", "worker", "label")
started = start()
found = DawidSkene(n_iter=iterations, tol=0.0).fit_predict(votes).sort_index().to_numpy()
"""
PLAIN = """
started = start()
given = np.zeros((n, annotators, labels))
np.put_along_axis(given, codes.astype(np.int64)[:, :, None], 1.0, axis=2)
given = given.reshape(n, -1)
weights = given.reshape(n, annotators, labels).mean(axis=1)
for _ in range(iterations):
    rates = (given.T @ weights).reshape(annotators, labels, labels) + 1e-10
    rates /= rates.sum(axis=1, keepdims=True)
    scores = given @ np.log(rates).reshape(-1, labels) + np.log(weights.mean(axis=0))
    scores -= scores.max(axis=1, keepdims=True)
    weights = np.exp(scores)
    weights /= weights.sum(axis=1, keepdims=True)
found = weights.argmax(axis=1)
"""
REPORT = """
seconds = time.perf_counter() - started
np.save(sys.argv[2], found)
status = Path("/proc/self/status").read_text().splitlines()
peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak}))
"""


def measure(python: str, script: str, votes: Path, to: Path, *how: object) -> dict[str, float]:
    """Run one of them in a process of its own."""
    command = [python, "-c", VOTES + script + REPORT, str(votes), str(to), *map(str, how)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def simulate(n: int, annotators: int, labels: int) -> np.ndarray:
    """Return items x annotators of labels, right 55 to 90 times in 100."""
    rng = np.random.default_rng(0)
    truth = rng.integers(labels, size=n)
    right = rng.random((n, annotators)) < np.linspace(0.55, 0.9, annotators)
    return np.where(right, truth[:, None], rng.integers(labels, size=right.shape)).astype(np.int8)


def main() -> None:
    """Measure both, and compare their labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--annotators", type=int, default=5)
    parser.add_argument("--labels", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--python", help="an interpreter that has crowd-kit")
    parser.add_argument("--table", action="store_true", help="both start from a long table")
    args = parser.parse_args()
    other = ("crowd-kit", args.python, CROWD_KIT) if args.python else ("plain", "", PLAIN)
    with tempfile.TemporaryDirectory() as folder:
        votes = Path(folder) / "votes.npy"
        np.save(votes, simulate(args.n, args.annotators, args.labels))
        rows, found = [], []
        for name, python, script in [("prelabel", "", OURS), other]:
            to = Path(folder) / f"{name}.npy"
            how = (args.labels, args.iterations, "table" if args.table else "matrix")
            row = measure(python or sys.executable, script, votes, to, *how)
            print(f"{name}: {row['seconds']:.2f} s, peak {row['peak_mb']:.0f} MB")
            rows.append(row)
            found.append(np.load(to))
        same = float(np.mean(found[0] == found[1]))
    ours, theirs = rows
    print(
        f"{theirs['seconds'] / ours['seconds']:.1f} times as fast, "
        f"{theirs['peak_mb'] / ours['peak_mb']:.1f} times less memory, same labels: {same:.4%}"
    )


if __name__ == "__main__":
    main()
