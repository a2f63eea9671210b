"""What signals say of an item, by hand and on every task."""

import json
from math import isfinite, log

import pytest
from every_task import item_of, labels_of, task_of
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.aggregate import apply_majority, fit_majority
from prelabel.records import Annotation, Consensus, Item
from prelabel.signals import signals
from prelabel.tasks import TASKS
from prelabel.votes import Ballot

TASK = task_of("classification")


def said(name, label=None, outcome="labeled", **more):
    failure = "timeout" if outcome == "failed" else None
    return Annotation("i", "", name, "", outcome, label, failure, **more)


def of(annotations, label="a", task=TASK, weights=None, item=None, tied=()):
    """Return the signals of annotations whose consensus is ``label``."""
    labeled = [a for a in annotations if a.outcome == "labeled"]
    votes = {a.annotator: task.votes(a.label) for a in labeled}
    beliefs = {a.annotator: a.distribution for a in labeled if a.distribution}
    given = task.align({**votes, "": task.votes(label)})
    own = given.pop("")
    shares = {
        unit: sum(task.agrees(unit, v[unit], value) for v in given.values()) / len(given)
        for unit, value in own.items()
    }
    least = min(shares.values(), default=1.0)
    consensus = Consensus("i", label, least, len(votes), tied, shares)
    ballot = Ballot("i", votes, beliefs)
    return signals(ballot, annotations, consensus, weights or {}, task, item).groups


def test_votes_by_hand():
    given = [said("x", "a"), said("y", "a"), said("z", "b"), said("w", outcome="abstained")]
    found = of([*given, said("v", outcome="failed")])
    assert found["share"] == {"share": pytest.approx(log(2.5 / 1.5))}
    assert found["annotators"] == {"x": 1.0, "y": 1.0, "z": 0.0}
    assert found["votes"] == {
        "margin": pytest.approx(1 / 3),
        "entropy": pytest.approx(-2 / 3 * log(2 / 3) - 1 / 3 * log(1 / 3)),
        "votes": pytest.approx(log(3)),
        "units": pytest.approx(log(2)),
        "mean share": pytest.approx(2 / 3),
        "abstained": 1.0,
        "failed": 1.0,
    }
    assert found["label"] == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert found["by label"]["x on a"] == 1.0
    assert found["by label"]["z on a"] == -1.0
    assert found["by label"]["z on b"] == 0.0
    assert not {"beliefs", "self", "text", "weight"} & set(found)


def test_the_margin_is_to_the_strongest_other_value():
    votes = [said(name, label) for name, label in zip("uvwxyz", "aaabbc", strict=True)]
    assert of(votes)["votes"]["margin"] == pytest.approx((3 - 2) / 6)
    assert of(votes, "c")["votes"]["margin"] == pytest.approx((1 - 3) / 6)


def test_the_weight_is_the_winners():
    found = of([said("x", "a"), said("y", "a")], weights={"": {"a": 0.9, "b": 0.1}})
    assert found["weight"] == {"weight": pytest.approx(log(9))}
    none = of([said("x", "a")], weights={"": {"b": 1.0}})
    assert none["weight"]["weight"] == pytest.approx(log(1e-4 / (1 - 1e-4)))


def test_beliefs_of_the_winner_what_is_missing_stays_missing():
    given = [
        said("x", "a", distribution={"": {"a": 0.8, "b": 0.2, "c": 0.0}}),
        said("y", "b", distribution={"": {"a": 0.25, "b": 0.65}}),
        said("z", "a"),
    ]
    found = of(given)["beliefs"]
    assert set(found) == {"p x", "p y", "mean", "least", "entropy", "outside"}
    assert found["p x"] == pytest.approx(log(4))
    assert found["p y"] == found["least"] == pytest.approx(-log(3))
    assert found["mean"] == pytest.approx((log(4) - log(3)) / 2)
    assert found["outside"] == pytest.approx(0.05)
    x, y = (0.8, 0.2), (0.25 / 0.9, 0.65 / 0.9)
    entropy = -sum(p * log(p) for p in x) / 2 - sum(p * log(p) for p in y) / 2
    assert found["entropy"] == pytest.approx(entropy)


def test_self_confidence_speaks_against_the_consensus_where_its_annotator_disagrees():
    given = [
        said("x", "a", extras={"confidence": 0.9, "consistency": 0.75}),
        said("y", "b", extras={"confidence": 0.8}),
        said("z", outcome="failed", extras={"confidence": 0.9}),
    ]
    assert of(given)["self"] == {
        "confidence x": pytest.approx(log(9)),
        "confidence y": pytest.approx(-log(4)),
        "mean confidence": pytest.approx((log(9) - log(4)) / 2),
        "least confidence": pytest.approx(-log(4)),
        "consistency x": pytest.approx(log(3)),
        "mean consistency": pytest.approx(log(3)),
        "least consistency": pytest.approx(log(3)),
    }


@pytest.mark.parametrize("odd", [85, -0.1, float("nan"), "0.9", True, None, [0.9]])
def test_what_is_no_share_is_not_known(odd):
    assert "self" not in of([said("x", "a", extras={"confidence": odd})])


def test_full_certainty_is_finite():
    sure = {"confidence": 1.0, "consistency": 0.0}
    found = of([said("x", "a", extras=sure, distribution={"": {"a": 1.0}})])
    assert all(isfinite(x) for group in found.values() for x in group.values())


def test_text():
    found = of([said("x", "a")], item=Item("i", {"t": "AB c", "u": "12"}))["text"]
    assert found == {
        "length": pytest.approx(log(8)),
        "digits": pytest.approx(2 / 7),
        "capitals": pytest.approx(2 / 7),
    }
    assert of([said("x", "a")], item=Item("i", {"t": ""}))["text"]["digits"] == 0


def test_without_a_consensus_nothing_is_known():
    open_tie = Consensus("i", None, 0.5, 2, ("",))
    ballot = Ballot("i", {"x": {"": "a"}, "y": {"": "b"}})
    assert signals(ballot, [], open_tie, {}, TASK).groups == {}


def test_of_several_units_the_least_sure_counts():
    task = task_of("multi-label")
    given = [said("x", ["a"]), said("y", ["a", "b"]), said("z", ["a"])]
    found = of(given, ["a"], task, {"a": {True: 0.9, False: 0.1}, "b": {True: 0.3, False: 0.7}})
    assert found["share"] == {"share": pytest.approx(log(2.5 / 1.5))}
    assert found["annotators"] == {"x": 1.0, "y": pytest.approx(2 / 3), "z": 1.0}
    assert found["votes"]["margin"] == pytest.approx(1 / 3)
    assert found["votes"]["mean share"] == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert found["weight"] == {"weight": pytest.approx(log(0.7 / 0.3))}
    assert found["label"] == {"a True": 1.0, "b True": 0.0, "c True": 0.0}


def test_numbers_have_a_spread():
    task = task_of("rating")
    found = of([said("x", 3), said("y", 3), said("z", 5)], 3, task)
    assert found["votes"]["spread"] == pytest.approx((8 / 9) ** 0.5)


def test_many_labels_are_no_signal():
    labels = [{"name": f"l{n}", "definition": "d"} for n in range(21)]
    task = task_of("classification", labels=labels)
    found = of([said("x", "l0"), said("y", "l0")], "l0", task)
    assert not {"label", "by label"} & set(found)


def test_no_span_at_all_is_full_agreement():
    task = task_of("spans")
    found = of([said("x", []), said("y", [])], [], task)
    assert found["annotators"] == {"x": 1.0, "y": 1.0}
    assert found["votes"]["margin"] == 1.0
    assert "label" not in found


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_task_has_finite_signals_whatever_the_order_of_annotators(name, data):
    task, item = task_of(name), item_of(name)
    names = data.draw(st.lists(st.sampled_from("xyzw"), unique=True, min_size=1))
    given_ = [
        said(n, data.draw(labels_of(task)), extras={"confidence": data.draw(st.floats(0, 1))})
        for n in names
    ]
    params = fit_majority([], source="majority", ties="probability", priority=sorted("xyzw"))
    results = []
    for order in (given_, data.draw(st.permutations(given_))):
        votes = {a.annotator: task.votes(a.label) for a in order}
        consensus = apply_majority(Ballot("i", votes), params, task)
        found = signals(Ballot("i", votes), order, consensus, {}, task, item)
        results.append(json.dumps(found.to_dict(), sort_keys=True))
        for group in found.groups.values():
            assert all(isinstance(x, float) and isfinite(x) for x in group.values())
    assert results[0] == results[1]
