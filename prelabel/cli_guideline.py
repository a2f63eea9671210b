"""The commands of `prelabel guideline`; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelabel.cli_options import Json

guideline_app = typer.Typer(help="Check and show the guideline.", no_args_is_help=True)


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

    findings = check(file)
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
