"""Annotations as columns of numbers: what is computed of millions of them reads these.

A text that occurs a million times is kept once and stands in the columns as a number, so that a
label is parsed, voted on and compared once however many items have it. What is not in the columns
(distributions, rationales, what an annotation used) is read when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from prelabel.ledger import Ledger, load_shown, row_of
from prelabel.records import Annotation, Distribution, Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

READ = (
    "n", "item_id", "item_hash", "annotator", "outcome", "failure", "label", "shown", "cost",
    "latency", "calls", "believes",
)  # fmt: skip


class Places(dict[Any, int]):
    """The place of each distinct value, in the order in which they were first asked for."""

    def __missing__(self, value: Any) -> int:
        place = self[value] = len(self)
        return place

    def of(self, column: Sequence[Any]) -> NDArray[np.int32]:
        """Return the place of each value of a column."""
        return np.fromiter(map(self.__getitem__, column), np.int32, len(column))


@dataclass(frozen=True, eq=False)
class Columns:
    """A row an annotation: by item, in the order of the items, then in that of being made.

    ``item`` to ``shown`` are places in ``items`` to ``examples`` (the gold items that a prompt
    showed). ``label`` is -1 where nothing was labeled, ``failure`` where nothing failed. ``cost``
    is in dollars, nan where a price is unknown; ``latency`` in seconds; ``called`` says whether a
    call was made, ``believes`` whether there is a distribution, and ``n`` is the annotation's
    number where it is kept.
    """

    items: Sequence[str]
    annotators: Sequence[str]
    outcomes: Sequence[str]
    failures: Sequence[str]
    labels: Sequence[Label]
    examples: Sequence[tuple[str, ...]]
    n: NDArray[np.int64]
    item: NDArray[np.int32]
    annotator: NDArray[np.int32]
    outcome: NDArray[np.int32]
    failure: NDArray[np.int32]
    label: NDArray[np.int32]
    shown: NDArray[np.int32]
    cost: NDArray[np.float64]
    latency: NDArray[np.float64]
    called: NDArray[np.bool_]
    believes: NDArray[np.bool_]

    def of(self, rows: NDArray[Any]) -> Columns:
        """Return some of the rows, by place or by truth."""
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return replace(self, **arrays)

    def only(self, items: Collection[str]) -> Columns:
        """Return some of the items, in their order here; those that are not here are left out."""
        wanted = set(items)
        kept = np.fromiter(map(wanted.__contains__, self.items), np.bool_, len(self.items))
        found = self.of(kept[self.item])
        place = np.cumsum(kept, dtype=np.int32) - np.int32(1)
        named = list(self.named(np.flatnonzero(kept)))
        return replace(found, items=named, item=place[found.item])

    def by(self, annotators: Collection[str]) -> Columns:
        """Return the rows of some annotators; items and lists stay as they are."""
        chosen = np.array([name in annotators for name in self.annotators], dtype=np.bool_)
        return self.of(chosen[self.annotator])

    def named(self, items: NDArray[Any]) -> Iterator[str]:
        """Name items by their places."""
        return map(self.items.__getitem__, items.tolist())


_ARRAYS = tuple(f.name for f in fields(Columns))[6:]


class Source(Protocol):
    """Where annotations can be read in full, by their numbers."""

    def annotations(self, numbers: Sequence[int]) -> Sequence[Annotation]:
        """Return annotations in the order of ``numbers``."""

    def distributions(self, numbers: Sequence[int]) -> Sequence[Distribution]:
        """Return the distributions of annotations that have one, in the order of ``numbers``."""


class Annotations(Mapping[str, Sequence[Annotation]]):
    """The annotations of each item: all as columns, and in full where an item's are asked for."""

    def __init__(self, columns: Columns, source: Source) -> None:
        self.columns = columns
        self._source = source

    def __getitem__(self, item: str) -> Sequence[Annotation]:
        rows = self.rows(item)
        return self._all[rows.start : rows.stop]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns.items)

    def __len__(self) -> int:
        return len(self.columns.items)

    def __contains__(self, item: object) -> bool:
        return item in self._place

    def rows(self, item: str) -> range:
        """Return the rows of an item in the columns. Raises KeyError."""
        at = self._place[item]
        return range(self._start[at], self._start[at + 1])

    def distribution(self, row: int) -> Distribution | None:
        """Return the distribution of a row; all are read with the first that is asked for."""
        return self._distributions[row] if self.columns.believes[row] else None

    def only(self, items: Collection[str]) -> Annotations:
        """Return the annotations of some items."""
        return Annotations(self.columns.only(items), self._source)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {item: at for at, item in enumerate(self.columns.items)}

    @cached_property
    def _start(self) -> list[int]:
        every = np.arange(len(self.columns.items) + 1)
        start: list[int] = np.searchsorted(self.columns.item, every).tolist()
        return start

    @cached_property
    def _all(self) -> Sequence[Annotation]:
        return self._source.annotations(self.columns.n.tolist())

    @cached_property
    def _distributions(self) -> dict[int, Distribution]:
        rows = np.flatnonzero(self.columns.believes)
        found = self._source.distributions(self.columns.n[rows].tolist())
        return dict(zip(rows.tolist(), found, strict=True))


class _Kept(NamedTuple):
    """Annotations in the ledger; it is open only while it is read."""

    path: Path

    def annotations(self, numbers: Sequence[int]) -> Sequence[Annotation]:
        with closing(Ledger(self.path)) as ledger:
            return ledger.annotations(numbers)

    def distributions(self, numbers: Sequence[int]) -> Sequence[Distribution]:
        with closing(Ledger(self.path)) as ledger:
            return ledger.distributions(numbers)


class _Held(NamedTuple):
    """Annotations in memory."""

    given: Sequence[Annotation]

    def annotations(self, numbers: Sequence[int]) -> Sequence[Annotation]:
        return [self.given[n] for n in numbers]

    def distributions(self, numbers: Sequence[int]) -> Sequence[Distribution]:
        return [self.given[n].distribution or {} for n in numbers]


def read_annotations(
    ledger: Ledger, annotators: Sequence[str], guideline_hash: str, hashes: Mapping[str, str]
) -> tuple[Annotations, int]:
    """Return each annotator's last word on each item, and how many of them are out of date.

    ``hashes`` are those of the items' present texts; an annotation of another text, or of an item
    that is not there, is out of date and left out.
    """
    coder = _Coder(hashes)
    fresh = [np.zeros(0, dtype=np.bool_)]
    for batch in ledger.columns(annotators, guideline_hash, READ):
        given = coder.add(batch)
        same = map(eq, map(hashes.get, given["item_id"]), given["item_hash"])
        fresh.append(np.fromiter(same, np.bool_, len(batch)))
    columns = coder.columns()
    last = _last(columns)
    kept = last[np.concatenate(fresh)[last]]
    kept = kept[np.argsort(columns.item[kept], kind="stable")]
    found = replace(columns.of(kept), items=list(hashes))
    return Annotations(found, _Kept(ledger.path)), len(last) - len(kept)


def held_annotations(items: Mapping[str, Sequence[Annotation]]) -> Annotations:
    """Return annotations that are in memory, by item."""
    given = [a for own in items.values() for a in own]
    coder = _Coder(items)
    stored = (row_of(a) | {"n": n, "believes": bool(a.distribution)} for n, a in enumerate(given))
    coder.add([tuple(row[name] for name in READ) for row in stored])
    return Annotations(coder.columns(), _Held(given))


class _Coder:
    """Turns rows of texts into columns of numbers, batch by batch."""

    def __init__(self, items: Iterable[str]) -> None:
        self.items = Places((item, at) for at, item in enumerate(items))
        # what is missing has the first place, -1 in the end
        self.places = {name: Places() for name in ("annotator", "outcome", "shown")}
        self.optional = {name: Places({None: 0}) for name in ("failure", "label")}
        self.parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
        self.add([])  # so that each column has its type

    def add(self, batch: Sequence[tuple[Any, ...]]) -> dict[str, Sequence[Any]]:
        """Take in rows of what `READ` names; return them column by column."""
        turned: Iterable[Sequence[Any]] = zip(*batch, strict=True) if batch else [()] * len(READ)
        given = dict(zip(READ, turned, strict=True))
        part = {name: places.of(given[name]) for name, places in self.places.items()}
        part |= {name: places.of(given[name]) - 1 for name, places in self.optional.items()}
        part["item"] = self.items.of(given["item_id"])
        found: dict[str, NDArray[Any]] = {
            **part,
            "n": np.array(given["n"], dtype=np.int64),
            "cost": np.array(given["cost"], dtype=np.float64),  # None becomes nan
            "latency": np.array(given["latency"], dtype=np.float64),
            "called": np.array(given["calls"], dtype=np.int64) > 0,
            "believes": np.array(given["believes"], dtype=np.bool_),
        }
        for name, column in found.items():
            self.parts[name].append(column)
        return given

    def columns(self) -> Columns:
        """Return what was taken in, in the order in which it came."""
        lists = {name: list(places) for name, places in self.places.items()}
        failures, labels = (list(self.optional[name])[1:] for name in ("failure", "label"))
        arrays = {name: np.concatenate(self.parts.pop(name)) for name in _ARRAYS}
        return Columns(
            list(self.items),
            lists["annotator"],
            lists["outcome"],
            failures,
            [json.loads(label) for label in labels],
            [load_shown(shown) for shown in lists["shown"]],
            **arrays,
        )


def _last(columns: Columns) -> NDArray[np.intp]:
    """Return the last row of each annotator and item, in the order of the rows."""
    key = columns.item.astype(np.int64) * max(len(columns.annotators), 1) + columns.annotator
    _, from_the_end = np.unique(key[::-1], return_index=True)
    return np.sort(len(key) - 1 - from_the_end)


def alike(columns: Columns) -> Iterator[list[str]]:
    """Yield the items that have the same label of each annotator, together: all that have one."""
    import pandas as pd

    from prelabel.dawid_skene import Coded, collapse

    own = columns.of(columns.label >= 0)
    items, place = np.unique(own.item, return_inverse=True)
    keys = place * len(columns.annotators) + own.annotator
    keys = np.sort(keys * len(columns.labels) + own.label)
    coded = Coded(keys, pd.RangeIndex(len(items)), list(columns.annotators))
    pattern = collapse(coded, len(columns.labels)).of
    order = np.argsort(pattern, kind="stable")
    ends = np.flatnonzero(np.diff(pattern[order])) + 1
    for group in np.split(items[order], ends) if len(items) else ():
        yield list(columns.named(group))
