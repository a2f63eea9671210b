"""The commands that judge annotators and gold; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from prelabel.cli_options import HERE, Folder, Json, Names

People = Annotated[
    list[str] | None,
    typer.Option("--person", help="Only this person; may be given several times."),
]


def alt_test(
    project: Folder = HERE,
    annotator: Names = None,
    person: People = None,
    replaces: Annotated[
        Literal["expert", "skilled", "crowd"] | None,
        typer.Option(help="Whom the LLM would replace: epsilon .2, .15 or .1."),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="In place of --replaces: the share of items it may lose by."),
    ] = None,
    similarity: Annotated[
        str | None,
        typer.Option(help="equal, jaccard, overlap, neg_rmse or neg_mae; default: the task's."),
    ] = None,
    json: Json = False,
) -> None:
    """Test whether an LLM may stand in for the people who label (the alt-test).

    People's labels come from `prelabel import --person`. Decide on --replaces before looking.

    Example: prelabel alt-test -a gpt --replaces skilled
    """
    from prelabel import screen_validation
    from prelabel.alternatives import alt_tests
    from prelabel.errors import InputError
    from prelabel.project import load_project

    if (replaces is None) == (epsilon is None):
        raise InputError("alt-test: give one of --replaces and --epsilon, before you see a result")
    found = alt_tests(
        load_project(project),
        annotator or (),
        person or (),
        epsilon=replaces if replaces is not None else epsilon or 0.0,
        similarity=similarity,
    )
    screen_validation.alt_tests(found, json=json)


def ceiling(
    project: Folder = HERE,
    annotator: Names = None,
    person: People = None,
    against: Annotated[
        Literal["majority", "median", "others"] | None,
        typer.Option(help="What each person is compared with; default: the task's."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure how well people score against each other, and annotators beside them.

    Example: prelabel ceiling -a gpt
    """
    from prelabel import screen_validation
    from prelabel.human_ceiling import ceiling as measure
    from prelabel.project import load_project

    found = measure(load_project(project), annotator or (), people=person or (), against=against)
    screen_validation.ceiling(found, json=json)


def gold_audit(
    to: Annotated[Path, typer.Argument(help="Where the list goes: .csv, .tsv or .jsonl.")],
    project: Folder = HERE,
    annotator: Names = None,
    split: Annotated[str | None, typer.Option(help="Part of the gold; default: test.")] = None,
    most: Annotated[
        int | None, typer.Option(min=0, help="Suspicious items at most; default: all.")
    ] = None,
    controls: Annotated[
        int | None,
        typer.Option(min=0, help="Random others; default: as many as suspicious, 20 at least."),
    ] = None,
    seed: Annotated[int, typer.Option(help="What the random choice and order start from.")] = 0,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show what is suspected; not to who labels the list.")
    ] = False,
    json: Json = False,
) -> None:
    """List suspicious gold among random other gold, to be labeled again blind.

    No gold is changed. Fill the column label of the list, then run `prelabel gold-error`.

    Example: prelabel gold-audit again.csv --controls 50
    """
    from prelabel import screen_validation
    from prelabel.auditing import gold_audit as audit
    from prelabel.project import load_project

    found = audit(
        load_project(project),
        annotator or (),
        split=split,
        most=most,
        controls=controls,
        seed=seed,
        to=to,
    )
    screen_validation.gold_audit(found, reveal=reveal, json=json)


def gold_error(
    adjudicated: Annotated[Path, typer.Argument(help="The list of gold-audit, labels filled in.")],
    project: Folder = HERE,
    annotator: Names = None,
    json: Json = False,
) -> None:
    """Estimate how much of the gold is wrong, and whom it therefore cannot tell apart.

    Example: prelabel gold-error again.csv
    """
    from prelabel import screen_validation
    from prelabel.gold_errors import gold_error as estimate
    from prelabel.project import load_project

    found = estimate(load_project(project), adjudicated, annotator or ())
    screen_validation.gold_error(found, json=json)


def compare(
    project: Folder = HERE,
    annotator: Names = None,
    baseline: Annotated[
        str | None, typer.Option(help="Compare each annotator with this one only.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="With a baseline: who is worse by less than this, such as 0.03?"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the gold; default: test.")] = None,
    failures: Annotated[
        Literal["left-out", "wrong"],
        typer.Option(help="What becomes of items where an annotator failed or abstained."),
    ] = "left-out",
    correction: Annotated[
        Literal["holm", "bh", "none"],
        typer.Option(help="For many tests: holm to decide, bh to explore."),
    ] = "holm",
    guideline: Annotated[
        list[str] | None,
        typer.Option(help="Hash of an earlier guideline whose labels compete, too."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="A metadata column: each part by itself.")] = None,
    json: Json = False,
) -> None:
    """Say which annotators are better against gold, and which the gold cannot tell apart.

    Example: prelabel compare --baseline gpt --margin 0.03
    """
    from prelabel import comparing, screen_compare
    from prelabel.project import load_project

    found = comparing.compare(
        load_project(project),
        annotator or (),
        baseline=baseline,
        margin=margin,
        split=split,
        failures="wrong" if failures == "wrong" else "left out",
        correction=correction,
        guidelines=guideline or (),
        by=by,
    )
    screen_compare.compared(found, json=json)


def gold_size(
    width: Annotated[float, typer.Option(help="Whole width of a 95% interval.")] = 0.1,
    accuracy: Annotated[float, typer.Option(help="The accuracy expected.")] = 0.85,
    difference: Annotated[
        float, typer.Option(help="A difference in accuracy that matters to you.")
    ] = 0.05,
    discordance: Annotated[
        float, typer.Option(help="Share of items that just one of two annotators gets right.")
    ] = 0.2,
    margin: Annotated[float, typer.Option(help="How much worse would still do.")] = 0.05,
    agreement: Annotated[float, typer.Option(help="The kappa or alpha expected.")] = 0.7,
    shares: Annotated[str, typer.Option(help="The labels' shares, parted by commas.")] = "0.5,0.5",
    annotators: Annotated[int, typer.Option(help="How many, for kappa or alpha.")] = 3,
    comparisons: Annotated[int, typer.Option(help="How many pairs will be compared.")] = 1,
    power: Annotated[float, typer.Option(help="Chance to find what is there.")] = 0.8,
    json: Json = False,
) -> None:
    """Say how many gold items each question takes, before you pay for them.

    Example: prelabel gold-size --difference 0.03 --discordance 0.1 --comparisons 3
    """
    from prelabel import gold_sizes as sizes
    from prelabel import screen_compare

    rows = sizes.gold_size(
        width=width,
        accuracy=accuracy,
        difference=difference,
        discordance=discordance,
        margin=margin,
        agreement=agreement,
        shares=sizes.read_shares(shares),
        annotators=annotators,
        comparisons=comparisons,
        power=power,
    )
    screen_compare.gold_size(rows, json=json)


Split = Annotated[str | None, typer.Option(help="The part of the gold; default: test, else all.")]


def choose(
    project: Folder = HERE, annotator: Names = None, split: Split = None, json: Json = False
) -> None:
    """Compare the ways to aggregate on gold items that they were not fitted on.

    Example: prelabel choose --split test
    """
    from prelabel import screen_validation
    from prelabel.project import load_project
    from prelabel.weighing import choose_aggregator

    found = choose_aggregator(load_project(project), annotator or (), split=split)
    screen_validation.choice(found, json=json)


def errors(
    project: Folder = HERE, annotator: Names = None, split: Split = None, json: Json = False
) -> None:
    """Say whether annotators err together, and how often what all of them say is wrong.

    Example: prelabel errors
    """
    from prelabel import screen_validation
    from prelabel.error_correlation import project_error_correlation
    from prelabel.project import load_project

    found = project_error_correlation(load_project(project), annotator or (), split=split)
    screen_validation.errors(found, json=json)


def add_validation(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("compare")(compare)
    app.command("gold-size")(gold_size)
    app.command("errors")(errors)
    app.command("choose")(choose)
    app.command("alt-test")(alt_test)
    app.command("ceiling")(ceiling)
    app.command("gold-audit")(gold_audit)
    app.command("gold-error")(gold_error)
