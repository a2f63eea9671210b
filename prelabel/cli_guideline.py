"""The commands of `prelabel guideline`; see cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prelabel.affected import SIMILAR
from prelabel.cli_options import HERE, Folder, Json, Names
from prelabel.cli_sections import Listed

if TYPE_CHECKING:
    from prelabel.project import Project

guideline_app = typer.Typer(
    cls=Listed, help="Check, show, compare and change the guideline.", no_args_is_help=True
)

Author = Annotated[str, typer.Option(help="Whose word it is.")]
Reason = Annotated[str, typer.Option(help="Why.")]
Similar = Annotated[
    float, typer.Option(help="The cosine of words from which on an item is like a changed rule.")
]
Proposed = Annotated[
    Path | None,
    typer.Argument(help="The changed guideline; default: the project's guideline.proposed.yaml."),
]


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
    old: Annotated[str, typer.Argument(help="The guideline before: its file, or its hash.")],
    new: Annotated[str, typer.Argument(help="The guideline now: its file, or its hash.")],
    items: Annotated[
        bool, typer.Option("--items", help="Say which of the project's items are affected.")
    ] = False,
    similar: Similar = SIMILAR,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Say which labels, examples and rules differ between two guidelines.

    Example: prelabel guideline diff old/guideline.yaml guideline.yaml

    Example: prelabel guideline diff 3f2a9c guideline.yaml --items
    """
    from prelabel import screen, screen_loop
    from prelabel.affected import affected
    from prelabel.guideline import load_guideline
    from prelabel.guideline_show import diff
    from prelabel.guideline_versions import find_version
    from prelabel.project import load_project

    if not items and Path(old).exists() and Path(new).exists():
        lines = diff(load_guideline(old), load_guideline(new))
        screen.lines(lines, none="no difference in content", json=json)
        return
    opened = load_project(project)
    before, now = find_version(opened, old), find_version(opened, new)
    if items:
        screen_loop.affected(affected(opened, before, now, similar=similar), json=json)
    else:
        screen.lines(diff(before, now), none="no difference in content", json=json)


@guideline_app.command("rulings")
def guideline_rulings(
    project: Folder = HERE,
    accept: Annotated[
        list[str] | None, typer.Option(help="A ruling to take into the next proposal.")
    ] = None,
    reject: Annotated[list[str] | None, typer.Option(help="A ruling to leave out.")] = None,
    author: Author = "",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """List the rulings of the review page, and say yes or no to them.

    Example: prelabel guideline rulings --accept R-3 --author ada --reason "it comes up weekly"
    """
    from prelabel import screen_loop
    from prelabel.project import load_project
    from prelabel.rulings import decide_rulings, rulings

    opened = load_project(project)
    if accept or reject:
        found = decide_rulings(
            opened, accept=accept or (), reject=reject or (), author=author, reason=reason
        )
    else:
        found = rulings(opened)
    screen_loop.rulings(found, json=json)


@guideline_app.command("gate")
def guideline_gate(
    proposed: Proposed = None,
    project: Folder = HERE,
    annotator: Names = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="So many gold items at most, at random.")
    ] = None,
    similar: Similar = SIMILAR,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, help="Dollars the project may have spent in all; a hard cap."),
    ] = None,
    json: Json = False,
) -> None:
    """Label held-out gold under a changed guideline and the present one, and say which is better.

    Exit code 1 where the change is worse, or not proven to be better.

    Example: prelabel guideline gate guideline.proposed.yaml
    """
    from prelabel import screen_loop
    from prelabel.gating import gate
    from prelabel.project import load_project

    opened = load_project(project)
    found = gate(
        opened,
        _proposal(opened, proposed),
        annotator or (),
        most=most,
        similar=similar,
        max_cost=max_cost,
    )
    screen_loop.gate(found, json=json)
    if found.verdict != "better":
        raise typer.Exit(1)


@guideline_app.command("accept")
def guideline_accept(
    proposed: Proposed = None,
    project: Folder = HERE,
    author: Author = "",
    reason: Reason = "",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where no gate found it to be better.")
    ] = False,
    json: Json = False,
) -> None:
    """Put a changed guideline in the place of the present one, which is kept.

    Example: prelabel guideline accept --author ada --reason "rulings of May"
    """
    from prelabel import screen, screen_loop
    from prelabel.accepting import accept
    from prelabel.project import load_project

    opened = load_project(project)
    found = accept(opened, _proposal(opened, proposed), author=author, reason=reason, anyway=anyway)
    if json:
        screen.as_json(found.to_dict())
    else:
        screen_loop.accepted(found)


@guideline_app.command("carry")
def guideline_carry(
    old: Annotated[str, typer.Argument(help="The guideline before: its file, or its hash.")],
    project: Folder = HERE,
    author: Author = "",
    reason: Reason = "",
    similar: Similar = SIMILAR,
    json: Json = False,
) -> None:
    """Let annotations of items that a change does not affect count under the present guideline.

    Scores, routes and exports then say how many were carried over, and on whose word.

    Example: prelabel guideline carry 3f2a9c --author ada --reason "only two rulings came in"
    """
    from prelabel import screen_loop
    from prelabel.accepting import carry
    from prelabel.project import load_project

    found = carry(load_project(project), old, author=author, reason=reason, similar=similar)
    screen_loop.carried(found, json=json)


def _proposal(project: Project, named: Path | None) -> Path:
    from prelabel.revising import NAME

    return named or project.folder / NAME
