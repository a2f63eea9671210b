"""How many gold items: known values, exact power against simulation, widths against simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from prelabel.errors import InputError
from prelabel.estimate import wilson
from prelabel.gold_sizes import (
    gold_size,
    items_for_accuracy,
    items_for_agreement,
    items_for_difference,
    items_for_noninferiority,
    power_of_difference,
    power_of_noninferiority,
    read_shares,
)
from prelabel.paired import mcnemar, tango_z
from prelabel.reliability import krippendorff_alpha


def test_items_for_an_interval_of_accuracy():
    assert (items_for_accuracy(0.1, 0.85), items_for_accuracy(0.06, 0.85)) == (196, 545)


@given(st.floats(0.02, 0.6), st.floats(0, 1))
@settings(max_examples=40)
def test_one_item_fewer_would_be_too_wide(width, accuracy):
    n = items_for_accuracy(width, accuracy)

    def wide(m):
        found = wilson(accuracy * m, m)
        return found.high - found.low

    assert wide(n) <= width
    assert n == 1 or wide(n - 1) > width


@pytest.mark.parametrize(
    ("discordance", "difference", "n"),
    [(0.1, 0.03, 870), (0.1, 0.05, 312), (0.2, 0.05, 626), (0.2, 0.1, 155), (0.3, 0.1, 234)],
)
def test_items_to_tell_two_annotators_apart(discordance, difference, n):
    assert items_for_difference(difference, discordance) == n
    assert items_for_difference(-difference, discordance) == n
    exact = power_of_difference(n, difference, discordance)
    assert exact == pytest.approx(0.8, abs=0.015)
    rng = np.random.default_rng(0)
    chances = [(discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance]
    b, c, _ = rng.multinomial(n, chances, 20_000).T
    assert exact == pytest.approx((mcnemar(b, c) <= 0.05).mean(), abs=0.012)


@pytest.mark.parametrize(
    ("discordance", "margin", "n"),
    [(0.1, 0.05, 248), (0.2, 0.05, 495), (0.2, 0.1, 124), (0.3, 0.05, 742)],
)
def test_items_to_show_noninferiority(discordance, margin, n):
    assert items_for_noninferiority(margin, discordance) == n
    exact = power_of_noninferiority(n, margin, discordance)
    assert exact == pytest.approx(0.8, abs=0.03)
    rng = np.random.default_rng(0)
    b, c, _ = rng.multinomial(n, [discordance / 2, discordance / 2, 1 - discordance], 20_000).T
    shown = tango_z(b, c, n, -margin) >= ndtri(0.95)
    assert exact == pytest.approx(shown.mean(), abs=0.012)


def test_power_grows_with_items_and_is_the_rate_where_there_is_nothing_to_find():
    powers = [power_of_difference(n, 0.1, 0.2) for n in (50, 100, 200, 400)]
    assert powers == sorted(powers)
    assert power_of_difference(3, 1.0, 1.0) == 0  # three items cannot tell anything
    assert power_of_difference(items_for_difference(1.0, 1.0), 1.0, 1.0) == pytest.approx(1)
    assert power_of_noninferiority(300, 0.05, 0.2, -0.05) == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize(("kappa", "share"), [(0.7, 0.5), (0.4, 0.1), (0.0, 0.3), (0.9, 0.2)])
def test_items_for_kappa_are_by_the_published_variance(kappa, share):
    spread = 2 * share * (1 - share)
    variance = (1 - kappa) * ((1 - kappa) * (1 - 2 * kappa) + kappa * (2 - kappa) / spread)
    expected = variance * (2 * 1.959964 / 0.1) ** 2
    n = items_for_agreement(0.1, kappa, [share, 1 - share])
    assert n == pytest.approx(expected, abs=1)


def alphas(n, agreement, shares, annotators, reps, rng):
    """Nominal alphas of simulated annotators, by another implementation of the model."""
    found = []
    for _ in range(reps):
        label = rng.choice(len(shares), (n, 1), p=shares)
        guess = rng.choice(len(shares), (n, annotators), p=shares)
        given = np.where(rng.random((n, annotators)) < np.sqrt(agreement), label, guess)
        counts = np.stack([(given == k).sum(axis=1) for k in range(len(shares))], axis=1)
        found.append(krippendorff_alpha(counts))
    return np.array(found)


@pytest.mark.parametrize(
    ("agreement", "shares", "annotators"),
    [(0.7, (0.5, 0.5), 2), (0.6, (0.8, 0.2), 3), (0.5, (0.5, 0.3, 0.2), 4)],
)
def test_items_for_alpha_give_the_width_asked_for(agreement, shares, annotators):
    n = items_for_agreement(0.15, agreement, shares, annotators)
    found = alphas(n, agreement, shares, annotators, 400, np.random.default_rng(1))
    assert found.mean() == pytest.approx(agreement, abs=0.01)
    assert 2 * 1.96 * found.std() == pytest.approx(0.15, rel=0.12)


def test_the_order_of_labels_does_not_matter_and_more_annotators_need_fewer_items():
    assert items_for_agreement(0.1, 0.6, [0.7, 0.2, 0.1]) == items_for_agreement(
        0.1, 0.6, [0.1, 0.7, 0.2]
    )
    sizes = [items_for_agreement(0.1, 0.6, annotators=m) for m in (2, 3, 5)]
    assert sizes == sorted(sizes, reverse=True)


def test_all_questions_at_once():
    rows = gold_size()
    assert [row.items for row in rows] == [
        196,
        626,
        495,
        items_for_agreement(0.1, 0.7, (0.5, 0.5), 3),
    ]
    several = gold_size(comparisons=10)
    assert several[1].items > rows[1].items
    assert several[1].power == pytest.approx(0.8, abs=0.02)
    assert pd.DataFrame([row.to_dict() for row in rows]).shape == (4, 4)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"width": 0}, "width must be a share"),
        ({"width": 1e-6}, "takes over 10,000,000 items"),
        ({"accuracy": 1.2}, "accuracy must be a share"),
        ({"difference": 0.3}, "needs a discordance of at least as much, got 0.2"),
        ({"difference": 0.0}, "needs a discordance"),
        ({"discordance": 0.0}, "discordance must be a share"),
        ({"margin": 0.0}, "margin must be a share"),
        ({"shares": (0.5, 0.4)}, "shares must be over 0 and add up to 1"),
        ({"shares": (1.0,)}, "shares must be over 0"),
        ({"annotators": 1}, "takes two annotators, got 1"),
        ({"annotators": 9, "shares": (0.05,) * 20}, "too many labels"),
        ({"comparisons": 0}, "comparisons must be 1 or more, got 0"),
        ({"power": 1.0}, "power must be a share"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(asked, says):
    with pytest.raises(InputError, match=says) as caught:
        gold_size(**asked)
    assert "\n" not in str(caught.value)


def test_a_difference_beyond_the_margin_cannot_be_shown():
    with pytest.raises(InputError, match="give a wider margin"):
        items_for_noninferiority(0.05, 0.2, -0.06)


def test_shares_are_read_from_a_list():
    assert read_shares("0.9, 0.1") == [0.9, 0.1]
    with pytest.raises(InputError, match="shares 'half'; give numbers, such as"):
        read_shares("half")
