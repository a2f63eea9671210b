"""Audits from the sheet to the alarm, as a user meets them."""

import csv
import json

import pytest
import typer
from audit_projects import fill, noisy, project_of, rows_of
from typer.testing import CliRunner

from prelabel import api
from prelabel.audit_log import FILE, read_log
from prelabel.audited_errors import audit_error, stopped
from prelabel.auditing_accepted import audit
from prelabel.cli_audit import add_audit
from prelabel.errors import InputError
from prelabel.project import load_project


@pytest.fixture
def made(tmp_path):
    truth, said = noisy()
    return project_of(tmp_path, truth, said), truth, said


# The sheet


def test_the_sheet_is_blind(made, tmp_path):
    project, _, said = made
    found = audit(project, tmp_path / "s.csv", n=60, target=0.05)
    rows = rows_of(tmp_path / "s.csv")
    assert list(rows[0]) == ["id", "text", "label", "audit"]
    assert {row["label"] for row in rows} == {""}
    assert len({row["id"] for row in rows}) == 60
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
    assert found.accepted == 300
    assert set(found.strata) == {"1: agreement 0.667", "2: agreement 1"}
    assert sum(drawn for _, drawn in found.strata.values()) == 60
    written = json.dumps(found.to_dict()["table"])
    assert all(f'"label": "{label}"' not in written for label in "abc")
    accepted = {row["id"]: said["x"][row["id"]] for row in rows}
    listed = read_log(project).draws[found.audit].items
    assert {one.item: one.label for one in listed} == accepted


def test_a_field_may_be_named_as_a_column_of_the_sheet(tmp_path):
    truth, said = noisy(30)
    project_of(tmp_path, truth, said)
    settings = "items: {path: items.jsonl, text: [text, author, audit]}\n"
    rows = [{"id": i, "text": "t", "author": "Poe", "audit": "2024"} for i in truth]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "prelabel.yaml").write_text(settings)
    project = load_project(tmp_path)
    api.import_annotations(project, tmp_path / "said.jsonl", layout="long")
    audit(project, tmp_path / "s.csv", n=10)
    columns = list(rows_of(tmp_path / "s.csv")[0])
    assert columns == ["id", "text", "field.author", "field.audit", "label", "audit"]
    fill(tmp_path / "s.csv", truth)
    assert audit_error(project, tmp_path / "s.csv").checked == 10


def test_the_same_seed_draws_the_same_and_no_item_is_drawn_twice(made, tmp_path):
    project, truth, _ = made
    names = [tmp_path / f"{k}.csv" for k in range(4)]
    for name in names[:2]:
        audit(project, name, n=50, seed=5)
    first = {row["id"] for row in rows_of(names[0])}
    assert {row["id"] for row in rows_of(names[1])} == first
    fill(names[0], truth)
    audit_error(project, names[0])
    found = audit(project, names[2], n=50, seed=5)
    assert found.known == 50
    assert not first & {row["id"] for row in rows_of(names[2])}
    audit(project, names[3], n=1000)
    assert len(rows_of(names[3])) == 250


def test_what_cannot_be_audited(made, tmp_path):
    project, truth, _ = made
    there = tmp_path / "s.csv"
    there.write_text("x")
    with pytest.raises(InputError, match="is there already, with work in it perhaps"):
        audit(project, there)
    with pytest.raises(InputError, match="n must be 1 or more, got 0"):
        audit(project, tmp_path / "t.csv", n=0)
    with pytest.raises(InputError, match="unknown kind of file"):
        audit(project, tmp_path / "t.doc")
    with pytest.raises(InputError, match="target must be above 0 and below 1"):
        audit(project, tmp_path / "t.csv", target=5)
    assert not read_log(project).draws
    audit(project, tmp_path / "t.csv", n=300)
    fill(tmp_path / "t.csv", truth)
    audit_error(project, tmp_path / "t.csv")
    with pytest.raises(InputError, match="all 300 accepted items are audited already"):
        audit(project, tmp_path / "u.csv")


def test_nothing_accepted(tmp_path):
    truth, said = noisy(20)
    said = {"x": said["x"]}  # two votes are needed
    project = project_of(tmp_path, truth, said)
    with pytest.raises(InputError, match="no item is accepted, so there is nothing to audit"):
        audit(project, tmp_path / "s.csv")


def test_a_target_stays(made, tmp_path):
    project, _, _ = made
    assert audit(project, tmp_path / "a.csv").target is None
    assert audit(project, tmp_path / "b.csv", target=0.1).target == 0.1
    assert audit(project, tmp_path / "c.csv").target == 0.1
    with pytest.raises(
        InputError, match=r"watched for an error of 0\.1, not 0\.2; a target changed"
    ):
        audit(project, tmp_path / "d.csv", target=0.2)


def test_a_promise_is_the_target(tmp_path):
    truth, said = noisy(300, wrong=0.02)
    project = project_of(tmp_path, truth, said, gold=list(truth)[:200])
    rule = tmp_path / "rule.json"
    api.fit(project, to=rule, promise="selective", target=0.1, delta=0.2)
    found = audit(project, tmp_path / "s.csv", rule=rule, n=40)
    assert found.target == 0.1
    assert all("confidence" in name for name in found.strata)
    api.fit(project, to=tmp_path / "d.json", promise="dataset", target=0.1, delta=0.2)
    routes = api.route(project, rule=tmp_path / "d.json")
    found = audit(project, tmp_path / "d.csv", rule=tmp_path / "d.json", n=40)
    assert found.target == pytest.approx(0.1 * 300 / len(routes.accepted))


# The sheet read back


def test_the_error_is_found_and_recorded_once(made, tmp_path):
    project, truth, said = made
    path = tmp_path / "s.csv"
    audit(project, path, n=300, target=0.2)
    fill(path, truth)
    found = audit_error(project, path, author="ann")
    bad = {item for item in truth if said["x"][item] != truth[item]}
    assert found.error.value == found.error.low == pytest.approx(len(bad) / 300)
    assert {one.item for one in found.wrong} == bad
    assert all(one.label == truth[one.item] for one in found.wrong)
    assert (found.checked, found.drawn, found.new, found.accepted) == (300, 300, 300, 300)
    assert found.watched.wrong == len(bad)
    again = audit_error(project, path)
    assert again.new == 0
    assert (again.error, again.watched) == (found.error, found.watched)
    lines = [json.loads(text) for text in (project.state / FILE).read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["draw"] + ["outcome"] * 300
    assert lines[1].keys() >= {"created", "rule", "stratum", "inclusion", "author", "item_hash"}
    assert {line["author"] for line in lines[1:]} == {"ann"}
    assert json.loads(json.dumps(found.to_dict()))["watched"]["audits"] == 300
    assert (project.state / FILE).stat().st_mode & 0o077 == 0


def test_estimates_of_random_audits_are_unbiased(tmp_path):
    truth, said = noisy(200, wrong=0.15, split=0.5)
    project = project_of(tmp_path, truth, said)
    true = sum(said["x"][item] != truth[item] for item in truth) / 200
    values, held = [], 0
    for seed in range(20):
        path = tmp_path / f"{seed}.csv"
        audit(project, path, n=60, seed=seed)
        fill(path, truth)
        found = audit_error(project, path)
        (project.state / FILE).unlink()  # each audit by itself
        values.append(found.error.value)
        held += found.error.low <= true <= found.error.high
    assert sum(values) / 20 == pytest.approx(true, abs=3 * 0.045 / 20**0.5)
    assert held >= 17


def test_a_sheet_filled_in_part_and_later_in_full(made, tmp_path):
    project, truth, _ = made
    path = tmp_path / "s.csv"
    audit(project, path, n=60, target=0.3)
    order = [row["id"] for row in rows_of(path)]
    fill(path, {item: truth[item] for item in order[:40]})
    part = audit_error(project, path)
    assert (part.checked, part.new) == (40, 40)
    assert "20 items of the sheet have no label yet" in part.notes[0]
    fill(path, truth)
    whole = audit_error(project, path)
    assert (whole.checked, whole.new) == (60, 20)
    assert [one.item for one in read_log(project).outcomes.values()] == order


def test_a_correction_supersedes_and_both_are_kept(made, tmp_path):
    project, _, said = made
    path = tmp_path / "s.csv"
    audit(project, path, n=30, target=0.3)
    fill(path, said["x"])
    assert audit_error(project, path).error.value == 0
    item = rows_of(path)[7]["id"]
    other = next(x for x in "abc" if x != said["x"][item])
    fill(path, said["x"] | {item: other}, author="eve")
    found = audit_error(project, path)
    assert ([one.item for one in found.wrong], found.new) == ([item], 1)
    log = read_log(project)
    assert [one.wrong for one in log.outcomes.values()].index(True) == 7
    assert sum(item in text for text in (project.state / FILE).read_text().splitlines()[1:]) == 2
    assert log.outcomes[found.audit, item].author == "eve"


def test_a_stratum_that_was_not_looked_at_is_named(made, tmp_path):
    project, truth, _ = made
    path = tmp_path / "s.csv"
    found = audit(project, path, n=60)
    sure = {one.item for one in read_log(project).draws[found.audit].items if "1: " in one.stratum}
    fill(path, {item: truth[item] for item in sure})
    assert audit_error(project, path).error.why == "nothing was looked at in 2: agreement 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "q"}, r"s.csv:2: label 'q' is not"),
        ({"id": "zz", "label": "a"}, r"s.csv:2: item 'zz' was not on the sheet of audit"),
        ({"audit": "", "label": "a"}, r"s.csv:2: of no audit of this project \(column 'audit'"),
        ({"id": "", "label": "a"}, r"s.csv:2: column 'id' is empty"),
        ({}, r"s.csv: no row has a label; fill the column 'label'"),
    ],
)
def test_rows_that_are_refused(made, tmp_path, change, message):
    project, _, _ = made
    path = tmp_path / "s.csv"
    audit(project, path, n=10)
    rows = rows_of(path)
    rows[0] |= change
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    with pytest.raises(InputError, match=message) as caught:
        audit_error(project, path)
    assert "\n" not in str(caught.value)
    assert not read_log(project).outcomes


def test_conflicts_and_rows_of_two_audits(made, tmp_path):
    project, truth, _ = made
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    audit(project, one, n=10)
    audit(project, two, n=10, seed=9)
    fill(one, truth)
    rows = rows_of(one)
    name = rows[3]["id"]
    other = next(x for x in "abc" if x != truth[name])
    fill(one, {}, [*rows, rows[3]])
    twice = [row | {"label": truth[row["id"]]} for row in rows] + [rows[3] | {"label": other}]
    with one.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, twice[0])
        table.writeheader()
        table.writerows(twice)
    with pytest.raises(InputError, match=rf"one.csv:12: item '{name}' has another label on line 5"):
        audit_error(project, one)
    fill(
        one,
        truth,
        [*rows, *(row for row in rows_of(two) if row["id"] not in {r["id"] for r in rows})],
    )
    with pytest.raises(InputError, match=r"one.csv:12: is of audit '\w+', earlier rows of '\w+'"):
        audit_error(project, one)
    fill(one, truth, [*rows, rows[3]])  # the same label twice is no conflict
    assert audit_error(project, one).checked == 10


def test_a_sheet_of_an_earlier_guideline(made, tmp_path):
    project, truth, _ = made
    audit(project, tmp_path / "s.csv", n=10)
    fill(tmp_path / "s.csv", truth)
    document = json.loads((tmp_path / "guideline.yaml").read_text())
    (tmp_path / "guideline.yaml").write_text(json.dumps(document | {"question": "Now what?"}))
    with pytest.raises(InputError, match="was drawn under guideline"):
        audit_error(load_project(tmp_path), tmp_path / "s.csv")


def test_ids_that_a_spreadsheet_would_run(tmp_path):
    texts = {f"=i{n}": f"@text {n}" for n in range(40)}
    truth = dict.fromkeys(texts, "a")
    project = project_of(tmp_path, truth, dict.fromkeys("xy", truth), texts=texts)
    audit(project, tmp_path / "s.csv", n=20)
    rows = rows_of(tmp_path / "s.csv")
    assert all(row["id"].startswith("'=") for row in rows)
    fill(tmp_path / "s.csv", {row["id"]: "a" for row in rows})
    assert audit_error(project, tmp_path / "s.csv").checked == 20


@pytest.mark.parametrize("ending", ["jsonl", "tsv"])
def test_other_formats(made, tmp_path, ending):
    from prelabel.exchange.tables import read_rows, write_rows

    project, truth, _ = made
    path = tmp_path / f"s.{ending}"
    found = audit(project, path, n=20)
    rows = [row.cells | {"label": truth[row.cells["id"]]} for row in read_rows(path)]
    write_rows(path, rows, found.columns)
    assert audit_error(project, path).checked == 20


def test_label_sets_are_compared_as_sets(tmp_path):
    truth = {f"i{n}": ["a", "b"] for n in range(30)}
    said = {name: dict(truth) for name in "xy"}
    project = project_of(tmp_path, truth, said, task="multi-label")
    audit(project, tmp_path / "s.csv", n=30)
    fill(tmp_path / "s.csv", dict.fromkeys(truth, '["b", "a"]') | {"i3": '["a"]'})
    found = audit_error(project, tmp_path / "s.csv")
    assert [(one.item, one.accepted, one.label) for one in found.wrong] == [
        ("i3", ["a", "b"], ["a"])
    ]


# The alarm


def test_the_alarm_stops_the_rule_and_no_other(made, tmp_path):
    project, truth, _ = made
    rule = api.route(project).rule.hash
    assert stopped(project, rule) is None
    audit(project, tmp_path / "s.csv", n=150, target=0.02)
    assert stopped(project, rule) is None
    fill(tmp_path / "s.csv", truth)
    found = audit_error(project, tmp_path / "s.csv")
    assert found.error.low > 0.02
    assert found.watched.alarm is not None
    assert found.stopped == stopped(project, rule)
    assert "the error of accepted labels" in found.stopped
    assert f"alarm at audit {found.watched.alarm}" in found.stopped
    assert stopped(project, "another rule") is None


def test_without_a_target_nothing_watches(made, tmp_path):
    project, truth, _ = made
    audit(project, tmp_path / "s.csv", n=150)
    fill(tmp_path / "s.csv", truth)
    found = audit_error(project, tmp_path / "s.csv")
    assert (found.watched, found.stopped) == (None, None)
    assert "nothing watches for an alarm" in found.notes[-1]


def test_audits_add_up_to_an_alarm(tmp_path):
    truth, said = noisy(wrong=0.15)
    project = project_of(tmp_path, truth, said)
    rule = api.route(project).rule.hash
    audits = 0
    while stopped(project, rule) is None:
        path = tmp_path / f"{audits}.csv"
        drawn = audit(project, path, n=40, seed=audits, target=0.06)
        assert (drawn.accepted, drawn.known) == (300, 40 * audits)
        fill(path, truth)
        found = audit_error(project, path)
        audits += 1
        assert 20 * audits < found.watched.audits <= 40 * audits
    assert 1 < audits < 7
    assert 40 < found.watched.alarm <= found.watched.audits
    assert audit_error(project, tmp_path / "0.csv").stopped == stopped(project, rule)


# The commands


@pytest.fixture
def run():
    app = typer.Typer()
    add_audit(app)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_commands(tmp_path, run):
    truth, said = noisy(300, wrong=0.15)
    project_of(tmp_path, truth, said, gold=list(truth)[:120])
    path = tmp_path / "s.csv"
    shown = run("audit", path, "-p", tmp_path, "-n", 100, "--target", 0.02)
    assert shown.exit_code == 0, shown.output
    assert "100 items to label blind" in shown.output
    fill(path, truth)
    data = json.loads(run("audit", tmp_path / "t.csv", "-p", tmp_path, "-n", 10, "--json").stdout)
    assert (data["known"], len(data["table"])) == (0, 10)
    shown = run("audit-error", path, "-p", tmp_path, "--author", "ann")
    assert shown.exit_code == 1  # the alarm
    assert "stop accepting" in shown.output
    assert "100 of 100 audited" in shown.output
    data = json.loads(run("audit-error", path, "-p", tmp_path, "--json").stdout)
    assert data["stopped"] == data["watched"]["reason"]
    shown = run("prevalence", "-p", tmp_path)
    assert "share of items" in shown.output
    assert set(json.loads(run("prevalence", "-p", tmp_path, "--json").stdout)["labels"]) == set(
        "abc"
    )
    shown = run("quality", "-p", tmp_path, "--reviewer-error", "1/50")
    assert "dataset after review" in shown.output
    data = json.loads(run("quality", "-p", tmp_path, "--json").stdout)
    assert data["source"] == "audit"


@pytest.mark.parametrize("command", ["audit", "audit-error", "prevalence", "quality"])
def test_help_has_an_example(run, command):
    assert f"Example: prelabel {command}" in run(command, "--help").output
