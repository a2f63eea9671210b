"""Render a guideline for people, and say how two versions of one differ."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

from prelabel.guideline import (
    FieldDefinition,
    Guideline,
    LabelDefinition,
    Question,
    WorkedExample,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
_BLOCK_START = re.compile(r"^(?:([-+=])|(\d+)([.)]))")
_INDENT = "    "

AMOUNTS = {
    "classification": "one label",
    "multi-label": "all labels that apply",
    "hierarchical": "one path of labels",
    "spans": "the labeled spans",
    "rating": "one value of the scale",
    "pairwise": "the better one",
    "extraction": "the fields' values",
    "matching": "match or no match",
    "relations": "the relations between given spans",
    "text": "an answer in words",
}
"""What an annotator gives, by task."""


def to_markdown(guideline: Guideline) -> str:
    """Return the guideline as a Markdown page.

    Texts of the document are escaped: whatever they contain shows as written, on one line.
    """
    blocks = [f"# {_inline(guideline.name)}", *_paragraphs(guideline.purpose)]
    if guideline.question:
        blocks.append(f"**Question:** {_inline(guideline.question)}")
    blocks += [_task(guideline), *_section("Scale", _scale(guideline))]
    blocks += _section("Fields", map(_field, guideline.fields))
    blocks += ["## Labels"] if guideline.labels else []
    for label in guideline.labels:
        blocks += _label(label)
    blocks += _section("Examples", map(_worked, guideline.examples))
    blocks += _section("Edge cases", map(_edge_case, guideline.edge_cases))
    blocks += _section("Decision tree", _tree(guideline.decision_tree, ""))
    blocks += _section(
        "Common mistakes",
        (f"- {_line(m.mistake)} → {_inline(m.correction)}" for m in guideline.common_mistakes),
    )
    blocks += _section("Rulings", map(_ruling, guideline.rulings))
    return "\n\n".join(blocks) + "\n"


def diff(old: Guideline, new: Guideline) -> list[str]:
    """Return what changed from one guideline to another, a plain line each.

    Empty exactly where the two have the same hash. A renamed label shows as one removed and one
    added.
    """
    if old.hash == new.hash:
        return []
    lines = _settings(old, new, ("name", "purpose", "task", "question", "item"))
    olds = {label.name: label for label in old.labels}
    news = {label.name: label for label in new.labels}
    lines += [f"label {name!r} removed" for name in olds if name not in news]
    lines += [f"label {name!r} added" for name in news if name not in olds]
    kept = [name for name in olds if name in news]
    for name in kept:
        lines += _label_changes(olds[name], news[name])
    if kept != [name for name in news if name in olds]:
        lines.append("labels reordered")
    for field in ("fields", "examples", "edge_cases", "common_mistakes", "rulings"):
        lines += _changes(field.replace("_", " "), getattr(old, field), getattr(new, field))
    if old.decision_tree != new.decision_tree:
        lines.append("decision tree changed")
    lines += _settings(old, new, ("abstain", "max_labels", "overlap", "tie", "normalize", "given"))
    lines += _settings(old, new, ("merge",))
    if list(_scale(old)) != list(_scale(new)):
        lines.append("scale changed")
    return lines or ["labels changed"]  # only a label written twice can come to this


def _inline(text: str) -> str:
    """Escape a text so that Markdown shows it as written, on one line."""
    flat = " ".join(text.split())
    safe = "".join("\ufffd" if unicodedata.category(c) == "Cc" else c for c in flat)
    return _MARKUP.sub(r"\\\1", safe)


def _line(text: str) -> str:
    """Escape a text that stands at the beginning of a line or list entry."""
    return _BLOCK_START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", _inline(text))


def _paragraphs(text: str) -> list[str]:
    """Escape a longer text, keeping its paragraphs."""
    return [_line(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _bold(ref: str | Sequence[str]) -> str:
    """Render a label, or several."""
    if isinstance(ref, str):
        return f"**{_inline(ref)}**"
    return ", ".join(f"**{_inline(name)}**" for name in ref) or "none of the labels"


def _because(why: str) -> str:
    return f" — {_inline(why)}" if why else ""


def _task(guideline: Guideline) -> str:
    """Say in words what an annotator gives for an item."""
    item, most = _inline(guideline.item), guideline.max_labels
    amount = AMOUNTS.get(guideline.task, guideline.task)
    text = f"**Task:** {_inline(amount)} for each {item}"
    text += f", at most {most}." if most else "."
    return text + (f" Abstain: {_inline(guideline.abstain)}." if guideline.abstain else "")


def _section(title: str, entries: Any) -> list[str]:
    """Render a section, or nothing if it has no entries."""
    lines = list(entries)
    return [f"## {title}", "\n".join(lines)] if lines else []


def _scale(guideline: Guideline) -> Iterator[str]:
    """Render a rating's scale."""
    if scale := guideline.scale:
        steps = f"in steps of {scale.step:g}" if scale.step else "every number between"
        yield f"- {scale.min:g} to {scale.max:g}, {steps}"
        yield from (
            f"- **{_inline(value)}**: {_inline(said)}" for value, said in scale.anchors.items()
        )


def _field(field: FieldDefinition) -> str:
    """Render one field of an extraction."""
    kind = f"{field.type}, {'required' if field.required else 'optional'}"
    values = f" One of: {', '.join(map(_inline, field.values))}." if field.values else ""
    return f"- **{_inline(field.name)}** ({kind}): {_inline(field.definition)}{values}"


def _worked(example: WorkedExample) -> str:
    """Render an item with its whole answer."""
    shown = example.shown
    texts = (f"{_inline(name)}: “{_inline(text)}”" for name, text in shown.items())
    text = "; ".join(texts) if len(shown) > 1 else f"“{_inline(next(iter(shown.values())))}”"
    answer = example.answer
    said = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return f"- {text} → {_inline(said)}{_because(example.why)}"


def _label(label: LabelDefinition, level: str = "###") -> Iterator[str]:
    """Render one label's section, and those of the labels below it."""
    yield f"{level} {_inline(label.name)}"
    yield from _paragraphs(label.definition)
    if label.aliases:
        yield f"Also written: {', '.join(map(_inline, label.aliases))}"
    if label.examples:
        yield "Examples:"
        yield "\n".join(
            f"- “{_inline(each.text)}”"
            + (f" ({_bold(each.labels)})" if each.labels is not None else "")
            + _because(each.why)
            for each in label.examples
        )
    if label.counter_examples:
        yield "Not:"
        yield "\n".join(
            f"- “{_inline(each.text)}”"
            + (f" → {_bold(each.label)}" if each.label is not None else "")
            + _because(each.why)
            for each in label.counter_examples
        )
    for inner in label.labels:
        yield from _label(inner, level + "#")


def _edge_case(case: Any) -> str:
    return f"- When {_inline(case.when)} → {_bold(case.then)}{_because(case.why)}"


def _ruling(ruling: Any) -> str:
    head = f"- {_line(ruling.id)}: “{_inline(ruling.text)}”"
    return f"{head} → {_bold(ruling.label)}{_because(ruling.why)}"


def _tree(questions: Sequence[Question], indent: str) -> Iterator[str]:
    """Render questions as a numbered list, their answers indented below."""
    for number, question in enumerate(questions, 1):
        yield f"{indent}{number}. {_line(question.ask)}"
        for answer, branch in (("yes", question.yes), ("no", question.no)):
            head = f"{indent}{_INDENT}- {answer} →"
            nested = [each for each in branch or () if isinstance(each, Question)]
            if nested:
                yield head
                yield from _tree(nested, indent + 2 * _INDENT)
            elif branch is not None:
                yield f"{head} {_bold(branch)}"  # type: ignore[arg-type]  # no questions in it


def _settings(old: Guideline, new: Guideline, fields: Sequence[str]) -> list[str]:
    """Say which plain fields changed; short values are shown."""
    lines = []
    for field in fields:
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            shown = "" if field in {"purpose", "question", "abstain"} else f": {before} → {after}"
            lines.append(f"{field} changed{shown}")
    return lines


def _label_changes(old: LabelDefinition, new: LabelDefinition) -> list[str]:
    """Say what changed within one label."""
    name = f"label {new.name!r}:"
    lines = [] if old.definition == new.definition else [f"{name} definition changed"]
    for field in ("aliases", "examples", "counter_examples"):
        what = f"{name} {field.replace('_', '-')}"
        lines += _changes(what, getattr(old, field), getattr(new, field))
    return lines


def _identity(part: Any) -> str:
    """Tell a part of the document from others by its content."""
    return part if isinstance(part, str) else str(part.model_dump_json())


def _changes(what: str, old: Sequence[Any], new: Sequence[Any]) -> list[str]:
    """Count what a list gained and lost."""
    if old == new:
        return []
    was, now = (Counter(map(_identity, parts)) for parts in (old, new))
    gained, lost = (now - was).total(), (was - now).total()
    counts = [f"{n} {verb}" for n, verb in ((gained, "added"), (lost, "removed")) if n]
    return [f"{what}: {', '.join(counts) or 'reordered'}"]
