"""What is found out about agreement: the whole, each label, each pair, what is confused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from prelabel.estimate import Estimate
from prelabel.records import Value


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two annotators on the ``n`` items that both labeled: percent agreement and Cohen's kappa.

    ``linear`` and ``quadratic`` are weighted kappa, of values in order; ``overlap`` is for labels
    that can agree in part, such as spans.
    """

    a: str
    b: str
    n: int
    percent: Estimate
    kappa: Estimate
    overlap: Estimate | None = None
    linear: Estimate | None = None
    quadratic: Estimate | None = None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two values that annotators gave to one item: in how many annotator pairs, and where.

    ``share`` is of all disagreeing pairs. For multi-label ``a`` is a label that one annotator
    gave and the other did not, and ``b`` is None. ``items`` holds up to five ids.
    """

    a: Value
    b: Value | None
    count: int
    share: float
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """One label as a yes/no question, or one level or field; ``share`` of the votes are not no.

    ``specific``: of the votes that a vote for this label is paired with, the share that are for it
    too (specific agreement, Fleiss 1981, ch. 13.1); ``ac1`` is Gwet's. Both hold where a label is
    rare and alpha does not; None for levels, fields and spans.
    """

    label: Value
    share: float
    alpha: Estimate
    percent: Estimate
    specific: Estimate | None = None
    ac1: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `agreement` finds. ``n_items`` counts the items with two votes or more.

    ``metric`` is the distance that alpha uses: the level, or "MASI" or "Jaccard" between label
    sets. ``labels`` is each label as a yes/no question (of a scale of numbers it is empty).
    ``pairs``, ``without`` and Conger's kappa are left out with more than 50 annotators.
    ``overlap`` is for labels that can agree in part, such as spans: the mean over pairs.

    ``coefficients`` are by name, alpha and percent among them (see `prelabel.chance`);
    ``without`` is alpha, or the mean overlap, as it is without each annotator; ``unitizing`` is
    alpha of where each label's spans begin and end. ``n_clusters`` is 0 where items are resampled.
    """

    n_items: int
    n_annotators: int
    metric: str
    alpha: Estimate
    percent: Estimate
    reading: str
    labels: tuple[LabelAgreement, ...] = ()
    pairs: tuple[PairAgreement, ...] = ()
    confused: tuple[ConfusedPair, ...] = ()
    notes: tuple[str, ...] = ()
    overlap: Estimate | None = None
    coefficients: Mapping[str, Estimate] = field(default_factory=dict)
    without: tuple[tuple[str, Estimate], ...] = ()
    unitizing: tuple[tuple[str, Estimate], ...] = ()
    n_clusters: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)
