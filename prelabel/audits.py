"""A random part of the accepted labels for people to look at, and the error that it shows.

The part is stratified: doubtful labels and sure ones, frequent labels and the rest, each by itself.
Every accepted item has a known chance to be drawn, so that the estimate is of all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from prelabel.estimate import Estimate, FloatArray
from prelabel.gold_errors import Stratum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.records import Label

FLOOR = 20
"""Items of a stratum that are looked at, at least, where strata are not treated alike."""

MOST_GROUPS = 5
"""Groups of confidence, at most."""

FEWEST = 2
"""Items of a stratum without which its variance is not defined."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An item to look at: its stratum, and the chance that it had to be drawn.

    ``watched`` marks a part of those drawn in which every accepted item was equally likely: it is
    what a monitor may watch.
    """

    item: str
    stratum: str
    inclusion: float
    watched: bool


def stratify(
    scores: Sequence[float], labels: Sequence[Label], most: int, what: str = "agreement"
) -> list[str]:
    """Return the name of each item's stratum, of ``most`` at most.

    Items are first grouped by score, in up to five groups of about equal size that never part equal
    scores; where there is room for more strata, each group is parted by its most frequent labels,
    the others together. No stratum has fewer than 20 items, unless all have.
    """
    group = _groups(np.asarray(scores, dtype=np.float64), min(most, MOST_GROUPS))
    names = [""] * len(group)
    count = int(group.max()) + 1 if len(group) else 0
    for number in range(count):
        members = np.flatnonzero(group == number).tolist()
        own = [float(scores[i]) for i in members]
        span = f"{min(own):.3g}" + (f" to {max(own):.3g}" if max(own) > min(own) else "")
        title = f"{number + 1}: {what} {span}"
        parts = _by_label([labels[i] for i in members], most // count)
        for i, part in zip(members, parts, strict=True):
            names[i] = f"{title}, {part}" if part else title
    return names


def _groups(scores: FloatArray, most: int) -> NDArray[np.intp]:
    """Return each score's group, from 0, the lowest first; equal scores share one."""
    values, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / max(len(scores), 1)
    wanted = np.floor(middle * max(most, 1)).astype(int)
    group, size, number = np.zeros(len(values), dtype=np.intp), 0, 0
    for at, count in enumerate(counts.tolist()):
        if at and size >= FLOOR and wanted[at] != wanted[at - 1] and counts[at:].sum() >= FLOOR:
            size, number = 0, number + 1
        group[at] = number
        size += count
    return group[where]


def _by_label(labels: Sequence[Label], most: int) -> list[str]:
    """Name the most frequent labels, and the rest; nothing where there is no room for parts."""
    texts = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in labels]
    counts = sorted(Counter(texts).items(), key=lambda one: (-one[1], one[0]))
    kept = [name for name, n in counts[: max(most - 1, 0)] if n >= FLOOR]
    rest = sum(n for name, n in counts if name not in kept)
    if rest and rest < FLOOR and kept:
        kept.pop()
    if not kept or (len(kept) == 1 and not rest):
        return [""] * len(texts)
    return [f"label {text}" if text in kept else "other labels" for text in texts]


def allocate(sizes: Sequence[int], n: int, errors: Sequence[float] | None = None) -> list[int]:
    """Return how many items of each stratum to look at, ``n`` in all (or all that there are).

    ``errors`` are guesses at the strata's error rates: the shares are then those of Neyman (1934),
    proportional to N_h sqrt(e_h (1 - e_h)), with 20 items at least; without them proportional to
    the sizes, with 2 at least. Where ``n`` does not reach for that, all get the same least.
    """
    size = np.asarray(sizes, dtype=np.float64)
    n = min(n, int(size.sum()))
    if not n:
        return [0] * len(size)
    least = np.minimum(size, min(FEWEST if errors is None else FLOOR, n // len(size)))
    need = size.copy()
    if errors is not None:
        e = np.asarray(errors, dtype=np.float64)
        need *= np.sqrt(e * (1 - e)) + 1e-9  # a stratum thought free of errors can still fill up
    low, high = 0.0, n / float(need[size > 0].min())
    for _ in range(200):  # the multiple of the needs that fits between the least and the sizes
        middle = (low + high) / 2
        low, high = (middle, high) if _fit(middle, need, least, size).sum() < n else (low, middle)
    real = _fit(high, need, least, size)
    whole = np.floor(real + 1e-6)
    order = np.argsort(-np.where(whole < size, real - whole, -1.0), kind="stable")
    whole[order[: n - int(whole.sum())]] += 1
    return [int(each) for each in whole]


def _fit(multiple: float, need: FloatArray, least: FloatArray, size: FloatArray) -> FloatArray:
    return np.asarray(np.clip(multiple * need, least, size))


def draw(
    stratum: Mapping[str, str], n: int, errors: Mapping[str, float] | None = None, *, seed: int = 0
) -> list[Drawn]:
    """Draw ``n`` items at random, stratum by stratum, and put them in a random order.

    ``stratum`` is by item; ``errors`` are guesses at the strata's error rates, see `allocate`. The
    same items and seed give the same draw, in whatever order the items come.
    """
    rng = np.random.default_rng(seed)
    members: dict[str, list[str]] = {}
    for item in sorted(stratum):
        members.setdefault(stratum[item], []).append(item)
    names = sorted(members)
    sizes = [len(members[name]) for name in names]
    guesses = [errors[name] for name in names] if errors is not None else None
    counts = allocate(sizes, n, guesses)
    chance = {name: k / size for name, k, size in zip(names, counts, sizes, strict=True)}
    lowest = min(chance.values(), default=1.0)
    found = [
        Drawn(members[name][at], name, chance[name], bool(rng.random() < lowest / chance[name]))
        for name, k in zip(names, counts, strict=True)
        for at in sorted(rng.choice(len(members[name]), k, replace=False).tolist())
    ]
    return [found[at] for at in rng.permutation(len(found))]


def stratified_error(strata: Sequence[Stratum], level: float = 0.95) -> Estimate:
    """Return the share of wrong labels in all strata, without bias, and its interval.

    e = sum W_h e_h with the variance v = sum W_h^2 e_h (1 - e_h) / (n_h - 1) (1 - n_h / N_h), W_h
    the stratum's share of all items. The interval is that of Korn and Graubard (1998): Clopper and
    Pearson's for n* = e (1 - e) / v items, n where v is 0. n* is never above n (Parker et al. 2017,
    NCHS), nor above what equal error rates in all strata would give (Kish 1965): a large stratum
    in which few items were looked at, by luck without an error, would count as free of errors.
    A whole that was looked at in full is known.
    """
    parts = [one for one in strata if one.size]
    total, n = sum(one.size for one in parts), sum(one.checked for one in parts)
    if not total:
        return Estimate(None, why="nothing was accepted")
    for one in parts:
        if not one.checked:
            return Estimate(None, n=n, why=f"nothing was looked at in {one.name}")
    error = sum(one.size / total * one.wrong / one.checked for one in parts)
    if n == total:
        return Estimate(error, error, error, n)
    for one in parts:
        if one.checked < min(FEWEST, one.size):
            return Estimate(error, n=n, why=f"only one item was looked at in {one.name}")
    effective = _effective(parts, total, n, error)
    low, high = clopper_pearson(error * effective, effective, level)
    return Estimate(error, low, high, n)


def _effective(parts: Sequence[Stratum], total: int, n: int, error: float) -> float:
    """Return how many items of a simple random audit would say as much."""
    variance = alike = 0.0
    for one in parts:
        share = one.wrong / one.checked
        weight = (one.size / total) ** 2 * (1 - one.checked / one.size)
        variance += weight * share * (1 - share) / max(one.checked - 1, 1)
        alike += weight / one.checked
    most = min(float(n), 1 / alike)
    return min(error * (1 - error) / variance, most) if variance > 0 else most


def clopper_pearson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the share ``k / n``; both may be fractions.

    Its ends are quantiles of beta distributions (Clopper and Pearson 1934).
    """
    tail = (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high
