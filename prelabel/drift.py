"""Whether the error of accepted labels keeps its promise, told audit by audit, at any time.

An e-process is a bet against a hypothesis: if the hypothesis holds, its capital ever reaches c with
probability 1 / c at most (Ville 1939), so that one may look after every audit and stop at will. All
is kept as logarithms: after a few thousand audits the capital is beyond any float.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, log, log1p
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy.special import betainc, betaln

from prelabel.errors import InputError
from prelabel.estimate import FloatArray

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_TINY = -600.0  # the logarithm from which on scipy's incomplete beta nears underflow
_LARGEST = 700.0  # of what exp can take


class Prior(NamedTuple):
    """A beta distribution, cut to the error rates of which it bets that one is the true one."""

    a: float
    b: float


AGAINST = Prior(1.0, 9.0)
FOR = Prior(0.5, 10.0)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a monitor made of a stream of audits.

    ``evidence`` is the capital of the bet that the error is above ``target``, ``change`` that of
    the bet that it lately rose to twice that, ``certainty`` that of the bet that it is below.
    ``alarm`` is the number of the audit, from 1, at which one of the first two reached its
    threshold, ``by`` which; ``certified`` the audit at which the third did. None: not yet.
    """

    target: float
    audits: int
    wrong: int
    evidence: float
    change: float
    certainty: float
    alarm: int | None = None
    by: Literal["evidence", "change"] | None = None
    certified: int | None = None

    @property
    def reason(self) -> str | None:
        """Why accepting should stop; None where it need not."""
        if self.alarm is None:
            return None
        rose = "has risen above" if self.by == "change" else "is above"
        return (
            f"the error of accepted labels {rose} the promised {self.target:g}: alarm at audit "
            f"{self.alarm} ({self.wrong} of {self.audits} audited are wrong)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"reason": self.reason}


@dataclass(frozen=True, slots=True)
class Monitor:
    """Watches the outcomes of audits, in the order of time, for an error above ``target``.

    If the error is never above ``target``, the evidence ever raises a false alarm with probability
    ``delta`` at most; the change detector raises one every ``every`` audits on average at most.
    ``risk`` is the probability of certifying an error that is not below the target. The audited
    items must be a random part of those accepted, each equally likely. Raises ``InputError`` for
    settings that make no sense.
    """

    target: float
    delta: float = 0.05
    every: float = 1000
    risk: float = 0.1

    def __post_init__(self) -> None:
        for name in ("target", "delta", "risk"):
            if not 0 < getattr(self, name) < 1:
                value = getattr(self, name)
                raise InputError(f"{name} must be above 0 and below 1, such as 0.05; got {value}")
        if not self.every > 1:
            raise InputError(f"every must be above 1 audit, such as 1000; got {self.every}")

    def watch(self, outcomes: Sequence[bool]) -> Watched:
        """Return what the outcomes so far say; ``outcomes[i]`` is whether audit i found an error.

        An alarm stays: what comes later does not take it back.
        """
        errors = np.asarray(outcomes, dtype=np.float64)
        t = np.arange(1, len(errors) + 1, dtype=np.float64)
        k = np.cumsum(errors)
        evidence = log_evidence_above(k, t, self.target)
        change = log_cusum(errors, self.target)
        certainty = log_evidence_below(k, t, self.target)
        found: dict[str, int | None] = {
            "evidence": _first(evidence >= -log(self.delta)),
            "change": _first(change >= log(self.every)),
        }
        at = {name: first for name, first in found.items() if first is not None}
        by: Any = min(at, key=at.__getitem__) if at else None
        return Watched(
            self.target,
            len(errors),
            int(errors.sum()),
            _last(evidence),
            _last(change),
            _last(certainty),
            at[by] if by else None,
            by,
            _first(certainty >= -log(self.risk)),
        )


def log_evidence_above(
    k: ArrayLike, t: ArrayLike, target: float, prior: Prior = AGAINST
) -> FloatArray:
    """Return the logarithm of the e-value against an error of ``target`` or less.

    ``k`` of ``t`` audits found an error. It is the likelihood ratio to ``target`` of a beta mixture
    over the errors above it (Ville 1939; Robbins 1970), in closed form.
    """
    return _log_mixture(k, t, target, prior, above=True)


def log_evidence_below(k: ArrayLike, t: ArrayLike, target: float, prior: Prior = FOR) -> FloatArray:
    """Return the logarithm of the e-value against an error of ``target`` or more, as above."""
    return _log_mixture(k, t, target, prior, above=False)


def log_cusum(errors: ArrayLike, target: float) -> FloatArray:
    """Return the logarithm of the e-CUSUM after each audit: of a rise from ``target`` to twice it.

    M_t = max(M_{t-1}, 1) LR_t; the first M_t >= c comes after c audits or more on average while
    the error is ``target`` or less (Shin, Ramdas and Rinaldo 2022, arXiv 2203.03532). A target
    above 1/2 has no double: there it is a rise half the way to 1.
    """
    errors = np.asarray(errors, dtype=np.float64)
    raised = min(2 * target, (1 + target) / 2)
    steps = errors * log(raised / target) + (1 - errors) * (log1p(-raised) - log1p(-target))
    sums = np.concatenate([[0.0], np.cumsum(steps)])
    above = sums - np.minimum.accumulate(sums)  # the logarithm of max(M, 1)
    return above[:-1] + steps


def _log_mixture(
    k: ArrayLike, t: ArrayLike, target: float, prior: Prior, *, above: bool
) -> FloatArray:
    k, t = np.asarray(k, dtype=np.float64), np.asarray(t, dtype=np.float64)
    a, b = prior

    def mass(a: ArrayLike, b: ArrayLike) -> FloatArray:
        inside = log_betainc(b, a, 1 - target) if above else log_betainc(a, b, target)
        return np.asarray(betaln(a, b) + inside)

    at_target = k * log(target) + (t - k) * log1p(-target)
    return np.asarray(mass(a + k, b + t - k) - mass(a, b) - at_target)


def log_betainc(a: ArrayLike, b: ArrayLike, x: float) -> FloatArray:
    """Return the logarithm of the regularised incomplete beta function, without underflow.

    Where scipy's value is near 0, x is far below the mean a / (a + b), and the hypergeometric
    series I_x(a, b) = x^a (1 - x)^b / (a B(a, b)) sum_n (a + b)_n / (a + 1)_n x^n has falling
    positive terms (Abramowitz and Stegun 1964, 26.5.4).
    """
    wide = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    a, b = (np.atleast_1d(side) for side in wide)
    with np.errstate(divide="ignore", under="ignore"):
        found = np.asarray(np.log(betainc(a, b, x)))
    small = found < _TINY
    if small.any():
        p, q = a[small], b[small]
        front = p * log(x) + q * log1p(-x) - np.log(p) - betaln(p, q)
        found[small] = front + np.log(_series(p, q, x))
    return found.reshape(wide[0].shape)


def _series(a: FloatArray, b: FloatArray, x: float) -> FloatArray:
    term = np.ones_like(a)
    total = np.ones_like(a)
    n = 0
    while float((term / total).max()) > 1e-17:
        term = term * ((a + b + n) / (a + 1 + n) * x)
        total += term
        n += 1
    return total


def _first(reached: Any) -> int | None:
    return int(np.argmax(reached)) + 1 if reached.any() else None


def _last(logs: FloatArray) -> float:
    """Return the present capital; the largest that a float holds where it is more."""
    return exp(min(float(logs[-1]), _LARGEST)) if len(logs) else 1.0
