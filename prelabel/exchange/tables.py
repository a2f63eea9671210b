"""Tables on disk, row by row: CSV, TSV, JSONL and Parquet, plain or gzipped.

Reading streams and names the line of everything it refuses, so that a user mends the file and not
the program. Writing replaces a file whole or not at all.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from prelabel.errors import InputError
from prelabel.exchange.files import read_lines, reading, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Format = Literal["csv", "tsv", "jsonl", "parquet"]

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_KNOWN = ".csv, .tsv, .jsonl or .ndjson (each also with .gz), or .parquet"
_DELIMITERS: dict[str, str] = {"csv": ",", "tsv": "\t"}
# Long enough for any text; short enough that a quote left open does not fill the memory.
_LONGEST_CELL = 64 * 2**20
_PLAIN = (str, bool, int)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEGATIVE_NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Row(NamedTuple):
    """One row: the line its record begins on (Parquet: the row's number), and its cells by column.

    Cells of CSV and TSV are texts; those of JSONL and Parquet are whatever JSON can hold.
    """

    line: int
    cells: dict[str, Any]


def format_of(path: Path) -> Format:
    """Return the format that a file's name says it has, ``.gz`` left aside.

    Raises:
        InputError: the path is a folder, or its ending is not a known one.

    """
    name = path.name.lower()
    stem, dot_gz = (name.removesuffix(".gz"), name.endswith(".gz"))
    found = _FORMATS.get(Path(stem).suffix)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if found is None or (found == "parquet" and dot_gz):
        ending = "".join(Path(name).suffixes[-2:]) or "no ending"
        raise InputError(f"{path}: unknown kind of file ({ending}); use {_KNOWN}")
    return found


def read_rows(path: Path, *, encoding: str | None = None, guarded: bool = False) -> Iterator[Row]:
    """Yield a table's rows one at a time; memory does not grow with their number.

    Args:
        path: a .csv, .tsv, .jsonl, .ndjson (each also .gz) or .parquet file with named columns.
        encoding: of a text file; UTF-8, with or without a byte order mark, if None.
        guarded: take away the apostrophes that `write_rows` put before formula characters.

    Raises:
        InputError: the file cannot be read as what its ending says; names the line.
        MissingExtraError: Parquet, and pyarrow is not installed.

    """
    kind = format_of(path)
    if kind == "parquet":
        yield from _read_parquet(path)
    elif kind == "jsonl":
        yield from _read_jsonl(path, encoding)
    else:
        rows = _read_delimited(path, encoding, _DELIMITERS[kind])
        yield from (_unguarded(row) for row in rows) if guarded else rows


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> int:
    """Write ``columns`` of ``rows`` in the format of the path's ending; return how many rows.

    The file appears whole or not at all: an older one stays until the new one is complete. A
    column that a row lacks is empty (null). Lists and mappings are JSON text in CSV and TSV, and
    themselves in JSONL and Parquet; a Parquet column of mixed types is JSON text. In CSV and TSV,
    cells and column names that a spreadsheet would run as a formula get a leading apostrophe,
    which ``read_rows(..., guarded=True)`` takes away. Numbers that are not finite become null.

    Raises:
        InputError: the file cannot be written there, or a text cannot be stored in it.
        MissingExtraError: Parquet, and pyarrow is not installed.

    """
    kind = format_of(path)
    _check_names(columns, f"{path}")
    plain = ([jsonable(row.get(column)) for column in columns] for row in rows)
    lines: Iterator[str]
    with replacing(path) as stream:
        if kind == "parquet":
            from prelabel.exchange import parquet

            return parquet.write(stream, path, _storable(path, plain, columns), columns)
        if kind == "jsonl":
            lines = (_json_line(columns, cells) for cells in _storable(path, plain, columns))
        else:
            lines = _delimited_lines(path, plain, columns, _DELIMITERS[kind])
        count = 0
        for count, line in enumerate(lines, 1):  # noqa: B007 - the last count is the result
            stream.write(line.encode())
        return count if kind == "jsonl" else count - 1  # less the header


def jsonable(value: Any) -> Any:
    """Return a value as JSON can hold it: not a number becomes None, a date its ISO text."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return jsonable(value.tolist())
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# Reading


def _check_names(names: Sequence[str], place: str) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise InputError(f"{place}: column {number} has no name; name it or remove it")
        if name in seen:
            raise InputError(f"{place}: column {name!r} is there twice; rename or remove one")
        seen.add(name)


def _read_delimited(path: Path, encoding: str | None, delimiter: str) -> Iterator[Row]:
    # The limit is the process's, not the reader's: raise it, never lower it for others.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    # strict: otherwise a quote left open silently swallows the rest of the file.
    records = csv.reader(read_lines(path, encoding=encoding), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = records.line_num + 1
        try:
            cells = next(records)
        except StopIteration:
            break
        except csv.Error as error:
            raise InputError(f"{path}:{line}: {_quoting(str(error))}") from None
        if not cells:  # a blank line
            continue
        if not header:
            header = cells
            _check_names(header, f"{path}:{line}")
            continue
        if len(cells) != len(header):
            raise InputError(
                f"{path}:{line}: has {len(cells)} cells where the header has {len(header)}; put "
                f"double quotes around cells that hold {delimiter!r} or a line end (a lone "
                "carriage return is one), and fill missing ones"
            )
        yield Row(line, dict(zip(header, cells, strict=True)))
    if not header:
        raise InputError(f"{path}: is empty; the first line must name the columns")


def _quoting(error: str) -> str:
    if "unexpected end of data" in error:
        return "a double quote opened here is never closed; close it"
    if "field larger" in error:
        return f"a cell is longer than {_LONGEST_CELL:,} characters; is a double quote left open?"
    if "expected after" in error:
        return "text follows a closing double quote; write double quotes inside a cell twice"
    return f"{error}; mend the quoting"


def _read_jsonl(path: Path, encoding: str | None) -> Iterator[Row]:
    empty, file = True, str(path)
    for number, line in enumerate(read_lines(path, encoding=encoding, newline="\n"), 1):
        if not line.strip():
            continue
        empty, place = False, f"{file}:{number}"
        cells = _json_object(line, place)
        if "\\u" in line:  # the only way in for what UTF-8 text cannot hold
            _check_storable(cells, place)
        yield Row(number, cells)
    if empty:
        raise InputError(f"{path}: is empty; write one JSON object a line")


def _json_object(line: str, place: str) -> dict[str, Any]:
    try:
        value = _JSON.decode(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place}: not JSON ({error.msg} at column {error.colno}); write one JSON object a line"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not usable JSON ({error}); mend the line") from None
    if not isinstance(value, dict):
        raise InputError(
            f"{place}: JSON, but not an object; write one object a line, {{...}}, without a list "
            "around them"
        )
    if not all(map(str.strip, value)):
        raise InputError(f"{place}: a column has no name; name it or remove it")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"column {twice!r} is there twice")
    return found


def _constant(name: str) -> None:
    if name != "NaN":  # pandas and numpy say NaN for what is missing
        raise ValueError(f"{name} is not a JSON value")


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)


def _read_parquet(path: Path) -> Iterator[Row]:
    from prelabel.exchange import parquet

    with reading(path) as stream:
        for number, cells in enumerate(parquet.read(stream, path, _check_names), 1):
            found = {name: jsonable(value) for name, value in cells.items()}
            _check_storable(found, f"{path}:{number}")
            yield Row(number, found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _check_storable(value: Any, place: str) -> None:
    for text in (value,) if isinstance(value, str) else _texts(value):
        if found := _UNSTORABLE.search(text):
            what = "a NUL character" if found[0] == "\0" else "half of a surrogate pair"
            raise InputError(f"{place}: has {what}; remove it")


def _unguarded(row: Row) -> Row:
    return Row(row.line, {_unguard(name): _unguard(cell) for name, cell in row.cells.items()})


# Writing


def _guard(cell: str) -> str:
    return f"'{cell}" if _is_formula(cell) else cell


def _unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(cell: str) -> bool:
    # Apostrophes before the formula count too; else an apostrophe of the user's own would be
    # taken for the guard and stripped.
    return bool(_FORMULA.match(cell)) and not _NEGATIVE_NUMBER.fullmatch(cell)


def _storable(path: Path, rows: Iterable[list[Any]], columns: Sequence[str]) -> Iterator[list[Any]]:
    for number, cells in enumerate(rows, 1):
        for column, cell in zip(columns, cells, strict=True):
            _check_storable(cell, f"{path}: row {number}, column {column!r}")
        yield cells


def _json_line(columns: Sequence[str], cells: list[Any]) -> str:
    return json.dumps(dict(zip(columns, cells, strict=True)), ensure_ascii=False) + "\n"


def _delimited_lines(
    path: Path, rows: Iterable[list[Any]], columns: Sequence[str], delimiter: str
) -> Iterator[str]:
    special = re.compile(f'[{delimiter}"\r\n]')

    def joined(cells: Sequence[Any]) -> str:
        texts = [_guard(_cell_text(cell)) for cell in cells]
        if texts == [""]:  # a lone empty cell would read back as a blank line
            return '""\n'
        # Not csv.writer: before Python 3.13 it leaves a lone CR unquoted under this line end.
        quoted = ('"' + t.replace('"', '""') + '"' if special.search(t) else t for t in texts)
        return delimiter.join(quoted) + "\n"

    yield joined(columns)
    for cells in _storable(path, rows, columns):
        yield joined(cells)


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
