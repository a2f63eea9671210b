"""Promises from gold that is no plain random draw: held where ignoring the design breaks them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import beta, binom

from prelabel.errors import InputError
from prelabel.promises import dataset, selective
from prelabel.weighted_promises import (
    independent_gold,
    selective_stratified,
    selective_weighted,
)

AT = {"target": 0.05, "delta": 0.1}


def items(seed, n=20_000):
    """Scores of all items, and which are wrong with what chance (mean .147)."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(2.94, 2.174, n)
    return expit(logit + rng.standard_normal(n)), expit(-logit)


def easy_first(scores):
    """How often each item is drawn: the easier half four times as often."""
    return np.where(scores > np.median(scores), 4.0, 1.0)


def held(broken, runs):
    return broken <= binom.ppf(0.999, runs, 0.1)


def test_weights_hold_where_ignoring_them_breaks_the_promise():
    pool, chance = items(0)
    odds, rng, runs = easy_first(pool), np.random.default_rng(1), 100
    names = np.where(odds > 1, "easy", "hard")
    some = rng.choice(len(pool), 2000, replace=False)
    broken = dict.fromkeys(("ignored", "weights", "strata", "thinned for a dataset"), 0)
    coverage = dict.fromkeys(broken, 0.0)
    for run in range(runs):
        own = rng.choice(len(pool), 500, p=odds / odds.sum())
        gold = pool[own], rng.random(500) < chance[own]
        thinned = independent_gold(*gold, weights=1 / odds[own], seed=run)
        found = {
            "ignored": selective(*gold, pool[some], **AT),
            "weights": selective_weighted(
                *gold, 1 / odds[own], pool[some], 1 / odds[some], **AT, seed=run
            ),
            "strata": selective_stratified(*gold, names[own], pool[some], names[some], **AT),
            "thinned for a dataset": dataset(thinned.scores, thinned.wrong, **AT),
        }
        for name, promise in found.items():
            inside = pool >= (2 if promise.threshold is None else promise.threshold)
            error = chance[inside].sum() / max(inside.sum(), 1)
            if name.endswith("dataset"):
                error *= inside.mean()
            broken[name] += error > 0.05
            coverage[name] += inside.mean() / runs
    assert broken["ignored"] > 0.5 * runs
    assert all(held(broken[name], runs) for name in broken if name != "ignored")
    assert coverage["weights"] > 0.4
    assert coverage["strata"] > 0.35
    assert coverage["thinned for a dataset"] > 0.5


def test_documents_drawn_whole_break_the_promise_unless_one_item_of_each_is_kept():
    rng, runs, broken = np.random.default_rng(2), 600, {"ignored": 0, "one a document": 0}
    pool = np.zeros(10)
    ids = np.repeat([f"document {at}" for at in range(60)], 10)
    for run in range(runs):  # an item is wrong with .0501, but its document's others with it
        rates = np.repeat(rng.beta(0.25, 0.25 * (1 / 0.0501 - 1), 60), 10)
        wrong = rng.random(600) < rates
        one = independent_gold(np.zeros(600), wrong, clusters=ids, seed=run)
        assert len(one.scores) == 60
        for name, gold in (("ignored", wrong), ("one a document", one.wrong)):
            found = selective(np.zeros(len(gold)), gold, pool, **AT)
            broken[name] += found.threshold is not None
    assert held(broken["one a document"], runs)
    assert not held(broken["ignored"], runs)


def test_documents_of_all_sizes_give_each_item_the_same_chance():
    sizes = [1, 1, 2, 4, 8]
    ids = np.repeat(np.arange(5), sizes).astype(str)
    scores, counts, runs = np.arange(16) / 16, np.zeros(16), 8000
    for seed in range(runs):
        one = independent_gold(scores, np.zeros(16), clusters=ids, seed=seed)
        counts[(one.scores * 16).astype(int)] += 1
    assert counts / runs == pytest.approx(np.full(16, 1 / 8), abs=0.02)


def test_thinning_keeps_items_by_their_weight():
    weights = np.repeat([1.0, 0.5, 0.1], 4000)
    scores = np.repeat([0.9, 0.5, 0.1], 4000)
    found = independent_gold(scores, np.zeros(12_000), weights=weights * 7)
    shares = [(found.scores == score).sum() / 4000 for score in (0.9, 0.5, 0.1)]
    assert shares[0] == 1
    assert shares[1:] == pytest.approx([0.5, 0.1], abs=0.03)
    assert f"{len(found.scores)} of 12000 items kept" in found.note


def test_equal_weights_and_one_stratum_are_a_plain_draw():
    pool, chance = items(3)
    gold = pool[:600], np.random.default_rng(3).random(600) < chance[:600]
    rest = pool[600:3000]
    plain = selective(*gold, rest, **AT)
    assert plain.threshold is not None
    weighted = selective_weighted(*gold, np.full(600, 3.0), rest, np.full(2400, 3.0), **AT)
    stratified = selective_stratified(*gold, ["all"] * 600, rest, ["all"] * 2400, **AT)
    for found in (weighted, stratified):
        tests = [(step.tested, step.wrong) for step in found.steps]
        assert tests[-1] == (plain.steps[-1].tested, plain.steps[-1].wrong)
        assert (found.threshold, found.coverage) == (plain.threshold, plain.coverage)
    by_step = {step.threshold: step.p_value for step in plain.steps}
    both = [step for step in stratified.steps if step.threshold in by_step]
    assert [step.p_value for step in both] == pytest.approx([by_step[s.threshold] for s in both])


def test_a_stratified_bound_is_the_sum_of_its_parts():
    # of a region with .75 of its items in a: 3 of 300 wrong there, 1 of 50 in b
    scores = np.full(350, 0.9)
    wrong = np.r_[np.arange(300) < 3, np.arange(50) < 1]
    strata = ["a"] * 300 + ["b"] * 50
    pool, pool_strata = np.full(400, 0.9), ["a"] * 300 + ["b"] * 100
    parts = [(0.75, 3, 300), (0.25, 1, 50)]
    bound = sum(w * beta.ppf(1 - 0.05, k + 1, n - k) for w, k, n in parts)
    for target, passes in ((bound + 1e-6, True), (bound - 1e-6, False)):
        found = selective_stratified(
            scores, wrong, strata, pool, pool_strata, target=target, delta=0.1
        )
        assert (found.threshold is not None) == passes
        assert found.steps[0].p_value == pytest.approx(0.1, abs=1e-4)
    assert found.possible == pytest.approx(bound)


def test_a_stratum_without_gold_counts_as_all_wrong():
    scores, pool = np.full(300, 0.9), np.full(400, 0.9)
    strata = ["a"] * 300
    few, many = (["a"] * (400 - n) + ["b"] * n for n in (4, 40))
    bound = 0.99 * beta.ppf(1 - 0.05, 1, 300) + 0.01
    found = selective_stratified(scores, np.zeros(300), strata, pool, few, **AT)
    assert found.threshold == 0.9
    assert bound < 0.05
    lost = selective_stratified(scores, np.zeros(300), strata, pool, many, **AT)
    assert lost.threshold is None
    assert "gold was drawn in 2 strata" in lost.notes[0]


def test_refusals_say_what_would_do():
    rng = np.random.default_rng(4)
    pool = rng.random(1000)
    scores, wrong = rng.random(400), rng.random(400) < 0.3
    weights, pool_weights = 1 + scores, 1 + pool
    names, pool_names = (np.where(x > 0.5, "a", "b") for x in (scores, pool))
    for found in (
        selective_weighted(scores, wrong, weights, pool, pool_weights, **AT),
        selective_stratified(scores, wrong, names, pool, pool_names, **AT),
    ):
        assert found.threshold is None
        assert 0.05 < found.possible < 1
        assert found.sentence().startswith("Nothing is accepted: ")
    for n in (0, 30):
        few = selective_weighted(scores[:n], wrong[:n], weights[:n], pool, pool_weights, **AT)
        assert few.why.startswith(f"{n} gold items are too few; it takes 45")
        few = selective_stratified(scores[:n], wrong[:n], names[:n], pool, pool_names, **AT)
        assert few.why.startswith(f"{n} gold items are too few; it takes 45")
    assert selective_stratified([], [], [], [], [], **AT).why == "no item has a score"


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 5))
def test_the_order_of_gold_changes_nothing(seed, drawn):
    rng = np.random.default_rng(seed)
    scores, pool = rng.integers(20, size=300) / 20, rng.integers(20, size=500) / 20
    wrong, weights = rng.random(300) < 0.02, rng.choice([1.0, 2.0], 300)
    order = rng.permutation(300)
    names = rng.choice(["a", "b"], 300)
    settings = {"seed": drawn, **AT}
    found = [
        [
            selective_weighted(
                scores[at], wrong[at], weights[at], pool, np.full(500, 2.0), **settings
            ),
            selective_stratified(scores[at], wrong[at], names[at], pool, ["a", "b"] * 250, **AT),
            *(
                np.c_[sorted(zip(kept.scores, kept.wrong, strict=True))].tolist()
                for kept in (
                    independent_gold(scores[at], wrong[at], clusters=names[at], seed=drawn),
                    independent_gold(scores[at], wrong[at], weights=weights[at], seed=drawn),
                )
            ),
        ]
        for at in (np.arange(300), order)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: independent_gold([0.5], [0]), "either weights or clusters"),
        (
            lambda: independent_gold([0.5], [0], weights=[1], clusters=["a"]),
            "either weights or clusters",
        ),
        (lambda: independent_gold([0.5], [0], weights=[0]), "a weight must be above 0"),
        (lambda: independent_gold([0.5], [0], weights=[1, 2]), "2 weights for 1 items"),
        (lambda: independent_gold([0.5], [0], clusters=["a", "b"]), "2 clusters for 1 gold"),
        (lambda: selective_weighted([0.5], [0], [2.0], [0.5], [-1.0], **AT), "must be above 0"),
        (
            lambda: selective_stratified([0.5], [0], ["a"], [0.5], ["b"], **AT),
            "stratum 'a' of gold has no items in the pool",
        ),
        (lambda: selective_stratified([0.5], [0], [], [0.5], ["b"], **AT), "needs one stratum"),
    ],
)
def test_a_design_that_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
