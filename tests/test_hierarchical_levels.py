"""Hierarchical: merging parts, measuring each level, and what `guideline check` says."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hierarchical import PATHS, zoo

from prelabel.guideline import load_guideline
from prelabel.guideline_check import check
from prelabel.tasks import Measured, Reading, make_task

# Long items


@pytest.mark.parametrize(
    ("merge", "merged"), [(None, ["plants", "other"]), ("first", ["animals", "cats"])]
)
def test_parts_are_merged_by_the_declared_rule(merge, merged):
    task = zoo(merge=merge)
    readings = [Reading(PATHS[i]) for i in (5, 2, 5, 6)]
    assert task.merge([], readings) == Reading(merged)
    assert task.merge([], readings[2:]) == Reading(["plants", "other"])  # a tie: the earlier


# Measures


def test_measures_by_hand():
    task = zoo()
    assert isinstance(task, Measured)
    gold = [PATHS[i] for i in (0, 0, 1, 2, 4, 6)]
    given = [PATHS[i] for i in (0, 1, 2, 2, 6, 4)]
    found = task.measure(gold, given)
    assert found.right == [True, False, False, True, False, False]
    values = {name: (e.value, e.n) for name, e in found.metrics.items()}
    assert list(values) == [f"level_{k}_{m}" for k in (1, 2, 3) for m in ("accuracy", "macro_f1")]
    assert values["level_1_accuracy"] == (pytest.approx(4 / 6), 6)
    assert values["level_2_accuracy"] == (pytest.approx(3 / 5), 5)  # of the golds that deep
    assert values["level_3_accuracy"] == (pytest.approx(1 / 3), 3)
    # level 1: animals 4 of 4 and 4; plants and nothing 0
    assert values["level_1_macro_f1"] == (pytest.approx(1 / 3), 6)
    # level 2: dogs 2 * 2 / (3 + 2), cats 2 * 1 / (1 + 2), trees 0; two labels do not occur
    assert values["level_2_macro_f1"] == (pytest.approx((4 / 5 + 2 / 3 + 0) / 3), 6)
    # level 3: poodle 2 * 1 / (2 + 1), other 0
    assert values["level_3_macro_f1"] == (pytest.approx((2 / 3 + 0) / 2), 6)
    rows = {row.label: (row.support, row.predicted, row.hits) for row in found.labels}
    assert rows["animals"] == (4, 4, 4)
    assert rows["animals > dogs"] == (3, 2, 2)
    assert rows["animals > cats"] == (1, 2, 1)
    assert rows["plants > trees"] == (1, 1, 0)
    assert rows["plants > other"] == (0, 0, 0)
    assert tuple(rows) == tuple(task.nodes)


def test_measures_of_nothing_and_of_one():
    task = zoo()
    for estimate in task.measure([], []).metrics.values():
        assert estimate.value is None
        assert estimate.why == "nothing was labeled"
    one = task.measure([["nothing"]], [["nothing"]]).metrics
    assert one["level_1_accuracy"].value == one["level_1_macro_f1"].value == 1
    assert one["level_2_accuracy"].why == "no gold path reaches this level"
    assert one["level_2_macro_f1"].why == "no label of this level occurs"


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)), max_size=8))
@settings(deadline=None, max_examples=25)
def test_measures_agree_with_counting(pairs):
    task = zoo()
    gold, given = [g for g, _ in pairs], [p for _, p in pairs]
    metrics = task.measure(gold, given).metrics
    for k in (1, 2, 3):
        deep = [g[:k] == p[:k] for g, p in pairs if len(g) >= k]
        value = metrics[f"level_{k}_accuracy"].value
        assert value == (pytest.approx(sum(deep) / len(deep)) if deep else None)
        names = {tuple(x[:k]) for pair in pairs for x in pair if len(x) >= k}
        f1 = [
            2 * sum(tuple(g[:k]) == tuple(p[:k]) == name for g, p in pairs)
            / sum((tuple(g[:k]) == name) + (tuple(p[:k]) == name) for g, p in pairs)
            for name in names
        ]  # fmt: skip
        value = metrics[f"level_{k}_macro_f1"].value
        assert value == (pytest.approx(sum(f1) / len(f1)) if f1 else None)


# What `guideline check` says


def findings(tmp_path, labels, more=""):
    document = f"name: n\ntask: hierarchical\npurpose: p\nquestion: q\n{more}labels:\n{labels}"
    path = tmp_path / "g.yaml"
    path.write_text(document, encoding="utf-8")
    return [f"{f.line}: {f.level}: {f.message}" for f in check(path) if "example" not in f.message]


def test_labels_that_cannot_be_told_apart(tmp_path):
    labels = """\
- name: a
  definition: d
  labels:
  - {name: x, definition: d}
  - {name: y, definition: d, aliases: [X]}
- name: b > c
  definition: d
- {name: A, definition: d}
- {name: e, definition: d, labels: [{name: x, definition: d}]}
"""
    assert findings(tmp_path, labels) == [
        "10: error: label 'y' and label 'x' beside it are both called 'x'; rename one",
        "11: error: label 'b > c' contains '>', which parts the names of a path; rename it",
        "13: error: label 'A' and label 'a' beside it are both called 'a'; rename one",
        (
            "14: warning: 'e' has one label below it, so that nothing is decided there; "
            "add others, or make it a leaf"
        ),
    ]


def test_one_top_label_and_the_word_for_abstaining(tmp_path):
    labels = """\
- name: abstain
  definition: d
  labels:
  - {name: abstain, definition: d}
  - {name: y, definition: d}
"""
    assert findings(tmp_path, labels, "abstain: it is empty\n") == [
        "6: warning: all paths begin with 'abstain'; leave that level out, or add labels beside it",
        "7: error: 'abstain' is the word for abstaining; call the label otherwise",
    ]
    assert findings(tmp_path, labels)[1:] == []


def test_the_shipped_tree():
    folder = Path(__file__).resolve().parents[1] / "evalsets" / "campsite-desk"
    assert check(folder / "guideline.yaml") == []
    task = make_task(load_guideline(folder / "guideline.yaml"))
    assert (task.depth, len(task.leaves)) == (3, 21)
    lines = (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    gold = [json.loads(line)["label"] for line in lines]
    assert [task.match(label) for label in gold] == gold
    assert {" > ".join(label) for label in gold} == set(task.leaves)
