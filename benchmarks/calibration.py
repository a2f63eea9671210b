"""Calibrators compared by simulation, and what chance alone makes of the calibration error.

Overconfident scores: the true log-odds of being right are 2.32 + 1.08 times a standard logistic
number, the score's log-odds are 1.96 times that plus 1.03. Root mean squared error is of the
confidence against the true probability, log-loss is expected (nats), both on 100,000 other items
and as means over the runs; "wrong" is the true share wrong where the confidence is .95 or more.
``sigmoid`` and ``isotonic`` are scikit-learn's CalibratedClassifierCV on the score's log-odds.
The published table names its figures, not how its scores were drawn: the numbers above are what
gives its raw row and the limits of its Platt and temperature rows.

The second table is the mean plug-in error of perfect confidences, drawn from Beta(5, 1).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from prelabel.calibration_scores import calibration_error
from prelabel.calibrators import Method, calibrated, fit_calibrator

Numbers = NDArray[np.float64]
Calibrate = Callable[[Numbers, NDArray[np.bool_], Numbers], Numbers]

SIZES = (50, 100, 200, 500)
OTHERS = 100_000
PUBLISHED = {
    "raw": ((0.127, 0.471),) * 4,
    "platt": ((0.080, 0.345), (0.051, 0.332), (0.037, 0.328), (0.022, 0.324)),
    "temperature": ((0.062, 0.339), (0.051, 0.331), (0.050, 0.330), (0.048, 0.329)),
    "isotonic": ((0.113, 0.511), (0.095, 0.421), (0.072, 0.385), (0.053, 0.349)),
}
PUBLISHED_CHANCE = {50: 0.093, 100: 0.067, 200: 0.048, 500: 0.030, 2000: 0.016}


def drawn(rng: np.random.Generator, n: int) -> tuple[Numbers, Numbers]:
    """Return scores, and the true probability that each is right."""
    z = 2.32 + 1.08 * rng.logistic(size=n)
    return expit(1.96 * z + 1.03), expit(z)


def own(method: Method) -> Calibrate:
    """Return a calibrator of this package."""
    return lambda scores, right, new: calibrated(fit_calibrator(scores, right, method=method), new)


def reference(method: str) -> Calibrate:
    """Return scikit-learn's calibrator of a model whose decision is the score's log-odds."""

    def fit(scores: Numbers, right: NDArray[np.bool_], new: Numbers) -> Numbers:
        model = LogisticRegression()
        model.classes_, model.n_features_in_ = np.array([False, True]), 1
        model.coef_, model.intercept_ = np.array([[1.0]]), np.array([0.0])
        made = CalibratedClassifierCV(FrozenEstimator(model), method=method)
        x, new_x = (logit(np.clip(p, 1e-7, 1 - 1e-7))[:, None] for p in (scores, new))
        found: Numbers = made.fit(x, right).predict_proba(new_x)[:, 1]
        return found

    return fit


METHODS: dict[str, Calibrate] = {
    "raw": lambda _scores, _right, new: new,
    "platt": own("platt"),
    "temperature": own("temperature"),
    "auto": own("auto"),
    "scikit-learn sigmoid": reference("sigmoid"),
    "scikit-learn isotonic": reference("isotonic"),
}


def compared(n: int, runs: int, seed: int) -> dict[str, dict[str, float]]:
    """Return each calibrator's figures, learned on the same ``n`` gold items in each run."""
    new, truth = drawn(np.random.default_rng(seed), OTHERS)
    rng = np.random.default_rng([seed, n])
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    for _ in range(runs):
        scores, true = drawn(rng, n)
        right = rng.random(n) < true
        for name, calibrate in METHODS.items():
            p = calibrate(scores, right, new)
            q = np.clip(p, 1e-6, 1 - 1e-6)
            loss = -float(np.mean(truth * np.log(q) + (1 - truth) * np.log1p(-q)))
            sure = 1 - truth[p >= 0.95]
            wrong = float(sure.mean()) if len(sure) else np.nan
            found[name].append((float(np.sqrt(np.mean((p - truth) ** 2))), loss, wrong))
    return {name: summary(np.array(rows)) for name, rows in found.items()}


def summary(rows: Numbers) -> dict[str, float]:
    """Return means over runs, and the standard error of the first."""
    error = float(rows[:, 0].std(ddof=1) / np.sqrt(len(rows)))
    rmse, loss, wrong = np.nanmean(rows, axis=0).tolist()
    return {"rmse": rmse, "rmse_se": error, "log_loss": loss, "wrong_at_95": wrong}


def chance(n: int, runs: int, seed: int) -> float:
    """Return the mean plug-in error in ten bins of perfect confidences."""
    rng = np.random.default_rng([seed, n])
    found = []
    for _ in range(runs):
        p = rng.beta(5, 1, n)
        found.append(calibration_error(p, rng.random(n) < p, resamples=1).value or 0.0)
    return float(np.mean(found))


def published(name: str, at: int) -> str:
    """Write what the published table has of a calibrator at the size of that place."""
    row = PUBLISHED.get(name.removeprefix("scikit-learn "))
    return "" if row is None else "{:.3f}/{:.3f}".format(*row[at])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    # folds of a frozen model are not needed: it is never fitted
    warnings.filterwarnings("ignore", message="The least populated class")
    started = time.perf_counter()
    tables = {n: compared(n, args.runs, args.seed) for n in SIZES}
    errors = {n: chance(n, 10 * args.runs, args.seed) for n in PUBLISHED_CHANCE}
    if args.json:
        print(json.dumps({"runs": args.runs, "calibrators": tables, "chance": errors}, indent=2))
        return
    print(
        f"{'gold':>5} {'calibrator':24}{'RMSE':>8}{'se':>7}{'log-loss':>10}{'wrong':>8}  published"
    )
    for at, (n, rows) in enumerate(tables.items()):
        for name, row in rows.items():
            numbers = f"{row['rmse']:8.3f}{row['rmse_se']:7.3f}{row['log_loss']:10.3f}"
            print(f"{n:5} {name:24}{numbers}{row['wrong_at_95']:8.3f}  {published(name, at)}")
    print(f"\n{'items':>6}{'error by chance':>17}  published")
    for n, error in errors.items():
        print(f"{n:6}{error:17.4f}  {PUBLISHED_CHANCE[n]:.3f}")
    print(f"{args.runs} runs each, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
