"""The command that scores annotators; see cli.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from prelabel.cli_options import HERE, Folder, Json, Names


def score(
    project: Folder = HERE,
    annotator: Names = None,
    split: Annotated[str | None, typer.Option(help="Part of the gold; default: test.")] = None,
    details: Annotated[
        bool,
        typer.Option(
            help="Labels, confusion, wrong items, prevalence shift, throughput and people, too."
        ),
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(help="A metadata column to score by; may be given several times."),
    ] = None,
    errors: Annotated[
        int, typer.Option(min=0, help="Print so many wrong labels, the surest first.")
    ] = 0,
    errors_to: Annotated[
        Path | None, typer.Option(help="Write all wrong labels: .csv, .tsv, .jsonl, .parquet.")
    ] = None,
    json: Json = False,
) -> None:
    """Score annotators and their consensus against gold.

    Example: prelabel score --by outlet --errors 20 --errors-to errors.csv
    """
    from prelabel import api, screen, screen_details, screen_scores
    from prelabel.behind_scores import score_details, write_mistakes
    from prelabel.exchange.tables import format_of
    from prelabel.project import load_project

    if errors_to:
        format_of(errors_to)  # refused before the work
    opened, names = load_project(project), annotator or ()
    report = api.score(opened, names, split=split)
    if not (details or by or errors or errors_to):
        screen_scores.score(report, details=False, json=json)
        return
    found = score_details(
        opened, names, slices=by or (), errors=None if errors_to else errors, split=split
    )
    written = write_mistakes(found, errors_to) if errors_to else 0
    if json:
        shown = replace(found, mistakes=found.mistakes[:errors])
        screen.as_json(report.to_dict() | {"details": shown.to_dict()})
        return
    screen_scores.score(report, details=details, json=False)
    path = report.task == "hierarchical"
    screen_details.score_details(found, everything=details, errors=errors, path=path)
    if errors_to:
        typer.echo(f"wrote {written} wrong labels to {errors_to}")


def add_score(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("score")(score)
