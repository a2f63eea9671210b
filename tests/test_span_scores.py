"""Entity F1 in three strengths, agreement of annotators on spans, and clusters for voting."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.span_scores import (
    cluster,
    entity_scores,
    filled,
    pairwise_f1,
    shared,
    unitizing_alpha,
)


def spans(*triples):
    return [
        {"start": start, "end": end, "text": "x" * (end - start), "label": label}
        for start, end, label in triples
    ]


def scores(gold, given, **settings):
    """The values of the metrics, of one or several items."""
    measures = entity_scores(gold, given, ("PER", "ORG", "LOC"), **settings)
    return {name: estimate.value for name, estimate in measures.metrics.items()}


A = spans((0, 5, "PER"), (10, 14, "ORG"), (20, 28, "LOC"))
B = spans((0, 5, "PER"), (10, 15, "ORG"), (20, 28, "LOC"))
C = spans((0, 4, "PER"), (20, 28, "ORG"))


def test_f1_in_three_strengths():
    found = scores([A], [B])
    assert found["exact_f1"] == found["exact_precision"] == pytest.approx(2 / 3)
    assert found["partial_f1"] == pytest.approx(2.5 / 3)
    assert found["type_f1"] == 1.0
    found = scores([A], [C])  # one overlap with the right label; another label earns nothing
    assert found["exact_f1"] == 0.0
    assert found["partial_f1"] == pytest.approx(2 * 0.5 / 5)
    assert found["type_f1"] == pytest.approx(2 * 1 / 5)


def test_one_long_span_finds_one_entity():
    gold, given = spans((0, 2, "PER"), (3, 5, "PER"), (6, 8, "PER")), spans((0, 8, "PER"))
    assert scores([gold], [given])["type_f1"] == pytest.approx(2 * 1 / 4)
    assert scores([given], [gold])["type_f1"] == pytest.approx(2 * 1 / 4)


def test_an_exact_pair_is_not_lost_to_one_that_touches():
    gold, given = spans((0, 4, "PER"), (2, 6, "PER")), spans((2, 6, "PER"))
    assert scores([gold], [given])["partial_f1"] == pytest.approx(2 / 3)


def test_counts_are_micro_over_items_and_by_label():
    measures = entity_scores([A, [], C], [B, C, []], ("PER", "ORG", "LOC"))
    assert measures.metrics["exact_f1"].value == pytest.approx(2 * 2 / (5 + 5))
    assert [(s.label, s.support, s.predicted, s.hits) for s in measures.labels] == [
        ("PER", 2, 2, 1),
        ("ORG", 2, 2, 0),
        ("LOC", 1, 1, 1),
    ]
    assert list(measures.right) == [False, False, False]
    assert entity_scores([A, []], [A, []], ("PER",)).right == [True, True]
    assert next(iter(measures.metrics)) == "exact_f1"


def test_a_metric_of_nothing_is_not_defined():
    for gold in ([], [[]], [[], []]):
        measures = entity_scores(gold, gold, ("PER",))
        assert all(e.value is None and e.why for e in measures.metrics.values())
        assert measures.labels[0].f1.value is None


def test_intervals_come_from_items():
    measures = entity_scores([A, C] * 30, [B, A] * 30, ("PER", "ORG", "LOC"))
    for estimate in measures.metrics.values():
        assert estimate.n == 60
        assert estimate.low < estimate.value < estimate.high


def test_agreement_of_annotators_is_the_f1_of_pairs():
    assert shared(A, B) == (4.0, 6.0)
    assert shared([], []) == (0.0, 0.0)
    assert pairwise_f1([[A], [B]]).value == pytest.approx(2 / 3)
    assert pairwise_f1([[A], [C]]).value == 0.0
    assert pairwise_f1([[A], [B], [C]]).value == pytest.approx(0.2222, abs=1e-4)
    assert pairwise_f1([[A, None], [B, A]]).value == pytest.approx(2 / 3)
    assert pairwise_f1([[A, []], [A, C]]).value == pytest.approx(6 / 8)
    for nothing in ([], [[A]], [[], []], [[[]], [[]]]):
        assert pairwise_f1(nothing).value is None
        assert pairwise_f1(nothing).why


def units(label, *pairs):
    return spans(*[(start, end, label) for start, end in pairs])


# Krippendorff 2004, Content Analysis, fig. 2: two coders, a continuum of 300
CI, CJ = units("c", (75, 145), (220, 250)), units("c", (70, 150), (205, 225), (250, 270))
K = units("k", (30, 90), (150, 200))


def test_unitizing_alpha_is_the_published_one():
    assert unitizing_alpha([[CI], [CJ]], [300]).value == pytest.approx(0.728599, abs=1e-6)
    assert unitizing_alpha([[K], [K]], [300]).value == 1.0
    both = unitizing_alpha([[CI + K], [CJ + K]], [300])
    assert both.value == pytest.approx(0.858665, abs=1e-6)


def test_unitizing_alpha_of_items_laid_end_to_end():
    cut = [
        spans(*[(s["start"] - 200, s["end"] - 200, "c") for s in x if s["start"] >= 200])
        for x in (CI, CJ)
    ]
    head = [[s for s in x if s["end"] <= 200] for x in (CI, CJ)]
    whole = unitizing_alpha([[CI], [CJ]], [300]).value
    parts = unitizing_alpha([[head[0], cut[0]], [head[1], cut[1]]], [200, 100])
    assert parts.value == pytest.approx(whole)
    assert parts.n == 2


def unitizing_by_definition(coders, length):
    """Every section against every section, as the formula says it."""

    def sections(found):
        edges = [0, *[edge for unit in found for edge in unit], length]
        rows = [(b, e, n % 2) for n, (b, e) in enumerate(pairwise(edges))]
        return [row for row in rows if row[1] > row[0]]

    rows, m = [sections(found) for found in coders], len(coders)
    observed = 0
    for i in range(m):
        for j in range(m):
            for b, e, v in rows[i] if i != j else []:
                for b2, e2, v2 in rows[j]:
                    if v and v2 and b < e2 and b2 < e:
                        observed += (b - b2) ** 2 + (e - e2) ** 2
                    elif v and not v2 and b2 <= b and e <= e2:
                        observed += (e - b) ** 2
                    elif v2 and not v and b <= b2 and e2 <= e:
                        observed += (e2 - b2) ** 2
    sizes = [e - b for row in rows for b, e, v in row if v]
    gaps = [e - b for row in rows for b, e, v in row if not v]
    total = sum(
        (len(sizes) - 1) / 3 * (2 * x**3 - 3 * x**2 + x)
        + x**2 * sum(g - x + 1 for g in gaps if g >= x)
        for x in sizes
    )
    chances = m * length * (m * length - 1) - sum(x * (x - 1) for x in sizes)
    return 1 - observed / (m * (m - 1) * length**2) / (2 / length * total / chances)


edges = st.lists(st.integers(0, 30), max_size=6, unique=True).map(sorted)


@given(st.lists(edges, min_size=2, max_size=4))
def test_unitizing_alpha_is_the_formula(drawn):
    coders = [list(zip(e[::2], e[1::2], strict=False)) for e in drawn]
    found = unitizing_alpha([[units("c", *coder)] for coder in coders], [30])
    if not any(coders) or found.value is None:
        assert found.why == "no spans"
    else:
        assert found.value == pytest.approx(unitizing_by_definition(coders, 30))


def test_where_unitizing_alpha_is_not_defined():
    assert unitizing_alpha([[CI]], [300]).why == "fewer than two annotators, or no text"
    assert unitizing_alpha([[], []], []).value is None
    assert unitizing_alpha([[[]], [[]]], [300]).why == "no spans"
    twice = units("c", (0, 10), (5, 15))
    assert unitizing_alpha([[twice], [CJ]], [300]).why == "spans of one label overlap"


def unit(start, end, label):
    return json.dumps([start, end, label, "x" * (end - start)])


def votes(*triples):
    return {unit(*triple): True for triple in triples}


def test_spans_of_one_entity_take_the_commonest_bounds():
    given = {"a": votes((0, 8, "p")), "b": votes((0, 8, "p")), "c": votes((3, 8, "p"))}
    assert cluster(given) == dict.fromkeys("abc", votes((0, 8, "p")))


def test_ties_go_to_the_longest_then_to_the_first():
    given = {"a": votes((4, 8, "p")), "b": votes((2, 8, "p"))}
    assert cluster(given) == dict.fromkeys("ab", votes((2, 8, "p")))
    given = {"a": votes((1, 7, "p")), "b": votes((0, 6, "p"))}
    assert cluster(given) == dict.fromkeys("ab", votes((0, 6, "p")))


def test_other_labels_and_distant_spans_are_other_entities():
    given = {"a": votes((0, 8, "p")), "b": votes((0, 8, "q")), "c": votes((0, 3, "p")), "d": {}}
    found = cluster(given)
    assert found["a"] == {unit(0, 8, "p"): True, unit(0, 8, "q"): False, unit(0, 3, "p"): False}
    assert found["d"] == dict.fromkeys(found["a"], False)
    assert sum(v is True for mine in found.values() for v in mine.values()) == 3


def test_two_entities_of_one_annotator_stay_two():
    given = {
        "a": votes((0, 7, "p"), (8, 14, "p")),
        "b": votes((0, 14, "p")),
        "c": votes((0, 14, "p")),
    }
    found = cluster(given)
    assert {u for u, value in found["a"].items() if value} == {unit(0, 7, "p"), unit(8, 14, "p")}


def test_what_is_false_already_is_no_span():
    given = filled({"a": votes((0, 8, "p")), "b": {}})
    assert given["b"] == {unit(0, 8, "p"): False}
    assert cluster(given) == given
    assert cluster({}) == filled({}) == {}


triples = st.tuples(st.integers(0, 9), st.integers(1, 9), st.sampled_from("pq")).map(
    lambda t: (t[0], t[0] + t[1], t[2])
)
apart = st.lists(triples, max_size=4).map(
    lambda found: [
        t for n, t in enumerate(found) if all(t[1] <= o[0] or o[1] <= t[0] for o in found[:n])
    ]
)
ballots = st.dictionaries(
    st.sampled_from("abcd"), st.lists(triples, max_size=4).map(lambda t: votes(*t))
)


@given(ballots, st.randoms())
def test_clusters_do_not_hang_on_the_order_and_settle_at_once(given, random):
    found = cluster(given)
    names = list(given)
    random.shuffle(names)
    assert cluster({name: given[name] for name in names}) == found
    used = {u for mine in given.values() for u in mine}
    for name, mine in found.items():
        marked = {u for u, value in mine.items() if value}
        assert marked <= used
        assert bool(marked) == bool(given[name])
    assert len({tuple(mine) for mine in found.values()}) <= 1


@given(st.lists(apart.map(lambda found: votes(*found)), min_size=1, max_size=5))
def test_a_majority_of_clusters_holds_no_overlap(given):
    found = list(cluster(dict(enumerate(given))).values())
    chosen = [json.loads(u) for u in found[0] if sum(mine[u] for mine in found) > len(found) / 2]
    for n, a in enumerate(chosen):
        assert all(a[1] <= b[0] or b[1] <= a[0] for b in chosen[:n])


@given(ballots)
def test_filling_is_idempotent_and_loses_nothing(given):
    found = filled(given)
    assert filled(found) == found
    for name, mine in given.items():
        assert {u for u, value in found[name].items() if value} == set(mine)


labels_of_items = st.lists(st.lists(triples, max_size=3, unique=True), min_size=1, max_size=5)


@given(labels_of_items)
def test_f1_of_a_label_with_itself_is_1(items):
    labels = [spans(*item) for item in items]
    if any(items):
        measures = entity_scores(labels, labels, ("p", "q"))
        assert {e.value for e in measures.metrics.values()} == {1.0}
        assert pairwise_f1([labels, labels]).value == 1.0


@given(labels_of_items, st.randoms())
def test_stronger_asks_for_more(items, random):
    gold = [spans(*item) for item in items]
    given = random.sample(gold, len(gold))
    found = entity_scores(gold, given, ("p", "q")).metrics
    if found["exact_f1"].value is not None:
        exact, partial, kind = (found[f"{n}_f1"].value for n in ("exact", "partial", "type"))
        assert exact <= partial <= kind <= 1
        assert np.isclose(partial, (exact + kind) / 2)
        assert pairwise_f1([gold, given]).value == pytest.approx(exact)
