"""The choice among aggregators, and what is done with the chosen one."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from every_task import item_of, labels_of, task_of
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import make_project

from prelabel.api import import_annotations
from prelabel.choosing import (
    ALL_METHODS,
    CONSIDERED,
    Case,
    cases_of,
    choose,
    cross_fitted,
    fit_crowd,
    fit_method,
    folds,
    log_loss,
    weigh,
)
from prelabel.error_correlation import project_error_correlation
from prelabel.errors import InputError
from prelabel.project import load_project
from prelabel.records import Annotation, Gold
from prelabel.tasks import TASKS
from prelabel.votes import Ballot, Evidence
from prelabel.voting import Poll, apply_vote, winner
from prelabel.weighing import choose_aggregator, consensus, fit_weights, gold_cases, notes_of

AB = {"": ["a", "b"]}


def simulated(n, accuracies, copies=0, seed=0):
    """Annotators of two labels; ``copies`` more say what the first one says."""
    rng = np.random.default_rng(seed)
    cases = []
    for at in range(n):
        truth = "ab"[rng.integers(2)]
        other = "b" if truth == "a" else "a"
        votes = {f"x{j}": truth if rng.random() < a else other for j, a in enumerate(accuracies)}
        votes |= {f"copy{j}": votes["x0"] for j in range(copies)}
        cases.append(Case(f"i{at}", "", Poll(votes), truth))
    return cases


def test_with_little_gold_it_is_a_vote():
    choice = choose(simulated(49, [0.9, 0.8]), AB)
    assert (choice.method, choice.items, choice.scores) == ("majority", 49, ())
    assert choice.notes == ("49 gold items with votes: a majority vote; to choose takes 50",)
    assert choose([], AB).method == "majority"


def test_where_a_vote_is_best_the_choice_loses_nothing():
    fresh = simulated(3000, [0.8] * 3, seed=99)
    for seed in range(3):
        params = choose(simulated(60, [0.8] * 3, seed=seed), AB).params
        right = {"vote": 0, "chosen": 0}
        for case in fresh:
            of_vote = apply_vote(case.poll, {"values": ["a", "b"]})
            right["vote"] += winner(of_vote, case.poll)[0] == case.truth
            right["chosen"] += winner(weigh(case.poll, "", params)[0], case.poll)[0] == case.truth
        assert right["chosen"] >= right["vote"] - 100


def test_of_copies_it_learns():
    cases = simulated(300, [0.65, 0.9], copies=3)
    choice = choose(cases, AB)
    assert choice.method in CONSIDERED[1:]
    found = {score.method: score for score in choice.scores}
    assert tuple(found) == CONSIDERED
    assert found[choice.method].accuracy.value > found["majority"].accuracy.value + 0.15
    lowest = min(choice.scores, key=lambda score: score.log_loss.value)
    assert lowest.difference.why == "the lowest"
    assert all(s.difference.value >= 0 for s in choice.scores)
    error = (lowest.log_loss.high - lowest.log_loss.value) / 1.968  # t, 299 degrees of freedom
    near = [s.method for s in choice.scores if s.difference.value <= error]
    assert choice.method == near[0]
    assert json.loads(json.dumps(choice.to_dict()))["method"] == choice.method


def test_the_chosen_is_fitted_on_all_and_held_out_is_not():
    cases = simulated(120, [0.9, 0.6])
    choice = choose(cases, AB)
    assert choice.params == fit_method(choice.method, cases, AB)
    assert set(choice.held_out) == {(case.item, case.unit) for case in cases}
    assert choice.held_out == cross_fitted(choice.method, cases, AB)
    part = folds(cases)
    rest = [case for case in cases if part[case.item] != 2]
    params = fit_method(choice.method, rest, AB)
    for case in cases:
        if part[case.item] == 2:
            assert weigh(case.poll, "", params)[0] == choice.held_out[case.item, ""]


def test_folds_do_not_hang_on_order_and_share_the_labels():
    cases = simulated(103, [0.8])
    part = folds(cases)
    assert folds(cases[::-1]) == part
    for truth in "ab":
        counts = np.bincount([part[case.item] for case in cases if case.truth == truth])
        assert counts.max() - counts.min() <= 1


def test_order_of_gold_does_not_matter():
    cases = simulated(80, [0.85, 0.7, 0.6])
    one, other = choose(cases, AB), choose(cases[::-1], AB)
    assert (one.method, one.params) == (other.method, other.params)


def test_log_loss():
    assert log_loss({"a": 0.5, "b": 0.5}, "a") == pytest.approx(np.log(2))
    assert log_loss({"a": 0.5, "b": 0.25}, "other") == pytest.approx(np.log(4))
    assert log_loss({"a": 1.0}, "b") == pytest.approx(-np.log(1e-6))


def test_open_values_are_for_some_only():
    cases = [replace(case, poll=Poll(case.poll.votes)) for case in simulated(80, [0.9, 0.6, 0.6])]
    choice = choose(cases, {"": None})
    assert [score.method for score in choice.scores] == ["majority", "best", "candidates"]


def test_several_units_are_each_a_problem():
    rng = np.random.default_rng(1)
    cases = []
    for at in range(90):
        for unit, accuracies in (("u", (0.95, 0.5)), ("w", (0.5, 0.95))):
            truth = bool(rng.integers(2))
            votes = {n: truth == (rng.random() < a) for n, a in zip("xy", accuracies, strict=True)}
            cases.append(Case(f"i{at}", unit, Poll(votes), truth))
    choice = choose(cases, {"u": [True, False], "w": [True, False]})
    assert choice.items == 90
    split = Poll({"x": True, "y": False})
    assert winner(weigh(split, "u", choice.params)[0], split) == (True, False)
    assert winner(weigh(split, "w", choice.params)[0], split) == (False, False)


def test_tables():
    votes = pd.DataFrame(
        [
            ("i", "x", "s1", True),
            ("i", "y", "s1", False),
            ("i", "x", "s2", True),
            ("k", "x", "s3", True),
            ("m", "x", "s4", True),
        ],
        columns=["item", "annotator", "unit", "value"],
    )
    gold = pd.DataFrame(
        [("i", "s1", True), ("i", "s9", True), ("k", "", False)], columns=["item", "unit", "value"]
    )
    beliefs = pd.DataFrame(
        [("i", "x", "s1", True, 0.75)],
        columns=["item", "annotator", "unit", "value", "probability"],
    )
    pooled = cases_of(votes, gold, beliefs, pooled=True)
    assert [(c.item, c.unit, c.truth) for c in pooled] == [
        ("i", "s1", True),
        ("i", "s2", False),
        ("k", "s3", False),
    ]
    assert pooled[0].poll == Poll({"x": True, "y": False}, {"x": {True: 0.75}})
    assert [c.unit for c in cases_of(votes, gold)] == ["s1"]
    with pytest.raises(InputError, match="two values from 'x'"):
        cases_of(pd.concat([votes, votes]), gold)
    with pytest.raises(InputError, match="gold: item 'i' has two labels"):
        cases_of(votes, pd.concat([gold, gold.assign(value=False)]))


def test_dawid_skene_by_unit_and_pooled():
    rng = np.random.default_rng(0)
    rows = [
        (f"i{at}", name, unit, bool(at % 2) == (rng.random() < a))
        for at in range(200)
        for unit in ("u", "w")
        for name, a in zip("vwxyz", (0.9, 0.8, 0.8, 0.7, 0.6), strict=True)
    ]
    votes = pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])
    for pooled, values in (
        (False, {"u": [True, False], "w": [True, False]}),
        (True, {"": [True, False]}),
    ):
        params = json.loads(json.dumps(fit_crowd(votes, values, pooled=pooled)))
        assert list(params["problems"]) == list(values)
        poll = Poll({"v": True, "z": False})
        assert winner(weigh(poll, "u", params)[0], poll) == (True, False)
        assert "not the probability" in notes_of(params)[0]
    with pytest.raises(InputError, match="dawid-skene needs declared values"):
        fit_crowd(votes, {"u": None})


def evidence_of(task, labels, shown=()):
    """Evidence of ``{item: {annotator: label}}``; the annotators' ids are ``id-`` and the name."""
    names = dict.fromkeys(n for own in labels.values() for n in own)
    items = {
        item: [
            Annotation(item, "h", f"id-{n}", "g", "labeled", label=v, shown=tuple(shown))
            for n, v in own.items()
        ]
        for item, own in labels.items()
    }
    return Evidence(task, "g", items, {f"id-{n}": n for n in names})


def test_spans_are_pooled_and_gold_is_aligned():
    task = task_of("spans")
    span = {"start": 0, "end": 3, "text": "Ann", "label": "a"}
    other = {"start": 8, "end": 11, "text": "Bob", "label": "a"}
    labels = {
        f"i{at}": {"x": [span] if at % 2 else [span, other], "y": [span], "z": [other]}
        for at in range(60)
    }
    evidence = evidence_of(task, labels)
    gold = [Gold(item, [span]) for item in labels]
    cases = gold_cases(evidence, gold)
    assert {c.truth for c in cases} == {True, False}
    assert len(cases) == 120  # a span that only gold had would have no votes to go by
    choice = fit_weights(evidence, gold)
    params = choice.params
    assert choice.items == 60
    assert list(params["problems"]) == [""]
    found, weights = consensus(evidence.ballot("i0"), json.loads(json.dumps(params)), task)
    assert found.label == [span]
    assert len(weights) == 2


def test_items_shown_as_examples_teach_nothing():
    task = task_of("classification")
    evidence = evidence_of(task, {"i": {"x": "a", "y": "a"}}, shown=["i"])
    assert gold_cases(evidence, [Gold("i", "a"), Gold("elsewhere", "a")]) == []


def test_methods_by_name():
    task = task_of("classification")
    evidence = evidence_of(task, {f"i{n}": {"x": "abc"[n % 3], "y": "a"} for n in range(9)})
    with pytest.raises(InputError, match="best learns from gold, and no gold item has votes"):
        fit_weights(evidence, [], "best")
    with pytest.raises(InputError, match="'unheard' is not learned from gold"):
        fit_weights(evidence, [Gold("i0", "a")], "unheard")
    found, _ = consensus(evidence.ballot("i1"), fit_weights(evidence, [], "majority").params, task)
    assert (found.label, found.agreement, found.tied) == ("b", 0.5, ("",))
    open_tie = fit_weights(evidence, [], "majority", ties="review").params
    assert consensus(evidence.ballot("i1"), open_tie, task)[0].label is None
    first = fit_weights(evidence, [], "majority", ties="priority", priority=["id-y"]).params
    assert consensus(evidence.ballot("i1"), first, task)[0].label == "a"


def test_whom_gold_does_not_know_goes_to_people():
    task = task_of("classification")
    evidence = evidence_of(task, {f"i{n}": {"x": "abc"[n % 3]} for n in range(9)})
    gold = [Gold(f"i{n}", "abc"[n % 3]) for n in range(9)]
    params = fit_weights(evidence, gold, "stack-1").params
    found, weights = consensus(Ballot("k", {"new": {"": "b"}}), params, task)
    assert (found.label, found.tied) == ("b", ("",))
    assert max(weights[""], key=weights[""].get) == "b"
    assert consensus(Ballot("k", {}), params, task)[0].label is None


@pytest.mark.parametrize("method", ["auto", *ALL_METHODS])
@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_every_aggregator_on_every_task(method, name, data):
    task = task_of(name)
    opened = name in ("extraction", "text") and (
        method.startswith("stack") or method in ("naive-bayes", "dawid-skene")
    )
    labels = {
        f"i{at}": {n: data.draw(labels_of(task)) for n in "xyz"[: 1 + at % 3]} for at in range(4)
    }
    evidence = evidence_of(task, labels)
    gold = [Gold(item, own["x"]) for item, own in labels.items()]
    if opened:
        with pytest.raises(InputError, match="needs declared values"):
            fit_weights(evidence, gold, method)
        return
    if not gold_cases(evidence, gold) and method not in ("auto", "majority", "dawid-skene"):
        return  # nothing was marked in any item
    params = json.loads(json.dumps(fit_weights(evidence, gold, method).params))
    for item in labels:
        ballot = evidence.ballot(item)
        found, weights = consensus(ballot, params, task)
        turned = Ballot(item, dict(reversed(ballot.votes.items())))
        assert consensus(turned, params, task)[0] == found
        assert all(sum(row.values()) <= 1 + 1e-9 for row in weights.values())
        assert found.votes == len(ballot.votes)
        if name not in ("hierarchical", "spans") and found.label is not None:
            assert task.match(found.label, item_of(name)) == found.label


def test_of_a_project(tmp_path):
    names = ["toxic", "not_toxic"]
    rows = [
        {"id": f"i{at}", "label": names[at % 2], "good": names[(at + (at % 11 == 0)) % 2]}
        | {"bad": names[(at + (at % 3 == 0)) % 2]}
        for at in range(60)
    ]
    project = make_project(tmp_path, [f"text {at}" for at in range(60)], [])
    config = json.loads((tmp_path / "prelabel.yaml").read_text()) | {"gold": {"path": "gold.csv"}}
    (tmp_path / "prelabel.yaml").write_text(json.dumps(config))
    pd.DataFrame(rows)[["id", "label"]].to_csv(tmp_path / "gold.csv", index=False)
    pd.DataFrame(rows)[["id", "good", "bad"]].to_csv(tmp_path / "recorded.csv", index=False)
    with pytest.raises(InputError, match="no gold to choose on"):
        choose_aggregator(project)
    project = load_project(tmp_path)
    import_annotations(project, tmp_path / "recorded.csv")
    choice = choose_aggregator(project)
    assert choice.items == 60
    assert {score.method for score in choice.scores} == set(CONSIDERED)
    assert {score.method: score for score in choice.scores}["best"].accuracy.value > 0.85
    found = project_error_correlation(project)
    assert [(p.a, p.b, p.n) for p in found.pairs] == [("bad", "good", 60)]
    assert found.accuracy["good"].value == pytest.approx(54 / 60)
