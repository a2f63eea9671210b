"""Hierarchical: one path down a tree of labels, scored at each of its levels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prelabel.guideline import ABSTAIN, fold
from prelabel.guideline_parts import walk
from prelabel.logprobs import label_distribution
from prelabel.records import Distribution, Item, Label, Value, Votes
from prelabel.tasks import Level, OffListError, Reading, Task, shorten
from prelabel.tasks.answers import answer_model, choices, chosen, json_of, of_parts, one_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prelabel.estimate import Estimate, FloatArray
    from prelabel.guideline import Guideline, LabelDefinition
    from prelabel.guideline_fields import Finding, Line
    from prelabel.measures import Measures
    from prelabel.splitting import Part

SEPARATOR = " > "
ANY_SEPARATOR = re.compile(r"\s*[>/]\s*")


MOST_NAMED = 100
"""Paths that an error message lists."""

Path = tuple[str, ...]


class Hierarchical(Task):
    """A path of names from the top of the label set to a leaf.

    A unit a level, ``"1"`` the top. The value at a level is the path down to it as a text,
    ``animals > dogs``, or ``""`` where the path ends above it.
    """

    name = "hierarchical"
    level: Level = "nominal"
    splits = True

    def __init__(self, guideline: Guideline) -> None:
        self.guideline = guideline
        nodes = list(walk(guideline.labels))
        self.nodes: dict[str, Path] = {SEPARATOR.join(path): path for path, _ in nodes}
        self.leaves = tuple(dict.fromkeys(SEPARATOR.join(p) for p, n in nodes if not n.labels))
        self._ends = frozenset(self.leaves)
        self.depth = max((len(path) for path, _ in nodes), default=0)
        self._written: dict[str, set[Path]] = {}
        self._by_spelling: dict[str, set[Path]] = {}
        for path, node in nodes:
            self._written.setdefault(fold(SEPARATOR.join(path)), set()).add(path)
            for spelling in spellings(node):
                self._by_spelling.setdefault(spelling, set()).add(path)

    def response_model(self, *, rationale: bool) -> type[BaseModel]:
        """Return a model with ``path``, after a short ``rationale`` where asked for.

        The path is one of the leaves' paths; where these are too many for a schema, any text.
        """
        path = one_of(choices(self.leaves, self.guideline))
        return answer_model({"path": (path, ...)}, rationale=rationale)

    def read(self, answer: BaseModel, item: Item) -> Reading:  # noqa: ARG002
        """Return the path as a list of names."""
        return Reading(self.match(chosen(answer.path, self.guideline)))  # type: ignore[attr-defined]

    def match(self, raw: Any, item: Item | None = None) -> Label:  # noqa: ARG002
        """Return the path for a recorded value: a list of names, a text, or ``{"path": …}``.

        A text is a path parted by ``>`` or ``/``, a JSON list, or the name or alias of a leaf
        that nothing else in the tree is called.
        """
        if isinstance(raw, Mapping) and list(raw) == ["path"]:
            raw = raw["path"]
        found = self._meant(raw)
        leaves = [path for path in found if SEPARATOR.join(path) in self._ends]
        if len(found) == len(leaves) == 1:
            return list(leaves[0])
        raise OffListError(self._complaint(raw, found))

    def _meant(self, raw: Any) -> set[Path]:
        """Return the nodes that a recorded value may stand for."""
        if isinstance(raw, (list, tuple)) and raw and all(isinstance(n, str) for n in raw):
            found = set(along(self.guideline.labels, [fold(name) for name in raw]))
            return found or (self._meant(raw[0]) if len(raw) == 1 else set())
        if not isinstance(raw, str):
            return set()
        text = fold(raw)
        whole = self._written.get(text) or set(down(self.guideline.labels, text))
        if len(whole) == 1 and SEPARATOR.join(*whole) in self._ends:
            return whole
        found = whole | self._by_spelling.get(text, set())
        return found or self._meant(json_of(raw) if raw.lstrip().startswith("[") else None)

    def _complaint(self, raw: Any, found: set[Path]) -> str:
        """Say why a value is no path of the label set."""
        if not found:
            known = f"one of: {', '.join(self.leaves)}"
            if len(self.leaves) > MOST_NAMED:
                known = f"a whole path of the label set, such as {self.leaves[0]!r}"
            return f"{shorten(raw)} is not {known}"
        if len(found) > 1:
            each = " or ".join(repr(SEPARATOR.join(path)) for path in sorted(found))
            return f"{shorten(raw)} may be {each}; write the whole path"
        path = next(iter(found))
        below = [p[-1] for p in self.nodes.values() if p[:-1] == path]
        return f"{shorten(raw)} stops at {path[-1]!r}; choose one below it: {', '.join(below)}"

    def answer(self, label: Label) -> dict[str, Any]:
        """Return ``{"path": "animals > dogs"}``."""
        return {"path": SEPARATOR.join(label)}

    def distribution(self, tokens: Sequence[Mapping[str, Any]]) -> Distribution:
        """Return the probability of each value at each level: the sum over the paths through it."""
        names: dict[str, Value] = {json.dumps(p, ensure_ascii=False): p for p in self.leaves}
        whole = label_distribution(tokens, {"": ("path", names)}).get("")
        if not whole:
            return {}
        found: Distribution = {unit: dict.fromkeys(self.values(unit), 0.0) for unit in self.units()}
        for path, p in whole.items():
            for unit, value in self.votes(self.nodes[str(path)]).items():
                found[unit][value] += p
        return found

    def units(self) -> tuple[str, ...]:
        """Return the levels, ``"1"`` the top."""
        return tuple(str(level) for level in range(1, self.depth + 1))

    def values(self, unit: str = "") -> tuple[Value, ...]:
        """Return the paths down to a level, and ``""`` where some path ends above it.

        For the unit ``""`` the values of all levels.
        """
        if unit not in self.units():
            return tuple(dict.fromkeys(v for own in self.units() for v in self.values(own)))
        level = int(unit)
        reached = [text for text, path in self.nodes.items() if len(path) == level]
        above = any(len(self.nodes[leaf]) < level for leaf in self.leaves)
        return (*reached, *([""] if above else []))

    def votes(self, label: Label) -> Votes:
        """Return the path down to each level, ``""`` where it ends above."""
        return {
            str(k): SEPARATOR.join(label[:k]) if k <= len(label) else ""
            for k in range(1, self.depth + 1)
        }

    def from_votes(self, votes: Votes) -> Label:
        """Return the longest path from the top on which the levels agree; None where there is none.

        A value that does not lie under the one above it ends the path, which may then stop at an
        inner label: ``match`` refuses it, so that people see it.
        """
        path: Path = ()
        for unit in self.units():
            reached = self.nodes.get(str(votes.get(unit, "")))
            if reached is None or reached[:-1] != path:
                break
            path = reached
        return list(path) or None

    def merge(self, parts: Sequence[Part], readings: Sequence[Reading]) -> Reading:  # noqa: ARG002
        """Return the path of most parts, the earlier one's where several are.

        With ``merge: first``, the first in the guideline's label set that any part got.
        """
        given = [reading.label for reading in readings]
        return Reading(of_parts(given, self.guideline, self._place))

    def _place(self, path: Label) -> int:
        return self.leaves.index(SEPARATOR.join(path))

    def measure(self, gold: Sequence[Label], given: Sequence[Label], seed: int = 0) -> Measures:
        """Compare paths level by level.

        ``level_k_accuracy`` is the share of items whose paths agree down to level k, of those
        whose gold reaches it. ``level_k_macro_f1`` is the mean F1 of the labels of level k that
        occur, over all items: a path that goes deeper than gold counts against the label it
        names. ``labels`` has a row for every label of the tree, inner ones too.
        """
        from prelabel.measures import Measures, counted

        pairs = [(tuple(g), tuple(p)) for g, p in zip(gold, given, strict=True)]
        through = [[path[: len(node)] == node for node in self.nodes.values()]
                   for pair in pairs for path in pair]  # fmt: skip
        has, got = through[::2], through[1::2]
        hits = [
            [a and b for a, b in zip(*rows, strict=True)] for rows in zip(has, got, strict=True)
        ]
        f1 = self._macro_f1(has, got, seed)
        metrics = {}
        for k in range(1, self.depth + 1):
            metrics[f"level_{k}_accuracy"] = level_accuracy(pairs, k)
            metrics[f"level_{k}_macro_f1"] = f1[k - 1]
        labels = counted(tuple(self.nodes), has, got, hits, seed)[1]
        return Measures([g == p for g, p in pairs], metrics, labels)

    def _macro_f1(
        self, has: Sequence[Sequence[bool]], got: Sequence[Sequence[bool]], seed: int
    ) -> list[Estimate]:
        """Return the mean F1 of each level's labels; both arguments are items x labels."""
        import numpy as np

        from prelabel.estimate import bootstrap_each

        width = len(self.nodes)
        gold, given = (np.asarray(rows, dtype=float).reshape(-1, width) for rows in (has, got))
        both, sizes = np.unique(np.hstack([gold, given]), axis=0, return_counts=True)
        gold, given = both[:, :width], both[:, width:]
        levels = np.array([len(path) for path in self.nodes.values()])

        def macro(weights: FloatArray) -> FloatArray:
            hits, used = weights @ (gold * given), weights @ (gold + given)
            f1 = 2 * hits / np.where(used > 0, used, 1)
            columns = [levels == k for k in range(1, self.depth + 1)]
            occur = [(used[:, own] > 0).sum(axis=1) for own in columns]
            sums = [f1[:, own].sum(axis=1) for own in columns]
            return np.column_stack([
                np.where(n > 0, total / np.maximum(n, 1), np.nan)
                for total, n in zip(sums, occur, strict=True)
            ])  # fmt: skip

        nothing = "no label of this level occurs" if len(sizes) else "nothing was labeled"
        return bootstrap_each(macro, sizes, seed=seed, jackknife_below=0, undefined=nothing)

    def overlap(self, a: Label, b: Label) -> tuple[float, float]:
        """Return on how many levels two paths agree, and the levels of the longer."""
        same = sum(1 for k in range(1, min(len(a), len(b)) + 1) if list(a[:k]) == list(b[:k]))
        return (same, max(len(a), len(b)))


def level_accuracy(pairs: Sequence[tuple[Path, Path]], level: int) -> Estimate:
    """Return the share of items right down to a level, of those whose gold path reaches it."""
    from prelabel.estimate import wilson

    right = [gold[:level] == given[:level] for gold, given in pairs if len(gold) >= level]
    why = "no gold path reaches this level" if pairs else "nothing was labeled"
    return wilson(sum(right), len(right), undefined=why)


def spellings(label: LabelDefinition) -> set[str]:
    """Return what a label may be called, in the form in which labels are compared."""
    return {fold(spelling) for spelling in (label.name, *label.aliases)}


def along(
    labels: Sequence[LabelDefinition], names: Sequence[str], above: Path = ()
) -> Iterator[Path]:
    """Yield the nodes that folded names lead to, one name a level."""
    for label in labels:
        path = (*above, label.name)
        if names[0] not in spellings(label):
            continue
        if len(names) == 1:
            yield path
        else:
            yield from along(label.labels, names[1:], path)


def down(labels: Sequence[LabelDefinition], text: str, above: Path = ()) -> Iterator[Path]:
    """Yield the nodes that a folded text leads to; a name may itself contain a separator."""
    for label in labels:
        path = (*above, label.name)
        for spelling in spellings(label):
            if text == spelling:
                yield path
            elif text.startswith(spelling) and (parted := ANY_SEPARATOR.match(text, len(spelling))):
                yield from down(label.labels, text[parted.end() :], path)


def check(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Find labels whose paths could not be told apart, and levels that decide nothing."""
    from prelabel.guideline_fields import Finding, labels_of

    top = guideline.labels
    if len(top) == 1:
        yield Finding(
            line("labels"),
            "warning",
            f"all paths begin with {top[0].name!r}; leave that level out, or add labels beside it",
        )
    yield from _siblings(guideline, top, ("labels",), line)
    for where, label in labels_of(guideline):
        if SEPARATOR in f" {label.name} ":
            yield Finding(
                line(*where, "name"),
                "error",
                f"label {label.name!r} contains '>', which parts the names of a path; rename it",
            )
        if len(label.labels) == 1:
            yield Finding(
                line(*where, "labels"),
                "warning",
                f"{label.name!r} has one label below it, so that nothing is decided there; "
                "add others, or make it a leaf",
            )
        yield from _siblings(guideline, label.labels, (*where, "labels"), line)


def _siblings(
    guideline: Guideline, labels: Sequence[LabelDefinition], where: Any, line: Line
) -> Iterator[Finding]:
    """Check that each name and alias means one label among those beside it."""
    from prelabel.guideline_fields import Finding

    owners: dict[str, str] = {}
    for index, label in enumerate(labels):
        here = line(*where, index, "name")
        own = spellings(label)
        if guideline.abstain is not None and len(where) == 1 and ABSTAIN in own:
            yield Finding(
                here, "error", f"{ABSTAIN!r} is the word for abstaining; call the label otherwise"
            )
        for spelling in sorted(own & owners.keys()):
            yield Finding(
                here,
                "error",
                f"label {label.name!r} and label {owners[spelling]!r} beside it are both called "
                f"{spelling!r}; rename one",
            )
        owners |= dict.fromkeys(own, label.name)
