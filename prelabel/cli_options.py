"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Option("--project", "-p", help="The project's folder, or its prelabel.yaml.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Names = Annotated[
    list[str] | None,
    typer.Option("--annotator", "-a", help="Only this annotator; may be given several times."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N items.")]
RuleFile = Annotated[
    Path | None, typer.Option("--rule", help="A rule of `prelabel fit`; else one is fitted now.")
]
AffectedBy = Annotated[
    str | None,
    typer.Option(
        help="Only items that the guideline's change since this one reaches: its file, or its hash."
    ),
]
HERE = Path()


def parts(text: str | None) -> list[str]:
    """Return the names in a list with commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
