"""The audit of gold: which gold labels are likely wrong, for people to label again blind.

Gold that no annotator agrees with, or that their probabilities speak against, goes into a list
together with random other gold items, and people label that list again without being told which is
which. No gold label is ever changed here: corrected only where annotators disagree with it, gold
would drift towards them.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from prelabel.errors import InputError
from prelabel.estimate import FloatArray
from prelabel.human_ceiling import Labels, Similarity, equal, similarity_of
from prelabel.records import Label, content_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.project import Project
    from prelabel.tasks import Task
    from prelabel.votes import Evidence

UNANIMOUS = "unanimous"
IMPROBABLE = "improbable"
ENOUGH_ANNOTATORS = 3
"""Fewer annotators that agree against gold often share one error."""

FEWEST_CONTROLS = 20
MOST_WRONG = 0.02
"""Evaluation sets want more than 98 % of their gold right."""

AUDITS = "audits"
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Suspect:
    """One gold label and what speaks against it.

    ``votes`` is the support of the best other label among the annotators less that of gold's, from
    -1 to 1: for classes the difference of their shares of the votes. ``probability`` is the mean
    probability of gold's label, ``margin`` that of the likeliest other value less it; of several
    units those of the worst. ``suspicion``, from 0 to 1, is the mean of ``votes`` and ``margin``,
    moved to that range. ``reasons`` are ``unanimous``: no annotator gives gold's label, and more
    than half give one and the same other; and ``improbable``: see `improbable`.
    """

    item: str
    gold: Label
    annotators: int
    suspicion: float
    votes: float | None
    alternative: Label = None
    probability: float | None = None
    margin: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoldAudit:
    """A list of gold items for blind re-adjudication.

    ``table`` has a row an item: its id, its text, an empty label; the order is random, and nothing
    tells ``suspicious`` items from the ``controls``. ``ranked`` has all gold items that an
    annotator labeled, the most suspicious first: it is not for those who re-adjudicate.
    """

    gold: int
    suspicious: int
    controls: int
    unanimous: int
    improbable: int
    table: list[dict[str, Any]] = field(repr=False)
    columns: tuple[str, ...]
    ranked: list[Suspect] = field(repr=False)
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self, *, reveal: bool = False) -> dict[str, Any]:
        """Return it as plain JSON-able values; ``reveal`` includes what was suspected, and why."""
        found = asdict(self)
        found["path"] = self.path and str(self.path)
        if not reveal:
            del found["ranked"]
        return found


def suspects(
    labels: Labels,
    gold: Mapping[str, Label],
    similarity: Similarity = equal,
    beliefs: pd.DataFrame | None = None,
    gold_votes: pd.DataFrame | None = None,
) -> list[Suspect]:
    """Return the gold items that an annotator labeled, the most suspicious first.

    ``labels`` are by annotator and item. ``similarity`` is 1 for equal labels, else below.
    ``beliefs`` has the columns item, annotator, unit, value, p, for annotators that say how
    probable each value is; ``gold_votes`` then gold as item, unit, value.
    """
    doubts = _doubts(beliefs, gold_votes) if beliefs is not None and gold_votes is not None else {}
    found = []
    for item, right in gold.items():
        given = [own[item] for _, own in sorted(labels.items()) if item in own]
        doubt = doubts.get(item)
        if not given and doubt is None:
            continue
        found.append(_suspect(item, right, given, similarity, doubt))
    return sorted(found, key=lambda one: (-one.suspicion, one.item))


def improbable(p: FloatArray, gold: NDArray[np.int64]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return each item's margin, and whether its gold label is among those likely wrong.

    ``p`` is items x values, out of sample, ``gold`` the number of each item's value. The margin is
    the likeliest other value's probability less gold's. As many are flagged, by largest margin, as
    confident learning estimates to be wrong: an item counts for the likeliest of the values whose
    probability reaches its mean over the items with that gold value; the share of each gold
    value's items that count for another is taken of all its items (Northcutt, Jiang and Chuang
    2021, JAIR 70; the calibrated confident joint). Never one whose gold value is the likeliest.
    """
    n, width = p.shape
    rows = np.arange(n)
    own = p[rows, gold]
    others = p.copy()
    others[rows, gold] = -np.inf
    margin = (others.max(axis=1) if width > 1 else np.zeros(n)) - own
    size = np.bincount(gold, minlength=width)
    sums = np.bincount(gold, weights=own, minlength=width)
    usual = np.where(size > 0, sums / np.maximum(size, 1), np.inf)
    reached = np.where(p >= usual, p, -1.0)
    counted = reached.max(axis=1) >= 0
    moved = counted & (reached.argmax(axis=1) != gold)
    count = np.bincount(gold[counted], minlength=width)
    away = np.bincount(gold[moved], minlength=width)
    expected = round(float((size * away / np.maximum(count, 1)).sum()))
    flagged = np.zeros(n, dtype=bool)
    flagged[np.argsort(-margin, kind="stable")[:expected]] = True
    return margin, flagged & (margin > 0)


class _Doubt(NamedTuple):
    """What probabilities say of one item's gold label."""

    probability: float
    margin: float
    improbable: bool


def _suspect(
    item: str,
    right: Label,
    given: Sequence[Label],
    similarity: Similarity,
    doubt: _Doubt | None,
) -> Suspect:
    others = [label for label in given if similarity(right, label) < 1 - _CLOSE]
    support = [fmean(similarity(other, label) for label in given) for other in others]
    best = max(range(len(others)), key=support.__getitem__, default=None)
    votes = None
    reasons = []
    if given:
        top = 0.0 if best is None else support[best]
        votes = top - fmean(similarity(right, label) for label in given)
    if best is not None and len(others) == len(given):
        same = sum(similarity(others[best], label) > 1 - _CLOSE for label in given)
        reasons += [UNANIMOUS] if 2 * same > len(given) else []
    reasons += [IMPROBABLE] if doubt and doubt.improbable else []
    parts = [part for part in (votes, doubt and doubt.margin) if part is not None]
    return Suspect(
        item,
        right,
        len(given),
        round((1 + fmean(parts)) / 2, 9),  # equal suspicion stays equal
        votes,
        None if best is None else others[best],
        doubt and doubt.probability,
        doubt and doubt.margin,
        tuple(reasons),
    )


def _doubts(beliefs: pd.DataFrame, gold: pd.DataFrame) -> dict[str, _Doubt]:
    """Return what the mean probabilities say of each gold item; of several units the worst."""
    found: dict[str, _Doubt] = {}
    for unit, rows in beliefs.groupby("unit", sort=True):
        truth = gold[gold["unit"] == unit].set_index("item")["value"]
        for item in truth.index[truth.index.duplicated()][:1]:
            raise InputError(f"gold: item {item!r} is there twice; keep one label of it")
        own = rows[rows["item"].isin(truth.index)]
        if own.empty:
            continue
        voices = own.groupby("item")["annotator"].nunique()
        sums = own.pivot_table("p", index="item", columns="value", aggfunc="sum", fill_value=0.0)
        truth = truth.loc[sums.index]
        columns = [*sums.columns, *(v for v in truth.unique() if v not in set(sums.columns))]
        mean = sums.reindex(columns=columns, fill_value=0.0).div(voices.loc[sums.index], axis=0)
        place = {value: at for at, value in enumerate(columns)}
        codes = np.array([place[value] for value in truth], dtype=np.int64)
        table = mean.to_numpy(dtype=np.float64)
        margin, flagged = improbable(table, codes)
        probability = table[np.arange(len(codes)), codes]
        for item, *figures in zip(sums.index, probability, margin, flagged, strict=True):
            new = _Doubt(float(figures[0]), float(figures[1]), bool(figures[2]))
            old = found.get(str(item), new)
            worst = max(old, new, key=lambda one: one.margin)
            found[str(item)] = worst._replace(improbable=old.improbable or new.improbable)
    return found


def gold_audit(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    split: str | None = None,
    most: int | None = None,
    controls: int | None = None,
    seed: int = 0,
    to: Path | None = None,
) -> GoldAudit:
    """List suspicious gold among random other gold, for people to label again without knowing.

    Annotators are all but people, or those named. ``most`` is how many suspicious items to list at
    most, ``controls`` how many random others: by default as many, but 20 at least. With ``to`` the
    table is written there; what was suspected stays in the project's own folder, where `gold_error`
    finds it once the list is labeled. Raises ``InputError`` without gold or annotations, and where
    ``to`` is there already.
    """
    from prelabel.exchange.tables import write_rows
    from prelabel.votes import missing_gold

    if to and to.exists():
        raise InputError(f"{to}: is there already, with work in it perhaps; choose another name")
    evidence = _evidence(project, annotators)
    items = {item.id: item for item in project.items()}
    whole = project.scoring_gold(split)
    gold = {g.item_id: g.label for g in whole if g.item_id in items}
    if not gold:
        raise InputError("no gold to audit; name a file under `gold:` in prelabel.yaml")
    ranked = rank_suspects(evidence, gold)
    flagged = [one for one in ranked if one.reasons]
    listed = [one.item for one in flagged][:most]
    rest = sorted(gold.keys() - set(listed))
    wanted = max(len(listed), FEWEST_CONTROLS) if controls is None else controls
    rng = random.Random(seed)  # noqa: S311 - which gold is looked at again is no secret to guess
    chosen = rng.sample(rest, min(wanted, len(rest)))
    order = sorted([*listed, *chosen])
    rng.shuffle(order)
    from prelabel.sheets import blind_rows

    columns, table = blind_rows([items[name] for name in order])
    _remember(project, split, gold, listed, chosen)
    if to:
        write_rows(to, table, columns)
    return GoldAudit(
        gold=len(gold),
        suspicious=len(listed),
        controls=len(chosen),
        unanimous=sum(UNANIMOUS in one.reasons for one in ranked),
        improbable=sum(IMPROBABLE in one.reasons for one in ranked),
        table=table,
        columns=tuple(columns),
        ranked=ranked,
        path=to,
        notes=(*evidence.notes, *missing_gold(evidence, whole), *_notes(gold, ranked, len(listed))),
    )


def _evidence(project: Project, annotators: Sequence[str]) -> Evidence:
    """Return what annotators say; people only where they are named."""
    from prelabel.ledger import Ledger
    from prelabel.votes import gather

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        people = {row["name"] for row in ledger.annotators() if row["kind"] == "person"}
        found = gather(project, ledger, annotators)
        if annotators:
            return found
        others = [name for name in found.names.values() if name not in people]
        if not others:
            raise InputError("only people have labels here; name those to audit gold by with -a")
        return gather(project, ledger, others) if len(others) < len(found.names) else found


def rank_suspects(evidence: Evidence, gold: Mapping[str, Label]) -> list[Suspect]:
    """Return what `suspects` does for the annotators of some evidence.

    An annotator whose prompts showed a gold item as an example has no say on it.
    """
    from prelabel.records import Gold
    from prelabel.votes import gold_table

    shown = evidence.shown()
    labels: dict[str, dict[str, Label]] = {name: {} for name in evidence.names}
    rows = []
    for item in gold:
        for a in evidence.items.get(item, ()):
            if a.outcome != "labeled" or item in shown[a.annotator]:
                continue
            labels[a.annotator][item] = a.label
            for unit, row in (a.distribution or {}).items():
                rows += [(item, a.annotator, unit, value, p) for value, p in row.items()]
    beliefs = pd.DataFrame(rows, columns=["item", "annotator", "unit", "value", "p"])
    votes = gold_table(evidence.task, [Gold(item, label) for item, label in gold.items()])
    return suspects(labels, gold, likeness(evidence.task), beliefs, votes)


def likeness(task: Task) -> Similarity:
    """Return how much two labels of a task are alike, from 0 to 1, which only equal labels are."""
    if task.name == "rating":
        scale: Any = task.guideline.scale
        width = float(scale.max - scale.min)
        return lambda a, b: 1 - abs(float(a) - float(b)) / width
    if task.name == "text":
        from prelabel.tasks.text import accepted

        alike = similarity_of(task)[1]
        return lambda a, b: max(alike(x, y) for x in accepted(a) for y in accepted(b))
    return similarity_of(task)[1]


def _remember(
    project: Project,
    split: str | None,
    gold: Mapping[str, Label],
    listed: Sequence[str],
    chosen: Sequence[str],
) -> None:
    """Keep which items were suspected, and gold as it was, where `gold_error` looks for it."""
    from prelabel.exchange.files import replacing

    both = sorted([*listed, *chosen])
    kept = {
        "created": time.time(),
        "split": split,
        "gold": len(gold),
        "suspicious": sorted(listed),
        "labels": {item: gold[item] for item in both},
    }
    folder = project.state / AUDITS
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); check it") from None
    with replacing(folder / f"{content_hash(kept)}.json") as file:
        file.write(json.dumps(kept).encode())


def _notes(gold: Mapping[str, Label], ranked: Sequence[Suspect], listed: int) -> tuple[str, ...]:
    found = []
    if unseen := len(gold) - len(ranked):
        found.append(f"{unseen} gold items have no label of an annotator: they are not suspected")
    few = sum(UNANIMOUS in one.reasons and one.annotators < ENOUGH_ANNOTATORS for one in ranked)
    if few:
        found.append(
            f"{few} unanimous items have fewer than {ENOUGH_ANNOTATORS} annotators: there the "
            "annotators are as likely wrong as gold"
        )
    if listed > MOST_WRONG * len(gold):
        found.append(
            f"{listed} of {len(gold)} gold labels are suspicious ({listed / len(gold):.1%}): "
            "evaluation sets want more than 98 % right; have the list labeled again, then see "
            "`prelabel gold-error`"
        )
    return tuple(found)
