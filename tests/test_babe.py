"""The published figures of LLM annotators on BABE, through `score` and `agreement`.

Horych et al., "The Promises and Pitfalls of LLM Annotations in Dataset Labeling" (NAACL 2025).
"""

import pandas as pd
import pytest

from prelabel.reliability import agreement
from prelabel.scoring import score

MODELS = {
    "falcon_7b": "Falcon-7B-Instruct",
    "flan_t5_base": "FLAN-T5-Base",
    "flan_t5_large": "FLAN-T5-Large",
    "flan_t5_xl": "FLAN-T5-XL",
    "flan_ul2": "Flan-UL2",
    "gpt_3_5": "GPT-3.5 Turbo",
    "gpt_4": "GPT-4 Turbo",
    "llama_7b": "LLama 2 7B Chat",
    "llama_13b": "LLama 2 13B Chat",
    "mistral_7b": "Mistral-7B-v0.1 Instruct",
    "mixtral_8x7b": "Mixtral-8x7B Instruct",
    "openchat": "OpenChat 3.5",
    "zephyr": "Zephyr 7B β",
}
SETTINGS = ("2-shot", "4-shot", "8-shot", "2-shot-CoT", "4-shot-CoT", "8-shot-CoT")


def recorded(folder, setting):
    """Every model's answers as a long table; the value is "?" where the output was unusable."""
    wide = pd.read_csv(folder / f"llm_labels_{setting}.csv.gz", dtype=str)
    wide = wide.rename(columns={"uuid": "item", **MODELS})
    return wide.melt("item", var_name="annotator").assign(unit="")


def outcomes_of(long):
    failed = long["value"] == "?"
    return pd.DataFrame(
        {
            "item": long["item"],
            "annotator": long["annotator"],
            "outcome": failed.map({True: "failed", False: "labeled"}),
            "failure": failed.map({True: "unparsable", False: None}),
            "cost": float("nan"),
            "latency": 0.0,
            "shown": [()] * len(long),
        }
    )


def published(folder, name):
    table = pd.read_csv(folder / name)
    table = table.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    table["run_type"] = table["run_type"].str.replace(" Shot", "-shot").str.replace(" CoT", "-CoT")
    return table


def test_score_reproduces_every_published_run_that_can_be_recomputed(shared_data):
    folder = shared_data / "llm_vs_human" / "babe_llm"
    items = pd.read_csv(folder / "items.csv.gz", dtype=str)
    gold = items[["uuid", "gold"]].set_axis(["item", "value"], axis=1).assign(unit="")
    expected = published(folder, "published.csv").set_index(["model_name", "run_type"])
    compared = 0
    for setting in SETTINGS:
        long = recorded(folder, setting)
        votes = long[long["value"] != "?"]
        for found in score(votes, outcomes_of(long), gold, ("0", "1"), multi=False):
            row = expected.loc[(found.annotator, setting)]
            biased = found.labels[1]
            assert biased.f1.value == pytest.approx(row["f1"], abs=1e-9)
            assert biased.precision.value == pytest.approx(row["precision"], abs=1e-9)
            assert biased.recall.value == pytest.approx(row["recall"], abs=1e-9)
            assert found.accuracy.value == pytest.approx(row["accuracy"], abs=1e-9)
            assert found.metrics["mcc"].value == pytest.approx(row["mcc"], abs=1e-9)
            assert sum(found.failed.values()) == row["unusable_examples"]
            assert (found.gold_n, found.cost_total) == (3021, None)
            compared += 1
    assert compared == 66


@pytest.mark.parametrize("setting", SETTINGS)
def test_agreement_reproduces_the_published_alphas(shared_data, setting):
    folder = shared_data / "llm_vs_human" / "babe_llm"
    row = published(folder, "published_alpha_best_triples.csv").set_index("run_type").loc[setting]
    long = recorded(folder, setting)
    triple = long["annotator"].isin(row[["model_1", "model_2", "model_3"]])
    found = agreement(long[triple & (long["value"] != "?")], ("0", "1"))
    assert found.n_annotators == 3
    assert found.alpha.value == pytest.approx(row["Alpha"], abs=1e-6)
    assert found.alpha.low < found.alpha.value < found.alpha.high
    assert found.reading == "good"
