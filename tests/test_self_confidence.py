"""What an annotator says of its own certainty: asked for last, read leniently, kept with the label."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import projects as p
import pytest
import wire as w
from every_task import GUIDELINES, task_of
from test_views_and_parts import LONG, SPLIT, by_last_word, project_of, said

from prelabel.__main__ import main
from prelabel.annotate import NOT_THE_ANSWER, LLMAnnotator, annotator_id, compiler_of
from prelabel.budget import Budget
from prelabel.cache import ResponseCache
from prelabel.errors import InputError
from prelabel.models import pull
from prelabel.planning import plan
from prelabel.project import Project, load_project
from prelabel.prompts import template_hash
from prelabel.records import content_hash
from prelabel.run import label
from prelabel.tasks.answers import confidence_of, with_confidence

MODES = ("schema", "json", "text")


@pytest.fixture
def wire() -> Iterator[w.Wire]:
    with w.serving() as server:
        yield server


def annotator_of(project: Project, folder: Path) -> LLMAnnotator:
    cache = ResponseCache(folder / "cache", "test")
    return LLMAnnotator(project, project.config.annotators[0], cache, Budget(None, lambda: 0.0))


# Asking


@pytest.mark.parametrize("mode", MODES)
def test_it_is_asked_for_in_every_mode(tmp_path: Path, wire: w.Wire, mode: str) -> None:
    wire.script = lambda *_: said(label="toxic", confidence=85)
    annotator = p.openai_like(wire, mode=mode, confidence=True)
    project = p.make_project(tmp_path, ["you fool"], [annotator])
    assert label(project).outcomes == {"labeled": 1}
    found = p.annotations(project)["i0"]
    assert (found.label, found.extras) == ("toxic", {"confidence": 0.85})
    (request,) = wire.requests
    asked = request["body"]["messages"][0]["content"]
    assert '"confidence", how probable it is that your answer as a whole is right' in asked
    if mode == "schema":
        schema = wire.schema(request["body"])
        assert list(schema["properties"]) == schema["required"] == ["label", "confidence"]


@pytest.mark.parametrize("name", GUIDELINES)
def test_it_comes_last_in_a_schema_that_strict_modes_take(name: str) -> None:
    task = task_of(name, abstain="it is empty")
    plain = task.response_model(rationale=True).model_json_schema()
    schema = with_confidence(task.response_model(rationale=True)).model_json_schema()
    assert list(schema["properties"]) == [*plain["properties"], "confidence"]
    assert schema["required"] == [*plain["required"], "confidence"]
    assert schema["additionalProperties"] is False
    assert {key: schema["properties"][key] for key in plain["properties"]} == plain["properties"]


def test_a_field_of_that_name_is_one_line(tmp_path: Path, wire: w.Wire) -> None:
    fields = [{"name": "confidence", "type": "number"}]
    annotator = p.openai_like(wire, confidence=True)
    project = project_of(tmp_path, "extraction", [{"text": "x"}], [annotator], fields=fields)
    with pytest.raises(InputError, match=r"^the guideline has a field 'confidence'.*; rename"):
        label(project)
    assert wire.requests == []


def test_examples_show_the_field_and_not_one_number(tmp_path: Path, wire: w.Wire) -> None:
    shots = {"choose": "fixed", "k": 6}
    annotator = p.openai_like(wire, confidence=True, rationale=True, shots=shots)
    project = p.make_project(tmp_path, ["x"], [annotator])
    one = annotator_of(project, tmp_path)
    answers = [json.loads(m["content"]) for m in one.llm.static if m["role"] == "assistant"]
    assert len(answers) == 6
    assert {tuple(answer) for answer in answers} == {("rationale", "label", "confidence")}
    assert len({answer["confidence"] for answer in answers}) > 3
    for answer in answers:
        assert confidence_of(one.llm.response_model.model_validate(answer)) is not None
    assert 'In the examples "confidence" only shows the form' in one.llm.static[0]["content"]
    bare = p.make_project(tmp_path / "bare", ["x"], [p.openai_like(wire, confidence=True)])
    assert "In the examples" not in annotator_of(bare, tmp_path / "bare").llm.static[0]["content"]


def test_examples_in_the_guideline_show_it_too(tmp_path: Path, wire: w.Wire) -> None:
    examples = [
        {"text": text, "answer": {"what": text, "price": 1}} for text in ("one", "two", "three")
    ]
    rows, annotator = [{"text": "x"}], p.openai_like(wire, confidence=True)
    project = project_of(tmp_path, "extraction", rows, [annotator], examples=examples)
    system = annotator_of(project, tmp_path).llm.static[0]["content"]
    lines = [line for line in system.splitlines() if line.startswith("Answer: ")]
    shown = [json.loads(line.removeprefix("Answer: "))["confidence"] for line in lines]
    assert len(set(shown)) == len(shown) == 3
    assert system.endswith(
        'In the examples "confidence" only shows the form; judge each item by itself.'
    )


def test_ones_own_template_needs_no_change(tmp_path: Path, wire: w.Wire) -> None:
    own = "{% block system %}Label it.{% endblock %}{% block item %}{{ fields.text }}{% endblock %}"
    (tmp_path / "own.jinja").write_text(own)
    annotator = p.openai_like(wire, confidence=True, prompt="own.jinja")
    project = p.make_project(tmp_path, ["x"], [annotator])
    system = annotator_of(project, tmp_path).compiler.static[0]["content"]
    assert system.startswith("Label it.\nAfter the answer add one more field")


# Nothing changes where it is not asked for


def test_without_it_nobody_labels_anew(tmp_path: Path, wire: w.Wire) -> None:
    shots = {"choose": "fixed", "k": 2}
    plain = p.openai_like(wire, "gpt", shots=shots)
    off = p.openai_like(wire, "off", shots=shots, confidence=False, samples=1)
    on = p.openai_like(wire, "on", shots=shots, confidence=True)
    several = p.openai_like(wire, "several", shots=shots, samples=2, temperature=0.7)
    project = p.make_project(tmp_path, ["x"], [plain, off, on, several])
    hashes = {}
    for config in project.config.annotators:
        compiler = compiler_of(project, config)
        before = {
            "model": config.model, "base_url": config.base_url, "prompt": "full",
            "shots": config.shots.model_dump(), "rationale": False,
            "temperature": config.temperature, "top_p": None, "seed": None, "max_tokens": 256,
            "logprobs": None, "mode": None, "candidates": None, "split": None, "extra": {},
        }  # fmt: skip
        assert before.keys() | NOT_THE_ANSWER | {"confidence", "samples"} == set(
            type(config).model_fields
        )
        shown = compiler.selector.identity()
        parts = [before, template_hash(compiler.template), compiler.static, shown]
        hashes[config.name] = content_hash(parts)[:8]
        same = annotator_id(config, compiler) == f"{config.name}@{hashes[config.name]}"
        assert same == (config.name in {"gpt", "off"})
        assert ("confidence" in str(compiler.static)) == (config.name == "on")
    assert hashes["gpt"] == hashes["off"]


# Reading


@pytest.mark.parametrize(
    ("said_of_itself", "share"),
    [(85, 0.85), (0, 0.0), (100, 1.0), (85.0, 0.85), ("85", 0.85), (" 85 % ", 0.85), (97, 0.97)],
)
def test_a_whole_number_of_percent_is_read(said_of_itself: Any, share: float) -> None:
    model = with_confidence(task_of("classification").response_model(rationale=False))
    answer = model.model_validate({"label": "a", "confidence": said_of_itself})
    assert confidence_of(answer) == share


UNREADABLE = ["high", "", None, 101, -5, 0.9, 85.5, True, [85], {"is": 85}, "0.9", "8 5", 10**30]


@pytest.mark.parametrize("mode", MODES)
def test_an_unreadable_one_never_loses_the_label(tmp_path: Path, wire: w.Wire, mode: str) -> None:
    answers = [{"label": "toxic", "confidence": one} for one in UNREADABLE] + [{"label": "toxic"}]
    wire.script = lambda text, _: said(**answers[int(text.split()[1])])
    texts = [f"text {n}" for n in range(len(answers))]
    annotator = p.openai_like(wire, mode=mode, confidence=True)
    project = p.make_project(tmp_path, texts, [annotator])
    assert label(project).outcomes == {"labeled": len(answers)}
    assert len(wire.requests) == len(answers)  # none was asked again
    assert all(found.extras == {} for found in p.annotations(project).values())


def test_an_abstention_and_a_failure_have_none(tmp_path: Path, wire: w.Wire) -> None:
    words = {"one": "abstain", "two": "neither"}
    wire.script = lambda text, _: said(label=words[text], confidence=90)
    annotator = p.openai_like(wire, confidence=True, reasks=0)
    rows = [{"text": text} for text in words]
    project = project_of(tmp_path, "classification", rows, [annotator], abstain="it is empty")
    assert label(project).outcomes == {"abstained": 1, "failed": 1}
    assert all(found.extras == {} for found in p.annotations(project).values())


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(90, 60, 0.6), (55, 95, 0.55), (90, "sure", None)]
)
def test_of_both_orders_the_least_counts(
    tmp_path: Path, wire: w.Wire, first: Any, second: Any, kept: float | None
) -> None:
    def script(text: str, _: int) -> w.Reply:
        swapped = "good" in text.split("-B>")[1]
        return said(better="B" if swapped else "A", confidence=second if swapped else first)

    wire.script = script
    rows = [{"a": "good", "b": "bad"}]
    annotator, items = p.openai_like(wire, confidence=True), {"text": ["a", "b"]}
    project = project_of(tmp_path, "pairwise", rows, [annotator], items=items)
    label(project)
    extras = {"views": ["A", "B"]} | ({} if kept is None else {"confidence": kept})
    assert p.annotations(project)["i0"].extras == extras


@pytest.mark.parametrize(("of_b", "kept"), [(35, 0.35), (None, None)])
def test_of_parts_the_least_counts(
    tmp_path: Path, wire: w.Wire, of_b: int | None, kept: float | None
) -> None:
    sure = {"a": 95, "b": of_b, "c": 70}

    def script(text: str, n: int) -> w.Reply:
        name = by_last_word(text, n)
        return said(labels=[name], confidence=sure[name])

    wire.script = script
    annotator = p.openai_like(wire, confidence=True, split=SPLIT)
    project = project_of(tmp_path, "multi-label", [{"text": LONG}], [annotator])
    (planned,) = plan(project).annotators
    label(project)
    extras = {"parts": planned.calls} | ({} if kept is None else {"confidence": kept})
    assert p.annotations(project)["i0"].extras == extras


@pytest.mark.parametrize("drawn", [{}, {"temperature": 0.7, "seed": 1}], ids=["chosen", "drawn"])
def test_the_embedded_model_says_it_within_its_grammar(
    tmp_path: Path, drawn: dict[str, Any]
) -> None:
    try:
        pull("smollm2-135m")
    except InputError as error:
        pytest.skip(f"the model cannot be fetched: {error}")
    annotator = {"name": "small", "model": "local/smollm2-135m", "prompt": "brief", "threads": 1}
    annotator |= {"confidence": True, "context": 2048} | drawn
    project = p.make_project(tmp_path, ["You are an idiot.", "Have a nice day."], [annotator])
    assert label(project).outcomes == {"labeled": 2}
    for found in p.annotations(project).values():
        assert found.distribution
        assert set(found.distribution[""]) == {"toxic", "not_toxic"}
        assert found.extras["confidence"] in {n / 100 for n in range(0, 101, 5)}


# Recorded ones


def run(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    """Run the command line; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["prelabel", *map(str, args)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def public_project(folder: Path, table: Path) -> tuple[Project, list[dict[str, str]]]:
    """Write a project of the rows of one public table and open it."""
    folder.mkdir()
    with gzip.open(table, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    items = [json.dumps({"id": row["idx"], "text": row.get("text") or row["idx"]}) for row in rows]
    gold = [json.dumps({"id": row["idx"], "label": row["gold_label"]}) for row in rows]
    names = sorted({row["gold_label"] for row in rows} | {row["gpt_label"] for row in rows})
    labels = [{"name": name, "definition": name} for name in names]
    guideline = {"name": "g", "task": "classification", "question": "?", "labels": labels}
    settings = {"items": {"path": "items.jsonl"}, "gold": {"path": "gold.jsonl"}}
    (folder / "items.jsonl").write_text("\n".join(items))
    (folder / "gold.jsonl").write_text("\n".join(gold))
    (folder / "guideline.yaml").write_text(json.dumps(guideline))
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    return load_project(folder), rows


@pytest.mark.parametrize(
    ("name", "n", "accuracy", "mean"),
    [("global_warming", 2299, 0.8182, 0.864), ("mrpc", 3668, 0.7432, 0.810)],
)
def test_recorded_ones_of_a_public_table(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    n: int,
    accuracy: float,
    mean: float,
) -> None:
    table = shared_data / "llm_vs_human" / "llm_confidence" / f"{name}.csv.gz"
    project, rows = public_project(tmp_path / "p", table)
    columns = ("--item", "idx", "--columns", "gpt_label", "--confidence", "confidence")
    assert run(monkeypatch, "import", table, "--project", project.folder, *columns) == 0
    found = p.annotations(project)
    said_there = {row["idx"]: float(row["confidence"]) for row in rows}
    assert {item: one.extras["confidence"] for item, one in found.items()} == said_there
    assert len(found) == n
    gold = {row["idx"]: row["gold_label"] for row in rows}
    assert fmean(one.label == gold[item] for item, one in found.items()) == pytest.approx(
        accuracy, abs=5e-5
    )
    assert fmean(said_there.values()) == pytest.approx(mean, abs=5e-4)
    to = tmp_path / "out.csv"
    assert run(monkeypatch, "export", to, "--project", project.folder) == 0
    with to.open(encoding="utf-8") as file:
        exported = {row["id"]: row for row in csv.DictReader(file)}
    assert {
        item: float(row["annotator.gpt_label.confidence"]) for item, row in exported.items()
    } == said_there


def test_a_bad_one_is_one_line_and_nothing_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = p.make_project(tmp_path / "p", ["x", "y"], [])
    table = tmp_path / "said.csv"
    table.write_text("id,gpt,sure\ni0,toxic,80\ni1,toxic,120\n")
    columns = ("--confidence", "sure")
    assert run(monkeypatch, "import", table, "--project", project.folder, *columns) == 2
    error = capsys.readouterr().err
    assert error == (
        f"error: {table}:3: confidence '120' is neither a number from 0 to 1 nor a percentage "
        "from 0 to 100; mend it, or leave it empty\n"
    )
    table.write_text("id,gpt,sure\ni0,toxic,80\ni1,toxic,5%\n")
    assert run(monkeypatch, "import", table, "--project", project.folder, *columns) == 0
    found = p.annotations(project)
    assert {item: one.extras["confidence"] for item, one in found.items()} == {
        "i0": 0.8,
        "i1": 0.05,
    }
