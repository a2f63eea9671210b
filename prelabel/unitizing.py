"""Krippendorff's alpha of unitizing: how far annotators agree where spans begin and end.

Krippendorff (1995), Sociological Methodology 25; Content Analysis, 2nd ed. 2004, section 11.6. Of
one label, ``1 - Do / De``; of several, ``1 - sum Do / sum De``. It counts how far boundaries lie
apart, not how many characters differ.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prelabel.estimate import Estimate, FloatArray
from prelabel.resampling import estimate_each, every_row

if TYPE_CHECKING:
    from prelabel.coefficients import IntArray

Span = tuple[int, int, str]
Bounds = list[tuple[int, int]]

MOST_DRAWN = 10_000_000  # units in all resamples together, as far as 200 resamples allow


class _Units(NamedTuple):
    """All units, an entry each, sorted: its lane (label x annotators + annotator), item, bounds."""

    lane: IntArray
    item: IntArray
    start: IntArray
    end: IntArray


class _Continuum(NamedTuple):
    """The items end to end, and what annotators marked; ``observed`` is items x labels."""

    units: _Units
    lengths: IntArray
    annotators: int
    labels: int
    observed: FloatArray


def unitizing_alphas(
    spans: Sequence[Sequence[Sequence[Span]]],
    lengths: Sequence[int],
    names: Sequence[str],
    *,
    cluster: IntArray | None = None,
    seed: int = 0,
) -> tuple[Estimate, dict[str, Estimate]]:
    """Return alpha of all labels together, and of each of ``names``.

    ``spans`` has a row an annotator, a column an item, each a list of (start, end, label);
    ``lengths`` are the items' lengths. Items are laid end to end as one continuum, so only items
    that all annotators labeled may be given; for the intervals items (or clusters) are drawn anew
    and laid end to end again. Not defined where one annotator's spans of one label overlap.
    """
    n = len(lengths)
    if len(spans) < 2 or not sum(lengths):
        return _undefined(n, "fewer than two annotators, or no text", names)
    units = _units(spans, names)
    same = (units.lane[1:] == units.lane[:-1]) & (units.item[1:] == units.item[:-1])
    if (same & (units.start[1:] < units.end[:-1])).any():
        return _undefined(n, "spans of one label overlap", names)
    observed = _observed(units, n, len(spans), len(names))
    line = _Continuum(units, np.asarray(lengths), len(spans), len(names), observed)
    whole, *each = estimate_each(
        lambda drawn: np.stack([_alphas(line, row.astype(np.int64)) for row in drawn]),
        every_row(n, cluster),
        undefined="no spans",
        seed=seed,
        resamples=min(1000, max(200, MOST_DRAWN // max(len(units.item), 1))),
    )
    return whole, dict(zip(names, each, strict=True))


def _undefined(n: int, why: str, names: Sequence[str]) -> tuple[Estimate, dict[str, Estimate]]:
    nothing = Estimate(None, n=n, why=why)
    return nothing, dict.fromkeys(names, nothing)


def _units(spans: Sequence[Sequence[Sequence[Span]]], names: Sequence[str]) -> _Units:
    place = {name: at for at, name in enumerate(names)}
    rows = sorted(
        (place[label] * len(spans) + annotator, item, start, end)
        for annotator, row in enumerate(spans)
        for item, given in enumerate(row)
        for start, end, label in given
    )
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return _Units(*table.T)


def _observed(units: _Units, items: int, annotators: int, labels: int) -> FloatArray:
    """Return the squared distances of what two annotators marked in one place, items x labels."""
    found = np.zeros((items, labels))
    lanes: dict[tuple[int, int], Bounds] = {}
    for lane, item, start, end in zip(*(column.tolist() for column in units), strict=True):
        lanes.setdefault((lane, item), []).append((start, end))
    for item, label in {(item, lane // annotators) for lane, item in lanes}:
        own = [lanes.get((label * annotators + k, item), []) for k in range(annotators)]
        found[item, label] = sum(_apart(a, b) for a, b in combinations(own, 2))
    return found


def _apart(a: Bounds, b: Bounds) -> int:
    """Return the squared distances of two annotators' units of one label in one item."""
    distance = 0
    for start, end in a:
        met = _meeting((start, end), b)
        distance += sum((start - s) ** 2 + (end - e) ** 2 for s, e in met)
        distance += 0 if met else (end - start) ** 2
    return distance + sum((e - s) ** 2 for s, e in b if not _meeting((s, e), a))


def _meeting(unit: tuple[int, int], others: Bounds) -> Bounds:
    """Return the units that overlap; ``others`` are in order and disjoint."""
    low = bisect_right(others, unit[0], key=lambda other: other[1])
    return others[low : bisect_left(others, unit[1], key=lambda other: other[0])]


def _alphas(line: _Continuum, copies: IntArray) -> FloatArray:
    """Return alpha of all labels and of each, with so many copies of each item end to end."""
    m, total = line.annotators, int(copies @ line.lengths)
    observed = (copies @ line.observed) * 2 / (m * (m - 1) * max(total, 1) ** 2)
    unit_label, sizes, gap_label, gaps = _sections(line, copies, total)
    expected = np.array(
        [
            _expected(sizes[unit_label == label], gaps[gap_label == label], m, total)
            for label in range(line.labels)
        ]
    )
    do = np.append(observed.sum(), observed)
    de = np.append(expected.sum(), expected)
    return np.where(de > 0, 1 - do / np.where(de > 0, de, 1), np.nan)


def _sections(
    line: _Continuum, copies: IntArray, total: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return the label and size of each unit, and of each gap between units."""
    units, m = line.units, line.annotators
    begins = np.cumsum(np.repeat(line.lengths, copies)) - np.repeat(line.lengths, copies)
    times = copies[units.item]
    at = np.repeat(np.arange(len(times)), times)  # a unit as often as its item
    nth = np.arange(len(at)) - np.repeat(np.cumsum(times) - times, times)
    begin = begins[(np.cumsum(copies) - copies)[units.item[at]] + nth]
    start, end, lane = begin + units.start[at], begin + units.end[at], units.lane[at]
    order = np.argsort(lane * total + start, kind="stable")
    start, end, lane = start[order], end[order], lane[order]
    first = np.diff(lane, prepend=-1) != 0
    last = np.diff(lane, append=-1) != 0
    before = np.where(first, 0, np.roll(end, 1))
    empty = np.setdiff1d(np.arange(line.labels * m), lane)
    gaps = np.concatenate([start - before, total - end[last], np.full(len(empty), total)])
    of = np.concatenate([lane, lane[last], empty]) // m
    return lane // m, end - start, of[gaps > 0], gaps[gaps > 0]


def _expected(sizes: IntArray, gaps: IntArray, annotators: int, total: int) -> float:
    """Return De of one label: the distances if all sections were laid out by chance."""
    length = sizes.astype(np.float64)
    ordered = np.sort(gaps).astype(np.float64)
    after = np.append(np.cumsum(ordered[::-1])[::-1], 0.0)
    at = np.searchsorted(ordered, length)
    room = after[at] - (len(ordered) - at) * (length - 1)
    cubes = 2 * length**3 - 3 * length**2 + length
    weighted = float((len(length) - 1) / 3 * cubes.sum() + (length**2 * room).sum())
    whole = annotators * total
    chances = whole * (whole - 1) - float((length * (length - 1)).sum())
    return 2 / total * weighted / chances if chances and total else 0.0
