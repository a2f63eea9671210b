"""Whether an annotator is good enough: the rule by which a test on gold decides, on plain numbers.

An annotator qualifies where the exact lower bound of its accuracy reaches the threshold. Each test
has a level of its own, and those of all tests up to the one that is passed add up to 5% at most:
who is no better than the threshold passes with no more than that probability, however often.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

from prelabel.audits import clopper_pearson
from prelabel.errors import InputError
from prelabel.estimate import Estimate

LEVEL = 0.05
"""The chance that somebody at the threshold or below ever passes, however many tests are taken."""

MOST_NEEDED = 1_000_000


def level_of(attempt: int) -> float:
    """Return the level of a test: 0.05 / (k (k + 1)) for the k-th, which add up to 0.05.

    That of the first is 0.025, so that its bound is the lower end of a 95% interval.
    """
    return LEVEL / (attempt * (attempt + 1))


def measured(right: int, n: int, attempt: int) -> Estimate:
    """Return the accuracy in a test with Clopper and Pearson's interval at the test's level."""
    if not n:
        return Estimate(None, why="no item was asked")
    low, high = clopper_pearson(right, n, 1 - 2 * level_of(attempt))
    return Estimate(right / n, low, high, n)


def passes(right: int, n: int, attempt: int, threshold: float) -> bool:
    """Say whether a test is passed: the interval's lower end decides, not the share seen."""
    return (measured(right, n, attempt).low or 0.0) >= threshold


def fewest(threshold: float, attempt: int) -> int:
    """Return the items of the smallest test that can be passed at all: with every item right.

    ``n`` of ``n`` right have the lower bound level^(1/n).
    """
    n = max(1, ceil(log(level_of(attempt)) / log(threshold)) - 1)
    while not passes(n, n, attempt, threshold):
        n += 1
    return n


def needed(share: float, threshold: float, attempt: int) -> int | None:
    """Return the items of a test that would be passed with this share right; None if none would."""
    if share <= threshold:
        return None
    if share >= 1:
        return fewest(threshold, attempt)
    low, high = 0, 1
    while clopper_pearson(share * high, high, 1 - 2 * level_of(attempt))[0] < threshold:
        low, high = high, high * 2
        if high > MOST_NEEDED:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        bound = clopper_pearson(share * middle, middle, 1 - 2 * level_of(attempt))[0]
        low, high = (low, middle) if bound >= threshold else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a test says: ``needed`` is the size of the next test that the share seen would pass."""

    qualified: bool
    accuracy: Estimate
    reason: str
    needed: int | None


def decided(right: int, n: int, attempt: int, threshold: float) -> Verdict:
    """Return the verdict of the ``attempt``-th test since the last one passed, with its reason."""
    found = measured(right, n, attempt)
    share, low = found.value or 0.0, found.low or 0.0
    bound = f"{right} of {n} right is {share:.1%}, and at least {low:.1%} is shown"
    paid = f" (test {attempt}: {1 - level_of(attempt):.1%} sure)"
    if passes(right, n, attempt, threshold):
        return Verdict(True, found, f"{bound}, which reaches {threshold:g}{paid}", None)
    more = needed(share, threshold, attempt + 1)
    if share <= threshold:
        why = f"{bound}; not above {threshold:g}{paid}"
    else:
        why = f"{bound}, which does not reach {threshold:g}{paid}"
    tail = (
        f"; were this share the true one, a fresh test of {more} items would tell"
        if more
        else "; no more items would help: it must get better first"
    )
    return Verdict(False, found, why + tail, more)


def check_sizes(threshold: float, practice: int, test: int, attempt: int) -> None:
    """Raise ``InputError`` for settings under which nothing can be shown."""
    if not 0 < threshold < 1:
        raise InputError(f"qualify: threshold must be a share such as 0.85, got {threshold:g}")
    if practice < 1:
        raise InputError(f"qualify: practice must be 1 item or more, got {practice}")
    least = fewest(threshold, attempt)
    if test < least:
        raise InputError(
            f"qualify: a test of {test} items cannot show {threshold:g}, even with all right; "
            f"take --test {least} or more"
        )
