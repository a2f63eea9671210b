"""Scores of confidences: worked values, second implementations, coverage, what is not defined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from prelabel.calibration_scores import (
    auroc,
    calibration_error,
    confidence_scores,
    curve,
    log_loss_gain,
    order_scores,
    reliability,
    risk_coverage,
)
from prelabel.errors import InputError

CONFIDENCE, RIGHT = [0.9, 0.8, 0.8, 0.6, 0.5], [1, 1, 0, 1, 0]


def perfect(n, rng):
    p = rng.beta(5, 1, n)
    return p, rng.random(n) < p


def test_worked_example_of_risk_and_coverage():
    coverage, risk, generalized = risk_coverage(CONFIDENCE, RIGHT)
    assert coverage == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert risk == pytest.approx([0, 0.25, 1 / 3, 0.25, 0.4])
    assert generalized.mean() == pytest.approx(0.18)
    found = order_scores(CONFIDENCE, RIGHT)
    assert found.aurc.value == pytest.approx(0.246667, abs=1e-6)
    assert found.augrc.value == pytest.approx(0.18)
    assert [(x.confidence, x.coverage, round(x.risk, 4)) for x in found.curve] == [
        (0.9, 0.2, 0),
        (0.8, 0.6, 0.3333),
        (0.6, 0.8, 0.25),
        (0.5, 1.0, 0.4),
    ]


def test_worked_brier():
    assert confidence_scores([0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0]).brier.value == pytest.approx(
        0.0375
    )


def test_augrc_is_what_auroc_and_accuracy_make_it():
    p, right = perfect(200_000, np.random.default_rng(0))
    a = right.mean()
    expected = (1 - auroc(p, right).value) * a * (1 - a) + (1 - a) ** 2 / 2
    assert risk_coverage(p, right)[2].mean() == pytest.approx(expected, abs=2e-6)


def test_oracle_aurc():
    right = np.arange(100_000) < 80_000
    _, risk, _ = risk_coverage(np.where(right, 0.9, 0.1), right)
    assert risk.mean() == pytest.approx(0.2 + 0.8 * np.log(0.8), abs=1e-4)


def naive_areas(p, right):
    """The mean over many random orders of ties."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(4000):
        order = np.lexsort((rng.random(len(p)), -p))
        wrong = np.cumsum(~right[order])
        found.append((np.mean(wrong / np.arange(1, len(p) + 1)), np.mean(wrong / len(p))))
    return np.mean(found, axis=0)


def test_ties_count_as_the_mean_of_their_orders():
    rng = np.random.default_rng(1)
    p, right = rng.integers(1, 4, 15) / 4, rng.random(15) < 0.6
    found = order_scores(p, right)
    assert [found.aurc.value, found.augrc.value] == pytest.approx(naive_areas(p, right), abs=0.004)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=40))
def test_scores_are_those_of_scikit_learn_and_of_any_order(rows):
    p, right = np.array([a for a, _ in rows]) / 8, np.array([ok for _, ok in rows])
    found, order = confidence_scores(p, right), order_scores(p, right)
    kept = np.clip(p, 1e-6, 1 - 1e-6)
    assert found.log_loss.value == pytest.approx(log_loss(right, kept, labels=[0, 1]), abs=2e-6)
    assert found.brier.value == pytest.approx(brier_score_loss(right, p, pos_label=True))
    if 0 < right.sum() < len(right):
        assert order.auroc.value == pytest.approx(roc_auc_score(right, p))
        assert order.auroc.low <= order.auroc.value <= order.auroc.high or order.auroc.why
        base = right.mean() * (1 - right.mean())
        assert found.brier_skill.value == pytest.approx(1 - found.brier.value / base)
    _, risk, generalized = risk_coverage(p, right)
    assert order.aurc.value == pytest.approx(risk.mean())
    assert order.augrc.value == pytest.approx(generalized.mean())
    assert risk[-1] == pytest.approx(1 - right.mean())
    turned = order_scores(p[::-1], right[::-1])
    assert (turned.aurc, turned.augrc) == (order.aurc, order.augrc)
    assert confidence_scores(p[::-1], right[::-1]).brier_skill == found.brier_skill


def test_the_order_is_all_that_order_scores_see():
    rng = np.random.default_rng(3)
    p, right = perfect(80, rng)
    one, other = order_scores(p, right), order_scores(p**3, right)
    assert (one.auroc, one.aurc, one.augrc) == (other.auroc, other.aurc, other.augrc)


@pytest.mark.parametrize(
    ("n", "published"), [(50, 0.093), (100, 0.067), (200, 0.048), (500, 0.030), (2000, 0.016)]
)
def test_chance_alone_gives_the_published_calibration_error(n, published):
    rng = np.random.default_rng(n)
    found = []
    for seed in range(40):
        p, _ = perfect(n, rng)
        found.append(calibration_error(p, np.ones(n), resamples=50, seed=seed).chance)
    assert np.mean(found) == pytest.approx(published, abs=0.0025)


def test_the_chance_band_holds_perfect_confidences_and_not_others():
    rng = np.random.default_rng(4)
    inside, beyond = [], []
    for seed in range(200):
        p, right = perfect(150, rng)
        found = calibration_error(p, right, resamples=300, seed=seed)
        inside.append(found.low <= found.value <= found.high)
        beyond.append(calibration_error(np.sqrt(p), right, resamples=300).beyond_chance)
    assert 0.9 <= np.mean(inside) <= 0.99
    assert np.mean(beyond) > 0.5
    assert calibration_error(p, right, seed=1) == calibration_error(p, right, seed=1)


@pytest.mark.parametrize(
    ("file", "accuracy", "ece"),
    [
        ("global_warming.csv.gz", 0.8182, 0.060),
        ("mrpc.csv.gz", 0.7432, 0.101),
        ("mt_bench.csv", 0.5756, 0.315),
    ],
)
def test_published_calibration_errors(shared_data, file, accuracy, ece):
    import pandas as pd

    table = pd.read_csv(shared_data / "llm_vs_human" / "llm_confidence" / file)
    right = (table["gold_label"] == table["gpt_label"]).to_numpy()
    assert right.mean() == pytest.approx(accuracy, abs=5e-5)
    found = calibration_error(table["confidence"], right)
    assert found.value == pytest.approx(ece, abs=5e-4)
    assert found.beyond_chance


def binormal(n, share, shift, rng):
    right = rng.random(n) < share
    return expit(rng.normal(size=n) + shift * right), right


@pytest.mark.parametrize(("n", "share"), [(30, 0.8), (100, 0.85), (100, 0.95), (300, 0.9)])
def test_aurocs_interval_holds_the_truth(n, share):
    rng = np.random.default_rng(n)
    truth = 0.8019  # the normal distribution function at 1.2 / sqrt 2
    inside = []
    for _ in range(400):
        p, right = binormal(n, share, 1.2, rng)
        found = auroc(p, right)
        if found.value is not None:
            inside.append(found.low <= truth <= found.high)
    assert 0.92 <= np.mean(inside) <= 0.995


@pytest.mark.parametrize("n", [30, 100])
def test_the_intervals_of_means_and_areas_hold_the_truth(n):
    rng = np.random.default_rng(7)
    p, right = binormal(400_000, 0.8, 1.2, rng)
    _, risk, generalized = risk_coverage(p, right)
    skill = 1 - np.mean((p - right) ** 2) / (right.mean() * (1 - right.mean()))
    loss = -np.log(np.where(right, p, 1 - p)).mean()
    truth = [risk.mean(), generalized.mean(), skill, loss, (p - right).mean()]
    inside = []
    for _ in range(150):
        drawn = binormal(n, 0.8, 1.2, rng)
        one, order = confidence_scores(*drawn), order_scores(*drawn)
        found = [order.aurc, order.augrc, one.brier_skill, one.log_loss, one.overconfidence]
        inside.append(
            [e.low is None or e.low <= t <= e.high for e, t in zip(found, truth, strict=True)]
        )
    assert np.all(np.mean(inside, axis=0) >= 0.84)


def test_what_is_not_defined_says_why():
    nothing = confidence_scores([], [])
    for one in (nothing.log_loss, nothing.brier, nothing.brier_skill, nothing.overconfidence):
        assert (one.value, one.why) == (None, "no items with a confidence")
    assert nothing.ece.value is None
    assert not nothing.ece.beyond_chance
    assert order_scores([], []).aurc.why == "no items with a confidence"
    assert order_scores([], []).curve == reliability([], []) == ()
    all_right = confidence_scores([0.5, 0.9, 1.0], [1, 1, 1])
    assert auroc([0.5, 0.9], [1, 1]).why == "all 2 items are right"
    assert auroc([0.5], [0]).why == "one item only"
    assert all_right.brier_skill.why == "all 3 items are right"
    assert all_right.log_loss.value == pytest.approx(-np.log([0.5, 0.9, 1.0]).mean())
    assert (all_right.log_loss.low, all_right.log_loss.why) == (None, "all 3 items are right")
    same = auroc([0.7] * 40, np.arange(40) < 20)
    assert (same.value, same.low, same.why) == (0.5, None, "all items have the same confidence")


def test_auroc_at_the_end_has_an_interval():
    found = auroc([0.9] * 12 + [0.1] * 12, [1] * 12 + [0] * 12)
    assert (found.value, found.high) == (1, 1)
    assert 0.7 < found.low < 1
    turned = auroc([0.1] * 12 + [0.9] * 12, [1] * 12 + [0] * 12)
    assert (turned.low, turned.high) == pytest.approx((0, 1 - found.low))


def test_certain_and_wrong_costs_much_but_not_everything():
    assert confidence_scores([1.0, 0.5], [0, 1]).log_loss.value == pytest.approx(
        (-np.log(1e-6) + np.log(2)) / 2
    )


def test_reliability_keeps_equal_confidences_together():
    p = np.array([0.8] * 50 + [0.9] * 30 + [0.95] * 20)
    right = np.arange(100) % 10 < 8
    rows = reliability(p, right, calibrated=p - 0.1)
    assert [(row.n, row.low, row.high) for row in rows] == [
        (50, 0.8, 0.8),
        (30, 0.9, 0.9),
        (20, 0.95, 0.95),
    ]
    assert all(row.right.value == pytest.approx(0.8) for row in rows)
    assert [row.calibrated for row in rows] == pytest.approx([0.7, 0.8, 0.85])
    even = reliability(np.linspace(0, 1, 1000), np.ones(1000))
    assert [row.n for row in even] == [100] * 10
    assert [row.n for row in reliability([0.1, 0.9], [0, 1])] == [2]


def test_a_long_curve_is_thinned():
    p, right = perfect(5000, np.random.default_rng(0))
    points = curve(p, right)
    assert len(points) == 100
    assert (points[0].coverage, points[-1].coverage) == (pytest.approx(1 / 5000), 1.0)


def test_gain():
    found = log_loss_gain([0.99, 0.99, 0.99], [0.7, 0.6, 0.5], [1, 0, 1])
    expected = (np.log(0.7 / 0.99) + np.log(0.4 / 0.01) + np.log(0.5 / 0.99)) / 3
    assert found.value == pytest.approx(expected)
    assert found.low < 0 < found.high


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match=r"confidence: -0\.1 is not from 0 to 1"):
        confidence_scores([-0.1], [1])
    with pytest.raises(InputError, match="1 values, but 2 marks"):
        auroc([0.5], [1, 0])
