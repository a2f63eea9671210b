"""Agreement on labels that agree in part, and unitizing alpha with its interval."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelabel.errors import InputError
from prelabel.guideline import Guideline
from prelabel.overlaps import overlap_agreement
from prelabel.span_scores import pairwise_f1, unitizing_alpha
from prelabel.tasks import make_task
from prelabel.unitizing import unitizing_alphas

NO_VOTES = pd.DataFrame({"item": [], "annotator": [], "unit": [], "value": []})
TASK = make_task(
    Guideline.model_validate(
        {
            "name": "g",
            "task": "spans",
            "labels": [{"name": n, "definition": "d"} for n in ("PER", "LOC")],
        }
    )
)
LENGTH = 40
bounds = st.lists(st.integers(0, LENGTH), max_size=6, unique=True).map(sorted)


def spans(*triples):
    return [{"start": s, "end": e, "label": label} for s, e, label in triples]


def marked(rng, shift):
    """Return spans about two places, moved by up to ``shift`` characters."""
    return spans(
        *(
            (at + int(rng.integers(0, shift + 1)), at + 8, label)
            for at, label in ((2, "PER"), (20, "LOC"))
            if rng.random() < 0.9
        )
    )


def annotated(n, annotators=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"a{k}": {f"i{i:03}": marked(rng, 4 if k == 2 else 1) for i in range(n)}
        for k in range(annotators)
    }


def lengths_of(labels):
    return {item: LENGTH for own in labels.values() for item in own}


def measure(labels, **options):
    return overlap_agreement(labels, NO_VOTES, TASK, **options)


def test_spans_get_pairwise_f1_and_unitizing_alpha_of_each_label():
    labels = annotated(60)
    found = measure(labels, lengths=lengths_of(labels))
    rows = [list(own.values()) for own in labels.values()]
    assert found.overlap.value == pytest.approx(pairwise_f1(rows).value)
    assert found.coefficients["overlap"] == found.overlap
    whole = found.coefficients["unitizing_alpha"]
    assert whole.value == pytest.approx(unitizing_alpha(rows, [LENGTH] * 60).value)
    assert [name for name, _ in found.unitizing] == ["LOC", "PER"]
    for name, estimate in found.unitizing:
        own = [[[s for s in label if s["label"] == name] for label in row] for row in rows]
        assert estimate.value == pytest.approx(unitizing_alpha(own, [LENGTH] * 60).value)
        assert estimate.low < estimate.value < estimate.high
        assert estimate.n == 60
    json.dumps(found.to_dict(), allow_nan=False)


def test_without_lengths_there_is_no_unitizing_alpha():
    found = measure(annotated(20))
    assert found.unitizing == ()
    assert [*found.coefficients] == ["percent", "overlap"]
    labels = annotated(20)
    with pytest.raises(InputError, match="item 'i000' has no length"):
        measure(labels, lengths={"i001": 5})


def test_unitizing_alpha_is_over_items_that_all_labeled():
    labels = annotated(30)
    del labels["a0"]["i004"]
    found = measure(labels, lengths=lengths_of(labels))
    assert found.coefficients["unitizing_alpha"].n == 29
    assert found.overlap.n == 30
    apart = {"a": {"x": []}, "b": {"y": []}}
    estimate = measure(apart, lengths={"x": 9, "y": 9}).coefficients["unitizing_alpha"]
    assert estimate.why == "there is no item that several annotators all labeled"
    alone = measure({"a": {"x": []}}, lengths={"x": 9})
    assert alone.coefficients["unitizing_alpha"].value is None
    assert alone.overlap.value is None


def test_the_mean_overlap_without_each_annotator():
    labels = annotated(60)
    found = measure(labels)
    for name, estimate in found.without:
        rows = [list(own.values()) for other, own in labels.items() if other != name]
        assert estimate.value == pytest.approx(pairwise_f1(rows).value)
    best = max(found.without, key=lambda pair: pair[1].value)
    assert best[0] == "a2"  # who is furthest off
    assert measure(annotated(60, annotators=2)).without == ()


def test_clusters_are_resampled_together():
    rng = np.random.default_rng(1)
    hard = [item % 10 < 5 for item in range(100)]
    labels = {
        name: {f"i{i:03}": marked(rng, 4) if hard[i] else spans((2, 10, "PER")) for i in range(100)}
        for name in "abc"
    }
    clusters = {f"i{i:03}": f"doc{i % 10}" for i in range(100)}
    lengths = lengths_of(labels)
    plain = measure(labels, lengths=lengths)
    found = measure(labels, lengths=lengths, clusters=clusters)
    assert (plain.n_clusters, found.n_clusters) == (0, 10)
    for wide, narrow in (
        (found.overlap, plain.overlap),
        (found.percent, plain.percent),
        (found.coefficients["unitizing_alpha"], plain.coefficients["unitizing_alpha"]),
        (found.pairs[0].percent, plain.pairs[0].percent),
    ):
        assert (wide.value, wide.n) == (pytest.approx(narrow.value), 100)
        assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)
    of_few = measure(labels, clusters={item: name < "doc5" for item, name in clusters.items()})
    assert of_few.notes == ("the intervals rest on 2 clusters only",)


def test_the_order_of_annotators_and_items_does_not_matter():
    labels = annotated(20)
    other = {name: dict(reversed(labels[name].items())) for name in reversed(labels)}
    lengths = lengths_of(labels)
    assert measure(other, lengths=lengths) == measure(labels, lengths=lengths)


def test_unanimity_is_one_and_nothing_is_not_defined():
    same = annotated(12, annotators=1)["a0"]
    found = measure({"a": same, "b": same}, lengths=dict.fromkeys(same, LENGTH))
    assert found.overlap.value == found.percent.value == 1
    assert {estimate.value for _, estimate in found.unitizing} == {1}
    empty = {"x": [], "y": []}
    nothing = measure({"a": empty, "b": empty}, lengths={"x": 5, "y": 5})
    assert nothing.overlap.why == "neither names anything"
    assert nothing.coefficients["unitizing_alpha"].why == "no spans"
    assert nothing.unitizing == ()


# Unitizing alpha's interval


def laid_out(labels, copies):
    """Lay the items end to end as often as ``copies`` says, as one item."""
    rows = [[] for _ in labels]
    at = 0
    for item, times in enumerate(copies):
        for _ in range(times):
            for row, given_ in zip(rows, labels, strict=True):
                row += [(at + s, at + e, "c") for s, e in given_[item]]
            at += LENGTH
    return [[row] for row in rows], [at]


drawn = st.lists(st.lists(bounds, min_size=4, max_size=4), min_size=2, max_size=3)


@given(drawn, st.lists(st.integers(0, 3), min_size=4, max_size=4))
@settings(deadline=None, max_examples=60)
def test_a_resample_is_the_items_laid_end_to_end_anew(edges, copies):
    labels = [[list(zip(e[::2], e[1::2], strict=False)) for e in row] for row in edges]
    copied = [
        [[(s, e, "c") for s, e in row[i]] for i, n in enumerate(copies) for _ in range(n)]
        for row in labels
    ]
    found = unitizing_alphas(copied, [LENGTH] * sum(copies), ["c"])[0]
    rows, length = laid_out(labels, copies)
    whole = unitizing_alphas(rows, length, ["c"])[0]
    assert found.value == pytest.approx(whole.value)


def test_the_interval_of_few_items_is_the_jackknife_of_items():
    rows = [list(own.values()) for own in annotated(12).values()]
    found = unitizing_alpha(rows, [LENGTH] * 12)
    left = [
        unitizing_alpha([row[:i] + row[i + 1 :] for row in rows], [LENGTH] * 11).value
        for i in range(12)
    ]
    error = np.sqrt(11 / 12 * ((left - np.mean(left)) ** 2).sum())
    assert found.value - found.low == pytest.approx(2.200985 * error)
    assert unitizing_alpha([row[:1] for row in rows], [LENGTH]).why == "one item only"


def test_the_interval_covers():
    many = [
        [[(s["start"], s["end"], s["label"]) for s in label] for label in own.values()]
        for own in annotated(20_000, seed=9).values()
    ]
    once = np.zeros(20_000, dtype=int)  # one cluster: no interval, which would take long
    truth = unitizing_alphas(many, [LENGTH] * 20_000, ["PER", "LOC"], cluster=once)[0].value
    hits = 0
    for seed in range(100):
        rows = [list(own.values()) for own in annotated(30, seed=seed).values()]
        found = unitizing_alpha(rows, [LENGTH] * 30)
        hits += found.low <= truth <= found.high
    assert hits >= 88
