"""What agreement gives beside alpha: coefficients, each annotator left out, labels, clusters."""

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import cohen_kappa_score
from vote_tables import label_sets, long, tables

from prelabel.errors import InputError
from prelabel.estimate import Estimate
from prelabel.reliability import agreement

LEVELS = ("nominal", "ordinal", "interval", "ratio")


def ratings(seed, n=80, annotators=3):
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 6, n)
    noise = rng.integers(-1, 2, (n, annotators))
    return np.clip(truth[:, None] + noise, 1, 5).tolist()


def test_two_annotators_have_cohen_and_several_have_conger():
    table = ratings(0)
    two = agreement(long([row[:2] for row in table]), (1, 2, 3, 4, 5), "ordinal")
    (pair,) = two.pairs
    assert two.coefficients["cohen"] == pair.kappa
    for name, weights in (("linear", "linear"), ("quadratic", "quadratic")):
        a, b = np.array(table)[:, :2].T
        assert two.coefficients[f"cohen_{name}"] == getattr(pair, name)
        assert getattr(pair, name).value == pytest.approx(cohen_kappa_score(a, b, weights=weights))
    three = agreement(long(table), (1, 2, 3, 4, 5), "ordinal").coefficients
    assert "cohen" not in three
    assert three["conger"].low < three["conger"].value < three["conger"].high
    assert [*three][:6] == ["percent", "fleiss", "alpha", "ac1", "brennan_prediger", "conger"]
    assert [name.split("_")[-1] for name in [*three][6:]] == ["linear"] * 5 + ["quadratic"] * 5
    nominal = agreement(long(table), (1, 2, 3, 4, 5)).coefficients
    assert [*nominal] == [*three][:6]


def test_weights_are_of_numbers_or_of_places():
    table = [(1, 2), (2, 10), (10, 10), (1, 1), (2, 1)]
    numbers = agreement(long(table), (1, 2, 10), "ordinal").coefficients
    names = {1: "low", 2: "mid", 10: "high"}
    named = [tuple(names[x] for x in row) for row in table]
    places = agreement(long(named), tuple(names.values()), "ordinal").coefficients
    assert places["alpha"] == numbers["alpha"]
    a, b = np.array([[[1, 2, 10].index(x) for x in row] for row in table]).T
    assert places["cohen_linear"].value == pytest.approx(cohen_kappa_score(a, b, weights="linear"))
    assert numbers["cohen_linear"].value != places["cohen_linear"].value


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_without_each_annotator(level):
    table = ratings(1)
    found = agreement(long(table), (1, 2, 3, 4, 5), level)
    for (name, estimate), at in zip(found.without, range(3), strict=True):
        others = [[x for k, x in enumerate(row) if k != at] for row in table]
        alone = agreement(long(others), (1, 2, 3, 4, 5), level).alpha
        assert name == f"a{at}"
        assert (estimate.value, estimate.n) == (pytest.approx(alone.value), 80)
        assert estimate.low == pytest.approx(alone.low, abs=0.05)
        assert estimate.high == pytest.approx(alone.high, abs=0.05)
    assert agreement(long([row[:2] for row in table]), (1, 2, 3, 4, 5)).without == ()


def test_an_annotator_on_whom_all_pairs_hang_leaves_nothing():
    table = [("a", "b", None), ("a", None, "a"), ("b", "b", None), ("b", None, "b")]
    first, second, _ = agreement(long(table), ("a", "b")).without
    assert first == ("a0", Estimate(None, why="no item has votes of two annotators"))
    assert (second[1].value, second[1].n) == (1, 2)


def test_label_sets_have_both_distances_and_alpha_without_each():
    table = [({"a"}, {"a"}), ({"a", "b"}, {"a"}), ({"b"}, {"c"}), ({"b", "c"}, {"b", "c"})]
    votes = label_sets(table, "abc")
    found = agreement(votes, (True, False))
    assert {name: round(e.value, 6) for name, e in found.coefficients.items()} == {
        "percent": 0.5,
        "alpha_nominal": 0.416667,
        "alpha_masi": 0.447368,
        "alpha_jaccard": 0.456897,
    }
    other = agreement(votes, (True, False), distance="Jaccard")
    assert (other.metric, other.alpha) == ("Jaccard", found.coefficients["alpha_jaccard"])
    rng = np.random.default_rng(0)
    table = [[{x for x in "abc" if rng.random() < 0.4} for _ in range(3)] for _ in range(60)]
    for at, (_, estimate) in enumerate(agreement(label_sets(table, "abc"), (True, False)).without):
        others = [[x for k, x in enumerate(row) if k != at] for row in table]
        alone = agreement(label_sets(others, "abc"), (True, False)).alpha
        assert estimate.value == pytest.approx(alone.value)


def test_each_single_label_is_a_question_too():
    table = [("a", "a"), ("a", "b"), ("c", "c"), ("b", "b"), ("a", "a")]
    found = agreement(long(table), ("a", "b", "c", "never"))
    assert [label.label for label in found.labels] == ["a", "b", "c", "never"]
    asked = agreement(long([[x == "a" for x in row] for row in table]), (True, False))
    first, *_, last = found.labels
    assert (first.alpha, first.percent) == (asked.alpha, asked.percent)
    assert first.ac1 == asked.coefficients["ac1"]
    assert first.specific.value == pytest.approx(4 / 5)
    assert (last.share, last.specific.why, last.alpha.why) == (
        0,
        "never given",
        "every vote is no",
    )
    assert agreement(long([(1, 2), (2, 2)]), (1, 2, 3), "interval").labels == ()


def test_clusters_widen_the_intervals_and_not_the_values():
    rng = np.random.default_rng(4)
    of = np.repeat(np.arange(24), 10)
    truth = rng.choice(["a", "b", "c"], 240)
    hard = (of % 2 == 1)[:, None] & (rng.random((240, 3)) < 0.9)
    table = np.where(hard, rng.choice(["a", "b", "c"], (240, 3)), truth[:, None]).tolist()
    votes = long(table)
    plain = agreement(votes, ("a", "b", "c"))
    clusters = {f"i{item:03}": f"doc{of[item]}" for item in range(240)}
    found = agreement(votes, ("a", "b", "c"), clusters=clusters)
    assert (plain.n_clusters, found.n_clusters, found.n_items) == (0, 24, 240)
    pairs = [
        *((found.coefficients[name], plain.coefficients[name]) for name in plain.coefficients),
        *((a[1], b[1]) for a, b in zip(found.without, plain.without, strict=True)),
        *((a.kappa, b.kappa) for a, b in zip(found.pairs, plain.pairs, strict=True)),
        *((a.percent, b.percent) for a, b in zip(found.pairs, plain.pairs, strict=True)),
        *((a.specific, b.specific) for a, b in zip(found.labels, plain.labels, strict=True)),
    ]
    for wide, narrow in pairs:
        assert (wide.value, wide.n) == (pytest.approx(narrow.value), narrow.n)
        assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)
    few = {item: name[:4] for item, name in clusters.items()}
    assert (
        "intervals rest on 9 clusters only"
        in agreement(
            votes, ("a", "b", "c"), clusters={k: int(v[3:]) % 9 for k, v in clusters.items()}
        ).notes[-1]
    )
    assert agreement(votes, ("a", "b", "c"), clusters=few).alpha.value == plain.alpha.value
    with pytest.raises(InputError, match="clusters: no item has one"):
        agreement(votes, ("a", "b", "c"), clusters={"other": "doc"})


def test_label_sets_of_one_document_are_resampled_together():
    rng = np.random.default_rng(6)
    table = [[{x for x in "ab" if rng.random() < 0.5} for _ in range(3)] for _ in range(60)]
    votes = label_sets(table, "ab")
    clusters = {f"i{item}": item // 5 for item in range(60)}
    plain = agreement(votes, (True, False))
    found = agreement(votes, (True, False), clusters=clusters)
    assert (found.alpha.value, found.alpha.n) == (pytest.approx(plain.alpha.value), 60)
    assert found.alpha.low != plain.alpha.low
    assert found.n_clusters == 12
    assert agreement(votes.iloc[:0], (True, False), clusters={}).n_items == 0


def test_an_open_scale_has_no_coefficients_that_count_labels():
    found = agreement(long([(1.5, 2.5), (2.5, 2.5), (0.5, 0.7)]), (0.5, 0.7, 1.5, 2.5), "interval")
    assert found.coefficients["ac1"].value is not None
    found = agreement(
        long([(1.5, 2.5), (2.5, 2.5), (0.5, 0.7)]),
        (0.5, 0.7, 1.5, 2.5),
        "interval",
        declared=False,
    )
    assert "the scale is open" in found.coefficients["ac1"].why
    assert found.coefficients["fleiss_quadratic"].value is not None


@given(tables)
@settings(deadline=None, max_examples=20)
def test_every_item_twice_leaves_all_but_alpha_as_it_was(table):
    once, twice = (agreement(long(rows), ("a", "b", "c")) for rows in (table, table + table))
    for name, estimate in once.coefficients.items():
        if name != "alpha":
            assert twice.coefficients[name].value == pytest.approx(estimate.value)
            assert twice.coefficients[name].n == 2 * estimate.n
