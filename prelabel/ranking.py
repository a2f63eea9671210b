"""Ranking contestants by pairwise preference: the Bradley-Terry model, fitted by ``choix``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, bootstrap_each
from prelabel.records import Item, Label

PSEUDO = 0.1
"""Games added in each direction between any two where wins and losses alone give no strengths."""

MOST = 300
"""More contestants than this would need gigabytes: every pair of them is compared."""

Edge = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Strength:
    """One contestant. ``strength`` is on the log scale: the mean over contestants is 0.

    i beats j with probability ``1 / (1 + exp(strength_j - strength_i))``. ``rank`` is 1 plus the
    number of contestants that are clearly stronger, so those that cannot be told apart may share
    one. ``items`` counts the comparisons it took part in.
    """

    name: str
    strength: Estimate
    rank: int
    items: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Contestants, the strongest first; ``pseudo`` games were added to each direction of a pair."""

    strengths: tuple[Strength, ...]
    items: int
    pseudo: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def games(items: Iterable[Item], labels: Mapping[str, Label], a: str, b: str) -> pd.DataFrame:
    """Return columns item, winner, loser, weight from pairwise labels, as ``rank`` wants them.

    ``a`` and ``b`` are the metadata columns that name whose text A and B are. A tie is half a win
    for each; items without a label are left out. Raises ``InputError`` for an item without names.
    """
    rows: list[tuple[str, str, str, float]] = []
    for item in items:
        label = labels.get(item.id)
        if label is None:
            continue
        one, other = (_contestant(item, column) for column in (a, b))
        if label in ("A", "tie"):
            rows.append((item.id, one, other, 1.0 if label == "A" else 0.5))
        if label in ("B", "tie"):
            rows.append((item.id, other, one, 1.0 if label == "B" else 0.5))
    return pd.DataFrame(rows, columns=["item", "winner", "loser", "weight"])


def _contestant(item: Item, column: str) -> str:
    name = item.meta.get(column)
    if name is None or not str(name).strip():
        raise InputError(
            f"item {item.id!r}: no contestant in the metadata column {column!r}; fill it in"
        )
    return str(name)


def rank(
    results: pd.DataFrame, *, pseudo: float | None = None, resamples: int = 1000, seed: int = 0
) -> Ranking:
    """Rank contestants by the Bradley-Terry model (Bradley & Terry 1952).

    ``results`` has the columns winner and loser, and may have weight (1 without it) and item: rows
    of one item are resampled together. Strengths are those of greatest likelihood, computed by
    iterative Luce spectral ranking (Maystre & Grossglauser 2015), with 95 % percentile intervals
    from resampling items; i ranks above j where the interval of their difference lies above 0.

    ``pseudo`` games are added in each direction between any two contestants; None adds none unless
    some contestants never lost to the others, and says so. Raises ``InputError`` for a table that
    is no list of games, and where groups never met and ``pseudo`` is not set.
    """
    names, items = _read(results)
    patterns = Counter(items)
    edges = _edges(list(patterns), len(names))
    sizes = np.fromiter(patterns.values(), float)
    added, notes = _regularized(names, sizes @ edges, pseudo)

    def fit(weights: FloatArray) -> FloatArray:
        totals = np.asarray(weights @ edges).reshape(-1, len(names), len(names))
        return np.stack([_compared(_strengths(wins, added)) for wins in totals])

    found = bootstrap_each(
        fit,
        sizes,
        resamples=resamples,
        seed=seed,
        jackknife_below=0,
        undefined="wins and losses give no strengths",
    )
    strengths, differences = found[: len(names)], found[len(names) :]
    if strengths[0].low is None:
        notes += (f"strengths have no interval, so all share a rank: {strengths[0].why}",)
    ranks = _ranks(differences, len(names))
    played = Counter(i for item in items for i in {i for edge in item for i in edge[:2]})
    rows = [Strength(name, strengths[i], ranks[i], played[i]) for i, name in enumerate(names)]
    rows.sort(key=lambda row: (-(row.strength.value or 0.0), row.name))
    return Ranking(tuple(rows), len(items), added, notes)


def _read(results: pd.DataFrame) -> tuple[list[str], list[tuple[Edge, ...]]]:
    """Return the contestants, and each item's games as (winner, loser, weight)."""
    for column in ("winner", "loser"):
        if column not in results:
            there = ", ".join(map(str, results.columns))
            raise InputError(f"results: no column {column!r}; the columns are: {there}")
        if results[column].isna().any():
            raise InputError(f"results: {column!r} is empty in some rows; fill it in")
    if results.empty:
        raise InputError("results: no games; label some pairs first")
    ones = pd.Series(1.0, index=results.index)
    weights = pd.to_numeric(results.get("weight", ones), errors="coerce")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError("results: 'weight' must be above 0 in every row; mend it")
    pairs = results[["winner", "loser"]].astype(str)
    if (own := pairs["winner"] == pairs["loser"]).any():
        name = pairs["winner"][own].iloc[0]
        raise InputError(f"results: {name!r} plays against itself; take such rows out")
    names = sorted(set(pairs["winner"]) | set(pairs["loser"]))
    if len(names) > MOST:
        raise InputError(f"results: {len(names)} contestants; rank at most {MOST} at a time")
    code = {name: i for i, name in enumerate(names)}
    items: dict[Any, list[Edge]] = {}
    keys = results["item"] if "item" in results else range(len(results))
    for key, winner, loser, weight in zip(
        keys, pairs["winner"], pairs["loser"], weights, strict=True
    ):
        items.setdefault(key, []).append((code[winner], code[loser], weight))
    return names, [tuple(sorted(edges)) for edges in items.values()]


def _edges(patterns: list[tuple[Edge, ...]], n: int) -> csr_array:
    """Return a row for each pattern of one item's games: the weight of each directed pair."""
    entries = [(row, i * n + j, w) for row, p in enumerate(patterns) for i, j, w in p]
    rows, columns, weights = zip(*entries, strict=True)
    return csr_array((weights, (rows, columns)), shape=(len(patterns), n * n))


def _regularized(
    names: list[str], totals: FloatArray, pseudo: float | None
) -> tuple[float, tuple[str, ...]]:
    """Return how many games to add in each direction, and what to say of it."""
    if pseudo is not None and pseudo < 0:
        raise InputError(f"pseudo: must be 0 or more, got {pseudo:g}")
    wins = np.asarray(totals).reshape(len(names), len(names))
    groups, member = connected_components(csr_array(wins), connection="weak")
    added = f"games added in each direction between any two contestants: {pseudo or PSEUDO:g}"
    if groups > 1:
        apart = names[int(np.flatnonzero(member)[0])]
        if not pseudo:
            raise InputError(
                f"results: {names[0]!r} and {apart!r} never met, nor through others, so nothing "
                "compares them; add such pairs, rank each group alone, or set pseudo"
            )
        return pseudo, (f"{groups} groups never met: strengths across them are no evidence", added)
    if _connected(wins):
        return pseudo or 0.0, (added,) if pseudo else ()
    if pseudo == 0:
        raise InputError(
            "results: some contestants never lost to the others, so strengths have no bounds; add "
            f"games, or set pseudo, such as {PSEUDO}"
        )
    why = "some contestants never lost to the others, which alone gives no strengths"
    return pseudo or PSEUDO, (f"{why}; {added}",)


def _connected(wins: FloatArray) -> bool:
    """Say whether wins lead from everybody to everybody: then strengths exist (Ford 1957)."""
    return bool(connected_components(csr_array(wins), connection="strong")[0] == 1)


def _strengths(wins: FloatArray, pseudo: float) -> FloatArray:
    """Return strengths of mean 0; nan where the games give none."""
    from choix import ilsr_pairwise_dense

    if not pseudo and not _connected(wins):
        return np.full(len(wins), np.nan)
    try:
        found: FloatArray = ilsr_pairwise_dense(wins + pseudo * (1 - np.eye(len(wins))))
    except (RuntimeError, ValueError):  # too lopsided for floating point
        return np.full(len(wins), np.nan)
    centred: FloatArray = found - found.mean()
    return centred


def _compared(strengths: FloatArray) -> FloatArray:
    """Append the difference of every two strengths, in the order of ``np.triu_indices``."""
    i, j = np.triu_indices(len(strengths), k=1)
    return np.concatenate([strengths, strengths[i] - strengths[j]])


def _ranks(differences: list[Estimate], n: int) -> list[int]:
    """Return 1 + how many are clearly stronger, for each contestant."""
    ranks = [1] * n
    pairs = zip(*np.triu_indices(n, k=1), strict=True)
    for (i, j), difference in zip(pairs, differences, strict=True):
        if difference.low is not None and difference.low > 0:
            ranks[j] += 1
        if difference.high is not None and difference.high < 0:
            ranks[i] += 1
    return ranks
