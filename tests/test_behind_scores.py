"""What lies behind scores, of projects: mistakes, slices, the ceiling, and the command."""

import csv
import json
import sys

import pandas as pd
import pytest
import typer
from every_task import GUIDELINES, item_of, task_of
from facts import Facts
from test_alternatives import crowd, project_of
from test_slices import SOME, judged_of

from prelabel import api
from prelabel.__main__ import main
from prelabel.behind_scores import ceiling_of_people, score_details, write_mistakes
from prelabel.cli_score import add_score
from prelabel.errors import InputError
from prelabel.human_ceiling import ceiling
from prelabel.mistakes import COLUMNS, mistakes, self_confidence
from prelabel.project import load_project
from prelabel.records import Usage

GOLD = "gold: {path: gold.jsonl, label: label}\n"


def with_gold(folder, task="classification", labels=(), meta=None, items=12, guideline=None):
    """Return facts whose first items have gold, and metadata ``k`` and ``n``."""
    facts = Facts(folder, task, items, GOLD, **(guideline or {}))
    rows = [{"id": f"i{n}", "label": label} for n, label in enumerate(labels)]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if meta:
        lines = [
            json.dumps({"id": key, "text": text} | meta(n)) + "\n"
            for n, (key, text) in enumerate(facts.texts.items())
        ]
        (folder / "items.jsonl").write_text("".join(lines))
    return facts


@pytest.fixture
def facts(tmp_path):
    """Six gold items of twelve; x is sure of its two errors, y has no distributions."""
    found = with_gold(tmp_path, labels="aabbcc", meta=lambda n: {"k": "pq"[n % 2], "n": n})
    for n, label in enumerate("abbbca"):
        p = {0: 0.9, 1: 0.95, 5: 0.6}.get(n, 0.5)
        found.say(
            f"i{n}",
            "x",
            label,
            distribution={"": {label: p, "other": 1 - p}},
            rationale=f"since {n}",
            usage=Usage(1, 10, 2, 0, 0.01),
            latency=1.0 + n,
            created=1_000.0 + n,
        )
    for n, label in enumerate("bbbbcc"):
        found.say(f"i{n}", "y", label, usage=Usage(cost=None))
    for n in range(6, 12):
        found.say(f"i{n}", "x", "a", usage=Usage(1, 10, 2, 0, 0.01), replayed=True)
    return found


def test_a_project(facts):
    found = score_details(facts.project, slices=["k"])
    assert [(one.item, one.annotator) for one in found.mistakes] == [
        ("i1", "x"),  # .95 sure
        ("i5", "x"),  # .60 sure
        ("i1", "y"),  # no self-confidence: first what the other said, too
        ("i0", "y"),
    ]
    first = found.mistakes[0]
    assert (first.gold, first.given, first.self_confidence) == ("a", "b", 0.95)
    assert (first.same, first.others, first.consensus, first.consensus_share) == (1, 1, "b", 1.0)
    assert (first.rationale, first.text) == ("since 1", "text 1")
    assert found.wrong == 4
    assert found.metric == "macro_f1"
    assert {(one.value, one.annotator, one.gold_n) for one in found.slices} == {
        (value, name, 3) for value in "pq" for name in ("x", "y", "consensus")
    }
    x, y = found.throughput
    assert (x.paid, x.replayed, x.labeled, y.paid) == (6, 6, 12, 0)
    assert x.median.value == 3.5
    assert x.per_minute == pytest.approx(60)
    assert x.per_1000 == pytest.approx(10)
    assert x.per_correct.value == pytest.approx(0.01 / (4 / 6))
    assert y.per_1000 is None
    assert [(one.annotator, one.gold_n, one.pool_n) for one in found.shifts] == [
        ("x", 6, 6),
        ("y", 6, 0),
        ("consensus", 6, 6),
    ]
    assert found.ceiling is None
    assert json.loads(json.dumps(found.to_dict()))["shifts"][1]["said"].endswith("gold items only")


def test_errors_are_as_many_as_asked_for(facts):
    assert len(score_details(facts.project, errors=1).mistakes) == 1
    assert len(score_details(facts.project, errors=0).mistakes) == 0
    assert len(score_details(facts.project, errors=None).mistakes) == 4
    assert score_details(facts.project, errors=1).wrong == 4
    alone = score_details(facts.project, ["y"])
    assert {one.annotator for one in alone.mistakes} == {"y"}
    assert (alone.mistakes[0].consensus, alone.mistakes[0].others) == (None, 0)


def test_scores_are_those_of_score(facts):
    report = api.score(facts.project)
    found = score_details(facts.project, slices=["k"])
    for one in [*report.annotators, report.consensus]:
        own = [s for s in found.slices if s.annotator == one.annotator]
        right = sum(round(s.accuracy.value * s.accuracy.n) for s in own)
        assert right / sum(s.accuracy.n for s in own) == pytest.approx(one.accuracy.value)
        if one.annotator != "consensus":
            wrong = {m.item for m in found.mistakes if m.annotator == one.annotator}
            assert wrong == {w.item for w in one.wrong}


def test_what_a_prompt_showed_does_not_count(facts):
    facts.say("i11", "x", "a", shown=("i1",))
    found = score_details(facts.project, slices=["k"])
    assert ("i1", "x") not in {(one.item, one.annotator) for one in found.mistakes}
    assert ("i1", "y") in {(one.item, one.annotator) for one in found.mistakes}
    by = {(one.value, one.annotator): one.accuracy.n for one in found.slices}
    assert (by["q", "x"], by["q", "y"], by["q", "consensus"]) == (2, 3, 2)
    assert [one.gold_n for one in found.shifts] == [5, 6, 5]


def test_what_cannot_be_done_is_one_line(facts, tmp_path):
    with pytest.raises(InputError, match="no metadata column 'z' in the items; there are: k, n"):
        score_details(facts.project, slices=["z"])
    (tmp_path / "none").mkdir()
    bare = Facts(tmp_path / "none")
    bare.say("i0", "x", "a")
    with pytest.raises(InputError, match="no gold to score against"):
        score_details(bare.project)


@pytest.mark.parametrize("name", GUIDELINES)
def test_every_task(tmp_path, name):
    one, other = SOME[name]
    facts = with_gold(tmp_path, name, [one, one, other], items=6, guideline=GUIDELINES[name])
    fields = item_of(name).fields
    rows = [{"id": f"i{n}", "k": n % 2, **fields} for n in range(6)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = f"items: {{path: items.jsonl, text: {json.dumps(list(fields))}}}\n{GOLD}"
    (tmp_path / "prelabel.yaml").write_text(settings)
    facts.project = load_project(tmp_path)
    for n, label in enumerate([one, other, other, one, other, one]):
        facts.say(f"i{n}", "x", label)
    found = score_details(facts.project, slices=["k"])
    assert [m.item for m in found.mistakes] == ["i1"]
    assert [s.accuracy.value for s in found.slices] == [1.0, 0.0]
    assert json.dumps(found.to_dict())


@pytest.mark.parametrize("name", GUIDELINES)
def test_mistakes_of_every_task(name):
    task = task_of(name)
    one, other = SOME[name]
    judged = judged_of([(one, one), (one, other)])
    judged["right"] = [
        task.right(a, b) for a, b in zip(judged["gold"], judged["given"], strict=True)
    ]
    also = judged.assign(annotator="n", given=judged["gold"], right=True)
    (found,) = mistakes(pd.concat([judged, also]), task.right)
    assert (found.item, found.gold, found.given, found.same, found.others) == (
        "1",
        one,
        other,
        0,
        1,
    )
    assert self_confidence(other, None, task) is None
    votes = task.votes(other)
    sure = {unit: {value: 0.9} for unit, value in votes.items()}
    if sure:
        assert self_confidence(other, sure, task) == 0.9
        last = next(reversed(sure))
        assert self_confidence(other, sure | {last: {votes[last]: 0.2}}, task) == 0.2
        assert self_confidence(other, sure | {last: {"?": 1.0}}, task) == 0.0
        assert self_confidence(other, {"no such unit": {"x": 1.0}}, task) is None


def test_the_ceiling_is_that_of_the_command(tmp_path):
    people, llm = crowd(5, n=40, width=3)
    facts = project_of(tmp_path, {**people, "m": llm, "w": dict.fromkeys(llm, "a")}, list(people))
    whole = ceiling(facts.project)
    assert ceiling_of_people(facts.project) == whole
    own = ceiling_of_people(facts.project, ["m", "h0"])
    assert own.people == whole.people
    assert own.beside == tuple(one for one in whole.beside if one.name == "m")
    assert own.beside[0].gap.low is not None


def test_one_person_is_no_ceiling(tmp_path):
    people, llm = crowd(5, n=10, people=1)
    facts = project_of(tmp_path, {**people, "m": llm}, list(people))
    assert ceiling_of_people(facts.project) is None


def test_three_people_on_pandalm(tmp_path, shared_data):
    """The verdicts as classes: gpt is below the people, by what the plain functions say."""
    table = pd.read_json(
        shared_data / "llm_vs_human" / "pandalm" / "pandalm_testset.jsonl.gz", lines=True
    )
    items = [f"i{n}" for n in range(len(table))]
    given = table["gpt35_result"].astype(str).replace({"Tie": "0", "garbage": "0"})
    said = {
        f"h{n}": dict(zip(items, table[f"annotator{n}"].astype(str), strict=True))
        for n in (1, 2, 3)
    } | {"gpt": dict(zip(items, given, strict=True))}
    labels = [{"name": n, "definition": n} for n in "012"]
    gold = table[["annotator1", "annotator2", "annotator3"]].astype(str).mode(axis=1)[0]
    facts = Facts(tmp_path, items=len(items), settings=GOLD, labels=labels)
    rows = [{"id": item, "label": label} for item, label in zip(items, gold, strict=True)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for kind, names in (("person", ["h1", "h2", "h3"]), ("import", ["gpt"])):
        path = tmp_path / f"{kind}.jsonl"
        rows = [{"id": i, "annotator": n, "label": v} for n in names for i, v in said[n].items()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        api.import_annotations(facts.project, path, kind=kind, layout="long")
    found = score_details(facts.project, ["gpt"], errors=3)
    (beside,) = found.ceiling.beside
    assert beside.people.value > 0.9
    assert beside.gap.high < 0
    assert beside.score.n == 999
    assert found.wrong == round((1 - 0.7107) * 999)
    assert found.shifts[0].distance.why == "the annotator has labels on gold items only"


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command, and return its exit code and what it printed."""
    app = typer.Typer(pretty_exceptions_enable=False)
    add_score(app)
    app.command("other")(lambda: None)
    monkeypatch.setattr("prelabel.cli.app", app)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["prelabel", "score", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return call


def test_the_command(facts, run, tmp_path):
    code, out, _ = run("-p", tmp_path)
    assert code == 0
    assert "by k" not in out
    assert "what labeling took" not in out
    code, out, _ = run("-p", tmp_path, "--by", "k", "--by", "n", "--errors", "2")
    assert code == 0
    assert "by k: value" in out
    assert "by n: value" in out
    assert "4 wrong labels; 2 of them, the surest first:" in out
    assert "i1: gold a; x said b, 0.95 sure, 1 of 1 others said so" in out
    assert "because: since 1" in out
    assert "what labeling took" not in out
    code, out, _ = run("-p", tmp_path, "--details")
    assert "what labeling took" in out
    assert "in the pool (a)" in out
    assert "as x labels them" in out


def test_the_command_writes_all_mistakes(facts, run, tmp_path):
    to = tmp_path / "wrong.csv"
    code, out, _ = run("-p", tmp_path, "--errors-to", to)
    assert code == 0
    assert f"wrote 4 wrong labels to {to}" in out.replace("\n", "")
    rows = list(csv.DictReader(to.read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["item"], row["self_confidence"]) for row in rows][:2] == [
        ("i1", "0.95"),
        ("i5", "0.6"),
    ]
    lines = tmp_path / "wrong.jsonl"
    assert run("-p", tmp_path, "--errors-to", lines, "--errors", 1, "--json")[0] == 0
    assert len(lines.read_text().splitlines()) == 4
    code, _, err = run("-p", tmp_path, "--errors-to", tmp_path / "wrong.doc")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown kind of file" in err


def test_the_command_prints_json(facts, run, tmp_path):
    plain = json.loads(run("-p", tmp_path, "--json")[1])
    assert "details" not in plain
    found = json.loads(run("-p", tmp_path, "--json", "--by", "k", "--errors", 1)[1])
    assert found["annotators"] == plain["annotators"]
    details = found["details"]
    assert len(details["mistakes"]) == 1
    assert details["wrong"] == 4
    assert details["slices"][0]["column"] == "k"
    code, _, err = run("-p", tmp_path, "--by", "zz")
    assert code == 2
    assert err.count("\n") == 1
    assert "there are: k, n" in err


def test_texts_are_not_markup(facts, run, tmp_path):
    facts.texts["i1"] = "[bold]x[/] [red]"
    lines = [json.dumps({"id": k, "text": t, "k": "[i]"}) + "\n" for k, t in facts.texts.items()]
    (tmp_path / "items.jsonl").write_text("".join(lines))
    facts.project = type(facts.project)(facts.project.folder, facts.project.config)
    facts.say("i1", "x", "b", distribution={"": {"b": 0.99}}, rationale="[/bold]")
    code, out, err = run("-p", tmp_path, "--errors", 1, "--by", "k")
    assert (code, err) == (0, "")
    assert "[bold]x[/] [red]" in out
    assert "because: [/bold]" in out
    assert "[i]" in out


def test_writing_tells_how_many(facts, tmp_path):
    found = score_details(facts.project, errors=None)
    assert write_mistakes(found, tmp_path / "m.tsv") == 4
