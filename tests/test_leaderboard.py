"""Places that show ties as ties, letters, and the frontier of cost and quality."""

import json
from dataclasses import asdict
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.estimate import Estimate, wilson
from prelabel.leaderboard import frontier, letter_display, standings

pairs = st.integers(0, 7).flatmap(
    lambda n: st.tuples(
        st.just([f"n{k}" for k in range(n)]),
        st.sets(st.sampled_from(list(combinations([f"n{k}" for k in range(n)], 2))))
        if n > 1
        else st.just(set()),
    )
)


@given(pairs)
def test_two_share_a_letter_just_where_they_are_not_apart(drawn):
    names, apart = drawn
    letters = letter_display(names, apart)
    for a, b in combinations(names, 2):
        assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in apart)
    assert all(letters[name] for name in names)


@given(pairs)
def test_no_letter_is_idle(drawn):
    names, apart = drawn
    letters = letter_display(names, apart)
    groups = {x: {n for n in names if x in letters[n]} for x in "".join(letters.values())}
    assert not any(groups[x] < groups[y] for x in groups for y in groups if x != y)


def test_letters_of_a_textbook_shape():
    apart = [("a", "c"), ("a", "d"), ("b", "d")]
    assert letter_display("abcd", apart) == {"a": "a", "b": "ab", "c": "bc", "d": "c"}
    assert letter_display("abc", []) == {"a": "a", "b": "a", "c": "a"}
    assert letter_display([], []) == {}


def of(right, n=100):
    return wilson(right, n)


def test_standings_show_ties_and_count_who_is_better():
    accuracy = {"x": of(90), "y": of(88), "z": of(80), "w": of(50)}
    rows = standings(
        accuracy,
        dict.fromkeys(accuracy, of(100)),
        {"x": 0.03, "y": 0.001, "z": 0.002, "w": None},
        [("x", "z"), ("x", "w"), ("y", "w"), ("z", "w")],
    )
    assert [(r.annotator, r.rank, r.letters) for r in rows] == [
        ("x", 1, "a"),
        ("y", 1, "ab"),
        ("z", 2, "b"),
        ("w", 4, "c"),
    ]
    assert [r.frontier for r in rows] == [True, True, False, None]
    json.dumps([asdict(r) for r in rows], allow_nan=False)


def test_an_annotator_without_labels_is_last():
    accuracy = {"none": Estimate(None, why="nothing was labeled"), "x": of(1)}
    cost = {"none": 0.0, "x": 9.0}
    x, none = standings(accuracy, dict.fromkeys(accuracy, of(0)), cost, [])
    assert (x.annotator, x.rank, x.letters, x.frontier) == ("x", 1, "a", True)
    assert (none.annotator, none.rank, none.letters, none.frontier) == ("none", 2, "", None)


points = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    st.tuples(st.none() | st.integers(0, 5).map(float), st.integers(0, 5).map(float)),
    max_size=8,
)


@given(points)
def test_the_frontier_is_what_a_walk_by_cost_finds(named):
    best, expected = float("-inf"), set()
    priced = {name: p for name, p in named.items() if p[0] is not None}
    for cost in sorted({c for c, _ in priced.values()}):
        top = max(q for c, q in priced.values() if c == cost)
        if top > best:
            expected |= {name for name, p in priced.items() if p == (cost, top)}
            best = top
    assert frontier(named) == expected


def test_unknown_prices_are_kept_apart():
    assert frontier({"known": (1.0, 0.5), "unknown": (None, 0.9)}) == {"known"}
    assert frontier({}) == set()


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b")])
def test_the_order_in_which_annotators_come_does_not_matter(order):
    right = {"a": 90, "b": 70, "c": 85}
    rows = standings(
        {name: of(right[name]) for name in order},
        {name: of(100) for name in order},
        dict.fromkeys(order, 1.0),
        [("a", "b"), ("c", "b")],
    )
    assert [(r.annotator, r.rank, r.letters) for r in rows] == [
        ("a", 1, "a"),
        ("c", 1, "a"),
        ("b", 3, "b"),
    ]
