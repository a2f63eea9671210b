"""DataFrames in notebooks: the same figures as a project's, whatever the order; what is refused."""

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from facts import Facts

from prelabel import api, frames
from prelabel.calibrating import calibration
from prelabel.comparing import compare
from prelabel.error_correlation import project_error_correlation
from prelabel.errors import InputError
from prelabel.fitting import UNLEARNED
from prelabel.learned import METHODS
from prelabel.weighing import choose_aggregator

PAGE = (Path(__file__).parents[1] / "docs" / "judging.md").read_text(encoding="utf-8")
RATING = {"task": "rating", "scale": {"min": 1, "max": 5}}
KINDS = {
    "classification": (["a", "b", "c"], {"task": "classification"}, ["a", "b", "c"]),
    "multi-label": ([["a"], ["a", "b"], []], {"task": "multi-label"}, ["a", "b", "c"]),
    "rating": ([2, 3, 5], RATING, RATING),
}


def crowd(values, seed=0, n=24, right=0.7):
    """Return labels of x, y and z on n items, and gold of two thirds of these."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(len(values), size=n)
    rows = [
        (f"i{at}", name, values[truth[at] if rng.random() < right else rng.integers(len(values))])
        for name in "xyz"
        for at in range(n)
    ]
    labels = pd.DataFrame(rows, columns=["item", "annotator", "label"])
    labels["confidence"] = rng.uniform(0.4, 1, len(labels)).round(3)
    gold = pd.DataFrame(
        [(f"i{at}", values[truth[at]]) for at in range(0, n, 3)] + [("i1", values[truth[1]])],
        columns=["item", "label"],
    )
    return labels, gold


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_a_project(tmp_path, kind):
    values, guideline, among = KINDS[kind]
    labels, gold = crowd(values)
    facts = Facts(tmp_path, items=24, settings="gold: {path: gold.jsonl}\n", **guideline)
    gold.rename(columns={"item": "id"}).to_json(
        tmp_path / "gold.jsonl", orient="records", lines=True
    )
    labels.to_json(tmp_path / "labels.jsonl", orient="records", lines=True)
    columns = {"layout": "long", "item": "item", "confidence": "confidence"}
    api.import_annotations(facts.project, tmp_path / "labels.jsonl", **columns)
    project = facts.project
    told = (labels, gold, among)
    assert [s.to_dict() for s in frames.score(*told).annotators] == [
        s.to_dict() for s in api.score(project).annotators
    ]
    assert frames.agreement(labels, among) == api.agreement(project)
    assert frames.compare(*told).comparisons == compare(project).comparisons
    assert frames.errors(*told) == project_error_correlation(project)
    assert frames.choose(*told).method == choose_aggregator(project).method
    assert frames.calibration(*told).confidences[0].raw == calibration(project).confidences[0].raw
    found = frames.aggregate(*told).set_index("item")["label"]
    assert found.to_dict() == {
        item: one.consensus.label for item, one in api.route(project).items.items()
    }


def sorted_wrong(report):
    """Return a report with the wrong items of each annotator sorted: they come in gold's order."""
    found = report.to_dict()
    for one in [*found["annotators"], found["consensus"]]:
        one["wrong"] = sorted(wrong["item"] for wrong in one["wrong"])
    return found


def test_the_order_of_rows_does_not_matter():
    labels, gold = crowd(list("abc"))
    other = labels.sample(frac=1, random_state=1), gold.sample(frac=1, random_state=2)
    assert sorted_wrong(frames.score(*other)) == sorted_wrong(frames.score(labels, gold))
    assert frames.agreement(other[0]) == frames.agreement(labels)
    assert frames.compare(*other).to_dict() == frames.compare(labels, gold).to_dict()
    assert frames.errors(*other) == frames.errors(labels, gold)
    assert frames.gold_audit(*other).equals(frames.gold_audit(labels, gold))
    assert asdict(frames.calibration(*other)) == asdict(frames.calibration(labels, gold))
    one, two = (frames.aggregate(*each).set_index("item") for each in ((labels, gold), other))
    assert two.loc[one.index].equals(one)


@pytest.mark.parametrize("method", [None, *METHODS, "dawid-skene"])
def test_renamed_labels_are_found_as_well(method):
    labels, gold = crowd(list("abc"), n=60)
    names = {"a": "z", "b": "y", "c": "x"}
    turned = [table.assign(label=table["label"].map(names)) for table in (labels, gold)]
    found = frames.aggregate(labels, gold, list("abc"), method=method)
    other = frames.aggregate(*turned, list("zyx"), method=method)
    assert found["label"].map(names).tolist() == other["label"].tolist()
    assert found["tied"].tolist() == other["tied"].tolist()


def test_every_item_twice_is_decided_as_once():
    labels, _ = crowd(list("abc"), n=60)
    twice = pd.concat([labels, labels.assign(item=labels["item"] + " again")])
    once = frames.aggregate(labels).set_index("item")["label"]
    found = frames.aggregate(twice).set_index("item")["label"]
    assert found[once.index].tolist() == once.tolist()
    assert found[once.index + " again"].tolist() == once.tolist()


@pytest.mark.parametrize("method", [*METHODS, "dawid-skene"])
def test_what_all_say_is_the_consensus(method):
    labels, gold = crowd(list("abc"), right=1.0)
    found = frames.aggregate(labels, gold, method=method)
    said = labels[labels["annotator"] == "x"].set_index("item")["label"]
    assert found.set_index("item")["label"].to_dict() == said.to_dict()
    assert set(found["agreement"]) == {1.0}
    assert not found["tied"].any()


@pytest.mark.parametrize("method", [*UNLEARNED[:1], "dawid-skene"])
def test_one_annotator_is_the_consensus_without_gold(method):
    labels, _ = crowd(list("abc"))
    alone = labels[labels["annotator"] == "x"]
    found = frames.aggregate(alone, method=method)
    assert found["label"].tolist() == alone["label"].tolist()
    assert frames.agreement(alone).reading == "not defined: there is only one annotator"


def test_of_nothing_nothing_is_defined():
    labels, gold = (table.iloc[:0] for table in crowd(["a"]))
    assert frames.score(labels, gold).annotators == []
    assert frames.agreement(labels).alpha.why == "there are no votes"
    assert frames.errors(labels, gold).mean_phi.value is None
    assert frames.aggregate(labels, gold).empty
    assert frames.gold_audit(labels, gold).empty
    assert frames.calibration(labels, gold).confidences == ()
    assert frames.shift(labels, gold) == []


def test_of_one_label_what_needs_several_is_not_defined():
    labels, gold = crowd(["a"])
    found = frames.agreement(labels, ["a", "b"])
    assert (found.alpha.value, found.coefficients["ac1"].value) == (None, 1.0)
    one = frames.score(labels, gold, ["a", "b"]).annotators[0]
    assert (one.accuracy.value, one.metrics["cohen_kappa"].value) == (1.0, None)
    assert frames.errors(labels, gold).mean_phi.value is None


def test_without_declared_labels_what_counts_them_is_not_defined():
    labels, _ = crowd(list("ab"))
    assert frames.agreement(labels).coefficients["ac1"].value is None
    assert frames.agreement(labels, ["a", "b"]).coefficients["ac1"].value is not None


def test_failed_and_missing_labels_are_no_labels():
    labels = pd.DataFrame(
        [("1", "x", "a", None), ("2", "x", "?", "failed"), ("3", "x", None, "abstained"),
         ("4", "x", float("nan"), None), ("1", "y", "b", "labeled")],
        columns=["item", "annotator", "label", "outcome"],
    )  # fmt: skip
    gold = pd.DataFrame({"item": list("1234"), "label": list("aaaa")})
    x, y = frames.score(labels, gold, ["a", "b"]).annotators
    assert (x.labeled, x.failed, x.abstained, x.unlabeled) == (1, {"unparsable": 1}, 1, 1)
    assert (y.labeled, y.accuracy.value, y.unlabeled) == (1, 0.0, 3)


def test_costs_and_seconds_count_where_they_are_known():
    labels, gold = crowd(list("ab"), right=1.0)
    assert frames.score(labels, gold).annotators[0].cost_total is None
    known = frames.score(labels.assign(cost=0.01, seconds=2.0), gold).annotators[0]
    assert known.cost_per_correct.value == pytest.approx(0.01)
    assert known.seconds_mean == 2.0


def test_parts_of_the_gold():
    labels, gold = crowd(list("ab"), n=60)
    by = pd.DataFrame({"item": gold["item"], "outlet": ["p", "q", "p"] * (len(gold) // 3)})
    found = frames.slices(labels, gold, by)
    assert {(one.column, one.value) for one in found} == {("outlet", "p"), ("outlet", "q")}
    assert sum(one.gold_n for one in found if one.annotator == "x") == len(gold)


def test_published_of_babe(shared_data):
    """GPT-4 and GPT-3.5 with two examples, as in the source's table of results."""
    folder = shared_data / "llm_vs_human" / "babe_llm"
    wide = pd.read_csv(folder / "llm_labels_2-shot.csv.gz", dtype=str)
    labels = wide[["uuid", "gpt_4", "gpt_3_5"]].melt(
        "uuid", var_name="annotator", value_name="label"
    )
    labels = labels.rename(columns={"uuid": "item"})
    labels["outcome"] = (labels["label"] == "?").map({True: "failed", False: "labeled"})
    gold = pd.read_csv(folder / "items.csv.gz", dtype=str)[["uuid", "gold"]]
    gold = gold.set_axis(["item", "label"], axis=1)
    published = pd.read_csv(folder / "published.csv").set_index(["model_name", "run_type"])
    names = {"gpt_4": "GPT-4 Turbo", "gpt_3_5": "GPT-3.5 Turbo"}
    for found in frames.score(labels, gold, ["0", "1"]).annotators:
        row = published.loc[(names[found.annotator], "2 Shot")]
        assert found.accuracy.value == pytest.approx(row["accuracy"], abs=1e-9)
        assert found.labels[1].f1.value == pytest.approx(row["f1"], abs=1e-9)


def table(*rows):
    return pd.DataFrame(rows, columns=["item", "annotator", "label"])


@pytest.mark.parametrize(
    ("labels", "gold", "says"),
    [
        (table().drop(columns="label"), None, "labels: no column 'label'"),
        (table(("1", "x", "a"), ("1", "x", "b")), None, "item '1' has two rows of 'x'"),
        (table(("1", "x", "c")), None, "'c' is not one of: a, b; declare it"),
        (table(("1", "x", "a")).assign(outcome="lost"), None, "outcome 'lost'; use one of"),
        (table(), pd.DataFrame({"item": ["1"]}), "gold: no column 'label'"),
        (table(), pd.DataFrame({"item": [1, 1], "label": ["a", "b"]}), "gold: item 1 is there twice"),
    ],
)  # fmt: skip
def test_what_is_refused(labels, gold, says):
    with pytest.raises(InputError, match=re.escape(says)):
        frames.aggregate(labels, gold, ["a", "b"])


def test_who_is_not_there_is_said():
    with pytest.raises(InputError, match="no annotator 'gpt'; there are: x"):
        frames.alt_test(table(("1", "x", "a")), "gpt", ["x"], epsilon="crowd")
    with pytest.raises(InputError, match="no annotator 'y'"):
        frames.ceiling(table(("1", "x", "a")), ["x", "y"])


def test_people_and_an_llm():
    labels, _ = crowd(list("abc"), n=40)
    found = frames.alt_test(labels, "z", ["x", "y"], epsilon="crowd")
    assert (found.llm, found.epsilon, [p.name for p in found.people]) == ("z", 0.1, ["x", "y"])
    assert [one.name for one in frames.ceiling(labels, ["x", "y"]).beside] == ["z"]
    same = frames.alt_test(labels, "z", ["x", "y"], epsilon="crowd", similarity=lambda a, b: a == b)
    assert same.advantage == found.advantage


def test_the_example_of_the_page_runs():
    block = re.search(r"```python\n(import pandas.*?)```", PAGE, re.DOTALL)
    assert block
    space = {}
    exec(block[1], space)
    assert space["found"].annotators[0].accuracy.n == 4
    assert set(space["consensus"].columns) >= {"item", "label", "tied"}


def test_what_is_no_guideline_or_no_method_is_said_in_one_line():
    labels, _ = crowd(list("ab"))
    with pytest.raises(InputError, match=r"among: scale\.min: "):
        frames.agreement(labels, {"task": "rating", "scale": {"min": "low", "max": 5}})
    with pytest.raises(InputError, match="aggregate"):
        frames.aggregate(labels, method="guess")
