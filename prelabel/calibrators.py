"""Calibrators: how a score is turned into the probability of being right, learned on gold.

A score is anything from 0 to 1 that should be high where a label is right: what an annotator says
of itself, the share of votes, an aggregator's weight. What ``fit_…`` returns is plain JSON, and
with it a score gets the same confidence anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from prelabel.errors import InputError
from prelabel.ridge import fit_ridge, smoothed
from prelabel.voting import short_float

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from prelabel.estimate import FloatArray
    from prelabel.records import Value

Params = dict[str, Any]
Method = Literal["auto", "platt", "temperature"]
METHODS = ("auto", "platt", "temperature")

FEW_GOLD = 100
"""With fewer gold items one parameter is learned better than two."""

WORTH = 2.0
"""Nats that an intercept must gain on few gold items: more than chance gives 1 time in 20."""

LEAST, MOST = 1e-7, 0.25
"""Bounds of where scores of 0 and 1 are put: this far from the end."""

STEEPEST = 1e4
"""The largest slope of a label distribution's temperature."""


def fit_calibrator(scores: ArrayLike, right: ArrayLike, *, method: Method = "auto") -> Params:
    """Return the parameters of ``P(right) = sigmoid(slope * logit(score) + intercept)`` as JSON.

    ``scores`` are from 0 to 1, ``right`` says whether each label was right. ``platt`` learns slope
    and intercept, ``temperature`` the slope alone, which is 1 / T (Guo et al. 2017). Both aim
    at Platt's smoothed targets, ``(N+ + 1) / (N+ + 2)`` and ``1 / (N- + 2)`` (Platt 1999), so that
    nothing is ever certain. ``auto`` is Platt, and with fewer than 100 items temperature, unless an
    intercept is plainly needed. A slope is never negative: where low scores are right more often,
    all scores get the same confidence. Scores of 0 and 1 count as halfway between them and the most
    extreme other score. Raises InputError for scores beyond 0 and 1 and for unequal lengths.
    """
    p, hit = checked(scores, right)
    least = _least(p)
    params: Params = {"method": "temperature", "slope": 1.0, "intercept": 0.0, "least": least}
    params |= {"n": len(p), "right": int(hit.sum())}
    if method not in METHODS:
        raise InputError(f"calibrator: unknown method {method!r}; use one of: {', '.join(METHODS)}")
    if not len(p):
        return params
    order = np.lexsort((hit, p))  # the order of items must not show
    x, target = _logits(p[order], least), smoothed(hit[order])
    fitted = {
        "platt": _fit(x, target, intercept=True),
        "temperature": _fit(x, target, intercept=False),
    }
    if method == "auto":
        gain = fitted["temperature"][2] - fitted["platt"][2]
        method = "platt" if len(p) >= FEW_GOLD or gain > WORTH else "temperature"
    slope, intercept, _ = fitted[method]
    fit = {"slope": short_float(slope), "intercept": short_float(intercept)}
    return params | {"method": method} | fit


def calibrated(params: Mapping[str, Any], scores: ArrayLike) -> FloatArray:
    """Return the confidence of each score, under the parameters of `fit_calibrator`."""
    p = _in_range(scores)
    found: FloatArray = expit(params["slope"] * _logits(p, params["least"]) + params["intercept"])
    return found


def cross_calibrated(
    scores: ArrayLike, right: ArrayLike, folds: ArrayLike, *, method: Method = "auto"
) -> FloatArray:
    """Return each score's confidence, learned on the items of the other folds only.

    ``folds`` has each item's fold, any number of them. Where there is one fold only, nothing is
    learned and scores stay what they are.
    """
    p, hit = checked(scores, right)
    fold = np.asarray(folds)
    if len(fold) != len(p):
        raise InputError(f"calibrator: {len(p)} scores, but {len(fold)} folds; give one each")
    found = np.empty(len(p))
    for part in np.unique(fold):
        own = fold == part
        found[own] = calibrated(fit_calibrator(p[~own], hit[~own], method=method), p[own])
    return found


def fit_temperature(beliefs: Sequence[Mapping[Value, float]], truths: Sequence[Value]) -> Params:
    """Return the parameters of ``P(value) ~ belief(value) ** slope`` as JSON (Guo et al. 2017).

    ``beliefs`` are label distributions, ``truths`` the true values; slope is 1 / T. Of ``n`` items
    the truth counts for ``(n + 1) / (n + 2)`` and the other values for the rest, which is Platt's
    smoothing: an annotator that was never wrong is not made certain. It takes less gold than
    `fit_calibrator`, for it learns from all values. Raises InputError for unequal lengths.
    """
    if len(beliefs) != len(truths):
        raise InputError(
            f"calibrator: {len(beliefs)} distributions, but {len(truths)} truths; give one each"
        )
    named = {value for belief in beliefs for value in belief} | set(truths)
    values = sorted(named, key=lambda value: (str(value), repr(value)))
    p = np.array([[belief.get(value, 0.0) for value in values] for belief in beliefs])
    n, k = len(truths), len(values)
    params: Params = {"method": "label-temperature", "slope": 1.0, "values": values, "n": n}
    params["least"] = LEAST if k < 2 else _least(_in_range(p))
    if k < 2:
        return params
    logs = np.log(np.clip(p, params["least"], 1.0))
    target = np.full((n, k), 1 / (n + 2) / (k - 1))
    target[np.arange(n), [values.index(truth) for truth in truths]] = (n + 1) / (n + 2)

    return params | {"slope": short_float(_steepness(logs, target))}


def tempered(params: Mapping[str, Any], belief: Mapping[Value, float]) -> dict[Value, float]:
    """Return a label distribution under the parameters of `fit_temperature`."""
    values = list(dict.fromkeys([*params["values"], *belief]))
    p = np.array([belief.get(value, 0.0) for value in values])
    found = softmax(params["slope"] * np.log(np.clip(p, params["least"], 1.0)))
    return dict(zip(values, found.tolist(), strict=True))


def checked(scores: ArrayLike, right: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return both as arrays. Raises InputError for scores beyond 0 and 1, and unequal lengths."""
    p, hit = _in_range(scores), np.asarray(right, dtype=bool)
    if p.shape != hit.shape or p.ndim != 1:
        raise InputError(
            f"confidence: {p.size} values, but {hit.size} marks of right or wrong; give one each"
        )
    return p, hit


def _fit(x: FloatArray, target: FloatArray, *, intercept: bool) -> tuple[float, float, float]:
    """Return slope, which is never negative, intercept, and the loss (nats in all)."""
    columns = np.column_stack([x, np.ones_like(x)])[:, : 1 + intercept]
    slope, level = (*fit_ridge(columns, target, np.zeros(1 + intercept)).tolist(), 0.0)[:2]
    if slope < 0 or (intercept and np.ptp(x) == 0):
        slope, level = 0.0, float(logit(target.mean())) if intercept else 0.0
    scores = slope * x + level
    return slope, level, float(np.sum(np.logaddexp(0, scores) - target * scores))


def _steepness(logs: FloatArray, target: FloatArray) -> float:
    """Return the slope of a label distribution's temperature, where the log-loss is lowest."""

    def rise(slope: float) -> float:
        return float(((softmax(slope * logs, axis=1) - target) * logs).sum())

    if np.ptp(logs, axis=1).max() == 0:
        return 1.0  # all values always equal: any slope does
    if rise(0.0) >= 0:
        return 0.0
    return float(brentq(rise, 0.0, STEEPEST, xtol=1e-12)) if rise(STEEPEST) > 0 else STEEPEST


def _least(p: FloatArray) -> float:
    inside = np.minimum(p, 1 - p)
    inside = inside[inside > 0]
    return float(np.clip(inside.min(initial=1.0) / 2, LEAST, MOST))


def _logits(p: FloatArray, least: float) -> FloatArray:
    found: FloatArray = logit(np.clip(p, least, 1 - least))
    return found


def _in_range(scores: ArrayLike) -> FloatArray:
    p = np.asarray(scores, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        bad = p[~((p >= 0) & (p <= 1))][0]
        raise InputError(f"confidence: {bad} is not from 0 to 1; mend it or leave it out")
    return p
