"""Forecasts from a pilot: honest intervals, and what cannot be foreseen."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from prelabel.errors import InputError
from prelabel.promise_plan import predict
from prelabel.promises import dataset, expected, selective


def clear(rng, n):
    logit = rng.normal(2.94, 2.174, n)
    return expit(logit + rng.standard_normal(n)), expit(-logit)


def votes(rng, n):
    share = rng.choice(5, n, p=[0.05, 0.1, 0.15, 0.2, 0.5])
    return share / 4, np.array([0.6, 0.45, 0.3, 0.15, 0.03])[share]


def floor(rng, n):
    """However high the score, 3% stay wrong."""
    scores = rng.random(n)
    return scores, np.maximum(0.03, 0.5 * (1 - scores) ** 2)


def covers(kind, scores, wrong, pool, target):
    if kind == "dataset":
        return dataset(scores, wrong, target=target, delta=0.1).over(pool).coverage.value
    if kind == "expected":
        return expected(scores, wrong, pool, target=target).coverage.value
    return selective(scores, wrong, pool, target=target, delta=0.1).coverage.value


@pytest.mark.parametrize("draw", [clear, votes, floor])
def test_the_interval_holds_what_comes_out_nine_times_of_ten(draw):
    rng = np.random.default_rng(7)
    pool, planned, runs = draw(rng, 2000)[0], 300, 50
    inside = {"selective": [], "dataset": [], "expected": []}
    for run in range(runs):
        scores, chance = draw(rng, 120)
        pilot = scores, rng.random(120) < chance
        scores, chance = draw(rng, planned)
        gold = scores, rng.random(planned) < chance
        for kind, seen in inside.items():
            told = predict(*pilot, pool, (0.05, 0.1), gold_planned=[planned], kind=kind, seed=run)
            for row in told:
                came = covers(kind, *gold, pool, row.target)
                # forecasts are made in fiftieths of the pool
                seen.append(row.coverage.low - 0.011 <= came <= row.coverage.high + 0.011)
    for seen in inside.values():
        assert np.mean(seen) >= 0.85


def test_each_target_and_size_has_a_row_with_the_reviews_left():
    rng = np.random.default_rng(1)
    scores, chance = clear(rng, 150)
    rows = predict(scores, rng.random(150) < chance, clear(rng, 4000)[0], gold_planned=[200, 1000])
    assert [(row.gold, row.target) for row in rows] == [
        (size, target) for size in (200, 1000) for target in (0.01, 0.02, 0.05, 0.1)
    ]
    for row in rows:
        low, middle, high = row.coverage.low, row.coverage.value, row.coverage.high
        assert 0 <= low <= middle <= high <= 1
        assert row.reviews.value == pytest.approx(4000 * (1 - middle))
        assert (row.reviews.low, row.reviews.high) == pytest.approx(
            (4000 * (1 - high), 4000 * (1 - low))
        )
        assert 0 <= row.chance <= 1
        assert (row.coverage.n, row.delta, row.kind) == (150, 0.1, "selective")
        json.dumps(row.to_dict(), allow_nan=False)
    more = {(row.gold, row.target): row for row in rows}
    assert more[1000, 0.05].coverage.value > more[200, 0.05].coverage.value
    assert more[1000, 0.1].coverage.value > more[1000, 0.02].coverage.value
    assert more[200, 0.01].chance == 0  # 230 items are the least that can show 1%


def test_the_expected_promise_has_no_delta():
    rng = np.random.default_rng(1)
    scores, chance = clear(rng, 100)
    wrong = rng.random(100) < chance
    (row,) = predict(scores, wrong, scores, [0.1], gold_planned=[200], kind="expected")
    assert row.delta is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["selective", "dataset", "expected"]))
def test_the_order_of_the_pilot_changes_nothing(seed, kind):
    rng = np.random.default_rng(seed)
    scores, chance = clear(rng, 60)
    wrong, order = rng.random(60) < chance, rng.permutation(60)
    pool = np.append(clear(rng, 300)[0], [np.nan] * 100)
    once, again = (
        predict(scores[at], wrong[at], pool, [0.1], gold_planned=[200], kind=kind)
        for at in (np.arange(60), order)
    )
    assert once[0].coverage == pytest.approx(again[0].coverage, abs=0.02) or once == again
    assert once[0].coverage.high <= 0.75


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_pilot_all_right_or_all_wrong_is_no_certainty(rate):
    rng = np.random.default_rng(2)
    scores = rng.random(100)
    (row,) = predict(scores, np.full(100, rate), rng.random(900), [0.05], gold_planned=[300])
    if rate:
        assert (row.coverage.value, row.coverage.high) == (0, 0)
    else:
        assert row.coverage.high == 1
        assert row.coverage.low < 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": np.full(100, np.nan)}, "a pilot of 0 scored gold items is too small"),
        ({"pool": [None, None]}, "no item of the pool has a score"),
        ({"gold_planned": [0]}, "planned gold must be 1 or more items, got 0"),
        ({"targets": [5]}, "target must be between 0 and 1"),
        ({"kind": "sure"}, "'sure' is none; use selective, dataset, expected"),
    ],
)
def test_what_cannot_be_foreseen_is_refused(change, said):
    settings = {
        "scores": np.linspace(0, 1, 100),
        "wrong": np.zeros(100),
        "pool": [0.5],
        "gold_planned": [100],
    }
    with pytest.raises(InputError, match=said):
        predict(**settings | change)
