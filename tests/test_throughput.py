"""What labeling took: seconds, annotations a minute, tokens and dollars."""

import numpy as np
import pandas as pd
import pytest

from prelabel.estimate import wilson
from prelabel.throughput import per_correct, quantile, rate, throughput


def rows(n, **columns):
    """Return the usage of ``n`` annotations of one annotator, finished a second apart."""
    usual = {
        "annotator": "m",
        "labeled": True,
        "calls": 1,
        "input_tokens": 100,
        "output_tokens": 10,
        "cost": 0.01,
        "replayed": False,
        "latency": 2.0,
        "created": 1000.0 + np.arange(n),
    }
    return pd.DataFrame(usual | columns, index=range(n))


def test_worked_example():
    table = rows(61, latency=np.arange(61) / 10, labeled=[True] * 50 + [False] * 11)
    (found,) = throughput(table, {"m": wilson(8, 10)})
    assert (found.annotations, found.labeled, found.paid, found.calls) == (61, 50, 61, 61)
    assert found.median.value == pytest.approx(3.0)
    assert found.median.low < 3.0 < found.median.high
    assert found.p95.value == pytest.approx(5.7)
    assert (found.per_minute, found.minutes) == (pytest.approx(60), pytest.approx(1))
    assert (found.input_tokens, found.output_tokens) == (100, 10)
    each = 61 * 0.01 / 50  # failures cost, too
    assert found.per_1000 == pytest.approx(1000 * each)
    assert found.per_correct.value == pytest.approx(each / 0.8)
    share = wilson(8, 10)
    assert found.per_correct.low == pytest.approx(each / share.high)
    assert found.per_correct.high == pytest.approx(each / share.low)


def test_replayed_answers_are_no_calls_but_cost_what_they_cost():
    table = rows(10, replayed=[True] * 6 + [False] * 4, latency=[9.0] * 6 + [1.0] * 4)
    (found,) = throughput(table, {"m": wilson(5, 5)})
    assert (found.paid, found.replayed, found.calls) == (4, 6, 4)
    assert found.median.value == 1.0
    assert found.per_minute == pytest.approx(60)
    assert found.per_1000 == pytest.approx(10.0)
    assert found.input_tokens == 100


def test_imported_labels_took_nothing_that_is_known():
    table = rows(3, calls=0, cost=float("nan"), replayed=True, latency=0.0)
    (found,) = throughput(table, {})
    assert (found.paid, found.replayed, found.per_minute, found.input_tokens) == (0, 0, None, None)
    assert (found.median.value, found.median.why) == (None, "no call was paid")
    assert (found.per_1000, found.per_correct.value) == (None, None)
    assert found.per_correct.why == "a price is unknown"


def test_one_unknown_price_makes_the_price_unknown():
    (found,) = throughput(rows(3, cost=[0.1, np.nan, 0.1]), {"m": wilson(1, 2)})
    assert found.per_1000 is None


def test_a_model_that_costs_nothing():
    (found,) = throughput(rows(3, cost=0.0), {"m": wilson(1, 2)})
    assert (found.per_1000, found.per_correct.value, found.per_correct.high) == (0, 0, 0)


def test_what_a_right_label_costs_where_none_is_right():
    assert per_correct(1.0, 5, wilson(0, 9)).why == "no label is right"
    assert per_correct(1.0, 0, wilson(0, 0)).why == "nothing was labeled"
    assert per_correct(1.0, 5, wilson(0, 0, undefined="nothing")).why == "nothing"


def test_pauses_between_runs_do_not_count():
    first, second = np.arange(0, 60, 2.0) + 1, np.arange(0, 60, 2.0) + 90_000
    created = np.concatenate([first, second])
    found = rate(created, np.full(60, 3.0))
    assert found == (pytest.approx(30), pytest.approx(58 * 2 / 60))
    slow = rate(np.arange(1, 1000, 100.0), np.full(10, 90.0))  # slow calls are no pauses
    assert slow[0] == pytest.approx(0.6)
    assert rate(np.array([5.0]), np.ones(1)) == (None, None)
    assert rate(np.zeros(5), np.ones(5)) == (None, None)
    assert rate(np.array([1.0, 9_000.0]), np.ones(2)) == (None, None)


@pytest.mark.parametrize(("share", "n"), [(0.5, 20), (0.5, 201), (0.95, 120), (0.95, 1000)])
def test_intervals_of_quantiles_cover(share, n):
    rng = np.random.default_rng(1)
    truth = float(np.exp(0.8 * np.sqrt(2) * _erfinv(2 * share - 1)))
    held = 0
    for _ in range(400):
        found = quantile(rng.lognormal(0, 0.8, n), share)
        held += found.low <= truth <= found.high
    assert held / 400 >= 0.935


def _erfinv(x):
    from scipy.special import erfinv

    return erfinv(x)


def test_few_values_have_no_interval():
    found = quantile(np.arange(10.0), 0.95)
    assert found.low is None
    assert found.why == "too few annotations for an interval"
    assert quantile(np.empty(0), 0.5).value is None
