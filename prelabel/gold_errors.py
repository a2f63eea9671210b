"""How much of the gold is wrong, estimated from an audit's list that people have labeled again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.auditing import AUDITS, MOST_WRONG
from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.records import Label

if TYPE_CHECKING:
    from prelabel.project import Project

SUSPICIOUS, CONTROLS = "suspicious", "controls"


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the gold: of its ``size`` labels ``checked`` were adjudicated again."""

    name: str
    size: int
    checked: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A gold label that adjudication did not confirm; somebody has to decide."""

    item: str
    gold: Label
    adjudicated: Label
    part: str


@dataclass(frozen=True, slots=True)
class Close:
    """Two annotators that this gold cannot tell apart.

    ``difference`` is that of their accuracies on ``n`` gold items, ``moves`` by how much gold's
    error could change it: twice the error, or twice the share of items where one of the two is
    right if that is less.
    """

    a: str
    b: str
    n: int
    difference: float
    moves: float


@dataclass(frozen=True, slots=True)
class GoldError:
    """The share of gold labels that are wrong.

    ``error`` is of all ``gold`` items audited, its parts weighted by their size. ``suspicious`` is
    the share of the suspicious labels found wrong, ``controls`` that of random others.
    """

    gold: int
    error: Estimate
    suspicious: Estimate
    controls: Estimate
    changed: tuple[Changed, ...]
    close: tuple[Close, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def gold_error(project: Project, adjudicated: Path, annotators: Sequence[str] = ()) -> GoldError:
    """Return how much of the gold is wrong, from the table of `gold_audit` with labels filled in.

    Rows without a label are not adjudicated yet. ``annotators``, by default all, are those to be
    told apart by gold. Raises ``InputError`` for a table that is of no audit of this project.
    """
    from prelabel.sheets import read_filled

    again = {row.item: row.label for row in read_filled(project, adjudicated)}
    kept = _audit_of(project, adjudicated, again)
    gold, suspected = kept["labels"], set(kept["suspicious"])
    names = [item for item in gold if item in again]
    parts = [SUSPICIOUS if item in suspected else CONTROLS for item in names]
    right = [project.task.right(gold[item], again[item]) for item in names]
    changed = tuple(
        Changed(item, gold[item], again[item], part)
        for item, part, ok in zip(names, parts, right, strict=True)
        if not ok
    )
    sizes = {SUSPICIOUS: len(suspected), CONTROLS: kept["gold"] - len(suspected)}
    strata = [
        Stratum(part, size, parts.count(part), sum(one.part == part for one in changed))
        for part, size in sizes.items()
    ]
    error = error_rate(strata)
    suspicious, controls = (
        wilson(s.wrong, s.checked, undefined="none was adjudicated") for s in strata
    )
    whole = {g.item_id: g.label for g in project.scoring_gold(kept["split"])}
    close = close_pairs(_right_of(project, annotators, whole), error)
    notes = _notes(error, strata)
    return GoldError(kept["gold"], error, suspicious, controls, changed, close, notes)


def error_rate(strata: Sequence[Stratum], level: float = 0.95) -> Estimate:
    """Return the share of wrong labels of all strata, each weighted by its size.

    Within a stratum the interval is exact for a random part of a finite whole (the hypergeometric
    form of Clopper and Pearson 1934), and a stratum checked in full has none; strata are combined
    by the square-root rule (MOVER: Zou and Donner 2008).
    """
    parts = [s for s in strata if s.size]
    total, n = sum(s.size for s in parts), sum(s.checked for s in parts)
    if not total:
        return Estimate(None, why="no gold")
    for one in parts:
        if not one.checked:
            return Estimate(None, n=n, why=f"none of the {one.name} was adjudicated")
    below = above = value = 0.0
    for one in parts:
        weight, share = one.size / total, one.wrong / one.checked
        low, high = finite_interval(one.wrong, one.checked, one.size, level)
        value += weight * share
        below += (weight * (share - low)) ** 2
        above += (weight * (high - share)) ** 2
    return Estimate(value, max(value - sqrt(below), 0.0), min(value + sqrt(above), 1.0), n)


def finite_interval(k: int, n: int, size: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the share of ``size``, of which ``k`` of a random ``n`` are.

    Raises ValueError unless ``0 <= k <= n <= size`` and ``n > 0``.
    """
    from scipy.stats import hypergeom

    if not 0 <= k <= n <= size or n < 1:
        raise ValueError(f"0 <= k <= n <= size is needed, got {k}, {n}, {size}")
    tail = (1 - level) / 2
    # the fewest and the most that are not refuted by seeing k of n
    low = _first(k, k + size - n, lambda whole: hypergeom.sf(k - 1, size, whole, n) > tail)
    high = _first(low, k + size - n, lambda whole: hypergeom.cdf(k, size, whole + 1, n) <= tail)
    return low / size, high / size


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the first whole number from ``low`` for which something holds, else ``high``."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def close_pairs(right: Mapping[str, Mapping[str, bool]], error: Estimate) -> tuple[Close, ...]:
    """Return the pairs of annotators whose difference gold's error could turn.

    ``right`` is by annotator and item. Each wrong gold label of an item where one of the two is
    right can move the difference by two items.
    """
    found = []
    for a, b in combinations(sorted(right), 2) if error.value else ():
        both = [item for item in right[a] if item in right[b]]
        if not both:
            continue
        gaps = [int(right[a][item]) - int(right[b][item]) for item in both]
        difference = sum(gaps) / len(both)
        moves = 2 * min(error.value or 0.0, sum(map(abs, gaps)) / len(both))
        if abs(difference) < moves:
            found.append(Close(a, b, len(both), difference, moves))
    return tuple(found)


def _right_of(
    project: Project, annotators: Sequence[str], gold: Mapping[str, Label]
) -> dict[str, dict[str, bool]]:
    from prelabel.ledger import Ledger
    from prelabel.votes import gather

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        labels = gather(project, ledger, annotators).labels()
    found = {}
    for name, own in labels.items():
        items = [item for item in gold if item in own]
        right = [project.task.right(gold[item], own[item]) for item in items]
        found[name] = dict(zip(items, right, strict=True))
    return found


def _audit_of(project: Project, path: Path, again: Mapping[str, Label]) -> dict[str, Any]:
    """Return the newest audit that lists all items of a table."""
    folder = project.state / AUDITS
    kept = [json.loads(file.read_bytes()) for file in folder.glob("*.json")]
    for audit in sorted(kept, key=lambda audit: -audit["created"]):
        if again.keys() <= audit["labels"].keys():
            found: dict[str, Any] = audit
            return found
    raise InputError(
        f"{path}: of no audit of this project; fill in the table that `prelabel gold-audit` wrote"
    )


def _notes(error: Estimate, strata: Sequence[Stratum]) -> tuple[str, ...]:
    found = []
    suspicious, controls = strata
    left = suspicious.size - suspicious.checked
    if left and suspicious.checked:
        found.append(
            f"{left} suspicious items are not adjudicated yet; the estimate holds only if those "
            "that are were not picked"
        )
    want = f"evaluation sets want more than {1 - MOST_WRONG:.0%} right"
    if error.value is not None and error.value > MOST_WRONG:
        found.append(f"{error.value:.1%} of gold is likely wrong: {want}")
    elif error.high is not None and error.high > MOST_WRONG:
        found.append(
            f"up to {error.high:.1%} of gold may be wrong, and {want}; adjudicate more than "
            f"{controls.checked} controls to know"
        )
    return tuple(found)
