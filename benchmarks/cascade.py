"""Does a promise hold at the end of a cascade, what does it accept, and what does that cost?

A cheap annotator labels every item, a strong one those that it is least sure of; who is asked is
fixed on a pool without gold, and one threshold is tested on what comes out at the end.

"simulated": each run draws a pool of 5,000 items and gold, tests a selective promise (target .05,
delta .10) and looks up the true error of what it accepts. The cheap annotator has accuracy .78, the
strong one .92, and a label of the strong costs 20 times one of the cheap. "violated" is how often
the error is above the target, which a promise holds below delta; "holds" allows for three standard
errors of the runs. "before" are the coverages of an earlier run of another program; how its items
were spread was not kept, and `SPREAD`, `NOISE` and `TOGETHER` were searched for until the five came
out to within .03. "times alone" is the cost of an accepted label in times of that of the strong
annotator alone, over all runs, with a bootstrap interval of 95%.

"real" (--babe FOLDER): labels of news sentences as biased or not by models, three small ones and
then a large one. Each draw of random gold fits a rule with that share, which then routes all items;
what it accepts is compared with the experts' labels of all. "cost" is 1 for a label of a small
model and 20 for one of the large.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import tempfile
import time
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from prelabel.promises import selective

TARGET, DELTA = 0.05, 0.1
CHEAP, STRONG = 0.78, 0.92
PRICES = (1.0, 20.0)
SPREAD = (2.0, 2.1)
"""Standard deviations of the logit of being right, of the cheap and the strong annotator."""

TOGETHER = 0.9
"""Correlation of the two logits: what is hard for one is hard for the other."""

NOISE = 1.3
"""Standard deviation of what a score adds to the logit."""

POOL = 5_000
SHARES = (0.0, 0.3, 0.5, 0.7, 1.0)
BEFORE = (0.085, 0.112, 0.233, 0.512, 0.776)

BABE_CHEAP, BABE_STRONG = ("flan_ul2", "mistral_7b", "openchat"), "gpt_4"


def centre(accuracy: float, spread: float) -> float:
    """Return the mean logit of an annotator that is right so often."""
    normal = np.random.default_rng(0).standard_normal(400_000)
    return float(brentq(lambda m: expit(m + spread * normal).mean() - accuracy, -9, 9))


CENTRES = (centre(CHEAP, SPREAD[0]), centre(STRONG, SPREAD[1]))


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and chances to be wrong of both annotators, items x annotators."""
    hard = rng.multivariate_normal([0, 0], [[1, TOGETHER], [TOGETHER, 1]], size=n)
    right = np.array(CENTRES) + np.array(SPREAD) * hard
    return expit(right + NOISE * rng.standard_normal((n, 2))), expit(-right)


def simulate(share: float | None, gold: int, runs: int, seed: int) -> dict[str, object]:
    """Return the figures of one share of items for the strong annotator; None: it alone."""
    errors, coverages = np.zeros(runs), np.zeros(runs)
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        (pool, chance), (own, own_chance) = draw(rng, POOL), draw(rng, gold)
        luck = rng.random((gold, 2))
        k = POOL if share is None else int(share * POOL + 1e-9)
        cut = np.inf if k == POOL else np.sort(pool[:, 0])[k - 1] if k else -np.inf
        last, own_last = ((s[:, 0] <= cut).astype(int) for s in (pool, own))
        every, mine = np.arange(POOL), np.arange(gold)
        scores, wrong = own[mine, own_last], (luck < own_chance)[mine, own_last]
        found = selective(scores, wrong, pool[every, last], target=TARGET, delta=DELTA)
        if found.threshold is not None:
            accepted = pool[every, last] >= found.threshold
            coverages[run] = accepted.mean()
            errors[run] = chance[every, last][accepted].mean()
    violated = float((errors > TARGET).mean())
    cost = PRICES[1] if share is None else PRICES[0] + share * PRICES[1]
    return {
        "share": share,
        "violated": violated,
        "coverage": float(coverages.mean()),
        "error": 2 * float(coverages.std()) / sqrt(runs),
        "cost": cost,
        "holds": violated <= DELTA + 3 * sqrt(DELTA * (1 - DELTA) / runs),
        "coverages": coverages,
    }


def times(row: dict[str, object], alone: dict[str, object], seed: int) -> list[float]:
    """Return the ratio of costs of an accepted label, and its interval; runs are resampled."""
    mine, other = (np.asarray(one["coverages"]) for one in (row, alone))
    drawn = np.random.default_rng(seed).integers(len(mine), size=(2000, len(mine)))
    price = float(str(row["cost"])) / float(str(alone["cost"]))
    spread = price * other[drawn].mean(axis=1) / np.maximum(mine[drawn].mean(axis=1), 1e-9)
    ends = np.quantile(spread, [0.025, 0.975])
    return [price * float(other.mean() / max(mine.mean(), 1e-9)), *map(float, ends)]


def simulated(args: argparse.Namespace) -> list[dict[str, object]]:
    """Return a row for each share, and the strong annotator alone."""
    rows = [simulate(share, args.gold, args.runs, args.seed) for share in (*SHARES, None)]
    for row in rows:
        row["times"] = times(row, rows[-1], args.seed)
    for row, before in zip(rows, (*BEFORE, None), strict=True):
        del row["coverages"]
        row["before"] = before
    return rows


def babe(folder: Path, to: Path) -> dict[str, str]:
    """Make a project of the models' labels; return gold by item."""
    from prelabel import api
    from prelabel.project import load_project

    with gzip.open(folder / "items.csv.gz", "rt", encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))
    names = {"0": "neutral", "1": "biased", "?": "?"}
    with gzip.open(folder / "llm_labels_2-shot.csv.gz", "rt", encoding="utf-8") as file:
        said = [
            {"id": row["uuid"]} | {n: names[row[n]] for n in (*BABE_CHEAP, BABE_STRONG)}
            for row in csv.DictReader(file)
        ]
    labels = [{"name": name, "definition": name} for name in ("biased", "neutral")]
    guideline = {"name": "babe", "task": "classification", "question": "Is it biased?"}
    (to / "guideline.yaml").write_text(json.dumps(guideline | {"labels": labels}))
    write(to / "items.jsonl", [{"id": row["uuid"], "text": row["text"]} for row in items])
    write(to / "said.jsonl", said)
    (to / "prelabel.yaml").write_text(
        "items: {path: items.jsonl}\ngold: {path: gold.jsonl}\ndecide: {promise: selective}\n"
    )
    write(to / "gold.jsonl", [])
    api.import_annotations(load_project(to), to / "said.jsonl", unusable=["?"])
    return {row["uuid"]: names[row["gold"]] for row in items}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def real(args: argparse.Namespace) -> list[dict[str, object]]:
    """Return what random gold draws of the real labels come to, by share."""
    from prelabel.api import evidence_of
    from prelabel.fitting import fit_all
    from prelabel.project import load_project
    from prelabel.records import Gold
    from prelabel.routing import route_all
    from prelabel.settings import DecideConfig

    settings = {"promise": args.promise, "target": args.target, "min_votes": 1, "aggregate": None}
    shares = (0.0, 0.3, 0.5, None)
    outcomes: dict[float | None, list[tuple[float, float]]] = {share: [] for share in shares}
    with tempfile.TemporaryDirectory() as folder:
        truth = babe(args.babe, Path(folder))
        project = load_project(Path(folder))
        evidence, items = evidence_of(project), list(project.items())
        strong = [key for key, name in evidence.names.items() if name == BABE_STRONG]
        for run in range(args.draws):
            rng = np.random.default_rng([args.seed, run])
            picked = rng.choice(sorted(truth), args.gold, replace=False).tolist()
            gold = [Gold(item, truth[item]) for item in picked]
            for share in shares:
                last = None if share is None else {"to": BABE_STRONG, "share": share}
                config = DecideConfig.model_validate(settings | {"escalate": last})
                only = strong if share is None else None
                rule = fit_all(evidence, config, only, gold=gold, items=items).rule
                routed = route_all(evidence, rule, items)
                labels = {i: r.consensus.label for i, r in routed.items() if r.accepted}
                wrong = sum(truth[item] != label for item, label in labels.items())
                among = len(truth) if args.promise == "dataset" else max(len(labels), 1)
                outcomes[share].append((wrong / among, len(labels) / len(truth)))
    return [judged(share, own, args) for share, own in outcomes.items()]


def judged(
    share: float | None, own: list[tuple[float, float]], args: argparse.Namespace
) -> dict[str, object]:
    """Return the figures of the draws of one share."""
    errors, coverages = np.array(own).T
    violated = float((errors > args.target).mean())
    return {
        "share": share,
        "violated": violated,
        "coverage": float(coverages.mean()),
        "error": 2 * float(coverages.std()) / sqrt(len(own)),
        "cost": PRICES[1] if share is None else len(BABE_CHEAP) + share * PRICES[1],
        "holds": violated <= DELTA + 3 * sqrt(DELTA * (1 - DELTA) / len(own)),
    }


def table(title: str, rows: list[dict[str, object]]) -> None:
    """Print rows."""
    print(title)
    print(
        f"{'asked':>12}{'violated':>10}{'coverage':>18}{'before':>8}{'cost':>6}{'times alone':>22}"
    )
    for row in rows:
        asked = "all, alone" if row["share"] is None else f"{row['share']:.0%}"
        covered = f"{row['coverage']:.3f} +- {row['error']:.3f}"
        before = f"{row['before']:.3f}" if row.get("before") else ""
        ratio = "{:.2f} [{:.2f}, {:.2f}]".format(*row["times"]) if "times" in row else ""
        holds = "" if row["holds"] else "  DOES NOT HOLD"
        numbers = f"{asked:>12}{row['violated']:>10.3f}{covered:>18}{before:>8}{row['cost']:>6.0f}"
        print(f"{numbers}{ratio:>22}{holds}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--gold", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--babe", type=Path, help="the folder with the real labels")
    parser.add_argument("--draws", type=int, default=20, help="gold draws of the real labels")
    parser.add_argument("--promise", default="dataset", help="for the real labels")
    parser.add_argument("--target", type=float, default=0.05, help="for the real labels")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    started = time.perf_counter()
    found = {"simulated": simulated(args)}
    if args.babe:
        found["real"] = real(args)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    table(f"simulated, {args.gold} gold items, {args.runs} runs", found["simulated"])
    if args.babe:
        what = f"{args.promise} promise, target {args.target}, {args.gold} gold items"
        table(f"real, {what}, {args.draws} draws", found["real"])
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
