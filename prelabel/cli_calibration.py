"""The command that judges confidences; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelabel.cli_options import HERE, Folder, Json, Names


def calibration(
    project: Folder = HERE,
    annotator: Names = None,
    split: Annotated[str | None, typer.Option(help="Part of the gold; default: test.")] = None,
    seed: Annotated[int, typer.Option(help="What resampling starts from.")] = 0,
    details: Annotated[
        bool, typer.Option("--details", help="Show what is right at each confidence.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw reliability and risk by coverage: .svg or .html.")
    ] = None,
    json: Json = False,
) -> None:
    """Say how far confidences can be trusted, as they come and calibrated on gold.

    Example: prelabel calibration --details --plot calibration.svg
    """
    from prelabel import calibrating, screen_calibration
    from prelabel.calibration_plot import write_plot
    from prelabel.project import load_project

    found = calibrating.calibration(load_project(project), annotator or (), split=split, seed=seed)
    if plot:
        write_plot(plot, found.confidences)
    screen_calibration.calibration(found, details=details, json=json)


def add_calibration(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("calibration")(calibration)
