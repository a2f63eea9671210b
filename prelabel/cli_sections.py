"""Lists of commands in `--help`: those of the program by what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

SECTIONS = {
    "Start": ("demo", "init", "guideline", "models", "schema", "doctor"),
    "Label": ("plan", "label", "import", "candidates", "cache"),
    "Judge against gold": (
        "score",
        "compare",
        "errors",
        "choose",
        "calibration",
        "gold-size",
        "gold-audit",
        "gold-error",
        "qualify",
    ),
    "Judge without gold": ("agreement", "alt-test", "ceiling", "rank"),
    "Decide, and promise": (
        "forecast",
        "cascade",
        "fit",
        "route",
        "certificate",
        "audit",
        "audit-error",
        "prevalence",
        "quality",
    ),
    "Review, and learn from it": ("review", "revise"),
    "Use": ("export", "report"),
}
"""Every command stands in one of them; a test holds this."""

LONGEST = 200
"""More than any first sentence has: they are wrapped, never cut."""


class Listed(TyperGroup):
    """Commands below a command, each with the first sentence of its help."""

    sections: Mapping[str, Sequence[str]] | None = None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of each section; without sections, all of them."""
        for title, names in (self.sections or {"Commands": self.list_commands(ctx)}).items():
            rows = [
                (name, command.get_short_help_str(LONGEST))
                for name in names
                if (command := self.get_command(ctx, name)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Sections(Listed):
    """The program itself."""

    sections = SECTIONS
