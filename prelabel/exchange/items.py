"""Items and gold from the user's own tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError
from prelabel.exchange.tables import Row, format_of, read_rows
from prelabel.records import Gold, Item
from prelabel.tasks import OffListError, Task

if TYPE_CHECKING:
    from prelabel.project import GoldConfig, ItemsConfig


def read_items(folder: Path, config: ItemsConfig, limit: int | None = None) -> Iterator[Item]:
    """Read items one after the other. Raises ``InputError`` at the first that cannot be used.

    An item needs an id that no other has and at least one text that is not empty.
    """
    path = folder / config.path
    seen: dict[int, int] = {}  # hash of id -> line: a fraction of what the ids would need
    rows = checked_rows(path, config.encoding, [config.id], [*config.columns, *(config.meta or [])])
    for row in islice(rows, limit):
        where = f"{path}:{row.line}"
        identifier = as_id(where, row, config.id)
        first = seen.setdefault(hash(identifier), row.line)
        if first != row.line:
            raise InputError(
                f"{where}: id {identifier!r} is there already (line {first}); ids must differ"
            )
        fields = {name: as_text(row.cells.get(name)) for name in config.columns}
        if not any(text.strip() for text in fields.values()):
            need_columns(where, row, config.columns)
            raise InputError(
                f"{where}: item {identifier!r} has no text in {', '.join(config.columns)}; "
                "fill it in, or take the item out"
            )
        yield Item(identifier, fields, meta_of(row, config))


def checked_rows(
    path: Path, encoding: str | None, always: Sequence[str], somewhere: Sequence[str]
) -> Iterator[Row]:
    """Yield a table's rows. Raises ``InputError`` for a column that is not there.

    Rows of JSONL may leave columns out: those of ``somewhere`` need to be in one row only, so that
    the end of the file shows what is missing.
    """
    ragged = format_of(path) == "jsonl"
    absent = dict.fromkeys(somewhere)
    row = None
    for row in read_rows(path, encoding=encoding):
        need_columns(f"{path}:{row.line}", row, always if ragged else [*always, *absent])
        absent = {name: None for name in absent if name not in row.cells}
        yield row
    if row and absent:
        need_columns(f"{path}", row, list(absent))


def meta_of(row: Row, config: ItemsConfig) -> dict[str, Any]:
    """Return the cells that are neither id nor text."""
    if config.meta is not None:
        return {name: row.cells.get(name) for name in config.meta}
    used = {config.id, *config.columns}
    return {name: value for name, value in row.cells.items() if name not in used}


def read_gold(folder: Path, config: GoldConfig, task: Task) -> list[Gold]:
    """Read gold labels, matched to the guideline; rows without a label are passed over.

    Raises ``InputError`` for a label that the guideline lacks, and for an item given two labels
    by the same author.
    """
    path = folder / config.path
    chosen = [  # a column that the user named must be there
        str(getattr(config, name))
        for name in ("split", "author")
        if name in config.model_fields_set and getattr(config, name)
    ]
    found: list[Gold] = []
    seen: dict[tuple[str, str], int] = {}
    for row in checked_rows(path, config.encoding, [config.id], [config.label, *chosen]):
        where = f"{path}:{row.line}"
        raw = as_label(row.cells.get(config.label), config.separator)
        if raw is None:
            continue
        item, author = as_id(where, row, config.id), optional(row, config.author)
        first = seen.setdefault((item, author), row.line)
        if first != row.line:
            raise InputError(
                f"{where}: item {item!r} has gold already (line {first}); keep one label"
            )
        try:
            label = task.match(raw)
        except OffListError as error:
            raise InputError(f"{where}: gold label {error}; mend it or the guideline") from None
        found.append(Gold(item, label, optional(row, config.split), author))
    return found


def one_each(gold: Iterable[Gold]) -> list[Gold]:
    """Return one gold label an item. Raises ``InputError`` where authors differ."""
    found: dict[str, Gold] = {}
    for g in gold:
        first = found.setdefault(g.item_id, g)
        if first.label != g.label:
            authors = f"{first.author or 'one author'!r} and {g.author or 'another'!r}"
            raise InputError(
                f"gold: item {g.item_id!r} has different labels by {authors}; "
                "settle it, and keep one label"
            )
    return list(found.values())


def need_columns(where: str, row: Row, columns: Sequence[str]) -> None:
    """Raise ``InputError`` for a column that is not there, naming those that are."""
    missing = [name for name in columns if name not in row.cells]
    if missing:
        there = ", ".join(row.cells)
        raise InputError(f"{where}: no column {missing[0]!r}; the columns are: {there}")


def optional(row: Row, column: str | None) -> str:
    """Return the text of a column that may be missing."""
    return as_text(row.cells.get(column)) if column else ""


def as_id(where: str, row: Row, column: str) -> str:
    """Return the id of a row. Raises ``InputError`` where there is none."""
    value = row.cells.get(column)
    identifier = "" if isinstance(value, (list, dict)) else as_text(value)
    if not identifier.strip():
        raise InputError(f"{where}: column {column!r} is empty or no id; give every item an id")
    return identifier


def as_text(value: Any) -> str:
    """Return a cell as text: what is not a text as JSON writes it, 2.0 as 2, null as empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def as_label(value: Any, separator: str | None) -> str | list[str] | None:
    """Return a label cell as a text or a list of texts; None where it is empty.

    A list may be one (JSONL, Parquet), be written as JSON (as exports do), or with a separator.
    """
    if isinstance(value, list):
        return [as_text(part) for part in value]
    text = as_text(value).strip()
    if text.startswith("[") and (parts := json_list(text)) is not None:
        return parts
    if separator and text:
        return [part.strip() for part in text.split(separator) if part.strip()]
    return text or None


def json_list(text: str) -> list[str] | None:
    """Return a JSON list of texts, or None where it is something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(x, str) for x in found) else None
