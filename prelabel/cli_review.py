"""The command `prelabel review` and those below it; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelabel.cli_options import HERE, Folder, Json, RuleFile
from prelabel.cli_sections import Listed

review_app = typer.Typer(cls=Listed, rich_markup_mode=None)

Store = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="PRELABEL_REVIEW_DATABASE",
        show_envvar=True,
        help="postgresql://… where several servers share a review; default: a file in .prelabel/.",
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        min=1, max=20, help="Opinions wanted of each item; default: as before, 1 at first."
    ),
]


@review_app.callback(invoke_without_command=True)
def review(
    context: typer.Context,
    project: Folder = HERE,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8765,
    url: Annotated[
        list[str] | None,
        typer.Option(help="With --host: the address people type, such as https://review.example."),
    ] = None,
    reviewer: Annotated[
        str, typer.Option(help="Who the printed address logs in; a new name becomes a senior.")
    ] = "owner",
    blind: Annotated[bool, typer.Option("--blind", help="Show no candidate labels.")] = False,
    overlap: Overlap = None,
    rule: RuleFile = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Build the queue anew, also if nothing changed.")
    ] = False,
    database: Store = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, open nothing.")
    ] = False,
) -> None:
    """Settle on a web page what the decision rule would not accept.

    The address printed at the start logs you in; others come with `prelabel review invite`. Ctrl-C
    ends the server; every decision is stored as soon as the page says so.

    Example: prelabel review --overlap 2 --blind
    """
    if context.invoked_subcommand is not None:
        _refuse_lost_options(context)
        return
    from prelabel.project import load_project
    from prelabel.review.serving import Address, serve

    def started(address: str) -> None:
        typer.echo(f"review at {address}\nCtrl-C ends it")
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    serve(
        load_project(project),
        Address(host, port, tuple(url or ())),
        database=database,
        reviewer=reviewer,
        blind=blind,
        overlap=overlap,
        rule=rule,
        anew=refresh,
        started=started,
    )


def _refuse_lost_options(context: typer.Context) -> None:
    """Raise ``InputError`` for options that stand before a command, where they say nothing."""
    from prelabel.errors import InputError

    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option, command = name.replace("_", "-"), context.invoked_subcommand
            raise InputError(f"review: write --{option} after {command}, not before it")


@review_app.command()
def invite(
    name: Annotated[str, typer.Argument(help="The reviewer's name.")],
    project: Folder = HERE,
    senior: Annotated[bool, typer.Option("--senior", help="Their word settles conflicts.")] = False,
    url: Annotated[
        str, typer.Option(help="The server's address as the reviewer types it.")
    ] = "http://127.0.0.1:8765",
    database: Store = None,
) -> None:
    """Print an address that logs a reviewer in; one given before is void, and so are its logins.

    Example: prelabel review invite ada --senior
    """
    from contextlib import closing

    from prelabel.project import load_project
    from prelabel.review.store import invite as make
    from prelabel.review.store import open_store

    with closing(open_store(load_project(project), database)) as opened:
        token = make(opened, name, "senior" if senior else None)
    typer.echo(f"{url.rstrip('/')}/login?token={token}")


@review_app.command()
def queue(
    project: Folder = HERE,
    overlap: Overlap = None,
    rule: RuleFile = None,
    database: Store = None,
) -> None:
    """Build the queue anew, also under servers that run: after labeling more, or another rule.

    Example: prelabel review queue --rule rule.json
    """
    from contextlib import closing

    from prelabel.project import load_project
    from prelabel.review.serving import refresh
    from prelabel.review.store import open_store

    opened_project = load_project(project)
    with closing(open_store(opened_project, database)) as opened:
        refresh(opened_project, opened, overlap=overlap, rule=rule)
    results(project, database=database)


@review_app.command()
def results(
    project: Folder = HERE,
    export: Annotated[
        Path | None,
        typer.Option(help="Write every opinion that stands: .jsonl, .csv, .tsv or .parquet."),
    ] = None,
    database: Store = None,
    json: Json = False,
) -> None:
    """Say how far the review is, and write what was decided.

    Example: prelabel review results --export decisions.jsonl
    """
    from prelabel import screen
    from prelabel.exchange.tables import write_rows
    from prelabel.project import load_project
    from prelabel.review import results as found

    opened = load_project(project)
    if export:
        count = write_rows(export, found.rows(opened, database), found.COLUMNS)
        typer.echo(f"wrote {count} decisions to {export}", err=json)
    told = found.results(opened, database).to_dict()
    if json:
        screen.as_json(told)
        return
    rows = [
        (name.replace("_", " "), ", ".join(f"{k} {n}" for k, n in value.items()) or "none")
        if isinstance(value, dict)
        else (name.replace("_", " "), value)
        for name, value in told.items()
    ]
    screen.table(["", ""], rows)


@review_app.command()
def fairness(project: Folder = HERE, database: Store = None, json: Json = False) -> None:
    """Say how right people are on hidden gold, how fast, and how far suggestions mislead them.

    What is measured is set under `review:` in prelabel.yaml: gold_rate, wrong_rate, blind_rate.

    Example: prelabel review fairness --json
    """
    from prelabel.project import load_project
    from prelabel.review import fairness as measure
    from prelabel.screen_fairness import fairness as show

    show(measure(load_project(project), database), json=json)


@review_app.command()
def lift(
    name: Annotated[str, typer.Argument(help="The reviewer whose flag is lifted.")],
    reason: Annotated[str, typer.Option(help="Why; it is stored.")],
    project: Folder = HERE,
    by: Annotated[str, typer.Option(help="Who says so.")] = "owner",
    database: Store = None,
) -> None:
    """Let what a reviewer below the quality floor decided count again; their count begins anew.

    Example: prelabel review lift ada --reason "the gold of items 3 and 7 was wrong"
    """
    from prelabel.project import load_project
    from prelabel.review import lift as begin_anew

    begin_anew(load_project(project), name, reason=reason, by=by, database=database)
    typer.echo(f"what {name} decided counts again")


def add_review(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(review_app, name="review")
