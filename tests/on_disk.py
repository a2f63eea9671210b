"""Files for tests of reading, and what reading them gives."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from prelabel.errors import InputError
from prelabel.exchange.tables import read_rows


def file(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def cells(path: Path, **settings) -> list[dict]:
    return [row.cells for row in read_rows(path, **settings)]


def message(path: Path, **settings) -> str:
    with pytest.raises(InputError) as caught:
        list(read_rows(path, **settings))
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), path.name)
