"""The commands as a user types them: exit codes, one-line errors, JSON."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from projects import make_project, openai_like
from typer.testing import CliRunner
from wire import serving

from prelabel.__main__ import main
from prelabel.cli import app
from prelabel.cli_sections import SECTIONS
from prelabel.run import opened
from prelabel.tasks import TASKS

LABELED = """\
id,text,gold,ann,bob,eve
1,you are awful,toxic,toxic,toxic,toxic
2,have a nice day,not_toxic,not_toxic,not_toxic,?
3,go away,toxic,toxic,not_toxic,toxic
4,see you at six,not_toxic,not_toxic,toxic,-
"""


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> object:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*args: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["prelabel", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return Result(int(left.value.code or 0), shown.out, shown.err)

    return call


@pytest.fixture
def project(tmp_path: Path, run) -> Path:
    (tmp_path / "table.csv").write_text(LABELED)
    folder = tmp_path / "p"
    made = run("init", tmp_path / "table.csv", "--labels", "toxic,not_toxic", "--to", folder)
    assert made.code == 0, made.err
    settings = (folder / "prelabel.yaml").read_text()
    assert "path: ../table.csv" in settings
    (folder / "prelabel.yaml").write_text(
        "items: {path: ../table.csv, meta: []}\ngold: {path: ../table.csv, label: gold}\n"
    )
    done = run(
        *("import", tmp_path / "table.csv", "-p", folder, "--columns", "ann,bob,eve"),
        *("--unusable", "?", "--abstained", "-", "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["examples"] == {"unparsable": "line 3, item '2': marked unusable"}
    assert done.json["counts"] == {
        "ann": {"labeled": 4},
        "bob": {"labeled": 4},
        "eve": {"labeled": 2, "unparsable": 1, "abstained": 1},
    }
    return folder


def test_score(project: Path, run) -> None:
    found = run("score", "-p", project, "--json").json
    ann, bob, eve = found["annotators"]
    assert [ann["accuracy"]["value"], bob["accuracy"]["value"]] == [1.0, 0.5]
    assert (eve["labeled"], eve["abstained"], eve["failed"]) == (2, 1, {"unparsable": 1})
    assert eve["coverage"]["value"] == 0.5
    assert eve["accuracy"]["value"] == 1.0  # what it did not label is not wrong
    assert ann["cost_total"] is None  # what others paid is not known
    assert found["consensus"]["labeled"] == 4
    shown = run("score", "-p", project, "--details").out
    assert "consensus" in shown
    assert "gold ['toxic']" not in shown
    assert "unknown" in shown


def test_agreement(project: Path, run) -> None:
    found = run("agreement", "-p", project, "-a", "ann", "-a", "bob", "--json").json
    assert found["percent"]["value"] == 0.5
    assert {found["confused"][0]["a"], found["confused"][0]["b"]} == {"toxic", "not_toxic"}
    alone = run("agreement", "-p", project, "-a", "ann")
    assert alone.code == 0
    assert "not defined" in alone.out


def test_route_fit_and_export(project: Path, tmp_path: Path, run) -> None:
    routed = run("route", "-p", project, "--json").json["items"]
    assert {key: row["accepted"] for key, row in routed.items()} == {
        "1": True,
        "2": True,
        "3": True,  # two of three
        "4": False,
    }
    assert routed["4"]["reasons"] == ["tie", "abstained: eve"]
    rule = tmp_path / "rule.json"
    assert run("fit", "-p", project, "--to", rule).code == 0
    assert run("route", "-p", project, "--rule", rule, "--json").json["items"] == routed
    out = tmp_path / "out.csv"
    assert run("export", out, "-p", project, "--rule", rule).code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["status"] for row in rows] == ["accepted", "accepted", "accepted", "review"]
    assert [row["label"] for row in rows] == ["toxic", "not_toxic", "toxic", ""]
    assert rows[1]["annotator.eve.outcome"] == "failed"
    assert rows[0]["rule_hash"] == json.loads(rule.read_text())["hash"]
    only = tmp_path / "review.jsonl"
    assert run("export", only, "-p", project, "--only", "review").code == 0
    assert [json.loads(line)["id"] for line in only.read_text().splitlines()] == ["4"]
    studio = tmp_path / "tasks.json"
    assert run("export", studio, "-p", project, "--format", "label-studio").code == 0
    tasks = json.loads(studio.read_text())
    assert len(tasks) == 4
    assert '<Choice value="not_toxic"' in studio.with_suffix(".xml").read_text()


def test_report_escapes_item_text(project: Path, tmp_path: Path, run) -> None:
    table = tmp_path / "table.csv"
    table.write_text(table.read_text().replace("see you at six", "<script>alert(1)</script>"))
    run("import", table, "-p", project, "--columns", "ann,bob", "--unusable", "?")
    page = tmp_path / "r.html"
    assert run("report", "-p", project, "--to", page).code == 0
    html = page.read_text()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "Krippendorff" in html


def test_imported_labels_match_exactly(project: Path, tmp_path: Path, run) -> None:
    table = tmp_path / "more.csv"
    table.write_text("id,x\n1,TOXIC \n2,Not toxic.\n3,toxi\n9,toxic\n")
    counts = run("import", table, "-p", project, "--json").json["counts"]
    assert counts == {"x": {"labeled": 1, "off_list": 2, "unknown item": 1}}


def test_plan_and_cache_beside_a_run(tmp_path: Path, run) -> None:
    with serving() as wire:
        made = make_project(tmp_path, ["one", "two"], [openai_like(wire)])
        with opened(made):
            assert run("plan", "-p", tmp_path, "--json").json["annotators"][0]["calls"] == 2
            assert run("cache", "-p", tmp_path, "--json").json["answers"] >= 0
            refused = run("label", "-p", tmp_path)
            assert (refused.code, refused.err.count("\n")) == (2, 1)
            assert "another run is writing" in refused.err


def test_a_bias_fitted_on_few_items_is_noted(tmp_path: Path, run) -> None:
    with serving() as wire:
        make_project(tmp_path, ["one", "two", "three"], [openai_like(wire, logprobs=True)])
        settings = json.loads((tmp_path / "prelabel.yaml").read_text())
        settings["decide"] = {"aggregate": "distribution", "min_votes": 1}
        (tmp_path / "prelabel.yaml").write_text(json.dumps(settings))
        assert run("label", "-p", tmp_path).code == 0
        assert "fitted on 3 items only" in run("route", "-p", tmp_path).out
        assert run("report", "-p", tmp_path, "--to", tmp_path / "r.html").code == 0
        assert "fitted on 3 items only" in (tmp_path / "r.html").read_text()


def test_init_refuses(tmp_path: Path, run) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,body\n1,hello\n")
    assert "no column 'text'" in run("init", table, "--labels", "a,b", "--to", tmp_path).err
    args = ("--labels", "a,b", "--text", "body", "--to", tmp_path)
    assert run("init", table, *args).code == 0
    again = run("init", table, *args)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "there already" in again.err
    one = run("init", table, "--labels", "a,A", "--text", "body", "--to", tmp_path / "x")
    assert "two or more labels that differ" in one.err


def test_guideline_commands(project: Path, run) -> None:
    file = project / "guideline.yaml"
    checked = run("guideline", "check", file, "--json")
    assert checked.code == 0
    assert {finding["level"] for finding in checked.json} == {"warning"}
    assert "# my-guideline" in run("guideline", "show", file, "--markdown").out
    other = project / "other.yaml"
    text = file.read_text()
    other.write_text(text.replace("name: toxic", "name: rude"))
    assert "rude" in run("guideline", "diff", file, other).out
    other.write_text(text + "  - name: toxic\n    definition: again\n")
    wrong = run("guideline", "check", other)
    assert wrong.code == 1
    assert "defined twice" in wrong.out
    assert run("schema", "guideline").json["title"]
    assert "annotators" in run("schema", "project").json["properties"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["score", "-p", "nowhere"], "prelabel init"),
        (["score", "-a", "zoe"], "there are: ann, bob, eve"),
        (["score", "--split", "dev"], "no split 'dev'"),
        (["route", "--rule", "none.json"], "fit a rule"),
        (["label"], "names no annotators"),
        (["models", "where", "nonesuch"], "not in the catalogue"),
        (["export", "out.xyz"], ".xyz"),
    ],
)
def test_errors_are_one_line(project: Path, run, monkeypatch, args, message) -> None:
    monkeypatch.chdir(project)
    result = run(*args)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert message in result.err


def test_label_through_a_server(tmp_path: Path, run) -> None:
    with serving() as wire:
        make_project(tmp_path, ["one", "two", "[[off_list,off_list]] three"], [openai_like(wire)])
        planned = run("plan", "-p", tmp_path, "--json").json["annotators"][0]
        assert (planned["calls"], planned["cached"]) == (3, 0)
        assert planned["dollars"][0] <= planned["dollars"][1] <= planned["at_most"]
        assert planned["prompt"].endswith("<item>\none\n</item>")
        assert sum(wire.calls.values()) == 0
        first = run("label", "-p", tmp_path, "--json").json
        assert first["outcomes"] == {"labeled": 2, "failed": 1}
        assert first["failures"] == {"off_list": 1}
        assert first["spent"] > 0
        calls = sum(wire.calls.values())
        again = run("label", "-p", tmp_path, "--json").json
        assert (again["skipped"], again["replayed"], again["spent"]) == (2, 1, 0.0)
        assert sum(wire.calls.values()) == calls
        kept = run("cache", "-p", tmp_path, "--json").json
        assert kept["answers"] == calls
        assert kept["spent"] == pytest.approx(first["spent"])


def test_a_failed_run_says_why_and_shows_in_the_exit_code(tmp_path: Path, run) -> None:
    with serving() as wire:
        make_project(tmp_path, ["[[unknown_key]] x"], [openai_like(wire)])
        result = run("label", "-p", tmp_path)
        assert result.code == 2
        assert "401" in result.err
        make_project(tmp_path, ["[[too_long]] y"], [openai_like(wire)])
        result = run("label", "-p", tmp_path)
        assert result.code == 1
        assert "bad_request" in result.out
        assert "i0" in result.out  # one item as an example, with the provider's words


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_finishes_calls_in_flight(tmp_path: Path) -> None:
    with serving(delay=0.3) as wire:
        texts = [f"text {n}" for n in range(200)]
        make_project(tmp_path, texts, [openai_like(wire, concurrency=4)])
        command = [sys.executable, "-m", "prelabel", "label", "-p", str(tmp_path), "--json"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not wire.calls and child.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 1, err
        assert "Traceback" not in err
        done = json.loads(out)["outcomes"]["labeled"]
        assert 4 <= done < 200
        assert done == sum(wire.calls.values())  # each call that was made is kept


LABELS_OF = {"rating": "", "pairwise": "", "matching": "", "text": ""}


@pytest.mark.parametrize("task", TASKS)
def test_init_makes_a_guideline_that_works_for_every_task(tmp_path, run, task):
    table = tmp_path / "items.jsonl"
    spans = [{"id": "T1", "start": 0, "end": 1, "text": "a", "label": "x"}]
    table.write_text(json.dumps({"id": 1, "left": "a b", "right": spans}) + "\n")
    to = tmp_path / "project"
    labels = LABELS_OF.get(task, "one,two")
    found = run(
        "init", table, "--task", task, "--labels", labels, "--text", "left,right", "--to", to
    )
    assert (found.code, found.err) == (0, "")
    checked = run("guideline", "check", to / "guideline.yaml")
    assert checked.code == 0
    assert "error" not in checked.out
    planned = run("plan", "--project", to, "--json")
    assert json.loads(planned.out)["annotators"][0]["calls"] == (2 if task == "pairwise" else 1)
    wrong = run(
        "init", table, "--task", task, "--labels", "x" if not labels else "", "--to", tmp_path
    )
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)


def test_init_names_the_tasks(tmp_path, run):
    found = run("init", tmp_path / "x.csv", "--task", "guessing", "--labels", "a,b")
    assert found.code == 2
    assert "use one of: classification, multi-label, hierarchical, spans" in found.err


def test_every_command_stands_in_one_section_of_the_help():
    program = typer.main.get_command(app)
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(program.commands)
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(f"{title}:" in shown for title in SECTIONS)
    assert shown.count("...") == 1  # of the usage; no sentence is cut
