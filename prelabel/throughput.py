"""What labeling took: seconds, annotations a minute, tokens and dollars, annotator by annotator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from prelabel.estimate import Estimate, FloatArray

if TYPE_CHECKING:
    from prelabel.votes import Evidence

PAUSE_SECONDS = 60.0
PAUSE_LATENCIES = 3.0
"""A gap longer than both, the latter times the longest latency, is a pause between two runs."""

NOTHING_PAID = "no call was paid"
UNKNOWN_PRICE = "a price is unknown"


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one annotator's ``annotations`` took, those of its present settings and guideline.

    ``paid`` annotations made at least one call now, ``calls`` of them in all; ``replayed`` ones
    were answered from the cache: they count for tokens and dollars, as what they once cost, but
    not for time. ``median`` and ``p95`` are of the seconds that the calls of a paid annotation took
    from asking to the answer, added up; waiting for a turn, and tries without an answer, are not in
    it. ``per_minute`` is how many paid annotations were finished a minute, from the first to the
    last of a run, over ``minutes`` in all, pauses between runs left out. Annotators that run
    together overlap: their minutes are the same minutes. Tokens are the mean of annotations with
    calls. ``per_1000`` is dollars for 1,000 labels, ``per_correct`` for a right one: dollars a
    label over the accuracy on gold, with its interval. None where a price or time is unknown.
    """

    annotator: str
    annotations: int
    labeled: int
    paid: int
    replayed: int
    calls: int
    median: Estimate
    p95: Estimate
    per_minute: float | None
    minutes: float | None
    input_tokens: float | None
    output_tokens: float | None
    per_1000: float | None
    per_correct: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def usage_table(evidence: Evidence) -> pd.DataFrame:
    """Return a row an annotation: who, whether labeled, and what its calls took."""
    rows = [
        (
            evidence.names[a.annotator],
            a.outcome == "labeled",
            a.usage.calls,
            a.usage.input_tokens,
            a.usage.output_tokens,
            a.usage.cost,
            a.replayed,
            a.latency,
            a.created,
        )
        for given in evidence.items.values()
        for a in given
    ]
    columns = ["annotator", "labeled", "calls", "input_tokens", "output_tokens", "cost"]
    columns += ["replayed", "latency", "created"]
    return pd.DataFrame(rows, columns=columns).astype({"cost": float})


def throughput(usage: pd.DataFrame, accuracy: Mapping[str, Estimate]) -> list[Throughput]:
    """Return what each annotator's annotations took, in the order in which they come.

    ``usage`` has a row an annotation, the columns of `usage_table`: annotator, labeled, calls,
    input_tokens, output_tokens, cost (dollars, nan where unknown), replayed, latency (seconds),
    created (seconds of the clock). ``accuracy`` is by annotator.
    """
    return [
        _of_one(str(name), rows, accuracy.get(str(name), Estimate(None, why="not scored")))
        for name, rows in usage.groupby("annotator", sort=False)
    ]


def _of_one(name: str, rows: pd.DataFrame, accuracy: Estimate) -> Throughput:
    asked = rows[rows["calls"] > 0]
    replayed = asked["replayed"].astype(bool)
    paid = asked[~replayed]
    latency = paid["latency"].to_numpy(dtype=np.float64)
    per_minute, minutes = rate(paid["created"].to_numpy(dtype=np.float64), latency)
    labeled = int(rows["labeled"].sum())
    cost = float(rows["cost"].sum(skipna=False))
    known = labeled > 0 and not isnan(cost)
    return Throughput(
        name,
        len(rows),
        labeled,
        len(paid),
        int(replayed.sum()),
        int(paid["calls"].sum()),
        quantile(latency, 0.5),
        quantile(latency, 0.95),
        per_minute,
        minutes,
        float(asked["input_tokens"].mean()) if len(asked) else None,
        float(asked["output_tokens"].mean()) if len(asked) else None,
        1000 * cost / labeled if known else None,
        per_correct(None if isnan(cost) else cost, labeled, accuracy),
    )


def per_correct(cost: float | None, labeled: int, accuracy: Estimate) -> Estimate:
    """Return the dollars that a right label costs: dollars a label over accuracy."""
    n = accuracy.n
    if cost is None:
        return Estimate(None, n=n, why=UNKNOWN_PRICE)
    if not labeled:
        return Estimate(None, n=n, why="nothing was labeled")
    if not accuracy.value:
        return Estimate(None, n=n, why=accuracy.why or "no label is right")
    each = cost / labeled
    if not accuracy.low or not accuracy.high:
        return Estimate(each / accuracy.value, n=n, why=accuracy.why)
    return Estimate(each / accuracy.value, each / accuracy.high, each / accuracy.low, n)


def quantile(values: FloatArray, share: float, level: float = 0.95) -> Estimate:
    """Return a quantile with the interval between two of the values, whatever their distribution.

    The number of values below the quantile is binomial (David and Nagaraja 2003, section 7.1).
    There is no interval where the values are too few for one.
    """
    n = len(values)
    if not n:
        return Estimate(None, why=NOTHING_PAID)
    ordered, tail = np.sort(values), (1 - level) / 2
    value = float(np.quantile(ordered, share))
    low = int(binom.ppf(tail, n, share))  # 1-based rank: P(fewer below) <= tail
    high = int(binom.isf(tail, n, share)) + 1
    if low < 1 or high > n:
        return Estimate(value, n=n, why="too few annotations for an interval")
    return Estimate(value, float(ordered[low - 1]), float(ordered[high - 1]), n)


def rate(created: FloatArray, latency: FloatArray) -> tuple[float | None, float | None]:
    """Return annotations a minute, and the minutes that were counted.

    ``created`` is when each was finished, in seconds. A gap longer than a minute and than three
    times the longest latency parts two runs; the first annotation of a run starts the clock and is
    not counted. None where times are unknown or all the same.
    """
    if len(created) < 2 or not created.min() > 0:
        return None, None
    gaps = np.diff(np.sort(created))
    running = gaps <= max(PAUSE_SECONDS, PAUSE_LATENCIES * float(latency.max()))
    minutes = float(gaps[running].sum()) / 60
    if not minutes:
        return None, None
    return int(running.sum()) / minutes, minutes
