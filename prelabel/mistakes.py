"""The list of mistakes: what annotators got wrong, those that they were surest of first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.records import Consensus, Distribution, Label
    from prelabel.tasks import Task

COLUMNS = (
    "item",
    "annotator",
    "gold",
    "given",
    "self_confidence",
    "same",
    "others",
    "consensus",
    "consensus_share",
    "rationale",
    "text",
)
"""Those of a table of mistakes."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A label that is not gold's.

    ``self_confidence`` is the probability that the annotator's own distribution gives its label
    (of several units the least), None where it has none. ``same`` of the ``others`` who labeled the
    item gave the same label. ``consensus`` is what the decision rule makes of the item, with the
    share of votes for it; both None where there is none.
    """

    item: str
    annotator: str
    gold: Label
    given: Label
    self_confidence: float | None
    same: int
    others: int
    consensus: Label
    consensus_share: float | None
    rationale: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def self_confidence(label: Label, distribution: Distribution | None, task: Task) -> float | None:
    """Return the probability that a distribution gives a label: of several units the least.

    Units that the distribution does not speak of do not count; None where it speaks of none.
    """
    given = [
        distribution[unit].get(value, 0.0)
        for unit, value in task.votes(label).items()
        if distribution and distribution.get(unit)
    ]
    return min(given, default=None)


def mistakes(
    judged: pd.DataFrame,
    same: Callable[[Label, Label], bool],
    *,
    confidence: Mapping[tuple[str, str], float | None] | None = None,
    rationale: Mapping[tuple[str, str], str] | None = None,
    consensus: Mapping[str, Consensus] | None = None,
    texts: Mapping[str, str] | None = None,
) -> list[Mistake]:
    """Return what was labeled wrong: the surest first, then those without a self-confidence.

    Among equally sure ones first what most others say, too. ``judged`` has a row a labeled gold
    item: item, annotator, gold, given (labels), right. ``same`` says whether two labels count as
    the same. ``confidence`` and ``rationale`` are by annotator and item, the rest by item.
    """
    confidence, rationale = confidence or {}, rationale or {}
    consensus, texts = consensus or {}, texts or {}
    given: dict[str, list[tuple[str, Label]]] = defaultdict(list)
    for item, name, label in _rows(judged, "item", "annotator", "given"):
        given[item].append((name, label))
    found = []
    wrong = judged[~judged["right"].astype(bool)]
    for item, name, gold, label in _rows(wrong, "item", "annotator", "gold", "given"):
        others = [other for who, other in given[item] if who != name]
        together = consensus.get(item)
        found.append(
            Mistake(
                item,
                name,
                gold,
                label,
                confidence.get((name, item)),
                sum(same(label, other) for other in others),
                len(others),
                together.label if together else None,
                together.agreement if together else None,
                rationale.get((name, item), ""),
                texts.get(item, ""),
            )
        )
    return sorted(found, key=_order)


def _order(one: Mistake) -> tuple[Any, ...]:
    sure = one.self_confidence
    return (sure is None, -(sure or 0.0), -one.same, one.others, one.item, one.annotator)


def _rows(table: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[column] for column in columns), strict=True)
