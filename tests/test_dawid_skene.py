"""Dawid-Skene against its paper, a naive second implementation, and simulated crowds."""

import json
from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.dawid_skene import (
    MAXIMUM_LIKELIHOOD,
    Prior,
    apply_dawid_skene,
    cautions,
    fit_dawid_skene,
    fit_matrix,
    weigh,
    weigh_matrix,
)
from prelabel.errors import InputError
from prelabel.voting import Poll, winner

GRADES = [1, 2, 3, 4]


def table(*rows):
    return pd.DataFrame(rows, columns=["item", "annotator", "value"])


def anesthesia(shared_data):
    votes = pd.read_csv(shared_data / "crowd" / "anesthesia.labels.csv")
    return votes.set_axis(["item", "annotator", "value"], axis=1)


def fit_fully(votes):
    return fit_dawid_skene(
        votes, GRADES, prior=MAXIMUM_LIKELIHOOD, tolerance=1e-12, iterations=1000
    )


def test_the_patients_of_1979(shared_data):
    """Dawid and Skene 1979, tables 1, 2 and 4: five anaesthetists, one of them three times.

    The file has one reading that differs from the paper's: patient 7, observer 1, the second.
    """
    votes = anesthesia(shared_data)
    rows = votes.index[(votes["item"] == 7) & (votes["annotator"] == 1)]
    assert votes.loc[rows, "value"].tolist() == [1, 1, 2]
    votes.loc[rows[1], "value"] = 2
    params = fit_fully(votes)
    assert params["frequency"] == pytest.approx([0.3996, 0.4220, 0.1118, 0.0667], abs=5e-5)
    first = [[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]]
    assert np.round(params["confusion"][0], 2).tolist() == first
    assert params["log_likelihood"] == pytest.approx(-192.8909, abs=5e-5)
    assert params["converged"]
    weights = weigh(votes, params)
    assert weights.idxmax(axis=1).value_counts()[GRADES].tolist() == [18, 19, 5, 3]
    doubtful = weights[weights.max(axis=1) < 0.99].round(3)
    assert doubtful.index.tolist() == [7, 35, 38]
    assert doubtful.loc[7, [1, 2]].tolist() == [0.981, 0.019]
    assert doubtful.loc[35, [2, 3]].tolist() == [0.948, 0.052]
    assert doubtful.loc[38, [2, 3]].tolist() == [0.021, 0.979]


def test_the_patients_of_the_file(shared_data):
    params = fit_fully(anesthesia(shared_data))
    assert np.round(params["frequency"], 3).tolist() == [0.400, 0.422, 0.112, 0.067]
    first = [[0.91, 0.09, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]]
    assert np.round(params["confusion"][0], 2).tolist() == first


def naive(votes, values, prior, iterations, gold=None):
    """EM as the paper writes it, item by item: weights of items, frequency, rates."""
    items, names = sorted(set(votes["item"])), sorted(set(votes["annotator"]))
    read = {
        i: [(a, v) for a, v in zip(own["annotator"], own["value"], strict=True)]
        for i, own in votes.groupby("item")
    }
    gold = gold or {}
    k = len(values)
    weight = {i: [sum(v == w for _, v in read[i]) / len(read[i]) for w in values] for i in items}
    added, even = prior.votes(k), prior.items(k)
    for _ in range(iterations):
        for i, known in gold.items():
            weight[i] = [float(v == known) for v in values]
        frequency = [sum(weight[i][t] for i in items) + even for t in range(k)]
        frequency = [p / sum(frequency) for p in frequency]
        rates = {}
        for name in names:
            for t in range(k):
                row = [
                    added[t, g]
                    + sum(
                        weight[i][t] * sum(r == (name, values[g]) for r in read[i]) for i in items
                    )
                    for g in range(k)
                ]
                rates[name, t] = [x / sum(row) for x in row] if sum(row) else [1 / k] * k
        for i in items:
            score = [
                log(frequency[t]) + sum(log(rates[a, t][values.index(v)]) for a, v in read[i])
                for t in range(k)
            ]
            raised = np.exp(np.array(score) - max(score))
            weight[i] = (raised / raised.sum()).tolist()
    return weight, frequency, rates


readings = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from("vwxy"), st.sampled_from("abc")), min_size=1
)


@settings(deadline=None, max_examples=60)
@given(rows=readings, data=st.data())
def test_as_the_naive_one(rows, data):
    votes, values = table(*rows), ["a", "b", "c"]
    items = sorted(set(votes["item"]))
    gold = data.draw(st.dictionaries(st.sampled_from(items), st.sampled_from(values), max_size=3))
    known = pd.DataFrame(gold.items(), columns=["item", "value"]) if gold else None
    params = fit_dawid_skene(votes, values, known, iterations=4, tolerance=-1.0)
    params = json.loads(json.dumps(params))
    weight, frequency, rates = naive(votes, values, Prior(), 4, gold)
    assert params["frequency"] == pytest.approx(frequency)
    for at, name in enumerate(params["annotators"]):
        for t in range(3):
            assert params["confusion"][at][t] == pytest.approx(rates[name, t])
    many = weigh(votes, params)
    for item in items:
        pairs = [(a, v) for i, a, v in rows if i == item]
        one = apply_dawid_skene(pairs, params)
        assert sum(one.values()) == pytest.approx(1)
        assert list(one.values()) == pytest.approx(weight[item])
        assert many.loc[item].tolist() == pytest.approx(list(one.values()))


@settings(deadline=None, max_examples=40)
@given(rows=readings, seed=st.integers(0, 99))
def test_order_does_not_matter(rows, seed):
    values = ["a", "b", "c"]
    params = fit_dawid_skene(table(*rows), values)
    order = np.random.default_rng(seed).permutation(len(rows))
    assert fit_dawid_skene(table(*(rows[i] for i in order)), values) == params
    renamed = {"a": "c", "b": "a", "c": "b"}
    turned = [(i, a, renamed[v]) for i, a, v in rows]
    other = fit_dawid_skene(table(*turned), ["c", "a", "b"])
    assert other["confusion"] == params["confusion"]


@settings(deadline=None, max_examples=25)
@given(rows=readings)
def test_every_item_twice_has_the_same_estimate(rows):
    """That of maximum likelihood: a prior counts for less where there is more."""
    values, again = ["a", "b", "c"], [(i + 100, a, v) for i, a, v in rows]
    prior = Prior(0.0, 0.0)
    once, twice = (
        fit_dawid_skene(table(*some), values, prior=prior, iterations=8, tolerance=-1.0)
        for some in (rows, [*rows, *again])
    )
    assert twice["frequency"] == pytest.approx(once["frequency"])
    assert np.array(twice["confusion"]) == pytest.approx(np.array(once["confusion"]))
    assert twice["log_likelihood"] == pytest.approx(2 * once["log_likelihood"], rel=1e-8, abs=1e-8)


def test_unanimity_is_the_label():
    votes = table(*((i, a, "abc"[i % 3]) for i in range(30) for a in "xyz"))
    weights = weigh(votes, fit_dawid_skene(votes, ["a", "b", "c"]))
    assert weights.idxmax(axis=1).tolist() == ["abc"[i % 3] for i in weights.index]


def test_a_matrix_is_as_a_table():
    rng = np.random.default_rng(3)
    codes = rng.integers(-1, 3, size=(200, 4))
    codes = codes[(codes >= 0).any(axis=1)]
    gold = np.where(rng.random(len(codes)) < 0.1, rng.integers(3, size=len(codes)), -1)
    at, who = np.nonzero(codes >= 0)
    votes = pd.DataFrame({"item": at, "annotator": who, "value": codes[at, who]})
    known = pd.DataFrame({"item": np.flatnonzero(gold >= 0), "value": gold[gold >= 0]})
    one = fit_dawid_skene(votes, [0, 1, 2], known)
    two = fit_matrix(codes, [0, 1, 2], [0, 1, 2, 3], gold)
    for key in ("frequency", "confusion"):
        assert np.array(one[key]) == pytest.approx(np.array(two[key]))
    assert weigh(votes, one).to_numpy() == pytest.approx(weigh_matrix(codes, two))


def crowd(n, accuracies, labels, seed, shares=None):
    rng = np.random.default_rng(seed)
    truth = rng.choice(labels, size=n, p=shares)
    right = rng.random((n, len(accuracies))) < np.array(accuracies)
    other = (truth[:, None] + rng.integers(1, labels, size=right.shape)) % labels
    return np.where(right, truth[:, None], other), truth


def test_it_finds_the_rates_of_independent_annotators():
    accuracies = [0.9, 0.8, 0.7, 0.6, 0.55]
    codes, truth = crowd(20_000, accuracies, 3, seed=1, shares=[0.6, 0.3, 0.1])
    params = fit_matrix(codes, [0, 1, 2], list("vwxyz"))
    assert params["frequency"] == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    diagonal = np.diagonal(np.array(params["confusion"]), axis1=1, axis2=2)
    assert diagonal == pytest.approx(np.repeat(accuracies, 3).reshape(5, 3), abs=0.05)
    weights = weigh_matrix(codes, params)
    # of independent annotators a weight is a probability: that is the model
    assert weights.max(axis=1).mean() == pytest.approx(
        (weights.argmax(1) == truth).mean(), abs=0.01
    )


def test_of_copies_a_weight_is_no_probability():
    codes, truth = crowd(2000, [0.7, 0.7], 2, seed=2)
    codes = np.column_stack([codes, codes[:, 0], codes[:, 0], codes[:, 0]])
    weights = weigh_matrix(codes, fit_matrix(codes, [0, 1], list("vwxyz")))
    assert (weights.argmax(1) == truth).mean() < 0.75
    assert weights.max(axis=1).mean() > 0.95


def test_gold_is_held_fixed():
    votes = table(*((i, a, "a") for i in range(9) for a in "xyz"))
    gold = pd.DataFrame({"item": range(6), "value": ["b"] * 6})
    params = fit_dawid_skene(votes, ["a", "b"], gold)
    assert apply_dawid_skene({"x": "a", "y": "a"}, params)["b"] > 0.5
    assert apply_dawid_skene({"x": "a"}, fit_dawid_skene(votes, ["a", "b"]))["a"] > 0.9


def test_what_is_unknown_is_not_counted():
    params = fit_dawid_skene(table((1, "x", "a"), (1, "y", "a"), (2, "x", "b")), ["a", "b"])
    known = apply_dawid_skene({"x": "a"}, params)
    assert apply_dawid_skene({"x": "a", "new": "b"}, params) == known
    assert apply_dawid_skene({"x": "a", "y": "c"}, params) == known
    assert apply_dawid_skene({"new": "b"}, params) == {}
    assert apply_dawid_skene({}, params) == {}
    many = weigh(table((7, "x", "a"), (8, "new", "a"), (8, "y", None)), params)
    assert many.loc[7].tolist() == pytest.approx(list(known.values()))
    assert many.loc[8].isna().all()


def test_little_input():
    empty = fit_dawid_skene(table(), ["a", "b"])
    assert (empty["items"], empty["annotators"]) == (0, [])
    assert apply_dawid_skene({"x": "a"}, empty) == {}
    assert weigh(table(), empty).empty
    one_label = fit_dawid_skene(table((1, "x", "a"), (2, "y", "a")), ["a"])
    assert apply_dawid_skene({"x": "a"}, one_label) == {"a": 1.0}
    alone = fit_dawid_skene(table((1, "x", "a"), (2, "x", "b"), (3, "x", "b")), ["a", "b"])
    assert apply_dawid_skene({"x": "a"}, alone)["a"] > 0.5
    with pytest.raises(InputError, match="'c' is not declared"):
        fit_dawid_skene(table((1, "x", "c")), ["a", "b"])
    gold = pd.DataFrame({"item": [1], "value": ["c"]})
    with pytest.raises(InputError, match="'c' is not declared"):
        fit_dawid_skene(table((1, "x", "a")), ["a", "b"], gold)


def test_all_ties_stay_ties():
    votes = table(
        *((i, a, v) for i in range(8) for a, v in zip("xy", "ab" if i % 2 else "ba", strict=True))
    )
    params = fit_dawid_skene(votes, ["a", "b"])
    found = apply_dawid_skene({"x": "a", "y": "b"}, params)
    assert found == pytest.approx({"a": 0.5, "b": 0.5})
    assert winner(found, Poll({"x": "a", "y": "b"}), ["y"]) == ("b", True)


def test_units_are_items_of_their_own():
    rows = [("i", "x", "u", True), ("i", "x", "w", False), ("k", "x", "u", False)]
    votes = pd.DataFrame(rows, columns=["item", "annotator", "unit", "value"])
    params = fit_dawid_skene(votes, [True, False])
    assert params["items"] == 3
    assert weigh(votes, params).index.tolist() == [("i", "u"), ("i", "w"), ("k", "u")]


def test_wide_and_sparse_crowds():
    rng = np.random.default_rng(5)
    rows = [
        (i, f"a{who}", int(rng.random() < (0.85 if i % 2 else 0.15)))
        for i in range(3000)
        for who in rng.choice(2000, size=1 + i % 7, replace=False)
    ]
    votes = table(*rows)
    found = weigh(votes, fit_dawid_skene(votes, [0, 1])).idxmax(axis=1)
    assert (found == found.index % 2).mean() > 0.9


def test_cautions():
    params = fit_dawid_skene(table((1, "x", "a")), ["a", "b"], iterations=1)
    notes = " ".join(cautions(params))
    assert "not the probability" in notes
    assert "fitted on 1 annotators" in notes
    assert "did not settle" in notes
