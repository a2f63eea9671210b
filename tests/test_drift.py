"""The monitor: published e-values, a second implementation, and the alarms that it promises."""

import math
from fractions import Fraction
from math import comb, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betainc

from prelabel.drift import (
    Monitor,
    log_betainc,
    log_cusum,
    log_evidence_above,
    log_evidence_below,
)
from prelabel.errors import InputError


@pytest.mark.parametrize(
    ("k", "t", "value"),
    [(0, 50, 0.1525), (5, 50, 1.5743), (10, 100, 3.4309), (12, 100, 17.507), (15, 100, 383.574)],
)
def test_published_e_values(k, t, value):
    assert float(np.exp(log_evidence_above(k, t, 0.05))) == pytest.approx(value, abs=5e-4, rel=3e-4)


def naive_e_value(k, t, target, a, b, low, high):
    """Integrate the likelihood ratio over the prior, cut to low and high."""

    def prior(p):
        return p ** (a - 1) * (1 - p) ** (b - 1)

    def bet(p):
        return prior(p) * (p / target) ** k * ((1 - p) / (1 - target)) ** (t - k)

    near = [p for p in (target, k / t) if low < p < high]
    mass = quad(prior, low, high)[0]
    return quad(bet, low, high, points=near or None, limit=200)[0] / mass


@pytest.mark.parametrize("target", [0.02, 0.1, 0.6])
@pytest.mark.parametrize(("k", "t"), [(0, 10), (3, 10), (2, 60), (12, 60), (60, 60)])
def test_both_sides_against_an_integral(k, t, target):
    above = naive_e_value(k, t, target, 1, 9, target, 1)
    below = naive_e_value(k, t, target, 0.5, 10, 0, target)
    assert float(np.exp(log_evidence_above(k, t, target))) == pytest.approx(above, rel=1e-5)
    assert float(np.exp(log_evidence_below(k, t, target))) == pytest.approx(below, rel=1e-5)


def exact_log_tail(a, n, numerator, denominator):
    """Return log P(Binomial(n, x) >= a) = log I_x(a, n - a + 1) in whole numbers."""
    rest = denominator - numerator
    total = sum(comb(n, j) * numerator**j * rest ** (n - j) for j in range(a, n + 1))
    return _log(total) - n * log(denominator)


def _log(whole):
    shift = max(whole.bit_length() - 60, 0)
    return log(whole >> shift) + shift * log(2)


@pytest.mark.parametrize(("a", "n", "x"), [(900, 1000, 0.05), (700, 1500, 0.1), (20, 40, 0.5)])
def test_the_incomplete_beta_far_in_its_tail(a, n, x):
    share = Fraction(x).limit_denominator(1000)
    exact = exact_log_tail(a, n, share.numerator, share.denominator)
    assert float(log_betainc(a, n - a + 1, x)) == pytest.approx(exact, rel=1e-9)


def test_the_series_goes_on_where_scipy_ends():
    a = np.linspace(1500, 3000, 31)
    logs = log_betainc(a, 9000.0, 0.1)
    shown = betainc(a, 9000.0, 0.1)
    assert (shown == 0).any()
    assert (shown > 1e-250).any()
    assert np.isfinite(logs).all()
    known = shown > 1e-300
    assert logs[known] == pytest.approx(np.log(shown[known]), rel=1e-10)
    assert (np.diff(logs) < 0).all()
    assert (np.abs(np.diff(logs, 2)) < 5).all()  # no step where one takes over from the other


def test_long_streams_stay_finite():
    t = 10**6
    for k in (0, 1, t // 20, t // 2, t):
        assert np.isfinite(log_evidence_above(k, t, 0.05))
        assert np.isfinite(log_evidence_below(k, t, 0.05))
    never = Monitor(0.05).watch(np.zeros(20_000, dtype=bool))
    assert never.alarm is None
    assert naive_e_value(0, never.certified - 1, 0.05, 0.5, 10, 0, 0.05) < 10
    assert naive_e_value(0, never.certified, 0.05, 0.5, 10, 0, 0.05) >= 10
    always = Monitor(0.05).watch(np.ones(20_000, dtype=bool))
    assert naive_e_value(2, 2, 0.05, 1, 9, 0.05, 1) < 20 < naive_e_value(3, 3, 0.05, 1, 9, 0.05, 1)
    assert always.alarm == 3
    assert math.isfinite(always.evidence)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.floats(0.01, 0.9))
def test_more_errors_are_more_evidence(t, target):
    k = np.arange(t + 1)
    assert (np.diff(log_evidence_above(k, t, target)) > 0).all()
    assert (np.diff(log_evidence_below(k, t, target)) < 0).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=200), st.floats(0.01, 0.95))
def test_the_cusum_is_its_recursion(errors, target):
    raised = 2 * target if target <= 1 / 3 else min(2 * target, (1 + target) / 2)
    m, found = 1.0, []
    for wrong in errors:
        m = max(m, 1.0) * (raised / target if wrong else (1 - raised) / (1 - target))
        found.append(log(m))
    assert log_cusum(errors, target) == pytest.approx(found, abs=1e-9)


# What is promised, by simulation


def streams(runs, rate, audits, seed):
    errors = np.random.default_rng(seed).random((runs, audits)) < rate
    return errors, errors.cumsum(axis=1), np.broadcast_to(np.arange(1, audits + 1), errors.shape)


def first(reached):
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, inf)


def test_false_alarms():
    errors, k, t = streams(1000, 0.05, 2000, 11)
    evidence = (log_evidence_above(k, t, 0.05) >= log(20)).any(axis=1).mean()
    certified = (log_evidence_below(k, t, 0.05) >= log(10)).any(axis=1).mean()
    change = np.mean([(log_cusum(row, 0.05) >= log(1000)).any() for row in errors])
    assert evidence == pytest.approx(0.0325, abs=3 * 0.0056)  # Monte Carlo error
    assert certified == pytest.approx(0.091, abs=3 * 0.0091)
    assert change == pytest.approx(0.02, abs=3 * 0.0044)


@pytest.mark.parametrize(("rate", "median"), [(0.08, 402), (0.10, 141), (0.15, 42)])
def test_audits_to_the_alarm(rate, median):
    _, k, t = streams(500, rate, 2500, 12)
    alarm = first(log_evidence_above(k, t, 0.05) >= log(20))
    assert np.median(alarm) == pytest.approx(median, rel=0.15)


@pytest.mark.parametrize(("rate", "median"), [(0.01, 57), (0.02, 155), (0.03, 449)])
def test_audits_to_the_certificate(rate, median):
    _, k, t = streams(500, rate, 2500, 13)
    sure = first(log_evidence_below(k, t, 0.05) >= log(10))
    assert np.median(sure) == pytest.approx(median, rel=0.2)


def test_a_late_change_is_seen_by_the_cusum_first():
    rates = np.where(np.arange(2500) < 500, 0.03, 0.12)
    errors, k, t = streams(300, rates, 2500, 14)
    plain = first(log_evidence_above(k, t, 0.05) >= log(20))
    late = first(np.array([log_cusum(row, 0.05) for row in errors])[:, 500:] >= log(1000))
    assert np.median(plain) == pytest.approx(954, rel=0.1)
    assert np.median(late) == pytest.approx(163, rel=0.1)


def test_a_false_alarm_of_the_cusum_comes_as_rarely_as_said():
    errors, _, _ = streams(300, 0.05, 3000, 15)
    alarm = first(np.array([log_cusum(row, 0.05) for row in errors]) >= log(50))
    assert np.minimum(alarm, 3000).mean() >= 50


# The monitor


def test_an_alarm_names_the_audit_and_stays():
    outcomes = [False] * 40 + [True] * 8
    early = Monitor(0.05).watch(outcomes)
    assert early.alarm is not None
    assert outcomes[early.alarm - 1]
    assert Monitor(0.05).watch(outcomes[: early.alarm - 1]).alarm is None
    later = Monitor(0.05).watch([*outcomes, *[False] * 500])
    assert (later.alarm, later.by) == (early.alarm, early.by)
    assert later.evidence < 20
    assert f"alarm at audit {early.alarm} (8 of 548 audited are wrong)" in later.reason


def test_a_rise_after_a_long_good_time_is_named_a_rise():
    found = Monitor(0.05).watch([False] * 600 + [True] * 20)
    assert found.by == "change"
    assert 600 < found.alarm < 620
    assert found.certified is not None
    assert "has risen above the promised 0.05" in found.to_dict()["reason"]


def test_thresholds_are_the_settings():
    outcomes = [True, False] * 40
    alarms = [Monitor(0.2, delta=d, every=1e9).watch(outcomes).alarm for d in (0.2, 0.05, 0.001)]
    assert alarms == sorted(alarms)
    assert len(set(alarms)) == 3
    assert Monitor(0.2, delta=1e-9, every=10).watch(outcomes).by == "change"


def test_nothing_audited_says_nothing():
    found = Monitor(0.05).watch([])
    assert (found.audits, found.evidence, found.alarm, found.reason) == (0, 1.0, None, None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target": 0}, "target must be above 0 and below 1, such as 0.05; got 0"),
        ({"target": 5}, "target must be"),
        ({"target": math.nan}, "target must be"),
        ({"target": 0.1, "delta": 1}, "delta must be"),
        ({"target": 0.1, "risk": 0}, "risk must be"),
        ({"target": 0.1, "every": 1}, "every must be above 1 audit"),
    ],
)
def test_settings_that_make_no_sense(wrong, message):
    with pytest.raises(InputError, match=message):
        Monitor(**wrong)
