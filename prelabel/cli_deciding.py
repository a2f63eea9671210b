"""The commands that fit a decision rule and apply it; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from prelabel.cli_options import HERE, Folder, Json, Names, RuleFile


def fit(
    project: Folder = HERE,
    annotator: Names = None,
    to: Annotated[Path | None, typer.Option(help="Where the rule goes.")] = None,
    promise: Annotated[
        Literal["selective", "dataset", "expected"] | None,
        typer.Option(
            help="What to promise. selective: few of the accepted labels are wrong; dataset: few "
            "of all items are accepted and wrong; expected: few of the accepted, on average only."
        ),
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="The share of wrong labels promised, such as 0.05.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="How often a promise may fail, such as 0.1.")
    ] = None,
    each: Annotated[
        str | None, typer.Option(help="Promise it of each `label`, or each value of a column.")
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--cross-fit", help="Test on one half of the gold: exact."),
    ] = None,
    audit: Annotated[
        float | None,
        typer.Option(help="The share of accepted items to send to people at random, such as 0.02."),
    ] = None,
    json: Json = False,
) -> None:
    """Fit on votes and gold how labels are decided and which are accepted; freeze it to a file.

    Options stand in place of those under `decide:` in prelabel.yaml. Choose promise, target and
    delta before you see a result: of many tries one succeeds by luck.

    Example: prelabel fit --promise selective --target 0.05 --to rule.json
    """
    from prelabel import api, screen_deciding
    from prelabel.project import load_project

    asked = {
        "promise": promise,
        "target": target,
        "delta": delta,
        "each": each,
        "strict": strict,
        "audit": audit,
    }
    settings = {name: value for name, value in asked.items() if value is not None}
    found = api.fit(load_project(project), annotator or (), to=to, **settings)
    screen_deciding.fitted(found, json=json)


def route(
    project: Folder = HERE,
    annotator: Names = None,
    rule: RuleFile = None,
    show: Annotated[int, typer.Option(min=0, help="Items of the review queue to print.")] = 20,
    reviews: Annotated[
        int | None,
        typer.Option(min=1, help="How many reviews you can afford: print what to spend them on."),
    ] = None,
    json: Json = False,
) -> None:
    """Accept labels, or send items to review with the reasons, those first that gain most by it.

    With --reviews the items are chosen among all, accepted or not, and what is expected to stay
    wrong is said.

    Example: prelabel route --rule rule.json --reviews 500
    """
    from prelabel import api, screen_deciding
    from prelabel.project import load_project

    found = api.route(load_project(project), annotator or (), rule=rule)
    if reviews is None:
        screen_deciding.routes(found, show, json=json)
    else:
        screen_deciding.budget(found, reviews, show, json=json)


def add_deciding(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (fit, route):
        app.command()(command)
