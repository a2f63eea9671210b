"""Majority and bias correction: worked examples."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.aggregate import apply_majority, corrected, fit_majority, mean_distributions, top
from prelabel.guideline import Guideline
from prelabel.tasks import make_task
from prelabel.votes import Ballot

LABELS = ("a", "b", "c")


def task_of(kind="classification", **more):
    labels = [{"name": n, "definition": n} for n in LABELS]
    return make_task(Guideline.model_validate({"name": "g", "task": kind, "labels": labels} | more))


SINGLE, MULTI = task_of(), task_of("multi-label")


def ballot(*votes, beliefs=(), task=SINGLE, item="i"):
    """One annotator a vote, named x, y, z, …; beliefs are distributions over LABELS."""
    names = "xyzwv"
    rows = {
        name: {"": dict(zip(LABELS, row, strict=True))}
        for name, row in zip(names, beliefs, strict=False)
        if row
    }
    return Ballot(item, {n: task.votes(v) for n, v in zip(names, votes, strict=False)}, rows)


def params(*ballots, source="majority", ties="review", priority=("x", "y", "z")):
    fitted = fit_majority(ballots, source=source, ties=ties, priority=priority)
    return json.loads(json.dumps(fitted))


def consensus(*votes, beliefs=(), task=SINGLE, **how):
    found = apply_majority(ballot(*votes, beliefs=beliefs, task=task), params(**how), task)
    return found.label, found.agreement, found.tied


def test_no_votes():
    found = apply_majority(Ballot("i", {}), params(), SINGLE)
    assert (found.label, found.agreement, found.votes, found.tied) == (None, None, 0, ())


def test_majority():
    assert consensus("a") == ("a", 1.0, ())
    assert consensus("a", "b", "a") == ("a", 2 / 3, ())
    assert consensus("b", "a", "c", "b", "a") == (None, 2 / 5, ("",))


def test_a_plurality_is_enough():
    assert consensus("a", "b", "a", "c") == ("a", 0.5, ())


def test_multi_label_is_decided_label_by_label():
    assert consensus(["a", "b"], ["a"], ["c", "a"], task=MULTI) == (["a"], 2 / 3, ())
    assert consensus(["a"], ["b"], task=MULTI) == (None, 0.5, ("a", "b"))
    assert consensus([], [], task=MULTI) == ([], 1.0, ())


# Ties


def test_a_tie_is_left_to_people():
    assert consensus("a", "b", ties="review") == (None, 0.5, ("",))


def test_a_tie_goes_to_the_first_annotator():
    assert consensus("a", "b", ties="priority") == ("a", 0.5, ("",))
    assert consensus("a", "b", ties="priority", priority=("y", "x")) == ("b", 0.5, ("",))
    assert consensus("a", "b", "b", "a", "c", ties="priority", priority=("v", "y")) == (
        "b",
        0.4,
        ("",),
    )
    assert consensus("b", "a", ties="priority", priority=()) == ("b", 0.5, ("",))  # then by name


def test_a_tie_goes_to_the_greater_probability():
    beliefs = [(0.5, 0.4, 0.1), (0.1, 0.9, 0.0)]
    assert consensus("a", "b", beliefs=beliefs, ties="probability") == ("b", 0.5, ("",))
    beliefs = [(0.8, 0.1, 0.1), (0.4, 0.6, 0.0)]
    assert consensus("a", "b", beliefs=beliefs, ties="probability") == ("a", 0.5, ("",))
    # a label that nobody leads with does not win, however probable
    beliefs = [(0.51, 0.0, 0.49), (0.0, 0.51, 0.49)]
    assert consensus("a", "b", beliefs=beliefs, ties="probability")[0] in ("a", "b")


def test_equal_probabilities_go_to_the_first_annotator():
    beliefs = [(0.6, 0.4, 0.0), (0.4, 0.6, 0.0)]
    assert consensus("a", "b", beliefs=beliefs, ties="probability") == ("a", 0.5, ("",))
    assert consensus("a", "b", ties="probability", priority=("y",)) == ("b", 0.5, ("",))


def test_a_tie_of_one_label_among_several():
    found = apply_majority(ballot(["a", "b"], ["a"], task=MULTI), params(ties="priority"), MULTI)
    assert (found.label, found.tied) == (["a", "b"], ("b",))
    found = apply_majority(ballot(["a", "b"], ["a"], task=MULTI), params(ties="review"), MULTI)
    assert (found.label, found.tied) == (None, ("b",))


# The vote and the probabilities


def test_a_majority_counts_labels_whatever_the_probabilities():
    beliefs = [(0.2, 0.7, 0.1), (0.2, 0.7, 0.1), (0.2, 0.7, 0.1)]
    assert consensus("a", "a", "c", beliefs=beliefs) == ("a", 2 / 3, ())


def test_an_annotator_without_a_distribution_counts_with_its_vote():
    one = ballot("a", "b", "b", beliefs=[(0.9, 0.05, 0.05)])
    found = apply_majority(one, params(one, source="distribution"), SINGLE)
    assert (found.label, found.agreement) == ("b", 2 / 3)


# Bias correction


def test_the_mean_is_each_annotators_own():
    ballots = [
        ballot("a", "b", beliefs=[(0.6, 0.4, 0.0), (0.0, 1.0, 0.0)]),
        ballot("a", "b", beliefs=[(0.8, 0.0, 0.2), None]),
        Ballot("nobody", {}),
    ]
    means = mean_distributions(ballots)
    assert means["x"][""] == pytest.approx({"a": 0.7, "b": 0.2, "c": 0.1})
    assert means["y"][""] == {"a": 0.0, "b": 1.0, "c": 0.0}
    assert mean_distributions([]) == {}


def test_dividing_by_the_mean():
    found = corrected({"a": 0.6, "b": 0.4}, {"a": 0.8, "b": 0.2})
    assert found == pytest.approx({"a": 0.75 / 2.75, "b": 2 / 2.75})
    assert sum(corrected({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 0.0}).values()) == pytest.approx(1)
    assert corrected({"a": 0.5, "b": 0.5}, {}) == {"a": 0.5, "b": 0.5}


def test_what_an_annotator_always_says_counts_less():
    rows = [(0.9, 0.1, 0.0), (0.8, 0.2, 0.0), (0.6, 0.4, 0.0)]
    ballots = [ballot("a", beliefs=[row]) for row in rows]
    fitted = params(*ballots, source="distribution")
    labels = [apply_majority(one, fitted, SINGLE).label for one in ballots]
    assert labels == ["a", "a", "b"]  # means: .767 and .233
    plain = params(*ballots, source="majority")
    assert plain["bias"] == {}
    assert [apply_majority(one, plain, SINGLE).label for one in ballots] == ["a", "a", "a"]


def test_a_biased_annotator_is_mended():
    """The truth is a or b by halves; the annotator leans to a whatever the item."""
    draw = random.Random(1)
    truth = [draw.choice("ab") for _ in range(400)]
    ballots = []
    for n, right in enumerate(truth):
        lean = min(0.99, max(0.01, (0.85 if right == "a" else 0.6) + draw.gauss(0, 0.06)))
        said = "a" if lean > 0.5 else "b"
        ballots.append(ballot(said, beliefs=[(lean, 1 - lean, 0.0)], item=str(n)))

    def accuracy(fitted):
        found = [apply_majority(one, fitted, SINGLE).label for one in ballots]
        return sum(a == b for a, b in zip(found, truth, strict=True)) / len(truth)

    raw, mended = (accuracy(params(*ballots, source=s)) for s in ("majority", "distribution"))
    assert raw < 0.6
    assert mended > 0.9


def test_multi_label_bias_is_taken_out_label_by_label():
    def one(p):
        row = {name: {True: q, False: 1 - q} for name, q in zip(LABELS, p, strict=True)}
        return Ballot(
            "i",
            {"x": MULTI.votes([n for n, q in zip(LABELS, p, strict=True) if q > 0.5])},
            {"x": row},
        )

    ballots = [one((0.9, 0.1, 0.5)), one((0.7, 0.3, 0.5))]
    fitted = params(*ballots, source="distribution")
    assert [apply_majority(b, fitted, MULTI).label for b in ballots] == [["a"], ["b"]]


weights = st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(any)


@settings(deadline=None)
@given(st.lists(weights, min_size=1, max_size=5))
def test_with_equal_means_nothing_changes(rows):
    beliefs = [[w / sum(row) for w in row] for row in rows]
    votes = [LABELS[max(range(3), key=row.__getitem__)] for row in beliefs]
    one = ballot(*votes, beliefs=beliefs)
    even = {name: {"": [[label, 1 / 3] for label in LABELS]} for name in one.votes}
    for ties in ("review", "priority", "probability"):
        plain = params(source="majority", ties=ties)
        assert apply_majority(one, plain | {"bias": even}, SINGLE) == apply_majority(
            one, plain, SINGLE
        )


def test_a_belief_without_a_favourite_stays_with_the_vote():
    one = ballot("b", beliefs=[(0.5, 0.5, 0.0)])
    fitted = params(one, source="distribution")
    assert apply_majority(one, fitted, SINGLE).label == "b"


def test_top():
    assert top({"b": 0.4, "a": 0.4 + 1e-12, "c": 0.2}) == "b"
    assert top({"b": 0.4, "a": 0.5}) == "a"


def test_a_span_that_one_named_and_two_did_not_is_voted_down():
    task = task_of("spans")
    ann, bob = (
        {"start": s, "end": s + 3, "text": t, "label": "a"} for s, t in ((0, "Ann"), (8, "Bob"))
    )
    said = {"x": [ann], "y": [ann, bob], "z": []}
    one = Ballot("i", {name: task.votes(label) for name, label in said.items()})
    found = apply_majority(one, params(), task)
    assert found.label == [ann]
    assert found.agreement == pytest.approx(2 / 3)
    assert apply_majority(Ballot("i", {"x": {}, "y": {}}), params(), task).label == []
