"""demo(): the whole job on a shipped evalset, with a small model that runs here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel import api
from prelabel.models import pull
from prelabel.project import CONFIG_NAME, Project, load_project
from prelabel.starting import copy_evalset

if TYPE_CHECKING:
    from prelabel.against_gold import ScoreReport
    from prelabel.api import Routes
    from prelabel.reliability import Agreement
    from prelabel.scoring import Score

MODEL = "local/smollm2-135m"
"""The model of the shipped evalsets' annotators."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, and the files it wrote."""

    scores: ScoreReport
    agreement: Agreement
    routes: Routes
    accepted_right: tuple[int, int]
    files: list[Path]
    model: str


def demo(
    to: Path, *, evalset: str, model: str, limit: int | None, watch: Callable[..., Any]
) -> DemoResult:
    """Label a shipped evalset in folder ``to``, score, route, export and report."""
    if model.startswith("local/") and not model.endswith(".gguf"):
        pull(model.removeprefix("local/"))
    copy_evalset(evalset, to)
    settings = (to / CONFIG_NAME).read_text(encoding="utf-8").replace(MODEL, model)
    (to / CONFIG_NAME).write_text(settings, encoding="utf-8")
    project = load_project(to)
    watch(project, limit=limit)
    scores = api.score(project)
    routes = api.route(project)
    files = [to / "labels.jsonl", to / "labels.csv", to / "label-studio.json", to / "report.html"]
    api.export(project, files[0])
    api.export(project, files[1])
    api.export(project, files[2], format="label-studio")
    from prelabel.reporting import report

    report(project, files[3])
    return DemoResult(
        scores, api.agreement(project), routes, accepted_right(project, routes), files, model
    )


def accepted_right(project: Project, routes: Routes) -> tuple[int, int]:
    """Return how many accepted items with gold are right, and how many there are."""
    gold = {g.item_id: g.label for g in project.scoring_gold()}
    judged = [r for r in routes.accepted if r.item_id in gold]
    right = project.task.right
    return sum(right(gold[r.item_id], r.consensus.label) for r in judged), len(judged)


def verdict(result: DemoResult) -> list[str]:
    """Say plainly how good the labels are, and where they are worst."""
    from prelabel.estimate import wilson

    best = result.scores.consensus or result.scores.annotators[0]
    right, judged = result.accepted_right
    told = [row for row in best.labels if row.recall.value is not None]
    worst = min(told, key=lambda row: row.recall.value or 0.0, default=None)
    weakest = worst and (
        f"Of the {worst.support} in gold of {str(worst.label)!r}, its weakest label, it finds "
        f"{worst.recall:.0%}."
    )
    return [
        f"{result.model}: {how_good(best)}",
        (
            f"Of the accepted items with gold, {wilson(right, judged):.0%} are right "
            f"({right} of {judged}); agreement of two prompts of one model is weak evidence."
            if judged
            else "None of the accepted items has gold."
        ),
        *([weakest] if weakest else []),
        (
            "A small model is good for trying things out, not for labels that matter: "
            "prelabel demo --model openai/gpt-4o-mini (or any LiteLLM model) does the same with it."
        ),
        "wrote " + ", ".join(str(file) for file in result.files),
    ]


def how_good(best: Score) -> str:
    """Compare a score with giving every item the same: the frequent label, or all labels."""
    if best.confusion is not None and best.labels:
        always = max(row.support for row in best.labels) / max(1, best.labeled)
        return (
            f"the consensus is right on {best.accuracy:.0%} of {best.labeled} gold items; always "
            f"giving the most frequent label would be right on {always:.0%}."
        )
    if "micro_f1" not in best.metrics:
        name, found = next(iter(best.metrics.items()))
        told = name.replace("_", " ").replace(" f1", " F1")
        return f"the consensus has {told} {found:.2f} on {best.labeled} gold items."
    shares = [row.support / max(1, best.labeled) for row in best.labels]
    always = sum(2 * share / (share + 1) for share in shares) / len(shares)
    return (
        f"the consensus has a macro F1 of {best.metrics['macro_f1']:.2f} on {best.labeled} gold "
        f"items; always giving every label would have {always:.2f}."
    )
