"""Entries come into a guideline's text, and what its author wrote stays as it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.guideline_edit import Entry, one_line, with_entries, without_proposal
from prelabel.guideline_yaml import parse

BLOCK = """\
# my guide
name: x   # a comment
labels:
  - name: a
    definition: |
      some text
      # no comment
# about rulings
rulings:
- id: R1
  text: hello   # why not

# trailing
abstain: when empty
"""

ADDED = {
    "rulings": [Entry({"id": "R2", "text": 'x: "y" # z\nnew'}, ("item i3\nevil: yes",))],
    "edge_cases": [Entry({"when": "q", "then": ["a", "b"]})],
    "labels": [Entry({"name": "c", "definition": "C"})],
}


def test_a_text_in_blocks_keeps_every_line() -> None:
    text, kept = with_entries(BLOCK, ADDED)
    assert kept
    assert text == BLOCK.replace(
        "      # no comment\n", "      # no comment\n  - name: c\n    definition: C\n"
    ).replace(
        "# why not\n",
        "# why not\n# item i3 evil: yes\n- id: R2\n" + '  text: "x: \\"y\\" # z\\nnew"\n',
    ) + ("edge_cases:\n  - when: q\n    then: [a, b]\n")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("name: x\nrulings: []\nitem: y", True),
        ("name: x\nrulings:\nitem: y\n", True),
        ("name: x\nrulings:\n  # none yet\nitem: y\n", True),
        ("name: x\r\nrulings:\r\n  - id: a\r\n    text: b\r\nitem: y\r\n", True),
        ("name: x\nrulings:\n    -   id: a\n        text: >\n          b\n\n          c\n", True),
        ("\ufeffname: x\n", True),
        ('{"name": "x", "labels": [{"name": "a"}]}', False),
        ('name: x\nrulings: [{id: a, text: "b",\n  c: d}]\n', False),
        ("---\nname: x\n...\n", False),
    ],
)
def test_whatever_its_form_it_says_the_same_and_more(text: str, kept: bool) -> None:
    made, as_it_was = with_entries(text.removeprefix("\ufeff"), ADDED)
    assert as_it_was == kept
    old, new = parse(text.encode())[0], parse(made.encode())[0]
    for field in {*old, *ADDED}:
        own = old.get(field, [])
        wanted = [dict(one.value) for one in ADDED.get(field, [])]
        assert new[field] == (own + wanted if wanted else own)
    if kept and "\r\n" in text:
        assert made.count("\n") == made.count("\r\n")


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


@given(TEXTS.filter(str.strip), TEXTS)
def test_any_text_comes_in_as_it_is(text: str, comment: str) -> None:
    added = {"rulings": [Entry({"id": "R2", "text": text}, (comment,))]}
    made, _ = with_entries(BLOCK, added)
    rulings = parse(made.encode())[0]["rulings"]
    assert rulings == [{"id": "R1", "text": "hello"}, {"id": "R2", "text": text}]
    assert "\n" not in one_line(comment)


def test_comments_about_a_proposal_go() -> None:
    text = f"# proposed: a\n{BLOCK}# proposed: b\n  # proposed: c\n"
    assert without_proposal(text) == BLOCK
    assert json.dumps(without_proposal(BLOCK)) == json.dumps(BLOCK)
