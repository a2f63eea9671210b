"""What every task type keeps, whatever the label."""

import json

import pytest
from every_task import item_of, labels_of, task_of
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.tasks import TASKS, Measured, Task


@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None)
@given(data=st.data())
def test_votes_come_back(name, data):
    task = task_of(name)
    label = data.draw(labels_of(task))
    votes = task.votes(label)
    assert task.from_votes(votes) == label
    assert json.loads(json.dumps(label)) == label
    for unit, value in votes.items():
        declared = task.values(unit)
        assert declared is None or value in declared


@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None)
@given(data=st.data())
def test_a_label_is_matched_as_itself_also_from_its_json(name, data):
    task, item = task_of(name), item_of(name)
    label = data.draw(labels_of(task))
    assert task.match(label, item) == label
    if name != "multi-label" and isinstance(label, list | dict):  # what a cell of a table can hold
        assert task.match(json.dumps(label), item) == label


@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_an_answer_is_read_as_the_label_that_it_was_made_of(name, data):
    task, item = task_of(name), item_of(name)
    label = data.draw(labels_of(task))
    answer = json.dumps(task.worked(label, item), ensure_ascii=False)
    model = task.response_model(rationale=False)
    assert task.read(model.model_validate_json(answer), item).label == label


@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_aligned_votes_are_complete_and_aligned_again_the_same(name, data):
    task = task_of(name)
    votes = {who: task.votes(data.draw(labels_of(task))) for who in "xyz"}
    aligned = task.align(votes)
    assert len({frozenset(own) for own in aligned.values()}) == 1
    assert task.align(aligned) == aligned
    assert task.align(dict(reversed(votes.items()))) == aligned
    for who, own in aligned.items():
        if task.name not in ("text", "extraction"):  # these take one spelling for equal values
            assert task.from_votes(own) == task.from_votes(votes[who])


def test_what_can_be_labeled_in_parts_says_so():
    merging = {name for name in TASKS if type(task_of(name)).merge is not Task.merge}
    assert {name for name in TASKS if task_of(name).splits} == merging - {"matching", "rating"}
    assert task_of("rating", merge="max").splits


MEASURED = [name for name in TASKS if hasattr(task_of(name), "measure")]


@pytest.mark.parametrize("name", MEASURED)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_gold_measured_against_itself_is_right(name, data):
    task = task_of(name)
    labels = data.draw(st.lists(labels_of(task), min_size=1, max_size=4))
    found = task.measure(labels, labels, 0)
    assert all(found.right)
    for metric, estimate in found.metrics.items():
        if estimate.value is not None:
            assert estimate.value == pytest.approx(0 if metric == "mae" else 1)
    if isinstance(task, Measured):
        for label in labels:
            agreeing, of = task.overlap(label, label)
            assert agreeing == of


@pytest.mark.parametrize("abstain", [None, "the text is empty"])
@pytest.mark.parametrize("rationale", [False, True])
@pytest.mark.parametrize("name", TASKS)
def test_the_schema_is_one_that_strict_providers_take(name, rationale, abstain):
    schema = task_of(name, abstain=abstain).response_model(rationale=rationale).model_json_schema()
    assert (next(iter(schema["properties"])) == "rationale") == rationale
    waiting = [schema, *schema.get("$defs", {}).values()]
    while waiting:
        part = waiting.pop()
        assert "default" not in part
        assert "oneOf" not in part
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
            waiting += part["properties"].values()
        waiting += [part["items"]] if "items" in part else []


@pytest.mark.parametrize("name", MEASURED)
def test_nothing_has_no_measures_and_does_not_fail(name):
    task = task_of(name)
    found = task.measure([], [], 0)
    assert list(found.right) == []
    assert all(e.value is None and e.why for e in found.metrics.values())


@pytest.mark.parametrize("name", MEASURED)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_what_is_right_is_what_the_measure_counts_as_right(name, data):
    task = task_of(name)
    pairs = data.draw(st.lists(st.tuples(labels_of(task), labels_of(task)), min_size=1, max_size=5))
    gold, given_ = zip(*pairs, strict=True)
    assert list(task.measure(gold, given_).right) == [task.right(a, b) for a, b in pairs]
