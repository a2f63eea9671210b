"""The commands by which annotators qualify and the guideline learns; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelabel.cli_options import HERE, Folder, Json

Split = Annotated[str | None, typer.Option(help="Only this split of the gold.")]
MaxCost = Annotated[
    float | None,
    typer.Option(min=0, help="Dollars the project may have spent in all; a hard cap."),
]


def qualify(
    name: Annotated[str, typer.Argument(help="An annotator: an LLM, an imported one, a person.")],
    project: Folder = HERE,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Of a person: written where it is not there, else read."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="The accuracy to show; default: run: require_qualified, else as before, else 0.85."
        ),
    ] = None,
    practice: Annotated[int, typer.Option(min=1, help="Gold items to practice on.")] = 50,
    test: Annotated[int, typer.Option(min=1, help="Gold items of the test.")] = 100,
    again: Annotated[
        bool, typer.Option("--again", help="Take a fresh test after one that was failed.")
    ] = False,
    split: Split = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    max_cost: MaxCost = None,
    json: Json = False,
) -> None:
    """Find out whether an annotator may label: practice on gold, then a test on other gold.

    Each run takes the next step. The lower end of the interval decides, not the share seen. Exit
    code 1 until the annotator is qualified.

    Example: prelabel qualify gpt --threshold 0.9

    Example: prelabel qualify ada --sheet ada-1.csv
    """
    from prelabel import screen_loop
    from prelabel.project import load_project
    from prelabel.qualifying import qualify as step

    found = step(
        load_project(project),
        name,
        sheet=sheet,
        threshold=threshold,
        practice=practice,
        test=test,
        again=again,
        split=split,
        seed=seed,
        max_cost=max_cost,
    )
    screen_loop.qualification(found, json=json)
    if not found.qualified:
        raise typer.Exit(1)


def revise(
    project: Folder = HERE,
    to: Annotated[
        Path | None, typer.Option(help="The file; default: guideline.proposed.yaml.")
    ] = None,
    draft: Annotated[
        str | None,
        typer.Option(help="An annotator of prelabel.yaml that drafts edge cases, marked as such."),
    ] = None,
    least: Annotated[
        int, typer.Option(min=1, help="How often labels must be confused to be listed.")
    ] = 2,
    max_cost: MaxCost = None,
    json: Json = False,
) -> None:
    """Propose a change of the guideline from rulings, confused labels and reviewers' notes.

    The guideline stays as it is: judge the proposal with `prelabel guideline gate`, take it in with
    `prelabel guideline accept`.

    Example: prelabel revise --draft gpt
    """
    from prelabel import screen_loop
    from prelabel.project import load_project
    from prelabel.revising import revise as propose

    found = propose(load_project(project), to=to, draft=draft, least=least, max_cost=max_cost)
    screen_loop.revision(found, json=json)


def add_loop(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("qualify")(qualify)
    app.command("revise")(revise)
