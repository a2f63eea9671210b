"""Comparisons of annotators: BABE against a naive second implementation, and how items count."""

import json
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import f1_score
from test_babe import outcomes_of, recorded

from prelabel.comparing import ALPHA, compare_votes
from prelabel.errors import InputError

OUTCOMES = ["item", "annotator", "outcome", "failure", "cost", "latency", "shown"]


def tables(gold, given, *, cost=None, shown=None):
    """Gold, votes and outcomes; "?" is a failure, "-" an abstention, None no annotation."""
    votes, outcomes = [], []
    for name, labels in given.items():
        for at, label in enumerate(labels):
            if label is None:
                continue
            outcome = {"?": "failed", "-": "abstained"}.get(label, "labeled")
            if outcome == "labeled":
                votes.append((f"i{at}", name, "", label))
            paid = (cost or {}).get(name)
            outcomes.append((f"i{at}", name, outcome, None, paid, 0.0, (shown or {}).get(name, ())))
    rows = [(f"i{at}", "", label) for at, label in enumerate(gold)]
    return (
        pd.DataFrame(votes, columns=["item", "annotator", "unit", "value"]),
        pd.DataFrame(rows, columns=["item", "unit", "value"]),
        pd.DataFrame(outcomes, columns=OUTCOMES),
    )


def compared(gold, given, labels="ab", cost=None, shown=None, **settings):
    votes, truth, outcomes = tables(gold, given, cost=cost, shown=shown)
    return compare_votes(votes, truth, tuple(labels), outcomes=outcomes, **settings)


# A second implementation


def naive_mid_p(b, c):
    n, far = b + c, abs(b - c)
    more = sum(comb(n, k) for k in range(n + 1) if abs(2 * k - n) > far)
    same = sum(comb(n, k) for k in range(n + 1) if abs(2 * k - n) == far)
    return (2 * more + same) / 2 ** (n + 1)


def naive_tango(b, c, n):
    def score(d, z):
        a, line, last = 2 * n, -b - c + (2 * n - b + c) * d, -c * d * (1 - d)
        second = (np.sqrt(line**2 - 4 * a * last) - line) / (2 * a)
        return (b - c - n * d) / np.sqrt(n * (2 * second + d * (1 - d))) - z

    at = (b - c) / n
    return brentq(score, -0.999, at, args=(1.959964,)), brentq(score, at, 0.999, args=(-1.959964,))


def naive_f1(gold, given):
    f1 = []
    for label in ("0", "1"):
        hits = ((gold == label) & (given == label)).sum()
        f1.append(2 * hits / ((gold == label).sum() + (given == label).sum()))
    return np.mean(f1)


def naive_pairs(wide, gold):
    """Every pair on the items that both labeled, counted item by item."""
    found = {}
    for a, b in combinations(sorted(wide), 2):
        b_only = c_only = n = 0
        for item, right in gold.items():
            one, other = wide[a].get(item), wide[b].get(item)
            if one is None or other is None:
                continue
            n += 1
            b_only += one == right != other
            c_only += other == right != one
        found[a, b] = (n, b_only, c_only)
    return found


@pytest.mark.parametrize("setting", ["2-shot", "8-shot-CoT"])
def test_babe_equals_a_naive_second_implementation(shared_data, setting):
    folder = shared_data / "llm_vs_human" / "babe_llm"
    items = pd.read_csv(folder / "items.csv.gz", dtype=str)
    gold = items[["uuid", "gold"]].set_axis(["item", "value"], axis=1).assign(unit="")
    long = recorded(folder, setting)
    votes = long[long["value"] != "?"]
    found = compare_votes(votes, gold, ("0", "1"), outcomes=outcomes_of(long))
    wide = {
        name: dict(zip(g["item"], g["value"], strict=True))
        for name, g in votes.groupby("annotator")
    }
    expected = naive_pairs(wide, dict(zip(gold["item"], gold["value"], strict=True)))
    assert len(found.comparisons) == len(expected)
    ps = {}
    for one in found.comparisons:
        swapped = (one.a, one.b) not in expected
        n, b, c = expected[(one.b, one.a) if swapped else (one.a, one.b)]
        assert (one.n, one.only_a, one.only_b) == (n, *((c, b) if swapped else (b, c)))
        assert one.p == pytest.approx(naive_mid_p(one.only_a, one.only_b), rel=1e-6, abs=1e-200)
        ends = naive_tango(one.only_a, one.only_b, one.n)
        assert (one.difference.low, one.difference.high) == pytest.approx(ends, abs=1e-6)
        ps[one.a, one.b] = one.p
    rejected = set()
    for step, pair in enumerate(sorted(ps, key=ps.get)):
        if ps[pair] > ALPHA / (len(ps) - step):
            break
        rejected.add(pair)
    assert {(x.a, x.b) for x in found.comparisons if x.verdict != "tie"} == rejected
    by_name = {row.annotator: row for row in found.standings}
    for a, b in combinations(by_name, 2):
        tie = (a, b) not in rejected and (b, a) not in rejected
        assert bool(set(by_name[a].letters) & set(by_name[b].letters)) == tie
    for name, row in by_name.items():
        beaten = [x for x in found.comparisons if name in (x.a, x.b) and x.verdict != "tie"]
        losses = [x for x in beaten if (x.b if x.verdict == "better" else x.a) == name]
        assert row.rank == 1 + len(losses)
        assert row.frontier is None


def test_babe_macro_f1_differs_by_what_sklearn_says(shared_data):
    folder = shared_data / "llm_vs_human" / "babe_llm"
    items = pd.read_csv(folder / "items.csv.gz", dtype=str)
    gold = items[["uuid", "gold"]].set_axis(["item", "value"], axis=1).assign(unit="")
    long = recorded(folder, "4-shot")
    long = long[long["annotator"].isin(["GPT-4 Turbo", "OpenChat 3.5"]) & (long["value"] != "?")]
    (one,) = compare_votes(long, gold, ("0", "1")).comparisons
    wide = long.pivot_table(index="item", columns="annotator", values="value", aggfunc="first")
    wide = wide.dropna().join(gold.set_index("item")["value"])
    a, b = np.array(
        [f1_score(wide["value"], wide[name], average="macro") for name in (one.a, one.b)]
    )
    assert one.metric_difference.value == pytest.approx(a - b)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(300):
        again = wide.iloc[rng.integers(len(wide), size=len(wide))]
        scores = [naive_f1(again["value"], again[name]) for name in (one.a, one.b)]
        drawn.append(scores[0] - scores[1])
    ends = np.quantile(drawn, [0.025, 0.975])
    assert (one.metric_difference.low, one.metric_difference.high) == pytest.approx(ends, abs=0.004)


# What counts


def test_only_items_that_both_labeled_count_and_failures_can_count_as_wrong():
    gold = "aaaabbbb"
    given = {"x": [*"aaaabb", "?", None], "y": [*"bbaab", "-", "b", "b"]}
    (left,) = compared(gold, given).comparisons
    assert (left.a, left.b, left.n, left.one_sided) == ("x", "y", 5, 3)
    assert (left.only_a, left.only_b, left.accuracy_a.value, left.accuracy_b.value) == (
        2,
        0,
        1,
        0.6,
    )
    found = compared(gold, given, failures="wrong")
    (wrong,) = found.comparisons
    assert (wrong.n, wrong.one_sided, wrong.only_a, wrong.only_b) == (7, 1, 3, 1)
    assert [(r.annotator, r.accuracy.n) for r in found.standings] == [("x", 7), ("y", 8)]
    assert [r.coverage.value for r in found.standings] == [6 / 7, 7 / 8]
    assert (
        "x: no label for 1 of 7 gold items (failed or abstained): counted as wrong" in found.notes
    )
    assert "the intervals of macro F1 are likely too narrow: few gold items of a (4), b (4)" in (
        found.notes
    )
    first = f1_score([*"aaaabbb"], [*"aaaabb", "none"], average=None, labels=["a", "b"])
    second = f1_score([*"aaaabbb"], [*"bbaab", "none", "b"], average=None, labels=["a", "b"])
    assert wrong.metric_difference.value == pytest.approx(first.mean() - second.mean())


def test_an_item_that_was_an_example_does_not_count():
    given = {"x": "aab", "y": "abb"}
    (one,) = compared("aab", given, shown={"x": ("i1",)}).comparisons
    assert (one.n, one.one_sided, one.only_a) == (2, 1, 0)


def test_a_baseline_is_compared_with_each_and_a_margin_says_who_is_hardly_worse():
    gold = "ab" * 100
    worse = ["b" if at < 4 else label for at, label in enumerate(gold)]
    bad = ["a"] * 200
    given = {"dear": gold, "cheap": worse, "bad": bad}
    found = compared(gold, given, baseline="dear", margin=0.05)
    assert [(x.a, x.b) for x in found.comparisons] == [("cheap", "dear"), ("bad", "dear")]
    cheap, bad_ = found.comparisons
    assert (cheap.verdict, cheap.noninferior.shown, bad_.verdict, bad_.noninferior.shown) == (
        "tie",
        True,
        "worse",
        False,
    )
    assert cheap.noninferior.low > -0.05
    assert cheap.noninferior.p_corrected == pytest.approx(2 * cheap.noninferior.p)
    assert cheap.items_needed > 200
    assert found.standings == ()
    assert any("few items tell these apart" in note for note in found.notes)
    json.dumps(found.to_dict(), allow_nan=False)


def test_cost_makes_a_frontier_and_names_the_cheapest_of_the_best():
    gold = "ab" * 50
    nearly = ["b", *gold[1:]]
    given = {"dear": gold, "cheap": nearly, "bad": ["a"] * 100, "free": ["b"] * 100}
    cost = {"dear": 0.01, "cheap": 0.001, "bad": 0.002}
    found = compared(gold, given, cost=cost)
    rows = {row.annotator: row for row in found.standings}
    assert (rows["dear"].rank, rows["cheap"].rank, rows["bad"].rank) == (1, 1, 3)
    assert {name: row.frontier for name, row in rows.items()} == {
        "dear": True,
        "cheap": True,
        "bad": False,
        "free": None,
    }
    assert found.cheapest == "cheap"


def test_of_few_items_nobody_says_how_many_it_takes():
    (found,) = compared("ab" * 10, {"x": "ab" * 10, "y": "aa" + "ab" * 9}).comparisons
    assert (found.verdict, found.only_a, found.items_needed) == ("tie", 1, None)
    (found,) = compared("ab" * 20, {"x": "ab" * 20, "y": "aa" + "ab" * 19}).comparisons
    assert found.items_needed > 40


def test_parts_of_the_gold_are_corrected_together():
    gold = "ab" * 60
    given = {"x": gold, "y": ["a"] * 120}
    parts = {f"i{at}": ("first" if at < 8 else "rest") for at in range(118)}
    found = compared(gold, given, parts=parts | {"i119": None})
    assert {name: one[0].n for name, one in found.slices.items()} == {"first": 8, "rest": 110}
    (small,), (large,) = found.slices["first"], found.slices["rest"]
    assert large.p_corrected == pytest.approx(2 * large.p)
    assert (small.verdict, large.verdict) == ("tie", "better")
    many = compared(gold, given, parts={f"i{at}": at // 4 for at in range(120)})
    assert len(many.slices) == 20
    assert "the 20 largest of 30 parts of the gold are compared" in many.notes


def test_exploration_may_bound_the_share_of_false_findings_instead():
    rng = np.random.default_rng(0)
    gold = rng.choice(["a", "b"], 150).tolist()
    given = {
        f"x{k}": [g if rng.random() < 0.7 + 0.03 * k else "ab"[g == "a"] for g in gold]
        for k in range(8)
    }
    verdicts = {
        how: sum(x.verdict != "tie" for x in compared(gold, given, correction=how).comparisons)
        for how in ("holm", "bh", "none")
    }
    assert verdicts["holm"] <= verdicts["bh"] <= verdicts["none"]
    assert verdicts["holm"] < verdicts["none"]


labels_given = st.lists(
    st.tuples(st.sampled_from("abc"), *[st.sampled_from(["a", "b", "c", "?", "-", None])] * 3),
    min_size=1,
    max_size=12,
)


@given(labels_given, st.sampled_from(["left out", "wrong"]), st.randoms())
@settings(deadline=None, max_examples=30)
def test_order_and_names_of_labels_do_not_matter(rows, failures, random):
    gold, given = (
        [row[0] for row in rows],
        {n: [r[k] for r in rows] for k, n in enumerate("xyz", 1)},
    )
    if sum(any(own) for own in given.values()) < 2:
        return
    whole = compared(gold, given, "abc", failures=failures)
    other = {"a": "c", "b": "a", "c": "b"}
    votes, truth, outcomes = tables(
        [other[g] for g in gold],
        {name: [other.get(x, x) for x in own] for name, own in reversed(given.items())},
    )
    mixed = [t.sample(frac=1, random_state=random.randrange(99)) for t in (votes, truth, outcomes)]
    again = compare_votes(*mixed[:2], tuple("abc"), outcomes=mixed[2], failures=failures)
    for one, same in zip(whole.comparisons, again.comparisons, strict=True):
        assert (one.a, one.b, one.n, one.p_corrected) == (same.a, same.b, same.n, same.p_corrected)
        assert one.difference == same.difference
        assert one.n == one.accuracy_a.n == one.difference.n
        if one.metric_difference.value is not None:
            assert one.metric_difference.value == pytest.approx(same.metric_difference.value)
    assert [(r.annotator, r.rank, r.letters) for r in whole.standings] == [
        (r.annotator, r.rank, r.letters) for r in again.standings
    ]
    json.dumps(whole.to_dict(), allow_nan=False)


def test_twins_tie_and_have_no_interval_of_their_f1():
    (one,) = compared("ab" * 30, {"x": "a" * 60, "y": "a" * 60}).comparisons
    assert (one.p, one.verdict, one.items_needed, one.difference.value) == (1, "tie", None, 0)
    assert one.difference.low < 0 < one.difference.high
    assert str(one.metric_difference) == "0.000 (no interval: all resamples give the same value)"


def test_annotators_without_a_common_item_are_not_compared():
    found = compared("ab", {"x": ["a", None], "y": [None, "b"], "z": ["?", "-"]})
    for one in found.comparisons:
        assert (one.n, one.p, one.verdict) == (0, 1, "tie")
        assert one.difference.why == one.metric_difference.why == "no item that both labeled"
    assert found.standings[-1].annotator == "z"
    assert "z: no gold item has a label, so it cannot be compared" in found.notes
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"baseline": "q"}, "no annotator 'q'; there are: x, y"),
        ({"baseline": "x", "margin": 3}, "such as 0.03, got 3"),
        ({"margin": 0.03}, "a margin needs a baseline"),
        ({"failures": "right"}, "'right'; use one of: left out, wrong"),
        ({"correction": "bonferroni"}, "use one of: holm, bh, none"),
    ],
)
def test_settings_that_make_no_sense_are_said_in_one_line(asked, says):
    with pytest.raises(InputError, match=says) as caught:
        compared("ab", {"x": "ab", "y": "aa"}, **asked)
    assert "\n" not in str(caught.value)


def test_one_annotator_or_too_many_cannot_be_compared():
    with pytest.raises(InputError, match="it takes two annotators"):
        compared("ab", {"x": "ab"})
    with pytest.raises(InputError, match="51 annotators; choose 50 at most"):
        compared("ab", {f"x{k}": "ab" for k in range(51)})
    votes, truth, outcomes = tables("ab", {"x": "ab", "y": "ab"})
    with pytest.raises(InputError, match="two annotations from 'x'"):
        compare_votes(votes, truth, ("a", "b"), outcomes=pd.concat([outcomes, outcomes]))


def test_label_sets_compare_as_wholes():
    rows = [(f"i{k}", x, x in own) for k, own in enumerate(["x", "xy", ""]) for x in "xy"]
    gold = pd.DataFrame(rows, columns=["item", "unit", "value"])
    votes = pd.DataFrame(
        [
            (f"i{k}", name, x, x in own)
            for name, labels in {"m": ["x", "xy", ""], "o": ["x", "x", "y"]}.items()
            for k, own in enumerate(labels)
            for x in "xy"
        ],
        columns=["item", "annotator", "unit", "value"],
    )
    (one,) = compare_votes(votes, gold, (True, False), multi=True).comparisons
    assert (one.a, one.n, one.only_a, one.only_b) == ("m", 3, 2, 0)
    assert one.metric_difference.value == pytest.approx(1 - (1 + 0) / 2)
