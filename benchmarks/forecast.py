"""How often is what comes out in the range that a forecast gives? It should be 9 times in 10.

"simulated": pilots of 100 and 200 gold items of the populations of benchmarks/promises.py; then 300
gold items are drawn anew, and the promise's own rule sets its threshold. "null" and "step" are made
to be hard. Forecasts are made in fiftieths of the pool, and so are they compared.

"real" (--babe FOLDER): models' labels of news sentences. A pilot is drawn at random and a forecast
made of it for 300 gold items; then 300 others are drawn, a rule is fitted on them, and its coverage
is looked up: signals are chosen and confidences fitted anew on both.

"in the range" is the share of outcomes between the ends; "width" the mean distance of these, "off"
the mean distance of the outcome from the median that was told; all in shares of the items.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from cascade import babe
from promises import POPULATIONS

from prelabel.promise import Promise
from prelabel.promise_plan import predict
from prelabel.promises import dataset, expected, selective

KINDS = ("selective", "dataset", "expected")
TARGETS = (0.02, 0.05, 0.1)
DELTA, GOLD, POOL = 0.1, 300, 2_000
CELL = 0.011

Told = dict[tuple[str, ...], list[tuple[float, float, float, float]]]
"""Low, median and high that were told, and what came, by kind and whatever else."""


def promised(kind: str, gold: tuple[np.ndarray, np.ndarray], pool: np.ndarray, target: float):
    if kind == "dataset":
        found: Promise = dataset(*gold, target=target, delta=DELTA).over(pool)
    elif kind == "expected":
        found = expected(*gold, pool, target=target)
    else:
        found = selective(*gold, pool, target=target, delta=DELTA)
    return found


def simulated(args: argparse.Namespace) -> Told:
    """Return the outcomes by population, pilot and kind."""
    told: Told = defaultdict(list)
    for name, draw in POPULATIONS.items():
        rng = np.random.default_rng([args.seed, *name.encode()])
        pool = draw(rng, POOL)[0]
        for size in (100, 200):
            for run in range(args.runs):
                scores, chance = draw(rng, size)
                pilot = scores, rng.random(size) < chance
                scores, chance = draw(rng, GOLD)
                gold = scores, rng.random(GOLD) < chance
                for kind in KINDS:
                    for row in predict(
                        *pilot, pool, TARGETS, gold_planned=[GOLD], kind=kind, seed=run
                    ):
                        came = promised(kind, gold, pool, row.target).coverage.value or 0.0
                        one = row.coverage
                        told[name, str(size), kind].append((one.low, one.value, one.high, came))
    return told


def real(args: argparse.Namespace) -> Told:
    """Return the outcomes of real labels by pilot and kind."""
    from prelabel.api import evidence_of
    from prelabel.config import changed
    from prelabel.fitting import fit_all
    from prelabel.forecasting import scores_on_gold
    from prelabel.project import load_project
    from prelabel.records import Gold

    told: Told = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        truth = babe(args.babe, Path(folder))
        project = load_project(Path(folder))
        evidence, items = evidence_of(project), list(project.items())
        for run in range(args.draws):
            rng = np.random.default_rng([args.seed, run])
            picked = rng.permutation(sorted(truth)).tolist()
            for size in (100, 200):
                gold = [Gold(item, truth[item]) for item in picked[:size]]
                own = scores_on_gold(evidence, project.config.decide, gold, items)
                later = [Gold(item, truth[item]) for item in picked[-GOLD:]]
                for kind in ("selective", "dataset"):
                    rows = predict(
                        own.scores, own.wrong, own.pool, (0.1, 0.15), gold_planned=[GOLD], kind=kind
                    )
                    for row in rows:
                        settings = {"promise": kind, "target": row.target}
                        decide = changed(project.config.decide, settings)
                        rule = fit_all(evidence, decide, gold=later, items=items).rule
                        came = rule.promises[""].coverage.value or 0.0
                        one = row.coverage
                        told["real", str(size), kind].append((one.low, one.value, one.high, came))
    return told


def figures(told: Told) -> list[dict[str, object]]:
    found = []
    for (name, size, kind), rows in told.items():
        low, middle, high, came = np.array(rows, dtype=float).T
        inside = (low - CELL <= came) & (came <= high + CELL)
        found.append(
            {
                "population": name,
                "pilot": int(size),
                "kind": kind,
                "outcomes": len(rows),
                "inside": float(inside.mean()),
                "width": float((high - low).mean()),
                "off": float(np.abs(came - middle).mean()),
            }
        )
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--babe", type=Path, help="the folder with the real labels")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started = time.perf_counter()
    rows = figures(simulated(args)) if args.runs else []
    if args.babe:
        rows += figures(real(args))
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    head = f"{'population':12}{'pilot':>6}  {'promise':10}{'outcomes':>9}"
    print(f"{head}{'in the range':>14}{'width':>8}{'off':>8}")
    for row in rows:
        what = f"{row['population']:12}{row['pilot']:>6}  {row['kind']:10}{row['outcomes']:>9}"
        print(f"{what}{row['inside']:>14.3f}{row['width']:>8.3f}{row['off']:>8.3f}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
