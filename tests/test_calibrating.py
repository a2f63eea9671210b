"""Confidences of a project, raw and calibrated, and of any table."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import typer
from facts import Facts
from scipy.special import expit
from typer.testing import CliRunner

from prelabel.calibrating import calibration, calibration_of
from prelabel.calibration_plot import svg, write_plot
from prelabel.calibrators import calibrated, tempered
from prelabel.cli_calibration import add_calibration
from prelabel.errors import InputError
from prelabel.project import load_project
from prelabel.records import Annotation

N = 120


def sure(rng, truth, accuracy, overconfidence=3.0):
    """A label out of a, b, c with a label distribution that is too sure of itself."""
    z = rng.normal(size=3)
    z["abc".index(truth)] += accuracy
    p = np.exp(overconfidence * z) / np.exp(overconfidence * z).sum()
    return "abc"[int(p.argmax())], {"": dict(zip("abc", p.tolist(), strict=True))}


@pytest.fixture
def facts(tmp_path):
    """Gold of 120 items; x has label distributions, y a verbalised confidence, z nothing."""
    rng = np.random.default_rng(0)
    made = Facts(tmp_path, items=N, settings="gold: {path: gold.csv}\n")
    truths = [str(label) for label in rng.choice(list("abc"), N)]
    said = {name: [] for name in "xyz"}
    for truth in truths:
        label, distribution = sure(rng, truth, 1.5)
        said["x"].append({"label": label, "distribution": distribution})
        p = round(float(rng.uniform(0.4, 1)), 2)
        given = truth if rng.random() < p - 0.1 else "abc"[("abc".index(truth) + 1) % 3]
        said["y"].append({"label": given, "extras": {"confidence": p}})
        said["z"].append({"label": truth if rng.random() < 0.6 else "a"})
    items, guideline = list(made.project.items()), made.project.guideline.hash
    for name, own in said.items():
        made.ledger.add_annotator(f"{name}@import", name, "import", {})
        rows = [
            Annotation(item.id, item.hash, f"{name}@import", guideline, "labeled", **row)
            for item, row in zip(items, own, strict=True)
        ]
        made.ledger.add(rows, items)
    gold(made, truths)
    return made


def gold(made, truths):
    rows = {"id": [f"i{n}" for n in range(len(truths))], "label": truths}
    pd.DataFrame(rows).to_csv(made.folder / "gold.csv", index=False)
    made.project = load_project(made.folder)


def by_name(report):
    return {one.name: one for one in report.confidences}


def test_a_project(facts):
    report = calibration(facts.project)
    found = by_name(report)
    assert list(found)[:3] == ["x: label distribution", "y: verbalised", "consensus: vote share"]
    assert list(found)[3].startswith("consensus: weight of ")
    assert report.gold == N
    assert "no self-confidence on gold items: z" in report.notes
    x = found["x: label distribution"]
    assert (x.n, x.calibrator["method"], x.raw.n) == (N, "platt", N)
    assert x.raw.overconfidence.low > 0
    assert abs(x.calibrated.overconfidence.value) < x.raw.overconfidence.value
    assert x.gain.low > 0
    assert x.gain.value == pytest.approx(x.raw.log_loss.value - x.calibrated.log_loss.value)
    assert sum(row.n for row in x.reliability) == N
    assert found["y: verbalised"].raw.confidence == pytest.approx(0.7, abs=0.05)
    assert json.loads(json.dumps(report.to_dict()))["gold"] == N
    assert calibration(facts.project) == report
    assert list(by_name(calibration(facts.project, ["y"]))) == ["y: verbalised"]


def test_it_is_the_table_of_the_same_confidences(facts):
    project = facts.project
    truths = {g.item_id: g.label for g in project.gold}
    rows = [
        (item, "y", a.extras["confidence"], a.label == truths[item])
        for item, given in facts.evidence("y").items.items()
        for a in given
    ]
    table = pd.DataFrame(rows, columns=["item", "annotator", "confidence", "right"])
    (one,) = calibration_of(table)
    assert one == by_name(calibration(project, ["y"]))["y: verbalised"]
    assert calibration_of(table.sample(frac=1, random_state=3)) == [one]


def test_below_100_items_whole_label_distributions_get_a_temperature(facts):
    gold(facts, [g.label for g in facts.project.gold][:80])
    x = by_name(calibration(facts.project))["x: label distribution"]
    assert (x.n, x.calibrator["method"]) == (80, "label-temperature")
    assert 0 < x.calibrator["slope"] < 1  # it was too sure
    assert x.gain.value > 0
    belief = facts.evidence("x").items["i0"][0].distribution[""]
    params = json.loads(json.dumps(x.calibrator))
    assert max(tempered(params, belief).values()) < max(belief.values())


def test_held_out_confidence_does_not_know_its_item():
    """With labels of pure chance, confidence calibrated in sample would seem to help."""
    gains = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(
            {
                "item": [str(n) for n in range(40)],
                "annotator": "x",
                "confidence": rng.uniform(0.45, 0.55, 40),
                "right": rng.random(40) < 0.5,
            }
        )
        gains.append(calibration_of(table)[0].gain.value)
    assert -0.05 < np.mean(gains) < 0


def test_items_shown_as_examples_do_not_count(facts):
    facts.say("i0", "x", "a", distribution={"": {"a": 1.0}}, shown=("i3", "i4"))
    found = by_name(calibration(facts.project))
    assert found["x: label distribution"].n == N - 2
    assert found["y: verbalised"].n == N
    assert found["consensus: vote share"].n == N - 2


def test_failed_abstained_and_silent_annotations_have_no_confidence(facts):
    facts.say("i0", "y", outcome="abstained", extras={"confidence": 0.9})
    facts.say("i1", "y", outcome="failed", failure="refused")
    facts.say("i2", "y", "a")
    facts.say("i3", "y", "a", extras={"confidence": 87, "consistency": 0.8})
    found = by_name(calibration(facts.project))
    assert found["y: verbalised"].n == N - 4
    assert found["y: self-consistency"].raw.confidence == pytest.approx(0.8)


def test_of_several_labels_the_least_sure_counts(tmp_path):
    made = Facts(tmp_path, "multi-label", items=2, settings="gold: {path: gold.csv}\n")
    belief = {unit: {True: p, False: 1 - p} for unit, p in (("a", 0.9), ("b", 0.2), ("c", 0.4))}
    for n in range(2):
        made.say(f"i{n}", "x", ["a"], distribution=belief)
    gold(made, ['["a"]', '["b"]'])
    (one,) = calibration(made.project).confidences
    assert (one.n, one.raw.confidence, one.accuracy.value) == (2, pytest.approx(0.6), 0.5)
    assert "2 gold items only" in one.notes[0]


def test_one_class_and_one_confidence_and_the_wrong_way():
    table = pd.DataFrame(
        {
            "item": [str(n) for n in range(60)] * 3,
            "annotator": ["all right"] * 60 + ["constant"] * 60 + ["turned"] * 60,
            "confidence": [*np.linspace(0.5, 1, 60), *[0.9] * 60, *np.linspace(0.1, 0.9, 60)],
            "right": [*[True] * 60, *[n % 3 > 0 for n in range(60)], *[n < 30 for n in range(60)]],
        }
    )
    found = {one.annotator: one for one in calibration_of(table)}
    assert found["all right"].notes == ("all 60 labels are right: there is nothing to tell apart",)
    assert found["all right"].order.auroc.value is None
    assert found["constant"].notes == ("it is the same for all items: it tells nothing apart",)
    assert found["constant"].calibrated.confidence == pytest.approx(2 / 3, abs=0.02)
    assert "not right more often" in found["turned"].notes[0]


def test_tables_that_are_not_right():
    table = pd.DataFrame({"item": ["i", "i"], "annotator": "x", "confidence": 0.5, "right": True})
    with pytest.raises(InputError, match="calibration: 'x' has item 'i' twice"):
        calibration_of(table)
    with pytest.raises(InputError, match="calibration: no column 'right'; it has item, annotator"):
        calibration_of(table.drop(columns="right"))
    with pytest.raises(InputError, match=r"confidence: 55\.0 is not from 0 to 1"):
        calibration_of(table[:1].assign(confidence=55.0))
    two = calibration_of(table.assign(source=["verbalised", "logprob"]))
    assert [one.name for one in two] == ["x: logprob", "x: verbalised"]
    assert calibration_of(table.assign(confidence=None)) == []


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("global_warming.csv.gz", 0.060, 0.02),
        ("mrpc.csv.gz", 0.101, 0.02),
        ("mt_bench.csv", 0.315, 0.05),
    ],
)
def test_gpts_verbalised_confidence(shared_data, file, before, after):
    table = pd.read_csv(shared_data / "llm_vs_human" / "llm_confidence" / file)
    right = table["gold_label"] == table["gpt_label"]
    said = pd.DataFrame({"item": range(len(table)), "annotator": "gpt", "right": right})
    (one,) = calibration_of(said.assign(confidence=table["confidence"]))
    assert one.raw.ece.value == pytest.approx(before, abs=5e-4)
    assert one.calibrated.ece.value < after
    assert one.gain.low > 0
    assert one.calibrated.overconfidence.low < 0 < one.calibrated.overconfidence.high
    held = calibrated(one.calibrator, table["confidence"])
    assert np.mean((held - right) ** 2) == pytest.approx(one.calibrated.brier.value, abs=0.002)


def test_the_command(facts, tmp_path):
    app = typer.Typer()
    add_calibration(app)
    app.callback()(lambda: None)
    plot = tmp_path / "plot.html"
    asked = ["calibration", "-p", str(facts.folder)]
    shown = CliRunner().invoke(app, [*asked, "--details", "--plot", str(plot)])
    assert shown.exit_code == 0, shown.output
    assert "x: label distribution, 120 items" in shown.output
    assert "share right" in shown.output
    assert plot.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = json.loads(CliRunner().invoke(app, [*asked, "--json", "-a", "x"]).output)
    assert [one["source"] for one in found["confidences"]] == ["label distribution"]
    assert found["confidences"][0]["raw"]["log_loss"]["n"] == N


def test_the_plot(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(2, 2, 300)
    table = pd.DataFrame({"item": range(300), "annotator": "<gpt & co>"})
    found = calibration_of(table.assign(confidence=expit(2 * z), right=rng.random(300) < expit(z)))
    drawn = ET.fromstring(svg(found))
    texts = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "<gpt & co>: verbalised (300 items)" in texts
    circles = list(drawn.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 2 * len(found[0].reliability)
    write_plot(tmp_path / "p.svg", found)
    assert (tmp_path / "p.svg").read_text(encoding="utf-8") == svg(found)
    with pytest.raises(InputError, match=r"a plot ends in \.svg or \.html"):
        write_plot(tmp_path / "p.png", found)
    ET.fromstring(svg([]))


def test_without_gold(tmp_path):
    made = Facts(tmp_path)
    made.say("i0", "x", "a")
    with pytest.raises(InputError, match="no gold to calibrate on"):
        calibration(made.project)
