"""Paired tests and intervals: published values, exact sums by hand, rates by simulation."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binomtest

from prelabel.paired import corrected, mcnemar, noninferior_p, tango, tango_bounds, tango_z

BENJAMINI_HOCHBERG = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
]
counts = st.integers(0, 40)


def test_mcnemar_gives_the_published_mid_p():
    assert mcnemar(1, 7) == pytest.approx(0.0390625)  # Fagerland et al. 2013, first example
    assert binomtest(1, 8).pvalue == pytest.approx(0.0703125)


@given(counts, counts)
def test_mcnemar_is_the_exact_test_with_what_was_seen_counted_half(b, c):
    n = b + c
    far = abs(b - c)
    chance = [comb(n, k) / 2**n for k in range(n + 1)]
    more = sum(p for k, p in enumerate(chance) if abs(2 * k - n) > far)
    same = sum(p for k, p in enumerate(chance) if abs(2 * k - n) == far)
    assert mcnemar(b, c) == pytest.approx(more + same / 2 if n else 1)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_mcnemar_takes_arrays_and_holds_its_rate():
    rng = np.random.default_rng(0)
    for n, discordance in ((50, 0.2), (200, 0.1)):
        b, c, _ = rng.multinomial(n, [discordance / 2, discordance / 2, 1 - discordance], 20_000).T
        assert (mcnemar(b, c) <= 0.05).mean() < 0.054


@pytest.mark.parametrize(
    ("b", "c", "n", "low", "high"),
    [
        (0, 1, 44, -0.11808, 0.05939),
        (12, 2, 50, 0.06111, 0.34471),
        (1, 7, 21, -0.51723, -0.02600),
    ],
)
def test_tango_gives_the_published_intervals(b, c, n, low, high):
    found = tango(b, c, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)
    assert (found.value, found.n) == ((b - c) / n, n)


def naive_score(b, c, n, d):
    """The score with the likelihood maximised over a grid, without Tango's closed form."""
    grid = np.linspace(max(0, -d), min(1, (1 - d) / 1), 400_001)[1:-1]
    grid = grid[grid * 2 + d < 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = c * np.log(grid) + b * np.log(grid + d) + (n - b - c) * np.log(1 - 2 * grid - d)
    second = grid[np.nanargmax(chance)]
    return (b - c - n * d) / np.sqrt(n * (2 * second + d * (1 - d)))


@pytest.mark.parametrize(("b", "c", "n"), [(5, 3, 30), (9, 1, 40), (2, 11, 25)])
@pytest.mark.parametrize("d", [-0.3, -0.1, 0.05, 0.3])
def test_the_score_is_that_of_the_likeliest_shares(b, c, n, d):
    assert float(tango_z(b, c, n, d)) == pytest.approx(naive_score(b, c, n, d), abs=1e-3)


@given(counts, counts, st.integers(0, 40))
def test_tango_is_symmetric_and_holds_what_was_seen(b, c, more):
    n = b + c + more
    one, other = tango(b, c, n), tango(c, b, n)
    if n == 0:
        assert str(one) == "not defined: no item that both labeled"
        return
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert one.low < one.high
    for end, z in ((one.low, 1.959964), (one.high, -1.959964)):
        if abs(end) < 1:
            assert float(tango_z(b, c, n, end)) == pytest.approx(z, abs=1e-4)


def test_tango_of_no_difference_and_of_nothing_else():
    z = 1.959963985
    assert tango(0, 0, 30).high == pytest.approx(z**2 / (30 + z**2))
    assert (tango(30, 0, 30).high, tango(0, 30, 30).low) == (1, -1)
    with pytest.raises(ValueError, match="got 3 and 4 of 5"):
        tango(3, 4, 5)


@pytest.mark.parametrize(
    ("n", "first", "second"), [(30, 0.1, 0.1), (100, 0.15, 0.02), (500, 0.03, 0.02)]
)
def test_tango_covers_as_often_as_it_says(n, first, second):
    rng = np.random.default_rng(1)
    b, c, _ = rng.multinomial(n, [first, second, 1 - first - second], 4000).T
    low, high = tango_bounds(b, c, n)
    assert 0.935 < ((low <= first - second) & (first - second <= high)).mean() < 0.98


@given(counts, counts, st.integers(1, 40), st.sampled_from([0.02, 0.05, 0.2]))
def test_noninferiority_is_the_lower_end_of_the_90_percent_interval(b, c, more, margin):
    n = b + c + more
    low = tango(b, c, n, level=0.9).low
    if abs(low + margin) > 1e-6:
        assert (noninferior_p(b, c, n, margin) < 0.05) == (low > -margin)


def test_noninferiority_of_nothing_is_not_shown_and_at_the_margin_its_rate_holds():
    assert noninferior_p(0, 0, 0, 0.1) == 1
    rng = np.random.default_rng(2)
    b, c, _ = rng.multinomial(300, [0.075, 0.125, 0.8], 20_000).T
    assert (ndtr(-tango_z(b, c, 300, -0.05)) <= 0.05).mean() < 0.056


def test_corrections_of_the_published_p_values():
    found = {
        method: sum(p <= 0.05 for p in corrected(BENJAMINI_HOCHBERG, method))
        for method in ("bh", "holm", "none")
    }
    assert found == {"bh": 4, "holm": 3, "none": 9}


def naive_holm(ps, alpha):
    """Step down: reject while the k-th smallest is at most alpha / (m - k)."""
    order = sorted(range(len(ps)), key=lambda k: ps[k])
    rejected = set()
    for step, k in enumerate(order):
        if ps[k] > alpha / (len(ps) - step):
            break
        rejected.add(k)
    return rejected


@given(st.lists(st.floats(0, 1), max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_stepping_down_rejects(ps, alpha):
    found = corrected(ps, "holm")
    if any(abs(p - alpha) < 1e-12 for p in found):
        return
    assert {k for k, p in enumerate(found) if p <= alpha} == naive_holm(ps, alpha)
    assert all(p <= q <= 1 for p, q in zip(ps, found, strict=True))


@given(st.lists(st.floats(0, 1), max_size=10), st.randoms())
@settings(max_examples=50)
def test_the_order_of_tests_does_not_matter(ps, random):
    order = list(range(len(ps)))
    random.shuffle(order)
    for method in ("holm", "bh", "none"):
        whole = corrected(ps, method)
        assert corrected([ps[k] for k in order], method) == pytest.approx([whole[k] for k in order])


def test_holm_keeps_the_chance_of_any_false_finding():
    rng = np.random.default_rng(3)
    ps = rng.random((4000, 6))
    wrong = [min(corrected(row.tolist(), "holm")) <= 0.05 for row in ps]
    assert np.mean(wrong) < 0.06


def test_arrays_give_what_single_numbers_give():
    cells = list(product(range(4), range(4)))
    b, c = np.array(cells).T
    assert mcnemar(b, c).tolist() == [mcnemar(*cell) for cell in cells]
    low, high = tango_bounds(b, c, 9)
    single = [tango(int(x), int(y), 9) for x, y in cells]
    assert low.tolist() == [one.low for one in single]
    assert high.tolist() == [one.high for one in single]
