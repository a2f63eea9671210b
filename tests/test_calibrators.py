"""Calibrators: what they learn, and that nothing makes them fail or be certain."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from prelabel.calibrators import (
    FEW_GOLD,
    calibrated,
    cross_calibrated,
    fit_calibrator,
    fit_temperature,
    tempered,
)
from prelabel.errors import InputError


def drawn(n, seed=0):
    """Scores that claim too much, and whether each is right."""
    rng = np.random.default_rng(seed)
    z = 2.3 + 1.1 * rng.logistic(size=n)
    return expit(2 * z + 1), rng.random(n) < expit(z)


def naive(x, right, *, intercept):
    """Platt's objective, minimised without derivatives."""
    plus, minus = right.sum(), (~right).sum()
    target = np.where(right, (plus + 1) / (plus + 2), 1 / (minus + 2))

    def loss(theta):
        u = theta[0] * x + (theta[1] if intercept else 0)
        return np.sum(np.logaddexp(0, u) - target * u)

    start = [1.0, 0.0] if intercept else [1.0]
    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 10_000}
    return minimize(loss, start, method="Nelder-Mead", options=options).x


@pytest.mark.parametrize("n", [20, 300])
def test_the_fit_is_that_of_a_second_implementation(n):
    scores, right = drawn(n)
    least = fit_calibrator(scores, right)["least"]
    x = logit(np.clip(scores, least, 1 - least))
    platt = fit_calibrator(scores, right, method="platt")
    found = naive(x, right, intercept=True)
    assert [platt["slope"], platt["intercept"]] == pytest.approx(found, abs=2e-3)
    temperature = fit_calibrator(scores, right, method="temperature")
    assert temperature["slope"] == pytest.approx(naive(x, right, intercept=False)[0], abs=2e-3)
    assert temperature["intercept"] == 0


def test_platt_is_scikit_learns_sigmoid_on_logits():
    scores, right = drawn(400)
    scores = np.minimum(scores, 1 - 1e-6)
    x = logit(scores)[:, None]
    as_it_is = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(x, right)
    reference = CalibratedClassifierCV(FrozenEstimator(as_it_is), method="sigmoid").fit(x, right)
    found = calibrated(fit_calibrator(scores, right, method="platt"), scores)
    assert found == pytest.approx(reference.predict_proba(x)[:, 1], abs=2e-4)


def test_auto_is_temperature_below_100_and_platt_from_there():
    scores, right = drawn(FEW_GOLD)
    assert fit_calibrator(scores, right)["method"] == "platt"
    assert fit_calibrator(scores[1:], right[1:])["method"] == "temperature"


def test_auto_takes_an_intercept_on_little_gold_where_temperature_cannot_do():
    rng = np.random.default_rng(0)
    z = rng.normal(-0.5, 1, 60)
    scores, right = expit(1.5 * z + 2.5), rng.random(60) < expit(z)  # sure, and mostly wrong
    params = fit_calibrator(scores, right)
    assert params["method"] == "platt"
    assert calibrated(params, scores).mean() == pytest.approx(right.mean(), abs=0.02)


@pytest.mark.parametrize("method", ["platt", "temperature", "auto"])
def test_separation_makes_nothing_certain(method):
    scores = np.array([0.55] * 20 + [0.95] * 20)
    right = scores > 0.9
    params = fit_calibrator(scores, right, method=method)
    found = calibrated(params, [0.55, 0.95])
    assert 0 < found[0] <= found[1] < 1
    if method == "platt":
        assert found == pytest.approx([1 / 22, 21 / 22], abs=0.005)


def test_all_right_gives_platts_target():
    found = calibrated(fit_calibrator([0.6, 0.9, 1.0], [True] * 3, method="platt"), [0.0, 0.9, 1.0])
    assert found == pytest.approx([4 / 5] * 3, abs=0.005)
    found = calibrated(fit_calibrator([0.9] * 8, [False] * 8, method="platt"), [0.9])
    assert found == pytest.approx([1 / 10])


def test_constant_score_gives_the_accuracy():
    right = np.arange(200) < 150
    found = calibrated(fit_calibrator(np.full(200, 0.97), right), [0.97, 0.1])
    # the mean of the smoothed targets
    assert found == pytest.approx([(150 * 151 / 152 + 50 / 52) / 200] * 2)


def test_a_score_that_points_the_wrong_way_counts_for_nothing():
    scores = np.linspace(0.1, 0.9, 200)
    right = scores < 0.5
    params = fit_calibrator(scores, right)
    assert params["slope"] == 0
    assert calibrated(params, [0.01, 0.99]) == pytest.approx([0.5, 0.5])
    assert fit_calibrator(scores, right, method="temperature")["slope"] == 0


def test_scores_of_0_and_1_lie_half_beyond_the_most_extreme_other():
    params = fit_calibrator([0.0, 0.9, 0.98, 1.0], [0, 1, 1, 1])
    assert params["least"] == pytest.approx(0.01)
    assert calibrated(params, [1.0]) == calibrated(params, [0.99])
    certain = fit_calibrator([0.0, 1.0] * 30, [0, 1] * 30, method="platt")
    assert calibrated(certain, [0.0, 1.0]) == pytest.approx([1 / 32, 31 / 32], abs=0.005)
    assert fit_calibrator([1 - 1e-12, 0.5], [1, 0])["least"] == 1e-7


def test_parameters_are_json_and_do_not_hang_on_order():
    scores, right = drawn(150)
    params = fit_calibrator(scores, right)
    assert json.loads(json.dumps(params)) == params
    order = np.random.default_rng(1).permutation(150)
    assert fit_calibrator(scores[order], right[order]) == params
    assert params["n"] == 150
    assert params["right"] == right.sum()


def test_held_out_is_learned_on_the_others():
    scores, right = drawn(120)
    fold = np.arange(120) % 3
    found = cross_calibrated(scores, right, fold)
    for part in range(3):
        own = fold == part
        assert found[own] == pytest.approx(
            calibrated(fit_calibrator(scores[~own], right[~own]), scores[own])
        )
    assert cross_calibrated([0.3, 0.7], [0, 1], [0, 0]) == pytest.approx([0.3, 0.7])
    assert len(cross_calibrated([], [], [])) == 0


def test_calibration_comes_near_the_true_probability():
    rng = np.random.default_rng(5)
    z = 2.3 + 1.1 * rng.logistic(size=20_000)
    scores, truth = expit(2 * z + 1), expit(z)
    raw = np.sqrt(np.mean((scores - truth) ** 2))
    for n, bound in ((50, 0.75), (200, 0.45), (1000, 0.2)):
        errors = []
        for seed in range(10):
            params = fit_calibrator(*drawn(n, seed))
            errors.append(np.sqrt(np.mean((calibrated(params, scores) - truth) ** 2)))
        assert np.mean(errors) < bound * raw


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match=r"confidence: 1\.5 is not from 0 to 1"):
        fit_calibrator([0.5, 1.5], [0, 1])
    with pytest.raises(InputError, match="confidence: nan is not"):
        calibrated(fit_calibrator([0.5], [1]), [float("nan")])
    with pytest.raises(InputError, match="2 values, but 1 marks"):
        fit_calibrator([0.5, 0.6], [1])
    with pytest.raises(InputError, match="2 scores, but 1 folds"):
        cross_calibrated([0.5, 0.6], [1, 0], [0])
    with pytest.raises(InputError, match="unknown method 'isotonic'; use one of: auto"):
        fit_calibrator([0.5], [1], method="isotonic")
    with pytest.raises(InputError, match="1 distributions, but 0 truths"):
        fit_temperature([{"a": 1.0}], [])


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30),
    st.sampled_from(["auto", "platt", "temperature"]),
)
def test_whatever_the_scores_confidence_is_a_probability_and_rises(rows, method):
    scores, right = [p for p, _ in rows], [ok for _, ok in rows]
    params = json.loads(json.dumps(fit_calibrator(scores, right, method=method)))
    found = calibrated(params, np.linspace(0, 1, 21))
    assert np.all((found >= 0) & (found <= 1))
    assert np.all(np.diff(found) >= 0)


def test_label_temperature_is_that_of_a_second_implementation():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(80, 3))
    p = np.exp(3 * z) / np.exp(3 * z).sum(axis=1, keepdims=True)
    true = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    truth = [rng.choice(3, p=row) for row in true]
    beliefs = [dict(zip("abc", row.tolist(), strict=True)) for row in p]
    params = fit_temperature(beliefs, ["abc"[k] for k in truth])
    target = np.full((80, 3), 1 / 82 / 2)
    target[np.arange(80), truth] = 81 / 82

    def loss(slope):
        u = slope * np.log(np.clip(p, params["least"], 1))
        return np.sum(np.log(np.exp(u).sum(axis=1)) - (target * u).sum(axis=1))

    grid = np.linspace(0, 1, 10_001)
    assert params["slope"] == pytest.approx(grid[np.argmin([loss(b) for b in grid])], abs=1e-4)
    assert 0.2 < params["slope"] < 0.5  # the truth is 1 / 3
    found = tempered(params, beliefs[0])
    assert sum(found.values()) == pytest.approx(1)
    assert max(found, key=found.get) == max(beliefs[0], key=beliefs[0].get)
    assert max(found.values()) < max(beliefs[0].values())


def test_label_temperature_at_the_ends():
    same = [{"a": 0.5, "b": 0.5}] * 4
    assert fit_temperature(same, ["a"] * 4)["slope"] == 1
    assert fit_temperature([{"a": 0.9, "b": 0.1}] * 4, ["b"] * 4)["slope"] == 0
    never_wrong = fit_temperature([{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}], ["a", "b"])
    assert max(tempered(never_wrong, {"a": 1.0, "b": 0.0}).values()) < 1
    assert fit_temperature([], [])["slope"] == 1
    assert tempered(fit_temperature([], []), {"a": 0.7, "b": 0.3}) == pytest.approx(
        {"a": 0.7, "b": 0.3}
    )
    flags = fit_temperature([{True: 0.9, False: 0.1}, {True: 0.3, False: 0.7}], [True, True])
    assert tempered(json.loads(json.dumps(flags)), {True: 0.9, False: 0.1})[True] > 0.5


def test_label_temperature_where_the_truth_was_not_thought_of():
    params = fit_temperature([{"a": 0.9, "b": 0.1}, {"a": 1.0}], ["a", "c"])
    assert params["values"] == ["a", "b", "c"]
    assert set(tempered(params, {"a": 0.6, "b": 0.4})) == {"a", "b", "c"}
