"""import_annotations(): the annotations of other systems and of people, recorded from a table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prelabel.errors import InputError
from prelabel.records import Annotation, Item, Usage, content_hash
from prelabel.run import opened
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    from prelabel.project import Project

BATCH = 2000


class Imported(dict[str, dict[str, int]]):
    """Outcome counts by annotator; ``examples`` has for each kind of failure the first reason."""

    examples: dict[str, str]

    @property
    def labeled(self) -> int:
        """How many labels were recorded."""
        return sum(count.get("labeled", 0) for count in self.values())


def import_annotations(
    project: Project,
    path: Path,
    *,
    kind: Literal["import", "person"] = "import",
    **columns: Any,
) -> Imported:
    """Record the annotations of other systems or of people, from a table.

    ``columns`` are those of ``prelabel.exchange.recorded.read_recorded``. A label that the
    guideline lacks is kept as a failure of kind off_list, never mapped to a near one; items that
    the project lacks are counted and left out. An annotator imported again is replaced item by
    item. Returns outcome counts by annotator.
    """
    from prelabel.exchange.recorded import read_recorded

    hashes = {item.id: item for item in project.items()}
    counts = Imported()
    counts.examples = {}
    ids: dict[str, str] = {}
    taken = {config.name for config in project.config.annotators}
    with opened(project) as (ledger, _cache):
        batch: list[Annotation] = []
        free_text = project.task.name == "text"
        for recorded in list(read_recorded(path, free_text=free_text, **columns)):
            if recorded.annotator in taken:
                raise InputError(
                    f"{path}:{recorded.line}: {recorded.annotator!r} is the name of an annotator "
                    "in prelabel.yaml; rename one of them"
                )
            count = counts.setdefault(recorded.annotator, {})
            if recorded.annotator not in ids:
                identifier = f"{recorded.annotator}@{content_hash([kind, recorded.annotator])[:8]}"
                ids[recorded.annotator] = identifier
                settings = {"file": path.name, "kind": kind}
                ledger.add_annotator(identifier, recorded.annotator, kind, settings)
            item = hashes.get(recorded.item_id)
            if item is None:
                count["unknown item"] = count.get("unknown item", 0) + 1
                continue
            annotation = _imported(project, recorded, item, ids[recorded.annotator])
            what = annotation.failure or annotation.outcome
            count[what] = count.get(what, 0) + 1
            if annotation.failure:
                example = f"line {recorded.line}, item {item.id!r}: {annotation.detail}"
                counts.examples.setdefault(annotation.failure, example)
            batch.append(annotation)
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            ledger.add(part, [hashes[a.item_id] for a in part])
    if not batch:
        raise InputError(
            f"{path}: no annotation of an item of this project; is the id column right?"
        )
    return counts


def _imported(project: Project, recorded: Any, item: Item, annotator: str) -> Annotation:
    common: dict[str, Any] = {
        "item_id": item.id,
        "item_hash": item.hash,
        "annotator": annotator,
        "guideline_hash": project.guideline.hash,
        "replayed": True,
        "usage": Usage(cost=None),
        "created": time.time(),
    }
    if recorded.kind == "abstained":
        return Annotation(**common, outcome="abstained")
    if recorded.kind == "unusable":
        return Annotation(
            **common, outcome="failed", failure="unparsable", detail="marked unusable"
        )
    try:
        label_ = project.task.match(recorded.value, item)
    except OffListError as error:
        return Annotation(**common, outcome="failed", failure="off_list", detail=str(error))
    own = {} if recorded.confidence is None else {"confidence": recorded.confidence}
    return Annotation(**common, outcome="labeled", label=label_, extras=own)
