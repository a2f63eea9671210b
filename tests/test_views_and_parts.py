"""Items that take several calls: both orders of a pair, the parts of a long text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects as p
import pytest
import wire as w
from every_task import GUIDELINES

from prelabel.api import agreement, fit, import_annotations, rank, route, score
from prelabel.ledger import Ledger
from prelabel.llm import marked
from prelabel.planning import plan
from prelabel.project import Project, load_project
from prelabel.run import label


@pytest.fixture
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def project_of(
    folder: Path,
    task: str,
    rows: list[dict[str, Any]],
    annotators: list[dict[str, Any]],
    *,
    items: dict[str, Any] | None = None,
    gold: list[Any] | None = None,
    **guideline: Any,
) -> Project:
    """Write a project of one task and open it."""
    document = {"name": "g", "task": task, "question": "?", **GUIDELINES[task], **guideline}
    settings: dict[str, Any] = {
        "items": {"path": "items.jsonl"} | (items or {}),
        "annotators": annotators,
        "run": {"retries": 1, "timeout": 20.0},
        "decide": {"min_votes": 1},
    }
    (folder / "guideline.yaml").write_text(json.dumps(document))
    lines = [json.dumps({"id": f"i{n}"} | row) + "\n" for n, row in enumerate(rows)]
    (folder / "items.jsonl").write_text("".join(lines))
    if gold is not None:
        labeled = [json.dumps({"id": f"i{n}", "label": one}) + "\n" for n, one in enumerate(gold)]
        (folder / "gold.jsonl").write_text("".join(labeled))
        settings["gold"] = {"path": "gold.jsonl"}
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    return load_project(folder)


def said(**answer: Any) -> w.Reply:
    return w.Reply(json.dumps(answer))


# Both orders

PAIRS = [("good", "bad"), ("bad", "good"), ("good", "good"), ("bad", "bad")]


def pairs_project(folder: Path, wire: w.Wire) -> Project:
    rows = [{"a": a, "b": b, "one": "x", "two": "y"} for a, b in PAIRS]
    return project_of(
        folder,
        "pairwise",
        rows,
        [p.openai_like(wire)],
        items={"text": ["a", "b"]},
        gold=["A", "B", "A", "A"],
    )


def test_a_pair_is_asked_in_both_orders(tmp_path: Path, wire: w.Wire) -> None:
    def prefers_good(text: str, _: int) -> w.Reply:
        shown = [part.split("\n")[1] for part in (text.split("-A>")[1], text.split("-B>")[1])]
        return said(better="tie" if shown[0] == shown[1] else "AB"[shown.index("good")])

    wire.script = prefers_good
    project = pairs_project(tmp_path, wire)
    (planned,) = plan(project).annotators
    assert (planned.items, planned.calls) == (4, 8)
    assert label(project).outcomes == {"labeled": 4}
    assert len(wire.requests) == 4  # the same two texts in the same order are one prompt
    found = p.annotations(project)
    assert [found[f"i{n}"].label for n in range(4)] == ["A", "B", "tie", "tie"]
    assert found["i0"].extras == {"views": ["A", "B"]}
    assert found["i0"].usage.calls == 2
    (one,) = score(project).annotators
    assert (one.accuracy.value, one.metrics["flip_rate"].value) == (0.5, 0.0)
    ranked = rank(project, ["one", "two"])
    assert {row.name for row in ranked.strengths} == {"x", "y"}


def test_an_annotator_that_takes_the_first_is_inconsistent(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = lambda *_: said(better="A")
    project = pairs_project(tmp_path, wire)
    status = label(project)
    assert status.outcomes == {"failed": 4}
    assert status.failures == {"inconsistent": 4}
    calls = len(wire.requests)
    assert label(project).skipped == 4  # to ask again would change nothing
    assert len(wire.requests) == calls
    (one,) = score(project).annotators
    assert (one.metrics["flip_rate"].value, one.metrics["flip_rate"].n) == (1.0, 4)
    assert "4 chose what was shown first" in one.notes[-1]
    assert one.accuracy.value is None
    routed = route(project).items["i0"]
    assert "failed: gpt (inconsistent)" in routed.reasons


# Long items

LONG = "The first is a. " * 10 + "Then comes b. " * 10 + "At the end is c. " * 10
SPLIT = {"characters": 200, "overlap": 20}


def by_last_word(text: str, _: int) -> str:
    return next(name for name in "abc" if f" {name}." in text)


@pytest.mark.parametrize(
    ("task", "guideline", "answer", "expected"),
    [
        ("multi-label", {}, lambda name: {"labels": [name]}, ["a", "b", "c"]),
        ("classification", {"merge": "first"}, lambda name: {"label": name}, "a"),
        ("rating", {"merge": "max"}, lambda name: {"rating": 1 + "abc".index(name)}, 3),
    ],
    ids=["multi-label", "classification", "rating"],
)
def test_a_long_item_is_labeled_in_parts(
    tmp_path: Path, wire: w.Wire, task: str, guideline: Any, answer: Any, expected: Any
) -> None:
    wire.script = lambda text, n: said(**answer(by_last_word(text, n)))
    annotator = p.openai_like(wire, split=SPLIT)
    rows = [{"text": LONG}, {"text": "It is a."}]
    project = project_of(tmp_path, task, rows, [annotator], **guideline)
    (planned,) = plan(project).annotators
    assert (planned.items, planned.split, planned.failing) == (2, 1, 0)
    assert label(project).outcomes == {"labeled": 2}
    assert len(wire.requests) == planned.calls
    found = p.annotations(project)
    assert found["i0"].label == expected
    assert found["i0"].extras == {"parts": planned.calls - 1}
    assert found["i1"].extras == {}


def test_spans_of_parts_stand_where_they_are_in_the_item(tmp_path: Path, wire: w.Wire) -> None:
    text = LONG.replace("comes b", "comes Zoé 😀")
    spans = [{"text": "Zoé", "label": "a", "hint": ""}]
    wire.script = lambda text, _: said(spans=spans * text.count("Zoé"))
    annotator = p.openai_like(wire, split=SPLIT)
    project = project_of(tmp_path, "spans", [{"text": text}], [annotator])
    label(project)
    found = p.annotations(project)["i0"].label
    assert len(found) == text.count("Zoé") == 10
    assert all(text[span["start"] : span["end"]] == "Zoé" for span in found)


def test_a_task_without_parts_fails_long_items_unasked(tmp_path: Path, wire: w.Wire) -> None:
    project = project_of(
        tmp_path, "text", [{"text": LONG}], [p.openai_like(wire, split=SPLIT)], gold=["x"]
    )
    (planned,) = plan(project).annotators
    assert (planned.calls, planned.failing) == (0, 1)
    assert label(project).failures == {"too_long": 1}
    assert wire.requests == []


def test_a_part_that_fails_fails_the_item_and_abstaining_ones_have_no_say(
    tmp_path: Path, wire: w.Wire
) -> None:
    def script(text: str, n: int) -> w.Reply:
        name = by_last_word(text, n)
        return said(label="abstain" if name != "b" else "b")

    wire.script = script
    annotator = p.openai_like(wire, split=SPLIT)
    folder = tmp_path / "x"
    folder.mkdir()
    rows = [{"text": LONG}, {"text": "The first is a. " * 30}]
    project = project_of(folder, "classification", rows, [annotator], abstain="nothing is said")
    assert label(project).outcomes == {"labeled": 1, "abstained": 1}
    assert p.annotations(project)["i0"].label == "b"
    wire.script = lambda text, n: w.BEHAVIOURS["off_list"]() if " c." in text else script(text, n)
    project = project_of(tmp_path, "classification", rows, [annotator], abstain="nothing is said")
    assert label(project).failures == {"off_list": 1}


# What is not in the item


def test_a_span_that_is_not_in_the_text_is_seen(tmp_path: Path, wire: w.Wire) -> None:
    named = [("Ann", "a"), ("Bob", "b")]
    spans = [{"text": text, "label": name, "hint": ""} for text, name in named]
    wire.script = lambda *_: said(spans=spans)
    rows = [{"text": "Ann came."}, {"text": "Ann met Bob."}, {"text": "Nobody."}]
    project = project_of(tmp_path, "spans", rows, [p.openai_like(wire), p.openai_like(wire, "two")])
    status = label(project)
    assert status.outcomes == {"labeled": 4, "failed": 2}
    assert status.failures == {"off_list": 2}  # nothing of the answer is in the item
    found = p.annotations(project)["gpt i0"]
    assert [span["text"] for span in found.label] == ["Ann"]
    assert [one["text"] for one in found.extras["ungrounded"]] == ["Bob"]
    routes = route(project).items
    assert not routes["i0"].accepted
    assert any("gpt named 'Bob'" in reason for reason in routes["i0"].reasons)
    assert routes["i1"].accepted
    assert agreement(project).overlap.value == 1.0


# The ledger


def test_a_ledger_of_the_version_before_gets_the_new_column(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE annotations DROP COLUMN extras")
        db.execute("UPDATE about SET value = '1' WHERE key = 'version'")
    db.close()
    for _ in range(2):
        ledger = Ledger(path)
        assert list(ledger.current(["x"], "g")) == []
        ledger.close()
    with sqlite3.connect(path) as db:
        assert "extras" in {row[1] for row in db.execute("PRAGMA table_info(annotations)")}
        assert db.execute("SELECT value FROM about WHERE key = 'version'").fetchone() == ("2",)
    db.close()


# Large label sets


def test_candidates_are_defined_with_the_item(tmp_path: Path, wire: w.Wire) -> None:
    labels = [
        {"name": name, "definition": f"All about {name}.", "examples": [{"text": f"my {name}"}]}
        for name in ("apples", "bicycles", "candles", "dogs", "eggs", "flutes")
    ]
    annotator = p.openai_like(wire, candidates=2)
    rows = [{"text": "I lost my dogs and eggs."}]
    project = project_of(tmp_path, "classification", rows, [annotator], labels=labels)
    label(project)
    system, user = (m["content"] for m in wire.requests[0]["body"]["messages"])
    assert "apples, bicycles, candles, dogs, eggs, flutes" in system
    assert "All about" not in system
    assert user.count("All about") == 2
    assert "All about dogs." in user
    assert "All about eggs." in user
    assert user.endswith("</item>")


# What is never shown, counted twice, or taken from others


def test_a_part_is_not_shown_its_own_items_gold(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = lambda *_: said(label="a")
    shots = {"choose": "similar", "source": "gold", "k": 2}
    annotator = p.openai_like(wire, split=SPLIT, shots=shots)
    texts = [LONG, LONG.replace("a.", "a!"), "Something else is a."]
    rows = [{"text": text} for text in texts]
    project = project_of(tmp_path, "classification", rows, [annotator], gold=["a", "b", "c"])
    label(project)
    for item, found in p.annotations(project).items():
        assert found.shown
        assert item not in found.shown


def test_one_answer_to_two_questions_is_counted_once(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = lambda *_: said(better="tie")
    project = project_of(
        tmp_path, "pairwise", [{"a": "x", "b": "x"}], [p.openai_like(wire)],
        items={"text": ["a", "b"]},
    )  # fmt: skip
    label(project)
    found = p.annotations(project)["i0"]
    assert (found.label, found.usage.calls, len(wire.requests)) == ("tie", 1, 1)


def test_past_calls_and_not_past_items_foretell_the_rest(tmp_path: Path, wire: w.Wire) -> None:
    wire.script = lambda *_: said(better="tie")
    rows = [{"a": f"x{n}", "b": f"y{n}"} for n in range(4)]
    project = project_of(
        tmp_path, "pairwise", rows, [p.openai_like(wire)], items={"text": ["a", "b"]}
    )
    label(project, limit=2)
    done = p.annotations(project)
    (planned,) = plan(project).annotators
    each = sum(a.usage.output_tokens for a in done.values()) / 4
    assert (planned.calls, planned.output_tokens) == (4, round(4 * each))


def test_a_rules_label_hangs_on_its_own_annotators(tmp_path: Path) -> None:
    project = project_of(tmp_path, "text", [{"text": "t"}], [])
    table = tmp_path / "said.jsonl"
    table.write_text(json.dumps({"id": "i0", "x": "paris", "y": "paris"}) + "\n")
    import_annotations(project, table)
    rule = fit(project, to=tmp_path / "rule.json").path
    others = {"id": "i0", "u": "PARIS", "v": "PARIS", "w": "PARIS"}
    table.write_text(json.dumps(others) + "\n")
    import_annotations(project, table)
    assert route(project, rule=rule).items["i0"].consensus.label == "paris"


def test_the_static_prefix_is_marked_also_where_it_has_pictures() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/p.png"}}
    text = {"type": "text", "text": "the item"}
    (sent,) = marked([{"role": "user", "content": [picture, text]}])
    assert sent["content"] == [picture, text | {"cache_control": {"type": "ephemeral"}}]
    (plain,) = marked([{"role": "user", "content": "the item"}])
    assert plain["content"] == [text | {"cache_control": {"type": "ephemeral"}}]


def test_gold_of_spans_of_an_absent_item_is_noted(tmp_path: Path) -> None:
    gold = [[{"text": "Ann", "label": "a"}], [[0, 3, "a"]]]
    project = project_of(tmp_path, "spans", [{"text": "Ann came."}], [], gold=gold)
    table = tmp_path / "said.jsonl"
    table.write_text(json.dumps({"id": "i0", "x": [{"text": "Ann", "label": "a"}]}) + "\n")
    import_annotations(project, table)
    report = score(project)
    assert report.annotators[0].accuracy.value == 1
    assert any("not in the project" in note for note in report.notes)
