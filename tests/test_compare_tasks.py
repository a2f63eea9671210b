"""Comparisons in projects: every task, earlier guidelines, parts of the gold; any measure."""

import json

import numpy as np
import pandas as pd
import pytest
from every_task import GUIDELINES, labels_of, task_of
from facts import Facts
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from prelabel.answer_sheet import RIGHT, answers_of_labels
from prelabel.comparing import compare, compare_answers
from prelabel.errors import InputError
from prelabel.paired_metrics import difference

MAIN = {
    "spans": "exact_f1",
    "relations": "exact_f1",
    "extraction": "field_accuracy",
    "rating": "quadratic_kappa",
    "text": "token_f1",
}


def outcomes(labels, items):
    rows = [
        (item, name, "labeled" if item in own else "failed")
        for name, own in labels.items()
        for item in items
    ]
    return pd.DataFrame(rows, columns=["item", "annotator", "outcome"])


@pytest.mark.parametrize("name", GUIDELINES)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_every_task_is_compared_by_whole_labels_and_by_its_own_figure(name, data):
    task = task_of(name)
    made = data.draw(st.lists(st.tuples(*[labels_of(task)] * 3), min_size=1, max_size=6))
    gold = {f"i{k}": row[0] for k, row in enumerate(made)}
    labels = {n: {f"i{k}": row[at] for k, row in enumerate(made)} for at, n in ((1, "x"), (2, "y"))}
    answers = answers_of_labels(labels, outcomes(labels, gold), gold, task)
    (one,) = compare_answers(answers).comparisons
    right = {
        n: [task.measure([g], [labels[n][i]]).right[0] if hasattr(task, "measure") else labels[n][i] == g
            for i, g in gold.items()]
        for n in labels
    }  # fmt: skip
    assert (answers.state == RIGHT).tolist() == [right["x"], right["y"]]
    assert one.only_a == sum(a and not b for a, b in zip(right[one.a], right[one.b], strict=True))
    if name in MAIN:
        values = [
            task.measure(list(gold.values()), list(labels[n].values())).metrics[MAIN[name]].value
            for n in (one.a, one.b)
        ]
        assert one.metric == MAIN[name]
        if None in values:
            assert one.metric_difference.value is None
        else:
            assert one.metric_difference.value == pytest.approx(values[0] - values[1], abs=1e-9)
    json.dumps(compare_answers(answers).to_dict(), allow_nan=False)


def test_a_failure_counted_as_wrong_misses_what_gold_has():
    task = task_of("spans")
    span = {"start": 0, "end": 3, "text": "Ann", "label": "a"}
    gold = {"i0": [span], "i1": [span]}
    labels = {"x": {"i0": [span], "i1": [span]}, "y": {"i0": [span]}}
    answers = answers_of_labels(labels, outcomes(labels, gold), gold, task)
    (one,) = compare_answers(answers, failures="wrong").comparisons
    assert one.metric_difference.value == pytest.approx(1 - 2 / 3)
    rating = task_of("rating")
    labels = {"x": {"i0": 1, "i1": 2}, "y": {"i0": 1}}
    answers = answers_of_labels(labels, outcomes(labels, gold), {"i0": 1, "i1": 2}, rating)
    (one,) = compare_answers(answers, failures="wrong").comparisons
    assert (one.only_a, one.metric_difference.why) == (
        1,
        "an item without a label has no part in it",
    )


def test_any_measure_can_be_compared():
    rng = np.random.default_rng(0)
    gold = rng.choice(["a", "b", "c"], 80)
    x, y = (np.where(rng.random(80) < p, gold, "a") for p in (0.8, 0.6))
    found = difference(
        lambda g, z: f1_score(g, z, average="macro", zero_division=0),
        gold.tolist(),
        x.tolist(),
        y.tolist(),
        resamples=200,
    )
    assert found.value == pytest.approx(
        f1_score(gold, x, average="macro") - f1_score(gold, y, average="macro")
    )
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match="got 1, 2, 1"):
        difference(lambda *_: 0.0, [1], [1, 2], [1])


GOLD = "gold: {path: gold.jsonl}\n"


def with_gold(facts, labels):
    rows = [json.dumps({"id": key, "label": label}) + "\n" for key, label in labels.items()]
    (facts.folder / "gold.jsonl").write_text("".join(rows), encoding="utf-8")
    facts.write()


def test_a_project_is_compared_with_its_earlier_guideline(tmp_path):
    facts = Facts(tmp_path, items=4, settings=GOLD)
    gold = {"i0": "a", "i1": "b", "i2": "a", "i3": "b"}
    with_gold(facts, gold)
    earlier = facts.project.guideline.hash
    for item in gold:
        facts.say(item, "x", "a")
    facts.document["question"] = "Which one is it?"
    facts.write()
    for item, label in gold.items():
        facts.say(item, "x", label)
        facts.say(item, "y", "b")
    assert {x.a for x in compare(facts.project).comparisons} == {"x"}
    found = compare(facts.project, guidelines=[earlier[:6]])
    old = f"x @ {earlier[:8]}"
    assert {r.annotator for r in found.standings} == {"x", "y", old}
    assert found.standings[0].annotator == "x"
    assert {r.annotator: r.accuracy.value for r in found.standings}[old] == 0.5
    (one,) = compare(facts.project, ["x"], baseline=old, guidelines=[earlier]).comparisons
    assert (one.a, one.b, one.n, one.only_a, one.only_b) == ("x", old, 4, 2, 0)
    assert any("made under another guideline" in note for note in found.notes)
    with pytest.raises(
        InputError, match=f"no earlier guideline begins with 'zz'; there are: {earlier[:8]}"
    ):
        compare(facts.project, guidelines=["zz"])


def test_labels_that_the_guideline_no_longer_has_are_wrong(tmp_path):
    facts = Facts(tmp_path, items=2, settings=GOLD)
    with_gold(facts, {"i0": "a", "i1": "b"})
    earlier = facts.project.guideline.hash
    facts.say("i0", "x", "a")
    facts.say("i1", "x", "c")
    facts.document["labels"] = facts.document["labels"][:2]
    facts.write()
    facts.say("i0", "x", "a")
    facts.say("i1", "x", "b")
    (one,) = compare(facts.project, guidelines=[earlier]).comparisons
    assert (one.a, one.only_a, one.only_b) == ("x", 1, 0)


def test_gold_can_be_parted_by_a_metadata_column(tmp_path):
    facts = Facts(tmp_path, items=4, settings=GOLD)
    with_gold(facts, dict.fromkeys(facts.texts, "a"))
    rows = [
        json.dumps({"id": key, "text": text, "site": "ab"[k % 2]}) + "\n"
        for k, (key, text) in enumerate(facts.texts.items())
    ]
    (facts.folder / "items.jsonl").write_text("".join(rows), encoding="utf-8")
    for item in facts.texts:
        facts.say(item, "x", "a")
        facts.say(item, "y", "b")
    found = compare(facts.project, by="site")
    assert {name: [x.n for x in each] for name, each in found.slices.items()} == {
        "a": [2],
        "b": [2],
    }
    with pytest.raises(InputError, match="no item has the metadata column 'page'"):
        compare(facts.project, by="page")


def test_a_project_without_gold_says_what_to_do(tmp_path):
    facts = Facts(tmp_path)
    facts.say("i0", "x", "a")
    with pytest.raises(InputError, match="no gold to compare by; name a file under `gold:`"):
        compare(facts.project)
    with_gold(facts, {})
