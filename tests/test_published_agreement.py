"""Agreement: the values that papers, packages and their documentation print."""

import json

import numpy as np
import pandas as pd
import pytest

from prelabel.chance import (
    agreement_weights,
    brennan_prediger,
    chance_corrected,
    conger_kappa,
    fleiss_kappa,
    gwet_ac,
)
from prelabel.coefficients import cohen_kappa, krippendorff_alpha, percent_agreement
from prelabel.reliability import agreement


def columns(table):
    """Return the two annotators' codes of a contingency table."""
    table = np.asarray(table)
    return [np.repeat(axis.ravel(), table.ravel()) for axis in np.indices(table.shape)]


def counts_of(codes, width):
    return np.stack([(np.asarray(codes) == k).sum(axis=1) for k in range(width)], axis=1)


def contingency(folder, name, first=0):
    return pd.read_csv(folder / f"{name}.csv").to_numpy()[:, first:].astype(int)


def standard_error(estimate):
    return (estimate.high - estimate.low) / 2 / 1.959964


def votes_of(table, index):
    """Return a wide table (a column an annotator) as votes."""
    long = table.melt(index, var_name="annotator", value_name="value").dropna()
    return long.rename(columns={index: "item"}).assign(unit="")


@pytest.fixture
def folder(shared_data):
    return shared_data / "agreement"


# Gwet, Handbook of Inter-Rater Reliability (2014), as the irrCAC package prints them


@pytest.fixture
def raw(folder):
    """Value numbers of 12 units by 4 annotators, -1 where there is no vote."""
    table = pd.read_csv(folder / "gwet_raw4raters.csv", index_col=0)
    return (table.fillna(0) - 1).to_numpy().astype(int)


def test_four_annotators_with_missing_votes(raw):
    counts = counts_of(raw, 5)
    assert percent_agreement(counts) == pytest.approx(0.81818, abs=5e-6)
    assert gwet_ac(counts) == pytest.approx(0.77544, abs=5e-6)
    assert fleiss_kappa(counts) == pytest.approx(0.76117, abs=5e-6)
    assert conger_kappa(raw, 5) == pytest.approx(0.76282, abs=5e-6)
    assert brennan_prediger(counts) == pytest.approx(0.77273, abs=5e-6)
    quadratic = agreement_weights("quadratic", [1, 2, 3, 4, 5])
    assert gwet_ac(counts, quadratic) == pytest.approx(0.91400, abs=5e-6)
    assert fleiss_kappa(counts, quadratic) == pytest.approx(0.86494, abs=5e-6)


def test_the_same_through_a_table_of_votes(folder):
    votes = votes_of(pd.read_csv(folder / "gwet_raw4raters.csv"), "Units")
    found = agreement(votes, (1, 2, 3, 4, 5), "interval").coefficients
    published = {
        "percent": 0.81818,
        "alpha": 0.84911,
        "fleiss": 0.76117,
        "conger": 0.76282,
        "ac1": 0.77544,
        "brennan_prediger": 0.77273,
        "fleiss_quadratic": 0.86494,
        "ac2_quadratic": 0.91400,
    }
    assert {name: round(found[name].value, 5) for name in published} == published
    # Gwet's own interval of AC1 is 0.461 to 1, from an error of 0.14295
    assert found["ac1"].low == pytest.approx(0.461, abs=0.05)
    assert found["ac1"].high == 1


def test_six_annotators_as_counts(folder):
    counts = pd.read_csv(folder / "gwet_distrib6raters.csv", index_col=0).to_numpy()
    found = chance_corrected(counts)
    published = {
        "fleiss": (0.4139265, 0.08119291),
        "ac1": (0.4448007, 0.08418757),
        "alpha": (0.4204384, None),
        "brennan_prediger": (0.4388889, None),
    }
    for name, (value, error) in published.items():
        assert found[name].value == pytest.approx(value, abs=5e-8)
        if error:  # the jackknife's is near the linearised one
            half = (found[name].high - found[name].low) / 2
            assert half / 2.144787 == pytest.approx(error, rel=0.05)


def test_two_annotators_as_a_contingency_table(folder):
    a, b = columns(contingency(folder, "gwet_cont3x3abstractors", 1))
    counts = counts_of(np.stack([a, b], axis=1), 3)
    assert percent_agreement(counts) == pytest.approx(0.89)
    assert cohen_kappa(a, b).value == pytest.approx(0.7964094, abs=5e-8)
    assert standard_error(cohen_kappa(a, b)) == pytest.approx(0.05891072, abs=2e-6)
    assert fleiss_kappa(counts) == pytest.approx(0.7962397, abs=5e-8)  # of two, Scott's pi
    assert gwet_ac(counts) == pytest.approx(0.8493305, abs=5e-8)
    assert brennan_prediger(counts) == pytest.approx(0.835)
    assert krippendorff_alpha(counts) == pytest.approx(0.7972585, abs=5e-8)
    linear, quadratic = (agreement_weights(kind, range(3)) for kind in ("linear", "quadratic"))
    assert cohen_kappa(a, b, weights=linear).value == pytest.approx(0.8429, abs=5e-5)
    assert cohen_kappa(a, b, weights=quadratic).value == pytest.approx(0.89216, abs=5e-6)


def test_four_diagnoses_by_two_annotators():
    table = [[40, 4, 4, 17], [6, 25, 2, 13], [4, 1, 21, 12], [15, 5, 9, 45]]
    a, b = columns(table)
    counts = counts_of(np.stack([a, b], axis=1), 4)
    assert cohen_kappa(a, b).value == pytest.approx(0.4315, abs=5e-5)
    assert gwet_ac(counts) == pytest.approx(0.45616, abs=5e-6)
    assert krippendorff_alpha(counts) == pytest.approx(0.43162, abs=5e-6)
    for kind, value in (("quadratic", 0.38319), ("linear", 0.40681)):
        found = cohen_kappa(a, b, weights=agreement_weights(kind, range(4)))
        assert found.value == pytest.approx(value, abs=5e-6)


# Fleiss (1971), and the example of Wikipedia's article on his kappa


def test_fleiss_1971(folder):
    table = pd.read_csv(folder / "fleiss_1971_diagnoses.csv")
    values = tuple(sorted(set(table.iloc[:, 1:].to_numpy().ravel())))
    found = agreement(votes_of(table, "subject"), values)
    kappa = found.coefficients["fleiss"].value
    assert kappa == pytest.approx(0.4302445, abs=5e-8)
    share = np.array([label.share for label in found.labels])
    assert (share * 180).round().tolist() == [26, 26, 30, 55, 43]
    # his test against chance, from the same kappa and shares
    spread = (share * (1 - share)).sum()
    skew = (share * (1 - share) * (1 - 2 * share)).sum()
    null = np.sqrt(2 * (spread**2 - skew)) / (spread * np.sqrt(30 * 6 * 5))
    assert kappa / null == pytest.approx(17.65183, abs=5e-6)


def test_fourteen_annotators_as_counts(folder):
    counts = pd.read_csv(folder / "fleiss_14raters_counts.csv", index_col=0).to_numpy()
    assert fleiss_kappa(counts) == pytest.approx(0.20993, abs=5e-6)
    assert percent_agreement(counts) == pytest.approx(0.37802, abs=5e-6)
    assert brennan_prediger(counts) == pytest.approx(0.22253, abs=5e-6)  # Randolph's


# Cohen's kappa: SAS, statsmodels, Wikipedia


@pytest.mark.parametrize(
    ("kind", "value", "error", "low", "high"),
    [("nominal", 0.4842, 0.1380, 0.2137, 0.7547), ("linear", 0.4701, 0.1457, 0.1845, 0.7558)],
)
def test_cohen_of_sas(folder, kind, value, error, low, high):
    a, b = columns(contingency(folder, "sas_cohen_3x3"))
    found = cohen_kappa(a, b, weights=agreement_weights(kind, range(3)))
    assert found.value == pytest.approx(value, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert standard_error(found) == pytest.approx(error, abs=5e-5)


def test_cohen_of_statsmodels():
    a, b = columns([[53, 5, 2], [11, 14, 5], [1, 6, 3]])
    plain, linear, quadratic = (
        cohen_kappa(a, b, weights=agreement_weights(kind, range(3)))
        for kind in ("nominal", "linear", "quadratic")
    )
    assert plain == cohen_kappa(a, b)
    assert plain.value == pytest.approx(0.42857, abs=5e-6)
    assert standard_error(plain) == pytest.approx(0.07596, abs=5e-6)
    assert linear.value == pytest.approx(0.49231, abs=5e-6)
    assert quadratic.value == pytest.approx(0.56667, abs=5e-6)


@pytest.mark.parametrize(
    ("table", "value"),
    [([[20, 5], [10, 15]], 0.4), ([[45, 15], [25, 15]], 0.1304), ([[25, 35], [5, 35]], 0.2593)],
)
def test_cohen_of_wikipedia(table, value):
    assert cohen_kappa(*columns(table)).value == pytest.approx(value, abs=5e-5)


# Alphas and kappas of published data


def test_kappas_of_llmjudge_on_four_grades(shared_data):
    path = shared_data / "llm_vs_human/llmjudge/labels.csv.gz"
    published = {
        "willia-umbrela1": 0.2863,
        "Olz-gpt4o": 0.2625,
        "TREMA-4prompts": 0.1829,
        "prophet-setting2": 0.1757,
    }
    table = pd.read_csv(path, usecols=["human", *published]).rename_axis("item").reset_index()
    found = agreement(votes_of(table, "item"), (0, 1, 2, 3))
    with_human = {({p.a, p.b} - {"human"}).pop(): p for p in found.pairs if "human" in (p.a, p.b)}
    assert {name: round(pair.kappa.value, 4) for name, pair in with_human.items()} == published


def test_alpha_of_whether_llms_mark_a_pledge(shared_data):
    """Four LLMs' spans as one answer a sentence: is there a pledge in it?"""
    path = shared_data / "llm_vs_human/pledge/spans_group1.jsonl"
    rows = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    models = rows[rows["kind"] == "llm"].rename(columns={"text_id": "item"})
    found = agreement(models.assign(unit="", value=models["spans"].map(bool)), (True, False))
    assert found.alpha.value == pytest.approx(0.6922466, abs=5e-8)
    assert found.n_annotators == len(found.without) == 4


@pytest.mark.parametrize(
    ("group", "alpha"), [("group3", 0.6413966), ("group2", 0.3992), ("group1", 0.4906)]
)
def test_alpha_of_people_on_pledges(shared_data, group, alpha):
    """Group 3 is published; its texts that occur twice are averaged and truncated as there.

    In group 1 one label is missing, which as a zero would give 0.4668.
    """
    table = pd.read_csv(shared_data / "llm_vs_human/pledge/classification.csv")
    own = table[(table["group"] == group) & (table["kind"] == "human")]
    each = own.groupby(["text_id", "annotator"])["label"].mean().dropna().astype(int)
    votes = each.reset_index().rename(columns={"text_id": "item", "label": "value"})
    found = agreement(votes.assign(unit=""), (0, 1)).alpha
    assert found.value == pytest.approx(alpha, abs=5e-8 if group == "group3" else 5e-5)
    assert found.low < alpha < found.high


def test_the_paradox_of_kappa_is_seen_beside_ac1():
    """Two tables with the same agreement, Feinstein and Cicchetti's (1990) paradox."""
    found = []
    for table in ([[40, 9], [6, 45]], [[80, 10], [5, 5]]):
        a, b = columns(table)
        counts = counts_of(np.stack([a, b], axis=1), 2)
        assert percent_agreement(counts) == 0.85
        found.append((cohen_kappa(a, b).value, gwet_ac(counts)))
    assert found[0] == pytest.approx((0.70, 0.70), abs=5e-3)
    assert found[1] == pytest.approx((0.32, 0.81), abs=5e-3)
