"""Prompts: golden files, a static prefix, a fence that holds, a sandbox, one-line errors."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.guideline import Guideline, load_guideline
from prelabel.prompts import (
    fence,
    guideline_shots,
    load_template,
    make_compiler,
    render_item,
    template_hash,
)
from prelabel.records import Item
from prelabel.settings import AnnotatorConfig
from prelabel.shots import Shot
from prelabel.tasks import TASKS, make_task

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
SHOP = load_guideline(HERE / "guideline_shop.yaml")
ASPECTS = Guideline.model_validate(
    {
        "name": "aspects",
        "task": "multi-label",
        "purpose": "Each aspect has a manager.",
        "question": "Which aspects are spoken of?",
        "item": "review",
        "labels": [
            {
                "name": "room",
                "definition": "Bed and bath.",
                "examples": [
                    {"text": "A hard bed.", "why": "bed"},
                    {"text": 'Dear, and no\nwindow "at all".', "labels": ["room", "price"]},
                    {"text": "Cheap, but damp.", "labels": ["room", "price"], "why": "both"},
                ],
                "counter_examples": [
                    {"text": "A fine lobby.", "label": [], "why": "a common area"},
                    {"text": "A fine bill.", "why": "irony"},
                    {"text": "A fine fee.", "label": ["price"]},
                    {"text": "Fine."},
                ],
            },
            {"name": "price", "definition": "What it costs."},
        ],
        "edge_cases": [{"when": "only praise is given", "then": []}],
        "decision_tree": [
            {
                "ask": "Is it about the house?",
                "yes": [
                    {"ask": "Bed or bath?", "yes": ["room"]},
                    {"ask": "Money?", "yes": [{"ask": "Much?", "yes": ["price"], "no": []}]},
                ],
                "no": [],
            },
            {"ask": "Are both named?", "yes": ["room", "price"]},
        ],
        "common_mistakes": [{"mistake": "Stopping early", "correction": "Go on"}],
        "rulings": [{"id": "R1", "text": "Nice.", "label": [], "why": "says nothing"}],
        "max_labels": 2,
    }
)
BARE = Guideline.model_validate(
    {
        "name": "bare",
        "task": "classification",
        "labels": [{"name": "a", "definition": "A."}, {"name": "b", "definition": "B."}],
    }
)
ITEM = Item("i1", {"text": "Where is it?"}, {"channel": "SECRET-META", "label": "SECRET-GOLD"})
POOL = [
    Shot({"text": f"pool text {n} {word}"}, "delivery" if n % 2 else "payment", item_id=f"g{n}")
    for n, word in enumerate(("parcel", "bill", "driver", "refund", "door", "where is it"))
]


def compiler(guideline=SHOP, folder=HERE, pool=(), **settings):
    config = AnnotatorConfig.model_validate({"name": "a", "model": "m"} | settings)
    return make_compiler(guideline, make_task(guideline), config, pool, folder)


def messages(guideline=SHOP, item=ITEM, **settings):
    ready = compiler(guideline, **settings)
    return [*ready.static, *ready.compile(item).messages]


def as_text(sent):
    return "".join(f"[{m['role']}]\n{m['content']}\n" for m in sent)


ABSTAINING = ASPECTS.model_copy(update={"abstain": "when the text is empty."})
CASES = {
    "classification_full": (SHOP, {}),
    "classification_brief": (SHOP, {"prompt": "brief"}),
    "classification_rationale": (SHOP, {"rationale": True}),
    "classification_brief_rationale": (SHOP, {"prompt": "brief", "rationale": True}),
    "classification_shots": (SHOP, {"rationale": True, "shots": {"choose": "fixed", "k": 2}}),
    "classification_bare": (BARE, {}),
    "classification_bare_brief": (BARE, {"prompt": "brief"}),
    "multi-label_full": (ASPECTS, {}),
    "multi-label_brief": (ASPECTS, {"prompt": "brief"}),
    "multi-label_abstain": (ABSTAINING, {}),
    "multi-label_brief_abstain_rationale": (ABSTAINING, {"prompt": "brief", "rationale": True}),
    "multi-label_shots": (ASPECTS, {"prompt": "brief", "shots": {"choose": "diverse", "k": 2}}),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    guideline, settings = CASES[case]
    text = as_text(messages(guideline, **settings))
    golden = GOLDEN / f"prompt_{case}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_no_stray_blanks(case):
    guideline, settings = CASES[case]
    for message in messages(guideline, **settings):
        lines = message["content"].split("\n")
        assert all(line == line.rstrip() for line in lines)
        assert not any(a == b == "" for a, b in itertools.pairwise(lines))
        assert lines[0]
        assert lines[-1]


def test_two_fields_are_named():
    item = Item("i", {"title": "Late", "body": "Where is it?"})
    assert messages(item=item)[-1]["content"] == (
        "<item>\n<item-title>\nLate\n</item-title>\n"
        "<item-body>\nWhere is it?\n</item-body>\n</item>"
    )


def test_fields_named_like_methods():
    item = Item("i", {"items": "a", "values": "b", "fence": "c"})
    shown = messages(item=item)[-1]["content"]
    for name, text in item.fields.items():
        assert f"<item-{name}>\n{text}\n</item-{name}>" in shown


# What comes first, what comes last, what never comes

STATIC = (
    {},
    {"prompt": "brief"},
    {"shots": {"choose": "fixed", "k": 3}},
    {"shots": {"choose": "diverse", "k": 3, "source": "gold"}},
)

READY = {str(s): [compiler(pool=POOL, **s) for _ in range(2)] for s in STATIC}


@pytest.mark.parametrize("settings", STATIC)
@settings(deadline=None)
@given(text=st.text(min_size=1))
def test_the_item_is_last_and_nothing_of_it_before(settings, text):
    first, again = READY[str(settings)]
    sent = first.compile(Item("i", {"text": text}, {"m": "SECRET-META"})).messages
    assert len(sent) == 1
    assert text.strip() in sent[0]["content"]
    assert again.static == first.static
    assert again.compile(Item("i", {"text": text})).messages == sent


def test_metadata_and_gold_are_never_sent():
    for shots in ({}, {"choose": "similar", "k": 2, "source": "gold"}):
        assert "SECRET" not in as_text(messages(pool=POOL, shots=shots))


def test_gold_is_sent_only_as_a_declared_shot():
    assert "pool text" not in as_text(messages(pool=POOL))
    assert "pool text" not in as_text(messages(pool=POOL, shots={"choose": "fixed", "k": 2}))
    ready = compiler(pool=POOL, shots={"choose": "diverse", "k": 2, "source": "gold"})
    sent = as_text([*ready.static, *ready.compile(ITEM).messages])
    shown = [shot.item_id for shot in POOL if shot.fields["text"] in sent]
    assert len(shown) == 2
    assert sorted(ready.compile(ITEM).shown) == shown


def test_similar_shots_come_before_the_item_and_are_recorded():
    ready = compiler(pool=POOL, shots={"choose": "similar", "k": 2, "source": "gold"})
    assert [m["role"] for m in ready.static] == ["system"]
    sent, shown, _ = ready.compile(Item("x", {"text": "the driver at the door"}))
    assert [m["role"] for m in sent] == ["user", "assistant"] * 2 + ["user"]
    assert set(shown) == {"g2", "g4"}
    assert shown[-1] in {"g2", "g4"}
    # the item itself, which is in the pool, is not shown to itself
    sent, shown, _ = ready.compile(Item("g5", POOL[5].fields))
    assert "g5" not in shown
    assert as_text(sent).count("where is it") == 1


def test_a_shot_answers_as_the_schema_wants():
    task = make_task(SHOP)
    for rationale in (False, True):
        ready = compiler(rationale=rationale, shots={"choose": "fixed", "k": 4})
        model = task.response_model(rationale=rationale)
        for message in ready.static:
            if message["role"] == "assistant":
                answer = model.model_validate_json(message["content"])
                assert task.read(answer, Item("i", {"text": "t"})).label in SHOP.label_names
        assert ("It fits: delivery." in as_text(ready.static)) == rationale


def test_examples_stand_in_the_guideline_or_in_turns():
    assert "Where is my parcel?" in messages()[0]["content"]
    ready = compiler(shots={"choose": "fixed", "k": 1})
    assert "Where is my parcel?" not in ready.static[0]["content"]
    assert as_text(ready.static).count("Where is my parcel?") == 1
    assert "Not delivery:" in ready.static[0]["content"]  # counter-examples are in no turn
    gold = compiler(pool=POOL, shots={"choose": "fixed", "k": 1, "source": "gold"})
    assert "Where is my parcel?" in gold.static[0]["content"]


def test_fixed_shots_of_the_guideline_take_the_labels_in_turn():
    ready = compiler(shots={"choose": "fixed", "k": 4})
    answers = [m["content"] for m in ready.static if m["role"] == "assistant"]
    assert answers == ['{"label": "delivery"}', '{"label": "payment"}'] * 2


def test_an_example_under_two_labels_is_one_shot():
    twice = {"text": "Both.", "labels": ["a", "b"]}
    labels = [{"name": n, "definition": n, "examples": [twice]} for n in "ab"]
    guideline = Guideline.model_validate({"name": "g", "task": "multi-label", "labels": labels})
    assert guideline_shots(guideline, make_task(guideline)) == [Shot({"text": "Both."}, ["a", "b"])]


def test_an_example_with_unusable_labels_is_one_line():
    example = {"text": "Both.", "labels": ["a", "b"]}
    labels = [{"name": n, "definition": n, "examples": [example]} for n in "ab"]
    guideline = Guideline.model_validate({"name": "g", "task": "classification", "labels": labels})
    with pytest.raises(InputError, match=r"label 'a', example 'Both.': .* mend it"):
        compiler(guideline, shots={"choose": "fixed", "k": 1})


# Item text is data


@pytest.mark.parametrize(
    "text", ["{{ 7*7 }}", "{% raw %}", "{# x #}", "{{ guideline }}", "${HOME}"]
)
def test_template_syntax_in_a_text_stays_text(text):
    assert f"\n{text}\n" in messages(item=Item("i", {"text": text}))[-1]["content"]
    guideline = BARE.model_copy(update={"purpose": text})
    assert messages(guideline)[0]["content"].startswith(text)


TEMPLATE = load_template("classification", "full", HERE)
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "<",
                "</",
                ">",
                "item",
                "ITEM",
                "İtem",
                "item-",
                " ",
                "\n",
                "＜",
                "／",
                "\u2045",
                "<item>",
                "</item>",
            ]
        ),
        st.text(max_size=3),
    )
).map("".join)


@settings(deadline=None)
@given(texts=st.lists(HOSTILE.filter(str.strip), min_size=1, max_size=3))
def test_no_text_can_close_the_fence(texts):
    name = fence(texts)
    for text in texts:
        assert f"</{name}>" not in text.casefold()
        assert f"<{name}>" not in text.casefold()
        if "</item>" in text.casefold() or "<item>" in text.casefold():
            assert name != "item"
    assert fence(texts) == name
    rendered = render_item(TEMPLATE, {"text": texts[0]}, SHOP)
    name = fence(texts[:1])
    assert rendered.count(f"</{name}>") == 1
    assert rendered.startswith(f"<{name}>\n")
    assert rendered.endswith(f"\n</{name}>")
    assert texts[0] in rendered


@pytest.mark.parametrize(
    "text", ["</ITEM>", "< / item >", "＜/item＞", "<item-12345678>", "</item"]
)
def test_what_looks_like_the_fence_changes_it(text):
    assert fence([text]) != "item"


def test_the_word_alone_does_not():
    assert fence(["The item is broken."]) == "item"
    assert fence(["<b>bold</b>"]) == "item"


@pytest.mark.parametrize("task", TASKS)
def test_shipped_prompts_differ(task):
    hashes = {template_hash(load_template(task, prompt, HERE)) for prompt in ("full", "brief")}
    assert len(hashes) == 2


def test_the_form_of_an_answer_is_json_in_multi_label():
    form = messages(ABSTAINING, prompt="brief")[0]["content"].splitlines()[-1]
    form = form.removeprefix("Answer with JSON only, like ").replace(", ...]", "]")
    assert json.loads(form) == {"abstain": False, "labels": ["<label>"]}
