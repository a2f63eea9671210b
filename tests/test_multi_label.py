"""Multi-label: which lists are labels, which are not, and how an annotator abstains."""

import unicodedata

import pytest
from pydantic import ValidationError
from test_tasks import OFF_LIST, parsed, read, task_of

from prelabel.tasks import AbstainedError, OffListError


def test_a_list_is_in_the_guidelines_order():
    task = task_of("multi-label", ("a", "b", "c"))
    assert read(task, {"labels": ["a", "c"]}) == ["a", "c"]
    assert read(task, {"labels": ["c", "a"]}) == ["a", "c"]
    assert read(task, {"labels": []}) == []
    assert read(task, {"labels": ["c", "b", "a"]}) == ["a", "b", "c"]


def test_votes_are_a_boolean_a_label():
    task = task_of("multi-label", ("a", "b", "c"))
    assert task.votes(["c", "a"]) == {"a": True, "b": False, "c": True}
    assert task.votes([]) == {"a": False, "b": False, "c": False}
    assert task.from_votes({"c": True, "a": False, "b": True}) == ["b", "c"]


def test_a_label_that_the_guideline_lacks_is_off_the_list():
    task = task_of("multi-label", ("a", "b"))
    for labels in (["a", "c"], ["c"], ["c", "c", "a"]):
        with pytest.raises(OffListError, match=r"'c' is not one of: a, b"):
            read(task, {"labels": labels})


@pytest.mark.parametrize("raw", [*OFF_LIST, "toxic\x00", "toxic and not toxic"])
def test_one_entry_off_the_list_spoils_it(raw):
    task = task_of("multi-label")
    for labels in ([raw], ["toxic", raw], [raw, "toxic"]):
        with pytest.raises(OffListError, match=r"is not one of: toxic, not toxic"):
            read(task, {"labels": labels})


def test_a_label_may_be_spelt_otherwise_and_counts_once():
    task = task_of("multi-label", ("café", "b"), aliases={"b": ["bee"]})
    nfd = unicodedata.normalize("NFD", "CAFÉ")
    assert read(task, {"labels": [nfd]}) == ["café"]
    assert read(task, {"labels": ["BEE ", nfd]}) == ["café", "b"]
    assert read(task, {"labels": ["café", nfd, " Café", "bee", "b", "b"]}) == ["café", "b"]


@pytest.mark.parametrize(
    "raw",
    [None, "a", "", "[]", 0, 1, True, {}, {"a": True}, ["a", None], [1], [True], [["a"]], [{}]],
)
def test_what_is_no_list_of_texts_is_not_parsed(raw):
    with pytest.raises(ValidationError):
        parsed(task_of("multi-label", ("a", "b")), {"labels": raw})


@pytest.mark.parametrize("answer", [{}, {"a": True, "b": False}, {"label": ["a"]}, ["a"], [], "a"])
def test_an_answer_without_the_list_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        parsed(task_of("multi-label", ("a", "b")), answer)


def test_too_many_labels_are_off_the_list():
    task = task_of("multi-label", ("a", "b", "c"), max_labels=2)
    assert task.match(["a", "c"]) == ["a", "c"]
    for refused in (
        lambda: task.match(["a", "b", "c"]),
        lambda: read(task, {"labels": ["c", "b", "a"]}),
    ):
        with pytest.raises(OffListError, match=r"3 labels where the guideline allows 2"):
            refused()
    assert read(task, {"labels": ["a", "b", "a", "B"]}) == ["a", "b"]  # two, though four entries
    assert read(task, {"labels": []}) == []


def test_recorded_lists():
    task = task_of("multi-label", ("a", "b"))
    assert task.match([]) == []
    assert task.match(["b", "a", "B"]) == ["a", "b"]
    assert task.match(("b",)) == task.match("b") == ["b"]
    assert task.match(["a"] * 1000) == ["a"]


def test_the_way_out_of_multi_label():
    task = task_of("multi-label", ("a", "b"), abstain="it is empty")
    for labels in ([], ["a"], ["c"]):
        with pytest.raises(AbstainedError):
            read(task, {"abstain": True, "labels": labels})
    assert read(task, {"abstain": False, "labels": ["a"]}) == ["a"]
    assert read(task, {"abstain": False, "labels": []}) == []
    assert task.answer(["a"]) == {"abstain": False, "labels": ["a"]}
    with pytest.raises(OffListError, match=r"'abstain' is not one of: a, b"):
        read(task, {"abstain": False, "labels": ["abstain"]})


@pytest.mark.parametrize(
    "answer",
    [
        {"labels": ["a"]},
        {"abstain": None, "labels": []},
        {"abstain": "maybe", "labels": []},
        {"abstain": []},
        {"abstain": True},
    ],
)
def test_an_answer_that_leaves_abstaining_open_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        parsed(task_of("multi-label", ("a", "b"), abstain="it is empty"), answer)
