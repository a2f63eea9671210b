"""init(): a working project from a table of items and a list of label names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from prelabel.errors import InputError
from prelabel.exchange.tables import read_rows
from prelabel.first_guideline import first_guideline, scalar
from prelabel.project import CONFIG_NAME
from prelabel.resources import data_folder

PROJECT = """\
# What to label, by whom, and how to decide. Paths are relative to this file.
guideline: guideline.yaml
items:
  path: {path}
  id: {id}
  text: {text}
# gold:                       # expert labels, for scoring
#   path: gold.csv
#   label: label
annotators:
  - name: smol                # runs here, needs no key: prelabel models pull smollm2-135m
    model: local/smollm2-135m
    prompt: brief
#    shots: {{choose: diverse, k: 6}}   # a model this small guesses without examples: give the
#                                     # guideline's labels some, then take the # off
#  - name: gpt
#    model: openai/gpt-4o-mini
#    api_key: ${{OPENAI_API_KEY}}
#  - name: claude
#    model: anthropic/claude-sonnet-4-5
#  - name: own-server
#    model: openai/my-model
#    base_url: http://localhost:8000/v1
run:
  concurrency: 16
#  max_cost: 5.00             # dollars this project may spend in all
decide:
#  aggregate: majority        # by default that, and with 50 gold items the best of several on these
  min_agreement: 0.66
  min_votes: 2                # with one annotator, all items go to review
"""


TWO_COLUMNS = {
    "pairwise": "the two texts' columns last",
    "matching": "the columns of both records",
    "relations": "the text's column and that of the given spans",
}


def init(
    items: Path,
    labels: Sequence[str] = (),
    *,
    to: Path,
    task: str = "classification",
    text: str | Sequence[str] = "text",
    id: str = "id",  # noqa: A002
) -> Path:
    """Make a project in folder ``to`` for the items in a table; return the settings file.

    ``labels`` are the label set, or the fields of an extraction. Refuses to overwrite a project.
    Raises ``InputError`` where a column is not in the table, or the task needs other labels.
    """
    columns = [text] if isinstance(text, str) else list(text)
    names = [name.strip() for name in labels if name.strip()]
    if task in TWO_COLUMNS and len(columns) < 2:
        raise InputError(
            f"text: {columns[0]}; {task} needs {TWO_COLUMNS[task]}: name them with --text, as in "
            "--text left,right"
        )
    guideline = first_guideline(task, names)
    if task == "relations" and len(columns) > 1:
        guideline += f"given: {scalar(columns[-1])}\n"
    file = to / CONFIG_NAME
    if file.exists():
        raise InputError(f"{file}: there already; choose another folder with --to")
    row = next(iter(read_rows(items)), None)
    if row is None:
        raise InputError(f"{items}: no items; nothing to label")
    for column in (id, *columns):
        if column not in row.cells:
            there = ", ".join(row.cells)
            raise InputError(f"{items}: no column {column!r}; choose --id and --text from: {there}")
    try:
        to.mkdir(parents=True, exist_ok=True)
        path = os.path.relpath(items.resolve(), to.resolve())
        shown = scalar(columns[0] if len(columns) == 1 else columns)
        settings = PROJECT.format(path=scalar(path), id=scalar(id), text=shown)
        file.write_text(settings, encoding="utf-8")
        (to / "guideline.yaml").write_text(guideline, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{to}: {error.strerror}; choose a folder you may write to") from None
    return file


def copy_evalset(name: str, to: Path) -> Path:
    """Copy a shipped evalset to ``to`` and return it. Raises ``InputError`` for an unknown one."""
    source = data_folder("evalsets") / name
    if not (source / "items.jsonl").is_file():
        known = ", ".join(sorted(p.parent.name for p in source.parent.glob("*/items.jsonl")))
        raise InputError(f"no evalset {name!r}; there are: {known}")
    try:
        to.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            shutil.copy(file, to / file.name)
    except OSError as error:
        raise InputError(f"{to}: {error.strerror}; choose a folder you may write to") from None
    return to
