"""The exact tests of promises: published values, sums over outcomes, and what is refused."""

from math import comb, inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, hypergeom

from prelabel.errors import InputError
from prelabel.promise_tests import (
    binomial_p,
    gold_for,
    loss_p,
    most_wrong,
    need,
    power,
    start_coverage,
    start_of,
    upper,
)


def cdf(wrong, n, p):
    """BinomCDF, term by term."""
    return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(wrong + 1))


@pytest.mark.parametrize(
    ("target", "delta", "items"),
    [
        (0.05, 0.10, [45, 77, 105, 132, 158, 184, 209]),
        (0.05, 0.05, [59, 93, 124, 153, 181, 208, 234]),
        (0.02, 0.10, [114, 194, 265, 333, 398]),
        (0.10, 0.10, [22, 38, 52, 65, 78]),
    ],
)
def test_the_items_needed_for_so_many_wrong(target, delta, items):
    assert [need(wrong, target, delta) for wrong in range(len(items))] == items


@given(st.integers(0, 6), st.floats(0.02, 0.45), st.floats(0.01, 0.5))
def test_the_items_needed_are_the_first_that_pass(wrong, target, delta):
    n = wrong + 1
    while cdf(wrong, n, target) > delta:
        n += 1
    assert need(wrong, target, delta) == n


@pytest.mark.parametrize(
    ("target", "true", "at_10", "at_5"),
    [
        (0.05, 0.00, 45, 59),
        (0.05, 0.01, 77, 124),
        (0.05, 0.02, 184, 234),
        (0.05, 0.03, 446, 601),
        (0.02, 0.00, 114, 149),
        (0.02, 0.005, 265, 386),
        (0.02, 0.01, 708, 969),
        (0.10, 0.03, 65, 76),
        (0.10, 0.05, 128, 179),
        (0.01, 0.00, 230, 299),
        (0.01, 0.002, 388, 628),
        (0.01, 0.005, 1418, 1941),
    ],
)
def test_the_power_table(target, true, at_10, at_5):
    assert power(target, true, 0.10) == at_10
    assert power(target, true, 0.05) == at_5


def test_power_is_the_first_size_at_which_the_test_passes_often_enough():
    target, true, delta = 0.1, 0.04, 0.1

    def passes(n):
        allowed = max((k for k in range(n) if cdf(k, n, target) <= delta), default=-1)
        return cdf(allowed, n, true) if allowed >= 0 else 0.0

    n = power(target, true, delta)
    assert passes(n) >= 0.8
    assert all(passes(m) < 0.8 for m in range(1, n))


def test_p_values_of_the_worked_example():
    found = binomial_p([0, 1, 1, 3, 5], [80, 100, 120, 140, 160], 0.05)
    assert found == pytest.approx([0.0165, 0.0371, 0.0155, 0.0765, 0.1842], abs=5e-5)
    # counts that a program rounding rates gets wrong by one
    assert binomial_p([5, 3, 2], [100, 140, 105], 0.05) == pytest.approx(
        [0.61600, 0.07652, 0.09919], abs=5e-6
    )
    assert binomial_p(1, 45, 0.05) == pytest.approx(0.3350, abs=5e-5)


def test_nothing_tested_and_all_wrong_prove_nothing():
    assert binomial_p([0, 3], [0, 3], 0.05).tolist() == [1.0, 1.0]
    assert upper([0, 2], [0, 2], 0.1).tolist() == [1.0, 1.0]


@given(st.integers(1, 300), st.data(), st.floats(0.01, 0.5))
def test_the_upper_bound_is_clopper_pearsons(n, data, delta):
    k = data.draw(st.integers(0, n - 1))
    bound = float(upper(k, n, delta))
    assert bound == pytest.approx(beta.ppf(1 - delta, k + 1, n - k), abs=1e-9)
    assert binom.cdf(k, n, bound) == pytest.approx(delta, abs=1e-6)


def test_the_wrong_items_allowed_of_all_items():
    sizes = [44, 45, 50, 100, 200, 500, 1000]
    assert [most_wrong(n, 0.05, 0.1) for n in sizes] == [-1, 0, 0, 1, 5, 18, 40]
    assert most_wrong(1000, 0.05, 0.1, 5000) == 41


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.01, 0.9), st.floats(0.01, 0.9))
def test_the_wrong_items_allowed_of_a_pool_are_the_most_that_pass(gold, more, target, delta):
    pool = gold + more
    allowed = most_wrong(gold, target, delta, pool)
    wrong = min(int(target * pool + 1e-9) + 1, pool)
    passing = [k for k in range(gold + 1) if hypergeom.cdf(k, pool, wrong, gold) <= delta]
    assert allowed == max(passing, default=-1)


def test_a_share_of_the_pool_that_floats_cannot_write():
    # .29 x 100 is 28.999...: 29 wrong items keep the promise, 30 break it
    assert float(loss_p(0, 10, 0.29, 100)) == pytest.approx(hypergeom.cdf(0, 100, 30, 10))


@pytest.mark.parametrize(
    ("gold", "needed"),
    [
        (45, 45),
        (100, 45),  # none wrong
        (200, 77),  # one wrong, at no more than half
        (500, 158),  # four wrong, the most that start at a third
        (5000, 209),  # and no more than six
    ],
)
def test_where_to_start_hangs_on_the_number_of_gold_items(gold, needed):
    coverages = np.arange(1, 10_001) / 10_000
    start = start_of(gold, coverages, coverages, 0.05, 0.1)
    assert gold * start - sqrt(gold * start * (1 - start)) / 2 == pytest.approx(needed, rel=1e-2)
    assert start <= 1


def test_a_start_among_few_scores_has_the_room_that_these_leave():
    coverages = np.array([0.25, 0.5, 1.0])  # three wrong would start at half, two at a quarter
    assert start_of(500, coverages, coverages, 0.05, 0.1) == 0.25
    assert start_of(100, coverages, coverages, 0.05, 0.1) == 0.5


def test_a_start_that_is_nowhere():
    coverages = np.array([0.5, 1.0])
    for gold in (0, 44):
        assert start_of(gold, coverages, coverages, 0.05, 0.1) == inf
    assert start_of(50, coverages[:1], coverages[:1], 0.05, 0.1) == inf
    assert start_coverage([inf, inf, inf]) == inf


def test_gold_that_would_do():
    # none wrong yet: as for one wrong, over the share of items; much wrong: no number would do
    assert gold_for(0.05, 0.1, *_regions((0.5, 20, 0))) == 154
    assert gold_for(0.05, 0.1, *_regions((0.5, 20, 0), (1.0, 40, 20))) == 154
    assert gold_for(0.05, 0.1, *_regions((1.0, 40, 20))) is None
    assert gold_for(0.05, 0.1, *_regions((0.1, 0, 0), (1.0, 0, 0))) == 77
    assert gold_for(0.05, 0.1, *_regions((0.1, 0, 0), (1.0, 9, 9))) is None
    # 1 of 74: .02 with half a wrong item added
    assert gold_for(0.05, 0.1, *_regions((0.25, 74, 1))) == 4 * power(0.05, 1.5 / 75, 0.1) == 736


def _regions(*rows):
    return (np.array(column, dtype=float) for column in zip(*rows, strict=True))


def test_gold_that_would_do_would_do_four_times_of_five():
    coverage, rate = 0.4, 0.02
    items = gold_for(0.05, 0.1, *_regions((coverage, 1e6, rate * 1e6)))
    inside = round(items * coverage)
    allowed = most_wrong(inside, 0.05, 0.1)
    assert binom.cdf(allowed, inside, rate) >= 0.79


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: need(0, 0, 0.1), "target must be between 0 and 1, got 0"),
        (lambda: need(0, 0.05, 1), "delta must be between 0 and 1, got 1"),
        (lambda: need(-1, 0.05, 0.1), "wrong items must be 0 or more, got -1"),
        (lambda: power(0.05, 0.05, 0.1), "must be below the target 0.05"),
        (lambda: power(0.05, 0.01, 0.1, power=1), "power must be a share"),
        (lambda: power(0.05, 0.04999, 0.1), "more than 100,000 gold items"),
    ],
)
def test_impossible_questions_are_refused_in_a_line(call, said):
    with pytest.raises(InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)
