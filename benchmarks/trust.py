"""Do the promises hold on real labels of LLMs, and what do they spare? Beside two rules of thumb.

Of each data set the benchmark takes up to 1,000 items at random, once: these are all the items
there are. In each draw some are gold, drawn at random; a rule is fitted on them as `prelabel fit`
does it, with cross-fitting, and routes all items. Counted is, of all items, the error of those
accepted, and how often it is above the target ("broken"): the selective promise says so of the
wrong among the accepted, the dataset promise of the wrong accepted among all items; both may be
broken in one draw of ten, and "NO" stands where it is more often by three standard errors. Of the
expected promise the mean error must be below the target. "spared" is the share of items that no
person labels, neither as gold nor in review.

"naive" takes the lowest confidence at which gold's own error is the target or less, "unanimous"
what all annotators say alike (majority vote, min_agreement 1). What is right: the majority of
people, PandaLM's of three; of ratings (summeval: 1 to 5, the median of three experts; llmjudge
rated: 0 to 3) a median of annotators at most one point away; all else must be equal.

The first draw of each data set is also fitted and routed through `fit_all` and `route_all`, for
each promise at 10%, and must accept the same items.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from promises import naive
from recorded import DATA, FOLDER, RATED, Recorded
from threadpoolctl import threadpool_limits

from prelabel import neighbours
from prelabel.fitting import fit_all
from prelabel.promise import KINDS, Promise
from prelabel.promises import grouped
from prelabel.promising import ALL, judge, learn_confidence
from prelabel.records import Item
from prelabel.routing import route_all
from prelabel.settings import DecideConfig
from prelabel.votes import Evidence

TARGETS, DELTA, CHECKED = (0.02, 0.05, 0.1, 0.15), 0.1, 0.1
EVERY = DATA | RATED
NAIVE = "naive"

# a text is counted once, not in every draw
neighbours._pieces = lru_cache(maxsize=None)(  # type: ignore[assignment]  # noqa: SLF001
    lambda text, pieces=neighbours._pieces: tuple(pieces(text))  # noqa: SLF001
)


@dataclass(frozen=True)
class Scored:
    """Confidences of gold items, held out, and of all items; nan where none is accepted."""

    gold: np.ndarray
    gold_wrong: np.ndarray
    pool: np.ndarray
    pool_wrong: np.ndarray
    is_gold: np.ndarray


@dataclass(frozen=True)
class Study:
    """A data set, the items that are all there are, and these as the project has them."""

    data: Recorded
    ids: list[str]
    evidence: Evidence
    items: list[Item]

    def config(self, **settings: Any) -> DecideConfig:
        """Return the project's usual settings; a single annotator's label is accepted."""
        return DecideConfig(min_votes=min(2, len(self.evidence.names)), **settings)

    def wrong(self, item: str, label: Any) -> bool:
        """Say whether a label is not the human one."""
        return not self.data.task.right(self.data.truth[item], label)


@lru_cache(maxsize=2)
def study(name: str, pool: int, seed: int) -> Study:
    """Read a data set, and choose its items."""
    data = EVERY[name](FOLDER)
    voted = sorted(item for item in data.truth if data.poll(item).votes)
    order = np.random.default_rng([seed, pool]).permutation(len(voted))[:pool]
    ids = [voted[at] for at in order]
    return Study(data, ids, data.evidence(ids), data.items(ids))


def score(given: Study, chosen: Sequence[str]) -> Scored:
    """Fit an aggregator and a confidence on gold, and judge all items, once for all promises."""
    gold, by_id = given.data.gold(chosen), {item.id: item for item in given.items}
    rule = fit_all(given.evidence, given.config(), gold=gold).rule
    learnt = learn_confidence(rule, given.evidence, gold, by_id)
    judged = list(judge(learnt.rule, given.evidence, given.items, None))
    every = [one.one for one in judged]
    return Scored(
        np.array([learnt.sure.get(one.item_id, np.nan) for one in learnt.rows]),
        np.array([given.wrong(one.item_id, one.consensus.label) for one in learnt.rows]),
        np.array([one.score for one in judged]),
        np.array([given.wrong(one.item_id, one.consensus.label) for one in every]),
        np.isin(given.ids, chosen),
    )


def promised(found: Scored, kind: str, target: float) -> Promise:
    """Return one promise about all items."""
    pool = found.pool[~found.is_gold] if kind == "expected" else found.pool
    groups = [ALL] * len(found.gold), [ALL] * len(pool)
    return grouped(
        found.gold,
        found.gold_wrong,
        groups[0],
        pool,
        groups[1],
        declared=[ALL],
        target=target,
        delta=DELTA,
        kind=kind,
    )[ALL]


def counted(found: Scored, accepted: np.ndarray, *, of_all: bool) -> dict[str, float]:
    """Return the error that a promise is about, and what is accepted and spared."""
    wrong, n = int((accepted & found.pool_wrong).sum()), len(accepted)
    return {
        "error": wrong / (n if of_all else max(int(accepted.sum()), 1)),
        "coverage": float(accepted.mean()),
        "spared": float((accepted & ~found.is_gold).mean()),
    }


def one_draw(name: str, n: int, pool: int, seed: int, draw: int) -> list[dict[str, Any]]:
    """Return a row for each target and method."""
    given = study(name, pool, seed)
    chosen = [str(x) for x in np.random.default_rng([seed, n, draw]).choice(given.ids, n, False)]
    found = score(given, chosen)
    rows = []
    for target in TARGETS:
        for kind in KINDS:
            promise = promised(found, kind, target)
            accepted = np.array([promise.accepts(p) for p in found.pool])
            if draw == 0 and target == CHECKED:
                same_as_routed(given, chosen, kind, target, accepted)
            figures = counted(found, accepted, of_all=kind == "dataset")
            said = "" if promise.threshold is not None else promise.sentence()
            rows.append({"target": target, "method": kind, "said": said} | figures)
        scored = ~np.isnan(found.gold)
        threshold = naive(found.gold[scored], found.gold_wrong[scored], target)
        accepted = found.pool >= (np.inf if threshold is None else threshold)
        figures = counted(found, accepted, of_all=False)
        rows.append({"target": target, "method": NAIVE, "said": ""} | figures)
    return rows


def same_as_routed(
    given: Study, chosen: Sequence[str], kind: str, target: float, accepted: np.ndarray
) -> None:
    """Fail unless the project's own fit and route accept the same items."""
    config = given.config(promise=kind, target=target, delta=DELTA)
    gold = given.data.gold(chosen)
    rule = fit_all(given.evidence, config, gold=gold, items=given.items).rule
    routed = route_all(given.evidence, rule, given.items)
    if [routed[item].accepted for item in given.ids] != accepted.tolist():
        raise SystemExit(f"{kind} {target}: fit and route accept other items than the benchmark")


def unanimous(name: str, pool: int, seed: int) -> dict[str, float]:
    """Return what is accepted where all annotators say the same, and how much of it is wrong."""
    given = study(name, pool, seed)
    plain = "majority" if given.data.task.level == "nominal" else "median"
    config = given.config(aggregate=plain, min_agreement=1.0)
    routed = route_all(given.evidence, fit_all(given.evidence, config).rule)
    wrong = np.array([given.wrong(item, routed[item].consensus.label) for item in given.ids])
    accepted = np.array([routed[item].accepted for item in given.ids])
    return {
        "items": len(given.ids),
        "annotators": len(given.evidence.names),
        "accuracy": 1 - float(wrong.mean()),
        "coverage": float(accepted.mean()),
        "error": int((accepted & wrong).sum()) / max(int(accepted.sum()), 1),
    }


def summary(rows: Sequence[dict[str, Any]], target: float, method: str) -> dict[str, Any]:
    """Return means over draws, how often the target was broken, and whether that is too often."""
    own = [row for row in rows if (row["target"], row["method"]) == (target, method)]
    errors = np.array([row["error"] for row in own])
    broken, draws = float((errors > target + 1e-9).mean()), len(own)
    if method == "expected":
        holds = errors.mean() <= target + 3 * errors.std() / sqrt(draws)
    else:
        holds = broken <= DELTA + 3 * sqrt(DELTA * (1 - DELTA) / draws)
    refusals = [row["said"] for row in own if row["said"]]
    return {
        "broken": broken,
        "error": float(errors.mean()),
        "coverage": float(np.mean([row["coverage"] for row in own])),
        "spared": float(np.mean([row["spared"] for row in own])),
        "refused": len(refusals) / draws,
        "said": refusals[0] if refusals else "",
        "holds": bool(holds),
    }


def told(name: str, all_alike: dict[str, float], rows: Sequence[dict[str, Any]]) -> list[Any]:
    """Print and return the figures of one data set."""
    alone = all_alike["annotators"] == 1
    thumb = (
        "a single annotator"
        if alone
        else f"unanimous {all_alike['coverage']:.3f}, of these {all_alike['error']:.3f} are wrong"
    )
    print(
        f"\n{name}: {all_alike['items']} items, {all_alike['annotators']} annotators, plain vote "
        f"right on {all_alike['accuracy']:.3f}; {thumb}"
    )
    found = []
    for target in TARGETS:
        for method in (*KINDS, NAIVE):
            one = summary(rows, target, method)
            cells = "".join(
                f"{one[x]:>10.3f}" for x in ("broken", "error", "coverage", "spared", "refused")
            )
            holds = "" if one["holds"] else "  NO"
            print(f"  {target:>5.0%}  {method:10}{cells}{holds}", flush=True)
            found.append({"data": name, "target": target, "method": method} | one | all_alike)
    refused = next((one["said"] for one in found if one["said"]), "")
    if refused:
        print(f"  a refusal: {refused}", flush=True)
    return found


def main() -> None:
    """Print a block for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=[*EVERY], default=[*EVERY])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--gold", type=int, default=200)
    parser.add_argument("--pool", type=int, default=1000, help="the most items of a data set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=argparse.FileType("w"), help="also write the figures here")
    args = parser.parse_args()
    started, found = time.perf_counter(), []
    print(f"{args.gold} gold items, {args.draws} draws, delta {DELTA}, seed {args.seed}: draw k is")
    print("numpy.random.default_rng([seed, gold, k]), the items default_rng([seed, pool])")
    columns = ("broken", "error", "coverage", "spared", "refused")
    print(f"  {'target':5} {'method':10}" + "".join(f"{x:>10}" for x in columns))
    with ProcessPoolExecutor(args.jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        for name in args.data:
            all_alike = unanimous(name, args.pool, args.seed)
            if args.gold > 0.6 * all_alike["items"]:
                print(f"\n{name}: {all_alike['items']} items are too few for so much gold")
                continue
            draws = [
                pool.submit(one_draw, name, args.gold, args.pool, args.seed, k)
                for k in range(args.draws)
            ]
            rows = [row for draw in draws for row in draw.result()]
            found += told(name, all_alike, rows)
    print(f"\n{time.perf_counter() - started:.0f} s")
    if args.json:
        json.dump(found, args.json, indent=2)


if __name__ == "__main__":
    main()
