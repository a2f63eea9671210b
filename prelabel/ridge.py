"""Logistic regression with a penalty of its own for each coefficient, by Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.estimate import FloatArray

LEAST_PENALTY = 1e-3
"""Where a column may go unpunished, two that say the same must still have one answer."""

_STEPS = 50
_DONE = 1e-8


def fit_ridge(columns: FloatArray, target: FloatArray, penalty: FloatArray) -> FloatArray:
    """Return the coefficients that minimise log-loss and ``penalty @ coefficients**2 / 2``.

    ``columns`` is items x columns, a column of ones for the intercept among them; ``target`` are
    probabilities. Newton's steps are halved until the loss falls, so that it always converges.
    """
    punished = np.maximum(penalty, LEAST_PENALTY)
    found = np.zeros(columns.shape[1])
    loss = _loss(columns, target, punished, found)
    for _ in range(_STEPS):
        p = expit(columns @ found)
        slope = columns.T @ (p - target) + punished * found
        curve = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(punished)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while (new := _loss(columns, target, punished, found - size * step)) > loss and size > 1e-6:
            size /= 2
        found, before, loss = found - size * step, loss, min(new, loss)
        if before - loss < _DONE:
            break
    return found


def smoothed(right: NDArray[np.bool_]) -> FloatArray:
    """Return Platt's targets: ``(n+ + 1) / (n+ + 2)`` and ``1 / (n- + 2)`` (Platt 1999)."""
    yes = int(right.sum())
    no = len(right) - yes
    return np.where(right, (yes + 1) / (yes + 2), 1 / (no + 2))


def _loss(columns: FloatArray, target: FloatArray, penalty: FloatArray, at: FloatArray) -> float:
    scores = columns @ at
    return float(np.logaddexp(0, scores).sum() - target @ scores + penalty @ at**2 / 2)
