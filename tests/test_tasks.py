"""Every task through one suite, and every aggregator on every task."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.errors import InputError
from prelabel.guideline import Guideline
from prelabel.guideline_check import check
from prelabel.records import Item
from prelabel.tasks import TASKS as EVERY_TASK
from prelabel.tasks import (
    AbstainedError,
    OffListError,
    dump_distribution,
    load_distribution,
    make_task,
    shorten,
)

TASKS = ("classification", "multi-label")
"""The tasks of flat label sets; `test_every_task` has all of them."""

ITEM = Item("i", {"text": "a text"})

STRANGE = (
    "toxic",
    "not_toxic",
    "toxic_severe",
    'say "hi"',
    "{brace}",
    "{{ 7*7 }}",
    "back\\slash",
    "😀",
    "שלום",
    "café",
    "model_",
    "model_config",
    "model_extra",
    "copy",
    "json",
    "label_0",
    "_private",
    "__class__",
    "rationale",
    "label",
    "labels",
    "[]",
    '", "',
    "true",
    "1",
    "two words",
)
"""Label names that collide with JSON, pydantic, templates, or each other's beginnings."""


def task_of(kind, labels=("toxic", "not toxic"), aliases=None, **settings):
    names = [
        {"name": name, "definition": "d", "aliases": (aliases or {}).get(name, ())}
        for name in labels
    ]
    return make_task(
        Guideline.model_validate({"name": "g", "task": kind, "labels": names} | settings)
    )


def label_strategy(task):
    if task.name == "classification":
        return st.sampled_from(task.labels)
    chosen = st.lists(st.sampled_from(task.labels), unique=True)
    return chosen.map(lambda names: [n for n in task.labels if n in names])


def a_label(task, *names):
    return names[0] if task.name == "classification" else list(names)


MODELS = {}


def parsed(task, answer, rationale=False):
    key = (task, rationale)
    model = MODELS.get(key) or MODELS.setdefault(key, task.response_model(rationale=rationale))
    return model.model_validate_json(json.dumps(answer, ensure_ascii=False))


def read(task, answer):
    return task.read(parsed(task, answer), ITEM).label


@pytest.fixture(params=TASKS)
def strange(request):
    return task_of(request.param, STRANGE)


@pytest.fixture(params=TASKS)
def kind(request):
    return request.param


STRANGE_TASKS = {name: task_of(name, STRANGE) for name in TASKS}

# What every task keeps


@pytest.mark.parametrize("name", TASKS)
@settings(deadline=None)
@given(data=st.data())
def test_votes_and_answers_come_back(name, data):
    task = STRANGE_TASKS[name]
    label = data.draw(label_strategy(task))
    votes = task.votes(label)
    assert task.from_votes(votes) == label
    assert set(votes.values()) <= set(task.values())
    units = {""} if name == "classification" else set(STRANGE)
    assert set(votes) == units  # complete: a vote for every unit
    assert read(task, task.answer(label)) == label
    assert task.match(label) == label
    assert json.loads(json.dumps(label)) == label


@pytest.mark.parametrize("rationale", [False, True])
@pytest.mark.parametrize("abstain", [None, "the text is empty"])
def test_the_schema_is_strict_and_names_every_value(kind, rationale, abstain):
    task = task_of(kind, STRANGE, abstain=abstain)
    schema = task.response_model(rationale=rationale).model_json_schema()
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert schema["required"] == list(properties)
    assert (next(iter(properties)) == "rationale") == rationale  # it comes before the label
    if kind == "classification":
        named = properties["label"]["enum"]
        assert named == [*STRANGE, *(["abstain"] if abstain else [])]
        assert properties["label"]["type"] == "string"
    else:
        assert properties["labels"]["type"] == "array"
        assert properties["labels"]["items"] == {"type": "string", "enum": list(STRANGE)}
        assert ("abstain" in properties) == (abstain is not None)
        assert properties.get("abstain", {}).get("type", "boolean") == "boolean"
        assert set(properties) <= {"rationale", "abstain", "labels"}
    assert "$ref" not in json.dumps(schema)
    assert "default" not in json.dumps(schema)


def tokens_of(text, size=1):
    return [{"token": text[i : i + size], "logprob": -0.1} for i in range(0, len(text), size)]


@pytest.mark.parametrize("rationale", [{}, {"rationale": 'it is "label": "x", "labels": ["x"]'}])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_distribution_of_an_answer_is_its_votes(strange, size, rationale):
    for names in (["שלום"], ['say "hi"', "toxic_severe", "labels"]):
        label = a_label(strange, *names)
        written = json.dumps(rationale | strange.answer(label), ensure_ascii=False)
        found = strange.distribution(tokens_of(written, size))
        votes = strange.votes(label)
        assert found == {
            unit: {value: float(value == vote) for value in strange.values()}
            for unit, vote in votes.items()
        }


@pytest.mark.parametrize("text", ["", "{}", "null", '{"label": null}', '{"labels": null}', "toxic"])
def test_no_distribution_of_what_is_no_answer(kind, text):
    assert task_of(kind).distribution(tokens_of(text)) == {}


@settings(deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", TASKS)
def test_the_distribution_of_any_label_is_its_votes(name, data):
    task = STRANGE_TASKS[name]
    label = data.draw(label_strategy(task))
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    written = json.dumps(task.answer(label), ensure_ascii=False, separators=separators)
    found = task.distribution(tokens_of(written, data.draw(st.integers(1, 9))))
    assert {
        unit: row[vote]
        for (unit, vote), row in zip(task.votes(label).items(), found.values(), strict=True)
    } == dict.fromkeys(found, 1.0)


@settings(deadline=None)
@given(label=st.sampled_from(STRANGE), left=st.text(" \t\n", max_size=2), upper=st.booleans())
@pytest.mark.parametrize("name", TASKS)
def test_case_space_and_composition_do_not_matter(name, label, left, upper):
    task = STRANGE_TASKS[name]
    spelt = left + unicodedata.normalize("NFD", label.upper() if upper else label) + " "
    if upper and label.upper().casefold() != label.casefold():
        return
    assert task.match(spelt) == a_label(task, label)


def test_an_alias_is_the_label(kind):
    task = task_of(kind, aliases={"toxic": ["hateful", "böse"]})
    for spelling in ("hateful", "HATEFUL ", unicodedata.normalize("NFD", "BÖSE")):
        assert task.match(spelling) == a_label(task, "toxic")


OFF_LIST = (
    "Not toxic.",
    "toxic.",
    "not",
    "tox",
    "toxi",
    "toxic toxic",
    "toxic, not toxic",
    "nottoxic",
    "not  toxic",
    "non-toxic",
    '"toxic"',
    "",
    " ",
    "null",
    "None",
    "0",
    "abstain",
    "I'm sorry, but I can't help with that.",
    "As an AI language model, I cannot label toxic content.",
    "The label is toxic",
    "тoxic",  # the first letter is Cyrillic
    "to\u200bxic",  # a zero-width space
)


@pytest.mark.parametrize("raw", OFF_LIST)
def test_what_is_off_the_list_is_no_label(kind, raw):
    with pytest.raises(OffListError):
        task_of(kind).match(raw)


@pytest.mark.parametrize("raw", [None, 0, 1.5, True, {"label": "toxic"}, [1], [None], ["toxic", 3]])
def test_what_is_no_text_is_no_label(kind, raw):
    with pytest.raises(OffListError):
        task_of(kind).match(raw)


@settings(deadline=None)
@given(raw=st.text(max_size=30))
@pytest.mark.parametrize("name", TASKS)
def test_any_other_text_is_off_the_list(name, raw):
    task = task_of(name)
    try:
        label = task.match(raw)
    except OffListError:
        return
    assert unicodedata.normalize("NFC", raw).strip().casefold() in ("toxic", "not toxic")
    assert task.match(label) == label


def test_a_spelling_that_two_labels_claim_is_neither(kind):
    task = task_of(kind, aliases={"toxic": ["bad"], "not toxic": ["bad"]})
    with pytest.raises(OffListError):
        task.match("bad")


# Classification


@pytest.mark.parametrize("raw", OFF_LIST)
def test_an_off_list_answer_is_never_a_label(raw):
    task = task_of("classification")
    with pytest.raises(OffListError, match=r"is not one of: toxic, not toxic"):
        read(task, {"label": raw})


@pytest.mark.parametrize(
    "answer", [{}, {"label": None}, {"label": ["toxic"]}, {"label": {"toxic": True}}, [], "toxic"]
)
def test_an_answer_of_another_shape_is_not_parsed(answer):
    with pytest.raises(ValidationError):
        parsed(task_of("classification"), answer)


def test_a_list_of_one_is_a_label_and_of_two_is_not():
    task = task_of("classification")
    assert task.match(["toxic"]) == "toxic"
    for raw in ([], ["toxic", "not toxic"]):
        with pytest.raises(OffListError):
            task.match(raw)


def test_a_long_answer_is_cut_in_the_message():
    with pytest.raises(OffListError) as caught:
        task_of("classification").match("x" * 1_000_000)
    assert len(str(caught.value)) < 120
    assert shorten("abc") == "'abc'"


# Abstaining


@pytest.mark.parametrize("raw", ["abstain", " Abstain\n", "ABSTAIN"])
def test_the_way_out(raw):
    task = task_of("classification", abstain="it is empty")
    with pytest.raises(AbstainedError):
        read(task, {"label": raw})


def test_no_way_out_where_the_guideline_has_none(kind):
    task = task_of(kind, ("a", "b"))
    answer = {"label": "abstain"} if kind == "classification" else {"labels": ["abstain"]}
    with pytest.raises(OffListError):
        read(task, answer)


def test_abstain_may_be_a_label_where_there_is_no_way_out(kind):
    task = task_of(kind, ("abstain", "b"))
    assert read(task, task.answer(a_label(task, "abstain"))) == a_label(task, "abstain")


def test_rationale(kind):
    task = task_of(kind, ("a", "b"))
    label = a_label(task, "a")
    answer = parsed(task, {"rationale": "so", **task.answer(label)}, rationale=True)
    assert answer.rationale == "so"
    assert task.read(answer, ITEM).label == label
    with pytest.raises(ValidationError):
        parsed(task, task.answer(label), rationale=True)


@pytest.mark.parametrize("rationale", [False, True])
@pytest.mark.parametrize("abstain", [None, "the text is empty"])
def test_labels_called_like_a_field_are_labels(kind, rationale, abstain):
    names = ("rationale", "labels", "label", *(() if abstain else ("abstain",)))
    task = task_of(kind, names, abstain=abstain)
    for name in names:
        label = a_label(task, name)
        answer = {"rationale": f'"{name}"'} | task.answer(label)
        assert task.read(parsed(task, answer, rationale), ITEM).label == label
        found = task.distribution(tokens_of(json.dumps(answer)))
        assert {unit: max(row, key=row.get) for unit, row in found.items()} == task.votes(label)


def test_a_label_called_abstain_beside_the_way_out_is_reported(tmp_path, kind):
    path = tmp_path / "guideline.yaml"
    labels = "".join(
        f"  - name: {n}\n    definition: d\n" for n in ("abstain", "labels", "rationale")
    )
    document = f"name: n\ntask: {kind}\nlabels:\n{labels}"
    for more, expected in (("", 0), ("abstain: the text is empty\n", 1)):
        path.write_text(document + more, encoding="utf-8")
        errors = [f.message for f in check(path) if f.level == "error"]
        assert len(errors) == expected
        assert all("'abstain' stands for abstaining" in message for message in errors)


def test_an_unknown_task_is_one_line():
    with pytest.raises(
        InputError, match=rf"unknown task 'guessing'; use one of: {', '.join(EVERY_TASK)}$"
    ):
        task_of("guessing")


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.dictionaries(st.one_of(st.booleans(), st.text(max_size=5)), st.floats(0, 1), max_size=3),
        max_size=3,
    )
)
def test_distributions_keep_the_types_of_their_values(distribution):
    back = load_distribution(json.loads(json.dumps(dump_distribution(distribution))))
    assert back.keys() == distribution.keys()
    for unit, row in distribution.items():
        assert [(type(v), v) for v in back[unit]] == [(type(v), v) for v in row]
        assert all(back[unit][v] == pytest.approx(p, abs=1e-6) for v, p in row.items())
