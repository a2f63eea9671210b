"""Coefficients of agreement: a second implementation, invariances, clusters, what is not defined."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from prelabel.chance import (
    NO_PAIRS,
    ONE_DECLARED,
    ONE_OCCURS,
    OPEN,
    agreement_weights,
    brennan_prediger,
    chance_corrected,
    conger_kappa,
    fleiss_kappa,
    gwet_ac,
    names_of,
    specific_agreement,
)
from prelabel.coefficients import (
    code_counts,
    codes_alpha,
    cohen_kappa,
    jaccard_distance,
    krippendorff_alpha,
    percent_agreement,
)
from prelabel.errors import InputError
from prelabel.resampling import (
    ONE_CLUSTER,
    cluster_numbers,
    clustered_share,
    distinct_rows,
    mean_share,
)

KINDS = ("nominal", "linear", "quadratic")
WIDTH = 4
tables = st.lists(
    st.lists(st.integers(-1, WIDTH - 1), min_size=4, max_size=4), min_size=1, max_size=12
).map(np.array)


def counts_of(codes, width=WIDTH):
    return np.stack([(codes == k).sum(axis=1) for k in range(width)], axis=1)


def by_definition(codes, weights):
    """Return percent agreement, Fleiss, AC, Brennan-Prediger and Conger, vote by vote."""
    rows = [[v for v in row if v >= 0] for row in codes.tolist()]
    agreeing = [
        np.mean([weights[a, b] for a, b in permutations(row, 2)]) for row in rows if len(row) > 1
    ]
    shares = np.mean([[row.count(k) / len(row) for k in range(WIDTH)] for row in rows if row], 0)
    columns = [[v for v in column if v >= 0] for column in codes.T.tolist()]
    own = [[c.count(k) / len(c) for k in range(WIDTH)] for c in columns if c]
    percent = np.mean(agreeing)
    chances = [
        shares @ weights @ shares,
        weights.sum() / (WIDTH * (WIDTH - 1)) * sum(p * (1 - p) for p in shares),
        weights.sum() / WIDTH**2,
        np.mean([np.array(a) @ weights @ np.array(b) for a, b in combinations(own, 2)]),
    ]
    return [percent, *((percent - chance) / (1 - chance) for chance in chances)]


@given(tables, st.sampled_from(KINDS))
@example(np.array([[0, 0, 0, 1], [-1, -1, -1, -1]]), "nominal")  # nobody labeled an item
@settings(deadline=None)
def test_coefficients_are_those_of_the_definition(codes, kind):
    if ((codes >= 0).sum(axis=1) < 2).all() or len(set(codes[codes >= 0].tolist())) < 2:
        return
    weights = agreement_weights(kind, range(WIDTH))
    counts = counts_of(codes)
    percent, *expected = by_definition(codes, weights)
    found = [make(counts, weights) for make in (fleiss_kappa, gwet_ac, brennan_prediger)]
    assert [*found, conger_kappa(codes, WIDTH, weights)] == pytest.approx(expected)
    if kind == "nominal":
        assert percent_agreement(counts) == pytest.approx(percent)
        assert fleiss_kappa(counts) == fleiss_kappa(counts, weights)


@given(tables, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_order_and_names_do_not_matter(codes, random):
    def every(table):
        counts = counts_of(table)
        return [
            *(make(counts) for make in (fleiss_kappa, gwet_ac, brennan_prediger)),
            conger_kappa(table, WIDTH),
            codes_alpha(table, WIDTH),
        ]

    names = [*range(WIDTH)]
    random.shuffle(names)
    rows, annotators = [*range(len(codes))], [*range(4)]
    random.shuffle(rows)
    random.shuffle(annotators)
    other = np.append(names, -1)[codes[rows][:, annotators]]
    assert every(other) == pytest.approx(every(codes), nan_ok=True)


@given(tables)
@settings(deadline=None, max_examples=50)
def test_every_item_twice_changes_alpha_only(codes):
    twice = np.concatenate([codes, codes])
    counts, doubled = counts_of(codes), counts_of(twice)
    for make in (fleiss_kappa, gwet_ac, brennan_prediger, percent_agreement):
        assert make(doubled) == pytest.approx(make(counts), nan_ok=True)
    if not np.isnan(codes_alpha(codes, WIDTH)):
        # its small-sample term fades: alpha tends to Fleiss' kappa from above
        assert codes_alpha(twice, WIDTH) <= codes_alpha(codes, WIDTH) + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_unanimity_is_one(kind):
    codes = np.repeat(np.arange(3)[:, None], 4, axis=1)
    counts, weights = counts_of(codes), agreement_weights(kind, range(WIDTH))
    found = [make(counts, weights) for make in (fleiss_kappa, gwet_ac, brennan_prediger)]
    assert [*found, conger_kappa(codes, WIDTH, weights)] == pytest.approx([1] * 4)


def test_one_label_leaves_what_needs_several_undefined():
    found = chance_corrected(np.array([[3, 0]] * 60))
    assert {name: e.value for name, e in found.items()} == {
        "percent": 1,
        "fleiss": None,
        "alpha": None,
        "ac1": 1,
        "brennan_prediger": 1,
    }
    assert found["fleiss"].why == found["alpha"].why == ONE_OCCURS
    assert found["percent"].low < 1
    assert np.isnan(conger_kappa(np.zeros((5, 3), dtype=int), 2))
    alone = chance_corrected(np.array([[3]] * 60))
    assert alone["ac1"].why == alone["brennan_prediger"].why == ONE_DECLARED
    assert alone["percent"].value == 1
    assert np.isnan(gwet_ac(np.array([[3]])))


def test_an_open_scale_has_no_number_of_labels():
    found = chance_corrected(np.eye(6, dtype=int) * 2, "interval", range(6), declared=False)
    undefined = {name for name, e in found.items() if e.value is None}
    assert undefined == {name for name in found if name.startswith(("ac", "brennan"))}
    assert {found[name].why for name in undefined} == {OPEN}


@pytest.mark.parametrize("counts", [np.zeros((0, 3), dtype=int), np.array([[1, 0, 0], [0, 1, 0]])])
@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_without_two_votes_nothing_is_defined(counts, level):
    found = chance_corrected(counts, level)
    assert tuple(found) == names_of(level)
    assert {(e.value, e.why, e.n) for e in found.values()} == {(None, NO_PAIRS, 0)}
    assert specific_agreement(counts).why == NO_PAIRS
    assert np.isnan([make(counts) for make in (fleiss_kappa, gwet_ac, brennan_prediger)]).all()


def test_items_with_one_vote_count_for_how_frequent_labels_are():
    pairs = np.array([[2, 0], [1, 1], [0, 2]])
    more = np.concatenate([pairs, np.repeat([[1, 0]], 500, axis=0)])
    assert brennan_prediger(more) == brennan_prediger(pairs)
    assert gwet_ac(more) > gwet_ac(pairs)
    assert fleiss_kappa(more) < fleiss_kappa(pairs)
    assert krippendorff_alpha(more) == krippendorff_alpha(pairs)
    found = chance_corrected(more)
    assert {e.n for e in found.values()} == {3}
    # of three items with two votes the interval is as wide as it should be, for all the others
    assert found["ac1"].high - found["ac1"].low > 0.5


def test_specific_agreement_is_the_share_of_other_votes():
    counts = np.array([[3, 0], [2, 1], [1, 2], [0, 3], [0, 3]])
    of_yes = [
        (a, b) for n, m in counts.tolist() for a, b in permutations([1] * n + [0] * m, 2) if a
    ]
    assert specific_agreement(counts).value == pytest.approx(np.mean([b for _, b in of_yes]))
    assert specific_agreement(np.array([[0, 2], [0, 2]])).why == "never given"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_weighted_kappa_equals_a_second_implementation(kind, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 5, 80)
    b = np.where(rng.random(80) < 0.5, a, rng.integers(0, 5, 80))
    found = cohen_kappa(a, b, weights=agreement_weights(kind, range(5)))
    theirs = cohen_kappa_score(a, b, weights=None if kind == "nominal" else kind, labels=range(5))
    assert found.value == pytest.approx(theirs)
    both = np.stack([a, b], axis=1)
    conger = conger_kappa(both, 5, agreement_weights(kind, range(5)))
    assert conger == pytest.approx(theirs)


def test_kappa_of_too_few_items_has_no_interval_of_no_width():
    found = cohen_kappa(np.array([0, 1]), np.array([1, 2]))
    assert (found.low, found.why) == (None, "too few items: its asymptotic error is 0")
    few = specific_agreement(np.array([[2, 1], [1, 2], [0, 3]]))
    assert few.low == 0  # a share


def test_weights_are_of_the_numbers_that_values_stand_for():
    assert agreement_weights("linear", [1, 2, 5]).tolist() == [
        [1, 0.75, 0],
        [0.75, 1, 0.25],
        [0, 0.25, 1],
    ]
    assert agreement_weights("quadratic", [0, 1, 2])[0].tolist() == [1, 0.75, 0]
    assert agreement_weights("quadratic", [7]).tolist() == [[1]]


def test_jaccard_distances_are_of_the_formula():
    sets = [set(), {"a"}, {"a", "b"}, {"b", "c"}]
    members = np.array([[label in given for label in "abc"] for given in sets])
    expected = [[1 - len(x & y) / len(x | y) if x | y else 0 for y in sets] for x in sets]
    assert jaccard_distance(members) == pytest.approx(np.array(expected))


@given(tables)
@settings(deadline=None)
def test_counted_codes_are_the_count_matrix(codes):
    patterns, sizes = code_counts(codes, WIDTH)
    spread = np.repeat(patterns, sizes, axis=0).tolist()
    assert sorted(spread) == sorted(counts_of(codes).tolist())
    assert codes_alpha(codes, WIDTH, "interval", [1, 2, 5, 9]) == pytest.approx(
        krippendorff_alpha(counts_of(codes), "interval", [1, 2, 5, 9]), nan_ok=True
    )


def test_codes_of_many_values_are_counted_by_sorting():
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 60, (50, 5))
    patterns, sizes = code_counts(codes, 60)
    assert sorted(np.repeat(patterns, sizes, axis=0).tolist()) == sorted(
        counts_of(codes, 60).tolist()
    )
    for wrong in (np.array([[0, 60]]), np.array([[-2, 0]])):
        with pytest.raises(InputError, match="codes must be from -1 to 59"):
            code_counts(wrong, 60)


# How often intervals cover, three annotators


def simulated(rng, n, prevalence):
    """Return counts of two labels; where one is rare it is also the harder one."""
    truth = rng.random(n) < prevalence
    common, rare = (0.1, 0.1) if prevalence == 0.5 else (0.02, 0.2)
    wrong = rng.random((n, 3)) < np.where(truth, common, rare)[:, None]
    return counts_of((truth[:, None] ^ wrong).astype(int), 2)


@pytest.mark.parametrize(
    ("prevalence", "n", "held"),
    [
        (0.5, 30, ("percent", "fleiss", "alpha", "ac1", "brennan_prediger")),
        (0.5, 100, ("percent", "fleiss", "alpha", "ac1", "brennan_prediger")),
        (0.95, 30, ("percent", "ac1", "brennan_prediger")),
        (0.95, 100, ("percent", "ac1", "brennan_prediger")),
    ],
)
def test_intervals_cover(prevalence, n, held):
    """Nominally 95%; alpha and kappa with a rare label do not, and are warned of."""
    rng = np.random.default_rng(2)
    true = {k: e.value for k, e in chance_corrected(simulated(rng, 500_000, prevalence)).items()}
    hits = {name: [] for name in held}
    for seed in range(200):
        found = chance_corrected(simulated(rng, n, prevalence), seed=seed)
        for name in held:
            if found[name].low is not None:
                hits[name].append(found[name].low <= true[name] <= found[name].high)
    for name, rows in hits.items():
        assert np.mean(rows) > 0.87, name


# Clusters


def documents(rng, count, size):
    """Return counts of two labels by three annotators, and documents that are hard or easy."""
    cluster = np.repeat(np.arange(count), size)
    wrong = np.where(rng.random(count) < 0.5, 0.02, 0.4)[cluster]
    truth = rng.integers(0, 2, count * size)
    codes = truth[:, None] ^ (rng.random((count * size, 3)) < wrong[:, None])
    return counts_of(codes.astype(int), 2), cluster


NAMES = ("percent", "fleiss", "alpha", "ac1", "brennan_prediger")


@pytest.mark.parametrize("count", [20, 60])
def test_intervals_of_clusters_cover_where_those_of_items_do_not(count):
    rng = np.random.default_rng(7)
    counts, _ = documents(rng, 20_000, 10)
    true = {name: e.value for name, e in chance_corrected(counts).items()}
    hits = {"items": [], "clusters": []}
    for seed in range(100):
        counts, cluster = documents(rng, count, 10)
        for how, numbers in (("items", None), ("clusters", cluster)):
            found = chance_corrected(counts, cluster=numbers, seed=seed)
            hits[how].append([found[n].low <= true[n] <= found[n].high for n in NAMES])
    covered = {how: np.mean(rows, axis=0) for how, rows in hits.items()}
    assert (covered["clusters"] > 0.88).all()
    assert (covered["items"] < 0.85).all()


def test_clusters_of_one_item_are_items():
    rng = np.random.default_rng(3)
    counts, _ = documents(rng, 40, 1)
    alone = chance_corrected(counts, cluster=rng.permutation(40))
    for name, estimate in chance_corrected(counts).items():
        if name != "percent":
            assert (alone[name].value, alone[name].n) == (estimate.value, 40)
            assert (alone[name].low, alone[name].high) == pytest.approx(
                (estimate.low, estimate.high)
            )


def test_one_cluster_gives_no_interval():
    counts = np.array([[2, 0], [1, 1], [0, 2]])
    for name, estimate in chance_corrected(counts, cluster=np.zeros(3, dtype=int)).items():
        assert estimate.value is not None, name
        assert (estimate.low, estimate.why) == (None, ONE_CLUSTER)
    kappa = cohen_kappa(np.array([0, 1, 0]), np.array([0, 1, 1]), cluster=np.zeros(3, dtype=int))
    assert (kappa.low, kappa.why) == (None, ONE_CLUSTER)


def test_kappa_of_clusters_is_wider_where_documents_differ():
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(30), 10)
    a = rng.integers(0, 3, 300)
    wrong = np.where(np.arange(30) % 2, 0.9, 0.0)[cluster]
    b = np.where(rng.random(300) < wrong, rng.integers(0, 3, 300), a)
    plain, clustered = cohen_kappa(a, b), cohen_kappa(a, b, cluster=cluster)
    assert clustered.value == plain.value
    assert clustered.high - clustered.low > 1.5 * (plain.high - plain.low)
    each = cohen_kappa(a, b, cluster=rng.permutation(300))
    assert each.high - each.low == pytest.approx(plain.high - plain.low, rel=0.01)


def test_a_clustered_share_where_none_differs_stands_on_the_clusters():
    rows = distinct_rows(np.zeros((500, 1), dtype=int), np.arange(500) % 10)
    found = mean_share(np.ones(1), rows, undefined="", seed=0)
    assert (found.value, found.n) == (1, 500)
    assert found.low < 0.75
    assert clustered_share(0.5, np.array([0.0]), 8).why == ONE_CLUSTER


def test_items_without_a_cluster_stand_alone():
    clusters = {"a": "x", "b": "x", "c": None, "d": float("nan"), "e": ""}
    assert cluster_numbers(list("abcdef"), clusters).tolist() == [0, 0, 1, 2, 3, 4]
    assert cluster_numbers(["a"], None) is None
    assert cluster_numbers([], {}).tolist() == []
    with pytest.raises(InputError, match="clusters: no item has one"):
        cluster_numbers(["y"], clusters)
