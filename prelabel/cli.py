"""The command line: one short function a command; the library does the work, screen.py prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from prelabel.cli_audit import add_audit
from prelabel.cli_calibration import add_calibration
from prelabel.cli_deciding import add_deciding
from prelabel.cli_forecast import add_forecast
from prelabel.cli_guideline import guideline_app
from prelabel.cli_loop import add_loop
from prelabel.cli_models import doctor, models_app
from prelabel.cli_options import HERE, AffectedBy, Folder, Json, Limit, Names, RuleFile, parts
from prelabel.cli_review import add_review
from prelabel.cli_score import add_score
from prelabel.cli_sections import Sections
from prelabel.cli_validation import add_validation

app = typer.Typer(
    name="prelabel",
    cls=Sections,
    help="LLM pre-labeling and validation. Start with: prelabel demo, or prelabel init --help",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(guideline_app, name="guideline")
app.add_typer(models_app, name="models")
app.command()(doctor)


def version(show: bool) -> None:
    """Print the version and leave."""
    if show:
        from prelabel import __version__

        typer.echo(f"prelabel {__version__}")
        raise typer.Exit


@app.callback()
def start(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options before a command."""


@app.command()
def init(
    items: Annotated[Path, typer.Argument(help="A table of items: CSV, TSV, JSONL or Parquet.")],
    labels: Annotated[
        str, typer.Option(help="The label names, or an extraction's fields, parted by commas.")
    ] = "",
    task: Annotated[str, typer.Option(help="The type of labeling; see docs/tasks.md.")] = (
        "classification"
    ),
    to: Annotated[Path, typer.Option(help="The folder to make the project in.")] = HERE,
    text: Annotated[str, typer.Option(help="The columns to label, parted by commas.")] = "text",
    id: Annotated[str, typer.Option(help="The column that identifies an item.")] = "id",  # noqa: A002
) -> None:
    """Make a project from a table and a list of labels.

    Example: prelabel init messages.csv --labels spam,ham --to my-project
    """
    from prelabel.starting import init as make

    file = make(items, parts(labels), task=task, to=to, text=parts(text), id=id)
    typer.echo(
        f"wrote {file} and {to / 'guideline.yaml'}\n"
        "next: prelabel models pull smollm2-135m, then prelabel plan, then prelabel label"
    )


@app.command()
def schema(
    what: Annotated[Literal["guideline", "project"], typer.Argument(help="Which document.")],
) -> None:
    """Print the JSON Schema of guideline.yaml or prelabel.yaml, for editors.

    Example: prelabel schema guideline > guideline.schema.json
    """
    from prelabel import config, guideline, screen

    screen.as_json(guideline.json_schema() if what == "guideline" else config.json_schema())


@app.command()
def plan(
    project: Folder = HERE,
    annotator: Names = None,
    limit: Limit = None,
    prompt: Annotated[bool, typer.Option(help="Print a real prompt of each annotator.")] = True,
    affected_by: AffectedBy = None,
    json: Json = False,
) -> None:
    """Say what labeling would call and cost, with the real prompt. Nothing is spent.

    Example: prelabel plan --limit 100
    """
    from prelabel import screen
    from prelabel.affected import since
    from prelabel.planning import plan as make
    from prelabel.project import load_project

    opened = load_project(project)
    only = since(opened, affected_by).items if affected_by is not None else None
    made = make(opened, annotator or (), limit=limit, only=only)
    screen.plan(made, prompt=prompt, json=json)


@app.command()
def label(
    project: Folder = HERE,
    annotator: Names = None,
    limit: Limit = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, help="Dollars the project may have spent in all; a hard cap."),
    ] = None,
    affected_by: AffectedBy = None,
    escalate: Annotated[
        float | None,
        typer.Option(help="Only this share of the items: what those of --after are least sure of."),
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(help="With --escalate: annotators that labeled everything; several times."),
    ] = None,
    json: Json = False,
) -> None:
    """Label the items; run the same command again to continue.

    Ctrl-C lets calls in flight finish and keeps everything. Exit code 2 if an annotator could not
    work at all, 1 if the run stopped before its end or nothing at all was labeled.

    Example: prelabel label --limit 100 --max-cost 2.50

    Example: prelabel label -a large --escalate 0.3 --after small1 --after small2
    """
    from prelabel.affected import since
    from prelabel.project import load_project
    from prelabel.watch import watched_label

    opened = load_project(project)
    only = None
    if affected_by is not None:
        reached = since(opened, affected_by)
        only = reached.items
        typer.echo(f"{len(only)} of {reached.total} items are affected", err=True)
    status = watched_label(
        opened,
        annotator or (),
        limit=limit,
        max_cost=max_cost,
        only=only,
        escalate=escalate,
        after=after or (),
        json=json,
    )
    if status.stopped or (status.failures and not status.outcomes["labeled"]):
        raise typer.Exit(2 if status.fatal else 1)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Recorded annotations: CSV, TSV, JSONL, Parquet.")],
    project: Folder = HERE,
    layout: Annotated[
        Literal["wide", "long"], typer.Option(help="One column an annotator, or one row a label.")
    ] = "wide",
    item: Annotated[str, typer.Option(help="The column with the item's id.")] = "id",
    columns: Annotated[
        str | None, typer.Option(help="Wide: the annotators' columns, parted by commas.")
    ] = None,
    ignore: Annotated[str, typer.Option(help="Wide: columns that are not annotators.")] = "",
    annotator: Annotated[str, typer.Option(help="Long: the annotator's column.")] = "annotator",
    label: Annotated[str, typer.Option(help="Long: the label's column.")] = "label",
    confidence: Annotated[
        str | None,
        typer.Option(
            help="The column with the annotator's own confidence: numbers from 0 to 1, or percent "
            "where any of them is above 1 or written with %. Wide, with several annotators: {} "
            "stands for the annotator's column, as in '{}_confidence'."
        ),
    ] = None,
    missing: Annotated[str, typer.Option(help="Marks of cells without annotation, by comma.")] = "",
    unusable: Annotated[str, typer.Option(help="Marks of failed annotations, by comma.")] = "",
    abstained: Annotated[str, typer.Option(help="Marks of abstentions, by comma.")] = "",
    separator: Annotated[str | None, typer.Option(help="What parts several labels.")] = None,
    person: Annotated[bool, typer.Option(help="The annotators are people.")] = False,
    guarded: Annotated[
        bool, typer.Option(help="The table is an export of prelabel, guarded against formulas.")
    ] = False,
    json: Json = False,
) -> None:
    """Import annotations that other systems or people made.

    Example: prelabel import labels.csv --item uuid --columns gpt_4,zephyr --unusable "?"

    Example: prelabel import said.csv --columns gpt --confidence gpt_confidence
    """
    from prelabel import api, screen
    from prelabel.project import load_project

    counts = api.import_annotations(
        load_project(project),
        file,
        kind="person" if person else "import",
        layout=layout,
        item=item,
        annotators=parts(columns) or None,
        ignore=parts(ignore),
        annotator=annotator,
        label=label,
        confidence=confidence,
        missing=["", *parts(missing)],
        unusable=parts(unusable),
        abstained=parts(abstained),
        separator=separator,
        guarded=guarded,
    )
    screen.imported(counts, json=json)
    if not counts.labeled:
        raise typer.Exit(1)


add_score(app)


@app.command()
def agreement(
    project: Folder = HERE,
    annotator: Names = None,
    cluster: Annotated[
        str, typer.Option(help="The metadata column of what items share, such as a document.")
    ] = "cluster",
    json: Json = False,
) -> None:
    """Measure how far annotators agree with each other. Agreement is not accuracy.

    Example: prelabel agreement -a gpt -a claude --cluster document
    """
    from prelabel import api, screen_agreement
    from prelabel.project import load_project

    found = api.agreement(load_project(project), annotator or (), cluster=cluster)
    screen_agreement.agreement(found, json=json)


@app.command()
def rank(
    columns: Annotated[
        str, typer.Argument(help="The two metadata columns that name whose text A and B are.")
    ],
    project: Folder = HERE,
    annotator: Names = None,
    json: Json = False,
) -> None:
    """Rank the contestants of pairwise labels by the Bradley-Terry model.

    Example: prelabel rank model_a,model_b
    """
    from prelabel import api, screen_scores
    from prelabel.project import load_project

    screen_scores.ranking(
        api.rank(load_project(project), parts(columns), annotator or ()), json=json
    )


@app.command()
def candidates(
    k: Annotated[str, typer.Option(help="How many labels to keep, parted by commas.")] = "5,10,20",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Measure on gold how often the right label is among the k most similar to an item.

    An annotator with `candidates: 10` sees the definitions of these only; for large label sets.

    Example: prelabel candidates --k 10,20
    """
    from prelabel import api, screen_scores
    from prelabel.project import load_project

    screen_scores.candidates(api.candidates(load_project(project), parts(k)), json=json)


add_validation(app)
add_deciding(app)
add_review(app)
add_loop(app)
add_audit(app)
add_calibration(app)
add_forecast(app)


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="The file: .jsonl, .csv, .tsv, .parquet or .json.")],
    project: Folder = HERE,
    rule: RuleFile = None,
    format: Annotated[  # noqa: A002
        Literal["table", "label-studio"],
        typer.Option(help="label-studio: tasks with predictions, and the config beside them."),
    ] = "table",
    only: Annotated[
        Literal["all", "accepted", "review"], typer.Option(help="Which items.")
    ] = "all",
) -> None:
    """Write labels with where they came from.

    Example: prelabel export labels.csv --only accepted
    """
    from prelabel import api
    from prelabel.project import load_project

    count = api.export(load_project(project), to, rule=rule, format=format, only=only)
    typer.echo(f"wrote {count} items to {to}")


@app.command()
def report(
    project: Folder = HERE,
    to: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
    rule: RuleFile = None,
) -> None:
    """Write one HTML page: scores, agreement, routes, cost.

    Example: prelabel report --to report.html
    """
    from prelabel.project import load_project
    from prelabel.reporting import report as write

    typer.echo(f"wrote {write(load_project(project), to, rule=rule)}")


@app.command()
def cache(project: Folder = HERE, json: Json = False) -> None:
    """Say how many paid answers are kept, and what they cost.

    Example: prelabel cache
    """
    from prelabel import screen
    from prelabel.project import load_project
    from prelabel.run import looked_at

    with looked_at(load_project(project)) as (_ledger, kept):
        screen.cache(kept, json=json)


@app.command()
def demo(
    to: Annotated[Path, typer.Option(help="The folder to work in.")] = Path("prelabel-demo"),
    evalset: Annotated[str, typer.Option(help="A shipped evalset.")] = "reader-questions",
    model: Annotated[
        str, typer.Option(help="Any LiteLLM model, or local/NAME.")
    ] = "local/smollm2-135m",
    limit: Limit = None,
) -> None:
    """Do the whole job on a shipped evalset with a small model that runs here; no key needed.

    Example: prelabel demo --model openai/gpt-4o-mini
    """
    from prelabel import screen
    from prelabel.demo import demo as run
    from prelabel.watch import watched_label

    screen.demo(run(to, evalset=evalset, model=model, limit=limit, watch=watched_label))
