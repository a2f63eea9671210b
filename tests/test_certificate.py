"""The certificate: all that it says can be checked, and it can be made of no other rule."""

import html
import json
import re
import shlex
from html.parser import HTMLParser

import pytest
from audit_projects import fill, noisy, project_of
from scipy.stats import binom
from typer.testing import CliRunner

from prelabel import api, certificate
from prelabel.audited_errors import audit_error
from prelabel.auditing_accepted import audit
from prelabel.certifying import as_markdown
from prelabel.cli import app
from prelabel.errors import InputError, RuleMismatchError
from prelabel.project import load_project

SETTINGS = {
    "selective": {"promise": "selective", "target": 0.2},
    "dataset": {"promise": "dataset", "target": 0.15, "delta": 0.05},
    "expected": {"promise": "expected", "target": 0.15},
    "strict": {"promise": "dataset", "target": 0.25, "strict": True},
    "each": {"promise": "dataset", "target": 0.2, "each": "label"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    truth, said = noisy(240, wrong=0.06)
    gold = list(truth)[:160]
    return project_of(tmp_path_factory.mktemp("certified"), truth, said, gold=gold)


@pytest.fixture(scope="module", params=SETTINGS)
def made(request, project):
    """Return a certificate of each kind of rule."""
    fitted = api.fit(project, to=project.folder / "r.json", **SETTINGS[request.param])
    to = project.folder / f"{request.param}.html"
    return certificate(project, fitted.path, to), fitted.rule, project


def test_each_check_is_python_that_gives_what_is_claimed(made):
    found, rule, _ = made
    page = html.unescape(found.path.read_text(encoding="utf-8"))
    checks = [one for one in found.facts["promises"] if one["check"]]
    assert checks
    for one in checks:
        assert f"{one['check']}  # {one['holds']}" in page
        assert one["holds"] is True
        assert eval(one["check"], {"binom": binom})
        promise = rule.promises[one["group"]]
        assert (one["threshold"], one["wrong"]) == (promise.threshold, promise.wrong)
        assert one["sentence"] == promise.sentence()
        assert promise.sentence() in page
    for step in (step for one in checks for step in one["steps"]):
        expected = binom.cdf(step["wrong"], step["tested"], rule.promises[""].target)
        assert step["p_value"] == pytest.approx(expected)


def test_its_commands_run_and_give_the_same_rule(made, monkeypatch):
    found, rule, project = made
    page = html.unescape(found.path.read_text(encoding="utf-8"))
    monkeypatch.chdir(project.folder)
    shown, fitted, drawn = (shlex.split(command)[1:] for command, _ in found.facts["commands"])
    for command, what in found.facts["commands"]:
        assert f"{command}  # {what}" in page
    run = CliRunner().invoke
    told = json.loads(run(app, [*shown, "--json"]).output)
    assert told["rule"] == rule.hash
    accepted = sum(one["accepted"] for one in told["items"].values())
    assert accepted == found.facts["items"]["accepted"]
    assert json.loads(run(app, [*fitted, "--json"]).output)["rule"] == rule.hash
    assert drawn[:2] == ["audit", "sheet.csv"]
    if accepted:
        assert run(app, drawn).exit_code == 0
        (project.folder / "sheet.csv").unlink()


def test_it_names_all_that_went_into_it(made):
    found, rule, _ = made
    page = found.path.read_text(encoding="utf-8")
    for one in (rule.hash, rule.guideline_hash, found.facts["items"]["fingerprint"]):
        assert one in page
    assert {one["name"] for one in found.facts["annotators"]} == {"x", "y", "z"}
    assert found.facts["gold"]["at_hand"] is True
    assert found.facts["gold"]["fingerprint"] in page
    json.dumps(found.to_dict(), allow_nan=False)


def test_it_fits_on_a_page_and_asks_nothing_of_the_web(made):
    page = made[0].path.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)\b|https?://", page)

    opened = []

    class Nested(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Nested().feed(page)
    assert opened == []


@pytest.fixture
def own(tmp_path):
    truth, said = noisy(150, wrong=0.04)
    project = project_of(tmp_path, truth, said, gold=list(truth)[:120])
    return project, api.fit(project, to=tmp_path / "r.json", promise="dataset", target=0.15).path


def test_a_rule_edited_by_hand_is_refused(own, tmp_path):
    project, rule = own
    data = json.loads(rule.read_text())
    data["promise"]["groups"][""]["target"] = 0.01
    rule.write_text(json.dumps(data))
    with pytest.raises(InputError, match="changed after it was fitted; fit it again"):
        certificate(project, rule, tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()


def test_a_rule_without_a_promise_has_no_certificate(own, tmp_path):
    path = api.fit(own[0], to=tmp_path / "plain.json").path
    with pytest.raises(InputError, match="makes no promise; fit one with"):
        certificate(own[0], path, tmp_path / "c.html")


def test_the_guideline_of_another_day_is_refused(own, tmp_path):
    project, rule = own
    text = (project.folder / "guideline.yaml").read_text()
    (project.folder / "guideline.yaml").write_text(text.replace('"Which?"', '"Which one?"'))
    now = load_project(project.folder)
    api.import_annotations(now, project.folder / "said.jsonl", layout="long")
    with pytest.raises(RuleMismatchError, match="fitted under guideline"):
        certificate(now, rule, tmp_path / "c.html")


def test_a_page_ends_in_html_or_md(own, tmp_path):
    with pytest.raises(InputError, match=r"let its name end in \.html or \.md"):
        certificate(own[0], own[1], tmp_path / "c.pdf")


def test_other_gold_than_that_of_the_promise_is_said(own, tmp_path):
    project, rule = own
    lines = (project.folder / "gold.jsonl").read_text().splitlines()
    (project.folder / "gold.jsonl").write_text("\n".join(lines[:-1]))
    found = certificate(load_project(project.folder), rule, tmp_path / "c.md")
    assert found.facts["gold"]["at_hand"] is False
    assert "**other gold**" in (tmp_path / "c.md").read_text()


def test_gold_drawn_otherwise_is_named_and_does_not_make_it_other_gold(own, tmp_path):
    project, _ = own
    rows = [json.loads(x) for x in (project.folder / "gold.jsonl").read_text().splitlines()]
    marked = [r | {"drawn": "review" if n < 20 else "random"} for n, r in enumerate(rows)]
    (project.folder / "gold.jsonl").write_text("\n".join(map(json.dumps, marked)))
    now = load_project(project.folder)
    rule = api.fit(now, to=tmp_path / "d.json", promise="dataset", target=0.15).path
    found = certificate(now, rule, tmp_path / "c.md", drawn="by lot, in May").facts["gold"]
    assert (found["left_out"], found["at_hand"], found["tested"]) == (["review"], True, 100)
    assert "by lot, in May" in (tmp_path / "c.md").read_text()


def test_audits_and_the_alarm_are_on_it(own, tmp_path):
    project, rule = own
    assert "nothing beyond gold speaks for the promise" in made_md(project, rule)
    truth, _ = noisy(150, wrong=0.04)
    audit(project, tmp_path / "s.csv", n=60, rule=rule, target=0.05)
    fill(tmp_path / "s.csv", dict.fromkeys(truth, "a"))  # two of three labels are another
    report = audit_error(project, tmp_path / "s.csv")
    assert report.stopped
    page = made_md(project, rule)
    assert "The rule accepts nothing any more" in page
    assert "0 of 150 items are accepted now" in page
    assert f"{report.checked} of {report.drawn}" in page


def made_md(project, rule):
    return certificate(project, rule, project.folder / "c.md").path.read_text()


HOSTILE = "<script>alert(1)</script> | **bold** `code` [x](javascript:x) &amp; # {{ 7*7 }}"


def test_hostile_names_are_shown_as_they_are(tmp_path):
    truth, said = noisy(120, wrong=0.04)
    said = {f"{name} {HOSTILE}": own for name, own in said.items()}
    gold = list(truth)[:90]
    project = project_of(tmp_path, truth, said, gold=gold, name=f"g {HOSTILE}")
    rule = api.fit(project, to=tmp_path / "r.json", promise="dataset", target=0.2).path
    page = certificate(project, rule, tmp_path / "c.html", drawn=HOSTILE).path.read_text()
    assert "<script" not in page
    assert html.escape(HOSTILE, quote=True).replace("&#x27;", "&#39;") in page
    text = certificate(project, rule, tmp_path / "c.md", drawn=HOSTILE).path.read_text()
    outside, inside = re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.findall("```", text)
    assert len(inside) == 4  # two blocks, opened and closed
    assert "<script" not in outside.replace("\\<", "")
    assert as_markdown(HOSTILE) in outside
    assert "49" not in outside.replace(rule.name, "").split("made")[0][:200]
    rows = [line for line in outside.splitlines() if line.startswith("| annotator")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [4, 4, 4]


def test_on_the_command_line(own, tmp_path):
    project, rule = own
    to = tmp_path / "page.md"
    options = ["certificate", "-p", str(project.folder), "--rule", str(rule), "--to", str(to)]
    shown = CliRunner().invoke(app, options)
    assert shown.exit_code == 0
    assert "With probability 90% wrong accepted labels are at most 15% of all items" in " ".join(
        shown.output.split()
    )
    assert to.exists()
    assert json.loads(CliRunner().invoke(app, [*options, "--json"]).output)["file"] == str(to)
