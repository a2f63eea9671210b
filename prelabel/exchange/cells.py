"""What stands in a table's cell: a text, or a label of any shape."""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def as_text(value: Any) -> str:
    """Return a cell as text: what is not a text as JSON writes it, 2.0 as 2, null as empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def as_label(value: Any, separator: str | None = None, *, free_text: bool = False) -> Any:
    """Return a label cell as what a task matches; None where it is empty.

    Numbers and truth values are texts, also in a list of nothing but these. A text that is a JSON
    list or object, as exports write them, is that list or object; with ``free_text``, where labels
    are texts of any content, it stays as it is. Other texts are parted at ``separator``.
    """
    if isinstance(value, str):
        value = value.strip()
    return None if value is None or value == "" else parsed(value, separator, free_text=free_text)


def parsed(value: Any, separator: str | None, *, free_text: bool) -> Any:
    """Return what ``as_label`` does, an empty text and the spaces around one included."""
    if not isinstance(value, list | dict):
        value = as_text(value)
    if isinstance(value, str):
        found = None if free_text else from_json(value)
        if found is None:
            return value if separator is None else parts_of(value, separator)
        value = found
    if isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value):
        return [entry if entry is None else as_text(entry) for entry in value]
    return value


def parts_of(text: str, separator: str) -> list[str]:
    """Return what stands between separators, without empty parts."""
    return [part.strip() for part in text.split(separator) if part.strip()]


def from_json(text: str) -> list[Any] | dict[str, Any] | None:
    """Return the list or object that a text is in JSON; None where it is something else."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        found: list[Any] | dict[str, Any] = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if "\\u" in text:  # the only way in for what UTF-8 text cannot hold
        plain = json.dumps(found, ensure_ascii=False)
        if _SURROGATE.search(plain) or "\\u0000" in plain:
            return None
    return found


def _refuse(name: str) -> None:
    raise ValueError(name)
