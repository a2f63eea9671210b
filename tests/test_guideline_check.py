"""Each mistake in a guideline is found, with its line and remedy."""

import unicodedata
from pathlib import Path

import pytest

from prelabel.guideline_check import Finding, check
from prelabel.tasks import TASKS

SHOP = Path(__file__).with_name("guideline_shop.yaml").read_text(encoding="utf-8")


@pytest.fixture
def findings(tmp_path):
    """Check a document."""

    def _findings(content):
        path = tmp_path / "guideline.yaml"
        path.write_text(content, encoding="utf-8")
        return check(path)

    return _findings


def minimal(*names, task="classification", more=""):
    """Return a document with these label names, written as they are."""
    labels = "".join(f"  - name: {name}\n    definition: d\n" for name in names)
    return f"name: n\ntask: {task}\nlabels:\n{labels}{more}"


def test_a_sound_guideline_has_no_findings(findings):
    assert findings(SHOP) == []


LONG = "word " * 121


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("task: classification", "task: classify", (4, "error", "task 'classify' is not known; write one of: " + ", ".join(TASKS))),
        ("purpose: >-\n  Messages go to the team that can answer.\n", "", (1, "warning", "no purpose; say why these labels are made, and for whom")),
        ("Which one topic is this message about?", "''", (5, "warning", "no question; write the one question a label answers")),
        ("abstain: the", "max_labels: 2\nabstain: the", (44, "error", "max_labels is for multi-label only; remove it")),
        ("[shipping]", "[Payment]", (20, "error", "label 'payment' is taken by label 'delivery' (first on line 10); keep it in one place")),
        ("[shipping]", "[shipping, Delivery]", (10, "warning", "alias 'Delivery' is accepted already (first on line 8); remove it")),
        ("[shipping]", "[ABSTAIN]", (10, "error", "'ABSTAIN' stands for abstaining, which this guideline allows; rename the label, or remove 'abstain:'")),
        ("Prices, bills, refunds.", "''", (21, "error", "label 'payment' has no definition; say what it means")),
        ("Prices, bills, refunds.", LONG, (21, "warning", "the definition of 'payment' has 121 words (at most 120); move special rules to edge_cases")),
        ('      - text: "Can I pay by bill?"\n', "", (20, "warning", "label 'payment' has 2 examples; give it at least 3")),
        ("I was charged twice.", "Where is  my\\n parcel?", (23, "error", "example 'Where is my parcel?' is given twice (first on line 12, under 'delivery') with different labels; keep it under one label")),
        ("Can I pay by bill?", "I was charged twice.", (24, "warning", "example 'I was charged twice.' is given twice (first on line 23); write another one")),
        ("        label: payment\n", "", (17, "warning", "counter-example 'The box came open and the cup is broken.' does not say what it is instead; add its 'label:'")),
        ("        label: payment", "        label: delivery", (18, "error", "a counter-example of 'delivery' has this very label; write the label it has instead, or make it an example")),
        ("        label: payment", "        label: abstain", (18, "error", "'abstain' is not a label's name; add it to the labels, or name one of them")),
        ("    then: payment", "    then: paymnt", (28, "error", "'paymnt' is not a label's name; did you mean 'payment'?")),
        ("    then: payment", "    then: Shipping", (28, "error", "'Shipping' is not a label's name; write 'delivery'")),
        ("    then: payment", "    then: [payment]", (28, "error", "a list of labels, but the task is classification; name one label")),
        ("        no: abstain", "        no: gone", (36, "error", "'gone' is not a label's name; add it to the labels, or name one of them")),
        ("    label: delivery", "    label: gone", (43, "error", "'gone' is not a label's name; add it to the labels, or name one of them")),
        ("        why: asks for its place", "        labels: [delivery]", (13, "error", "a list of labels, but the task is classification; name one label")),
        ("    yes: payment", "    yes: delivery", (30, "warning", "the decision tree never reaches 'payment'; add a question for it")),
        ("        no: abstain\n", "", (31, "warning", "the decision tree can end without a label; give its last question a 'no:'")),
        ("common_mistakes:", "  - ask: Else?\n    yes: payment\n    no: delivery\ncommon_mistakes:", (37, "warning", "this question is never asked: the one on line 31 ends both ways; remove one of its answers or this question")),
        ("rulings:\n", "rulings:\n  - {id: R1, text: t, label: payment}\n", (42, "error", "ruling 'R1' is there twice (first on line 41); rename one")),
    ],
)  # fmt: skip
def test_each_finding_has_its_line(findings, old, new, expected):
    assert SHOP.count(old) == 1
    assert findings(SHOP.replace(old, new)) == [Finding(*expected)]


def errors(found):
    return [(f.line, f.message) for f in found if f.level == "error"]


def test_a_label_defined_twice(findings):
    assert errors(findings(minimal("neutral", "good", "Neutral"))) == [
        (8, "label 'Neutral' is defined twice (first on line 4); keep one definition")
    ]
    decomposed = unicodedata.normalize("NFD", "Café")
    assert "is defined twice" in errors(findings(minimal("café", decomposed)))[0][1]


def test_one_alias_for_two_labels(findings):
    twice = minimal("a", "b").replace("definition: d", "definition: d\n    aliases:\n      - C")
    assert errors(findings(twice)) == [
        (11, "alias 'C' is taken by label 'a' (first on line 7); keep it in one place")
    ]


def test_too_few_labels(findings):
    assert errors(findings("name: n\ntask: classification\n")) == [
        (1, "no labels; write them under 'labels:'")
    ]
    assert errors(findings("name: n\ntask: multi-label\nlabels: []\n")) == [
        (3, "no labels; write them under 'labels:'")
    ]
    assert errors(findings(minimal("a"))) == [
        (3, "only one label; classification needs at least two")
    ]
    assert errors(findings(minimal("a", task="multi-label"))) == []


def test_a_label_may_be_called_abstain_where_nobody_may(findings):
    document = minimal("Abstain", "b")
    assert errors(findings(document)) == []
    assert errors(findings(document + "abstain: it is empty\n"))[0][0] == 4
    assert errors(findings(minimal("a", "b", more="edge_cases: [{when: w, then: abstain}]\n"))) == [
        (8, "'abstain' is not a label's name; add it to the labels, or name one of them")
    ]


def test_multi_label_examples_must_agree(findings):
    document = """\
name: n
task: multi-label
labels:
  - name: a
    definition: d
    examples:
      - text: one
        labels: [a, b]
      - text: two
      - text: three
        labels: [b]
  - name: b
    definition: d
    examples:
      - text: one
        labels: [b, a]
      - text: two
      - text: four
        labels: [b, c]
edge_cases:
  - when: w
    then: [a, c]
  - when: v
    then: []
"""
    assert errors(findings(document)) == [
        (11, "an example of 'a' has other labels only; add 'a'"),
        (17, "example 'two' is given twice (first on line 9, under 'a') with different labels; write all its 'labels' at both"),
        (19, "'c' is not a label's name; add it to the labels, or name one of them"),
        (22, "'c' is not a label's name; add it to the labels, or name one of them"),
    ]  # fmt: skip


def test_a_multi_label_tree_asks_every_question(findings):
    tree = "decision_tree:\n  - ask: q\n    yes: a\n    no: []\n  - ask: r\n    yes: b\n"
    found = findings(minimal("a", "b", "c", task="multi-label", more=tree))
    assert [f.message for f in found if "tree" in f.message or "asked" in f.message] == [
        "the decision tree never reaches 'c'; add a question for it"
    ]


def test_questions_after_the_end_reach_nothing(findings):
    tree = "decision_tree:\n  - {ask: q, yes: a, no: b}\n  - {ask: r, yes: c, no: c}\n"
    found = findings(minimal("a", "b", "c", more=tree))
    assert any(f.message.startswith("the decision tree never reaches 'c'") for f in found)


def test_a_nested_list_without_an_end_goes_on(findings):
    tree = "decision_tree:\n  - ask: q\n    yes:\n      - {ask: p, yes: a}\n    no: b\n  - {ask: r, yes: c, no: a}\n"
    found = findings(minimal("a", "b", "c", more=tree))
    assert not [f for f in found if "tree" in f.message or "asked" in f.message]


@pytest.mark.parametrize(
    ("task", "more", "line", "message"),
    [
        ("classification", "scale: {min: 1, max: 5}\n", 8, "scale is for rating only; remove it"),
        ("spans", "max_labels: 2\n", 8, "max_labels is for multi-label only; remove it"),
        ("classification", "merge: mean\n", 8, "merge: mean is not for classification; write most or first"),
        ("classification", "merge: first\n", None, ""),
        ("multi-label", "merge: first\n", 8, "merge is for classification and hierarchical and rating only; remove it"),
    ],
)  # fmt: skip
def test_fields_of_other_tasks_are_refused(findings, task, more, line, message):
    document = minimal("a", "b", task=task, more=more)
    assert errors(findings(document)) == ([(line, message)] if line else [])


def test_an_example_whose_answer_the_task_refuses_has_its_line(findings):
    more = (
        "scale: {min: 1, max: 3}\nexamples:\n  - {text: t, answer: 2}\n  - {text: u, answer: 4}\n"
    )
    document = minimal(task="rating", more=more).replace("labels:\n", "")
    (found,) = errors(findings(document))
    assert found[0] == 6
    assert found[1].endswith("mend the answer")


def test_findings_come_in_file_order(findings):
    found = findings(minimal("a", "b", "a", more="rulings: [{id: R, text: t, label: q}]\n"))
    assert [f.line for f in found] == sorted(f.line for f in found)
    assert {f.level for f in found} == {"error", "warning"}


def test_shipped_guidelines_are_sound():
    shipped = sorted(Path(__file__).parents[1].glob("evalsets/*/guideline.yaml"))
    assert shipped
    assert {path: check(path) for path in shipped} == {path: [] for path in shipped}
