"""Add entries to a guideline's text: what its author wrote stays as it is, comments too."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from prelabel.guideline_yaml import DocumentError, Lines, parse

PROPOSED = "# proposed:"
"""Begins comments that are about the proposal; they go when it is accepted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of one of the guideline's lists, with comments that stand above it."""

    value: Mapping[str, Any]
    comments: tuple[str, ...] = ()


def with_entries(text: str, added: Mapping[str, Sequence[Entry]]) -> tuple[str, bool]:
    """Return a guideline's text with entries added to its lists, and whether it kept its form.

    ``added`` has the entries by field, such as ``rulings``. The text keeps every character where
    the lists are written in blocks; a document written in another way is written anew, without its
    comments. What is returned always reads as the old document with the entries added.
    """
    document, _ = parse(text.encode())
    wanted = dict(document)
    for name, entries in added.items():
        if entries:
            wanted[name] = [*document.get(name, []), *(dict(one.value) for one in entries)]
    try:
        edited = text.replace("\r\n", "\n")
        for name, entries in added.items():
            edited = _insert(edited, name, entries) if entries else edited
        if "\r\n" in text:
            edited = edited.replace("\n", "\r\n")
        if parse(edited.encode())[0] == wanted:
            return edited, True
    except DocumentError:  # written in a way that lines cannot be put into
        pass
    anew: str = yaml.safe_dump(wanted, allow_unicode=True, sort_keys=False, width=100)
    return anew, False


def _insert(text: str, name: str, entries: Sequence[Entry]) -> str:
    """Put entries at the end of a top-level list, or begin the list at the end of the text."""
    lines = text.split("\n")
    places = parse(text.encode())[1]
    head = places.get((name,))
    if head is None or not _is_block(lines, head):
        written = _written(entries, "  ")
        if head is None:
            body = text if text.endswith("\n") or not text else text + "\n"
            return body + "\n".join([f"{name}:", *written]) + "\n"
        lines[head - 1] = f"{name}:"  # it was empty, or a list in brackets on one line
        return "\n".join([*lines[:head], *written, *lines[head:]])
    first = lines[places[name, 0] - 1]
    indent = first[: len(first) - len(first.lstrip(" -"))].split("-")[0]
    end = _end(lines, places, name)
    return "\n".join([*lines[:end], *_written(entries, indent), *lines[end:]])


def _is_block(lines: Sequence[str], head: int) -> bool:
    """Say whether a list's entries stand on lines of their own below its name."""
    return lines[head - 1].split("#")[0].rstrip().endswith(":") and any(
        line.lstrip().startswith("- ") for line in lines[head:]
    )


def _end(lines: Sequence[str], places: Lines, name: str) -> int:
    """Return the number of a list's last line.

    What stands between it and the next field, if blank or a comment at the margin, belongs to that.
    """
    head = places[name,]
    later = [line for where, line in places.items() if len(where) == 1 and line > head]
    end = min(later, default=len(lines) + 1) - 1
    while end > head and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return end


def _written(entries: Sequence[Entry], indent: str) -> list[str]:
    lines = []
    for one in entries:
        lines += [f"{indent}# {one_line(comment)}" for comment in one.comments]
        pairs = [f"{key}: {_scalar(value)}" for key, value in one.value.items()]
        lines += [f"{indent}- {pairs[0]}", *(f"{indent}  {pair}" for pair in pairs[1:])]
    return lines


def _scalar(value: Any) -> str:
    """Write a text, or a list of texts, as YAML on one line, whatever characters it has."""
    from prelabel.first_guideline import scalar

    texts = [value] if isinstance(value, str) else value
    if all(text.isprintable() for text in texts):
        return scalar(value)
    style: dict[str, Any] = {"default_style": '"', "default_flow_style": True}
    return str(yaml.safe_dump(value, allow_unicode=True, width=10**9, **style)).rstrip("\n")


def one_line(text: str) -> str:
    """Return a text that can stand in a comment: on one line, without control characters."""
    flat = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in flat)


def without_proposal(text: str) -> str:
    """Return a guideline's text without the comments that are about its proposal."""
    kept = [line for line in text.split("\n") if not line.lstrip().startswith(PROPOSED)]
    return "\n".join(kept)


def writable(value: Any) -> Any:
    """Return a value with half characters, which no file can hold, replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [writable(one) for one in value]
    return value
