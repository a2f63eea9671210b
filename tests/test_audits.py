"""Strata, allocation and draws; the stratified error without bias, its interval as it promises."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from prelabel.audits import allocate, clopper_pearson, draw, stratified_error, stratify
from prelabel.drift import Monitor
from prelabel.gold_errors import Stratum

# Strata


def test_strata_never_part_equal_scores():
    scores = [1.0] * 300 + [2 / 3] * 100
    names = stratify(scores, ["a"] * 400, 5)
    assert Counter(names) == {"1: agreement 0.667": 100, "2: agreement 1": 300}


def test_strata_of_a_continuous_score_are_about_equal():
    scores = np.random.default_rng(1).random(1000).tolist()
    names = stratify(scores, ["a"] * 1000, 5, "confidence")
    assert sorted(Counter(names).values()) == pytest.approx([200] * 5, abs=1)
    lowest = [score for score, name in zip(scores, names, strict=True) if name.startswith("1: ")]
    assert max(lowest) == sorted(scores)[len(lowest) - 1]


def test_labels_part_a_group_where_there_is_room():
    labels = ["a"] * 200 + ["b"] * 60 + ["c"] * 30 + ["d"] * 5
    names = stratify([1.0] * 295, labels, 3)
    assert Counter(names) == {
        "1: agreement 1, label a": 200,
        "1: agreement 1, label b": 60,
        "1: agreement 1, other labels": 35,
    }
    assert len(set(stratify([1.0] * 295, labels, 1))) == 1
    assert len(set(stratify([1.0] * 60, [["x"], {"y": 1}, "z"] * 20, 9))) == 3  # labels of any kind


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.5, 0.7, 0.9, 1.0]), st.sampled_from("abc")), min_size=1),
    st.integers(1, 12),
)
def test_strata_are_few_and_not_small(rows, most):
    rows = rows * 7
    names = stratify([score for score, _ in rows], [label for _, label in rows], most)
    counts = Counter(names)
    assert len(counts) <= most
    assert min(counts.values()) >= min(20, len(rows))
    again = stratify([s for s, _ in rows[::-1]], [label for _, label in rows[::-1]], most)
    assert again[::-1] == names


def test_no_items():
    assert stratify([], [], 5) == []
    assert draw({}, 10) == []


# Allocation


def test_neyman_allocation():
    sizes, errors = [1000, 1000, 1000], [0.5, 0.1, 0.02]
    found = allocate(sizes, 300, errors)
    need = np.sqrt([0.25, 0.09, 0.0196])
    assert found == pytest.approx(300 * need / need.sum(), abs=1)
    assert allocate([5000, 5000], 100, [0.5, 0.0]) == [80, 20]  # the floor
    assert allocate([100, 5000], 400, [0.5, 0.0]) == [100, 300]  # no more than there are


def test_allocation_in_proportion_where_nothing_is_known():
    assert allocate([900, 90, 10], 100) == [89, 9, 2]
    assert allocate([500, 300, 200], 100) == [50, 30, 20]
    assert allocate([3, 4], 100) == [3, 4]
    assert allocate([50, 50, 50], 2) == [1, 1, 0]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1)), min_size=1, max_size=8),
    st.integers(1, 800),
    st.booleans(),
)
def test_allocations_fit(strata, n, guessed):
    sizes = [size for size, _ in strata]
    found = allocate(sizes, n, [error for _, error in strata] if guessed else None)
    assert sum(found) == min(n, sum(sizes))
    least = min(20 if guessed else 2, min(n, sum(sizes)) // len(sizes))
    assert all(min(size, least) <= k <= size for k, size in zip(found, sizes, strict=True))


# Draws


def of_two(n=1000, doubtful=100):
    return {f"i{k}": "doubtful" if k < doubtful else "sure" for k in range(n)}


def test_a_draw_hangs_on_items_and_seed_alone():
    stratum = of_two()
    order = list(stratum)
    random.Random(1).shuffle(order)
    found = draw(stratum, 100, seed=3)
    assert draw({item: stratum[item] for item in order}, 100, seed=3) == found
    assert draw(stratum, 100, seed=4) != found
    assert len({one.item for one in found}) == 100
    assert Counter(one.stratum for one in found) == {"doubtful": 10, "sure": 90}
    assert {one.inclusion for one in found} == {0.1}
    assert all(one.watched for one in found)
    places = [at for at, one in enumerate(found) if one.stratum == "doubtful"]
    assert places != list(range(10))  # the order tells nothing


def test_every_item_has_the_chance_that_is_recorded_and_watched_ones_the_same():
    stratum = of_two(200, 50)
    drawn, watched, chance = Counter(), Counter(), {}
    for seed in range(1500):
        for one in draw(stratum, 60, {"doubtful": 0.4, "sure": 0.05}, seed=seed):
            drawn[one.item] += 1
            watched[one.item] += one.watched
            chance[one.stratum] = one.inclusion
    assert chance["doubtful"] > 2 * chance["sure"]
    for name, expected in chance.items():
        share = [drawn[item] / 1500 for item, own in stratum.items() if own == name]
        assert share == pytest.approx([expected] * len(share), abs=0.06)
    kept = [watched[item] / 1500 for item in stratum]
    assert kept == pytest.approx([min(chance.values())] * 200, abs=0.05)


# The error


def test_stratified_error_by_hand():
    found = stratified_error([Stratum("a", 400, 40, 4), Stratum("b", 600, 60, 3)])
    e = 0.4 * 0.1 + 0.6 * 0.05
    v = 0.16 * 0.1 * 0.9 / 39 * 0.9 + 0.36 * 0.05 * 0.95 / 59 * 0.9
    effective = min(e * (1 - e) / v, 100)
    k = e * effective
    assert found.value == pytest.approx(e)
    assert found.low == pytest.approx(beta.ppf(0.025, k, effective - k + 1))
    assert found.high == pytest.approx(beta.ppf(0.975, k + 1, effective - k))
    assert found.n == 100


def test_fewer_effective_items_are_taken_as_they_are():
    found = stratified_error([Stratum("a", 5000, 20, 4), Stratum("b", 500, 80, 1)])
    w = np.array([5000, 500]) / 5500
    e = w @ [0.2, 1 / 80]
    v = w**2 @ [0.16 / 19 * (1 - 0.004), (1 / 80) * (79 / 80) / 79 * (1 - 0.16)]
    effective = e * (1 - e) / v
    assert effective < 24
    assert (found.low, found.high) == pytest.approx(clopper_pearson(e * effective, effective))


def test_without_variance_the_interval_is_of_all_items_looked_at():
    found = stratified_error([Stratum("a", 500, 50, 0), Stratum("b", 500, 50, 0)])
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 100))
    all_wrong = stratified_error([Stratum("a", 500, 50, 50), Stratum("b", 500, 50, 50)])
    assert (all_wrong.value, all_wrong.high) == (1, 1)
    assert all_wrong.low == pytest.approx(0.025 ** (1 / 100))


def test_a_stratum_known_in_full_does_not_make_the_rest_known():
    known = Stratum("earlier audits", 100, 100, 5)
    found = stratified_error([known, Stratum("a", 4900, 60, 0)])
    assert found.value == pytest.approx(5 / 5000)
    assert found.high > 0.9 * (1 - 0.025 ** (1 / 60))
    whole = stratified_error([known, Stratum("a", 20, 20, 1)])
    assert (whole.value, whole.low, whole.high, whole.n) == (0.05, 0.05, 0.05, 120)


def test_what_is_not_defined_says_why():
    assert stratified_error([]).why == "nothing was accepted"
    unseen = stratified_error([Stratum("a", 10, 5, 0), Stratum("b", 10, 0, 0)])
    assert (unseen.value, unseen.why) == (None, "nothing was looked at in b")
    one = stratified_error([Stratum("a", 10, 5, 1), Stratum("b", 10, 1, 0)])
    assert (one.value, one.low) == (0.1, None)
    assert one.why == "only one item was looked at in b"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.5, 0.999))
def test_clopper_pearson(k, n, level):
    k = min(k, n)
    low, high = clopper_pearson(k, n, level)
    tail = (1 - level) / 2
    assert low == pytest.approx(beta.ppf(tail, k, n - k + 1) if k else 0.0)
    assert high == pytest.approx(beta.ppf(1 - tail, k + 1, n - k) if k < n else 1.0)


def simulated(sizes, rates, n, guesses, runs=1000):
    """Return the true error, the estimates, and how often the interval held it."""
    rng = np.random.default_rng(2)
    bad = [round(size * rate) for size, rate in zip(sizes, rates, strict=True)]
    true = sum(bad) / sum(sizes)
    counts = allocate(sizes, n, guesses)
    values, held = [], 0
    for _ in range(runs):
        found = stratified_error(
            [
                Stratum(str(wrong), size, k, int(rng.hypergeometric(wrong, size - wrong, k)))
                for size, wrong, k in zip(sizes, bad, counts, strict=True)
            ]
        )
        values.append(found.value)
        held += found.low <= true <= found.high
    return true, np.array(values), held / runs


@pytest.mark.parametrize(
    ("rates", "true"),
    [
        ((0.08, 0.02, 0.01, 0.005, 0.005), 0.024),
        ((0.03, 0.008, 0.004, 0.003, 0.001), 0.0092),
        ((0.015, 0.004, 0.002, 0.001, 0.0), 0.0044),
    ],
)
def test_published_coverage(rates, true):
    """Published for errors of .024, .0092 and .0045 and 200 items: .944 to .991."""
    whole, values, coverage = simulated([1000] * 5, rates, 200, None)
    assert whole == pytest.approx(true)
    assert values.mean() == pytest.approx(true, abs=3 * values.std() / np.sqrt(len(values)))
    assert coverage >= 0.944 - 3 * 0.007


@pytest.mark.parametrize(
    ("sizes", "rates", "guesses"),
    [
        ([200, 4800], (0.2, 0.005), (0.2, 0.005)),
        ([50, 4950], (0.3, 0.004), (0.3, 0.004)),
        ([100] * 4 + [4600], (0.3, 0.1, 0.1, 0.1, 0.06), (0.5, 0.5, 0.5, 0.5, 0.05)),
    ],
)
def test_coverage_where_strata_are_uneven(sizes, rates, guesses):
    """With n* as large as the variance makes it, .27 to .84."""
    true, values, coverage = simulated(sizes, rates, 100, guesses)
    assert values.mean() == pytest.approx(true, abs=3 * values.std() / np.sqrt(len(values)))
    assert coverage >= 0.95


def test_the_monitor_may_watch_what_is_marked_for_it():
    """Error .05 in all; where doubtful items are drawn more often, all drawn are wrong more often."""
    stratum = of_two(5000, 500)
    bad = {f"i{k}" for k in (*range(125), *range(500, 625))}
    alarms = {"all": 0, "watched": 0}
    for seed in range(150):
        drawn = draw(stratum, 400, {"doubtful": 0.25, "sure": 0.03}, seed=seed)
        for name in alarms:
            own = [one.item in bad for one in drawn if name == "all" or one.watched]
            alarms[name] += Monitor(0.05).watch(own).by == "evidence"
    assert alarms["watched"] <= 0.05 * 150 + 3 * np.sqrt(0.05 * 0.95 * 150)
    assert alarms["all"] > 30
