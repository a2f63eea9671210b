"""Items and gold from the user's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.errors import InputError
from prelabel.exchange.tables import Row, read_rows
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
    for row in islice(read_rows(path, encoding=config.encoding), limit):
        where = f"{path}:{row.line}"
        if not seen:
            need_columns(where, row, [config.id, *config.columns, *(config.meta or [])])
        identifier = as_text(row.cells.get(config.id))
        if not identifier:
            raise InputError(f"{where}: column {config.id!r} is empty; give every item an id")
        first = seen.setdefault(hash(identifier), row.line)
        if first != row.line:
            raise InputError(
                f"{where}: id {identifier!r} is there already (line {first}); ids must differ"
            )
        fields = {name: as_text(row.cells.get(name)) for name in config.columns}
        if not any(text.strip() for text in fields.values()):
            raise InputError(
                f"{where}: item {identifier!r} has no text in {', '.join(config.columns)}; "
                "fill it in, or take the item out"
            )
        yield Item(identifier, fields, meta_of(row, config))


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
    found: list[Gold] = []
    seen: dict[tuple[str, str], int] = {}
    for row in read_rows(path, encoding=config.encoding):
        where = f"{path}:{row.line}"
        if not seen:
            need_columns(where, row, [config.id, config.label])
        raw = as_label(row.cells.get(config.label), config.separator)
        if raw is None:
            continue
        item, author = as_text(row.cells.get(config.id)), optional(row, config.author)
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


def need_columns(where: str, row: Row, columns: list[str]) -> None:
    """Raise ``InputError`` for a column that is not there, naming those that are."""
    missing = [name for name in columns if name not in row.cells]
    if missing:
        there = ", ".join(row.cells)
        raise InputError(f"{where}: no column {missing[0]!r}; the columns are: {there}")


def optional(row: Row, column: str | None) -> str:
    """Return the text of a column that may be missing."""
    return as_text(row.cells.get(column)) if column else ""


def as_text(value: Any) -> str:
    """Return a cell as text: JSON's numbers and booleans as they are written, null as empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def as_label(value: Any, separator: str | None) -> str | list[str] | None:
    """Return a label cell as a text or a list of texts; None where it is empty."""
    if isinstance(value, list):
        return [as_text(part) for part in value]
    text = as_text(value)
    if separator:
        return [part.strip() for part in text.split(separator) if part.strip()]
    return text if text.strip() else None
