"""What docs/tasks.md and docs/files.md show is true: guidelines load, labels match, figures exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from prelabel.api import agreement, import_annotations, route, score
from prelabel.config import ProjectConfig, parse_config, settings_at
from prelabel.exchange.export import export_columns
from prelabel.failures import FINAL
from prelabel.guideline import Guideline, load_guideline
from prelabel.guideline_check import check
from prelabel.images import MOST_BYTES, MOST_PIXELS, MOST_TOKENS, MOST_TOKENS_CLAUDE
from prelabel.project import Project, load_project
from prelabel.records import FailureKind
from prelabel.settings import DecideConfig
from prelabel.tasks import TASKS

ROOT = Path(__file__).parents[1]
TASK_PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
FILE_PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ITEMS = "items: {path: items.jsonl}\n"
GOLD = "gold: {path: gold.jsonl}\n"


@dataclass(frozen=True)
class Case:
    """An item with its gold, and the answer where one is shown, under a guideline and settings."""

    section: str
    guideline: str
    items: str
    item: str
    gold: str
    answer: str | None


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)\n", TASK_PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def is_guideline(block: str) -> bool:
    return "task" in yaml.safe_load(block)


def yaml_blocks() -> list[tuple[str, str]]:
    pages = [*sections().items(), ("files.md", FILE_PAGE)]
    return [
        (name, block)
        for name, text in pages
        for kind, block in BLOCK.findall(text)
        if kind == "yaml"
    ]


def cases() -> Iterator[Case]:
    for section, text in sections().items():
        guideline, items = "", ITEMS
        for kind, block in BLOCK.findall(text):
            if kind == "yaml" and is_guideline(block):
                guideline = block
            elif kind == "yaml":
                items = block
            else:
                assert kind == "jsonl", f"a block of {kind} in {section}"
                item, gold, *answers = block.splitlines()
                assert len(answers) <= 1
                yield Case(section, guideline, items, item, gold, *(answers or [None]))


GUIDELINES = [(name, block) for name, block in yaml_blocks() if is_guideline(block)]
SETTINGS = [(name, block) for name, block in yaml_blocks() if not is_guideline(block)]
CASES = list(cases())


def project_of(case: Case, folder: Path) -> Project:
    (folder / "guideline.yaml").write_text(case.guideline, encoding="utf-8")
    (folder / "prelabel.yaml").write_text(case.items + GOLD, encoding="utf-8")
    (folder / "items.jsonl").write_text(case.item + "\n", encoding="utf-8")
    (folder / "gold.jsonl").write_text(case.gold + "\n", encoding="utf-8")
    return load_project(folder)


# Blocks


def test_every_task_has_its_section_and_its_guideline() -> None:
    assert [name for name, _ in GUIDELINES] == [*TASKS, "files.md"]
    assert {case.section for case in CASES} == set(TASKS)
    for section, block in GUIDELINES[:-1]:
        assert yaml.safe_load(block)["task"] == section


@pytest.mark.parametrize(("name", "block"), GUIDELINES, ids=[name for name, _ in GUIDELINES])
def test_a_guideline_has_no_error(name: str, block: str, tmp_path: Path) -> None:
    file = tmp_path / "guideline.yaml"
    file.write_text(block, encoding="utf-8")
    assert load_guideline(file).task in (name, "classification")
    assert [found for found in check(file) if found.level == "error"] == []


@pytest.mark.parametrize(("name", "block"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_settings_parse(name: str, block: str) -> None:
    text = block if "items:" in block else ITEMS + block
    assert parse_config(text, Path(f"{name}.yaml")).items.path == "items.jsonl"


@pytest.mark.parametrize("case", CASES, ids=[case.section for case in CASES])
def test_gold_is_accepted_and_the_answer_says_the_same(case: Case, tmp_path: Path) -> None:
    project = project_of(case, tmp_path)
    (item,), (gold,) = project.items(), project.gold
    assert gold.item_id == item.id
    task, written = project.task, json.loads(case.gold)["label"]
    if case.answer is None:  # tags
        assert [span["text"] for span in gold.label] == ["Ann Lee", "5 euros"]
        return
    assert gold.label == written  # the very shape in which labels are stored
    assert task.match(gold.label, item) == gold.label
    model = task.response_model(rationale=False)
    asked = model.model_json_schema()
    assert set(json.loads(case.answer)) == set(asked["required"]) == set(asked["properties"])
    found = task.read(model.model_validate_json(case.answer), task.views(item)[0])
    assert found.label == (written[0] if case.section == "text" else written)
    assert not found.extras


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.answer], ids=[c.section for c in CASES if c.answer]
)
def test_the_figures_named_are_those_that_come_out(case: Case, tmp_path: Path) -> None:
    project = project_of(case, tmp_path)
    label = json.loads(case.gold)["label"]
    label = label[0] if case.section == "text" else label
    row = {"id": "1", "label": json.dumps(label) if isinstance(label, list | dict) else label}
    (tmp_path / "said.jsonl").write_text(
        "".join(json.dumps(row | {"annotator": name}) + "\n" for name in "xy"), encoding="utf-8"
    )
    counts = import_annotations(project, tmp_path / "said.jsonl", layout="long")
    assert counts == {"x": {"labeled": 1}, "y": {"labeled": 1}}
    assert route(project).accepted[0].consensus.label == label

    found = score(project).annotators[0]
    assert found.accuracy.value == 1
    told = re.search(r"\*\*score\*\*: (.*?)\*\*agreement\*\*", sections()[case.section], re.DOTALL)
    assert told
    for name in found.metrics:
        assert f"`{name}`" in told[1] or re.sub(r"level_\d", "level_1", name) in told[1]
    alike = agreement(project)
    assert ("overlap" in sections()[case.section].split("**agreement**")[1]) == bool(alike.overlap)


# The tables


def rows_of(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose head begins with ``first``."""
    lines = text[text.index(f"| {first} |") :].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_first_table_names_every_task_and_an_evalset_of_it() -> None:
    rows = rows_of(TASK_PAGE, "task | label")
    assert [re.sub(r"[\[\]]|\(.*", "", row[0]) for row in rows] == list(TASKS)
    for task, row in zip(TASKS, rows, strict=True):
        named = row[-1].strip("` ")
        assert load_guideline(ROOT / "evalsets" / named / "guideline.yaml").task == task
        assert named in sections()[task]
        for figure in re.findall(r"`(\w+)`", row[3]):
            assert f"`{figure.replace('level_2', 'level_1')}`" in sections()[task]


def test_every_evalset_is_in_the_list_with_its_task_and_size() -> None:
    page = (ROOT / "evalsets" / "README.md").read_text(encoding="utf-8")
    told = {}
    for row in rows_of(page, "evalset"):
        name = re.sub(r"\[(.+)\]\(\1/\)", r"\1", row[0])
        told[name] = (row[1], int(row[2]))
    there = {}
    for file in (ROOT / "evalsets").glob("*/guideline.yaml"):
        items = (file.parent / "items.jsonl").read_text(encoding="utf-8").splitlines()
        there[file.parent.name] = (load_guideline(file).task, len(items))
    assert told == there


@pytest.mark.parametrize("name", TASKS)
def test_what_is_said_of_long_items_is_so(name: str, tmp_path: Path) -> None:
    (row,) = [
        row for row in rows_of(sections()["Long items"], "task") if name in row[0].split(", ")
    ]
    case = next(case for case in CASES if case.section == name)
    if "`merge: mean`" in row[1]:
        case = Case(**vars(case) | {"guideline": case.guideline + "merge: mean\n"})
    assert project_of(case, tmp_path).task.splits == ("too_long" not in row[1])


def test_the_limits_of_pictures_are_those_of_the_code() -> None:
    told = sections()["Pictures"]
    for number in (f"{MOST_BYTES / 1e6:.1f} MB", f"{MOST_PIXELS} pixels", f"{MOST_TOKENS:,}"):
        assert number in told
    assert f"{MOST_TOKENS_CLAUDE:,}" in told


# files.md


def test_every_setting_is_named() -> None:
    sections_of = {"items", "gold", "annotators", "run", "decide"}
    assert sections_of <= set(ProjectConfig.model_fields)
    told = "\n".join(" ".join(row) for row in rows_of(FILE_PAGE, "setting"))
    for section in sections_of:
        for name in settings_at([section]):
            assert re.search(rf"\b{name}\b", told), f"{section}.{name}"


def test_every_field_of_a_guideline_is_named() -> None:
    for name in Guideline.model_fields:
        assert re.search(rf"(`|^|[{{ ]){name}(`|:)", FILE_PAGE, re.MULTILINE), name


def test_every_kind_of_failure_is_named() -> None:
    rows = rows_of(FILE_PAGE, "failure")
    assert {row[0].strip("`") for row in rows} == set(get_args(FailureKind))
    assert {row[0].strip("`") for row in rows if row[2] == "never"} == set(FINAL)


def test_every_aggregate_is_named() -> None:
    (row,) = [row for row in rows_of(FILE_PAGE, "setting") if "decide.aggregate" in row[0]]
    options: Any = DecideConfig.model_fields["aggregate"].annotation
    for name in get_args(get_args(options)[0]):
        assert f"`{name}`" in row[1]


def test_every_column_of_an_export_is_named() -> None:
    for column in export_columns(["text"], {"x@1": "NAME"}, ["NAME"], by_unit=True)[2:]:
        assert f"`{column}`" in FILE_PAGE, column
