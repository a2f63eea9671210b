"""Scores: a second implementation, the outcome invariants, and metrics of nothing."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from prelabel.errors import InputError
from prelabel.estimate import wilson
from prelabel.scoring import score

LABELS = ("a", "b", "c", "d")
VOTES = ["item", "annotator", "unit", "value"]
OUTCOMES = ["item", "annotator", "outcome", "failure", "cost", "latency", "shown"]


def gold_of(labels):
    rows = [(f"i{at}", "", label) for at, label in enumerate(labels)]
    return pd.DataFrame(rows, columns=["item", "unit", "value"])


def annotated(given, annotator="m", cost=0.01, latency=2.0, shown=()):
    """Votes and outcomes; "?kind" is a failure of that kind, "-" an abstention, None nothing."""
    votes, outcomes = [], []
    for at, label in enumerate(given):
        if label is None:
            continue
        item, failure, outcome = f"i{at}", None, "labeled"
        if label == "-":
            outcome = "abstained"
        elif label[0] == "?":
            outcome, failure = "failed", label[1:]
        else:
            votes.append((item, annotator, "", label))
        outcomes.append((item, annotator, outcome, failure, cost, latency, shown))
    return pd.DataFrame(votes, columns=VOTES), pd.DataFrame(outcomes, columns=OUTCOMES)


def score_of(gold, given, labels=LABELS, **settings):
    votes, outcomes = annotated(given, **settings)
    (found,) = score(votes, outcomes, gold_of(gold), labels, multi=False)
    return found


def multi_label(gold, given, labels):
    """Score of label sets through long tables."""
    rows = [(f"i{at}", x, x in own) for at, own in enumerate(gold) for x in labels]
    truth = pd.DataFrame(rows, columns=["item", "unit", "value"])
    rows = [(f"i{at}", "m", x, x in own) for at, own in enumerate(given) for x in labels]
    votes = pd.DataFrame(rows, columns=VOTES)
    _, outcomes = annotated(["x"] * len(given))
    (found,) = score(votes, outcomes, truth, (True, False), multi=True)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_single_label_equals_a_second_implementation(seed):
    rng = np.random.default_rng(seed)
    n = (20, 300)[seed % 2]
    gold = rng.choice(LABELS[:3], n, p=[0.6, 0.3, 0.1])
    given = np.where(rng.random(n) < 0.6, gold, rng.choice(LABELS[:3], n))
    found = score_of(gold.tolist(), given.tolist())
    assert found.accuracy == wilson(int((gold == given).sum()), n)
    assert found.metrics["macro_f1"].value == pytest.approx(f1_score(gold, given, average="macro"))
    weighted = f1_score(gold, given, average="weighted")
    assert found.metrics["weighted_f1"].value == pytest.approx(weighted)
    assert found.metrics["cohen_kappa"].value == pytest.approx(cohen_kappa_score(gold, given))
    assert found.metrics["mcc"].value == pytest.approx(matthews_corrcoef(gold, given))
    assert found.confusion == tuple(map(tuple, confusion_matrix(gold, given, labels=LABELS)))
    oracle = precision_recall_fscore_support(gold, given, labels=LABELS[:3], zero_division=np.nan)
    for at, label in enumerate(found.labels[:3]):
        for mine, theirs in zip((label.precision, label.recall, label.f1), oracle, strict=False):
            assert (
                np.isnan(theirs[at])
                if mine.value is None
                else mine.value == pytest.approx(theirs[at])
            )
        assert label.support == oracle[3][at]
    assert list(found.metrics) == ["macro_f1", "weighted_f1", "cohen_kappa", "mcc"]
    for estimate in found.metrics.values():
        assert estimate.n == n
        assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize("seed", range(4))
def test_multi_label_equals_a_second_implementation(seed):
    rng = np.random.default_rng(seed)
    n = (25, 200)[seed % 2]
    gold = rng.random((n, 3)) < [0.5, 0.3, 0.2]
    given = np.where(rng.random((n, 3)) < 0.8, gold, ~gold)
    found = multi_label(
        [{x for x, has in zip("xyz", row, strict=True) if has} for row in gold],
        [{x for x, has in zip("xyz", row, strict=True) if has} for row in given],
        "xyz",
    )
    assert found.accuracy == wilson(int((gold == given).all(axis=1).sum()), n)
    assert found.metrics["macro_f1"].value == pytest.approx(f1_score(gold, given, average="macro"))
    assert found.metrics["micro_f1"].value == pytest.approx(f1_score(gold, given, average="micro"))
    weighted = f1_score(gold, given, average="weighted")
    assert found.metrics["weighted_f1"].value == pytest.approx(weighted)
    kappas = [cohen_kappa_score(gold[:, k], given[:, k]) for k in range(3)]
    assert found.metrics["cohen_kappa"].value == pytest.approx(np.mean(kappas))
    mccs = [matthews_corrcoef(gold[:, k], given[:, k]) for k in range(3)]
    assert found.metrics["mcc"].value == pytest.approx(np.mean(mccs))
    oracle = precision_recall_fscore_support(gold, given)
    for at, label in enumerate(found.labels):
        mine = (label.precision.value, label.recall.value, label.f1.value, label.support)
        assert mine == pytest.approx([column[at] for column in oracle])
    for name in ("micro_f1", "weighted_f1"):
        estimate = found.metrics[name]
        assert estimate.low < estimate.value < estimate.high
    assert found.confusion is None


def test_multi_label_errors_are_lists_and_empty_sets_are_labels():
    found = multi_label([{"x"}, set(), {"y"}], [{"x", "y"}, set(), {"y"}], "xyz")
    assert (found.accuracy.value, found.accuracy.n) == (2 / 3, 3)
    (wrong,) = found.wrong
    assert (wrong.item, wrong.gold, wrong.given) == ("i0", ["x"], ["x", "y"])
    assert found.skipped == ("z",)
    assert found.metrics["macro_f1"].value == pytest.approx((1 + 2 / 3) / 2)
    assert found.labels[2].f1.value is None


def test_failed_and_abstained_are_neither_wrong_nor_labels():
    found = score_of(
        ["a", "b", "a", "b", "a", "b", "a"],
        ["a", "b", "b", "-", "?timeout", "?off_list", None],
    )
    assert (found.gold_n, found.labeled, found.abstained, found.unlabeled) == (6, 3, 1, 1)
    assert found.failed == {"off_list": 1, "timeout": 1}
    assert found.coverage == wilson(3, 6)
    assert found.accuracy == wilson(2, 3)
    assert [(x.item, x.gold, x.given) for x in found.wrong] == [("i2", "a", "b")]
    assert sum(map(sum, found.confusion)) == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["a", "b", "c", "-", "?timeout", "?refused", None]),
        ),
        max_size=15,
    )
)
@settings(deadline=None, max_examples=60)
def test_outcomes_add_up_and_unlabeled_items_change_no_metric(pairs):
    gold, given = [gold for gold, _ in pairs], [given for _, given in pairs]
    if not any(given):
        return
    found = score_of(gold, given)
    assert found.gold_n == found.labeled + found.abstained + sum(found.failed.values())
    assert found.gold_n + found.unlabeled == len(gold)
    assert found.accuracy.n == found.labeled == sum(label.predicted for label in found.labels)
    labeled = [(g, x) for g, x in pairs if x in {"a", "b", "c"}]
    if labeled:
        alone = score_of([g for g, _ in labeled], [x for _, x in labeled])
        assert alone.accuracy == found.accuracy
        assert alone.labels == found.labels
        assert (alone.metrics["macro_f1"], alone.metrics["cohen_kappa"], alone.metrics["mcc"]) == (
            found.metrics["macro_f1"],
            found.metrics["cohen_kappa"],
            found.metrics["mcc"],
        )
    json.dumps(found.to_dict(), allow_nan=False)


def test_votes_of_a_failed_annotation_are_not_read():
    votes, outcomes = annotated(["a", "?off_list"])
    votes.loc[1] = ("i1", "m", "", "a")
    (found,) = score(votes, outcomes, gold_of(["a", "a"]), LABELS, multi=False)
    assert (found.labeled, found.labels[0].predicted) == (1, 1)


def test_items_shown_as_examples_are_left_out_for_that_annotator_only():
    first = annotated(["a", "a", "b", "b"], "first")
    second = annotated(["a", "a", "b", "b"], "second")
    first[1]["shown"] = [(), (), ("i0",), ("i1", "i9")]
    votes, outcomes = (pd.concat(both) for both in zip(first, second, strict=True))
    one, two = score(votes, outcomes, gold_of(["a", "b", "b", "b"]), LABELS, multi=False)
    assert (one.annotator, one.gold_n, one.left_out, one.accuracy.value) == ("first", 2, 2, 1)
    assert (two.annotator, two.gold_n, two.left_out, two.accuracy.value) == ("second", 4, 0, 0.75)


def test_annotations_without_gold_do_not_count():
    votes, outcomes = annotated(["a", "b", "?timeout"], cost=1.0)
    (found,) = score(votes, outcomes, gold_of(["a"]), LABELS, multi=False)
    assert (found.gold_n, found.labeled, found.failed, found.cost_total) == (1, 1, {}, 1.0)


def test_per_label_metrics_of_nothing_are_not_defined():
    found = score_of(["a", "a", "b"], ["a", "c", "a"])
    a, b, c, d = found.labels
    assert (a.precision.value, a.recall.value, a.f1.value) == (0.5, 0.5, 0.5)
    assert str(b.precision) == "not defined: never given"
    assert (b.recall.value, b.f1.value) == (0, 0)
    assert str(c.recall) == "not defined: no gold item has it"
    assert (c.precision.value, c.f1.value) == (0, 0)
    assert d.f1.value is None
    assert "neither in gold nor among the labels given" in d.f1.why
    assert found.skipped == ("d",)
    assert found.metrics["macro_f1"].value == pytest.approx(0.5 / 3)


@pytest.mark.parametrize(
    ("gold", "given", "why"),
    [
        (["a", "b"], ["-", "?timeout"], "nothing was labeled"),
        ([], ["a"], "no gold item was annotated"),
        (["a"], [None, "b"], "no gold item was annotated"),
    ],
)
def test_metrics_of_no_items_are_not_defined(gold, given, why):
    found = score_of(gold, given)
    label = found.labels[0]
    for estimate in (
        found.accuracy,
        found.metrics["macro_f1"],
        found.metrics["cohen_kappa"],
        found.metrics["mcc"],
        label.precision,
        label.recall,
        label.f1,
    ):
        assert str(estimate) == f"not defined: {why}"
    assert found.cost_per_correct.value is None
    assert found.coverage.value == (0 if gold and found.gold_n else None)
    assert found.wrong == ()
    json.dumps(found.to_dict(), allow_nan=False)


def test_multi_label_without_gold_or_labels_is_not_defined():
    empty = multi_label([], [{"x"}], "xy")
    assert (
        str(empty.metrics["macro_f1"])
        == str(empty.metrics["micro_f1"])
        == "not defined: no gold item was annotated"
    )
    assert empty.labels == ()
    nothing = multi_label([set(), set()], [set(), set()], "xy")
    assert nothing.accuracy.value == 1
    assert (
        nothing.metrics["macro_f1"].value
        is nothing.metrics["micro_f1"].value
        is nothing.metrics["cohen_kappa"].value
        is None
    )
    assert str(nothing.metrics["weighted_f1"]) == "not defined: gold has no label on any item"


def test_one_label_only_leaves_kappa_and_mcc_undefined():
    found = score_of(["a"] * 60, ["a"] * 60)
    assert (found.accuracy.value, found.metrics["macro_f1"].value) == (1, 1)
    assert found.metrics["macro_f1"].why == "all resamples give the same value"
    assert found.metrics["cohen_kappa"].value is None
    assert str(found.metrics["mcc"]) == "not defined: gold or the annotator uses one label only"
    constant = score_of(["a", "b"] * 30, ["a"] * 60)
    assert constant.metrics["cohen_kappa"].value == 0
    assert constant.metrics["mcc"].value is None


def test_cost_and_time_are_of_all_annotations_that_count():
    found = score_of(["a", "b", "a"], ["a", "a", "?timeout"], cost=0.02, latency=1.5)
    assert found.cost_total == pytest.approx(0.06)
    assert found.cost_per_correct.value == pytest.approx(0.06)
    right = wilson(1, 3)
    assert found.cost_per_correct.low == pytest.approx(0.02 / right.high)
    assert found.cost_per_correct.high == pytest.approx(0.02 / right.low)
    assert found.seconds_mean == 1.5


def test_an_unknown_price_is_unknown_not_zero():
    votes, outcomes = annotated(["a", "b"])
    outcomes["cost"] = [0.5, None]
    outcomes["latency"] = [None, None]
    (found,) = score(votes, outcomes, gold_of(["a", "b"]), LABELS, multi=False)
    assert found.cost_total is None
    assert str(found.cost_per_correct) == "not defined: a price is unknown"
    assert found.seconds_mean is None
    assert str(score_of(["a"], ["b"]).cost_per_correct) == "not defined: no label is right"


def test_few_gold_items_of_a_label_are_warned_of():
    found = score_of(["a"] * 60 + ["b"] * 3, ["b"] * 5 + ["a"] * 55 + ["b"] * 3)
    assert found.notes == (
        "the interval of macro F1 is likely too narrow: few gold items of b (3)",
    )
    assert score_of(["a", "b"], ["a", "b"]).notes == ()  # there is no interval


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    gold = gold_of(rng.choice(LABELS, 60).tolist())
    votes, outcomes = annotated(rng.choice([*LABELS, "-"], 60).tolist())
    before = score(votes, outcomes, gold, LABELS, multi=False)
    mixed = (table.sample(frac=1, random_state=1) for table in (votes, outcomes))
    assert score(*mixed, gold, LABELS, multi=False) == before


def test_bad_input_is_one_clear_line():
    gold = gold_of(["a", "b"])
    votes, outcomes = annotated(["a", "b"])
    cases = [
        (votes.iloc[:1], outcomes, gold, "item 'i1' is labeled but has no vote;"),
        (votes, pd.concat([outcomes, outcomes]), gold, "item 'i0' has two annotations from 'm'"),
        (pd.concat([votes, votes]), outcomes, gold, "item 'i0' has two values from 'm'"),
        (votes, outcomes, gold_of(["a", "zebra"]), "gold: item 'i1' has the value 'zebra'"),
        (votes, outcomes, pd.concat([gold, gold]), "gold: item 'i0' has two values"),
        (votes.assign(value="zebra"), outcomes, gold, "votes of 'm': item 'i0' has the value"),
        (votes.assign(unit="x"), outcomes, gold, "has a vote on 'x', which gold lacks"),
        (votes, outcomes.assign(outcome="done"), gold, "'done' is no outcome"),
    ]
    for mine, theirs, truth, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            score(mine, theirs, truth, LABELS, multi=False)
        assert "\n" not in str(caught.value)
