"""Confidence: simulations where the truth is known, small gold, and the same answer everywhere."""

import json
import random
from math import exp

import numpy as np
import pandas as pd
import pytest
from every_task import task_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import log_loss, roc_auc_score

from prelabel.aggregate import apply_majority, fit_majority
from prelabel.confidence import (
    Judged,
    confidence_of,
    confidences,
    fit_confidence,
    novelties,
    on_one_scale,
    unlike_gold,
)
from prelabel.confidence_report import auroc
from prelabel.errors import InputError
from prelabel.neighbours import fit_texts, of_the_nearest, similarities
from prelabel.signal_table import table_of
from prelabel.signals import Signals, signals
from prelabel.votes import Ballot

LEAGUE = ["goal", "match", "team", "player", "league", "coach", "season", "stadium"]
MONEY = ["bank", "loan", "rate", "market", "bond", "share", "price", "fund"]


def judged(n, seed=0, *, believed=0.0, agreeing=0.0, noise=0, texts=False, start=0):
    """Return items of three annotators whose share tells little, and other signals that may.

    The log-odds of being right are ``1 + share / 2 + believed * belief + agreeing * x agrees``;
    ``noise`` is a number of signals that say nothing. Of texts about money fewer are right.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(n):
        share, belief = rng.choice([-0.5, 0.5, 1.5]), rng.normal()
        x, money = rng.integers(2), rng.integers(2)
        score = 1 + share / 2 + believed * belief + agreeing * (x - 0.5) - 3 * texts * (money - 0.2)
        groups = {
            "share": {"share": float(share)},
            "beliefs": {"p x": belief},
            "annotators": {"x": float(x), "y": float(rng.integers(2))},
            "noise": {f"n{k}": rng.normal() for k in range(noise)},
        }
        words = rng.choice(MONEY if money else LEAGUE, size=10) if texts else []
        right = bool(rng.random() < expit(score))
        rows.append(Judged(f"i{start + at}", Signals(groups), " ".join(words), right))
    return rows


def applied(params, rows):
    return confidences(params, [(row.signals, row.text) for row in rows])


def truths(rows):
    return np.array([row.right for row in rows])


def test_a_signal_that_tells_is_used_and_separates():
    gold, rest = judged(300, believed=1.5, noise=5), judged(4000, 1, believed=1.5, noise=5)
    params, report, held_out = fit_confidence(gold)
    assert report.method == "signals"
    assert "beliefs" in params["groups"]
    used = {one.name: one.used for one in report.groups}
    assert used["beliefs"]
    (beliefs,) = (one for one in report.groups if one.name == "beliefs")
    assert beliefs.auroc_change.low > 0.05
    assert beliefs.log_loss_change.high < -0.03
    p, right = applied(params, rest), truths(rest)
    alone = applied(fit_confidence(gold, only=())[0], rest)
    assert roc_auc_score(right, p) > roc_auc_score(right, alone) + 0.15
    assert log_loss(right, p) < log_loss(right, alone) - 0.05
    assert report.together.auroc.low < roc_auc_score(right, p) < report.together.auroc.high
    assert set(held_out) == {row.item for row in gold}


def test_it_is_calibrated_on_items_that_it_has_not_seen():
    off = []
    for seed in range(3):
        params = fit_confidence(judged(400, seed, believed=1.5, agreeing=1.5, noise=3))[0]
        rest = judged(4000, 100 + seed, believed=1.5, agreeing=1.5, noise=3)
        p, right = applied(params, rest), truths(rest)
        bins = np.digitize(p, np.quantile(p, [0.2, 0.4, 0.6, 0.8]))
        off += [p[bins == b].mean() - right[bins == b].mean() for b in range(5)]
    assert abs(np.mean(off)) < 0.02
    assert np.sqrt(np.mean(np.square(off))) < 0.05


def test_signals_that_say_nothing_do_no_harm():
    harm = []
    rest = judged(4000, 999, noise=20)
    right = truths(rest)
    for seed in range(10):
        gold = judged(150, seed, noise=20)
        params, alone = fit_confidence(gold)[0], fit_confidence(gold, only=())[0]
        harm.append(log_loss(right, applied(params, rest)) - log_loss(right, applied(alone, rest)))
    assert np.mean(harm) < 0.003
    assert max(harm) < 0.02


def test_held_out_confidences_do_not_flatter():
    """With 60 signals that say nothing a fit looks good on its own items, and only there."""
    inside, held = [], []
    for seed in range(5):
        gold = judged(120, seed, noise=60)
        params, _, held_out = fit_confidence(gold)
        right = truths(gold)
        inside.append(log_loss(right, applied(params, gold)))
        held.append(log_loss(right, [held_out[row.item] for row in gold]))
    fresh = judged(4000, 999, noise=60)
    best = log_loss(
        truths(fresh), expit([1 + r.signals.groups["share"]["share"] / 2 for r in fresh])
    )
    assert np.mean(held) > best - 0.01
    assert np.mean(held) > np.mean(inside)


def test_similar_items_tell_where_texts_of_one_kind_go_wrong():
    gold, rest = judged(250, texts=True), judged(1500, 1, texts=True)
    params, report, _ = fit_confidence(gold)
    assert "similar" in params["groups"]
    p, right = applied(params, rest), truths(rest)
    alone = applied(fit_confidence(gold, only=())[0], rest)
    assert roc_auc_score(right, p) > roc_auc_score(right, alone) + 0.1
    assert next(one for one in report.groups if one.name == "similar").auroc_change.low > 0


def test_a_gold_item_is_no_neighbour_of_itself():
    gold = judged(60, texts=True)
    texts = [row.text for row in gold]
    near = similarities(fit_texts(texts), texts)
    at = np.arange(60)
    found = table_of(gold, near).numbers("similar", at, at)[1]
    for item in (0, 17, 59):
        others = np.delete(at, item)
        nearest = near[item, others]
        assert found[item, 1] == nearest.max() < 0.99
        # its own rightness shifts the mean, and nothing else
        shift = truths(gold)[others].mean() - truths(gold).mean()
        apart = of_the_nearest(nearest[None, :], truths(gold)[others].astype(float))[0]
        assert found[item, 0] == pytest.approx(apart, abs=abs(shift) + 1e-12)


@pytest.mark.parametrize(
    ("n", "method"), [(0, "vote share"), (19, "vote share"), (49, "calibrated vote share")]
)
def test_small_gold_gets_less(n, method):
    gold = judged(n, 3, believed=2)
    params, report, held_out = fit_confidence(gold)
    assert (report.method, report.items, report.groups) == (method, n, ())
    assert params["method"] == method
    assert len(held_out) == n
    assert f"{n} gold items" in report.notes[0]
    one = judged(1, 5)[0]
    assert 0 < confidence_of(params, one.signals) < 1
    if method == "vote share":
        assert confidence_of(params, one.signals) == expit(one.signals.groups["share"]["share"])
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("right", "word"), [(True, "none"), (False, "all")])
def test_gold_without_both_right_and_wrong_calibrates_nothing(right, word):
    gold = [row._replace(right=right) for row in judged(200)]
    params, report, held_out = fit_confidence(gold)
    assert params["method"] == "vote share"
    assert f"{word} of them wrong" in report.notes[0]
    assert report.alone.auroc.value is None
    assert held_out["i0"] == expit(gold[0].signals.groups["share"]["share"])


def test_the_calibrated_share_is_platts():
    gold = judged(45, 2)
    params = fit_confidence(gold)[0]
    share = np.array([row.signals.groups["share"]["share"] for row in gold])
    from sklearn.calibration import _SigmoidCalibration

    oracle = _SigmoidCalibration().fit(share, truths(gold)).predict(share)
    assert applied(params, gold) == pytest.approx(oracle, abs=2e-3)


def test_more_votes_never_make_a_label_less_sure_by_votes_alone():
    gold = [row._replace(right=row.signals.groups["share"]["share"] < 0) for row in judged(40)]
    params = fit_confidence(gold)[0]
    p = [confidence_of(params, Signals({"share": {"share": s}})) for s in (-1.0, 0.0, 1.0)]
    assert p[0] == p[1] == p[2] == pytest.approx(np.mean(truths(gold)), abs=0.05)


def test_perfect_separation_and_constant_signals_stay_finite():
    gold = [
        row._replace(
            right=row.signals.groups["beliefs"]["p x"] > -1,
            signals=Signals({**row.signals.groups, "one": {"same": 3.0}}),
        )
        for row in judged(120)
    ]
    params, report, held_out = fit_confidence(gold)
    p = applied(params, gold)
    assert "one" not in params["groups"]
    assert np.all((p > 0) & (p < 1))
    assert all(0 < x < 1 for x in held_out.values())
    assert report.together.auroc.value > 0.95


def test_params_are_json_and_a_plain_sum_gives_the_same():
    gold = judged(200, believed=2, agreeing=2)
    params = json.loads(json.dumps(fit_confidence(gold)[0], allow_nan=False))
    for row in judged(20, 7):
        score = params["intercept"]
        for c in params["columns"]:
            x = row.signals.groups.get(c["group"], {}).get(c["name"])
            z = 0.0 if x is None else (x - c["mean"]) / c["scale"]
            score += c["coefficient"] * (z if c["group"] == "share" else min(max(z, -3), 3))
        assert confidence_of(params, row.signals) == pytest.approx(1 / (1 + exp(-score)))


def test_one_item_alone_gets_the_very_same_as_among_many():
    params = fit_confidence(judged(250, texts=True, believed=1))[0]
    rest = judged(500, 1, texts=True, believed=1)
    together = applied(params, rest)
    assert [confidence_of(params, row.signals, row.text) for row in rest] == together.tolist()


@settings(max_examples=3, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_items_and_of_annotators_does_not_matter(shuffled):
    gold = judged(120, believed=1.5, texts=True)
    expected = fit_confidence(gold)
    mixed = [
        row._replace(
            signals=Signals(
                {
                    g: _mixed(own, shuffled)
                    for g, own in _mixed(row.signals.groups, shuffled).items()
                }
            )
        )
        for row in gold
    ]
    shuffled.shuffle(mixed)
    assert fit_confidence(mixed) == expected


def _mixed(row, shuffled):
    keys = list(row)
    shuffled.shuffle(keys)
    return {key: row[key] for key in keys}


def test_a_missing_number_counts_as_the_mean_and_an_unknown_annotator_not_at_all():
    gold = judged(200, believed=2)
    params = fit_confidence(gold)[0]
    (column,) = (c for c in params["columns"] if c["name"] == "p x")
    share = {"share": {"share": 0.5}}
    missing = confidence_of(params, Signals(share | {"annotators": {"new": 1.0}}))
    mean = confidence_of(params, Signals(share | {"beliefs": {"p x": column["mean"]}}))
    assert missing == pytest.approx(mean)


def test_that_a_number_is_missing_may_tell():
    rng = random.Random(0)
    gold = []
    for row in judged(300):
        missing = rng.random() < 0.3
        groups = {k: v for k, v in row.signals.groups.items() if k != "beliefs" or not missing}
        gold.append(row._replace(signals=Signals(groups), right=rng.random() < 0.9 - 0.6 * missing))
    params, report, _ = fit_confidence(gold)
    share = {"share": {"share": 0.5}}
    given = confidence_of(params, Signals(share | {"beliefs": {"p x": 0.0}}))
    missing = confidence_of(params, Signals(share))
    assert missing < 0.5 < 0.8 < given
    assert report.together.auroc.value > 0.65


def test_without_a_consensus_there_is_no_confidence():
    gold = judged(60)
    params, report, held_out = fit_confidence([*gold, Judged("none", Signals({}), "", False)])
    assert confidence_of(params, Signals({})) == 0.0
    assert report.items == 60
    assert "none" not in held_out
    assert "1 gold items have no consensus" in report.notes[0]


def test_folds_of_the_aggregator_are_kept():
    gold = judged(100, believed=1)
    folds = {row.item: at % 4 for at, row in enumerate(gold)}
    changed = [row._replace(right=not row.right) if folds[row.item] == 2 else row for row in gold]
    one = fit_confidence(gold, folds=folds)[2]
    other = fit_confidence(changed, folds=folds)[2]
    for item, fold in folds.items():
        assert (one[item] == other[item]) == (fold == 2)  # only its own fold's gold is not seen


def test_a_weight_that_only_tells_folds_apart_is_no_signal():
    """An aggregator that trusts one annotator gives every item of a fold the same weight."""
    gold = judged(250, 4)
    folds = {row.item: at % 5 for at, row in enumerate(gold)}
    rows = []
    for row in gold:
        others = [r.right for r in gold if folds[r.item] != folds[row.item]]
        weight = {"weight": {"weight": float(logit(np.mean(others)))}}
        rows.append(row._replace(signals=Signals({**row.signals.groups, **weight})))
    params, report, _ = fit_confidence(rows, folds=folds, only=["weight"])
    assert params["groups"] == []
    assert report.groups[0].log_loss_change.value == pytest.approx(0)


@pytest.mark.parametrize(
    ("rows", "folds", "message"),
    [
        (judged(30) + judged(1), None, "'i0' occurs twice"),
        (judged(30), {"i1": 0}, "'i0' has no fold"),
        (judged(30), {f"i{at}": at % 2 for at in range(30)}, "2 folds; give 3 or more"),
    ],
)
def test_what_the_caller_must_mend(rows, folds, message):
    with pytest.raises(InputError, match=message) as caught:
        fit_confidence(rows, folds=folds)
    assert "\n" not in str(caught.value)


def test_auroc_is_scikit_learns_within_one_fold_ties_and_weights_included():
    rng = np.random.default_rng(0)
    scores, right = rng.integers(6, size=80) / 6, rng.random(80) < 0.7
    weights = rng.integers(4, size=(3, 80)).astype(float)
    found = auroc(scores, right, np.zeros(80, dtype=int))(weights)
    expected = [roc_auc_score(right, scores, sample_weight=row) for row in weights]
    assert found == pytest.approx(expected)
    # shifting one fold as a whole changes no pair within a fold
    fold = np.arange(80) % 2
    one = auroc(scores, right, fold)(weights)
    assert auroc(scores + 10 * fold, right, fold)(weights) == pytest.approx(one)


def test_on_real_labels_it_separates_better_than_votes(shared_data):
    """13 LLMs on media bias: unanimous ones err together, and who agrees tells."""
    folder = shared_data / "llm_vs_human" / "babe_llm"
    truth = pd.read_csv(folder / "items.csv.gz", dtype=str).set_index("uuid")["gold"]
    table = pd.read_csv(folder / "llm_labels_2-shot.csv.gz", dtype=str).set_index("uuid")
    task = task_of("classification", labels=[{"name": x, "definition": x} for x in "01"])
    params = fit_majority([], source="majority", ties="probability", priority=sorted(table))
    rows = []
    for item, own in table.sample(1200, random_state=0).iterrows():
        ballot = Ballot(
            item, {name: {"": vote} for name, vote in own.items() if vote in ("0", "1")}
        )
        consensus = apply_majority(ballot, params, task)
        found = signals(ballot, [], consensus, {}, task)
        rows.append(Judged(item, found, "", consensus.label == truth[item]))
    params, report, _ = fit_confidence(rows[:300])
    rest, right = rows[300:], truths(rows[300:])
    share = [row.signals.groups["share"]["share"] for row in rest]
    gain = roc_auc_score(right, applied(params, rest)) - roc_auc_score(right, share)
    assert gain > 0.03
    assert report.together.auroc_change.low < gain < report.together.auroc_change.high


def test_what_is_unlike_any_gold_item():
    gold = judged(200, texts=True)
    params = fit_confidence(gold)[0]
    asked = [gold[0].text, "Ужасно медленная доставка", ""]
    assert unlike_gold(params, asked).tolist() == [False, True, False]
    known, unknown, empty = novelties(params, asked)
    assert known == pytest.approx(0, abs=1e-6)
    assert unknown > params["gold"]["far"]
    assert np.isnan(empty)
    texts = [row.text for row in judged(300, 5, texts=True)]
    assert unlike_gold(params, texts).mean() < 0.05
    alone = [novelties(params, [text])[0] for text in texts]
    assert np.array_equal(novelties(params, texts), alone)  # whatever others are asked about
    without = fit_confidence(judged(60))[0]
    assert np.isnan(novelties(without, ["any"])).all()
    assert not unlike_gold(without, ["any"]).any()


def test_where_gold_items_have_nothing_in_common_nothing_is_unlike_them():
    words = [f"{chr(0x4E00 + 9 * at)}" for at in range(60)]
    gold = [row._replace(text=word) for row, word in zip(judged(60), words, strict=True)]
    params = fit_confidence(gold)[0]
    assert params["gold"]["far"] == 1.0
    assert not unlike_gold(params, ["quite another text"]).any()


def test_confidences_of_all_folds_on_one_scale():
    items, fold = list("abcdefgh"), [0, 0, 0, 0, 1, 1, 1, 1]
    # a, b, e, f are alike: each fold's fit has them at another confidence, the final one at .7
    held_out = np.array([0.8, 0.8, 0.5, 0.4, 0.6, 0.6, 0.3, np.nan])
    final = np.array([0.7, 0.7, 0.45, 0.35, 0.7, 0.7, np.nan, 0.3])
    found = on_one_scale(items, held_out, final, fold)
    assert found[:7].tolist() == [0.7, 0.7, 0.45, 0.35, 0.7, 0.7, 0.3]
    assert np.isnan(found[7])
    coarse = on_one_scale(items[:4], np.full(4, 0.5), final[:4], fold[:4])
    assert sorted(coarse) == sorted(final[:4])  # what a fit holds alike is ranked by a hash


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_as_many_of_a_fold_pass_as_the_final_fit_accepts(data):
    n = data.draw(st.integers(1, 20))
    share = st.sampled_from([0.1, 0.2, 0.5, 0.9, np.nan])
    held_out, final = (
        np.array(data.draw(st.lists(share, min_size=n, max_size=n))) for _ in range(2)
    )
    fold = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    found = on_one_scale([f"{at}" for at in range(n)], held_out, final, fold.tolist())
    for part in range(3):
        own = fold == part
        known = min((~np.isnan(held_out[own])).sum(), (~np.isnan(final[own])).sum())
        ranked = np.sort(final[own][~np.isnan(final[own])])[::-1][:known]
        assert np.array_equal(np.sort(found[own][~np.isnan(found[own])])[::-1], ranked)
        for a in np.flatnonzero(own):
            for b in np.flatnonzero(own):
                if held_out[a] > held_out[b] and not np.isnan(found[b]):
                    assert found[a] >= found[b]


def test_a_gold_item_is_not_similar_to_itself():
    gold = judged(200, texts=True)
    params = json.loads(json.dumps(fit_confidence(gold)[0]))
    assert "similar" in params["groups"]
    rows = [(row.signals, row.text) for row in gold[:20]]
    known = confidences(params, rows, [row.item for row in gold[:20]])
    stranger = confidences(params, rows, [f"other {at}" for at in range(20)])
    assert np.array_equal(stranger, confidences(params, rows))
    for at, row in enumerate(gold[:20]):  # as if gold had the item with another text
        changed = {**params, "gold": {**params["gold"], "items": list(params["gold"]["items"])}}
        assert confidences(changed, [rows[at]], [row.item])[0] == known[at]
    right = np.array([row.right for row in gold[:20]])
    assert (stranger - known)[right].mean() > (stranger - known)[~right].mean()
