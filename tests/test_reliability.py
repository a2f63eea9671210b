"""Agreement: published tables, a second implementation, invariances, and degenerate input."""

import json

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from vote_tables import label_sets, long, tables

from prelabel.coefficients import alpha_from_distance, cohen_kappa, masi_distance
from prelabel.errors import InputError
from prelabel.reliability import agreement, count_matrix, krippendorff_alpha, percent_agreement

LEVELS = ("nominal", "ordinal", "interval", "ratio")


def read(path, **options):
    table = pd.read_csv(path, index_col=0, **options)
    return table.astype(object).where(table.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize(
    ("name", "level", "published"),
    [
        ("krippendorff_2011_c", "nominal", 0.743421),
        ("krippendorff_2011_c", "ordinal", 0.815388),
        ("krippendorff_2011_c", "interval", 0.849107),
        ("krippendorff_2011_c", "ratio", 0.797403),
        ("krippendorff_3x15", "nominal", 0.691358),
        ("krippendorff_3x15", "ordinal", 0.806721),
        ("krippendorff_3x15", "interval", 0.810845),
        ("krippendorff_3x15", "ratio", 0.808944),
        ("gwet_raw4raters", "nominal", 0.743421),
    ],
)
def test_alpha_gives_the_published_values(shared_data, name, level, published):
    table = read(shared_data / "agreement" / f"{name}.csv")
    values = tuple(sorted({x for row in table for x in row if x is not None}))
    found = agreement(long(table), values, level)
    assert found.alpha.value == pytest.approx(published, abs=5e-7)
    assert found.alpha.low < published < found.alpha.high
    assert found.metric == level


def test_percent_agreement_gives_the_published_value(shared_data):
    table = read(shared_data / "agreement" / "gwet_raw4raters.csv")
    counts, _ = count_matrix(long(table), (1, 2, 3, 4, 5))
    assert percent_agreement(counts) == pytest.approx(0.81818, abs=5e-6)


def test_alpha_of_published_count_tables(shared_data):
    folder = shared_data / "agreement"
    counts = pd.read_csv(folder / "gwet_distrib6raters.csv", index_col=0).to_numpy()
    assert krippendorff_alpha(counts) == pytest.approx(0.4204384, abs=5e-8)


@pytest.mark.parametrize(
    ("name", "first", "published"),
    [("gwet_cont3x3abstractors", 1, 0.7964094), ("sas_cohen_3x3", 0, 0.4842)],
)
def test_cohen_kappa_of_published_tables(shared_data, name, first, published):
    table = pd.read_csv(shared_data / "agreement" / f"{name}.csv").to_numpy()[:, first:].astype(int)
    a, b = (np.repeat(axis.ravel(), table.ravel()) for axis in np.indices((3, 3)))
    found = cohen_kappa(a, b)
    assert found.value == pytest.approx(published, abs=5e-5)
    if name == "sas_cohen_3x3":
        assert (found.low, found.high) == pytest.approx((0.2137, 0.7547), abs=6e-5)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_equals_a_second_implementation_with_missing_votes(level, seed):
    rng = np.random.default_rng(seed)
    scale = np.array([0.0, 1.0, 2.0, 5.0, 7.0])
    truth = rng.integers(0, 5, 40)
    codes = np.where(rng.random((5, 40)) < 0.6, truth, rng.integers(0, 5, (5, 40)))
    missing = rng.random((5, 40)) < 0.3
    ratings = np.where(missing, np.nan, scale[codes])
    counts = np.stack([((codes == k) & ~missing).sum(axis=0) for k in range(5)], axis=1)
    expected = krippendorff.alpha(
        reliability_data=ratings, level_of_measurement=level, value_domain=scale
    )
    assert krippendorff_alpha(counts, level, scale) == pytest.approx(expected, abs=1e-12)


def test_masi_alpha_over_label_sets_gives_the_known_value():
    table = [({"a"}, {"a"}), ({"a", "b"}, {"a"}), ({"b"}, {"c"}), ({"b", "c"}, {"b", "c"})]
    found = agreement(label_sets(table, "abc"), (True, False))
    assert found.alpha.value == pytest.approx(0.447368, abs=5e-7)
    assert found.metric == "MASI"
    assert found.percent.value == 0.5


def test_masi_distances_are_of_the_formula():
    sets = [set(), {"a"}, {"a", "b"}, {"b", "c"}, {"d"}]
    members = np.array([[label in given for label in "abcd"] for given in sets])
    distance = masi_distance(members)
    assert distance[1, 2] == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert distance[2, 3] == pytest.approx(1 - 1 / 3 * 1 / 3)
    assert distance[1, 4] == distance[0, 1] == 1
    assert (np.diag(distance) == 0).all()
    assert (distance == distance.T).all()


def test_a_distance_of_all_or_nothing_is_nominal_alpha():
    counts = np.array([[3, 0, 0], [2, 1, 0], [0, 2, 1], [0, 0, 3]])
    found = alpha_from_distance(counts, 1 - np.eye(3))
    assert found == pytest.approx(krippendorff_alpha(counts), abs=1e-12)


def test_each_label_is_a_question_of_its_own():
    rng = np.random.default_rng(0)
    table = [[{x for x in "abc" if rng.random() < 0.4} for _ in range(3)] for _ in range(30)]
    votes = label_sets(table, "abc")
    found = agreement(votes, (True, False))
    assert [label.label for label in found.labels] == ["a", "b", "c"]
    for label in found.labels:
        one = votes[votes["unit"] == label.label].assign(unit="")
        alone = agreement(one, (True, False))
        assert label.alpha == alone.alpha
        assert label.percent == alone.percent
        assert label.share == one["value"].mean()


def test_count_matrix_has_a_row_a_unit_and_a_column_a_declared_value():
    votes = label_sets([({"x"}, {"y"}), ({"x"}, None)], "xy")
    counts, index = count_matrix(votes, (False, True))
    assert counts.tolist() == [[1, 1], [1, 1], [0, 1], [1, 0]]
    assert index.tolist() == [("i0", "x"), ("i0", "y"), ("i1", "x"), ("i1", "y")]
    counts, _ = count_matrix(long([("a", "a"), (None, "b")]), ("a", "b", "never"))
    assert counts.tolist() == [[2, 0, 0], [0, 1, 0]]


def test_a_missing_value_is_no_vote():
    votes = long([("a", "a", "b")])
    votes.loc[2, "value"] = None
    assert count_matrix(votes, ("a", "b"))[0].tolist() == [[2, 0]]


@given(tables, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_the_order_of_rows_and_names_of_annotators_do_not_matter(table, random):
    votes = long(table)
    order = list(range(len(votes)))
    random.shuffle(order)
    other = votes.iloc[order].reset_index(drop=True)
    assert agreement(other, ("a", "b", "c")) == agreement(votes, ("a", "b", "c"))
    names = ["a0", "a1", "a2", "a3"]
    random.shuffle(names)
    renamed = votes.assign(annotator=votes["annotator"].map(dict(zip(names, "wxyz", strict=True))))
    found, before = agreement(renamed, ("a", "b", "c")), agreement(votes, ("a", "b", "c"))
    assert (found.alpha, found.percent) == (before.alpha, before.percent)
    assert found.confused == before.confused


@given(tables, st.permutations(["a", "b", "c"]))
@settings(deadline=None, max_examples=20)
def test_the_names_of_labels_do_not_matter(table, names):
    names = dict(zip(["a", "b", "c"], names, strict=True))
    before = agreement(long(table), ("a", "b", "c"))
    found = agreement(long([[names.get(x) for x in row] for row in table]), ("c", "b", "a"))
    assert found.n_items == before.n_items
    for old, new in ((before.alpha, found.alpha), (before.percent, found.percent)):
        assert (old.value is None) == (new.value is None)
        assert old.why == new.why
        if old.value is not None:
            assert new.value == pytest.approx(old.value, abs=1e-12)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=70))
@settings(deadline=None, max_examples=40)
def test_unanimity_is_alpha_one_or_not_defined(labels):
    found = agreement(long([[label] * 3 for label in labels]), ("a", "b", "c"))
    assert found.percent.value == 1
    assert found.percent.low < 1
    assert found.confused == ()
    if len(set(labels)) == 1:
        assert found.alpha.value is None
        assert found.alpha.why == "only one label occurs"
        assert found.reading == "not defined: only one label occurs"
        assert {pair.kappa.value for pair in found.pairs} == {None}
    else:
        assert found.alpha.value == 1
        assert found.alpha.low is None
        assert found.reading == "excellent"


@pytest.mark.parametrize(
    ("votes", "why"),
    [
        (long([]), "there are no votes"),
        (long([("a",), ("b",)]), "there is only one annotator"),
        (long([("a", None), (None, "b")]), "no item has votes of two annotators"),
    ],
)
def test_without_pairs_of_votes_nothing_is_defined(votes, why):
    found = agreement(votes, ("a", "b"))
    assert found.n_items == 0
    assert found.alpha.value is None
    assert found.percent.value is None
    assert found.alpha.why == found.percent.why == why
    assert found.reading == f"not defined: {why}"
    assert found.confused == found.notes == ()
    json.dumps(found.to_dict(), allow_nan=False)


def test_without_votes_multi_label_is_not_defined_either():
    found = agreement(long([]), (True, False))
    assert found.alpha.why == "there are no votes"
    found = agreement(label_sets([({"x"},), ({"x", "y"},)], "xy"), (True, False))
    assert found.alpha.why == "there is only one annotator"
    assert [label.alpha.value for label in found.labels] == [None, None]
    found = agreement(label_sets([({"x"}, {"x"})], "xy"), (True, False))
    assert found.alpha.why == "only one label set occurs"
    assert [label.alpha.why for label in found.labels] == ["every vote is yes", "every vote is no"]
    assert np.isnan(percent_agreement(np.zeros((0, 2), dtype=int)))
    assert np.isnan(krippendorff_alpha(np.array([[1, 0]])))


@pytest.mark.parametrize(
    ("share_wrong", "reading"), [(0, "excellent"), (15, "good"), (40, "look at the guideline")]
)
def test_the_reading_is_of_the_field(share_wrong, reading):
    table = [("a", "a"), ("b", "b")] * 50
    table[:share_wrong] = [("a", "b")] * share_wrong
    assert agreement(long(table), ("a", "b")).reading == reading


def test_pairs_are_compared_on_what_both_labeled():
    rng = np.random.default_rng(1)
    table = rng.choice(["a", "b", "c"], (60, 3)).astype(object)
    table[:20, 2] = None
    found = agreement(long(table.tolist()), ("a", "b", "c"))
    assert [(pair.a, pair.b, pair.n) for pair in found.pairs] == [
        ("a0", "a1", 60),
        ("a0", "a2", 40),
        ("a1", "a2", 40),
    ]
    for pair in found.pairs:
        both = table[:, [int(pair.a[1]), int(pair.b[1])]][60 - pair.n :].astype(str)
        assert pair.kappa.value == pytest.approx(cohen_kappa_score(*both.T), abs=1e-12)
        assert pair.percent.value == pytest.approx((both[:, 0] == both[:, 1]).mean())
        assert pair.kappa.low < pair.kappa.value < pair.kappa.high


def test_a_pair_without_common_items_is_not_defined():
    (pair,) = agreement(long([("a", None), (None, "b")]), ("a", "b")).pairs
    assert str(pair.percent) == str(pair.kappa) == "not defined: no item in common"


def test_confused_labels_come_most_frequent_first_with_examples():
    table = [("a", "b"), ("b", "a"), ("a", "a"), ("c", "b"), ("a", "b", "b"), ("c", "c")]
    first, second = agreement(long(table), ("a", "b", "c")).confused
    assert (first.a, first.b, first.count, first.share) == ("a", "b", 4, 0.8)
    assert first.items == ("i004", "i000", "i001")
    assert (second.a, second.b, second.count, second.items) == ("b", "c", 1, ("i003",))
    many = agreement(long([("a", "b")] * 9 + [("c", "c")]), ("a", "b", "c")).confused
    assert many[0].items == ("i000", "i001", "i002", "i003", "i004")


def test_confused_labels_of_multi_label_are_given_by_one_and_not_by_the_other():
    table = [({"x"}, {"x", "y"}), (set(), {"y"}), ({"x", "y"}, {"x", "y"}), ({"x"}, set())]
    first, second = agreement(label_sets(table, "xyz"), (True, False)).confused
    assert (first.a, first.b, first.count, first.items) == ("y", None, 2, ("i0", "i1"))
    assert (second.a, second.b, second.count, second.items) == ("x", None, 1, ("i3",))
    assert first.share == pytest.approx(2 / 3)


def test_rare_labels_are_warned_of_and_ac1_and_each_label_stand_beside():
    table = [("a", "a", "a")] * 25 + [("b", "a", "a")] * 4
    found = agreement(long(table), ("a", "b"))
    (note,) = found.notes
    assert note.startswith(
        "the intervals of alpha and kappa are likely too narrow: 29 items, and rare labels: b (5%); "
        "look at AC1, 0.90 ["
    )
    assert found.alpha.value < 0 < 0.89 < found.coefficients["ac1"].value
    assert [round(label.specific.value, 2) for label in found.labels] == [0.95, 0]
    # of more items too, as long as few of them have anything but the commonest label
    assert len(agreement(long(table * 4), ("a", "b")).notes) == 1
    assert agreement(long(table * 8), ("a", "b")).notes == ()
    names = [f"label{k:02}" for k in range(20)]
    many = agreement(long([(name, name) for name in names]), tuple(names))
    assert "label04 (5%) and others; look at" in many.notes[0]


def test_a_crowd_is_not_compared_pair_by_pair():
    table = [[label] * 51 for label in "ab"]
    found = agreement(long(table), ("a", "b"))
    assert found.pairs == ()
    assert found.notes == ("pairs are not compared: more than 50 annotators",)


def test_wide_tables_of_labels_are_resampled_too():
    names = tuple(f"label{k:02}" for k in range(70))
    rng = np.random.default_rng(2)
    truth = rng.choice(names, 80)
    table = [(t, t, rng.choice(names)) for t in truth]
    found = agreement(long(table), names)
    assert found.alpha.low < found.alpha.value < found.alpha.high
    votes = label_sets([({first}, {last}) for first, _, last in table], names)
    assert agreement(votes, (True, False)).percent.value < 0.2


@pytest.mark.parametrize(
    ("votes", "values", "level", "message"),
    [
        (long([("a", "x")]), ("a", "b"), "nominal", "votes: item 'i000' has the value 'x'"),
        (
            long([("a", "b")] * 2).assign(annotator="z"),
            ("a", "b"),
            "nominal",
            "two values from 'z'",
        ),
        (long([("a", "b")]), ("a", "b"), "interval", "need numbers as values"),
        (long([(1, 2)]), (1, 2), "metric", "level 'metric' is unknown"),
        (long([(-1, 2)]), (-1, 2), "ratio", "needs values of 0 or more"),
        (label_sets([({"x"}, {"x"})], "xy").iloc[1:], (True, False), "nominal", "item 'i0' lacks"),
        (label_sets([({"x"}, {"x"})], "xy"), (True, False), "ordinal", "have no order"),
        (long([("a", "b")]).assign(unit="price"), ("a", "b"), "nominal", "one unit at a time"),
    ],
)
def test_bad_input_is_one_clear_line(votes, values, level, message):
    with pytest.raises(InputError, match=message) as caught:
        agreement(votes, values, level)
    assert "\n" not in str(caught.value)


def test_a_scale_is_needed_where_values_are_numbers():
    with pytest.raises(InputError, match="give a scale"):
        krippendorff_alpha(np.array([[1, 1]]), "interval")


def test_all_of_it_is_json():
    votes = label_sets([({"x"}, {"y"}), ({"x"}, {"x"})], "xy")
    assert json.loads(json.dumps(agreement(votes, (True, False)).to_dict()))["metric"] == "MASI"
    json.dumps(agreement(long([("a", "b"), ("a", "a")]), ("a", "b")).to_dict())


def test_too_many_different_label_sets_leave_alpha_undefined_with_its_reason(monkeypatch):
    monkeypatch.setattr("prelabel.reliability.MOST_SETS", 2)
    found = agreement(label_sets([({"x"}, {"y"}), ({"x", "y"}, {"x"})], "xy"), (True, False))
    assert found.reading == "not defined: more than 2 different label sets"
    assert found.percent.value == 0
    assert len(found.labels) == 2
