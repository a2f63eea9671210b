"""Which fields of a guideline mean something for which tasks, and what a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prelabel.guideline import Guideline, LabelDefinition
from prelabel.guideline_yaml import Where
from prelabel.tasks import TASKS

Line = Callable[..., int]

NAMING = ("classification", "multi-label")
"""Tasks whose edge cases, decision tree and rulings name labels; elsewhere they use words."""

LABELED = (*NAMING, "hierarchical", "spans", "relations")
"""Tasks that need a label set."""

BY_LABEL = (*NAMING, "hierarchical")
"""Tasks whose examples stand under the labels; elsewhere under ``examples:``."""

ONLY = {
    "scale": ("rating",),
    "fields": ("extraction",),
    "overlap": ("spans",),
    "tie": ("pairwise",),
    "normalize": ("text",),
    "given": ("relations",),
    "max_labels": ("multi-label",),
    "merge": ("classification", "hierarchical", "rating"),
}
"""Fields that mean something for some tasks only."""

MERGES = {
    "rating": ("mean", "median", "min", "max"),
    "classification": ("most", "first"),
    "hierarchical": ("most", "first"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: an error makes the guideline unusable, a warning makes it weaker."""

    line: int
    level: Literal["error", "warning"]
    message: str


def error(line: int, message: str) -> Finding:
    """Return what makes the guideline unusable."""
    return Finding(line, "error", message)


def warning(line: int, message: str) -> Finding:
    """Return what makes the guideline weaker."""
    return Finding(line, "warning", message)


def own_fields(guideline: Guideline, line: Line) -> Iterator[Finding]:
    """Check that fields of other tasks are not there: they would do nothing."""
    for name in sorted(guideline.model_fields_set & ONLY.keys()):
        if guideline.task not in ONLY[name]:
            yield error(line(name), f"{name} is for {' and '.join(ONLY[name])} only; remove it")
    unlabeled = guideline.task in TASKS and guideline.task not in (*LABELED, "matching", "pairwise")
    if guideline.labels and unlabeled:
        yield error(line("labels"), f"{guideline.task} has no labels; remove them")
    ways = MERGES.get(guideline.task, ())
    if guideline.merge and ways and guideline.merge not in ways:
        yield error(
            line("merge"),
            f"merge: {guideline.merge} is not for {guideline.task}; write {' or '.join(ways)}",
        )
    for where, label in labels_of(guideline):
        for name, task in (
            ("labels", "hierarchical"),
            ("head", "relations"),
            ("tail", "relations"),
        ):
            if getattr(label, name) and guideline.task != task:
                yield error(
                    line(*where, name), f"{name} below a label is for {task} only; remove it"
                )


def labels_of(guideline: Guideline) -> Iterator[tuple[Where, LabelDefinition]]:
    """Yield every label with its place, those below others too."""

    def below(labels: Sequence[LabelDefinition], where: Where) -> Any:
        for index, label in enumerate(labels):
            yield (*where, index), label
            yield from below(label.labels, (*where, index, "labels"))

    yield from below(guideline.labels, ("labels",))
