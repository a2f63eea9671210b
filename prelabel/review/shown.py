"""Texts as a page shows them: what cannot be seen, or would change what is seen, gets a mark."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from prelabel.prompts import named

if TYPE_CHECKING:
    from prelabel.records import Item, Label
    from prelabel.tasks import Task

SHORT = {
    0x061C: "ALM", 0x200B: "ZWSP", 0x200E: "LRM", 0x200F: "RLM",
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO", 0x2060: "WJ",
    0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM", 0x00AD: "SHY",
}  # fmt: skip
"""Unicode's own short names of characters that are invisible or turn the text around."""

SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def marked(text: str) -> Markup:
    """Return a text as HTML in which each character has its place, visible or as a mark.

    A mark stands for one code point, named by its attribute ``data-c``; everything else is escaped
    text, so that offsets in code points can be counted on the page. A carriage return before a
    line feed counts, and does not show.
    """
    parts: list[str] = []
    at = 0
    for found in SPECIAL.finditer(text):
        code = ord(found[0])
        parts.append(str(escape(text[at : found.start()])))
        at = found.end()
        silent = code == 0x0D and text[at : at + 1] == "\n"
        name = "" if silent else _name(code)
        title = escape(unicodedata.name(found[0], f"U+{code:04X}").lower())
        parts.append(f'<span class="mark" data-c="{code:x}" title="{title}">{name}</span>')
    parts.append(str(escape(text[at:])))
    return Markup("".join(parts))  # noqa: S704  # each part is escaped above


def _name(code: int) -> str:
    if 0xE0020 <= code <= 0xE007E:
        return f"tag {escape(chr(code - 0xE0000))}"
    return SHORT.get(code, f"U+{code:04X}")


def words(label: Label, task: Task, item: Item | None = None) -> list[str]:
    """Return a label in words for people, one line each part of it."""
    if label is None:
        return ["no label"]
    if task.name == "spans":
        return [f"{span['text']} — {span['label']}" for span in label] or ["no spans"]
    if task.name == "relations":
        texts = _span_texts(item, task.guideline.given) if item else {}
        return [
            f"{_end(one['head'], texts)} — {one['label']} → {_end(one['tail'], texts)}"
            for one in label
        ] or ["no relations"]
    if task.name == "extraction":
        return [f"{name}: {named(value)}" for name, value in label.items()] or ["no field"]
    return [named(label, path=task.name == "hierarchical")]


def _end(identifier: str, texts: Mapping[str, str]) -> str:
    return f"{texts[identifier]} ({identifier})" if texts.get(identifier) else identifier


def _span_texts(item: Item, field: str) -> dict[str, str]:
    from prelabel.tasks import OffListError
    from prelabel.tasks.relations import given_spans

    try:
        return {name: span.text for name, span in given_spans(item, field).items()}
    except OffListError:
        return {}


BLIND_REASONS = {
    "too few votes": "too few votes",
    "tie": "a tie",
    "low agreement": "low agreement",
    "not allowed": "a combination that the guideline does not allow",
    "not in the item": "something was named that is not in the item",
    "abstained": "an annotator abstained",
    "failed": "an annotator failed",
    "not labeled yet by": "not labeled by all",
}
"""What a blind page says of a reason: its kind, without any label, name or number."""


def blind_reasons(reasons: tuple[str, ...]) -> list[str]:
    """Return why an item is here in words that give no label and no annotator away."""
    kinds = [
        next((said for head, said in BLIND_REASONS.items() if reason.startswith(head)), "")
        for reason in reasons
    ]
    return list(dict.fromkeys(kind or "sent here by the decision rule" for kind in kinds))


def pretty_record(text: str) -> list[tuple[str, str]] | None:
    """Return a field that is a JSON object as rows of name and value; None for any other text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return [(str(name), _plain(value)) for name, value in found.items()]


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
