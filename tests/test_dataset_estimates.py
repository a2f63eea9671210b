"""PPI++ against its authors' figures, and intervals of whole-dataset means by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.dataset_estimates import known_chance_mean, mean, ppi_mean, share
from prelabel.estimate import wilson

Y = [int(c) for c in "1011001011"]
F = [int(c) for c in "1010011011"]
POOL = [1] * 55 + [0] * 45


@pytest.mark.parametrize(
    ("weight", "value", "low", "high"),
    [
        (0, 0.6, 0.34518, 0.85482),
        (1, 0.55, 0.30341, 0.79659),
        (None, 0.574473, 0.362513, 0.786434),
    ],
)
def test_published_figures(weight, value, low, high):
    found, used = ppi_mean(Y, F, POOL, weight=weight, level=0.9, ddof=0)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=1e-5)
    assert found.n == 10
    if weight is None:
        assert used == pytest.approx(0.5105, abs=1e-4)


def test_unbiased_variances_are_the_default():
    found, weight = ppi_mean(Y, F, POOL, level=0.9)
    assert weight == pytest.approx(0.5673, abs=1e-4)
    assert found.value == pytest.approx(0.6 - weight * 0.05)
    y, f, pool = (np.array(each, dtype=float) for each in (Y, F, POOL))
    half = 1.6448536 * np.sqrt(
        (y - weight * f).var(ddof=1) / 10 + weight**2 * pool.var(ddof=1) / 100
    )
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_best_weight_has_the_least_variance(data):
    n = data.draw(st.integers(3, 40))
    numbers = st.lists(st.floats(-5, 5), min_size=n, max_size=n)
    y, f, pool = data.draw(numbers), data.draw(numbers), data.draw(numbers)
    found, weight = ppi_mean(y, f, pool)
    assert 0 <= weight <= 1
    shifted = ppi_mean([v + 3 for v in y], [v + 3 for v in f], [v + 3 for v in pool])[0]
    assert shifted.value == pytest.approx(found.value + 3, abs=1e-6)
    alone = ppi_mean(y, f, pool, weight=0)[0]
    assert alone.value == pytest.approx(np.mean(y))


def test_labels_that_say_nothing_get_no_weight():
    assert ppi_mean(Y, [1] * 10, [1] * 50)[1] == 0
    assert ppi_mean(Y, [1 - y for y in Y], POOL)[1] == 0  # always wrong: cut at 0
    with pytest.raises(ValueError, match="n >= 2"):
        ppi_mean([1], [1], [1])
    with pytest.raises(ValueError, match="a pool needed"):
        ppi_mean(Y, F, [])


def labeled(rng, n, prevalence, right):
    y = rng.random(n + 5000) < prevalence
    f = y ^ (rng.random(n + 5000) > right)
    return y[:n], f[:n], f[n:]


@pytest.mark.parametrize(
    ("n", "prevalence", "right", "published"),
    [
        (200, 0.3, 0.85, 0.889),
        (200, 0.3, 0.95, 0.885),
        (50, 0.3, 0.95, 0.815),
        (50, 0.05, 0.95, 0.825),
        (100, 0.05, 0.95, 0.8275),
    ],
)
def test_published_coverage_of_ppi(n, prevalence, right, published):
    rng = np.random.default_rng(3)
    held, width = 0, 0.0
    for _ in range(1000):
        found = ppi_mean(*labeled(rng, n, prevalence, right), level=0.9)[0]
        held += found.low <= prevalence <= found.high
        width += (found.high - found.low) / 1000
    # both are simulations of 1,000
    error = 3 * np.sqrt(2 * published * (1 - published) / 1000)
    assert held / 1000 == pytest.approx(published, abs=error)
    if n == 200:
        assert width == pytest.approx({0.85: 0.080, 0.95: 0.053}[right], abs=0.002)


@pytest.mark.parametrize(
    ("n", "prevalence", "right"),
    [(50, 0.3, 0.95), (50, 0.05, 0.95), (100, 0.05, 0.95), (200, 0.05, 0.97), (300, 0.2, 0.9)],
)
def test_shares_are_held_where_ppi_alone_fails(n, prevalence, right):
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(600):
        found = share(*labeled(rng, n, prevalence, right)).estimate
        held += found.low <= prevalence <= found.high
    assert held / 600 >= 0.95 - 3 * 0.0115  # 0.95 less Wilson's own dips


def test_too_little_gold_is_used_alone():
    rng = np.random.default_rng(5)
    y, f, pool = labeled(rng, 99, 0.3, 0.7)
    few = share(y, f, pool)
    assert (few.method, few.weight) == ("gold alone", None)
    assert few.estimate == wilson(int(y.sum()), 99)
    assert few.why == "99 items with gold, 100 are needed"
    y, f, pool = labeled(rng, 300, 0.3, 1)
    f[:9] = ~f[:9]
    assert share(y, f, pool).why == "labels differ from gold on 9 items, 10 are needed"
    f[9] = ~f[9]
    found = share(y, f, pool)
    assert (found.method, found.why) == ("ppi++", "")
    assert found.labels == pytest.approx(np.concatenate([f, pool]).mean())
    assert found.to_dict()["estimate"]["n"] == 300
    f[:] = ~f
    assert share(y, f, []).why == "all items have gold"
    none = share([], [], pool)
    assert (none.estimate.value, none.estimate.why) == (None, "no gold")


def test_shares_stay_within_0_and_1():
    y = np.zeros(200, dtype=bool)
    y[:2] = True
    f = np.zeros(200, dtype=bool)
    f[1:12] = True
    found = share(y, f, np.tile(f, 10))
    assert found.method == "ppi++"
    assert found.estimate.low == 0


def test_means_of_numbers():
    rng = np.random.default_rng(6)
    truth = rng.normal(3, 1, 2200)
    labels = truth + 0.4 + rng.normal(0, 0.3, 2200)  # biased
    found = mean(truth[:200], labels[:200], labels[200:])
    assert found.method == "ppi++"
    assert found.labels == pytest.approx(3.4, abs=0.1)
    assert found.estimate.value == pytest.approx(3, abs=0.1)
    alone = mean(truth[:50], labels[:50], labels[200:])
    assert alone.method == "gold alone"
    assert alone.estimate.value == pytest.approx(truth[:50].mean())
    wide, narrow = alone.estimate, found.estimate
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert mean([4], [4], [1]).estimate.why == "one item only"
    assert mean([], [], [1]).estimate.why == "no gold"


def test_known_chances_are_unbiased_where_gold_was_not_random():
    """Doubtful items, which have the value more often, got gold more often."""
    rng = np.random.default_rng(7)
    held, values, naive = 0, [], []
    for _ in range(400):
        doubt = rng.random(2000)
        y = (rng.random(2000) < doubt).astype(float)
        f = (doubt > 0.5).astype(float)
        chance = np.clip(0.3 * np.sqrt(doubt * (1 - doubt)) + 0.3 * (doubt > 0.7), 0.05, 1)
        seen = rng.random(2000) < chance
        found = known_chance_mean(f, np.where(seen, y, np.nan), chance)
        values.append(found.value - y.mean())
        naive.append(y[seen].mean() - y.mean())
        held += found.low <= 0.5 <= found.high
    assert np.mean(values) == pytest.approx(0, abs=3 * np.std(values) / 20)
    assert np.mean(naive) > 0.1
    assert held / 400 >= 0.95 - 3 * 0.011


def test_with_gold_for_all_the_labels_do_not_count():
    found = known_chance_mean([1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1])
    assert (found.value, found.n) == (0.5, 4)
    for wrong in ([0, 1], [1.2, 1], [np.nan, 1]):
        with pytest.raises(ValueError, match="each with a chance above 0"):
            known_chance_mean([1, 1], [1, 0], wrong)
