"""`prelabel review` and the commands below it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from measured import Simulated, seeded, truth_of, with_gold
from review_site import disputed, serving
from typer.testing import CliRunner

from prelabel.cli_review import add_review
from prelabel.errors import InputError, MissingExtraError
from prelabel.exchange.tables import read_rows
from prelabel.project import Project

app = typer.Typer()
add_review(app)


@app.command()
def other() -> None:
    """Stand beside `review`, so that it is a command of several."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return disputed(tmp_path / "project", ["one", "two"])


def run(*args: object) -> Any:
    return CliRunner().invoke(app, ["review", *map(str, args)])


def test_invite_review_and_results(project: Project, tmp_path: Path) -> None:
    folder = project.folder
    assert run("queue", "-p", folder).exit_code == 0
    answer = run("invite", "ada", "--senior", "-p", folder, "--url", "http://review.example/")
    assert answer.output.startswith("http://review.example/login?token=")
    token = answer.output.strip().split("token=")[1]
    with serving(project) as site:
        client = site.client()
        page = client.post("/login", data={"token": token}, headers={"origin": site.url})
        assert page.url.path.startswith("/item/")
        site.join("ada", "senior").decide(label="toxic", cause="annotator_error")
    told = json.loads(run("results", "-p", folder, "--json").stdout)
    assert told["settled"] == 1
    assert told["waiting"] == {"done": 1, "open": 1}
    assert told["authors"] == {"ada": 1}
    to = tmp_path / "decisions.jsonl"
    assert "wrote 1 decisions" in run("results", "-p", folder, "--export", to).output
    row = next(iter(read_rows(to))).cells
    assert (row["id"], row["label"], row["status"], row["cause"]) == (
        "i0",
        "toxic",
        "final",
        "annotator_error",
    )


def test_fairness_and_lift(tmp_path: Path) -> None:
    project = seeded(with_gold(tmp_path / "project", 60, 30, gold_rate=0.5))
    truth = truth_of(project)
    with serving(project) as site:
        Simulated(truth, 0.0, 0.0, 0).work(site.join("ada"), 40)
    folder = project.folder
    told = json.loads(run("fairness", "-p", folder, "--json").stdout)
    assert told["flagged"] == ["ada"]
    assert told["reviewers"]["ada"]["accuracy"]["value"] == 0
    shown = run("fairness", "-p", folder).stdout
    assert "below, flagged" in shown
    assert "automation bias is not defined, because no planted suggestion was shown" in " ".join(
        shown.split()
    )
    assert json.loads(run("results", "-p", folder, "--json").stdout)["flagged"]["ada"] > 0
    assert isinstance(run("lift", "ada", "-p", folder, "--reason", " ").exception, InputError)
    assert run("lift", "ada", "-p", folder, "--reason", "gold was wrong").exit_code == 0
    assert json.loads(run("results", "-p", folder, "--json").stdout)["flagged"] == {}


def test_options_before_a_command_are_not_lost_silently(project: Project) -> None:
    found = run("-p", project.folder, "results")
    assert isinstance(found.exception, InputError)
    assert "write --project after results" in str(found.exception)


def test_the_server_does_not_start_where_it_cannot(project: Project, monkeypatch: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = run("-p", project.folder, "--port", taken.getsockname()[1], "--no-browser")
    assert isinstance(found.exception, InputError)
    assert "choose another with --port" in str(found.exception)
    found = run("-p", project.folder, "--host", "0.0.0.0")
    assert "--url" in str(found.exception)
    monkeypatch.setitem(sys.modules, "starlette", None)
    found = run("-p", project.folder)
    assert isinstance(found.exception, MissingExtraError)
    assert str(found.exception) == 'review needs its web server; pip install "prelabel[review]"'


def test_help_has_examples() -> None:
    for command in ((), ("invite",), ("queue",), ("results",), ("fairness",), ("lift",)):
        assert "Example: prelabel review" in run(*command, "--help").output
