"""What waits for people: the items that the rule did not accept, in the order of the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prelabel.records import Annotation, Image, Item, Label, content_hash

if TYPE_CHECKING:
    from prelabel.api import Routes
    from prelabel.project import Project


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label that annotators gave, who gave it, and what they said for it."""

    label: Label
    by: tuple[str, ...]
    rationales: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An item of the queue with all that a page shows of it.

    ``suggestion`` is the consensus, None where there is none. ``silent`` says who gave no label.
    """

    item: Item
    reasons: tuple[str, ...]
    suggestion: Label
    candidates: tuple[Candidate, ...]
    silent: tuple[str, ...]

    def to_json(self) -> str:
        """Return the entry for the queue's table; the item's metadata is not shown, nor kept."""
        data = {
            "id": self.item.id,
            "fields": dict(self.item.fields),
            "images": [asdict(image) for image in self.item.images],
            "reasons": self.reasons,
            "suggestion": self.suggestion,
            "candidates": [asdict(one) for one in self.candidates],
            "silent": self.silent,
        }
        return json.dumps(data)


def entry_of(text: str) -> Entry:
    """Read what ``to_json`` wrote."""
    data = json.loads(text)
    images = tuple(Image(**image) for image in data["images"])
    return Entry(
        Item(data["id"], data["fields"], images=images),
        tuple(data["reasons"]),
        data["suggestion"],
        tuple(
            Candidate(one["label"], tuple(one["by"]), tuple(one["rationales"]))
            for one in data["candidates"]
        ),
        tuple(data["silent"]),
    )


def key_of(item_id: str) -> str:
    """Return what a URL calls an item: nothing of its id can be read from it, or asked by it."""
    return content_hash(["review", item_id])


def entries(project: Project, routes: Routes) -> Iterator[Entry]:
    """Yield the entries of the queue in its order."""
    queue = routes.queue
    waiting = {routed.item_id for routed in queue}
    items = {item.id: item for item in project.items() if item.id in waiting}
    names = routes.evidence.names
    for routed in queue:
        said = routes.evidence.items[routed.item_id]
        yield Entry(
            items[routed.item_id],
            routed.reasons,
            routed.consensus.label,
            _candidates(said, names),
            tuple(_silence(one, names) for one in said if one.outcome != "labeled"),
        )


def _candidates(said: Sequence[Annotation], names: Mapping[str, str]) -> tuple[Candidate, ...]:
    """Group annotators by the label they gave, most of them first."""
    found: dict[str, list[Annotation]] = {}
    for one in said:
        if one.outcome == "labeled":
            found.setdefault(json.dumps(one.label, sort_keys=True), []).append(one)
    groups = sorted(found.values(), key=lambda group: -len(group))
    return tuple(
        Candidate(
            group[0].label,
            tuple(names[one.annotator] for one in group),
            tuple(one.rationale for one in group if one.rationale),
        )
        for group in groups
    )


def _silence(one: Annotation, names: Mapping[str, str]) -> str:
    name = names[one.annotator]
    return f"{name} abstained" if one.outcome == "abstained" else f"{name} failed ({one.failure})"


def fingerprint(project: Project, rule: Path | None) -> str:
    """Return what the queue follows from: with the same facts it is not built again."""
    from prelabel.audit_log import FILE
    from prelabel.ledger import Ledger
    from prelabel.review.results import decisions

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        said = ledger.hashes()  # append-only, so that counts tell
    config = project.config
    return content_hash([
        project.guideline.hash,
        said,
        [config.items.model_dump(), config.decide.model_dump(), config.review.model_dump()],
        [annotator.model_dump(mode="json") for annotator in config.annotators],
        _stamp(project.folder / config.items.path),
        config.gold and [config.gold.model_dump(), _stamp(project.folder / config.gold.path)],
        rule and (str(rule), _stamp(rule)),
        sorted((one.item_id, one.label) for one in decisions(project).values()),  # may contradict
        _stamp(project.state / FILE),  # audits may stop the rule
    ])  # fmt: skip


def _stamp(path: Path) -> list[int]:
    """Return what changes when a file does; a file that is not there is complained of later."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
