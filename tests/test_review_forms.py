"""Every task's form: what a label fills in is read as the same label, and hostile input is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from review_site import copied

from prelabel.guideline import Guideline
from prelabel.project import Project
from prelabel.resources import data_folder
from prelabel.review.deciding import read_said
from prelabel.review.forms import KEYS, RESERVED, choices, keys, make_form
from prelabel.review.shown import blind_reasons, marked, pretty_record, words
from prelabel.tasks import OffListError, make_task

NAMES = sorted(path.parent.name for path in data_folder("evalsets").glob("*/items.jsonl"))
WITHOUT_KEYS = ("small-ads", "staff-news", "notice-questions")
"""Evalsets of extraction, relations and text: what is written has no key."""

FIELDS = [
    "label",
    "spans",
    "answer",
    "head",
    "relation",
    "tail",
    "field0",
    "field2",
    "field4",
    "field5",
]


@pytest.fixture(params=NAMES)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return copied(tmp_path / "project", request.param)


def test_a_label_fills_the_form_that_says_it(project: Project) -> None:
    task, form = project.task, make_form(project.task)
    items = {item.id: item for item in project.items()}
    for gold in project.gold:
        label = gold.label
        if task.name == "text" and isinstance(label, list):
            label = label[0]
        content = form.fill(label)
        assert all(isinstance(text, str) for texts in content.values() for text in texts)
        said = read_said(content, form, task, items[gold.item_id])
        assert task.votes(said.label) == task.votes(label)
        assert words(label, task, items[gold.item_id])


@pytest.mark.parametrize("project", sorted({*NAMES} - {*WITHOUT_KEYS}), indirect=True)
def test_each_value_has_a_key_of_its_own(project: Project) -> None:
    found = [choice.key for choice in choices(project.task)]
    assert len(set(found)) == len(found)
    assert not any(key[0] in RESERVED for key in found)
    assert not any(a != b and b.startswith(a) for a in found for b in found)  # none hides another


def test_keys_of_many_values() -> None:
    assert keys(3) == ["1", "2", "3"]
    many = keys(400)
    assert len(set(many)) == 400
    assert all(key[0].isalpha() and len(key) == 2 for key in many)
    assert keys(600)[-1] == ""  # found by name only
    assert not set(KEYS) & set(RESERVED)


HOSTILE = st.one_of(
    st.text(max_size=20),
    st.sampled_from([
        "1e999", "-0", "9" * 5000, "[" * 3000, "[[0,1]]", '[{"start":0}]', '{"spans":{}}', "null",
        '[[0, 99999999999999999999, "person"]]', '[{"start":0,"end":1,"label":[]}]', "[null]", "\x00",
        '[{"text":"\\ud800","label":"person"}]', "true", "A", "match", "1", "NaN", "Infinity",
    ]),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_anything_sent_is_a_label_or_a_message(name: str, tmp_path_factory: Any) -> None:
    project = copied(tmp_path_factory.mktemp("p") / "project", name)
    form, item = make_form(project.task), next(project.items())
    contents = st.dictionaries(st.sampled_from(FIELDS), st.lists(HOSTILE, max_size=3))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(contents)
    def sent(content: dict[str, list[str]]) -> None:
        form.shows(content, item)
        try:
            said = read_said(content, form, project.task, item)
        except OffListError as error:
            assert 0 < len(f"{error}".splitlines()) < 2  # noqa: PT017  # either outcome is right
        else:
            json.dumps(said.label)
            assert project.task.match(said.label, item) == said.label

    sent()


def test_no_label_needs_a_cause_and_a_ruling_needs_a_reason(tmp_path: Path) -> None:
    project = copied(tmp_path / "project", "reader-questions")
    form, item = make_form(project.task), next(project.items())

    def read(**content: str) -> Any:
        return read_said({k: [v] for k, v in content.items()}, form, project.task, item)

    with pytest.raises(OffListError, match="say why as cause"):
        read(none="1")
    with pytest.raises(OffListError, match="say why as cause"):
        read(none="1", cause="annotator_error")
    assert read(none="1", cause="bad_item").label is None
    with pytest.raises(OffListError, match="needs a note"):
        read(label="food", ruling="1")
    with pytest.raises(OffListError, match="one of the causes"):
        read(label="food", cause="made_up")
    with pytest.raises(OffListError, match="10001 characters"):
        read(label="food", note="x" * 10_001)
    with pytest.raises(OffListError, match="no file can hold"):
        read(label="food", note="a\x00b")
    said = read(label=" FOOD ", note=" why ", ruling="1", cause="ambiguous_item")
    assert (said.label, said.note, said.ruling) == ("food", "why", True)


@given(st.text(max_size=60))
def test_a_marked_text_has_as_many_places_as_code_points(text: str) -> None:
    import re
    from html import unescape

    page = marked(text)
    rest = re.sub(
        r'<span class="mark" data-c="([0-9a-f]+)" title="[^"]*">[^<]*</span>',
        lambda m: f"\x01{m[1]}\x02",
        page,
    )
    assert "<" not in rest
    shown = re.sub("\x01([0-9a-f]+)\x02", lambda m: chr(int(m[1], 16)), unescape(rest))
    assert shown == text


def test_what_turns_a_text_around_is_shown_as_a_mark() -> None:
    page = marked("user\u202etxt.exe\r\nnext\x00\ud800 \U000e0041<b>")
    assert ">RLO</span>" in page
    assert "\u202e" not in page
    assert "\r" not in page
    assert "&lt;b&gt;" in page
    assert ">tag A</span>" in page
    page.encode()


def test_a_blind_reason_names_nobody_and_no_label() -> None:
    reasons = (
        "tie: food", "abstained: gpt", "failed: gpt (outage)", "not in the item: gpt named 'x' (no)",
        "low agreement: 0.5 below 0.66", "too few votes: 1 of 2 needed", "something new of gpt: food",
        "not labeled yet by 1 of 2 annotators", "abstained: claude",
    )  # fmt: skip
    said = blind_reasons(reasons)
    assert len(said) == len(set(said)) == 8
    assert not any(word in " ".join(said) for word in ("gpt", "claude", "food", "0.5"))


def test_a_record_is_shown_as_rows() -> None:
    assert pretty_record('{"a": 1, "b": null, "c": "x"}') == [("a", "1"), ("b", "none"), ("c", "x")]
    assert pretty_record("{not json}") is None
    assert pretty_record('{"a":' * 100_000) is None
    assert pretty_record("plain") is None


@pytest.mark.parametrize(
    ("names", "expected"), [("10", "10"), ("432", "432"), (["1", "12"], "12"), ("ab", "12")]
)
def test_the_key_of_a_digit_is_the_digit(names: Any, expected: str) -> None:
    labels = [{"name": name, "definition": "d"} for name in names]
    guideline = Guideline(name="g", task="classification", question="?", labels=labels)
    assert [choice.key for choice in choices(make_task(guideline))] == list(expected)
    assert list(KEYS[:2]) == ["1", "2"]
