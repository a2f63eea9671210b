"""A guideline rendered for people, and what differs between two."""

from pathlib import Path

import pytest
from documents import built, minimal
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prelabel.guideline import load_guideline
from prelabel.guideline_show import diff, to_markdown

SHOP = Path(__file__).with_name("guideline_shop.yaml").read_text(encoding="utf-8")


@pytest.fixture
def load(tmp_path):
    """Load a document."""

    def _load(content):
        path = tmp_path / "guideline.yaml"
        path.write_text(content, encoding="utf-8")
        return load_guideline(path)

    return _load


# Markdown


def test_markdown_page(load):
    assert (
        to_markdown(load(SHOP))
        == """\
# shop-messages

Messages go to the team that can answer.

**Question:** Which one topic is this message about?

**Task:** one label for each customer message. Abstain: the message cannot be read.

## Labels

### delivery

Where the parcel is and when it comes.

Also written: shipping

Examples:

- “Where is my parcel?” — asks for its place
- “It should have come on Monday.”
- “The driver rang at the wrong door.”

Not:

- “The box came open and the cup is broken.” → **payment** — it has come

### payment

Prices, bills, refunds.

Examples:

- “I was charged twice.”
- “Can I pay by bill?”
- “When do I get my money back?”

## Edge cases

- When the parcel came late and a refund is asked for → **payment** — the refund is what is wanted

## Decision tree

1. Is it about money?
    - yes → **payment**
    - no →
        1. Is it about a parcel?
            - yes → **delivery**
            - no → **abstain**

## Common mistakes

- Going by the first word. → Go by what is wanted.

## Rulings

- R1: “Late again, and dear.” → **delivery**
"""
    )


def test_multi_label_markdown(load):
    page = to_markdown(
        load(
            minimal("a", "b", task="multi-label") + "    examples: [{text: t, labels: [a, b]}]\n"
            "edge_cases: [{when: w, then: []}]\nmax_labels: 2\n"
        )
    )
    assert "**Task:** all labels that apply for each item, at most 2." in page
    assert "- “t” (**a**, **b**)" in page
    assert "- When w → none of the labels" in page


def shown(page):
    """Return the texts of a rendered page, block by block."""
    texts = []
    for token in MarkdownIt("commonmark").enable("table").parse(page):
        if token.type == "inline":
            kinds = {child.type for child in token.children}
            assert kinds <= {"text", "text_special", "strong_open", "strong_close"}, kinds
            texts.append("".join(child.content for child in token.children))
        else:
            assert token.type.startswith(("heading", "paragraph", "bullet", "ordered", "list_item"))
    return texts


NASTY = "| a | *b* `c` _d_ [e](f) <b>g</b> ![h](i) &amp; # ~~j~~ $k$ \\* ```"


def test_markup_in_texts_shows_as_written():
    texts = shown(to_markdown(built(
        {"name": NASTY, "definition": f"- {NASTY}\n\n1. two\n\n    code\n\n---", "aliases": ["C #"],
         "examples": [{"text": f"a\nb\n\n# c\x1b[31m {NASTY}", "why": NASTY}]},
        name="# n #", decision_tree=[{"ask": f"- {NASTY}", "yes": "x"}],
        common_mistakes=[{"mistake": "+ a", "correction": "> b"}],
    )))  # fmt: skip
    for text in (
        NASTY,
        f"- {NASTY}",
        "1. two",
        "code",
        "---",
        "# n #",
        "+ a → > b",
        "Also written: C #",
    ):
        assert text in texts
    assert f"“a b # c\ufffd[31m {NASTY}” — {NASTY}" in texts


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("-+=#*_`~|<>&[]()!\\.1) \n\ta\u00a0é:"), min_size=1).filter(str.strip)
)
def test_any_text_shows_as_written(text):
    flat = " ".join(text.split())
    tree = [{"ask": text, "yes": text}]
    page = to_markdown(
        built({"name": text, "examples": [{"text": text}]}, purpose=flat, decision_tree=tree)
    )
    texts = shown(page)
    assert texts[1] == flat
    assert texts.count(flat) == 3
    assert f"“{flat}”" in texts
    assert f"yes → {flat}" in texts


# Differences


CHANGES = [
    ("name: shop-messages", "name: shop", ["name changed: shop-messages → shop"]),
    ("can answer", "answers", ["purpose changed"]),
    ("task: classification", "task: multi-label", ["task changed: classification → multi-label"]),
    ("Which one topic", "Which topic", ["question changed"]),
    ("item: customer message", "item: message", ["item changed: customer message → message"]),
    ("name: payment ", "name: money ", ["label 'payment' removed", "label 'money' added"]),
    ("Prices, bills", "Bills", ["label 'payment': definition changed"]),
    ("[shipping]", "[shipping, post]", ["label 'delivery': aliases: 1 added"]),
    ("asks for its place", "asks", ["label 'delivery': examples: 1 added, 1 removed"]),
    ('      - text: "Can I pay by bill?"\n', "", ["label 'payment': examples: 1 removed"]),
    (
        "why: it has come",
        "why: it came",
        ["label 'delivery': counter-examples: 1 added, 1 removed"],
    ),
    ("    then: payment", "    then: delivery", ["edge cases: 1 added, 1 removed"]),
    ("about a parcel", "about a box", ["decision tree changed"]),
    ("first word", "last word", ["common mistakes: 1 added, 1 removed"]),
    ("    label: delivery", "    label: payment", ["rulings: 1 added, 1 removed"]),
    ("rulings:\n", "rulings:\n  - {id: R0, text: t, label: payment}\n", ["rulings: 1 added"]),
    ("cannot be read", "is empty", ["abstain changed"]),
    ("abstain: the", "max_labels: 2\nabstain: the", ["max_labels changed: None → 2"]),
]


@pytest.mark.parametrize(("old", "new", "said"), CHANGES)
def test_every_change_of_content_changes_the_hash_and_shows(load, old, new, said):
    before, after = load(SHOP), load(SHOP.replace(old, new))
    assert before.hash != after.hash
    assert diff(before, after) == said


def test_nothing_changed_shows_nothing(load):
    assert diff(load(SHOP), load(SHOP.replace("# line 1", ""))) == []


def test_order_is_content():
    ab, ba = built({"name": "a"}, {"name": "b"}), built({"name": "b"}, {"name": "a"})
    assert diff(ab, ba) == ["labels reordered"]
    one, two = ({"name": "a", "aliases": order} for order in (["x", "y"], ["y", "x"]))
    assert diff(built(one), built(two)) == ["label 'a': aliases: reordered"]
    assert diff(built({"name": "a"}), built({"name": "a"}, {"name": "a"})) == ["labels changed"]
