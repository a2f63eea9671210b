"""Statistics of ratings against other implementations, and medians."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from prelabel.estimate import bootstrap
from prelabel.ordinal import (
    linear_kappa_of,
    median_of,
    median_value,
    pair,
    quadratic_kappa_of,
    spearman,
    spearman_of,
    weighted_kappa,
)

ratings = st.integers(1, 5)
columns = st.lists(st.tuples(ratings, ratings), min_size=2, max_size=40)


def two(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


# Against a second implementation


@settings(deadline=None)
@given(columns)
def test_kappa_is_sklearns_on_evenly_spaced_values(pairs):
    a, b = two(pairs)
    assume(len({*a, *b}) > 1)
    for weights in ("linear", "quadratic"):
        theirs = cohen_kappa_score(a, b, weights=weights, labels=[1, 2, 3, 4, 5])
        assert weighted_kappa(a, b, weights).value == pytest.approx(theirs)


@settings(deadline=None)
@given(columns)
def test_spearman_is_scipys(pairs):
    a, b = two(pairs)
    assume(len(set(a)) > 1)
    assume(len(set(b)) > 1)
    assert spearman(a, b).value == pytest.approx(spearmanr(a, b).statistic)


@settings(deadline=None, max_examples=30)
@given(columns, st.data())
def test_weights_are_repeated_items(pairs, data):
    """What a resample is worth is what its items would give."""
    found = pair(*two(pairs))
    sizes = len(found.a)
    weights = np.array(data.draw(st.lists(st.integers(0, 4), min_size=sizes, max_size=sizes)))
    a, b = (np.repeat(column, weights) for column in (found.a, found.b))
    assume(len(set(a)) > 1)
    assume(len(set(b)) > 1)
    rows = weights[None, :].astype(float)
    assert spearman_of(found)(rows)[0] == pytest.approx(spearmanr(a, b).statistic)
    for make, kind in ((linear_kappa_of, "linear"), (quadratic_kappa_of, "quadratic")):
        theirs = cohen_kappa_score(a, b, weights=kind, labels=[1, 2, 3, 4, 5])
        assert make(found)(rows)[0] == pytest.approx(theirs)


def by_hand(a, b, power):
    """Cohen's formula over all pairs, with the numbers themselves."""
    apart = [abs(x - y) ** power for x, y in zip(a, b, strict=True)]
    chance = [abs(x - y) ** power for x in a for y in b]
    return 1 - np.mean(apart) / np.mean(chance)


floats = st.integers(-40, 40).map(lambda n: n / 8)


@settings(deadline=None)
@given(st.lists(st.tuples(floats, floats), min_size=2, max_size=15))
def test_kappa_measures_by_the_numbers_and_not_their_places(pairs):
    a, b = two(pairs)
    assume(len({*a, *b}) > 1)
    assert weighted_kappa(a, b, "linear").value == pytest.approx(by_hand(a, b, 1))
    assert weighted_kappa(a, b).value == pytest.approx(by_hand(a, b, 2))


def test_uneven_scales_are_not_taken_for_even_ones():
    a, b = [1, 2, 10, 10, 1, 2], [2, 2, 10, 10, 1, 1]  # only the near two are confused
    assert weighted_kappa(a, b).value == pytest.approx(by_hand(a, b, 2))
    assert weighted_kappa(a, b).value > cohen_kappa_score(a, b, weights="quadratic")


# What always holds


@settings(deadline=None, max_examples=40)
@given(columns, st.randoms(use_true_random=False), st.sampled_from([1, -1]))
def test_order_and_direction_do_not_matter(pairs, shuffle, sign):
    a, b = two(pairs)
    shuffled = list(pairs)
    shuffle.shuffle(shuffled)
    c, d = ([sign * value for value in column] for column in two(shuffled))
    for measure in (weighted_kappa, spearman):
        for first, second in ((c, d), (d, c)):
            assert measure(first, second).value == pytest.approx(measure(a, b).value, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(ratings, min_size=2, max_size=60))
def test_unanimity_is_one(column):
    assume(len(set(column)) > 1)
    assert weighted_kappa(column, column).value == pytest.approx(1)
    assert weighted_kappa(column, column, "linear").value == pytest.approx(1)
    assert spearman(column, column).value == pytest.approx(1)


def test_nothing_is_defined_of_nothing():
    for measure in (weighted_kappa, spearman):
        found = measure([], [])
        assert (found.value, found.n, found.why) == (None, 0, "nothing was labeled")


@pytest.mark.parametrize("value", [3, 0.1, -0.3, 1e9])
def test_constant_columns(value):
    same, varied = [value] * 6, [value, value + 1] * 3
    for weights in ("linear", "quadratic"):
        found = weighted_kappa(same, same, weights)
        assert (found.value, found.n) == (None, 6)
        assert found.why == "both give only one rating"
        assert weighted_kappa(same, varied, weights).value == pytest.approx(0, abs=1e-12)
    for pairs in ((same, same), (same, varied), (varied, same)):
        found = spearman(*pairs)
        assert (found.value, found.n) == (None, 6)
        assert found.why == "gold or the annotator gives only one rating"


def test_intervals_are_those_of_resampled_items():
    rng = np.random.default_rng(0)
    a = rng.integers(1, 6, size=200)
    b = np.clip(a + rng.integers(-1, 2, size=200), 1, 5)
    found = weighted_kappa(a, b, seed=1)
    draws = []
    for _ in range(400):
        at = rng.integers(200, size=200)
        draws.append(cohen_kappa_score(a[at], b[at], weights="quadratic"))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert found.n == 200
    pairs = pair(a, b)
    assert bootstrap(quadratic_kappa_of(pairs), pairs.sizes, seed=1) == found
    ranks = spearman(a, b, seed=1)
    assert ranks.low < ranks.value < ranks.high


# Medians


def test_the_median_of_ratings():
    scale = (1, 2, 3, 4, 5)
    assert median_value([5, 1, 2], scale) == 2
    assert median_value([5, 1, 2, 4], scale) == 2  # the lower of the middle two
    assert median_value([4], scale) == 4
    found = median_value([5.0, 4.0, 4.0], scale)
    assert (found, type(found)) == (4, int)  # as declared
    assert median_value([0.5, 1.0, 0.0, 1.0], (0.0, 0.5, 1.0)) == 0.5
    assert median_value([1, 2, 4], None) == 2.0
    assert median_value([1.0, 2.0], None) == 1.5


@given(st.lists(ratings, min_size=1), st.randoms(use_true_random=False))
def test_a_median_is_one_of_the_ratings_whatever_their_order(values, shuffle):
    shuffled = list(values)
    shuffle.shuffle(shuffled)
    found = median_value(values, (1, 2, 3, 4, 5))
    assert found in values
    assert found == median_value(shuffled, (1, 2, 3, 4, 5))
    assert 2 * sum(v < found for v in values) < len(values)
    assert 2 * sum(v > found for v in values) <= len(values)
    half = {value: values.count(value) / len(values) for value in shuffled}
    assert median_of(half) == found  # the same word for votes and for their distribution


def test_the_median_of_a_distribution():
    assert median_of({1: 0.2, 2: 0.2, 3: 0.6}) == 3
    assert median_of({3: 0.6, 1: 0.2, 2: 0.2}) == 3
    assert median_of({1: 0.5, 5: 0.5}) == 1
    assert median_of({1: 0.1 + 0.2, 2: 0.2 - 1e-17, 3: 0.5}) == 2  # rounded on the way
    assert median_of({1: 2.0, 2: 3.0, 3: 4.0}) == 2  # weights need not sum to 1
    assert median_of({1: 0.0, 2: 1.0}) == 2


def test_there_is_no_median_of_nothing():
    for empty in (
        lambda: median_value([], (1, 2)),
        lambda: median_of({}),
        lambda: median_of({1: 0.0}),
    ):
        with pytest.raises(ValueError, match=r"the median of no ratings"):
            empty()
