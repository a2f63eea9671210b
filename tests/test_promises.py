"""Promises: worked examples, a second implementation, invariances, and violations by simulation."""

import json
from functools import cache
from math import nan, nextafter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom, hypergeom

from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.promise import Promise, Step, covered
from prelabel.promise_tests import power
from prelabel.promises import dataset, expected, grouped, selective

AT = {"target": 0.05, "delta": 0.1}


def clear(rng, n, noise=1.0):
    """Scores and chances to be wrong: accuracy .853, AUROC .856."""
    logit = rng.normal(2.94, 2.174, n)
    return expit(logit + noise * rng.standard_normal(n)), expit(-logit)


def regions(*rows):
    """Gold with so many items, so many of them wrong, at each score."""
    scores = np.concatenate([np.full(n, score) for score, n, _ in rows])
    wrong = np.concatenate([np.arange(n) < k for _, n, k in rows])
    return scores, wrong


# the second implementation: straight from the definitions, one item and threshold at a time


@cache
def need_again(wrong, target, delta):
    n = wrong + 1
    while binom.cdf(wrong, n, target) > delta:
        n += 1
    return n


def selective_again(scores, wrong, pool, target, delta):
    n, ranked, chosen = len(scores), sorted(pool, reverse=True), None
    thresholds = sorted({ranked[-(-j * len(pool) // 50) - 1] for j in range(1, 51)}, reverse=True)
    shares = [sum(s >= t for s in pool) / len(pool) for t in thresholds]

    def begins(room):
        for share in shares:
            hoped, spread = n * share, (n * share * (1 - share)) ** 0.5
            if hoped - spread / 2 >= need_again(room, target, delta) - 1e-9:
                return share
        return 2

    start = max((s for s in map(begins, range(1, 7)) if s <= 1 / 3), default=None)
    if start is None:
        start = begins(1) if begins(1) <= 1 / 2 else begins(0)
    for threshold in thresholds:
        if sum(s >= threshold for s in pool) / len(pool) < start:
            continue
        inside = [bad for s, bad in zip(scores, wrong, strict=True) if s >= threshold]
        tested, errors = len(inside), sum(inside)
        if tested == 0 or binom.cdf(errors, tested, target) > delta:
            break
        chosen = threshold
    return chosen


def dataset_again(scores, wrong, target, delta, pool_size=None):
    """Which gold items are accepted."""
    n = len(scores)

    def chance(k):
        if pool_size is None:
            return binom.cdf(k, n, target)
        return hypergeom.cdf(k, pool_size, int(target * pool_size + 1e-9) + 1, n)

    allowed = max((k for k in range(n + 1) if chance(k) <= delta), default=-1)
    if allowed < 0:
        return [False] * n
    errors = sorted((s for s, bad in zip(scores, wrong, strict=True) if bad), reverse=True)
    if len(errors) <= allowed:
        return [True] * n
    return [bool(s > errors[allowed]) for s in scores]


def expected_again(scores, wrong, pool, target):
    """Which items of the pool Benjamini and Hochberg's procedure rejects."""
    n, size = len(scores), len(pool)
    p = [
        (1 + sum(bad and s >= t for s, bad in zip(scores, wrong, strict=True))) / (n + 1)
        for t in pool
    ]
    ranked = sorted(p)
    passing = [at for at in range(1, size + 1) if ranked[at - 1] <= target * at / size + 1e-12]
    return [x <= ranked[max(passing) - 1] if passing else False for x in p]


@st.composite
def gold_and_pool(draw, most=120):
    seed, n = draw(st.integers(0, 10_000)), draw(st.integers(1, most))
    levels, rate = draw(st.sampled_from([3, 8, 1000])), draw(st.sampled_from([0.0, 0.05, 0.3]))
    rng = np.random.default_rng(seed)
    scores, pool = (rng.integers(levels, size=size) / levels for size in (n, n + 40))
    return scores, rng.random(n) < rate * (2 - 2 * scores), pool


@settings(max_examples=40, deadline=None)
@given(gold_and_pool(), st.sampled_from([0.05, 0.2]), st.sampled_from([0.1, 0.3]))
def test_a_second_implementation_of_all_three_agrees(data, target, delta):
    scores, wrong, pool = data
    assert selective(scores, wrong, pool, target=target, delta=delta).threshold == selective_again(
        scores, wrong, pool, target, delta
    )
    for size in (None, len(pool)):
        found = dataset(scores, wrong, target=target, delta=delta, pool_size=size)
        again = dataset_again(scores, wrong, target, delta, size)
        assert [found.accepts(s) for s in scores] == again
    found = expected(scores, wrong, pool, target=target)
    assert [found.accepts(s) for s in pool] == expected_again(scores, wrong, pool, target)


def test_the_worked_example_passes_four_tests_and_accepts_at_the_fourth():
    scores, wrong = regions((0.9, 80, 0), (0.8, 20, 1), (0.7, 20, 0), (0.6, 20, 2), (0.5, 20, 2))
    pool = np.repeat([0.9, 0.8, 0.7, 0.6, 0.5], [90, 20, 20, 20, 20])
    found = selective(scores, wrong, pool, **AT)
    assert [(step.wrong, step.tested) for step in found.steps] == [
        (0, 80),
        (1, 100),
        (1, 120),
        (3, 140),
        (5, 160),
    ]
    p_values = [step.p_value for step in found.steps]
    assert p_values == pytest.approx([0.0165, 0.0371, 0.0155, 0.0765, 0.1842], abs=5e-5)
    assert (found.threshold, found.tested, found.wrong) == (0.6, 140, 3)
    assert found.p_value == pytest.approx(0.0765, abs=5e-5)
    assert found.coverage == wilson(150, 170)
    assert (found.needed, found.possible, found.why) == (None, None, "")


def test_a_refused_promise_says_what_holds_and_what_would_do():
    scores, wrong = regions((0.9, 60, 1), (0.5, 40, 20))
    found = selective(scores, wrong, np.repeat([0.9, 0.5], [60, 40]), **AT)
    assert found.threshold is None
    assert found.why == (
        "1 of the 60 gold items in the 60% with the highest scores are wrong; "
        "with 1 wrong it takes 77"
    )
    # a bound of the start's error, fixed before labels were seen; and power .8 at 1.5 in 61
    assert binom.cdf(1, 60, found.possible) == pytest.approx(0.1)
    assert (found.possible_coverage, found.needed) == (0.6, 430)
    assert power(0.05, 1.5 / 61, 0.1) == 0.6 * 430
    assert found.sentence() == (
        "Nothing is accepted: 1 of the 60 gold items in the 60% with the highest scores are "
        "wrong; with 1 wrong it takes 77. What this gold can show: with probability 90% at most "
        "6.33% of the 60% of labels with the best scores are wrong. Were errors exactly as seen, about 430 gold items in all "
        "(330 more) would do; `prelabel forecast` says how likely."
    )


def test_three_gold_items_are_too_few_for_anything():
    scores, wrong = [0.9, 0.8, 0.7], [False] * 3
    found = selective(scores, wrong, scores, **AT)
    assert found.why == (
        "3 gold items are too few; it takes 45 that would be accepted and are all right, "
        "or 77 with one wrong"
    )
    assert found.steps == ()
    assert found.possible == pytest.approx(1 - 0.1 ** (1 / 3))
    assert (found.needed, found.possible_coverage) == (77, 1.0)
    one = dataset(scores, wrong, **AT)
    assert (one.why, one.needed) == ("3 gold items are too few; it takes 45", 45)
    assert one.possible == pytest.approx(1 - 0.1 ** (1 / 3))
    weak = expected(scores, wrong, scores, target=0.05)
    assert (weak.why, weak.needed) == ("3 gold items are too few to find it", 19)
    assert weak.possible == pytest.approx(1 / 4)


def test_gold_all_wrong_says_that_more_will_not_do():
    scores = np.linspace(0, 1, 200)
    found = selective(scores, np.ones(200, dtype=bool), scores, **AT)
    assert (found.threshold, found.needed, found.possible) == (None, None, None)
    weak = expected(scores, np.ones(200), scores, target=0.05)
    assert (weak.threshold, weak.needed) == (None, None)
    for one in (found, weak):
        assert one.sentence().endswith(
            "More gold alone would not do, if errors stay as they were seen."
        )


def test_the_dataset_promise_allows_so_many_wrong_above_the_threshold():
    scores = np.arange(200) / 200
    wrong = np.isin(np.arange(200), [195, 190, 180, 170, 160, 150, 140])
    found = dataset(scores, wrong, **AT)  # 5 of 200 are allowed: the sixth is at 150
    assert found.threshold == nextafter(0.75, 1)
    assert (found.tested, found.wrong) == (49, 5)
    assert not found.accepts(0.75)
    assert found.p_value == pytest.approx(binom.cdf(5, 200, 0.05))
    assert found.coverage == wilson(49, 200)
    assert found.over([0.75, 0.76, None, 0.9]).coverage == wilson(2, 4)


def test_few_enough_wrong_accept_all_that_have_a_score():
    scores, wrong = np.append(np.linspace(0.5, 1, 99), nan), np.zeros(100)
    found = dataset(scores, wrong, **AT)
    assert (found.threshold, found.tested) == (0.0, 99)
    assert not found.accepts(nan)
    assert not found.accepts(None)
    assert dataset(scores - 3, wrong, **AT).threshold == -2.5


def test_a_tie_with_one_wrong_too_many_is_not_accepted():
    scores, wrong = regions((0.9, 50, 1), (0.8, 100, 5), (0.7, 50, 1))
    found = dataset(scores, wrong, **AT)  # 5 are allowed, the sixth is tied at .8
    assert (found.threshold, found.tested, found.wrong) == (nextafter(0.8, 1), 50, 1)
    tied = dataset(np.full(200, 0.9), np.arange(200) < 6, **AT)
    assert tied.threshold is None
    assert tied.why == "too many of the gold items with the highest scores are wrong"
    assert binom.cdf(6, 200, tied.possible) == pytest.approx(0.1)


def test_a_pool_that_gold_was_drawn_from_allows_more():
    scores = np.arange(1000) / 1000
    wrong = np.arange(1000) % 20 == 0
    endless, pool = (dataset(scores, wrong, **AT, pool_size=size) for size in (None, 5000))
    assert (endless.wrong, pool.wrong) == (40, 41)
    assert pool.p_value == pytest.approx(hypergeom.cdf(41, 5000, 251, 1000))
    with pytest.raises(InputError, match="a pool of 999 items cannot have 1000 gold items"):
        dataset(scores, wrong, **AT, pool_size=999)


def test_items_without_a_score_are_never_accepted_but_count():
    rng = np.random.default_rng(0)
    scores, chance = clear(rng, 600)
    wrong = rng.random(600) < chance
    pool = clear(rng, 2000)[0]
    empty = [None] * 2000
    found = selective(
        np.append(scores, [nan] * 600), np.append(wrong, [True] * 600), [*pool, *empty], **AT
    )
    assert found.threshold is not None
    assert (found.gold, found.coverage.n) == (1200, 4000)
    assert 0 < found.coverage.value < 0.5
    none = selective([None] * 60, [False] * 60, empty, **AT)
    assert none.sentence() == "Nothing is accepted: no item has a score."
    assert dataset([None] * 60, [False] * 60, **AT).why == "no item has a score"
    assert expected([0.5], [False], empty, target=0.05).why == "no item has a score"
    few = selective(scores[:100], wrong[:100], [*pool[:200], *empty], **AT)
    assert few.why.startswith("100 gold items are too few where only 9% of the items have a score")


def test_empty_gold_and_pool():
    for found in (
        selective([], [], [0.5], **AT),
        selective([], [], [], **AT),
        dataset([], [], **AT),
        expected([], [], [0.5], target=0.05),
        expected([], [], [], target=0.05),
    ):
        assert found.threshold is None
        json.dumps(found.to_dict(), allow_nan=False)
        assert found.sentence().startswith("Nothing is accepted: ")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: selective([0.5], [1, 0], [0.5], **AT), "1 scores and 2 verdicts"),
        (lambda: selective([0.5], [2], [0.5], **AT), "wrong must be true or false"),
        (lambda: selective([float("inf")], [0], [0.5], **AT), "a score is infinite"),
        (lambda: selective([0.5], [0], [[0.5]], **AT), "one number an item"),
        (lambda: dataset([0.5], [0], target=5, delta=0.1), "target must be between 0 and 1, got 5"),
        (lambda: dataset([0.5], [0], target=0.05, delta=0), "delta must be between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(call, said):
    with pytest.raises(InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


@settings(max_examples=40, deadline=None)
@given(gold_and_pool(400), st.integers(0, 99))
def test_order_of_gold_and_copies_of_the_pool_change_nothing(data, seed):
    scores, wrong, pool = data
    order = np.random.default_rng(seed).permutation(len(scores))
    copies = np.random.default_rng(seed).permutation(np.tile(pool, 3))
    for kind in ("selective", "dataset", "expected"):
        once = promise(kind, scores, wrong, pool)
        again = promise(kind, scores[order], wrong[order], copies)
        assert once.threshold == again.threshold
        assert (once.tested, once.wrong, once.needed) == (again.tested, again.wrong, again.needed)


@settings(max_examples=40, deadline=None)
@given(gold_and_pool(400))
def test_only_the_order_of_scores_counts(data):
    scores, wrong, pool = data
    for kind in ("selective", "dataset", "expected"):
        once = promise(kind, scores, wrong, pool)
        again = promise(kind, scores**3 / 7, wrong, pool**3 / 7)
        assert [once.accepts(s) for s in pool] == [again.accepts(s) for s in pool**3 / 7]


@settings(max_examples=40, deadline=None)
@given(gold_and_pool(300))
def test_one_more_wrong_item_never_accepts_more_of_a_dataset(data):
    scores, wrong, pool = data
    for at in np.flatnonzero(~wrong)[:3]:
        worse = wrong.copy()
        worse[at] = True
        for kind in ("dataset", "expected"):
            once, again = (promise(kind, scores, bad, pool).over(pool) for bad in (wrong, worse))
            assert (again.coverage.value or 0) <= (once.coverage.value or 0)


def promise(kind, scores, wrong, pool, target=0.05):
    if kind == "selective":
        return selective(scores, wrong, pool, target=target, delta=0.1)
    if kind == "dataset":
        return dataset(scores, wrong, target=target, delta=0.1)
    return expected(scores, wrong, pool, target=target)


@settings(max_examples=40, deadline=None)
@given(gold_and_pool(400), st.sampled_from(["selective", "dataset", "expected"]))
def test_a_promise_survives_its_file(data, kind):
    found = promise(kind, *data).noted("cross-fitted")
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert Promise.from_dict(json.loads(text)) == found


@pytest.mark.parametrize(
    "change",
    [{"kind": "sure"}, {"steps": 3}, {"threshold": "high"}, {"more": 1}, {"threshold": nan}],
)
def test_a_promise_changed_by_hand_is_refused(change):
    written = dataset(np.linspace(0, 1, 99), np.zeros(99), **AT).to_dict() | change
    with pytest.raises(InputError, match="fit the rule again"):
        Promise.from_dict(written)
    with pytest.raises(InputError, match="fit the rule again"):
        Promise.from_dict({})


def test_each_kind_has_its_own_sentence():
    blank = {"gold": 200, "tested": 140, "wrong": 3, "coverage": Estimate(0.7, n=1000)}
    said = {
        kind: Promise(kind, 0.05, delta, 0.6, **blank).sentence()
        for kind, delta in (("selective", 0.1), ("dataset", 0.1), ("expected", None))
    }
    found = ": 3 of the 140 gold items that it would accept are wrong, and 70% of the items are "
    assert said["selective"].startswith(
        f"With probability 90% at most 5% of the accepted labels are wrong{found}accepted. This is"
    )
    assert said["dataset"].startswith(
        f"With probability 90% wrong accepted labels are at most 5% of all items{found}accepted. "
        "Among the accepted labels alone the share may be higher."
    )
    assert said["expected"].startswith(
        f"On average at most 5% of the accepted labels are wrong{found}accepted. That is the mean"
    )
    assert all(text.endswith("items that gold was drawn from.") for text in said.values())


def test_coverage_of_no_pool_is_not_defined():
    assert covered([], 0.5).value is None
    assert covered([], None).value is None
    assert covered([0.4, None], None) == Estimate(0.0, n=2, why="nothing is accepted")


# how often promises are broken


def broken_at_most(count, runs, delta=0.1):
    return count <= binom.ppf(0.999, runs, delta)


def populations():
    def null(rng, n):
        return rng.random(n), np.full(n, 0.0501)

    def step(rng, n):
        scores = rng.random(n)
        return scores, np.where(scores > 0.3, 0.051, 0.4)

    def votes(rng, n):
        share = rng.choice(5, n, p=[0.1, 0.15, 0.2, 0.25, 0.3])
        return share / 4, np.array([0.5, 0.3, 0.15, 0.052, 0.051])[share]

    def upside_down(rng, n):  # the surest are the worst
        scores = rng.random(n)
        return scores, np.where(scores > 0.5, 0.051, 0.0)

    return {f.__name__: f for f in (clear, null, step, votes, upside_down)}


@pytest.mark.parametrize("name", populations())
@pytest.mark.parametrize("n", [100, 300])
def test_promises_are_broken_no_oftener_than_promised(name, n):
    draw, runs = populations()[name], 300
    rng = np.random.default_rng([n, *name.encode()])
    many, chances = draw(rng, 40_000)
    broken, lost, shares = 0, 0, []
    for _ in range(runs):
        pool, chance = draw(rng, 1000)
        scores, errors = draw(rng, n)
        wrong = rng.random(n) < errors
        one = selective(scores, wrong, pool, **AT)
        if one.threshold is not None:
            broken += chances[many >= one.threshold].mean() > 0.05
        two = dataset(scores, wrong, **AT)
        if two.threshold is not None:
            lost += (chances * (many >= two.threshold)).mean() > 0.05
        three = expected(scores, wrong, pool, target=0.05)
        inside = pool >= (2 if three.threshold is None else three.threshold)
        bad = (rng.random(1000) < chance) & inside
        shares.append(bad.sum() / max(inside.sum(), 1))
    assert broken_at_most(broken, runs)
    assert broken_at_most(lost, runs)
    assert np.mean(shares) <= 0.05 + 3 * np.std(shares) / np.sqrt(runs)


def test_the_promise_of_a_finite_pool_is_kept():
    rng, runs, broken, accepted = np.random.default_rng(5), 400, 0, 0.0
    for _ in range(runs):
        pool, chance = clear(rng, 400)
        pool = np.round(pool, 1)  # many ties
        wrong = rng.random(400) < chance
        drawn = rng.choice(400, 200, replace=False)
        found = dataset(pool[drawn], wrong[drawn], **AT, pool_size=400)
        if found.threshold is not None:
            broken += (wrong & (pool >= found.threshold)).sum() > 20
            accepted += (pool >= found.threshold).mean() / runs
    assert broken_at_most(broken, runs)
    assert accepted > 0.5


def test_the_naive_threshold_is_what_the_tests_are_there_for():
    rng, broken = np.random.default_rng(1), 0
    many, chances = clear(rng, 40_000)
    for _ in range(200):
        scores, errors = clear(rng, 200)
        order = np.argsort(-scores)
        seen = np.cumsum(rng.random(200) < errors[order]) / np.arange(1, 201)
        fine = np.flatnonzero(seen <= 0.05)
        if len(fine):
            broken += chances[many >= scores[order][fine[-1]]].mean() > 0.05
    assert broken > 60  # .1 of 200 would be 20


def test_coverage_is_that_of_the_published_simulation():
    published = {100: 0.139, 200: 0.265, 500: 0.500, 1000: 0.606}
    rng, runs = np.random.default_rng(2), 150
    for n, before in published.items():
        found = []
        for _ in range(runs):
            scores, errors = clear(rng, n)
            promise = selective(scores, rng.random(n) < errors, clear(rng, 2000)[0], **AT)
            found.append(promise.coverage.value)
        assert np.mean(found) >= before - 3 * np.std(found) / np.sqrt(runs) - 0.005


# groups


def test_groups_share_delta_and_the_small_are_refused():
    rng = np.random.default_rng(3)
    pool, gold = clear(rng, 3000)[0], clear(rng, 640)
    wrong = rng.random(640) < gold[1]
    own = np.where(np.arange(640) < 600, "spam", "ham")
    others = rng.choice(["spam", "ham", "other"], 3000)
    found = grouped(gold[0], wrong, own, pool, others, declared=["spam", "ham"], **AT)
    assert {group: one.delta for group, one in found.items()} == {"spam": 0.05, "ham": 0.05}
    alone = selective(gold[0][:600], wrong[:600], pool[others == "spam"], target=0.05, delta=0.05)
    assert found["spam"].threshold == alone.threshold is not None
    assert found["ham"].why.startswith("40 gold items are too few; it takes 59")
    assert found["ham"].needed >= 93
    assert found["spam"].notes == (
        "one of 2 groups, each tested at 5%: with probability 90% all their promises hold",
    )
    means = grouped(
        gold[0], wrong, own, pool, others, declared=["spam", "ham"], kind="expected", **AT
    )
    assert means["spam"] == expected(
        gold[0][:600], wrong[:600], pool[others == "spam"], target=0.05
    )
    lost = grouped(gold[0], wrong, own, pool, others, declared=["ham"], kind="dataset", **AT)
    assert lost["ham"].notes == ()
    assert lost["ham"].threshold is None


@pytest.mark.parametrize("kind", ["selective", "dataset"])
def test_all_groups_hold_together(kind):
    rng, runs, broken = np.random.default_rng(4), 200, 0
    names = np.array(["a", "b", "c"])
    for _ in range(runs):
        scores, pool = rng.random(600), rng.random(900)
        own, others = rng.choice(names, 600), rng.choice(names, 900)
        found = grouped(
            scores, rng.random(600) < 0.0501, own, pool, others, declared="abc", kind=kind, **AT
        )
        if kind == "selective":  # each item is wrong with .0501, wherever the threshold is
            broken += any(one.threshold is not None for one in found.values())
        else:
            broken += any(one.accepts(0.0) for one in found.values())
    assert broken_at_most(broken, runs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"declared": []}, "name one or more groups, each once"),
        ({"declared": ["a", "a"]}, "name one or more groups, each once"),
        ({"groups": ["a", "b"]}, "needs one group"),
        ({"kind": "sure"}, "'sure' is none; use selective, dataset, expected"),
    ],
)
def test_groups_that_do_not_fit_are_refused(change, said):
    settings = {"groups": ["a"], "declared": ["a"]} | change | AT
    with pytest.raises(InputError, match=said):
        grouped([0.5], [False], pool=[0.5], pool_groups=["a"], **settings)


def test_steps_are_plain_in_json():
    step = Step(0.5, 0.4, 80, 0, 0.0165)
    found = Promise("selective", 0.05, 0.1, 0.5, 80, 80, 0, wilson(4, 10), 0.0165, (step,))
    assert found.to_dict()["steps"] == [
        {"threshold": 0.5, "coverage": 0.4, "tested": 80, "wrong": 0, "p_value": 0.0165}
    ]
