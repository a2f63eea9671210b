"""Read a YAML document as plain text values, and remember the line of every field.

Every scalar stays the text its author wrote: in YAML 1.1 the labels ``no``, ``on``, ``1`` and
``null`` would otherwise arrive as False, True, 1 and None. What YAML drops silently (a second
value of the same key, text after ``&`` or ``!``) is refused instead.
"""

from __future__ import annotations

from typing import Any

import yaml

Where = tuple[str | int, ...]
"""The place of a value in the document: keys and list positions from the top."""

Lines = dict[Where, int]
"""The line, counted from 1, of each place."""

MAX_DEPTH = 60
"""Deeper nesting is a mistake or an attack; the limit keeps later walks off the stack's end."""

LABEL_KEYS = frozenset({"name", "label", "then", "yes", "no"})
"""Keys that hold labels: there ``null`` is a word like any other."""

_PLAIN_TAGS = {None, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))}

_HINTS = (
    ("'\\t'", "indent with spaces, not tabs"),
    (
        "mapping values are not allowed",
        "put text that contains ': ' in quotes, and check the indentation",
    ),
    ("cannot start any token", "put text that begins with this character in quotes"),
    ("unexpected end of stream", "close the quote"),
    ("another document", "keep one document and remove the '---' between"),
    ("could not find expected ':'", "write 'field: value', and indent text below its field"),
    ("", "check the indentation and the quotes around here"),
)


class DocumentError(Exception):
    """The document cannot be used; ``line`` counts from 1 and ``message`` is one line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(line, message)
        self.line = line
        self.message = message


class _TextLoader(yaml.SafeLoader):
    """Composes nodes whose scalars are all text, without anchors, tags or deep nesting."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  # PyYAML's own spelling
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if event.anchor is not None:
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise DocumentError(
                line,
                f"'{mark}{event.anchor}' is a YAML reference, which is not supported; "
                f"put text that begins with '{mark}' in quotes",
            )
        if event.tag not in _PLAIN_TAGS:
            raise DocumentError(
                line,
                f"'{event.tag}' is a YAML tag, which is not supported; "
                "put text that begins with '!' in quotes",
            )
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DocumentError(line, f"nested more than {MAX_DEPTH} deep; make it flatter")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def parse(content: bytes) -> tuple[Any, Lines]:
    """Return the document of a UTF-8 file and the line of each of its places.

    Values are strings, lists and dicts; a key without a value is left out, as is ``null`` or
    ``~`` where no label is expected. Raises DocumentError for anything else than one sound
    document.
    """
    text = _decode(content)
    try:
        root: Any = yaml.compose(text, Loader=_TextLoader)
    except yaml.MarkedYAMLError as error:
        raise _yaml_problem(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"U+{ord(text[error.position]):04X}"
        raise DocumentError(
            line, f"the control character {code} is not allowed; remove it"
        ) from None
    except ValueError as error:  # PyYAML's own, for escapes such as "\UFFFFFFFF"
        raise DocumentError(1, f"not valid YAML: {error}; check escapes in quotes") from None
    if root is None:
        raise DocumentError(1, "the document is empty; write at least name, task and labels")
    lines: Lines = {(): root.start_mark.line + 1}
    return _value(root, (), lines), lines


def resolve(lines: Lines, where: Where) -> Where:
    """Return the part of a place that the document has, passing over steps it lacks."""
    found: Where = ()
    for step in where:
        if (*found, step) in lines:
            found = (*found, step)
    return found


def line_of(lines: Lines, *where: str | int) -> int:
    """Return the line of a place, or of what encloses it where the document lacks it."""
    return lines[resolve(lines, where)]


def _decode(content: bytes) -> str:
    """Decode UTF-8 with or without a byte-order mark."""
    if (nul := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise DocumentError(line, "a NUL byte; save the file as plain text in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise DocumentError(
            line, f"not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
        ) from None


def _yaml_problem(error: yaml.MarkedYAMLError) -> DocumentError:
    """Say PyYAML's complaint in one line, with what usually helps."""
    mark = error.problem_mark or error.context_mark
    if "could not find expected ':'" in f"{error.problem}":
        mark = error.context_mark  # the line without a colon; the problem is noticed on the next
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = " ".join(f"{error.problem or error.context}".split())
    if "expected a single document" in f"{error.context}":
        problem = "another document begins here"
    hint = next(hint for sign, hint in _HINTS if sign in problem)
    if hint == "close the quote" and error.context_mark:
        hint += f" opened on line {error.context_mark.line + 1}"
    return DocumentError(line, f"not valid YAML: {problem} (column {column}); {hint}")


def _value(node: Any, where: Where, lines: Lines) -> Any:
    """Turn a node into strings, lists and dicts, noting lines on the way."""
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, where, lines)
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            lines[(*where, index)] = child.start_mark.line + 1
        return [_value(child, (*where, index), lines) for index, child in enumerate(node.value)]
    return None if node.style is None and node.value in {"", "~"} else node.value


def _mapping(node: yaml.MappingNode, where: Where, lines: Lines) -> dict[str, Any]:
    """Turn a mapping into a dict without its empty values, refusing repeated keys."""
    values: dict[str, Any] = {}
    for key_node, child in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise DocumentError(line, "a field name must be one word; put text in quotes")
        key = key_node.value
        place = (*where, key)
        if place in lines:
            raise DocumentError(
                line, f"field {key!r} is written twice (first on line {lines[place]}); keep one"
            )
        lines[place] = line
        value = _value(child, place, lines)
        plain_null = value == "null" and child.style is None and key not in LABEL_KEYS
        if value is not None and not plain_null:
            values[key] = value
    return values
