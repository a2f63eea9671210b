"""A guideline to start from, for every task: it works, and says what to sharpen."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from prelabel.errors import InputError
from prelabel.tasks import TASKS

QUESTIONS = {
    "classification": "Which label fits this text best?",
    "multi-label": "Which labels apply to this text?",
    "hierarchical": "Which path of labels fits this text best?",
    "spans": "Which parts of this text have a label?",
    "rating": "How much, on the scale?",
    "pairwise": "Which of the two is better?",
    "extraction": "What does this text say of each field?",
    "matching": "Are these two records the same thing?",
    "relations": "How are the given spans related?",
    "text": "What is the answer?",
}

FEWEST = {"classification": 2, "multi-label": 1, "hierarchical": 2, "spans": 1, "relations": 1}
FEWEST["extraction"] = 1
"""Labels, or fields, that a task needs; the others need none."""

OWN = {
    "rating": """\
scale:
  min: 1
  max: 5
  anchors:                     # say what each value stands for
    "1": not at all
    "5": very much
""",
    "pairwise": """\
tie: when both are equally good   # take out where one of them must be better
""",
    "text": """\
normalize: [case, space, punctuation]   # what counts for nothing when answers are compared
""",
}

WORKED = {
    "spans": "[{text: the words, label: LABEL}]",
    "rating": "4",
    "pairwise": "A",
    "extraction": "{FIELD: value}",
    "matching": "match",
    "relations": "[{head: T1, label: LABEL, tail: T2}]",
    "text": "the answer",
}
"""How a worked example's answer is written."""

SHOWN = {
    "pairwise": "fields: {first: one text, second: the other}",
    "matching": "fields: {left: one record, right: the other}",
    "relations": 'fields: {text: the text, spans: \'[{"id": "T1", …}]\'}',
}
"""How a worked example's item is written where it has several columns."""


def first_guideline(task: str, names: Sequence[str]) -> str:
    """Return the text of a guideline. Raises ``InputError`` for labels that the task cannot have.

    ``names`` are the labels, or the fields of an extraction.
    """
    if task not in TASKS:
        raise InputError(f"task: {task!r} is not known; use one of: {', '.join(TASKS)}")
    what = "fields" if task == "extraction" else "labels"
    fewest = FEWEST.get(task, 0)
    given = ", ".join(names) or "none"
    if names and not fewest:
        raise InputError(f"labels: {given}; {task} has no labels of its own, leave them out")
    if len({name.casefold() for name in names}) != len(names) or len(names) < fewest:
        many = "two" if fewest == 2 else "one"
        raise InputError(f"labels: {given}; give {many} or more {what} that differ")
    lines = [
        "# The guideline: what people and models label by. Sharpen it, and give it examples;",
        "# `prelabel guideline check` says what is missing.",
        "name: my-guideline",
        "purpose: Say why these labels are made, and who uses them.",
        f"task: {task}",
        f"question: {QUESTIONS[task]}",
        "item: text",
    ]
    lines += OWN.get(task, "").splitlines()
    lines += [f"{what}:"] if names else []
    for name in names:
        lines += _field(name) if task == "extraction" else _label(name, task)
    if task in WORKED:
        lines += [
            "# examples:                  # three or more items with their whole answers",
            f"#   - {SHOWN.get(task, 'text: an item')}",
            f"#     answer: {WORKED[task]}",
        ]
    return "\n".join(lines) + "\n"


def _label(name: str, task: str) -> list[str]:
    meaning = {
        "spans": f"Words that name this: {name}.",
        "relations": f"The first is related to the second by {name}.",
    }
    return [
        f"  - name: {scalar(name)}",
        f"    definition: {scalar(meaning.get(task, f'The text fits the label {name}.'))}",
        *(["    examples: []"] if task not in meaning else []),
        *(
            ["    # labels: […]              # the labels below this one"]
            * (task == "hierarchical")
        ),
    ]


def _field(name: str) -> list[str]:
    return [
        f"  - name: {scalar(name)}",
        "    type: string               # or number, date, enum (with values: […]), list",
        f"    definition: {scalar(f'The {name} that the text names.')}",
    ]


def scalar(value: object) -> str:
    """Write a text, or a list of texts, as YAML on one line."""
    flow = yaml.safe_dump(value, allow_unicode=True, width=10**6, default_flow_style=True)
    return str(flow).splitlines()[0]
