"""Bradley-Terry ranking: a published table, ties, groups that never met, and position bias."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.position import position_bias, shown_verdicts
from prelabel.ranking import games, rank
from prelabel.records import Annotation, Item

# Agresti, Categorical Data Analysis: the American League of 1987, wins of row against column.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
ESTIMATES = (1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0)


def league():
    rows = [
        (a, b)
        for a, row in zip(TEAMS, WINS, strict=True)
        for b, n in zip(TEAMS, row, strict=True)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=["winner", "loser"])


def played(*pairs):
    return pd.DataFrame([tuple(pair) for pair in pairs], columns=["winner", "loser"])


def strengths(ranking):
    return {row.name: row.strength.value for row in ranking.strengths}


@pytest.fixture(scope="module")
def season():
    return rank(league())


def test_the_published_estimates_of_the_baseball_season(season):
    values = strengths(season)
    assert sum(values.values()) == pytest.approx(0, abs=1e-9)
    for team, expected in zip(TEAMS, ESTIMATES, strict=True):
        assert values[team] - values["Baltimore"] == pytest.approx(expected, abs=5e-4)
    assert [row.name for row in season.strengths] == list(TEAMS)
    assert (season.items, season.pseudo, season.notes) == (273, 0.0, ())


def test_teams_that_cannot_be_told_apart_share_a_rank(season):
    ranks = {row.name: row.rank for row in season.strengths}
    assert [ranks[team] for team in TEAMS[:5]] == [1, 1, 1, 1, 1]
    assert ranks["Baltimore"] == 7
    for row in season.strengths:
        assert row.strength.low < row.strength.value < row.strength.high
        assert row.strength.n == 273
        assert row.items == 78


def test_the_intervals_agree_with_the_information_matrix(season):
    """An independent computation: the asymptotic standard errors of mean-centred strengths."""
    values = np.array([strengths(season)[team] for team in TEAMS])
    p = 1 / (1 + np.exp(values[None, :] - values[:, None]))
    wins = np.array(WINS)
    information = -(wins + wins.T) * p * (1 - p)
    np.fill_diagonal(information, 0)
    np.fill_diagonal(information, -information.sum(axis=1))
    errors = np.sqrt(np.diag(np.linalg.pinv(information)))
    widths = {row.name: row.strength.high - row.strength.low for row in season.strengths}
    for team, error in zip(TEAMS, errors, strict=True):
        assert widths[team] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_weights_are_as_good_as_repeated_rows(season):
    counted = league().value_counts().rename("weight").reset_index()
    assert strengths(rank(counted, resamples=2)) == pytest.approx(strengths(season), abs=1e-6)


def test_a_tie_is_half_a_win_for_each():
    items = [
        Item(f"i{n}", {"q": "?", "a": "x", "b": "y"}, {"left": "m", "right": "k"}) for n in range(5)
    ]
    labels = {"i0": "A", "i1": "B", "i2": "tie", "i3": None}
    table = games(items, labels, "left", "right")
    assert table.to_dict("records") == [
        {"item": "i0", "winner": "m", "loser": "k", "weight": 1.0},
        {"item": "i1", "winner": "k", "loser": "m", "weight": 1.0},
        {"item": "i2", "winner": "m", "loser": "k", "weight": 0.5},
        {"item": "i2", "winner": "k", "loser": "m", "weight": 0.5},
    ]
    found = rank(table)
    assert found.items == 3
    assert strengths(found) == pytest.approx({"m": 0, "k": 0}, abs=1e-9)
    assert [row.rank for row in found.strengths] == [1, 1]


def test_only_ties_make_all_equal():
    items = [Item(f"i{n}", {"a": "x", "b": "y"}, {"l": "m", "r": "k"}) for n in range(60)]
    found = rank(games(items, {item.id: "tie" for item in items}, "l", "r"))
    assert [row.rank for row in found.strengths] == [1, 1]
    assert "all resamples give the same value" in found.notes[0]


def test_a_contestant_without_a_name():
    with pytest.raises(InputError, match=r"item 'i': no contestant in the metadata column 'r'"):
        games([Item("i", {"a": "x", "b": "y"}, {"l": "m"})], {"i": "A"}, "l", "r")


def test_one_who_never_lost_is_regularised_and_it_is_said():
    won_all = played(*["ab"] * 8, *["bc"] * 5, *["cb"] * 4)
    found = rank(won_all)
    assert found.pseudo == 0.1
    assert found.notes[0] == (
        "some contestants never lost to the others, which alone gives no strengths; "
        "games added in each direction between any two contestants: 0.1"
    )
    values = strengths(found)
    assert np.isfinite(list(values.values())).all()
    assert max(values, key=values.get) == "a"
    with pytest.raises(InputError, match=r"some contestants never lost to the others"):
        rank(won_all, pseudo=0)


def test_groups_that_never_met_are_refused():
    apart = played("ab", "ba", "cd", "dc", "cd")
    with pytest.raises(InputError, match=r"'a' and 'c' never met, nor through others"):
        rank(apart)
    found = rank(apart, pseudo=0.5)
    assert found.notes[0] == "2 groups never met: strengths across them are no evidence"
    assert found.pseudo == 0.5


def test_few_games_have_no_interval_rather_than_a_wrong_one():
    found = rank(played("ab", "ba", "bc", "cb"))
    assert all(row.strength.low is None for row in found.strengths)
    assert [row.rank for row in found.strengths] == [1, 1, 1]
    (note,) = found.notes
    assert note.startswith("strengths have no interval, so all share a rank: it hangs on too few")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"winner": ["a"]}), "no column 'loser'; the columns are: winner"),
        (played(), "no games"),
        (played("aa"), "'a' plays against itself"),
        (played("ab").assign(weight=0), "'weight' must be above 0"),
        (played("ab").assign(weight="x"), "'weight' must be above 0"),
        (pd.DataFrame({"winner": ["a", None], "loser": ["b", "b"]}), "'winner' is empty"),
    ],
)
def test_what_is_no_list_of_games(table, message):
    with pytest.raises(InputError, match=message):
        rank(table)


def test_negative_pseudo_games():
    with pytest.raises(InputError, match="pseudo: must be 0 or more"):
        rank(league(), pseudo=-1)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1), st.randoms()
)
def test_the_order_of_games_and_the_names_of_contestants_do_not_matter(pairs, random):
    pairs = [p for p in pairs if p[0] != p[1]] or [("a", "b")]
    shuffled = random.sample(pairs, len(pairs))
    one = strengths(rank(played(*pairs), pseudo=0.2, resamples=2))
    assert strengths(rank(played(*shuffled), pseudo=0.2, resamples=2)) == pytest.approx(one)
    renamed = [(chr(200 - ord(w)), chr(200 - ord(x))) for w, x in pairs]
    other = strengths(rank(played(*renamed), pseudo=0.2, resamples=2))
    assert {chr(200 - ord(name)): value for name, value in other.items()} == pytest.approx(one)


def test_position_bias_counts_what_contradicts():
    verdicts = [("A", "B")] * 5 + [("B", "A")] * 3 + [("tie", "tie")] * 2  # consistent
    verdicts += [("A", "A")] * 7 + [("B", "B")] * 1 + [("A", "tie"), ("tie", "A")]
    found = position_bias(verdicts)
    assert (found.n, found.flips, found.first, found.second, found.mixed) == (20, 10, 7, 1, 2)
    assert found.flip_rate.value == 0.5
    assert (found.flip_rate.low, found.flip_rate.high) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert found.prefers_first.value == 7 / 8
    assert found.p_value == pytest.approx(18 / 256)  # two-sided: 0, 1, 7 or 8 of 8
    (note,) = found.notes
    assert note.startswith("of 10 contradictory pairs 7 chose what was shown first both times, 1 ")
    assert note.endswith("2 a tie in one order only (sign test of first against second: p = 0.07)")


def test_position_bias_of_nothing():
    assert position_bias([]).flip_rate.why == "no pair has verdicts in both orders"
    found = position_bias([("A", "B")])
    assert (found.flip_rate.value, found.prefers_first.value, found.p_value) == (0.0, None, None)
    assert found.notes == ()
    assert position_bias([("tie", "A")]).notes[0].endswith(" 1 a tie in one order only")


@pytest.mark.parametrize("pair", [("A",), ("A", None), ("A", "C"), ("A", "B", "A")])
def test_what_is_no_pair_of_verdicts(pair):
    with pytest.raises(InputError, match=r"verdicts 2: .* are not two of A, B, tie"):
        position_bias([("A", "B"), pair])


def test_verdicts_of_annotations_contradictory_ones_included():
    def said(views, outcome="labeled", label="A"):
        return Annotation(
            "i", "h", "a@1", "g", outcome, label, extras={"views": views} if views else {}
        )

    made = [
        said(["A", "B"]),
        said(["A", "A"], "failed", None),
        said(None, "abstained", None),
        said(["A", None], "failed", None),
    ]
    assert shown_verdicts(made) == [("A", "B"), ("A", "A")]
