"""Evidence and gold -> how far confidences can be trusted, as they come and after calibration.

Confidences are what annotators say of themselves (label distributions, a verbalised confidence),
and of several annotators the share of the votes and the weight of the consensus. Calibration is
learned on four fifths of the gold items and judged on the rest, five times over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from prelabel.against_gold import CONSENSUS
from prelabel.calibration_scores import (
    Bin,
    ConfidenceScores,
    OrderScores,
    confidence_scores,
    log_loss_gain,
    order_scores,
    reliability,
)
from prelabel.calibrators import (
    FEW_GOLD,
    Params,
    cross_calibrated,
    fit_calibrator,
    fit_temperature,
    tempered,
)
from prelabel.choosing import Case, folds
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, wilson
from prelabel.votes import missing_gold
from prelabel.voting import Poll
from prelabel.weighing import AUTO, fit_weights, held_out

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from prelabel.project import Project
    from prelabel.records import Annotation, Gold, Value
    from prelabel.votes import Evidence

DISTRIBUTION = "label distribution"
VERBALISED = "verbalised"
OF_ITSELF = {"confidence": VERBALISED, "consistency": "self-consistency"}
"""Where an annotation's extras hold what the annotator said of itself, and what that is called."""

SHARE = "vote share"
FEWEST = 20
"""With fewer gold items even the share of right labels is hardly known."""


@dataclass(frozen=True)
class Calibration:
    """One kind of confidence against gold: as it comes, and calibrated on items held out.

    ``source`` is ``label distribution``, ``verbalised``, ``self-consistency``, ``vote share`` or
    ``weight of METHOD``.
    ``calibrator`` has the parameters fitted on all ``n`` items, for `calibrated` or, where its
    method is ``label-temperature``, for `tempered`. ``gain`` is the log-loss that calibration saves
    an item, held out. ``order`` is of the confidence as it comes: calibration keeps the order (of
    whole label distributions nearly), and held-out figures of several folds would hide that.
    """

    annotator: str
    source: str
    n: int
    accuracy: Estimate
    raw: ConfidenceScores
    calibrated: ConfidenceScores
    gain: Estimate
    order: OrderScores
    reliability: tuple[Bin, ...]
    calibrator: Params = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The annotator and the source."""
        return f"{self.annotator}: {self.source}"


@dataclass(frozen=True)
class CalibrationReport:
    """All kinds of confidence in a project; ``notes`` say what was left out."""

    confidences: tuple[Calibration, ...]
    gold: int
    split: str | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


class Said(NamedTuple):
    """A confidence in the label of one gold item, and whether the label was right.

    ``belief``, ``given`` and ``truth`` are the whole label distribution over a single choice, its
    label and the true one, where there is such a distribution.
    """

    item: str
    confidence: float
    right: bool
    belief: dict[Value, float] | None = None
    given: Value = ""
    truth: Value = ""


def calibration(
    project: Project, annotators: Sequence[str] = (), *, split: str | None = None, seed: int = 0
) -> CalibrationReport:
    """Judge the confidences of annotators and of their consensus against gold, and calibrate them.

    ``split`` names a part of the gold; by default ``test`` if there is one, else all. Items that an
    annotator's prompts used as examples don't count for it. Raises InputError without gold.
    """
    from prelabel.api import evidence_of

    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to calibrate on; name a file under `gold:` in prelabel.yaml")
    return calibrations_of(evidence_of(project, annotators), gold, seed=seed)


def calibrations_of(
    evidence: Evidence, gold: Sequence[Gold], *, seed: int = 0
) -> CalibrationReport:
    """Judge and calibrate all kinds of confidence in some evidence against gold."""
    said, silent = _said(evidence, gold)
    used = {g.split for g in gold}
    return CalibrationReport(
        tuple(_calibration(name, source, rows, seed) for (name, source), rows in said.items()),
        len(gold),
        used.pop() or None if len(used) == 1 else None,
        (*evidence.notes, *missing_gold(evidence, gold), *silent),
    )


def calibration_of(table: pd.DataFrame, *, seed: int = 0) -> list[Calibration]:
    """Judge and calibrate confidences from a table, by annotator in the order of their names.

    Columns are item, annotator, confidence (0 to 1) and right (whether the label was right), and,
    if there are several kinds of confidence, source. Rows without a confidence are left out. Raises
    InputError for a missing column, a confidence beyond 0 and 1, and an item that occurs twice.
    """
    for column in ("item", "annotator", "confidence", "right"):
        if column not in table:
            raise InputError(
                f"calibration: no column {column!r}; it has {', '.join(map(str, table.columns))}"
            )
    known = table[table["confidence"].notna()]
    if "source" not in known:
        known = known.assign(source=VERBALISED)
    found = []
    for (name, source), rows in known.groupby(["annotator", "source"], sort=True):
        for item in rows.loc[rows["item"].duplicated(), "item"][:1]:
            raise InputError(f"calibration: {name!r} has item {item!r} twice; keep one row of it")
        columns = (rows[column].tolist() for column in ("item", "confidence", "right"))
        said = [Said(str(item), float(p), bool(ok)) for item, p, ok in zip(*columns, strict=True)]
        found.append(_calibration(str(name), str(source), said, seed))
    return found


def _said(
    evidence: Evidence, gold: Sequence[Gold]
) -> tuple[dict[tuple[str, str], list[Said]], tuple[str, ...]]:
    """Return the confidences by annotator and source, and notes on annotators without any."""
    shown = {evidence.names[key]: items for key, items in evidence.shown().items()}
    found: dict[tuple[str, str], list[Said]] = {}
    for identifier, name in evidence.names.items():
        for g in gold:
            if g.item_id in shown.get(name, ()):
                continue
            for a in evidence.items.get(g.item_id, ()):
                if a.annotator == identifier and a.outcome == "labeled":
                    for source, one in _of_annotation(a, g, evidence):
                        found.setdefault((name, source), []).append(one)
    silent = [name for name in evidence.names.values() if not any(n == name for n, _ in found)]
    notes = (f"no self-confidence on gold items: {', '.join(silent)}",) if silent else ()
    if len(evidence.names) > 1:
        found |= _of_consensus(evidence, gold, set().union(*shown.values()))
    return found, notes


def _of_annotation(a: Annotation, gold: Gold, evidence: Evidence) -> Iterable[tuple[str, Said]]:
    """Yield what an annotation says of its own label, by source; of several units the least."""
    task = evidence.task
    right = task.right(gold.label, a.label)
    votes = task.votes(a.label)
    rows = a.distribution or {}
    if votes and all(votes[unit] in rows.get(unit, ()) for unit in votes):
        least = min(rows[unit][value] for unit, value in votes.items())
        one = Said(a.item_id, min(least, 1.0), right)
        if list(votes) == [""]:
            truth = task.votes(gold.label)[""]
            one = one._replace(belief=dict(rows[""]), given=votes[""], truth=truth)
        yield DISTRIBUTION, one
    for kind, source in OF_ITSELF.items():
        own = a.extras.get(kind)
        if isinstance(own, int | float) and 0 <= own <= 1:
            yield source, Said(a.item_id, float(own), right)


def _of_consensus(
    evidence: Evidence, gold: Sequence[Gold], shown: set[str]
) -> dict[tuple[str, str], list[Said]]:
    """Return the share of the votes, and the weights of the best aggregator, both held out."""
    kept = [g for g in gold if g.item_id not in shown]
    truths = {g.item_id: g.label for g in kept}
    found: dict[tuple[str, str], list[Said]] = {}
    for method in ("majority", AUTO):
        choice = fit_weights(evidence, kept, method)
        source = SHARE if method == "majority" else f"weight of {choice.method}"
        for item, (consensus, weights) in held_out(
            evidence, kept, choice.params, list(evidence.names)
        ).items():
            if consensus.label is None or consensus.agreement is None:
                continue
            sure = min((max(row.values()) for row in weights.values() if row), default=1.0)
            p = consensus.agreement if method == "majority" else min(sure, 1.0)
            right = evidence.task.right(truths[item], consensus.label)
            found.setdefault((CONSENSUS, source), []).append(Said(item, p, right))
    return found


def _calibration(name: str, source: str, said: Sequence[Said], seed: int) -> Calibration:
    said = sorted(said, key=lambda one: one.item)
    p = np.array([one.confidence for one in said], dtype=np.float64)
    right = np.array([one.right for one in said], dtype=bool)
    # folds with about the same share of right labels each, whatever the order of items
    fold = folds(Case(one.item, "", Poll({}), one.right) for one in said)
    parts = np.array([fold[one.item] for one in said], dtype=np.int64)
    if _wholly(said) and len(said) < FEW_GOLD:
        calibrator, after = _by_label(said, parts)
    else:
        calibrator, after = fit_calibrator(p, right), cross_calibrated(p, right, parts)
    return Calibration(
        annotator=name,
        source=source,
        n=len(said),
        accuracy=wilson(int(right.sum()), len(right)),
        raw=confidence_scores(p, right, seed=seed),
        calibrated=confidence_scores(after, right, seed=seed),
        gain=log_loss_gain(p, after, right),
        order=order_scores(p, right, seed=seed),
        reliability=reliability(p, right, calibrated=after),
        calibrator=calibrator,
        notes=tuple(_notes(p, right, calibrator)),
    )


def _wholly(said: Sequence[Said]) -> bool:
    """Say whether all have a distribution in which the true value, and it alone, is right."""
    return all(one.belief and one.right == (one.given == one.truth) for one in said)


def _by_label(said: Sequence[Said], parts: NDArray[np.int64]) -> tuple[Params, FloatArray]:
    """Calibrate whole label distributions; return the parameters, and confidences held out."""

    def fit(rows: Sequence[Said]) -> Params:
        return fit_temperature([one.belief or {} for one in rows], [one.truth for one in rows])

    after = np.empty(len(said))
    for part in np.unique(parts):
        params = fit([one for one, at in zip(said, parts, strict=True) if at != part])
        for at in np.flatnonzero(parts == part).tolist():
            after[at] = tempered(params, said[at].belief or {})[said[at].given]
    return fit(said), np.minimum(after, 1.0)


def _notes(p: FloatArray, right: NDArray[np.bool_], calibrator: Params) -> Iterable[str]:
    if len(p) < FEWEST:
        yield f"{len(p)} gold items only: to calibrate takes {FEWEST}, better {FEW_GOLD}"
    if right.all() or not right.any():
        which = "right" if right.all() else "wrong"
        yield f"all {len(p)} labels are {which}: there is nothing to tell apart"
    elif np.ptp(p) == 0:
        yield "it is the same for all items: it tells nothing apart"
    elif calibrator["slope"] == 0:
        yield "labels are not right more often where it is high: calibrated, it is the same for all"
