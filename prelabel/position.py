"""Position bias: how much the order in which two texts are shown decides which one is better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.records import Annotation

Verdicts = tuple[str, str]
"""What was said of a pair in its own order and then exchanged: ``A`` is what was shown first."""

SHOWN = ("A", "B", "tie")


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How one annotator's verdicts on ``n`` pairs hang on the order.

    ``flip_rate`` is the share of pairs whose two verdicts contradict each other. Of the ``flips``,
    ``first`` chose what was shown first both times, ``second`` what was shown second, and ``mixed``
    called it a tie in one order only. ``prefers_first`` is the share of ``first`` among the first
    two kinds: 0.5 without a preference; ``p_value`` is that of the two-sided sign test of it.
    """

    n: int
    flip_rate: Estimate
    flips: int
    first: int
    second: int
    mixed: int
    prefers_first: Estimate
    p_value: float | None

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in words which way the flips go; empty where there are none."""
        if not self.flips:
            return ()
        said = (
            f"of {self.flips} contradictory pairs {self.first} chose what was shown first both "
            f"times, {self.second} what was shown second, {self.mixed} a tie in one order only"
        )
        if self.p_value is not None:
            said += f" (sign test of first against second: p = {self.p_value:.2g})"
        return (said,)


def position_bias(verdicts: Iterable[Sequence[str]]) -> PositionBias:
    """Return how much the order decides, from the two verdicts on each pair in shown terms.

    ``("A", "B")`` is consistent: the same text was chosen first and second. Intervals are Wilson's;
    the test is the exact binomial one. Raises ``InputError`` for what is not a pair of verdicts.
    """
    from scipy.stats import binomtest

    counts = Counter(_kind(number, pair) for number, pair in enumerate(verdicts, 1))
    first, second, mixed = (counts[kind] for kind in ("first", "second", "mixed"))
    flips, n, decided = first + second + mixed, counts.total(), first + second
    return PositionBias(
        n=n,
        flip_rate=wilson(flips, n, undefined="no pair has verdicts in both orders"),
        flips=flips,
        first=first,
        second=second,
        mixed=mixed,
        prefers_first=wilson(first, decided, undefined="no flip is for one position"),
        p_value=float(binomtest(first, decided, 0.5).pvalue) if decided else None,
    )


def shown_verdicts(annotations: Iterable[Annotation]) -> list[Verdicts]:
    """Return both verdicts of each annotation that has them, contradictory ones included."""
    pairs = (tuple(annotation.extras.get("views", ())) for annotation in annotations)
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2 and set(pair) <= set(SHOWN)]


def _kind(number: int, pair: Sequence[str]) -> str:
    if len(pair) != 2 or not set(pair) <= set(SHOWN):
        raise InputError(
            f"verdicts {number}: {pair!r} are not two of {', '.join(SHOWN)}; give what was said "
            "of the pair in either order"
        )
    if pair[0] == pair[1]:
        return {"A": "first", "B": "second", "tie": "same"}[pair[0]]
    return "mixed" if "tie" in pair else "same"
