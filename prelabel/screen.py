"""What the command line shows: tables, JSON. Only cli.py and watch.py use it."""

from __future__ import annotations

import json as json_
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from prelabel.cache import ResponseCache
    from prelabel.demo import DemoResult
    from prelabel.diagnosis import Diagnosis
    from prelabel.importing import Imported
    from prelabel.models import EmbeddedModel
    from prelabel.planning import Plan

UNBOUND = 160
"""Columns of what is not a terminal: a file or a pipe has no edge to wrap at."""

bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
out = Console(highlight=False, soft_wrap=False, width=None if bounded else UNBOUND)
err = Console(stderr=True, highlight=False)


def as_json(value: Any) -> None:
    """Print JSON."""
    sys.stdout.write(json_.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def lines(texts: Sequence[str], *, none: str, json: bool) -> None:
    """Print texts, a line each."""
    if json:
        as_json(list(texts))
    else:
        for text in texts or [none]:
            out.print(escape(text), soft_wrap=True)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str = "",
    spare: Sequence[str] = (),
) -> None:
    """Print a table; all columns but the first are as narrow as they can be.

    Where there is not room for all, ``spare`` columns are left out, the first named first.
    """
    rows, left = list(rows), []
    shown = _table(columns, rows, title)
    for name in spare:
        if Measurement.get(out, out.options.update(width=sys.maxsize), shown).maximum <= out.width:
            break
        left.append(name)
        kept = [at for at, column in enumerate(columns) if column not in left]
        shown = _table(
            [columns[at] for at in kept], [[row[at] for at in kept] for row in rows], title
        )
    out.print(shown)
    if left:
        out.print(escape(f"no room for: {', '.join(left)} (--json has all)"), soft_wrap=True)
    out.print()


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str) -> Table:
    rows = list(rows)
    # a first column that would take most of the room, such as a sentence, is wrapped
    widest = max((len(str(row[0])) for row in rows), default=0)
    shown = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for i, name in enumerate(columns):
        shown.add_column(
            f"[bold underline]{escape(name)}",
            overflow="fold",
            no_wrap=i == 0 and widest <= out.width // 2,
            justify="right" if i else "left",
        )
    for row in rows:
        shown.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    return shown


def notes(texts: Iterable[str]) -> None:
    """Print notes, each once."""
    for text in dict.fromkeys(texts):
        out.print(f"[yellow]note[/] {escape(text)}", soft_wrap=True)


def findings(file: Path, found: Sequence[Any], *, json: bool) -> None:
    """Print what a check of the guideline found."""
    if json:
        as_json([{"line": f.line, "level": f.level, "message": f.message} for f in found])
        return
    for finding in found:
        colour = "red" if finding.level == "error" else "yellow"
        where = escape(f"{file}:{finding.line}")
        out.print(
            f"{where}: [{colour}]{finding.level}[/] {escape(finding.message)}", soft_wrap=True
        )
    if not found:
        out.print(f"{escape(str(file))}: nothing to mend")


def markdown(text: str, *, plain: bool) -> None:
    """Print Markdown, as it is or rendered."""
    from rich.markdown import Markdown

    if plain or not out.is_terminal:
        sys.stdout.write(text)
    else:
        out.print(Markdown(text))


def dollars(value: float | None) -> str:
    """Write dollars; small amounts keep their digits."""
    if value is None:
        return "unknown"
    return f"${value:.2f}" if value >= 1 or value == 0 else f"${value:.6f}".rstrip("0")


def duration(seconds: float | None) -> str:
    """Write a time."""
    if seconds is None:
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def plan(made: Plan, *, prompt: bool, json: bool) -> None:
    """Print what a run would do."""
    if json:
        as_json(made.to_dict())
        return
    if prompt:
        for one in made.annotators:
            out.rule(escape(f"the next prompt of {one.annotator}"))
            out.print(escape(one.prompt), soft_wrap=True)
        out.rule()
    table(
        ["annotator", "items", "done", "cached", "calls", "tokens in/out", "$", "at most", "time"],
        [
            (
                one.annotator,
                one.items,
                one.settled,
                one.cached,
                one.calls,
                f"{one.input_tokens}/{one.output_tokens}",
                interval(one.dollars),
                dollars(one.at_most),
                duration(one.seconds),
            )
            for one in made.annotators
        ],
    )
    out.print(f"spent so far: {dollars(made.spent)}; this run: {interval(made.dollars)}")
    split = [
        f"{one.annotator}: {one.split} long items in parts" for one in made.annotators if one.split
    ]
    failing = [
        f"{one.annotator}: {one.failing} items will fail unasked: too long for a task without "
        "parts, or with a picture that the provider is not sent"
        for one in made.annotators
        if one.failing
    ]
    notes(
        [
            *split,
            *failing,
            "tokens are estimated from a sample; re-asks and retries come on top of the interval",
            "time is from past calls: label a few items first (--limit 20) to see it",
        ]
    )


def interval(value: tuple[float, float] | None) -> str:
    """Write an interval of dollars."""
    if value is None:
        return "unknown price"
    return "$0" if value[1] == 0 else f"{dollars(value[0])} to {dollars(value[1])}"


def imported(counts: Imported, *, json: bool) -> None:
    """Print what an import recorded, and why it refused what it did."""
    if json:
        as_json({"counts": counts, "examples": counts.examples})
        return
    kinds = sorted({kind for count in counts.values() for kind in count}, key=_labeled_first)
    rows = [(name, *(count.get(kind, 0) for kind in kinds)) for name, count in counts.items()]
    table(["annotator", *kinds], rows)
    for kind, example in counts.examples.items():
        out.print(escape(f"failed: {kind}, such as {example}"), soft_wrap=True)


def _labeled_first(kind: str) -> tuple[bool, str]:
    return kind != "labeled", kind


def models(catalogue: Sequence[EmbeddedModel], *, json: bool) -> None:
    """Print the models that can be fetched."""
    from prelabel.models import stored_at

    rows = [
        {
            "name": model.name,
            "what": model.description,
            "licence": model.license,
            "MB": model.megabytes,
            "fetched": stored_at(model).is_file(),
        }
        for model in catalogue
    ]
    if json:
        as_json(rows)
    else:
        table(list(rows[0]), [list(row.values()) for row in rows])


def doctor(found: Diagnosis, *, json: bool) -> None:
    """Print what was looked at, what is in the way last."""
    if json:
        as_json(found.to_dict())
        return
    colours = {"ok": "green", "note": "yellow", "error": "red"}
    for check in sorted(found.checks, key=lambda check: check.level == "error"):
        colour = colours[check.level]
        text = f"[{colour}]{check.level:5}[/] {escape(check.what)}: {escape(check.found)}"
        out.print(text, soft_wrap=True)


def cache(kept: ResponseCache, *, json: bool) -> None:
    """Print what the cache holds."""
    found = {
        "answers": len(kept),
        "bytes": kept.volume(),
        "spent": kept.spent,
        "unconfirmed": kept.unconfirmed,
    }
    if json:
        as_json(found)
    else:
        out.print(
            f"{found['answers']} answers kept, {found['bytes'] / 1e6:.1f} MB; this project spent "
            f"{dollars(kept.spent)}, and at most {dollars(kept.unconfirmed)} more on calls that "
            "brought no answer",
            soft_wrap=True,
        )


def demo(result: DemoResult) -> None:
    """Print what the demo found, plainly."""
    from prelabel import screen_agreement, screen_deciding, screen_scores
    from prelabel.demo import verdict

    screen_scores.score(result.scores, details=False, json=False)
    screen_agreement.agreement(result.agreement, json=False)
    screen_deciding.routes(result.routes, 5, json=False)
    out.rule()
    for text in verdict(result):
        out.print(escape(text), soft_wrap=True)
