"""The guideline loop from end to end: a gap, a ruling, a proposal, its gate, its yes, its labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loop_projects import RULED, desk, rule, rule_as
from typer.testing import CliRunner
from wire import BEHAVIOURS

from prelabel import accept, api, carry, gate, revise
from prelabel.affected import affected, since
from prelabel.cli import app
from prelabel.errors import InputError
from prelabel.gold_parts import part_gold
from prelabel.guideline import load_guideline
from prelabel.guideline_log import read_log
from prelabel.project import load_project
from prelabel.review import decisions
from prelabel.rulings import decide_rulings, rulings
from prelabel.run import label


def test_the_loop(tmp_path: Path) -> None:
    with desk(tmp_path, names=("gpt", "claude")) as (project, wire):
        label(project)
        old = project.guideline.hash
        assert sum(wire.calls.values()) == 2 * 45
        rule(project)

        (found,) = rulings(project)
        assert (found.status, found.label, found.text) == ("proposed", "garden", RULED)
        first = revise(project, to=tmp_path / "first.yaml")
        assert (first.taken_in, len(first.waiting)) == ((), 1)
        assert RULED not in {r.text for r in load_guideline(tmp_path / "first.yaml").rulings}
        decide_rulings(project, accept=[found.id], author="eve", reason="it comes up weekly")

        made = revise(project)
        assert made.path == tmp_path / "guideline.proposed.yaml"
        assert [one.id for one in made.taken_in] == [found.id]
        confused, reviewed = made.confusions
        assert (reviewed.source, reviewed.items, reviewed.n) == ("review", ("i0",), 2)
        open_gold, held = part_gold(project)
        herbs = {f"i{k}" for k in range(23)}
        wrong = [g.item_id for g in open_gold if g.item_id in herbs]
        assert (confused.right, confused.given) == ("garden", "kitchen")
        assert confused.n == 2 * len(wrong)
        assert set(confused.items) <= set(wrong)
        text = made.path.read_text()
        assert not {g.item_id for g in held} & {c.item for t in made.topics for c in t.cases}
        kept = [line for line in text.splitlines() if not line.startswith("# proposed:")]
        original = (tmp_path / "guideline.yaml").read_text().splitlines()
        assert kept[: len(original)] == original
        assert [r.id for r in load_guideline(made.path).rulings] == ["R1", found.id]
        assert (tmp_path / "guideline.yaml").read_text().splitlines() == original

        judged = gate(project, made.path)
        assert judged.verdict == "better"
        scored = {g.item_id for g in held} - {"i0"}
        assert judged.n == len(scored)
        assert judged.agreed == len(scored - herbs)
        for one in judged.comparisons:
            assert (one.only_a, one.only_b) == (len(scored & herbs), 0)
            assert one.difference.low is not None
            assert one.difference.low > 0
        assert judged.elsewhere.value == 0
        assert judged.left_out == ("i0" in {g.item_id for g in held})

        new = accept(project, made.path, author="eve", reason="rulings of May")
        assert not made.path.exists()
        assert new.kept.read_text().splitlines() == original
        now = load_project(tmp_path)
        assert now.guideline.hash == new.new != old
        assert "# proposed:" not in (tmp_path / "guideline.yaml").read_text()
        assert "accepted by eve: it comes up weekly" in (tmp_path / "guideline.yaml").read_text()
        assert [(x.old, x.gate) for x in read_log(now).accepted] == [(old, "better")]

        reached = since(now, old[:6])
        assert set(reached.items) == herbs
        before = wire.calls.total()
        status = label(now, only=reached.items)
        assert status.done == 2 * 23
        assert wire.calls.total() - before == 2 * len(herbs - scored)  # the gate paid for the rest
        evidence = api.evidence_of(now)
        assert {i for i, own in evidence.items.items() if own} == herbs | scored
        assert "made under another guideline" in " ".join(evidence.notes)

        done = carry(now, old, author="eve", reason="only a ruling came in")
        left = 45 - len(herbs | scored)
        assert done.carried == {"gpt": left, "claude": left}
        evidence = api.evidence_of(now)
        assert all(len(own) == 2 for own in evidence.items.values())
        said = f"{2 * left} annotations were made under guideline {old[:8]} and carried over"
        assert any(note.startswith(said) for note in evidence.notes)
        a_soup = next(own for own in evidence.items.values() if "carried" in own[0].extras)
        assert a_soup[0].extras["carried"]["guideline"] == old
        calls = wire.calls.total()
        assert label(now).skipped == 2 * 45
        assert wire.calls.total() == calls
        labels = evidence.labels()["gpt"]
        assert all(labels[g.item_id] == g.label for g in now.gold)


def changed(folder: Path) -> Path:
    """Write a proposal with the ruling in it."""
    text = (folder / "guideline.yaml").read_text()
    text += f"  - id: R2\n    text: {RULED}\n    label: garden\n"
    path = folder / "new.yaml"
    path.write_text(text)
    return path


def test_a_change_that_breaks_more_than_it_mends_is_worse(tmp_path: Path) -> None:
    with desk(tmp_path, 80, 10, harm=["soups"]) as (project, _):
        found = gate(project, changed(tmp_path))
    (one,) = found.comparisons
    assert one.only_b > one.only_a > 0
    assert found.verdict == "worse"
    assert found.elsewhere.value is not None
    assert found.elsewhere.value > 0.3  # the soups, which the ruling is not about
    with pytest.raises(InputError, match="the gate found it worse; run"):
        accept(project, tmp_path / "new.yaml", author="eve", reason="x")


def test_few_items_prove_nothing(tmp_path: Path) -> None:
    with desk(tmp_path, 14, 6) as (project, _):
        found = gate(project, changed(tmp_path))
        assert found.verdict == "unproven"
        (one,) = found.comparisons
        assert one.only_a > 0
        assert one.items_needed is None  # 7 items say too little even for that
        path = tmp_path / "new.yaml"
        with pytest.raises(InputError, match="the gate found it unproven; run"):
            accept(project, path, author="eve", reason="x")
        assert accept(project, path, author="eve", reason="x", anyway=True).gate == "unproven"
        assert path.exists()  # written by hand, and not ours to take away


def test_a_gate_on_a_part_is_at_random_and_counted(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, wire):
        path = changed(tmp_path)
        found = gate(project, path, most=12)
        assert found.n == 12
        assert wire.calls.total() == 24
        assert gate(project, path, most=12).notes == found.notes
        path.write_text(path.read_text() + "    why: plants\n")
        again = gate(project, path, most=12)
        assert any("1 other change was judged on this gold" in note for note in again.notes)


def test_an_llm_drafts_and_is_named(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, wire):
        label(project)
        calls = wire.calls.total()
        made = revise(project, draft="gpt")
        assert made.path is not None
        (draft,) = made.drafts
        assert (draft.when, draft.then) == ("a letter about herbs", "garden")
        text = made.path.read_text()
        assert "# drafted by gpt (openai/gpt-4o-mini) on: 'kitchen' is given where" in text
        assert "# proposed: DRAFT by gpt (openai/gpt-4o-mini), for a person to check" in text
        (case,) = load_guideline(made.path).edge_cases
        assert (case.when, case.then) == ("a letter about herbs", "garden")
        assert wire.calls.total() == calls + 1
        asked = json.dumps(wire.requests[-1]["body"]["messages"])
        assert "Describe the kind; do not quote a case" in asked
        assert not any(
            f"letter {int(g.item_id[1:]) - 1}\\n" in asked
            for g in part_gold(project)[1]
            if g.item_id != "i0"
        )
        made.path.unlink()
        revise(project, draft="gpt")
        assert wire.calls.total() == calls + 1  # from the cache
        accept(project, made.path, author="eve", reason="read", anyway=True)
        after = (tmp_path / "guideline.yaml").read_text()
        assert "# drafted by gpt" in after
        assert "DRAFT" not in after


def test_a_draft_that_fails_stays_to_be_written(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, wire):
        label(project)
        wire.script = lambda _text, _n: BEHAVIOURS["down"]()
        made = revise(project, draft="gpt")
        assert made.path is not None
        assert load_guideline(made.path).hash == project.guideline.hash
        assert (
            "# proposed: TODO 'kitchen' is given where 'garden' is right" in made.path.read_text()
        )
        assert any("gpt (openai/gpt-4o-mini) gave no draft" in note for note in made.notes)
        with pytest.raises(InputError, match=r"annotator 'nobody' is not in prelabel.yaml"):
            revise(project, to=tmp_path / "x.yaml", draft="nobody")


def test_what_cannot_be_accepted(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, _):
        label(project)
        made = revise(project)
        assert made.path is not None
        path = made.path
        yes = {"author": "eve", "reason": "because"}
        with pytest.raises(InputError, match="is there already, with work in it"):
            revise(project)
        with pytest.raises(InputError, match="says the same as the present guideline"):
            accept(project, path, **yes)
        with pytest.raises(InputError, match="says the same"):
            gate(project, path)
        path.write_text(path.read_text() + "edge_cases:\n  - when: TODO\n    then: garden\n")
        with pytest.raises(InputError, match=r"yaml:\d+: TODO is left"):
            accept(project, path, **yes, anyway=True)
        path.write_text(path.read_text().replace("- when: TODO", "- when: herbs"))
        with pytest.raises(InputError, match="no gate was run on it; run"):
            accept(project, path, **yes)
        with pytest.raises(InputError, match="say whose word it is, and why"):
            accept(project, path, author="eve", reason=" ", anyway=True)
        guideline = tmp_path / "guideline.yaml"
        original = guideline.read_text()
        guideline.write_text(original.replace("Plants and soil", "Plants, herbs and soil"))
        with pytest.raises(InputError, match="make the proposal anew"):
            accept(load_project(tmp_path), path, **yes, anyway=True)
        guideline.write_text(original)
        path.write_text(path.read_text().replace("then: garden\n", "then: desert\n"))
        with pytest.raises(InputError, match="desert"):
            accept(load_project(tmp_path), path, **yes, anyway=True)
        assert guideline.read_text() == original
        assert not read_log(project).accepted


def test_words_on_rulings(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, _):
        label(project)
        rule(project)
        (one,) = rulings(project)
        yes = {"author": "eve", "reason": "because"}
        with pytest.raises(InputError, match="no ruling 'R-99' holds; there are: R-"):
            decide_rulings(project, accept=["R-99"], **yes)
        with pytest.raises(InputError, match="both accepted and rejected"):
            decide_rulings(project, accept=[one.id], reject=[one.id], **yes)
        assert decide_rulings(project, reject=[one.id], **yes)[0].status == "rejected"
        made = revise(project)
        assert (made.taken_in, made.waiting) == ((), ())
        assert decide_rulings(project, accept=[one.id], **yes)[0].status == "accepted"
        guideline = tmp_path / "guideline.yaml"
        text = guideline.read_text() + f"  - id: X\n    text: {RULED}\n    label: garden\n"
        guideline.write_text(text)
        assert rulings(load_project(tmp_path))[0].status == "in the guideline"


def test_what_reaches_all_and_what_reaches_none(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, _):
        label(project)
        old, path = project.guideline, tmp_path / "new.yaml"
        text = (tmp_path / "guideline.yaml").read_text()

        def reached(before: str, after: str) -> set[str]:
            assert before in text
            path.write_text(text.replace(before, after))
            return set(affected(project, old, load_guideline(path)).items)

        kitchen = {f"i{k}" for k in range(45)} - {f"i{k}" for k in range(23, 45, 2)}
        assert len(reached("Who answers this letter?", "Whose letter?")) == 45
        assert len(reached("labels:\n", "labels:\n  - {name: x, definition: y}\n")) == 45
        assert reached("name: mail", "name: post") == set()
        assert reached("Food and drink.", "All that is cooked.") == kitchen
        assert reached("which wine for fish", "which oil for fish") == kitchen
        case = "rulings:\n"
        added = "edge_cases:\n  - {when: asks for recipes of soups, then: kitchen}\nrulings:\n"
        assert reached(case, added) == {f"i{k}" for k in range(24, 45, 2)}
        none = "edge_cases:\n  - {when: nobody can say, then: kitchen}\nrulings:\n"
        path.write_text(text.replace(case, none))
        found = affected(project, old, load_guideline(path))
        assert not found.items
        assert any("no item resembles this" in note for note in found.notes)


def test_what_is_not_carried(tmp_path: Path) -> None:
    with desk(tmp_path, names=("gpt", "claude")) as (project, wire):
        label(project)
        old = project.guideline.hash
        yes = {"author": "eve", "reason": "because"}
        with pytest.raises(InputError, match="is the present one"):
            carry(project, old, **yes)
        accept(project, changed(tmp_path), **yes, anyway=True)
        settings = json.loads((tmp_path / "prelabel.yaml").read_text())
        settings["annotators"][1]["temperature"] = 0.3
        (tmp_path / "prelabel.yaml").write_text(json.dumps(settings))
        rows = (tmp_path / "items.jsonl").read_text().splitlines()
        rows[40] = json.dumps({"id": "i40", "text": "soups with another text"})
        (tmp_path / "items.jsonl").write_text("\n".join(rows) + "\n")
        now = load_project(tmp_path)
        found = carry(now, old[:8], **yes)
        assert found.carried == {"gpt": 21}  # of 45: 23 herbs, one with another text
        assert found.notes == ("annotator 'claude' has other settings now: label again with it",)
        with pytest.raises(InputError, match="nothing is left to carry over"):
            carry(now, old, **yes)
        with pytest.raises(InputError, match="none begins so; kept are"):
            carry(now, "zzz", **yes)
        # what was carried is labeled anew where it is asked for by name
        calls = wire.calls.total()
        label(now, ["gpt"], only=["i42"])
        assert wire.calls.total() == calls + 1
        note = next(n for n in api.evidence_of(now).notes if "carried over" in n)
        assert note.startswith(f"20 annotations were made under guideline {old[:8]}")


def test_what_people_settled_is_carried_with_the_rest(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, _):
        label(project)
        rule_as(project, "i0", "garden")
        rule_as(project, "i30", "kitchen")
        old, yes = project.guideline.hash, {"author": "eve", "reason": "because"}
        accept(project, changed(tmp_path), **yes, anyway=True)
        now = load_project(tmp_path)
        assert decisions(now) == {}
        assert carry(now, old, **yes).opinions == 1
        (kept,) = decisions(now).values()
        assert (kept.item_id, kept.label, kept.author) == ("i30", "kitchen", "ada")
        with pytest.raises(InputError, match="nothing is left"):
            carry(now, old, **yes)
        assert len(decisions(project)) == 2  # what was said under the old guideline stays


def test_the_commands(tmp_path: Path) -> None:
    with desk(tmp_path) as (project, wire):
        label(project)
        rule(project)
        run, folder = CliRunner(), str(tmp_path)

        def said(*args: str, code: int = 0) -> str:
            found = run.invoke(app, [*args, "-p", folder], env={"COLUMNS": "200"})
            assert found.exit_code == code, found.output
            return found.output

        old = project.guideline.hash
        listed = json.loads(said("guideline", "rulings", "--json"))
        name = listed[0]["id"]
        yes = ("--author", "eve", "--reason", "weekly")
        assert "rulings wait for a word" in said("revise", "--to", str(tmp_path / "x.yaml"))
        assert f"{name} accepted" in said("guideline", "rulings", "--accept", name, *yes)
        assert "wrote" in said("revise")
        assert "the change is better" in said("guideline", "gate")
        assert "is guideline" in said("guideline", "accept", *yes)
        file = str(tmp_path / "guideline.yaml")
        shown = said("guideline", "diff", old[:8], file, "--items")
        assert "affected: 23 of 45 items" in shown
        assert "rulings: 1 added" in said("guideline", "diff", old[:8], file)
        plan = json.loads(said("plan", "--affected-by", old[:8], "--json"))
        calls = wire.calls.total()
        assert "23 labeled" in said("label", "--affected-by", old[:8]) or wire.calls.total() > calls
        assert wire.calls.total() - calls == plan["annotators"][0]["calls"]
        assert "23 of 45 items are affected" in said("guideline", "carry", old[:8], *yes)
        scored = said("score")
        assert "carried over to this one (eve: weekly)" in scored
        assert "gold left out because the guideline shows its text: 1" in scored
        worse = tmp_path / "worse.yaml"
        worse.write_text((tmp_path / "guideline.yaml").read_text().replace("Food and", "Meat and"))
        assert "the change is unproven" in said("guideline", "gate", str(worse), code=1)
