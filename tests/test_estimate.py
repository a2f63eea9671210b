"""Intervals: published values, coverage-free properties, and what has no interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.estimate import Estimate, bootstrap, bootstrap_each, wilson


def share_of_first(weights):
    return weights[:, 0] / weights.sum(axis=1)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(k, n, low, high):
    found = wilson(k, n)
    assert (found.value, found.n) == (k / n, n)
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


def test_wilson_of_nothing_is_not_defined():
    assert wilson(0, 0) == Estimate(None, why="no items")
    assert str(wilson(0, 0, undefined="nothing was labeled")) == "not defined: nothing was labeled"


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (1, 0)])
def test_wilson_refuses_an_impossible_count(k, n):
    with pytest.raises(ValueError, match=f"k must be from 0 to n, got {k} of {n}"):
        wilson(k, n)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(pair):
    k, n = pair
    found, mirrored = wilson(k, n), wilson(n - k, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    assert wilson(k, n, level=0.5).low >= found.low - 1e-12


def test_an_estimate_prints_its_value_interval_or_reason():
    assert str(Estimate(0.857, 0.8441, 0.8694, 3021)) == "0.857 [0.844, 0.869]"
    assert f"{Estimate(0.857, 0.8441, 0.8694, 3021):.1%}" == "85.7% [84.4%, 86.9%]"
    assert str(Estimate(None, why="only one label occurs")) == "not defined: only one label occurs"
    assert str(Estimate(1.0, n=1, why="one item only")) == "1.000 (no interval: one item only)"
    assert str(Estimate(0.5)) == "0.500"
    assert str(Estimate(None)) == "not defined"


def test_a_large_share_has_the_interval_of_theory():
    found = bootstrap(share_of_first, [6000, 4000], resamples=4000)
    expected = wilson(6000, 10000)
    assert found.value == 0.6
    assert found.low == pytest.approx(expected.low, abs=0.001)
    assert found.high == pytest.approx(expected.high, abs=0.001)


def test_patterns_and_single_items_are_resampled_alike():
    values = np.array([1.0] * 60 + [0.0] * 40)
    by_item = bootstrap(lambda w: w @ values / w.sum(axis=1), np.ones(100), resamples=4000)
    by_pattern = bootstrap(share_of_first, [60, 40], resamples=4000)
    assert by_item.value == by_pattern.value
    assert by_item.low == pytest.approx(by_pattern.low, abs=0.011)
    assert by_item.high == pytest.approx(by_pattern.high, abs=0.011)


def test_few_items_get_the_jackknife_with_t():
    # of a mean the jackknife error is the ordinary standard error
    values = np.array([0.1, 0.4, 0.5, 0.2, 0.3])
    found = bootstrap(lambda w: w @ values / w.sum(axis=1), np.ones(5))
    half = 2.7764451 * values.std(ddof=1) / np.sqrt(5)
    assert found.low == pytest.approx(0.3 - half)
    assert found.high == pytest.approx(0.3 + half)


def test_the_jackknife_weighs_patterns_by_their_size_and_stays_within_one():
    grouped = bootstrap(share_of_first, [8, 2])
    single = bootstrap(lambda w: w[:, :8].sum(axis=1) / w.sum(axis=1), np.ones(10))
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high))
    assert grouped.high == 1.0


def test_the_same_seed_gives_the_same_interval():
    once, again = (bootstrap(share_of_first, [60, 40], seed=3) for _ in range(2))
    assert once == again
    assert once != bootstrap(share_of_first, [60, 40], seed=4)


def test_columns_share_resamples():
    both = bootstrap_each(
        lambda w: np.column_stack([share_of_first(w), 1 - share_of_first(w)]), [60, 40]
    )
    assert both[0] == bootstrap(share_of_first, [60, 40])
    assert both[1].low == pytest.approx(1 - both[0].high)


def test_where_resampling_says_nothing_there_is_no_interval():
    assert bootstrap(share_of_first, [100, 0]).why == "all resamples give the same value"
    assert bootstrap(share_of_first, [1, 0]).why == "one item only"
    assert bootstrap(share_of_first, [100, 0]).low is None

    def needs_both(weights):
        return np.where((weights > 0).all(axis=1), 1.0, np.nan)

    assert bootstrap(needs_both, [99, 1]).why.startswith("it hangs on too few items")
    assert bootstrap(needs_both, [19, 1]).why.startswith("it hangs on too few items")


@pytest.mark.parametrize("sizes", [[], [0, 0], [0, 10], [0, 100]])
def test_an_undefined_statistic_has_a_reason_and_no_number(sizes):
    def never(weights):
        return np.full(len(weights), np.nan)

    for below in (0, 50):
        found = bootstrap(never, sizes, undefined="only one label occurs", jackknife_below=below)
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.why == "only one label occurs"
        assert found.n == sum(sizes)


def test_many_patterns_are_resampled_in_parts_and_less_often(monkeypatch):
    drawn = []

    def count(weights):
        drawn.append(len(weights))
        assert (weights.sum(axis=1) == 200).all()
        return share_of_first(weights)

    monkeypatch.setattr("prelabel.estimate._CELLS_AT_ONCE", 200 * 90)
    monkeypatch.setattr("prelabel.estimate._CELLS_IN_ALL", 200 * 300)
    bootstrap(count, np.ones(200))
    assert drawn == [1, 90, 90, 90, 30]
