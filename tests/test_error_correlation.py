"""Errors that go together: worked examples, simulated annotators, and recorded LLMs."""

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.error_correlation import error_correlation, independent_error, judge
from prelabel.errors import InputError


def tables(truth, **given):
    """One unit an item; None is a missing vote."""
    votes = [
        (f"i{at}", name, "", value)
        for name, column in given.items()
        for at, value in enumerate(column)
        if value is not None
    ]
    gold = [(f"i{at}", "", value) for at, value in enumerate(truth)]
    return (
        pd.DataFrame(votes, columns=["item", "annotator", "unit", "value"]),
        pd.DataFrame(gold, columns=["item", "unit", "value"]),
    )


def test_worked_example():
    #       right both, both wrong alike, both wrong apart, only x, only y
    truth = "a" * 4 + "aab" + "a" + "b" + "a"
    x = "aaaa" + "bbc" + "b" + "b" + "a"
    y = "aaaa" + "bcc" + "a" + "a" + "a"
    found = error_correlation(*tables(truth, x=x, y=y), "abc")
    pair = found.pairs[0]
    assert (pair.a, pair.b, pair.n) == ("x", "y", 10)
    # both wrong 3, only x 1, only y 1, neither 5
    assert pair.phi.value == pytest.approx((3 * 5 - 1 * 1) / np.sqrt(4 * 6 * 4 * 6))
    assert pair.both_wrong.value == pytest.approx(0.3)
    assert pair.expected == pytest.approx(0.16)
    assert (pair.same_label.value, pair.same_label.n) == (pytest.approx(2 / 3), 3)
    assert found.unanimous.value == pytest.approx(0.7)
    assert found.unanimous_wrong.value == pytest.approx(2 / 7)
    assert found.accuracy["x"].value == pytest.approx(0.6)
    assert found.effective.value == pytest.approx(2 / (1 + pair.phi.value))
    assert json.loads(json.dumps(found.to_dict()))["pairs"][0]["a"] == "x"


def simulated(n, j, shared, seed=0):
    """Annotators wrong 20 times in 100; a share of their errors is common to all."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    common, trap = rng.random(n) < 0.2, rng.random(n) < shared
    columns = {}
    for at in range(j):
        wrong = np.where(trap, common, rng.random(n) < 0.2)
        columns[f"a{at}"] = np.where(wrong, 1 - truth, truth).tolist()
    return tables(truth.tolist(), **columns)


def test_independent_errors():
    found = error_correlation(*simulated(4000, 3, 0.0), [0, 1])
    assert found.mean_phi.low < 0 < found.mean_phi.high
    assert found.effective.value > 2.8
    assert found.unanimous_wrong.low < found.independent_wrong < found.unanimous_wrong.high
    assert found.one_in_effect == found.notes == ()


def test_common_errors():
    found = error_correlation(*simulated(4000, 5, 0.5), [0, 1])
    assert found.mean_phi.low < 0.5 < found.mean_phi.high
    assert found.effective.low < 5 / (1 + 4 * 0.5) < found.effective.high
    assert found.unanimous_wrong.value > 10 * found.independent_wrong
    assert "worth" in found.notes[0]
    assert "agreement is no proof" in found.notes[1]


def test_several_in_effect_one():
    votes, gold = simulated(400, 3, 0.0)
    twins = votes[votes["annotator"] == "a0"].assign(annotator="twin")
    near = twins.assign(annotator="near", value=twins["value"].where(twins.index % 40 > 0, 0))
    found = error_correlation(pd.concat([votes, twins, near]), gold, [0, 1])
    assert found.one_in_effect == (("a0", "near", "twin"),)
    assert found.notes[0].startswith("a0, near, twin make nearly the same errors")


def test_two_common_errors_make_nobody_one():
    truth = "a" * 60
    wrong = "bb" + "a" * 58
    found = error_correlation(*tables(truth, x=wrong, y=wrong), "ab")
    assert found.pairs[0].phi.value == pytest.approx(1)
    assert found.one_in_effect == ()


def test_coverage_of_the_interval():
    hits = 0
    for seed in range(100):
        phi = error_correlation(*simulated(200, 2, 0.4, seed), [0, 1], seed=seed).pairs[0].phi
        hits += phi.low <= 0.4 <= phi.high
    assert hits >= 89  # of 95 expected; 3 standard errors


def test_little_input():
    nothing = error_correlation(*tables("", x=""))
    assert (nothing.n_items, nothing.pairs, nothing.independent_wrong) == (0, (), None)
    assert nothing.mean_phi.value is None
    assert "two annotators" in nothing.mean_phi.why
    alone = error_correlation(*tables("ab", x="aa"))
    assert (alone.n_items, alone.pairs) == (0, ())
    assert alone.accuracy["x"].value == 0.5
    perfect = error_correlation(*tables("abab", x="abab", y="abab"))
    assert perfect.pairs[0].phi.value is None
    assert "never wrong" in perfect.pairs[0].phi.why
    assert perfect.unanimous_wrong.value == 0
    assert perfect.pairs[0].same_label.why == "the two are never both wrong"
    apart = error_correlation(*tables("ab", x=["a", None], y=[None, "b"]))
    assert (apart.n_items, apart.pairs) == (0, ())


def test_input_mistakes():
    votes, gold = tables("ab", x="ac")
    with pytest.raises(InputError, match="'c', which is not declared"):
        error_correlation(votes, gold, "ab")
    with pytest.raises(InputError, match="two values"):
        error_correlation(pd.concat([votes, votes]), gold)


def test_units_of_an_item_are_resampled_together():
    votes, gold = simulated(300, 2, 0.5)
    copies = [
        (votes.assign(unit=str(u)), gold.assign(unit=str(u))) for u in range(4)
    ]  # four units, all alike: no more evidence than one
    one = error_correlation(votes, gold)
    four = error_correlation(pd.concat([v for v, _ in copies]), pd.concat([g for _, g in copies]))
    assert four.n_items == one.n_items == 300
    width = [e.mean_phi.high - e.mean_phi.low for e in (one, four)]
    assert width[0] == pytest.approx(width[1], rel=0.15)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(
        st.tuples(*[st.sampled_from("abc")] * 2, st.sampled_from(["a", "b", None])), min_size=1
    ),
    data=st.data(),
)
def test_order_and_names_do_not_matter(rows, data):
    truth, x, y = zip(*rows, strict=True)
    votes, gold = tables(truth, x=x, y=y)
    found = error_correlation(votes, gold, "abc")
    order = data.draw(st.permutations(range(len(votes))))
    assert error_correlation(votes.iloc[order], gold[::-1], "abc") == found
    turn = dict(zip("abc", "cab", strict=True))
    other = error_correlation(
        votes.assign(value=votes["value"].map(turn)),
        gold.assign(value=gold["value"].map(turn)),
        "abc",
    )
    assert other.pairs == found.pairs
    assert other.unanimous_wrong == found.unanimous_wrong


def llms(folder, name):
    """Votes of the LLMs, and the people's majority where it is clear."""
    rows = pd.read_csv(folder / "llm_vs_human" / "alttest" / f"{name}.csv.gz", dtype=str)
    rows = rows.rename(columns={"label": "value"}).assign(unit="")
    people = rows[rows["kind"] == "human"]
    people = people.pivot_table(index="item", columns="value", aggfunc="size", fill_value=0)
    clear = people.eq(people.max(axis=1), axis=0).sum(axis=1) == 1
    gold = people[clear].idxmax(axis=1).rename("value").reset_index().assign(unit="")
    return rows[rows["kind"] == "llm"].dropna(subset=["value"]), gold


@pytest.mark.parametrize(
    ("name", "n", "phi", "same", "unanimous", "wrong"),
    [("framing", 2549, 0.39, 1.00, 0.45, 0.117), ("wax", 206, 0.43, 0.42, 0.12, 0.280)],
)
def test_llms_err_together(shared_data, name, n, phi, same, unanimous, wrong):
    votes, gold = llms(shared_data, name)
    found = error_correlation(votes, gold)
    assert found.n_items == n
    assert found.mean_phi.value == pytest.approx(phi, abs=0.005)
    assert found.same_label.value == pytest.approx(same, abs=0.01)
    assert found.unanimous.value == pytest.approx(unanimous, abs=0.005)
    assert found.unanimous_wrong.value == pytest.approx(wrong, abs=0.0005)
    assert found.independent_wrong < 0.01
    assert found.effective.value < 2.1


def test_independent_error_by_hand(shared_data):
    votes, gold = llms(shared_data, "framing")
    judged = judge(votes, gold, None)
    assert (judged.given >= 0).all()
    k = judged.truth.max() + 1
    same = wrong = 0.0
    for truth in range(k):
        own = judged.given[judged.truth == truth]
        for label in range(k):
            added = (truth == label) + 1 / k
            p = np.prod([((c == label).sum() + added) / (len(own) + 2) for c in own.T]) * len(own)
            same, wrong = same + p, wrong + p * (label != truth)
    assert independent_error(judged) == pytest.approx(wrong / same)
    # from the annotators' accuracies alone, all errors being on the same label
    right = (judged.given == judged.truth[:, None]).mean(axis=0)
    alone = np.prod(1 - right) / (np.prod(1 - right) + np.prod(right))
    assert alone == pytest.approx(0.0028, abs=5e-5)
    assert independent_error(judged) == pytest.approx(alone, abs=0.001)


def test_the_mean_is_of_the_pairs(shared_data):
    votes, gold = llms(shared_data, "lesion")
    wide = votes.pivot_table(index="item", columns="annotator", values="value", aggfunc="first")
    truth = gold.set_index("item")["value"]
    wide = wide[wide.index.isin(truth.index)]
    wrong = wide.ne(truth[wide.index], axis=0)
    expected = np.mean([np.corrcoef(wrong[a], wrong[b])[0, 1] for a, b in combinations(wrong, 2)])
    assert error_correlation(votes, gold).mean_phi.value == pytest.approx(expected)
