"""The commands that audit accepted labels and sum up the dataset; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelabel.cli_options import HERE, Folder, Json, Names, RuleFile

Split = Annotated[str | None, typer.Option(help="The part of the gold; default: test, else all.")]


def audit(
    to: Annotated[Path, typer.Argument(help="Where the sheet goes: .csv, .tsv, .jsonl, .parquet.")],
    project: Folder = HERE,
    n: Annotated[int, typer.Option("-n", "--items", min=1, help="How many items to draw.")] = 100,
    rule: RuleFile = None,
    target: Annotated[
        float | None,
        typer.Option(help="The error to watch for, such as 0.05; default: the rule's promise."),
    ] = None,
    seed: Annotated[int, typer.Option(help="What the random draw starts from.")] = 0,
    json: Json = False,
) -> None:
    """Draw accepted items at random, to be labeled by people who do not see the accepted label.

    Fill the column label of the sheet, then run `prelabel audit-error`.

    Example: prelabel audit sheet.csv --rule rule.json -n 100 --target 0.05
    """
    from prelabel import screen_audit
    from prelabel.auditing_accepted import audit as draw
    from prelabel.project import load_project

    found = draw(load_project(project), to, n=n, rule=rule, seed=seed, target=target)
    screen_audit.audit(found, json=json)


def audit_error(
    sheet: Annotated[Path, typer.Argument(help="The sheet of audit, labels filled in.")],
    project: Folder = HERE,
    author: Annotated[
        str, typer.Option(help="Who filled it in, if it has no column 'author'.")
    ] = "",
    json: Json = False,
) -> None:
    """Estimate the error of accepted labels, and say whether accepting should stop.

    Exit code 1 if it should: the audits so far show an error above the target.

    Example: prelabel audit-error sheet.csv --author ann
    """
    from prelabel import screen_audit
    from prelabel.audited_errors import audit_error as estimate
    from prelabel.project import load_project

    found = estimate(load_project(project), sheet, author=author)
    screen_audit.audit_error(found, json=json)
    if found.stopped:
        raise typer.Exit(1)


def prevalence(
    project: Folder = HERE,
    annotator: Names = None,
    rule: RuleFile = None,
    split: Split = None,
    json: Json = False,
) -> None:
    """Estimate how often each label occurs, from labels for all items and gold for some.

    Example: prelabel prevalence --split test
    """
    from prelabel import screen_audit
    from prelabel.dataset_quality import prevalence as estimate
    from prelabel.project import load_project

    found = estimate(load_project(project), annotator or (), rule=rule, split=split)
    screen_audit.prevalence(found, json=json)


def quality(
    project: Folder = HERE,
    annotator: Names = None,
    rule: RuleFile = None,
    split: Split = None,
    reviewer_error: Annotated[
        str,
        typer.Option(help="People's own error: a share, such as 0.02, or wrong/checked: 3/150."),
    ] = "0",
    json: Json = False,
) -> None:
    """Estimate the error of the final dataset, before and after people review the queue.

    Example: prelabel quality --rule rule.json --reviewer-error 3/150
    """
    from prelabel import screen_audit
    from prelabel.dataset_quality import quality as estimate
    from prelabel.dataset_quality import read_reviewer
    from prelabel.project import load_project

    found = estimate(
        load_project(project),
        annotator or (),
        rule=rule,
        split=split,
        reviewer_error=read_reviewer(reviewer_error),
    )
    screen_audit.quality(found, json=json)


def add_audit(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("audit")(audit)
    app.command("audit-error")(audit_error)
    app.command("prevalence")(prevalence)
    app.command("quality")(quality)
