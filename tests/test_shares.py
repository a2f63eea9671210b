"""Shares of different items: published intervals, the exact test by hand, and its error rate."""

from math import comb

import numpy as np
import pytest

from prelabel.estimate import Estimate, wilson
from prelabel.shares import combined, difference, fisher_midp


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_1998_table_2_method_10(counts, low, high):
    found = difference(*counts)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


def test_one_share_with_weight_1_is_itself():
    one = wilson(7, 20)
    found = combined((1, 0), (one, Estimate(None, why="nothing there")))
    assert (found.value, found.low, found.high, found.n) == pytest.approx(
        (one.value, one.low, one.high, 20)
    )


def test_what_is_not_defined_says_why():
    assert combined((0.5, 0.5), (wilson(1, 2), wilson(0, 0, undefined="none"))).why == "none"
    assert difference(1, 2, 0, 0, undefined="nobody").value is None


def midp_by_hand(k, n, other_k, other_n):
    total, right = n + other_n, k + other_k
    p = {
        x: comb(right, x) * comb(total - right, n - x) / comb(total, n)
        for x in range(max(0, right - other_n), min(n, right) + 1)
    }
    below = sum(v for x, v in p.items() if x < k) + p[k] / 2
    return min(1.0, 2 * min(below, 1 - below))


@pytest.mark.parametrize("seed", range(20))
def test_midp_by_hand(seed):
    rng = np.random.default_rng(seed)
    n, other_n = rng.integers(1, 30, size=2).tolist()
    k, other_k = int(rng.integers(0, n + 1)), int(rng.integers(0, other_n + 1))
    expected = midp_by_hand(k, n, other_k, other_n)
    assert fisher_midp(k, n, other_k, other_n) == pytest.approx(expected)
    assert fisher_midp(other_k, other_n, k, n) == pytest.approx(expected)


def test_midp_keeps_its_level():
    rng = np.random.default_rng(3)
    for n, other_n, p in ((12, 200, 0.85), (40, 60, 0.5), (5, 500, 0.95)):
        k, other_k = rng.binomial(n, p, 20_000), rng.binomial(other_n, p, 20_000)
        rate = float((fisher_midp(k, n, other_k, other_n) < 0.05).mean())
        assert rate < 0.06, (n, other_n, p, rate)


def test_nothing_to_compare():
    assert fisher_midp(0, 0, 5, 10) == 1.0
