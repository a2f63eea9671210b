"""Confidence from all signals against the vote share alone, on recorded labels of real LLMs.

For each data set, gold is drawn at random, an aggregator and a confidence are fitted on it, and
both are measured on all other items: AUROC (right items above wrong ones), log-loss, and AURC (the
mean error among the surest items, over all shares of items accepted; Geifman et al. 2019).
``optimism`` is the log-loss of these other items minus the held-out one on gold. "selective" and
"dataset" are the shares of these other items that the promise accepts at --target and delta .1.
Human labels are the truth: a majority where there are several, ties left out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recorded import DATA, FOLDER, Recorded

from prelabel.choosing import Case, choose, fit_method, folds, weigh
from prelabel.confidence import (
    Judged,
    confidences,
    fit_confidence,
    folds_of,
    on_one_scale,
)
from prelabel.confidence_report import ConfidenceReport, auroc
from prelabel.promises import dataset, selective
from prelabel.records import Consensus, Item
from prelabel.signal_choice import log_losses
from prelabel.signals import SHARE, signals
from prelabel.votes import Ballot
from prelabel.voting import Params, Poll, Weights, winner


def judged(data: Recorded, item: str, poll: Poll, weights: Weights) -> Judged:
    """Return an item with its signals under an aggregator's weights."""
    value, _ = winner(weights, poll)
    share = sum(vote == value for vote in poll.votes.values()) / len(poll.votes)
    ballot = Ballot(item, {name: {"": vote} for name, vote in poll.votes.items()})
    consensus = Consensus(item, value, share, len(poll.votes), (), {"": share})
    text = data.texts.get(item, "")
    whole = Item(item, {"text": text}) if text else None
    given = data.annotations[item]
    found = signals(ballot, given, consensus, {"": weights}, data.task, whole)
    return Judged(item, found, text, value == data.truth[item])


def drawn(
    data: Recorded, polls: Mapping[str, Poll], gold: Sequence[str], rest: Sequence[str], how: str
) -> tuple[list[Judged], list[Judged], dict[str, int] | None]:
    """Fit an aggregator on gold, and return gold with held-out consensus, the rest, the folds."""
    cases = [Case(item, "", polls[item], data.truth[item]) for item in gold]
    values = {"": data.task.values()}
    own: dict[tuple[str, str], Weights] = {}
    folded = None
    if how == "learned":
        choice = choose(cases, values)
        params, own, folded = choice.params, dict(choice.held_out), folds(cases)
    else:
        params = fit_method("majority", cases, values)
    made = [
        judged(data, i, polls[i], own.get((i, "")) or weigh(polls[i], "", params)[0])
        for i in (*gold, *rest)
    ]
    return made[: len(gold)], made[len(gold) :], folded


def measures(p: np.ndarray, scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return AUROC, log-loss and AURC; tied items have the mean error of their tie."""
    one = np.zeros(len(right), dtype=np.int64)
    area = float(auroc(scores, right, one)(np.ones((1, len(right))))[0])
    _, place, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    wrong = (np.bincount(place, weights=~right) / sizes)[np.sort(place)]
    curve = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    return np.array([area, log_losses(p, right).mean(), curve.mean()])


def accepted(
    gold: Sequence[Judged],
    fitted: tuple[Params, Mapping[str, float]],
    folded: Mapping[str, int],
    p: np.ndarray,
    target: float,
) -> list[float]:
    """Return what the selective and the dataset promise accept of items with confidences p."""
    params, held_out = fitted
    rows = sorted(gold, key=lambda row: row.item)
    items = [row.item for row in rows]
    final = confidences(params, [(row.signals, row.text) for row in rows], items)
    own = np.array([held_out[item] for item in items])
    scores = on_one_scale(items, own, final, [folded[item] for item in items])
    wrong, at = np.array([not row.right for row in rows]), {"target": target, "delta": 0.1}
    promises = selective(scores, wrong, p, **at), dataset(scores, wrong, **at).over(p)
    return [promise.coverage.value or 0.0 for promise in promises]


def one_draw(
    gold: list[Judged],
    rest: list[Judged],
    folded: Mapping[str, int],
    groups: bool,
    target: float,
) -> dict[str, Any]:
    """Return measures on the rest of votes alone, of all signals, and of each group."""
    right = np.array([row.right for row in rest])
    pool = [(row.signals, row.text) for row in rest]
    share = np.array([row.signals.groups[SHARE]["share"] for row in rest])

    def measured(only: Sequence[str] | None) -> tuple[np.ndarray, ConfidenceReport]:
        params, report, held_out = fit_confidence(gold, folds=folded, only=only)
        p = confidences(params, pool)
        promised = accepted(gold, (params, held_out), folded, p, target)
        return np.append(measures(p, share if only == () else p, right), promised), report

    alone, _ = measured(())
    both, report = measured(None)
    found: dict[str, Any] = {
        "votes alone": alone,
        "all signals": both,
        "used": [one.name for one in report.groups if one.used],
        "optimism": both[1] - report.together.log_loss.value,
    }
    for one in report.groups if groups else ():
        found[f"votes and {one.name}"] = measured([one.name])[0]
    return found


def show(draws: Sequence[Mapping[str, Any]]) -> None:
    """Print the means over draws, and their changes from votes alone with standard errors."""
    used = Counter(name for draw in draws for name in draw["used"])
    listed = ", ".join(f"{name} {n}" for name, n in used.most_common()) or "none"
    optimism = [draw["optimism"] for draw in draws]
    error = np.std(optimism, ddof=1) / len(draws) ** 0.5
    print(f"    in use: {listed}; optimism {np.mean(optimism):+.4f} +- {error:.4f}")
    names = dict.fromkeys(n for d in draws for n in d if n not in ("used", "optimism"))
    for name in names:
        own = np.array([draw.get(name, draw["votes alone"]) for draw in draws])
        change = own - np.array([draw["votes alone"] for draw in draws])
        errors = change.std(axis=0, ddof=1) / len(draws) ** 0.5
        cells = [
            f"{what} {value:.4f} ({by:+.4f} +- {se:.4f})"
            for what, value, by, se in zip(
                ("AUROC", "log-loss", "AURC", "selective", "dataset"),
                own.mean(axis=0),
                change.mean(axis=0),
                errors,
                strict=True,
            )
        ]
        print(f"    {name:<22} {', '.join(cells)}", flush=True)


def main() -> None:
    """Print a block for each data set, aggregator and number of gold items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--data", nargs="+", choices=[*DATA], default=[*DATA])
    parser.add_argument("--gold", nargs="+", type=int, default=[100, 200, 400])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--aggregators", nargs="+", default=["majority", "learned"])
    parser.add_argument("--groups", action="store_true", help="each group alone, too")
    parser.add_argument("--target", type=float, default=0.1)
    args = parser.parse_args()
    for name in args.data:
        data = DATA[name](args.folder)
        polls = {item: data.poll(item) for item in data.truth}
        items = sorted(item for item, poll in polls.items() if poll.votes)
        for how in args.aggregators:
            if (
                how == "learned"
                and len({a.annotator for x in items for a in data.annotations[x]}) < 2
            ):
                continue
            for n in args.gold:
                if n > 0.6 * len(items):
                    continue
                rng = np.random.default_rng([args.seed, n])
                draws, rights = [], []
                for _ in range(args.draws):
                    order = [items[at] for at in rng.permutation(len(items))]
                    gold, rest, folded = drawn(data, polls, order[:n], order[n:], how)
                    rights.append(np.mean([row.right for row in rest]))
                    folded = folded or folds_of(gold)
                    draws.append(one_draw(gold, rest, folded, args.groups, args.target))
                print(f"{name}, {how}, {n} gold of {len(items)}, accuracy {np.mean(rights):.4f}")
                show(draws)


if __name__ == "__main__":
    main()
