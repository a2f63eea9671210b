"""The regression against scikit-learn's, and where data separate perfectly."""

import numpy as np
import pytest
from sklearn.calibration import _SigmoidCalibration
from sklearn.linear_model import LogisticRegression

from prelabel.ridge import fit_ridge, smoothed


def made(n=200, width=4, seed=0):
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(n), rng.normal(size=(n, width))])
    right = rng.random(n) < 1 / (1 + np.exp(-columns @ np.linspace(-1, 2, width + 1)))
    return columns, right


@pytest.mark.parametrize("penalty", [0.5, 10.0, 200.0])
def test_it_is_the_penalised_regression_of_scikit_learn(penalty):
    columns, right = made()
    found = fit_ridge(columns, right.astype(float), np.array([0, *[penalty] * 4]))
    oracle = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
    oracle.fit(columns[:, 1:], right)
    assert found[0] == pytest.approx(oracle.intercept_[0], abs=1e-3)
    assert found[1:] == pytest.approx(oracle.coef_[0], abs=1e-3)


def test_unpunished_on_smoothed_targets_it_is_platts_calibration():
    columns, right = made(width=1)
    found = fit_ridge(columns, smoothed(right), np.zeros(2))
    oracle = _SigmoidCalibration().fit(columns[:, 1], right)
    assert found[1] == pytest.approx(-oracle.a_, abs=2e-3)
    assert found[0] == pytest.approx(-oracle.b_, abs=2e-3)


def test_platts_targets():
    assert smoothed(np.array([True, True, False])).tolist() == [0.75, 0.75, 1 / 3]


def test_it_converges_where_one_column_tells_all():
    columns = np.column_stack([np.ones(40), np.repeat([-1.0, 1.0], 20)])
    right = np.repeat([False, True], 20)
    found = fit_ridge(columns, smoothed(right), np.zeros(2))
    p = 1 / (1 + np.exp(-columns @ found))
    assert p == pytest.approx(smoothed(right), abs=1e-3)


def test_columns_that_say_the_same_share_the_weight():
    columns, right = made(width=1)
    twice = np.column_stack([columns, columns[:, 1]])
    found = fit_ridge(twice, right.astype(float), np.zeros(3))
    assert found[1] == pytest.approx(found[2])
