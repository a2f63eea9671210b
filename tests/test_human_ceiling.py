"""The human ceiling: worked values, a second implementation, and what must not change it."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from every_task import GUIDELINES, labels_of, task_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_alternatives import crowd, project_of

from prelabel import human_ceiling as module
from prelabel.auditing import likeness
from prelabel.errors import InputError
from prelabel.human_ceiling import (
    ceiling,
    ceiling_of,
    jaccard,
    majority,
    minus_distance,
    similarity_of,
)

PEOPLE = {
    "a": {"1": "x", "2": "x", "3": "x"},
    "b": {"1": "x", "2": "x", "3": "y"},
    "c": {"1": "x", "2": "y", "3": "z"},
}


def test_worked_example():
    found = ceiling_of(PEOPLE, {"m": {"1": "x", "2": "x", "4": "x"}})
    # item 1: all right; 2: a and b each meet a tie (1/2), c is wrong; 3: everybody is wrong
    assert found.people.value == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert [one.score.value for one in found.each] == pytest.approx([0.5, 0.5, 1 / 3])
    beside = found.beside[0]
    assert beside.score.n == beside.people.n == beside.gap.n == 2
    assert beside.score.value == pytest.approx((1 + (0.5 + 0.5 + 1) / 3) / 2)
    assert beside.people.value == pytest.approx((1 + 1 / 3) / 2)
    assert beside.gap.value == pytest.approx(beside.score.value - beside.people.value)
    assert json.loads(json.dumps(found.to_dict()))["each"][0]["name"] == "a"


def test_against_each_other():
    found = ceiling_of(PEOPLE, {}, against="others")
    assert found.people.value == pytest.approx((1 + 1 / 3 + 0) / 3)  # with two others the same
    assert found.beside == ()


def naive(people, llm):
    """Return person by person and item by item: is it the majority of the others'."""
    own, theirs = [], []
    for item in sorted({i for labels in people.values() for i in labels} & set(llm)):
        given = {name: labels[item] for name, labels in people.items() if item in labels}
        if len(given) < 2:
            continue
        mine, machine = [], []
        for name, label in given.items():
            counts = Counter(value for other, value in given.items() if other != name)
            top = [v for v, n in counts.items() if n == max(counts.values())]
            mine.append((label in top) / len(top))
            machine.append((llm[item] in top) / len(top))
        own.append(np.mean(mine))
        theirs.append(np.mean(machine))
    return np.mean(own), np.mean(theirs)


@pytest.mark.parametrize("seed", range(6))
def test_second_implementation(seed):
    people, llm = crowd(seed, n=60, people=5, missing=0.4, noise=0.4)
    beside = ceiling_of(people, {"m": llm}).beside[0]
    assert (beside.people.value, beside.score.value) == pytest.approx(naive(people, llm))


def test_real_people(shared_data):
    """Three people on 999 comparisons: kappas of .85 to .88 go with this ceiling."""
    path = shared_data / "llm_vs_human" / "pandalm" / "pandalm_testset.jsonl.gz"
    table = pd.read_json(path, lines=True)
    people = {
        f"h{n}": dict(
            zip(table["idx"].astype(str), table[f"annotator{n}"].astype(str), strict=True)
        )
        for n in (1, 2, 3)
    }
    given = table["gpt35_result"].astype(str).replace({"Tie": "0", "garbage": "0"})
    llm = dict(zip(table["idx"].astype(str), given, strict=True))
    found = ceiling_of(people, {"gpt": llm}, against="others")
    pairs = [
        table[f"annotator{a}"].eq(table[f"annotator{b}"]).mean()
        for a, b in ((1, 2), (1, 3), (2, 3))
    ]
    assert found.people.value == pytest.approx(np.mean(pairs))
    with_llm = [given.eq(table[f"annotator{n}"].astype(str)).mean() for n in (1, 2, 3)]
    assert found.beside[0].score.value == pytest.approx(np.mean(with_llm))
    assert found.beside[0].gap.high < 0
    assert ceiling_of(people, {"gpt": llm}).beside[0].gap.high < 0


def test_intervals_cover():
    truth = ceiling_of(*shaped(crowd(1, n=20_000))).beside[0]
    held = np.zeros(3)
    for seed in range(100):
        found = ceiling_of(*shaped(crowd(seed + 10, n=150))).beside[0]
        for at, name in enumerate(("score", "people", "gap")):
            one = getattr(found, name)
            held[at] += one.low <= getattr(truth, name).value <= one.high
    assert (held >= 88).all(), held


def shaped(both):
    return both[0], {"m": both[1]}


def test_unanimity_has_an_interval():
    people = {name: {str(n): "x" for n in range(20)} for name in "abc"}
    found = ceiling_of(people, {"m": people["a"]})
    assert (found.people.value, found.people.high) == (1.0, 1.0)
    assert found.people.low == pytest.approx(0.839, abs=0.001)  # Wilson, 20 of 20
    assert found.beside[0].gap.value == 0.0


def test_a_copy_of_a_person_scores_no_less_than_the_person():
    people, _ = crowd(4, n=80)
    copies = {**people, "copy": people["h0"]}
    found = ceiling_of(people, {"m": people["h0"]}, against="others")
    # against the person it copies it is always right, which no person is against itself
    assert found.beside[0].score.value > found.people.value
    assert ceiling_of(copies, {}).people.value > ceiling_of(people, {}).people.value


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations("abcd"))
def test_order_and_names_do_not_matter(seed, renamed):
    people, llm = crowd(seed, missing=0.2)
    names = dict(zip("abcd", renamed, strict=True))

    def mixed(own):
        return {item: names[label] for item, label in reversed(own.items())}

    again = {name: mixed(people[name]) for name in reversed(people)}
    assert ceiling_of(again, {"m": mixed(llm)}) == ceiling_of(people, {"m": llm})


@pytest.mark.parametrize("people", [{}, {"a": {"1": "x"}}])
def test_one_person_has_no_ceiling(people):
    with pytest.raises(InputError, match=f"labels of {len(people)} people; it needs two or more"):
        ceiling_of(people, {})


def test_no_item_in_common():
    found = ceiling_of({"a": {"1": "x"}, "b": {"2": "x"}}, {"m": {"1": "x"}})
    assert found.people.value is None
    assert found.people.why == "no item has labels of two people"
    assert found.beside[0].gap.why == "it and two people have no item in common"


def test_two_people_only_is_said():
    found = ceiling_of({"a": {"1": "x"}, "b": {"1": "y"}}, {})
    assert "1 of 1 items have labels of two people only" in found.notes[0]
    assert found.people.value == 0.0


def test_ratings_are_compared_with_the_median(tmp_path):
    said = {"a": 1, "b": 2, "c": 4, "m": 2}
    said = {name: {f"i{n}": value for n in range(10)} for name, value in said.items()}
    facts = project_of(tmp_path, said, list("abc"), "rating", labels=[], scale={"min": 1, "max": 5})
    found = ceiling(facts.project)
    assert (found.measure, found.against) == ("neg_mae", "median")
    assert found.people.value == pytest.approx(-(2 + 0.5 + 2.5) / 3)
    assert found.beside[0].score.value == pytest.approx(-(1 + 0.5 + 0.5) / 3)
    exact = ceiling(facts.project, similarity="equal")
    assert (exact.against, exact.people.value) == ("majority", 0.0)


def test_a_project(tmp_path):
    people, llm = crowd(5, n=40, width=3)
    facts = project_of(tmp_path, {**people, "m": llm, "n": llm}, list(people))
    found = ceiling(facts.project)
    expected = ceiling_of(people, {"m": llm, "n": llm})
    assert found.beside == expected.beside
    assert found.people == expected.people
    assert [one.name for one in ceiling(facts.project, ["n"]).beside] == ["n"]
    assert len(ceiling(facts.project, people=["h0", "h1"]).each) == 2
    with pytest.raises(InputError, match="'who' is no annotator other than a person"):
        ceiling(facts.project, ["who"])
    with pytest.raises(InputError, match="labels of 1 people"):
        ceiling(facts.project, people=["h0"])


# Similarities


@pytest.mark.parametrize("name", GUIDELINES)
def test_likeness_of_every_task(name):
    task = task_of(name)
    alike = likeness(task)

    @settings(max_examples=30, deadline=None)
    @given(labels_of(task), labels_of(task))
    def holds(a, b):
        assert alike(a, a) == 1.0
        assert 0.0 <= alike(a, b) <= 1.0
        assert alike(a, b) == pytest.approx(alike(b, a))
        usual = similarity_of(task)[1]
        assert usual(a, a) >= usual(a, b)

    holds()


def test_named_similarities():
    assert jaccard(["a", "b"], ["b", "c"]) == pytest.approx(1 / 3)
    assert jaccard([], []) == 1.0
    assert jaccard([], ["a"]) == 0.0
    assert minus_distance(1, 3.5) == -2.5
    assert similarity_of(task_of("rating"), "equal") == ("equal", module.equal)
    assert similarity_of(task_of("spans"), "overlap")[0] == "overlap"
    with pytest.raises(InputError, match="similarity 'overlap' is not for classification"):
        similarity_of(task_of("classification"), "overlap")


def test_majority():
    assert majority(["x", "y", "x"]) == ["x"]
    assert majority(["x", "y"]) == ["x", "y"]
    assert majority([["b"], ["b"], []]) == [["b"]]
    assert majority([{"a": 1}, {"a": 1}, {"a": 2}]) == [{"a": 1}]
