"""doctor: what it finds in the way of a run, each in one line, without a call or a secret."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
from projects import SECRET, make_project
from typer.testing import CliRunner

from prelabel.cli import app
from prelabel.diagnosis import doctor
from prelabel.ledger import Ledger


def annotator(**settings):
    return {"name": "gpt", "model": "openai/gpt-4o-mini"} | settings


def levels(folder):
    return {check.what: check for check in doctor(folder).checks}


def test_a_project_that_can_be_labeled_is_healthy(tmp_path):
    make_project(tmp_path, ["x", "y"], [annotator(api_key=SECRET)])
    found = doctor(tmp_path)
    checks = {check.what: check for check in found.checks}
    assert found.healthy
    assert checks["items"].found == "2 items"
    assert checks["guideline"].found.startswith("comments, classification")
    assert checks["annotator gpt"].level == "ok"
    assert "a million tokens" in checks["annotator gpt"].found
    assert (checks["gold"].level, checks["ledger"].found) == ("note", "nothing labeled yet")
    assert SECRET not in json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("settings", "level", "said"),
    [
        ({}, "note", "no key: set OPENAI_API_KEY"),
        ({"api_key": "${NO_SUCH_VARIABLE}"}, "error", "NO_SUCH_VARIABLE"),
        ({"model": "nobody/x"}, "error", "unknown provider"),
        ({"model": "local/nothing.gguf"}, "error", "no such file"),
        ({"model": "openai/mine", "base_url": "http://localhost:1/v1"}, "note", "unknown price"),
    ],
)
def test_what_an_annotator_lacks(tmp_path, monkeypatch, settings, level, said):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    make_project(tmp_path, ["x"], [annotator(**settings)])
    check = levels(tmp_path)["annotator gpt"]
    assert check.level == level
    assert said in check.found


def test_every_broken_file_is_named_and_the_rest_still_looked_at(tmp_path):
    project = make_project(tmp_path, ["x"], [annotator(api_key=SECRET)])
    (tmp_path / "items.jsonl").write_text('{"id": "a"}\n')
    Ledger(project.state / "ledger.sqlite").close()
    whole = (project.state / "ledger.sqlite").read_bytes()
    (project.state / "ledger.sqlite").write_bytes(b"\0" * 200 + whole[200:])
    checks = levels(tmp_path)
    assert checks["items"].level == checks["ledger"].level == "error"
    assert "items.jsonl:1" in checks["items"].found
    assert "restore it from a backup" in checks["ledger"].found
    assert checks["annotator gpt"].level == "ok"


def test_looking_changes_no_ledger_and_makes_none(tmp_path):
    project = make_project(tmp_path, ["x"], [])
    assert doctor(tmp_path).healthy
    assert not (tmp_path / ".prelabel").exists()
    Ledger(project.state / "ledger.sqlite").close()
    before = (project.state / "ledger.sqlite").read_bytes()
    assert levels(tmp_path)["ledger"].level == "ok"
    assert (project.state / "ledger.sqlite").read_bytes() == before
    assert sqlite3.connect(project.state / "ledger.sqlite").execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_a_state_folder_that_others_read_is_noted(tmp_path):
    project = make_project(tmp_path, ["x"], [])
    assert "privacy" not in levels(tmp_path)
    project.state.chmod(0o755)
    assert "chmod 700" in levels(tmp_path)["privacy"].found


def test_the_command_leaves_with_1_where_something_is_in_the_way(tmp_path):
    make_project(tmp_path, ["x"], [annotator(model="nobody/x")])
    run = CliRunner().invoke(app, ["doctor", "--project", str(tmp_path)])
    assert run.exit_code == 1
    last = run.output.strip().splitlines()[-1]
    assert last.startswith("error annotator gpt: model 'nobody/x': unknown provider")
    asked = CliRunner().invoke(app, ["doctor", "--project", str(tmp_path), "--json"])
    assert json.loads(asked.output)["healthy"] is False
    missing = CliRunner().invoke(app, ["doctor", "--project", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "settings" in missing.output


def test_without_a_project_the_installation_is_looked_at(tmp_path):
    command = [sys.executable, "-m", "prelabel", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "note  project: none in" in done.stdout
