"""The commands that look ahead: what a promise will accept, whom to ask, and how to check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from prelabel.cli_options import HERE, Folder, Json, Names

Kinds = Annotated[
    Literal["selective", "dataset", "expected"] | None,
    typer.Option(help="What to promise, as in `prelabel fit`; default: the project's."),
]
Delta = Annotated[float | None, typer.Option(help="How often a promise may fail, such as 0.1.")]
ReviewCost = Annotated[float | None, typer.Option(min=0, help="Dollars a review takes.")]


def forecast(
    project: Folder = HERE,
    annotator: Names = None,
    target: Annotated[
        list[float] | None,
        typer.Option(help="A share of wrong labels; several times. Default: .01, .02, .05, .1."),
    ] = None,
    promise: Kinds = None,
    delta: Delta = None,
    gold: Annotated[
        list[int] | None,
        typer.Option(help="A number of gold items; several times. Default: as many, x2 and x4."),
    ] = None,
    review_cost: ReviewCost = None,
    review_minutes: Annotated[
        float | None, typer.Option(min=0, help="Minutes of a review.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What the random draws start from.")] = 0,
    json: Json = False,
) -> None:
    """Foresee what a promise would accept, and what is left to pay, before the rest is labeled.

    The pilot is gold that all annotators have labeled: 100 to 200 items drawn at random from all.

    Example: prelabel forecast --target 0.05 --target 0.1 --review-cost 0.4 --review-minutes 1
    """
    from prelabel import screen_forecast
    from prelabel.forecasting import forecast as foresee
    from prelabel.project import load_project
    from prelabel.promise_plan import TARGETS

    found = foresee(
        load_project(project),
        annotator or (),
        targets=target or TARGETS,
        promise=promise,
        delta=delta,
        gold=gold or (),
        review_cost=review_cost,
        review_minutes=review_minutes,
        seed=seed,
    )
    screen_forecast.forecasts(found, json=json)


def cascade(
    cheap: Annotated[list[str], typer.Argument(help="Annotators that label everything.")],
    strong: Annotated[str, typer.Option(help="The annotator asked where these are least sure.")],
    project: Folder = HERE,
    share: Annotated[
        list[float] | None,
        typer.Option(help="How much to ask it about; several times. Default: 0, .3, .5, .7, 1."),
    ] = None,
    promise: Kinds = None,
    target: Annotated[
        float | None, typer.Option(help="The share of wrong labels promised, such as 0.05.")
    ] = None,
    delta: Delta = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="NAME=DOLLARS a label, where it is not recorded; several times."),
    ] = None,
    review_cost: ReviewCost = None,
    json: Json = False,
) -> None:
    """Say how much to ask a strong annotator after cheap ones, on items that all have labeled.

    Who is asked is fixed without gold; the promise is tested on what comes out at the end.

    Example: prelabel cascade small1 small2 --strong large --target 0.05 --share 0.3 --share 0.5
    """
    from prelabel import screen_forecast
    from prelabel.cascading import SHARES, read_prices
    from prelabel.cascading import cascade as climb
    from prelabel.project import load_project

    found = climb(
        load_project(project),
        cheap,
        strong,
        shares=share or SHARES,
        promise=promise,
        target=target,
        delta=delta,
        prices=read_prices(price or ()),
        review_cost=review_cost,
    )
    screen_forecast.cascade(found, json=json)


def certificate(
    rule: Annotated[Path, typer.Option(help="A rule of `prelabel fit` with a promise.")],
    project: Folder = HERE,
    to: Annotated[Path, typer.Option(help="The page: .html or .md.")] = Path("certificate.html"),
    drawn: Annotated[str, typer.Option(help="How gold was drawn, in your own words.")] = "",
    json: Json = False,
) -> None:
    """Write one page with everything needed to check a promise.

    Example: prelabel certificate --rule rule.json --to certificate.html
    """
    from prelabel import screen_forecast
    from prelabel.certifying import certificate as certify
    from prelabel.project import load_project

    found = certify(load_project(project), rule, to, drawn=drawn)
    screen_forecast.certificate(found, json=json)


def add_forecast(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (forecast, cascade, certificate):
        app.command()(command)
