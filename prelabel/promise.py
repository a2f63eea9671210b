"""What is promised of the labels that are accepted without a person, and what is not.

Three promises, never to be mixed up: *selective* (few of the accepted labels are wrong), *dataset*
(few of all labels are wrong and accepted), *expected* (few of the accepted are wrong on average).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Kind = Literal["selective", "dataset", "expected"]
KINDS: tuple[Kind, ...] = get_args(Kind)

NOTHING_ACCEPTED = "nothing is accepted"
NO_SCORES = "no item has a score"
NONE_LEFT = "every item has gold, and none is left to accept"
_LIMITS = (
    "This is said of all accepted labels together, not of each one or of a part of them, and only "
    "of items that gold was drawn from."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One test: the items at or above ``threshold``, which are ``coverage`` of the pool.

    Of the gold items there, ``tested`` in number, ``wrong`` are wrong.
    """

    threshold: float
    coverage: float
    tested: int
    wrong: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise about the labels whose score is ``threshold`` or more, or why there is none.

    ``threshold`` is None where it is refused; then ``why`` says the reason, ``possible`` is the
    lowest target that this gold could have shown, over the ``possible_coverage`` share of items
    with the highest scores, and ``needed`` how many gold items in all would do (None: no number
    would, if errors stay as they were seen). ``gold`` items were used, of which ``tested`` would be
    accepted and ``wrong`` of these are wrong. ``delta`` is None for the expected promise, which has
    no probability. ``coverage`` is the share of the pool that is accepted (dataset: of gold, until
    `over` a pool). ``steps`` are the tests in order, the last one failed or at coverage 1.
    """

    kind: Kind
    target: float
    delta: float | None
    threshold: float | None
    gold: int
    tested: int
    wrong: int
    coverage: Estimate
    p_value: float | None = None
    steps: tuple[Step, ...] = ()
    needed: int | None = None
    possible: float | None = None
    possible_coverage: float | None = None
    why: str = ""
    notes: tuple[str, ...] = field(default=())

    def accepts(self, score: float | None) -> bool:
        """Return whether an item with this score is accepted; never one without a score."""
        if self.threshold is None or score is None:
            return False
        return score >= self.threshold

    def over(self, pool: ArrayLike) -> Promise:
        """Return it with the coverage of a pool, given by its items' scores."""
        return replace(self, coverage=covered(pool, self.threshold))

    def noted(self, *notes: str) -> Promise:
        """Return it with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def sentence(self) -> str:
        """Return in plain words what is promised and what is not."""
        if self.threshold is None:
            return self._refusal()
        found = f"{self.wrong} of the {self.tested} gold items that it would accept are wrong"
        share = f"{self.coverage.value or 0:.0%} of the items are accepted"
        return f"{self._promised(self.target)}: {found}, and {share}. {_BEYOND[self.kind]}{_LIMITS}"

    def _promised(self, target: float, among: str = "the accepted labels") -> str:
        if self.delta is None:
            return f"On average at most {percent(target)} of {among} are wrong"
        surely = f"With probability {percent(1 - self.delta)}"
        if self.kind == "dataset":
            return f"{surely} wrong accepted labels are at most {percent(target)} of all items"
        return f"{surely} at most {percent(target)} of {among} are wrong"

    def _refusal(self) -> str:
        said = f"Nothing is accepted: {self.why}."
        if self.possible is not None:
            said += f" {self._possible(self.possible)}."
        if self.needed is None:
            if self.why in (NO_SCORES, NONE_LEFT):
                return said
            return f"{said} More gold alone would not do, if errors stay as they were seen."
        if self.needed <= self.gold:
            return f"{said} How much gold would do cannot be told from so few wrong ones."
        return (
            f"{said} Were errors exactly as seen, about {self.needed:,} gold items in all "
            f"({self.needed - self.gold:,} more) would do; `prelabel forecast` says how likely."
        )

    def _possible(self, target: float) -> str:
        share = f"{self.possible_coverage or 1:.0%}"
        if self.kind == "expected":
            would = f"would have accepted {share} of the items"
            return f"A target of {percent(target)}, had it been set before, {would}"
        among = "the labels" if share == "100%" else f"the {share} of labels with the best scores"
        return f"What this gold can show: {_lower_first(self._promised(target, among))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {
            "steps": [asdict(step) for step in self.steps],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Promise:
        """Return what `to_dict` wrote. Raises InputError where it is not that."""
        try:
            found = cls(
                **dict(data)
                | {
                    "coverage": Estimate(**data["coverage"]),
                    "steps": tuple(Step(**step) for step in data["steps"]),
                    "notes": tuple(data["notes"]),
                }
            )
            sound = found.kind in KINDS and (
                found.threshold is None or isfinite(float(found.threshold))
            )
        except (TypeError, KeyError, ValueError, AttributeError):
            sound = False
        if not sound:
            raise InputError("promise: not as it was written; fit the rule again")
        return found


_BEYOND: dict[Kind, str] = {
    "selective": "",
    "dataset": "Among the accepted labels alone the share may be higher. ",
    "expected": (
        "That is the mean over draws of gold; with the gold at hand it can be more, so this is "
        "weaker than a promise with a probability. "
    ),
}


def covered(pool: ArrayLike, threshold: float | None) -> Estimate:
    """Return the share of the pool at or above a threshold, with the interval for new items."""
    scores = np.asarray(pool, dtype=np.float64)
    if threshold is None:
        return Estimate(0.0 if scores.size else None, n=scores.size, why=NOTHING_ACCEPTED)
    return wilson(int((scores >= threshold).sum()), scores.size, undefined="the pool is empty")


def percent(share: float) -> str:
    """Return a share in percent with three digits at most."""
    return f"{100 * share:.3g}%"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
