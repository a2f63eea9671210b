"""report(): one HTML page that stands alone: scores, agreement, routes, cost."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel import api
from prelabel.errors import InputError
from prelabel.exchange.files import replacing
from prelabel.prompts import named

if TYPE_CHECKING:
    from prelabel.project import Project

MOST_METRICS = 4
MOST_QUEUED = 200
"""Items of the review queue on the page; the export has all."""


def report(project: Project, to: Path, *, rule: Path | None = None) -> Path:
    """Write the page and return its path. Without gold it has no scores; all else is there."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    path = project.task.name == "hierarchical"
    env.filters["named"] = lambda label: "none" if label is None else named(label, path=path)
    page = env.get_template("report.html").render(contents(project, rule))
    with replacing(to) as file:
        file.write(page.encode())
    return to


def contents(project: Project, rule: Path | None) -> dict[str, Any]:
    """Return what the page shows."""
    routes = api.route(project, rule=rule)
    try:
        scores: Any = api.score(project)
    except InputError:
        scores = None
    queue = routes.queue
    shown = {r.item_id for r in queue[:MOST_QUEUED]}
    texts = {
        item.id: "\n".join(item.fields.values()) for item in project.items() if item.id in shown
    }
    return {
        "guideline": project.guideline,
        "routes": routes,
        "queue": queue[:MOST_QUEUED],
        "texts": texts,
        "scores": scores,
        "metrics": list(scores.annotators[0].metrics)[:MOST_METRICS] if scores else [],
        "agreement": api.agreement(project) if len(routes.evidence.names) > 1 else None,
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "version": version("prelabel"),
    }
