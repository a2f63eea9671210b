"""The same statistics for notebooks: plain functions on a DataFrame with a row a label.

``labels`` has the columns ``item``, ``annotator`` and ``label``, and if they are known also
``outcome`` (``labeled``, ``abstained`` or ``failed``; the label of the last two is not read),
``confidence`` (what the annotator says of its own label, 0 to 1), ``cost`` (dollars) and
``seconds``. A row without a label or an outcome is no annotation. ``gold`` has ``item`` and
``label``.

``among`` declares what labels there are: a list of names, or a guideline (a file, its content as a
mapping, a `Guideline`), which any type of labeling can have. Without it a label is one of those
that occur, or, where the cells are lists, a set of these. Every function raises ``InputError`` for
a missing column, a label that is not among these, and an item that an annotator has twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from prelabel.errors import InputError
from prelabel.guideline import Guideline, load_guideline
from prelabel.records import Annotation, Gold, Item, Usage
from prelabel.tasks import OffListError, make_task
from prelabel.votes import Evidence

if TYPE_CHECKING:
    from prelabel.against_gold import ScoreReport
    from prelabel.alternatives import AltTest, Cost
    from prelabel.calibrating import CalibrationReport
    from prelabel.choosing import Choice
    from prelabel.comparing import Compared
    from prelabel.error_correlation import ErrorCorrelation
    from prelabel.human_ceiling import Against, Ceiling, Similarity
    from prelabel.reliability import Agreement
    from prelabel.shift import Shift
    from prelabel.slices import SliceScore
    from prelabel.tasks import Task

    Among = Sequence[str] | Mapping[str, Any] | Guideline | str | Path | None

__all__ = [
    "aggregate",
    "agreement",
    "alt_test",
    "calibration",
    "ceiling",
    "choose",
    "compare",
    "errors",
    "gold_audit",
    "score",
    "shift",
    "slices",
]

NEEDED = ("item", "annotator", "label")
OUTCOMES = ("labeled", "abstained", "failed")


def score(
    labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None, *, seed: int = 0
) -> ScoreReport:
    """Score each annotator and their consensus against gold; see `prelabel.score`."""
    from prelabel.against_gold import score_all
    from prelabel.settings import DecideConfig

    evidence, truth = _both(labels, gold, among)
    return score_all(evidence, truth, DecideConfig(), seed)


def slices(
    labels: pd.DataFrame,
    gold: pd.DataFrame,
    by: pd.DataFrame,
    among: Among = None,
    *,
    seed: int = 0,
) -> tuple[SliceScore, ...]:
    """Score each annotator on parts of the gold: ``by`` has ``item`` and the columns to cut by."""
    from prelabel.behind_scores import judge
    from prelabel.slices import cuts_of, main_figure, slice_scores

    evidence, truth = _both(labels, gold, among)
    known = {g.item_id: g.label for g in truth}
    columns = [str(name) for name in _with(by, ("item",), "by").columns if name != "item"]
    rows = [{str(name): cell for name, cell in row.items()} for row in by.to_dict("records")]
    items = [Item(str(row.pop("item")), {}, row) for row in rows]
    judged = judge(evidence.labels(), known, {}, evidence.task)
    figure = main_figure(evidence.task, seed)[1]
    return slice_scores(judged, cuts_of(items, known, columns), figure)


def shift(
    labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None, *, seed: int = 0
) -> list[Shift]:
    """Say of each annotator whether gold has other labels than all other items, the pool."""
    from prelabel.shift import shifts

    evidence, truth = _both(labels, gold, among)
    known = {g.item_id: g.label for g in truth}
    return shifts(evidence.labels(), known, {}, evidence.task, seed)


def agreement(
    labels: pd.DataFrame,
    among: Among = None,
    *,
    clusters: Mapping[str, Hashable] | None = None,
    seed: int = 0,
) -> Agreement:
    """Measure how far annotators agree with each other; see `prelabel.agreement`.

    ``clusters`` maps items to what they share, such as their document. AC1 and Brennan-Prediger
    depend on how many labels there are, and are defined only where ``among`` declares them.
    """
    from prelabel.overlaps import agreement_of

    evidence = _evidence(labels, _task(among, labels))
    declared = among is not None
    return agreement_of(evidence, clusters=clusters, declared=declared, seed=seed)


def compare(
    labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None, **settings: Any
) -> Compared:
    """Say which annotators are better, and which the gold cannot tell apart.

    ``settings`` are those of `prelabel.comparing.compare_answers`, such as ``baseline``.
    """
    from prelabel.answer_sheet import answers_of_labels
    from prelabel.comparing import compare_answers
    from prelabel.votes import outcome_table

    evidence, truth = _both(labels, gold, among)
    known = {g.item_id: g.label for g in truth}
    outcomes = outcome_table(evidence)
    answers = answers_of_labels(evidence.labels(), outcomes, known, evidence.task)
    return compare_answers(answers, **settings)


def alt_test(
    labels: pd.DataFrame,
    llm: str,
    people: Sequence[str],
    among: Among = None,
    *,
    epsilon: float | Cost,
    similarity: Similarity | str | None = None,
    seed: int = 0,
) -> AltTest:
    """Test whether ``llm`` may stand in for ``people``; see `prelabel.alt_test`."""
    from prelabel.alternatives import alt_test_of, epsilon_of, nearness_of

    evidence = _evidence(labels, _task(among, labels))
    name, alike = nearness_of(evidence.task, similarity)
    given = _named(evidence, [llm, *people])
    return alt_test_of(
        {person: given[person] for person in people},
        llm,
        given[llm],
        epsilon_of(epsilon),
        alike,
        measure=name,
        seed=seed,
    )


def ceiling(
    labels: pd.DataFrame,
    people: Sequence[str],
    among: Among = None,
    *,
    similarity: Similarity | str | None = None,
    against: Against | None = None,
    seed: int = 0,
) -> Ceiling:
    """Measure how well people score against each other, and all other annotators beside them."""
    from prelabel.human_ceiling import USUAL, ceiling_of, similarity_of

    evidence = _evidence(labels, _task(among, labels))
    name, alike = similarity_of(evidence.task, similarity)
    given = _named(evidence, people)
    others = {who: own for who, own in given.items() if who not in people}
    chosen = against or USUAL.get(name, "others")
    own = {person: given[person] for person in people}
    return ceiling_of(own, others, alike, against=chosen, measure=name, seed=seed)


def errors(
    labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None, *, seed: int = 0
) -> ErrorCorrelation:
    """Say whether annotators err together, and how often what all of them say is wrong."""
    from prelabel.error_correlation import errors_of

    return errors_of(*_both(labels, gold, among), seed)


def choose(labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None) -> Choice:
    """Compare the ways to aggregate on gold items that they were not fitted on."""
    from prelabel.weighing import fit_weights

    return fit_weights(*_both(labels, gold, among))


def aggregate(
    labels: pd.DataFrame,
    gold: pd.DataFrame | None = None,
    among: Among = None,
    *,
    method: str | None = None,
) -> pd.DataFrame:
    """Return the consensus: item, label, agreement (share of votes), votes, tied.

    ``method`` is one of ``decide.aggregate`` in a project; by default a majority vote, the median
    of ratings, and with 50 gold items or more the best on gold. Gold itself is not put in; what is
    said of an item that was learned from cannot be scored by it: use `score`.
    """
    from prelabel.config import changed
    from prelabel.fitting import fit_rule
    from prelabel.settings import DecideConfig

    evidence, truth = _both(labels, gold, among)
    config = changed(DecideConfig(), {"aggregate": method} if method else {})
    rule = fit_rule(evidence, config, gold=truth)
    found = [rule.consensus(evidence.ballot(item), evidence.task) for item in evidence.items]
    return pd.DataFrame(
        [(one.item_id, one.label, one.agreement, one.votes, bool(one.tied)) for one in found],
        columns=["item", "label", "agreement", "votes", "tied"],
    )


def calibration(
    labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None, *, seed: int = 0
) -> CalibrationReport:
    """Judge annotators' ``confidence`` and the consensus' against gold, and calibrate them."""
    from prelabel.calibrating import calibrations_of

    evidence, truth = _both(labels, gold, among)
    return calibrations_of(evidence, truth, seed=seed)


def gold_audit(labels: pd.DataFrame, gold: pd.DataFrame, among: Among = None) -> pd.DataFrame:
    """Return the gold items, the most suspicious first.

    Columns are item, gold, alternative, suspicion, reasons. They are for people to label again
    blind, mixed with random others, and never to be flipped unseen.
    """
    from prelabel.auditing import rank_suspects

    evidence, truth = _both(labels, gold, among)
    found = rank_suspects(evidence, {g.item_id: g.label for g in truth})
    return pd.DataFrame(
        [(one.item, one.gold, one.alternative, one.suspicion, one.reasons) for one in found],
        columns=["item", "gold", "alternative", "suspicion", "reasons"],
    )


def _both(
    labels: pd.DataFrame, gold: pd.DataFrame | None, among: Among
) -> tuple[Evidence, list[Gold]]:
    if gold is None:
        return _evidence(labels, _task(among, labels)), []
    _with(gold, ("item", "label"), "gold")
    task = _task(among, labels, gold)
    known = gold[~gold["label"].map(_empty).astype(bool)]
    for item in known.loc[known["item"].duplicated(), "item"][:1]:
        raise InputError(f"gold: item {item!r} is there twice; keep one label of it")
    cells = zip(known["item"], known["label"], strict=True)
    truth = [Gold(str(item), _label(cell, task, "gold", item)) for item, cell in cells]
    return _evidence(labels, task), truth


def _task(among: Among, labels: pd.DataFrame, gold: pd.DataFrame | None = None) -> Task:
    """Return the task that the labels are of: as declared, else by what occurs."""
    if isinstance(among, str | Path):
        return make_task(load_guideline(among))
    if isinstance(among, Guideline):
        return make_task(among)
    if isinstance(among, Mapping):
        return make_task(_guideline({"name": "labels", **among}))
    cells = [cell for cell in _with(labels, NEEDED, "labels")["label"] if not _empty(cell)]
    cells += [cell for cell in gold["label"] if not _empty(cell)] if gold is not None else []
    several = any(isinstance(cell, list | tuple | set | frozenset) for cell in cells)
    names = among or {str(one) for cell in cells for one in (cell if several else [cell])}
    document = {
        "name": "labels",
        "task": "multi-label" if several else "classification",
        "labels": [{"name": str(name), "definition": str(name)} for name in _ordered(names, among)],
    }
    return make_task(_guideline(document))


def _guideline(document: Mapping[str, Any]) -> Guideline:
    from pydantic import ValidationError

    try:
        return Guideline.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise InputError(f"among: {where}: {first['msg']}; write it as in a guideline") from None


def _ordered(names: Any, among: Among) -> list[str]:
    return list(names) if among else sorted(names)


def _evidence(labels: pd.DataFrame, task: Task) -> Evidence:
    rows = _with(labels, NEEDED, "labels")
    for item, name in rows.loc[rows.duplicated(["item", "annotator"]), NEEDED[:2]].to_numpy()[:1]:
        raise InputError(f"labels: item {item!r} has two rows of {name!r}; keep one")
    found: dict[str, list[Annotation]] = {str(item): [] for item in rows["item"].unique()}
    names = sorted({str(name) for name in rows["annotator"]})
    for row in rows.to_dict("records"):
        if made := _annotation({str(name): cell for name, cell in row.items()}, task):
            found[made.item_id].append(made)
    return Evidence(task, "", found, {name: name for name in names})


def _annotation(row: Mapping[str, Any], task: Task) -> Annotation | None:
    """Return the annotation that a row is; None where it says nothing."""
    outcome = row.get("outcome")
    if _empty(outcome):
        if _empty(row["label"]):
            return None
        outcome = "labeled"
    if outcome not in OUTCOMES:
        raise InputError(f"labels: outcome {outcome!r}; use one of: {', '.join(OUTCOMES)}")
    given = row["label"] if outcome == "labeled" else None
    sure, cost, seconds = (_number(row.get(name)) for name in ("confidence", "cost", "seconds"))
    return Annotation(
        str(row["item"]),
        "",
        str(row["annotator"]),
        "",
        outcome,
        None if given is None else _label(given, task, "labels", row["item"]),
        "unparsable" if outcome == "failed" else None,
        usage=Usage(calls=int(seconds is not None), cost=cost),
        latency=seconds or 0.0,
        extras={} if sure is None else {"confidence": sure},
    )


def _number(cell: Any) -> float | None:
    return None if _empty(cell) else float(cell)


def _label(cell: Any, task: Task, what: str, item: Any) -> Any:
    several = isinstance(cell, set | frozenset | tuple)
    raw = sorted(cell) if isinstance(cell, set | frozenset) else list(cell) if several else cell
    if task.name in ("classification", "multi-label") and not isinstance(raw, list):
        raw = str(raw)
    try:
        return task.match(raw)
    except OffListError as error:
        raise InputError(f"{what}: item {item!r}: {error}; declare it in `among`") from None


def _named(evidence: Evidence, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    given = evidence.labels()
    for name in wanted:
        if name not in given:
            there = ", ".join(given) or "none"
            raise InputError(f"labels: no annotator {name!r}; there are: {there}")
    return given


def _with(table: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    for column in columns:
        if column not in table:
            there = ", ".join(map(str, table.columns)) or "none"
            raise InputError(f"{what}: no column {column!r}; the columns are: {there}")
    return table


def _empty(cell: Any) -> bool:
    """Say whether a cell has nothing in it: None, not a number, an empty text."""
    return cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell) or cell == ""  # noqa: PLR0124
