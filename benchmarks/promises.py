"""Do the promises hold, and what do they accept? By simulation, beside a naive threshold and MAPIE.

Each run draws a pool of 5,000 scored items and gold, sets a threshold, and looks up the true error
of what it accepts. "violated" is how often that is above the target, which the selective and the
dataset promise hold below delta = .10; of the expected promise the mean error must be below the
target. "holds" allows for the runs' own chance: three standard errors. The naive threshold takes
the lowest score at which gold's own error rate is the target or less. "before" are the coverages
of an earlier run of 1,000 with another program, of the same methods and about the same items.

Populations: "clear" (accuracy .853, AUROC of the score .856), "weak" (more noise in the score),
"null" (every item wrong with a probability just above the target), "step" (so for the 70% with the
highest scores, and the others worse), "votes" (five vote shares). In "learned" the score is a
logistic regression on 15 features ("null": that tell nothing; "ties": on one of five values),
fitted to the gold that tests it: in the sample (never do), or cross-fitted; or on half of it. In
"drawn apart" gold is not a plain random draw: easy items (half of them) four times as often as
others, or whole documents of ten items whose errors go together.

MAPIE (BSD-3) is compared if it is installed: pip install mapie.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import sqrt

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from prelabel.confidence import on_one_scale
from prelabel.promise_tests import GRID
from prelabel.promises import dataset, expected, selective
from prelabel.weighted_promises import (
    independent_gold,
    selective_stratified,
    selective_weighted,
)

TARGET, DELTA = 0.05, 0.1
MANY, POOL = 200_000, 5_000
FEATURES = 15
OF_POOL = "dataset, of the pool"

Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
"""Scores of so many items, and the probability that each one's label is wrong."""


def logits(noise: float) -> Draw:
    """A logit of being right, seen with noise: at noise 1 accuracy .853, AUROC .856."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        right = rng.normal(2.94, 2.174, n)
        return expit(right + noise * rng.standard_normal(n)), expit(-right)

    return draw


def null(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The score says nothing and the error is just above the target."""
    return rng.random(n), np.full(n, 1.0001 * TARGET)


def step(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The error is 2% above the target (.051) in the 70% with the highest scores, else .4."""
    scores = rng.random(n)
    return scores, np.where(scores > 0.3, 1.02 * TARGET, 0.4)


def votes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Five vote shares; a quarter of the items is in the safe one, with an error of .02."""
    share = rng.choice(5, n, p=[0.1, 0.15, 0.2, 0.3, 0.25])
    return share / 4, np.array([0.5, 0.3, 0.15, 0.055, 0.02])[share]


POPULATIONS: dict[str, Draw] = {
    "clear": logits(1.0),
    "weak": logits(2.5),
    "null": null,
    "step": step,
    "votes": votes,
}

BEFORE = {
    ("clear", "selective"): {100: 0.139, 200: 0.265, 500: 0.500, 1000: 0.606},
    ("clear", "dataset"): {50: 0.51, 100: 0.55, 200: 0.66, 500: 0.72, 1000: 0.737},
    ("clear", OF_POOL): {1000: 0.742},
    ("clear", "expected"): {100: 0.588, 200: 0.657, 500: 0.683, 1000: 0.691},
    ("weak", "selective"): {500: 0.116, 1000: 0.21},
    ("learned", "selective, cross-fitted"): {200: 0.122, 500: 0.378},
}


class Truth:
    """Many items: the error of those at or above a threshold, and their share."""

    def __init__(self, scores: np.ndarray, errors: np.ndarray) -> None:
        order = np.argsort(-scores)
        self.scores = -scores[order]
        self.errors = np.append(0.0, np.cumsum(errors[order]))

    def at(self, threshold: float | None) -> tuple[float, float]:
        if threshold is None:
            return 0.0, 0.0
        inside = int(np.searchsorted(self.scores, -threshold, side="right"))
        return float(self.errors[inside]) / max(inside, 1), inside / len(self.scores)


@dataclass
class Row:
    """What came of a method's runs: the error that it promised about, and the coverage."""

    errors: list[float] = field(default_factory=list)
    coverages: list[float] = field(default_factory=list)

    def add(self, kind: str, truth: Truth, threshold: float | None) -> None:
        error, coverage = truth.at(threshold)
        self.errors.append(error * coverage if kind.startswith("dataset") else error)
        self.coverages.append(coverage)

    def figures(self, kind: str) -> dict[str, float | bool]:
        errors, runs = np.array(self.errors), len(self.errors)
        violated, mean = float((errors > TARGET + 1e-12).mean()), float(errors.mean())
        if kind == "expected":
            holds = mean <= TARGET + 3 * float(errors.std()) / sqrt(runs)
        else:
            holds = violated <= DELTA + 3 * sqrt(DELTA * (1 - DELTA) / runs)
        coverage = float(np.mean(self.coverages))
        return {"violated": violated, "error": mean, "coverage": coverage, "holds": bool(holds)}


def naive(scores: np.ndarray, wrong: np.ndarray, target: float = TARGET) -> float | None:
    """The lowest score at which the error seen in gold is the target or less."""
    order = np.argsort(-scores, kind="stable")
    ranked, errors = scores[order], wrong[order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # of a tie, all or none
    seen = np.cumsum(errors) / np.arange(1, len(errors) + 1)
    fine = np.flatnonzero(last & (seen <= target))
    return float(ranked[fine[-1]]) if len(fine) else None


def mapie(scores: np.ndarray, wrong: np.ndarray, pool: np.ndarray, fwer: str) -> float | None:
    """MAPIE's controller of precision, on the same thresholds."""
    from mapie.risk_control import BinaryClassificationController

    controller = BinaryClassificationController(
        lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]),
        "precision",
        target_level=1 - TARGET,
        confidence_level=1 - DELTA,
        list_predict_params=np.unique(np.quantile(pool, np.arange(GRID) / GRID)),
        fwer_method=fwer,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(scores[:, None], (~wrong).astype(int))
    best = controller.best_predict_param
    return None if best is None else float(best)


def simulate(name: str, n: int, runs: int, seed: int, mapie_runs: int) -> dict[str, Row]:
    """Run all methods on the same draws of one population."""
    draw, rng = POPULATIONS[name], np.random.default_rng([seed, n, *name.encode()])
    truth = Truth(*draw(rng, MANY))
    rows: dict[str, Row] = defaultdict(Row)
    at = {"target": TARGET, "delta": DELTA}
    for run in range(runs):
        pool, chance = draw(rng, POOL)
        pool_wrong = rng.random(POOL) < chance
        scores, errors = draw(rng, n)
        wrong = rng.random(n) < errors
        drawn = rng.choice(POOL, n, replace=False)
        found = {
            "naive": naive(scores, wrong),
            "selective": selective(scores, wrong, pool, **at).threshold,
            "dataset": dataset(scores, wrong, **at).threshold,
        }
        of_pool = {
            OF_POOL: dataset(pool[drawn], pool_wrong[drawn], **at, pool_size=POOL).threshold,
            "expected": expected(scores, wrong, pool, target=TARGET).threshold,
        }
        if run < mapie_runs:
            found["MAPIE, default"] = mapie(scores, wrong, pool, "bonferroni_holm")
            found["MAPIE, fixed sequence"] = mapie(scores, wrong, pool, "fixed_sequence")
        for kind, threshold in found.items():
            rows[kind].add(kind, truth, threshold)
        for kind, threshold in of_pool.items():
            rows[kind].add(kind, Truth(pool, pool_wrong), threshold)
    return rows


def drawn_apart(n: int, runs: int, seed: int) -> dict[str, Row]:
    """Gold that is no plain random draw, tested as if it were one and as it should be."""
    rng, rows = np.random.default_rng([seed, n]), defaultdict(Row)
    at = {"target": TARGET, "delta": DELTA}
    pool, chance = POPULATIONS["clear"](rng, MANY)
    truth, easy = Truth(pool, chance), pool > np.median(pool)
    strata, odds = np.where(easy, "easy", "hard"), np.where(easy, 4.0, 1.0)
    picked = rng.choice(MANY, (runs, n), p=odds / odds.sum())
    some = rng.choice(MANY, POOL, replace=False)
    for own in picked:
        gold = pool[own], rng.random(n) < chance[own]
        found = {
            "selective, weights ignored": selective(*gold, pool[some], **at),
            "selective, weights": selective_weighted(
                *gold, 1 / odds[own], pool[some], 1 / odds[some], **at, seed=int(own[0])
            ),
            "selective, strata": selective_stratified(
                *gold, strata[own].tolist(), pool[some], strata[some].tolist(), **at
            ),
        }
        for name, promise in found.items():
            rows[name].add(name, truth, promise.threshold)
    # documents of ten: the error of all items is the target, that of a document far from it
    documents = n // 10
    ids = np.repeat(np.arange(documents), 10)
    flat = Truth(np.zeros(1), np.array([1.0001 * TARGET]))
    for run in range(runs):
        of_document = np.repeat(rng.beta(0.5, 0.5 * (1 / (1.0001 * TARGET) - 1), documents), 10)
        gold = np.zeros(n), rng.random(n) < of_document
        one = independent_gold(*gold, clusters=ids.astype(str).tolist(), seed=run)
        found = {
            "selective, clusters ignored": selective(*gold, np.zeros(10), **at),
            "selective, clusters": selective(one.scores, one.wrong, np.zeros(10), **at),
        }
        for name, promise in found.items():
            rows[name].add(name, flat, promise.threshold)
    return rows


def normal(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Fifteen features, of which five tell something."""
    x = rng.standard_normal((n, FEATURES))
    return x, expit(-2.94 - 2.174 / sqrt(5) * x[:, :5].sum(axis=1))


def telling_nothing(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Fifteen features, and all items are wrong alike, just above the target."""
    return rng.standard_normal((n, FEATURES)), np.full(n, 1.0001 * TARGET)


def alike(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Five kinds of items; the wrong ones of the best kind alone are above the target of all."""
    kind = rng.choice(5, n, p=[0.37, 0.24, 0.16, 0.13, 0.1])
    return -kind[:, None].astype(float), np.array([0.143, 0.2, 0.3, 0.4, 0.5])[kind]


LEARNED = {"learned": normal, "learned null": telling_nothing, "learned ties": alike}


def learned(name: str, n: int, runs: int, seed: int) -> dict[str, Row]:
    """Scores fitted to the gold that tests them: in the sample (wrong), cross-fitted, halved.

    Cross-fitted scores of all folds are put on one scale, as `fit` does; "scales apart": are not.
    """
    rng, rows = np.random.default_rng([seed, n, *name.encode()]), defaultdict(Row)
    pool, errors = LEARNED[name](rng, 20_000)
    items = [f"{at}" for at in range(n)]
    for _ in range(runs):
        x, chance = LEARNED[name](rng, n)
        wrong = rng.random(n) < chance
        half = np.arange(n) < n // 2
        if min(wrong[half].sum(), (~wrong[half]).sum()) < 5:
            continue
        model = LogisticRegression(C=1.0).fit(x, ~wrong)
        everything, final = (model.predict_proba(some)[:, 1] for some in (pool, x))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        own = cross_val_predict(model, x, ~wrong, cv=folds, method="predict_proba")[:, 1]
        fold = np.empty(n, dtype=int)
        for part, (_, test) in enumerate(folds.split(x, wrong)):
            fold[test] = part
        model = LogisticRegression(C=1.0).fit(x[half], ~wrong[half])
        halved = (model.predict_proba(some)[:, 1] for some in (pool, x[~half]))
        tried = {
            "in the sample": (everything, final, wrong),
            "scales apart": (everything, own, wrong),
            "cross-fitted": (everything, on_one_scale(items, own, final, fold), wrong),
            "halved": (*halved, wrong[~half]),
        }
        for how, (of_pool, scores, bad) in tried.items():
            truth, at = Truth(of_pool, errors), {"target": TARGET, "delta": DELTA}
            found = selective(scores, bad, of_pool[:POOL], **at)
            rows[f"selective, {how}"].add("selective", truth, found.threshold)
            found = dataset(scores, bad, **at)
            rows[f"dataset, {how}"].add("dataset", truth, found.threshold)
    return rows


def told(population: str, n: int, rows: dict[str, Row], quiet: bool) -> list[dict[str, object]]:
    """Print and return the figures of one simulation."""
    found = []
    for name, row in rows.items():
        before = BEFORE.get((population, name), {}).get(n)
        figures = row.figures(name.partition(",")[0])
        found.append({"population": population, "n": n, "method": name, "before": before} | figures)
        if not quiet:
            numbers = "".join(f"{figures[x]:>10.3f}" for x in ("violated", "error", "coverage"))
            earlier = f"{before:.3f}" if before is not None else ""
            holds = "yes" if figures["holds"] else "NO"
            print(f"{population:13}{n:>6}  {name:28}{numbers}{earlier:>9}{holds:>7}", flush=True)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 500, 1000])
    parser.add_argument("--mapie-runs", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started, found = time.perf_counter(), []
    mapie_runs = args.mapie_runs if find_spec("mapie") else 0
    if not args.json:
        print(f"target {TARGET}, delta {DELTA}, {args.runs} runs each (MAPIE {mapie_runs})")
        print(
            f"{'population':13}{'n':>6}  {'method':28}{'violated':>10}{'error':>10}{'coverage':>10}"
            f"{'before':>9}{'holds':>7}"
        )
    for name in POPULATIONS:
        for n in args.sizes:
            found += told(name, n, simulate(name, n, args.runs, args.seed, mapie_runs), args.json)
    for name in LEARNED:
        for n in (200, 500):
            rows = learned(name, n, max(args.runs // 2, 1), args.seed)
            found += told(name, n, rows, args.json)
    for n in (500, 1000):
        found += told(
            "drawn apart", n, drawn_apart(n, max(args.runs // 2, 1), args.seed), args.json
        )
    if args.json:
        print(json.dumps({"runs": args.runs, "rows": found}, indent=2))
        return
    if not mapie_runs:
        print("MAPIE is not installed, or --mapie-runs is 0: not compared")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
