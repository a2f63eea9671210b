"""fairness(): how right people are, how fast, and how far suggestions carry them away.

All is a function of the stored decisions and of gold as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prelabel.review.floor import RISK, Verdict, fair_checks, is_right, last_words, verdict
from prelabel.review.hidden import PLANTABLE
from prelabel.review.results import Stored, read_stored
from prelabel.review.settling import HIDDEN, Decision, agree
from prelabel.review.times import first_decisions, labels_an_hour, time_saved, without_pauses

if TYPE_CHECKING:
    from prelabel.estimate import Estimate
    from prelabel.project import Project
    from prelabel.records import Annotation, Label
    from prelabel.tasks import Task

NO_GOLD = "no hidden gold was decided yet; gold_rate under review: in prelabel.yaml says how much"
NOT_PLANTED = (
    "no planted suggestion was shown yet; wrong_rate under review: in prelabel.yaml says how many"
)
NOT_BLIND = (
    "no hidden gold was decided blind yet; blind_rate under review: in prelabel.yaml says how much"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured of one reviewer, or of all together.

    ``accuracy`` is on hidden gold, decisions under a planted suggestion left out; ``alone`` is its
    blind part. ``accepted`` is how often a planted wrong suggestion was taken, ``chosen`` how often
    the same wrong label was chosen blind, ``bias`` the difference. ``blind`` and ``suggested`` are
    median seconds, ``saved`` the share of the time that suggestions save. ``an_hour`` counts labels
    without ``pauses`` decisions that took too long to have been work. ``agreement`` is
    Krippendorff's alpha with what others said independently; of labels that can agree in part, such
    as spans, the overlap, which is not corrected for chance.
    """

    decided: int
    skipped: int
    accuracy: Estimate
    alone: Estimate
    accepted: Estimate
    chosen: Estimate
    bias: Estimate
    an_hour: Estimate
    pauses: int
    blind: Estimate
    suggested: Estimate
    saved: Estimate
    agreement: Estimate


@dataclass(frozen=True, slots=True)
class Disputed:
    """A hidden gold item on which people differ from gold: ``said`` has who said what instead."""

    item_id: str
    gold: Label
    said: tuple[tuple[Label, tuple[str, ...]], ...]
    asked: int


@dataclass(frozen=True, slots=True)
class Fairness:
    """What `fairness` finds; ``floors`` says of each reviewer how they stand to the floor."""

    floor: float
    risk: float
    overall: Figures
    reviewers: Mapping[str, Figures]
    floors: Mapping[str, Verdict]
    flagged: tuple[str, ...]
    disputed: tuple[Disputed, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def fairness(project: Project, database: str | None = None) -> Fairness:
    """Measure the people of a review by hidden gold and by what was left to chance.

    Only what was decided under the present guideline, on the items' present texts, is counted.
    """
    stored = read_stored(project, database)
    words = [one for own in stored.opinions.values() for one in own]
    words.sort(key=lambda one: one.n)
    names = sorted({one.author for one in words})
    return Fairness(
        project.config.review.floor,
        RISK,
        _figures(stored, words, _together(words)),
        {
            name: _figures(
                stored, [one for one in words if one.author == name], _against_others(words, name)
            )
            for name in names
        },
        {name: _verdict(stored, name, project.config.review.floor) for name in names},
        tuple(sorted(stored.flags)),
        _disputed(stored, words),
    )


def _verdict(stored: Stored, name: str, floor: float) -> Verdict:
    words = [one for one in last_words(stored.rows) if one.author == name]
    since = stored.lifted.get(name, 0.0)
    fair = [one for one in fair_checks(words, stored.gold) if one.created > since]
    return verdict([is_right(one, stored.gold, stored.task) for one in fair], floor)


def _figures(
    stored: Stored, words: Sequence[Decision], labels: Mapping[str, Mapping[str, Label]]
) -> Figures:
    """Measure the decisions ``words``; ``labels`` are those to agree, by annotator and item."""
    from prelabel.estimate import wilson
    from prelabel.shares import difference

    task, gold = stored.task, stored.gold
    fair = fair_checks(words, gold)
    right = [is_right(one, gold, task) for one in fair]
    alone = [is_right(one, gold, task) for one in fair if one.arm == "blind"]
    planted = [one for one in words if one.trial == "planted"]
    taken = [_accepts(one, task) for one in planted if one.arm == "suggested"]
    chosen = [_accepts(one, task) for one in planted if one.arm == "blind"]
    whys = _whys(task)
    rows = _timed(stored, words)
    working = without_pauses(rows)
    return Figures(
        len(words),
        _skipped(stored, {one.author for one in words}),
        wilson(sum(right), len(right), undefined=NO_GOLD),
        wilson(sum(alone), len(alone), undefined=NOT_BLIND),
        wilson(sum(taken), len(taken), undefined=whys[0]),
        wilson(sum(chosen), len(chosen), undefined=whys[1]),
        difference(
            sum(taken), len(taken), sum(chosen), len(chosen), whys[0] if not taken else whys[1]
        ),
        labels_an_hour(working),
        len(rows) - len(working),
        *time_saved(working),
        agreement_of(labels, task),
    )


def _whys(task: Task) -> tuple[str, str]:
    if task.name in PLANTABLE:
        return NOT_PLANTED, NOT_BLIND
    why = f"no wrong label can be planted in {task.name}: it has no declared labels"
    return why, why


def _accepts(one: Decision, task: Task) -> bool:
    return one.label is not None and agree(one.label, one.suggestion, task)


def _timed(stored: Stored, words: Iterable[Decision]) -> list[Decision]:
    """Return the first decisions of the authors of ``words`` on the present texts."""
    names = {one.author for one in words}
    return [
        row
        for row in first_decisions(stored.rows)
        if row.author in names and stored.hashes.get(row.item_id) == row.item_hash
    ]


def _skipped(stored: Stored, names: set[str]) -> int:
    """Count hidden gold that was skipped and never decided."""
    rows = [row for row in stored.rows if row.author in names and row.trial in HIDDEN]
    decided = {(row.author, row.item_id) for row in rows if row.kind == "decided"}
    skipped = {(row.author, row.item_id) for row in rows if row.kind == "skipped"}
    return len(skipped - decided)


def _independent(words: Iterable[Decision]) -> dict[str, list[Decision]]:
    """Return by item what was said without knowing of others, where labels were given.

    Of hidden gold nobody sees what others said; of other items the first, and those who were blind.
    """
    found: dict[str, list[Decision]] = {}
    begun: set[str] = set()
    for one in words:
        knew = one.item_id in begun and one.arm == "suggested" and one.trial not in HIDDEN
        begun.add(one.item_id)
        misled = one.trial == "planted" and one.arm == "suggested"
        if one.label is not None and not knew and not misled:
            found.setdefault(one.item_id, []).append(one)
    return {item: own for item, own in found.items() if len(own) > 1}


def _together(words: Iterable[Decision]) -> dict[str, dict[str, Label]]:
    labels: dict[str, dict[str, Label]] = {}
    for item, own in _independent(words).items():
        for one in own:
            labels.setdefault(one.author, {})[item] = one.label
    return labels


def _against_others(words: Iterable[Decision], name: str) -> dict[str, dict[str, Label]]:
    """Return a reviewer's labels beside those of the first other of each item."""
    labels: dict[str, dict[str, Label]] = {"own": {}, "others": {}}
    for item, own in _independent(words).items():
        mine = next((one for one in own if one.author == name), None)
        if mine is not None:
            other = next(one for one in own if one.author != name)
            labels["own"][item], labels["others"][item] = mine.label, other.label
    return labels


def agreement_of(labels: Mapping[str, Mapping[str, Label]], task: Task) -> Estimate:
    """Return Krippendorff's alpha of labels by annotator and item; the overlap where they have one.

    ``n`` is the number of items that several labeled.
    """
    from prelabel.estimate import Estimate
    from prelabel.overlaps import overlap_agreement
    from prelabel.reliability import agreement
    from prelabel.tasks import Measured
    from prelabel.votes import Evidence, vote_table

    if not any(labels.values()):
        return Estimate(None, why="no item was decided by two people independently")
    items: dict[str, list[Annotation]] = {}
    for name, own in labels.items():
        for item, label in own.items():
            items.setdefault(item, []).append(_annotation(item, name, label))
    evidence = Evidence(task, "", items, {name: name for name in labels})
    votes = vote_table(evidence)
    if isinstance(task, Measured):
        found = overlap_agreement(evidence.aligned_labels(), votes, task).overlap
        return found or Estimate(None, why="the task has no overlap")
    values = task.values()
    declared = values is not None
    values = tuple(sorted(votes["value"].unique())) if values is None else values
    return agreement(votes, values, level=task.level, declared=declared).alpha


def _annotation(item: str, name: str, label: Label) -> Annotation:
    from prelabel.records import Annotation

    return Annotation(item, "", name, "", "labeled", label)


def _disputed(stored: Stored, words: Iterable[Decision]) -> tuple[Disputed, ...]:
    """Return the hidden gold that people differ from, those first that most agree on.

    Who accepted a planted suggestion says nothing of gold.
    """
    by_item: dict[str, list[Decision]] = {}
    for one in words:
        if one.trial in HIDDEN and (one.item_id, one.item_hash) in stored.gold:
            by_item.setdefault(one.item_id, []).append(one)
    found = []
    for item, own in by_item.items():
        groups: list[tuple[Label, list[str]]] = []
        for one in own:
            misled = (
                one.trial == "planted" and one.arm == "suggested" and _accepts(one, stored.task)
            )
            if misled or is_right(one, stored.gold, stored.task):
                continue
            same = next((g for g in groups if agree(g[0], one.label, stored.task)), None)
            if same:
                same[1].append(one.author)
            else:
                groups.append((one.label, [one.author]))
        if groups:
            groups.sort(key=lambda group: -len(group[1]))
            said = tuple((label, tuple(names)) for label, names in groups)
            gold = stored.gold[item, own[0].item_hash]
            found.append(Disputed(item, gold, said, len(own)))
    return tuple(sorted(found, key=lambda one: (-len(one.said[0][1]), one.asked, one.item_id)))
