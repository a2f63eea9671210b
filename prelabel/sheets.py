"""Sheets for people to fill in blind: what an item shows, and an empty column for the label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError
from prelabel.records import Item, Label

if TYPE_CHECKING:
    from prelabel.project import Project

_KEPT = ("id", "label", "split", "author", "audit")


@dataclass(frozen=True, slots=True)
class Filled:
    """A row of a sheet that has a label: ``where`` it stands is ``file:line``.

    ``author`` and ``audit`` are what the columns of that name say; empty without one.
    """

    item: str
    label: Label
    author: str
    audit: str
    where: str


def blind_rows(items: Sequence[Item]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return columns and rows of a table that shows the items only, with an empty label."""
    rows = [
        {"id": item.id}
        | {_column(name): text for name, text in item.fields.items()}
        | {_column(image.name): image.source for image in item.images}
        | {"label": None}
        for item in items
    ]
    return list(dict.fromkeys(name for row in rows for name in row)), rows


def _column(name: str) -> str:
    # the columns that a filled sheet is read from keep their meaning
    return f"field.{name}" if name in _KEPT else name


def read_filled(project: Project, path: Path) -> list[Filled]:
    """Return the rows of a sheet that have a label, each item once.

    Raises ``InputError`` for a label that the guideline lacks, for an item with two labels, and
    where no row has one.
    """
    found: dict[str, Filled] = {}
    for row in _filled(project, path):
        first = found.setdefault(row.item, row)
        if first.label != row.label:
            line = first.where.rpartition(":")[2]
            raise InputError(
                f"{row.where}: item {row.item!r} has another label on line {line}; "
                "settle it, and keep one"
            )
    if not found:
        raise InputError(f"{path}: no row has a label; fill the column 'label'")
    return list(found.values())


def _filled(project: Project, path: Path) -> Iterator[Filled]:
    from prelabel.exchange.items import as_id, gold_cell, label_of, need_columns, optional
    from prelabel.exchange.tables import read_rows
    from prelabel.settings import GoldConfig

    task, config = project.task, GoldConfig(path=str(path))
    items = {item.id: item for item in project.items()} if task.needs_item else {}
    for row in read_rows(path, guarded=True):
        where = f"{path}:{row.line}"
        need_columns(where, row, ["id"])
        raw = gold_cell(row.cells.get("label"), config, free_text=task.name == "text")
        if raw is None:
            continue
        name = as_id(where, row, "id")
        if task.needs_item and name not in items:
            raise InputError(f"{where}: item {name!r} is not in the project; take the row out")
        label = label_of(f"{where}: label", raw, task, items.get(name))
        yield Filled(name, label, optional(row, "author"), optional(row, "audit"), where)
