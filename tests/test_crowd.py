"""Public crowd data: majority vote and Dawid-Skene reproduce what was published of them.

The figures are those beside the data: accuracy, ties of the vote counted in equal parts;
Dawid-Skene by maximum likelihood, 100 iterations, an annotator's last label of an item.
"""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from prelabel.dawid_skene import MAXIMUM_LIKELIHOOD, fit_dawid_skene, weigh
from prelabel.ordinal import median_value
from prelabel.voting import Poll, apply_vote, fit_vote, winner

PUBLISHED = {
    "d_product": (0.8966, 0.9397),
    "s_adult": (0.7583, 0.7477),
    "snow_rte": (0.8969, 0.9275),
    "bluebirds": (0.7593, 0.8981),
    "face": (0.6367, 0.6404),
    "sp": (0.8859, 0.9150),
    "sp_amt": (0.9430, 0.9440),
    "cf": (0.8822, 0.7833),
    "cf_amt": (0.8533, 0.8367),
    "ms": (0.7042, 0.7671),
    "barzan_mozafari": (0.6960, 0.7120),
}
JOSS = {"d_product": (0.897, 0.940), "s_adult": (0.763, 0.748)}


def read(folder, name, what):
    for ending in ("csv.gz", "csv"):
        path = folder / "crowd" / f"{name}.{what}.{ending}"
        if path.exists():
            names = {"task": "item", "worker": "annotator", "label": "value"}
            return pd.read_csv(path, dtype=str).rename(columns=names)
    raise FileNotFoundError(name)


def load(folder, name):
    """Return votes, one an annotator and item, gold by item, and the labels."""
    votes, gold = read(folder, name, "labels"), read(folder, name, "gold")
    labels = sorted({*votes["value"], *gold["value"]})
    gold = gold.set_index("item")["value"]
    votes = votes.drop_duplicates(["item", "annotator"], keep="last")
    return votes, gold[gold.index.isin(votes["item"])], labels


def of_crowd(votes, gold, labels, prior=MAXIMUM_LIKELIHOOD):
    found = weigh(votes, fit_dawid_skene(votes, labels, prior=prior)).idxmax(axis=1)
    return found[gold.index]


def shared_credit(votes, gold, labels):
    """Return the accuracy of the vote, a tie being right in the share of its leaders."""
    params, credit = fit_vote([], [], labels), 0.0
    for item, own in votes[votes["item"].isin(gold.index)].groupby("item"):
        poll = Poll(dict(zip(own["annotator"], own["value"], strict=True)))
        weights = apply_vote(poll, params)
        most = max(weights.values()) - 1e-9
        leaders = [value for value, weight in weights.items() if weight >= most]
        value, tied = winner(weights, poll)
        assert value in leaders
        assert tied == (len(leaders) > 1)
        credit += (gold[item] in leaders) / len(leaders)
    return credit / len(gold)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(shared_data, name):
    votes, gold, labels = load(shared_data, name)
    of_vote, of_model = PUBLISHED[name]
    vote = shared_credit(votes, gold, labels)
    model = float((of_crowd(votes, gold, labels) == gold).mean())
    assert vote == pytest.approx(of_vote, abs=6e-5)
    assert model == pytest.approx(of_model, abs=6e-5)
    assert (model < vote) == (of_model < of_vote)
    if name in JOSS:
        assert vote == pytest.approx(JOSS[name][0], abs=0.006)
        assert model == pytest.approx(JOSS[name][1], abs=0.001)


def test_f1_of_product_pairs(shared_data):
    """Zheng et al., PVLDB 2017, table 6: majority vote 59.05, Dawid-Skene 71.59 (72.09 here)."""
    votes, gold, labels = load(shared_data, "d_product")

    def f1(found):
        both = ((found == "1") & (gold == "1")).sum()
        return 2 * both / ((found == "1").sum() + (gold == "1").sum())

    counts = votes.pivot_table(index="item", columns="value", aggfunc="size", fill_value=0)
    assert f1(counts.idxmax(axis=1)[gold.index]) == pytest.approx(0.5905, abs=6e-5)
    assert f1(of_crowd(votes, gold, labels)) == pytest.approx(0.7209, abs=6e-5)


def test_repeated_readings_count(shared_data):
    votes = read(shared_data, "s_adult", "labels")
    assert votes.duplicated(["item", "annotator"]).sum() == 2922
    gold = read(shared_data, "s_adult", "gold").set_index("item")["value"]
    gold = gold[gold.index.isin(votes["item"])]
    labels = sorted({*votes["value"], *gold})
    accuracy = float((of_crowd(votes, gold, labels) == gold).mean())
    assert accuracy == pytest.approx(JOSS["s_adult"][1], abs=0.001)


def test_caries_patterns(shared_data):
    """Espeland and Handelman 1989: thousands of teeth are 32 patterns, and few have caries."""
    rows = pd.read_csv(shared_data / "crowd" / "caries_patterns.csv")
    raters = [column for column in rows if column != "n"]
    teeth = rows.loc[rows.index.repeat(rows["n"])].reset_index(drop=True)
    votes = teeth[raters].rename_axis("item").reset_index()
    votes = votes.melt("item", var_name="annotator", value_name="value")
    labels = sorted(votes["value"].unique().tolist())
    params = fit_dawid_skene(votes, labels)
    assert params["items"] == len(teeth) == rows["n"].sum()
    weights = weigh(votes, params)
    assert len(weights.drop_duplicates()) <= 32
    share = Counter(weights.idxmax(axis=1))[labels[1]] / len(teeth)
    assert 0.1 < share < 0.35


def test_median_of_emotions(shared_data):
    """Snow et al. 2008, as in Zheng et al., PVLDB 2017: the mean's MAE 12.02 and RMSE 17.84."""
    votes, gold = read(shared_data, "n_emotion", "labels"), read(shared_data, "n_emotion", "gold")
    votes["value"], truth = (
        votes["value"].astype(float),
        gold.set_index("item")["value"].astype(float),
    )
    given = votes.groupby("item")["value"].agg(list)[truth.index]

    def apart(found):
        off = np.abs(np.array(found) - truth.to_numpy())
        return [round(float(off.mean()), 2), round(float(np.sqrt((off**2).mean())), 2)]

    assert apart([np.mean(own) for own in given]) == [12.02, 17.84]
    assert apart([median_value(own, None) for own in given]) == [13.53, 21.26]
