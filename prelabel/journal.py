"""Files of facts beside the ledger: one JSON object a line, and lines are only ever added."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from prelabel.errors import InputError


def read_journal(path: Path, take: Callable[[dict[str, Any]], None], what: str) -> None:
    """Give each line of a file to ``take``, oldest first; a file that is not there has none.

    ``what`` says in errors what the lines are of. Raises ``InputError`` for a line that is no JSON
    object, or that ``take`` refuses by ValueError, TypeError or KeyError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from None
    # what follows the last line end was cut short while it was written, and never counted
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            take(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"{path}:{number}: not a line of {what}; restore the file from a copy"
            ) from None


def append_journal(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add lines; they are on disk when this returns. Raises ``InputError`` where they cannot be."""
    lines = [json.dumps(row) for row in rows]
    if not lines:
        return
    try:
        with _locked(path) as file:
            whole = file.read().rpartition(b"\n")[0]
            file.truncate(len(whole) + 1 if whole else 0)
            file.seek(0, os.SEEK_END)
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); check it") from None


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the file for one writer at a time, readable by its owner only."""
    import filelock

    with filelock.FileLock(path.with_suffix(".lock"), timeout=60):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            yield file
