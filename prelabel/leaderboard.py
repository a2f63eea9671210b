"""Annotators in order of accuracy, where those that the tests cannot tell apart share a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from string import ascii_lowercase

from prelabel.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Standing:
    """One annotator's place.

    ``rank`` is one more than the number of annotators shown to be better: those that nobody is
    shown to beat are all first. Two annotators with a letter in common are not shown to differ,
    which is not to say that they are equal. ``accuracy`` is of its own items, ``coverage`` the part
    of its annotated gold items with a label. ``cost`` is dollars an annotated gold item, None where
    a price is unknown. ``frontier``: no other is both as cheap and as accurate, and better in one
    of the two; None without a price.
    """

    annotator: str
    rank: int
    letters: str
    accuracy: Estimate
    coverage: Estimate
    cost: float | None
    frontier: bool | None


def standings(
    accuracy: Mapping[str, Estimate],
    coverage: Mapping[str, Estimate],
    cost: Mapping[str, float | None],
    beats: Iterable[tuple[str, str]],
) -> list[Standing]:
    """Return the places of annotators, best first; ``beats`` has each (better, worse) shown.

    Annotators without any label are last and have no letters.
    """
    shown = set(beats)
    known = [name for name, found in accuracy.items() if found.value is not None]
    order = sorted(known, key=lambda name: (-(accuracy[name].value or 0.0), name))
    lost = {name: sum(worse == name for _, worse in shown) for name in order}
    letters = letter_display(order, shown)
    best = frontier({name: (cost[name], accuracy[name].value or 0.0) for name in order})
    rows = [
        Standing(
            name,
            1 + lost[name],
            letters[name],
            accuracy[name],
            coverage[name],
            cost[name],
            None if cost[name] is None else name in best,
        )
        for name in sorted(order, key=lambda name: lost[name])
    ]
    rest = [name for name in accuracy if name not in known]
    return rows + [
        Standing(name, len(known) + 1, "", accuracy[name], coverage[name], cost[name], None)
        for name in sorted(rest)
    ]


def cheapest(rows: Iterable[Standing]) -> str | None:
    """Return the cheapest of those that nobody is shown to beat; None without prices."""
    first = [(row.cost, row.annotator) for row in rows if row.rank == 1 and row.cost is not None]
    return min(first)[1] if first else None


def letter_display(names: Sequence[str], apart: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return letters such that two names share one just where they are not in ``apart``.

    Source: insert and absorb, Piepho 2004, "An algorithm for a letter-based representation of
    all-pairwise comparisons". ``a`` stands with the first name.
    """
    groups = [frozenset(names)] if names else []
    for a, b in sorted({tuple(sorted(pair)) for pair in apart}):
        split = [g for g in groups if a in g and b in g]
        parts = {part for g in split for part in (g - {a}, g - {b})}
        kept = [g for g in groups if g not in split]
        groups = kept + [
            p for p in parts if not any(p < g or p == g for g in [*kept, *(parts - {p})])
        ]
    place = {name: at for at, name in enumerate(names)}
    groups.sort(key=lambda g: sorted(place[name] for name in g))
    return {
        name: "".join(letter for letter, g in zip(_letters(), groups, strict=False) if name in g)
        for name in names
    }


def _letters() -> Iterable[str]:
    """Yield a, b, …, z, a1, b1, … without end."""
    yield from ascii_lowercase
    for number, letter in product(count(1), ascii_lowercase):
        yield f"{letter}{number}"


def frontier(points: Mapping[str, tuple[float | None, float]]) -> set[str]:
    """Return the names that no other dominates, of ``{name: (cost, quality)}``.

    One is dominated where another costs no more and is no worse, and is strictly so in one. Names
    of unknown cost are neither on the frontier nor dominate.
    """
    priced = {name: (c, q) for name, (c, q) in points.items() if c is not None}
    return {
        name
        for name, (c, q) in priced.items()
        if not any(oc <= c and oq >= q and (oc < c or oq > q) for oc, oq in priced.values())
    }
