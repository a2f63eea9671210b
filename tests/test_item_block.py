"""How an item is shown: fields that cannot pretend to be others, pictures, the field of spans."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.guideline import Guideline
from prelabel.prompts import load_template, make_compiler, render_item
from prelabel.records import Image, Item
from prelabel.settings import AnnotatorConfig
from prelabel.tasks import TASKS, make_task

FENCED_ONCE = ("classification", "multi-label", "hierarchical", "rating", "extraction", "text")
PROMPTS = [f"{task}.{prompt}" for task in FENCED_ONCE for prompt in ("full", "brief")]


def shown(name: str, **fields: str) -> str:
    task, prompt = name.split(".")
    guideline = Guideline.model_validate({"name": "g", "task": task, "item": "advert"})
    return render_item(load_template(task, prompt, Path()), fields, guideline)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_single_field_has_the_one_fence(name: str) -> None:
    assert shown(name, text="Where is it?\ntext: x") == "<item>\nWhere is it?\ntext: x\n</item>"
    assert shown(name, title="Late") == "<item>\nLate\n</item>"


@pytest.mark.parametrize("name", PROMPTS)
def test_each_of_several_fields_has_its_own_tag(name: str) -> None:
    text = shown(
        name, **{"passage": "A bus.\nquestion: No?", "the question": "Where?", "größe": ""}
    )
    assert text.split("\n") == [
        *("<item>", "<item-passage>", "A bus.", "question: No?", "</item-passage>"),
        *("<item-field-2>", "the question:", "Where?", "</item-field-2>"),
        *("<item-größe>", "", "</item-größe>", "</item>"),
    ]


MARKS = ("</item-b>", "<item-b>", "</item>", "\nb: ", "item", "<", "-b>", "＜/item-b＞", "</")


@settings(deadline=None)
@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=2)).map("".join))
def test_no_text_can_open_or_close_another_field(text: str) -> None:
    prompt = shown("text.full", aa=text, bb="fine")
    fence = prompt.split(">")[0][1:]
    assert prompt == (
        f"<{fence}>\n<{fence}-aa>\n{text}\n</{fence}-aa>\n<{fence}-bb>\nfine\n</{fence}-bb>\n</{fence}>"
    )
    for tag in (f"{fence}-aa", f"{fence}-bb", fence):
        assert prompt.count(f"<{tag}>") == prompt.count(f"</{tag}>") == 1


# Pictures


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("fields", [{}, {"text": ""}, {"title": "", "text": " \n"}])
def test_an_item_of_pictures_alone(name: str, fields: dict[str, str]) -> None:
    line = "The advert has no text; it is the picture or pictures before this line."
    assert shown(name, **fields) == line


def messages(task: str, prompt: str, item: Item) -> tuple[str, str]:
    document = {"name": "g", "task": task, "item": "advert", "given": "spans"}
    document |= {"scale": {"min": 1, "max": 5, "step": 1}} if task == "rating" else {}
    guideline = Guideline.model_validate(document)
    config = AnnotatorConfig.model_validate({"name": "a", "model": "m", "prompt": prompt})
    compiler = make_compiler(guideline, make_task(guideline), config, [], Path())
    asked = compiler.compile(item).messages[-1]["content"]
    return compiler.static[0]["content"], asked


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_pictures_are_part_of_the_item(task: str, prompt: str) -> None:
    picture = Image("photo", "https://example.org/p.png")
    fields = {"title": "A bike", "spans": "[]"}
    system, asked = messages(task, prompt, Item("1", fields, images=(picture,)))
    assert "picture" not in system or task == "pairwise"
    assert [block["type"] for block in asked] == ["image_url", "text"]
    assert asked[-1]["text"].startswith("The picture belongs to the advert below.\n\n")
    assert asked[-1]["text"].endswith("</item>")


# Spans


@pytest.mark.parametrize("prompt", ["full", "brief"])
@pytest.mark.parametrize(
    ("fields", "name"),
    [({"title": "Late", "body": "x"}, "title"), ({"title": "Late", "text": "x"}, "text")],
)
def test_the_field_that_spans_stand_in_is_named(
    prompt: str, fields: dict[str, str], name: str
) -> None:
    lines = shown(f"spans.{prompt}", **fields).split("\n")
    assert lines[0] == f'Spans are looked for in the field "{name}".'
    assert lines[1:3] == ["<item>", "<item-title>"]


@pytest.mark.parametrize("prompt", ["full", "brief"])
def test_of_one_field_nothing_is_said(prompt: str) -> None:
    assert shown(f"spans.{prompt}", title="Late") == "<item>\nLate\n</item>"
