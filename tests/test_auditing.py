"""The audit of gold: real label errors, a simulation, and that its list is blind."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from test_alternatives import crowd, project_of

from prelabel.auditing import IMPROBABLE, UNANIMOUS, gold_audit, improbable, suspects
from prelabel.errors import InputError


def json_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def average_precision(found, wrong):
    both = [(wrong[one.item], one.suspicion) for one in found if one.item in wrong]
    return average_precision_score([w for w, _ in both], [s for _, s in both])


# Real label errors


def reannotated(folder, name):
    """Return probabilities, gold, and which gold five people did not confirm (three votes)."""
    table = pd.read_csv(folder / f"{name}_probs.csv.gz")
    key = str
    if name == "imdb":
        index = pd.read_csv(folder / "imdb_index.csv.gz")
        files = "test/" + index["file"].str.removesuffix(".txt")
        key = dict(zip(files, index["id"].astype(str), strict=True)).__getitem__
    wrong = {
        key(row["id"]): row["mturk"]["given"] < 3
        for row in json_lines(folder / f"{name}_mturk.jsonl.gz")
    }
    probabilities = table.filter(regex=r"^p\d").to_numpy()
    return table["id"].astype(str), probabilities, table["given_label"].to_numpy(), wrong


@pytest.mark.parametrize(
    ("name", "reviewed", "errors", "flagged", "precision", "recall"),
    [("20news", 93, 82, 95, 0.88, 0.99), ("imdb", 1310, 725, 1309, 0.55, 0.99)],
)
def test_reannotated_test_sets(shared_data, name, reviewed, errors, flagged, precision, recall):
    """Only what the source had flagged was annotated again: recall is of the errors so found."""
    items, p, gold, wrong = reannotated(shared_data / "label_errors", name)
    assert (len(wrong), sum(wrong.values())) == (reviewed, errors)
    margin, suspicious = improbable(p, gold)
    found = [wrong[item] for item in items[suspicious] if item in wrong]
    assert suspicious.sum() == flagged
    assert np.mean(found) > precision
    assert sum(found) / errors > recall
    score = dict(zip(items, margin, strict=True))
    ranked = average_precision_score(list(wrong.values()), [score[item] for item in wrong])
    assert ranked > np.mean(list(wrong.values())) + 0.01  # better than any order by chance


def test_the_same_through_the_tables(shared_data):
    items, p, gold, _ = reannotated(shared_data / "label_errors", "20news")
    rows = pd.DataFrame(p).assign(item=items).melt("item", var_name="value", value_name="p")
    beliefs = rows.assign(annotator="model", unit="")
    votes = pd.DataFrame({"item": items, "unit": "", "value": gold})
    found = suspects({}, dict(zip(items, gold, strict=True)), beliefs=beliefs, gold_votes=votes)
    _, suspicious = improbable(p, gold)
    assert {one.item for one in found if one.reasons} == set(items[suspicious])
    assert {reason for one in found for reason in one.reasons} == {IMPROBABLE}


def varierr(folder):
    """Return four people's votes on each label of an item, and which labels are errors."""
    gold, wrong, labels = {}, {}, {f"h{n}": {} for n in range(4)}
    for row in json_lines(folder / "varierr.jsonl.gz"):
        for label in ("entailment", "neutral", "contradiction"):
            if row[label]:
                item = f"{row[label][0]['id'].split('-')[0]}-{label[0]}"
                gold[item], wrong[item] = True, label in row["error_labels"]
                gave = {reason["annotator"] for reason in row[label]}
                for n in range(4):
                    labels[f"h{n}"][item] = n in gave
    return gold, wrong, labels


def test_varierr(shared_data):
    folder = shared_data / "label_errors"
    gold, wrong, labels = varierr(folder)
    assert (len(gold), sum(wrong.values())) == (878, 129)
    published = pd.read_csv(folder / "varierr_published.csv").set_index("Method")["AP"]
    published = published.str.extract(r"([\d.]+)")[0].astype(float)
    by_votes = 100 * average_precision(suspects(labels, gold), wrong)
    assert by_votes == pytest.approx(published["LC_VariErr"], abs=0.05)  # by the count of votes
    scores = pd.read_csv(folder / "varierr_scores.csv.gz")
    votes = pd.DataFrame({"item": list(gold), "unit": "", "value": True})
    for method in ("gpt-4-1106-preview", "gpt-3.5-turbo"):
        own = scores[scores["method"] == method].set_index("label_id")["score"]
        as_given = average_precision_score(list(wrong.values()), [own[item] for item in wrong])
        assert 100 * as_given == pytest.approx(published[method], abs=0.05)
        sure = [(item, method, "", True, -own[item]) for item in gold]
        unsure = [(item, method, "", False, 1 + own[item]) for item in gold]
        columns = ["item", "annotator", "unit", "value", "p"]
        beliefs = pd.DataFrame([*sure, *unsure], columns=columns)
        alone = 100 * average_precision(
            suspects({}, gold, beliefs=beliefs, gold_votes=votes), wrong
        )
        # mean scores that differ by rounding only are one score here
        assert alone == pytest.approx(published[method], abs=0.25)
        if method == "gpt-4-1106-preview":
            both = suspects(labels, gold, beliefs=beliefs, gold_votes=votes)
            assert 100 * average_precision(both, wrong) > by_votes


# A simulation, where every error is known


def test_injected_errors_are_found():
    rng = np.random.default_rng(3)
    people, truth = crowd(3, n=1000, people=5, noise=0.15, llm_noise=0.0)
    gold = dict(truth)
    bad = [item for item in gold if rng.random() < 0.05]
    for item in bad:
        gold[item] = next(label for label in "abcd" if label != truth[item])
    found = suspects(people, gold)
    flagged = {one.item for one in found if UNANIMOUS in one.reasons}
    assert len(flagged & set(bad)) / len(flagged) > 0.9
    assert len(flagged & set(bad)) / len(bad) > 0.6
    first = {one.item for one in found[: len(bad)]}
    assert len(first & set(bad)) / len(bad) > 0.9


# What counts as suspicious


def one(gold, *given_, **more):
    labels = {f"m{n}": {"1": label} for n, label in enumerate(given_)}
    return suspects(labels, {"1": gold}, **more)[0]


def test_votes():
    assert one("a", "a", "a").votes == -1.0
    assert one("a", "a", "a").suspicion == 0.0
    assert one("a", "a", "a").reasons == ()
    found = one("a", "b", "b", "b")
    assert (found.votes, found.suspicion, found.alternative) == (1.0, 1.0, "b")
    assert found.reasons == (UNANIMOUS,)
    assert one("a", "b", "b", "c").reasons == (UNANIMOUS,)
    assert one("a", "b", "b", "c").votes == pytest.approx(2 / 3)
    assert one("a", "b", "c", "d").reasons == ()
    assert one("a", "b", "c").reasons == ()
    assert one("a", "b", "b", "b", "a").reasons == ()


def test_items_that_nobody_labeled_are_not_suspected():
    assert suspects({"m": {"1": "a"}}, {"1": "a", "2": "a"})[-1].item == "1"
    assert len(suspects({"m": {"1": "a"}}, {"1": "a", "2": "a"})) == 1
    assert suspects({}, {}) == []
    assert suspects({}, {"1": "a"}) == []


def believed(rows):
    return pd.DataFrame(rows, columns=["item", "annotator", "unit", "value", "p"])


def test_probabilities():
    rows = [(str(n), "m", "", v, p) for n in range(20) for v, p in (("a", 0.9), ("b", 0.1))]
    gold = {str(n): "a" if n else "b" for n in range(20)} | {"20": "b"}
    rows += [("20", "m", "", "b", 0.8), ("20", "m", "", "a", 0.2)]
    votes = pd.DataFrame(
        [(item, "", v) for item, v in gold.items()], columns=["item", "unit", "value"]
    )
    found = suspects({}, gold, beliefs=believed(rows), gold_votes=votes)
    assert found[0].item == "0"
    assert (found[0].probability, found[0].margin) == pytest.approx((0.1, 0.8))
    assert found[0].suspicion == pytest.approx(0.9)
    assert [one.item for one in found if one.reasons] == ["0"]
    assert found[0].votes is None


def test_of_several_units_the_worst_counts():
    gold = {"1": None}
    votes = pd.DataFrame({"item": "1", "unit": ["x", "y"], "value": [True, False]})
    rows = [("1", "m", "x", True, 0.7), ("1", "m", "x", False, 0.3)]
    rows += [("1", "m", "y", True, 0.6), ("1", "m", "y", False, 0.4)]
    found = suspects({}, gold, beliefs=believed(rows), gold_votes=votes)[0]
    assert (found.probability, found.margin) == pytest.approx((0.4, 0.2))


def test_a_value_that_no_annotator_considers_has_probability_zero():
    votes = pd.DataFrame({"item": ["1"], "unit": "", "value": "c"})
    rows = [("1", "m", "", "a", 1.0), ("1", "k", "", "b", 1.0)]
    found = suspects({}, {"1": "c"}, beliefs=believed(rows), gold_votes=votes)[0]
    assert (found.probability, found.margin) == (0.0, 0.5)
    with pytest.raises(InputError, match="gold: item '1' is there twice"):
        suspects({}, {"1": "c"}, beliefs=believed(rows), gold_votes=pd.concat([votes, votes]))


def test_improbable_where_there_is_nothing_to_find():
    margin, flagged = improbable(np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 0]))
    assert margin.tolist() == [-1.0] * 4
    assert not flagged.any()
    assert not improbable(np.ones((5, 1)), np.zeros(5, dtype=np.int64))[1].any()
    assert not improbable(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))[1].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.permutations("abcd"))
def test_order_and_names_do_not_matter(seed, renamed):
    people, gold = crowd(seed, missing=0.2)
    names = dict(zip("abcd", renamed, strict=True))

    def mixed(own):
        return {item: names[label] for item, label in reversed(own.items())}

    first = suspects(people, gold)
    again = suspects({name: mixed(people[name]) for name in reversed(people)}, mixed(gold))
    assert [(one.item, one.suspicion, one.reasons) for one in again] == [
        (one.item, one.suspicion, one.reasons) for one in first
    ]


# Of a project


def audited(tmp_path, gold, said, people=(), task="classification", **guideline):
    facts = project_of(tmp_path, said, list(people), task, **guideline)
    rows = [json.dumps({"id": item, "label": label}) + "\n" for item, label in gold.items()]
    (tmp_path / "gold.jsonl").write_text("".join(rows), encoding="utf-8")
    facts.settings = "gold: {path: gold.jsonl}\n"
    facts.write()
    return facts


def of_forty(wrong=("i3", "i7")):
    """Return three annotators of one mind, and gold that is wrong for some items."""
    said = {name: {f"i{n}": "abc"[n % 3] for n in range(40)} for name in ("m", "n", "o")}
    gold = {
        item: "a" if item in wrong and label != "a" else label for item, label in said["m"].items()
    }
    return gold | {item: "b" for item in wrong if gold[item] == said["m"][item]}, said


def test_the_list_is_blind(tmp_path):
    facts = audited(tmp_path, *of_forty())
    found = gold_audit(facts.project, controls=6, to=tmp_path / "list.csv")
    assert (found.gold, found.suspicious, found.controls, found.unanimous) == (40, 2, 6, 2)
    assert found.columns == ("id", "text", "label")
    assert len(found.table) == 8
    assert {row["label"] for row in found.table} == {None}
    assert {"i3", "i7"} < {row["id"] for row in found.table}
    text = (tmp_path / "list.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "id,text,label"
    with pytest.raises(InputError, match=r"list.csv: is there already, with work in it perhaps"):
        gold_audit(facts.project, to=tmp_path / "list.csv")
    assert "ranked" not in found.to_dict()
    assert json.loads(json.dumps(found.to_dict(reveal=True)))["ranked"][0]["item"] == "i3"
    assert "2 of 40 gold labels are suspicious (5.0%)" in found.notes[-1]


def test_neither_order_nor_columns_tell_which_are_suspicious(tmp_path):
    """Over many seeds suspicious items stand anywhere in the list, controls too."""
    facts = audited(tmp_path, *of_forty())
    places = []
    for seed in range(60):
        table = gold_audit(facts.project, controls=6, seed=seed).table
        places += [at for at, row in enumerate(table) if row["id"] in ("i3", "i7")]
    counts = np.bincount(places, minlength=8)
    assert counts.min() >= 5  # 15 are expected at each place
    same = [gold_audit(facts.project, controls=6, seed=4).table for _ in range(2)]
    assert same[0] == same[1]


def test_how_many(tmp_path):
    facts = audited(tmp_path, *of_forty())
    assert gold_audit(facts.project).controls == 20  # as many as suspicious, but 20 at least
    assert gold_audit(facts.project, controls=0).controls == 0
    assert gold_audit(facts.project, controls=99).controls == 38  # all that is left
    assert gold_audit(facts.project, most=1).suspicious == 1
    assert len(gold_audit(facts.project, most=1, controls=99).table) == 40


def test_people_and_examples_do_not_accuse_gold(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, {"expert": said["m"], "m": gold}, ["expert"])
    assert gold_audit(facts.project).suspicious == 0
    assert gold_audit(facts.project, ["expert"]).suspicious == 2
    for item in ("i3", "i4"):
        facts.say(item, "gpt", said["m"][item], shown=("i3",))
    by_gpt = gold_audit(facts.project, ["gpt"])
    assert [one.item for one in by_gpt.ranked] == ["i4"]
    assert "39 gold items have no label of an annotator" in by_gpt.notes[-1]


def test_few_annotators_are_said(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, {"m": said["m"]})
    assert "2 unanimous items have fewer than 3 annotators" in gold_audit(facts.project).notes[0]


def test_distributions_count(tmp_path):
    gold, said = of_forty(wrong=("i3",))
    facts = audited(tmp_path, gold, {"m": said["m"]})
    for n in range(6):
        label = "abc"[n % 3]
        row = {value: 0.8 if value == label else 0.1 for value in "abc"}
        facts.say(f"i{n}", "gpt", label, distribution={"": row})
    found = gold_audit(facts.project).ranked
    assert found[0].item == "i3"
    assert found[0].probability == pytest.approx(0.1)
    assert set(found[0].reasons) == {UNANIMOUS, IMPROBABLE}


def test_ratings_and_sets(tmp_path):
    said = {name: {f"i{n}": 2 for n in range(40)} for name in "mno"}
    gold = {f"i{n}": 2 for n in range(40)} | {"i5": 5, "i6": 3}
    facts = audited(tmp_path, gold, said, (), "rating", labels=[], scale={"min": 1, "max": 5})
    assert [(x.item, x.votes) for x in gold_audit(facts.project).ranked[:2]] == [
        ("i5", 0.75),
        ("i6", 0.25),
    ]
    sets = tmp_path / "sets"
    sets.mkdir()
    said = {name: {f"i{n}": ["a", "b"] for n in range(40)} for name in "mno"}
    gold = {f"i{n}": ["a", "b"] for n in range(40)} | {"i5": ["c"], "i6": ["a"]}
    facts = audited(sets, gold, said, (), "multi-label")
    assert [x.votes for x in gold_audit(facts.project).ranked[:2]] == [1.0, 0.5]


def test_without_gold(tmp_path):
    _, said = of_forty()
    with pytest.raises(InputError, match="no gold to audit; name a file under `gold:`"):
        gold_audit(project_of(tmp_path, said, []).project)


def test_only_people(tmp_path):
    gold, said = of_forty()
    facts = audited(tmp_path, gold, {"expert": said["m"]}, ["expert"])
    with pytest.raises(InputError, match="only people have labels here; name those"):
        gold_audit(facts.project)
