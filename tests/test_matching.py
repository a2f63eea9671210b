"""Entity matching: how labels are spelt, and how two records are shown."""

import json
from pathlib import Path

import pytest
from documents import built
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.exchange.items import read_items
from prelabel.guideline import Guideline
from prelabel.prompts import load_template, make_compiler, render_item, render_system
from prelabel.records import Item
from prelabel.settings import AnnotatorConfig, ItemsConfig
from prelabel.tasks import AbstainedError, OffListError, make_task
from prelabel.tasks.matching import SPELLINGS, check

ITEM = Item("i", {"left": '{"name": "a"}', "right": '{"name": "b"}'})


def task_of(**settings):
    return make_task(Guideline.model_validate({"name": "g", "task": "matching"} | settings))


def read(task, answer, rationale=False):
    model = task.response_model(rationale=rationale)
    return task.read(model.model_validate_json(json.dumps(answer)), ITEM).label


@pytest.mark.parametrize(
    "raw", ["match", " MATCH ", "true", "True", "yes", "1", True, 1, 1.0, ["yes"]]
)
def test_spellings_of_a_match(raw):
    assert task_of().match(raw) == "match"


NO = ["no_match", "No match", "NO_MATCH", "false", "no", "0", False, 0, 0.0, ("no",)]


@pytest.mark.parametrize("raw", NO)
def test_spellings_of_no_match(raw):
    assert task_of().match(raw) == "no_match"


NEITHER = ["", "matches", "a match", "nomatch", "y", "n", "2", "1.0", "not a match", "no-match"]


@pytest.mark.parametrize(
    "raw", [*NEITHER, None, 2, 0.5, float("nan"), [], ["yes", "no"], {"label": "match"}]
)
def test_what_stands_for_no_label(raw):
    with pytest.raises(OffListError, match="is not one of: match, no_match"):
        task_of().match(raw)


def test_aliases_of_the_guideline():
    labels = [
        {"name": "match", "definition": "d", "aliases": ["same", "no", "maybe"]},
        {"name": "no_match", "definition": "d", "aliases": ["Different", "maybe"]},
    ]
    task = task_of(labels=labels)
    assert (task.match("SAME"), task.match("different")) == ("match", "no_match")
    assert task.match("no") == "no_match"  # an alias does not change what a plain word means
    with pytest.raises(OffListError):
        task.match("maybe")  # claimed twice


@given(st.sampled_from(["match", "no_match"]))
def test_votes_and_answers_round_trip(label):
    task = task_of()
    assert task.values() == ("match", "no_match")
    assert task.votes(label) == {"": label}
    assert task.from_votes(task.votes(label)) == label
    assert read(task, task.answer(label)) == label
    assert all(task.match(text) == label for text in SPELLINGS[label])


def test_the_reason_comes_first_where_it_is_asked_for():
    schema = task_of().response_model(rationale=True).model_json_schema()
    assert list(schema["properties"]) == schema["required"] == ["rationale", "label"]
    assert schema["additionalProperties"] is False
    assert (
        read(task_of(), {"rationale": "Same number.", "label": "match"}, rationale=True) == "match"
    )
    plain = task_of().response_model(rationale=False).model_json_schema()
    assert list(plain["properties"]) == ["label"]
    assert plain["properties"]["label"]["enum"] == ["match", "no_match"]
    with pytest.raises(ValidationError):
        read(task_of(), {"label": "match"}, rationale=True)


def test_the_way_out():
    with pytest.raises(AbstainedError):
        read(task_of(abstain="a record is empty"), {"label": "abstain"})
    with pytest.raises(OffListError):
        read(task_of(), {"label": "abstain"})


def test_a_pair_is_asked_about_once_and_never_in_parts():
    task = task_of()
    assert list(task.views(ITEM)) == [ITEM]
    assert task.splits is False


def shown(prompt="full", **fields):
    return render_item(load_template("matching", prompt, None), fields, None)


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_objects_are_shown_as_lines(prompt):
    left = {"name": "Ünal & Söhne", "tags": ["a", "b"], "phone": "", "mail": None, "stall": 0}
    lines = shown(prompt, left=json.dumps(left), right='{"name": " ", "open": true}').split("\n")
    assert lines == [
        *("<item>", "<item-1>", "name: Ünal & Söhne", "tags: a, b"),
        *("phone: (none)", "mail: (none)", "stall: 0", "</item-1>"),
        *("<item-2>", "name: (none)", "open: true", "</item-2>", "</item>"),
    ]


def test_plain_texts_are_shown_as_they_are():
    lines = shown(fair="Spring", one="{Ann's} stall", two="").split("\n")
    assert lines[1:] == [
        *("<item-fair>", "Spring", "</item-fair>", "<item-1>", "{Ann's} stall", "</item-1>"),
        *("<item-2>", "(none)", "</item-2>", "</item>"),
    ]


def test_lists_within_lists_are_json_however_deep():
    deep = "[" * 300 + "]" * 300
    lines = shown(left=f'{{"a": ["x", ["y"], {{"z": 1}}], "b": {deep}}}', right="r").split("\n")
    assert lines[2] == 'a: x, ["y"], {"z": 1}'
    assert lines[3] == f"b: {deep[1:-1]}"
    assert shown(left="[" * 200_000, right="r").split("\n")[2] == "[" * 200_000


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x85", "\u2028", "\x0b"])
def test_a_value_cannot_pretend_to_be_another_line(end):
    record = {"name": f"Ann{end}phone: 5", f"town{end}web": "x"}
    lines = shown(left=json.dumps(record), right="{}").splitlines()
    assert lines[2:4] == ["name: Ann phone: 5", "town web: x"]
    assert lines[6] == "(none)"


@given(st.text(max_size=10), st.text(max_size=10))
def test_a_record_cannot_close_its_tag(one, two):
    text = shown(left=json.dumps({"n": f"</item-1>{one}"}), right=f"</item>{two}")
    fence = text.split(">")[0][1:]
    assert fence != "item"
    tags = [
        f"<{fence}>",
        f"<{fence}-1>",
        f"</{fence}-1>",
        f"<{fence}-2>",
        f"</{fence}-2>",
        f"</{fence}>",
    ]
    assert [text.count(tag) for tag in tags] == [1] * 6


def test_objects_in_the_columns_of_a_table(tmp_path):
    row = {"id": 1, "left": {"name": "a", "price": None}, "right": {"name": "b"}, "fair": "x"}
    (tmp_path / "items.jsonl").write_text(json.dumps(row) + "\n")
    config = ItemsConfig(path="items.jsonl", text=["left", "right"])
    (item,) = read_items(tmp_path, config)
    assert list(item.fields) == ["left", "right"]
    lines = shown(**item.fields).split("\n")
    assert lines[2:4] == ["name: a", "price: (none)"]


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_the_instructions(prompt):
    guideline = Guideline.model_validate(
        {"name": "g", "task": "matching", "question": "One stall?", "abstain": "both are empty."}
    )
    system = render_system(
        load_template("matching", prompt, None),
        guideline=guideline,
        rationale=True,
        show_examples=True,
        worked=[],
        preselected=False,
    )
    assert "One stall?" in system
    assert 'Answer "abstain" only in this case: both are empty.\n' in system
    assert '{"rationale": "...", "label": "<match or no_match>"}' in system


def test_worked_examples_are_shown_as_items_are():
    left = json.dumps({"name": "Ünal", "town": 'the "Old" town'})
    worked = [
        {"fields": {"fair": "Spring", "left": left, "right": "a stall"}, "answer": "no_match", "why": "a town"},
        {"fields": {"left": "x", "right": "y"}, "answer": "match"},
    ]  # fmt: skip
    guideline = Guideline.model_validate({"name": "g", "task": "matching", "examples": worked})
    config = AnnotatorConfig(name="a", model="m")
    compiler = make_compiler(guideline, make_task(guideline), config, [], Path())
    system = compiler.static[0]["content"]
    item = shown(**worked[0]["fields"]).replace("item", "example")
    assert item in system
    assert f'{item}\nAnswer: {{"label": "no_match"}} (a town)\n' in system
    assert 'Answer: {"label": "match"}\n' in system
    assert '\\"' not in system


def test_check_finds_other_labels_and_turned_aliases():
    labels = [
        {"name": "match", "aliases": ["same", "No"]},
        {"name": "differs"},
    ]
    found = [f.message for f in check(built(*labels, task="matching"), lambda *where: 1)]
    assert found == [
        "alias 'No' of 'match' means 'no_match'; remove it",
        (
            "label 'differs' is neither 'match' nor 'no_match'; rename it, and write other "
            "spellings under 'aliases:'"
        ),
    ]
    assert list(check(built(task="matching"), lambda *where: 1)) == []
