"""The review over a real socket: forms, several people, and what hostile requests get."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from review_site import Browser, Page, Site, disputed, evalset, free_port, record, serving, start

from prelabel.project import load_project
from prelabel.resources import data_folder
from prelabel.review import decisions
from prelabel.review import serving as serving_module
from prelabel.review.forms import make_form
from prelabel.review.results import rows
from prelabel.review.serving import refresh
from prelabel.review.store import open_store

TEXTS = [f"comment number {n}" for n in range(5)]
EVALSETS = sorted(path.parent.name for path in data_folder("evalsets").glob("*/items.jsonl"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(disputed(tmp_path / "project", TEXTS)) as running:
        yield running


def test_decide_skip_undo_previous(site: Site) -> None:
    ada = site.join("ada")
    assert (ada.item, ada.path.startswith("/item/")) == ("i0", True)
    ada.decide(label="toxic", cause="guideline_gap", note="not said")
    assert ada.item == "i1"
    assert "Stored" in ada.html
    one = decisions(site.project)["i0"]
    assert (one.label, one.author, one.cause, one.note) == (
        "toxic",
        "ada",
        "guideline_gap",
        "not said",
    )
    ada.skip()
    assert ada.item == "i2"
    previous = re.search(r'href="(/item/\w+)" data-key="p"', ada.html)
    ada.undo()
    assert ada.item == "i1"
    ada.undo()
    assert (ada.item, decisions(site.project)) == ("i0", {})
    ada.decide(label="not_toxic")
    ada.get(re.search(r'href="(/item/\w+)" data-key="p"', ada.html)[1])
    assert previous
    assert ada.item == "i0"
    assert "You decided" in ada.html
    ada.decide(label="toxic")
    assert decisions(site.project)["i0"].label == "toxic"
    assert [row["status"] for row in rows(site.project)] == ["final"]
    for _ in range(4):
        ada.get().decide(label="toxic")
    assert "Nothing is left for you" in ada.html
    assert "All 5 items" in ada.html


def test_a_double_click_stores_one(site: Site) -> None:
    ada = site.join("ada")
    path, form = ada.path, ada.tokens() | {"label": "toxic"}
    first, second = ada.post(path, form), ada.post(path, form)
    assert first.url == second.url
    assert len(list(rows(site.project))) == 1
    ada.get()
    undo = ada.tokens() | {"n": ada.hidden("n")}
    ada.post("/undo", undo)
    ada.post("/undo", undo)
    assert decisions(site.project) == {}


def test_what_the_guideline_refuses_comes_back_with_what_was_written(site: Site) -> None:
    ada = site.join("ada")
    answer = ada.decide(
        label="poisonous", note="see <b>above</b>", cause="label_set_gap", ruling="1"
    )
    assert answer.status_code == 422
    assert "&#39;poisonous&#39; is not one of: toxic, not_toxic" in ada.html
    assert "see &lt;b&gt;above&lt;/b&gt;</textarea>" in ada.html
    assert '<option value="label_set_gap" selected>' in ada.html
    assert decisions(site.project) == {}
    assert ada.decide().status_code == 422
    assert ada.decide(none="1").status_code == 422
    ada.decide(none="1", cause="label_set_gap")
    assert decisions(site.project)["i0"].label is None


@pytest.mark.parametrize("name", EVALSETS)
def test_each_task_by_its_form(name: str, tmp_path: Path) -> None:
    """A reviewer who fills in the form with gold's label: what is stored is gold's label."""
    project = evalset(tmp_path / "project", name)
    task = project.task
    gold = {one.item_id: one.label for one in project.gold}
    with serving(project, blind=True) as site:
        ada, form = site.join("ada"), make_form(task)
        for _ in range(3):
            label = gold[ada.item]
            if task.name == "text" and isinstance(label, list):
                label = label[0]
            item = ada.item
            assert ada.decide(**form.fill(label)).status_code == 200, ada.html
            assert task.right(gold[item], decisions(project)[item].label)
        refused = {
            "label": "no such",
            "spans": '[[0,9999,"x"]]',
            "head": "T99",
            "answer": " ",
            "field0": "x",
        }
        assert ada.decide(**refused).status_code == 422
        assert 'role="alert"' in ada.html


def test_more_rows_and_a_candidate_to_start_from(tmp_path: Path) -> None:
    project = evalset(tmp_path / "project", "staff-news")
    with serving(project) as site:
        ada = site.join("ada")
        assert ada.html.count('name="head"') == 3  # the suggestion, and two blank rows
        ada.decide(head=["T1"], relation=["works_for"], tail=[""], more="1")
        assert ada.page.status_code == 200
        assert ada.html.count('name="head"') == 3
        assert decisions(project) == {}
        ada.get(f"{ada.path}?start=1")
        assert ada.html.count('name="head"') == 2
        assert ada.get(f"{ada.path}?start=99999").page.status_code == 200
        assert ada.get(f"{ada.path}?start=" + "9" * 5000).page.status_code == 200


def test_two_reviewers_and_a_senior(tmp_path: Path) -> None:
    with serving(disputed(tmp_path / "project", TEXTS), overlap=2) as site:
        ada, bo, cy = site.join("ada"), site.join("bo"), site.join("cy", "senior")
        assert (ada.item, bo.item, cy.item) == ("i0", "i0", "i1")
        assert "alpha" in ada.html
        ada.decide(label="toxic", note="it hurts")
        bo.decide(label="not_toxic")
        cy.skip()
        assert cy.item == "i0"
        assert "reviewers decided differently" in cy.html
        assert all(word in Page(cy.html).text for word in ("ada", "bo", "it hurts", "alpha"))
        cy.decide(label="toxic", cause="annotator_error")
        assert decisions(site.project)["i0"].author == "cy"


def test_a_blind_page_holds_nothing_that_was_said(tmp_path: Path) -> None:
    project = disputed(tmp_path / "project", TEXTS, labels=("alligator", "crocodile", "salamander"))

    said = [(f"i{n}", name, label) for n in range(5)
            for name, label in (("annotator-one", "alligator"), ("annotator-two", "crocodile"))]  # fmt: skip
    record(project, said)
    with serving(project, blind=True) as site:
        ada = site.join("ada", "senior")
        blind = ada.html
        for name in ("annotator-one", "annotator-two", "alpha", "beta"):
            assert name not in blind
        counts = {blind.count(label) for label in ("alligator", "crocodile", "salamander")}
        assert len(counts) == 1  # each label is there as often as one that nobody said
        assert ada.get(f"{ada.path}?start=0").html.count("alligator") in counts
    with serving(project) as site:
        assert "annotator-one" in site.join("bo").html


def test_a_second_opinion_is_blind_also_to_rulings_on_its_item(tmp_path: Path) -> None:
    with serving(disputed(tmp_path / "project", TEXTS), overlap=2) as site:
        ada, bo = site.join("ada"), site.join("bo")
        ada.decide(label="toxic", note="because-of-ada", ruling="1")
        assert "alpha" in ada.html  # the next item is her first
        assert "because-of-ada" in ada.html  # a similar case
        assert bo.get().item == "i0"
        for word in ("alpha", "beta", "because-of-ada", "ada"):
            assert word not in bo.html
        assert "because-of-ada" in bo.get("/guideline").html  # case law, for who looks it up


def test_a_queue_built_under_another_guideline_stops_an_old_server(site: Site) -> None:

    ada = site.join("ada")
    path, form = ada.path, ada.tokens() | {"label": "toxic"}
    project = load_project(site.project.folder)
    guideline = json.loads((project.folder / "guideline.yaml").read_text())
    (project.folder / "guideline.yaml").write_text(json.dumps(guideline | {"purpose": "Another."}))
    project = load_project(project.folder)

    record(
        project,
        [
            (f"i{n}", name, label)
            for n in range(5)
            for name, label in (("a", "toxic"), ("b", "not_toxic"))
        ],
    )
    refresh(project, site.database)
    assert ada.post(path, form).status_code == 409
    assert ada.get().page.status_code == 409
    assert "start `prelabel review` again" in ada.html
    assert decisions(project) == {}


def test_the_queue_is_built_again_only_if_facts_changed(tmp_path: Path, monkeypatch: Any) -> None:

    project = disputed(tmp_path / "project", TEXTS)
    built: list[int] = []
    build = serving_module.build
    monkeypatch.setattr(serving_module, "build", lambda *a, **k: built.append(1) or build(*a, **k))
    opened = open_store(project)
    refresh(project, opened, always=False)
    assert refresh(project, opened, always=False).overlap == 1
    assert len(built) == 1
    assert refresh(project, opened, always=False, overlap=3).overlap == 3
    assert refresh(project, opened, always=False).overlap == 3
    assert len(built) == 2

    record(project, [("i0", "gamma", "toxic")])
    refresh(project, opened, always=False)
    assert len(built) == 3
    refresh(project, opened)
    assert len(built) == 4
    opened.close()


def test_kill_loses_no_decision_that_was_acknowledged(tmp_path: Path) -> None:
    project = disputed(tmp_path / "project", [f"text {n}" for n in range(12)])
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    cookies, told = httpx.Cookies(), {}
    for turn in range(2):
        process, address = start(project, port)
        assert address.startswith(f"{url}/login?token=")
        with httpx.Client(base_url=url, cookies=cookies, follow_redirects=True) as client:
            page = client.get("/next")
            if turn == 0:
                assert page.url.path == "/login"
                token = address.split("token=")[1]
                page = client.post("/login", data={"token": token}, headers={"origin": url})
            owner = Browser(client, url, page)  # the session outlives the process
            for _ in range(3):
                item, label = owner.item, "toxic" if len(told) % 2 else "not_toxic"
                assert owner.decide(label=label).status_code == 200
                told[item] = label
            cookies = client.cookies
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()
        assert {item: one.label for item, one in decisions(project).items()} == told
    assert len(told) == 6
