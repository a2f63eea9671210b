"""gate(): is a changed guideline better? Both are run on held-out gold, and compared in pairs.

The gold is held out from `revise`, and taken whole or at random, so that it has the items on which
annotators agree as well as those on which they do not: a change that mends the latter can break the
former.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prelabel.affected import SIMILAR, affected
from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.gold_parts import part_gold
from prelabel.guideline_log import Gated, append, read_log
from prelabel.guideline_versions import shown_in
from prelabel.project import Project
from prelabel.records import content_hash

if TYPE_CHECKING:
    from prelabel.comparing import Comparison
    from prelabel.records import Gold, Label

    Labels = Mapping[str, Mapping[str, Label]]

Verdict = Literal["better", "worse", "unproven"]


@dataclass(frozen=True)
class Gate:
    """A changed guideline against the present one, on gold held out from revising.

    ``held_out`` gold items were there; ``left_out`` of them stand in one of the guidelines, and
    ``n`` were run. ``agreed`` are those that every annotator got right under the present guideline.
    ``comparisons`` have one annotator each, changed minus present, ``p_corrected`` for all of them
    (Holm). ``verdict`` is better where one annotator is and none is worse. ``elsewhere`` is the
    share of labels that changed on items that the change does not reach, by `affected`.
    """

    old: str
    new: str
    held_out: int
    left_out: int
    n: int
    agreed: int
    comparisons: tuple[Comparison, ...]
    verdict: Verdict
    elsewhere: Estimate
    changed: tuple[tuple[str, str, Any, Any, Any], ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values; ``changed`` is item, annotator, gold, old, new."""
        return asdict(self)


def gate(
    project: Project,
    proposed: Path,
    annotators: Sequence[str] = (),
    *,
    most: int | None = None,
    similar: float = SIMILAR,
    seed: int = 0,
    max_cost: float | None = None,
) -> Gate:
    """Label held-out gold under a changed guideline and under the present one, and compare.

    ``most`` is how many gold items to run, chosen at random; all by default. Items that stand in
    one of the guidelines, as examples or rulings, are left out: they would be scored on their own.
    The answers are kept, as those of labeling are. Raises ``InputError`` without held-out gold or
    LLMs, for a guideline that is not sound, and where a run stops before its end.
    """
    from prelabel.run import label

    variant = Project(
        project.folder,
        project.config.model_copy(update={"guideline": str(proposed.resolve())}),
    )
    old, new = project.checked_guideline(), variant.checked_guideline()
    if old.hash == new.hash:
        raise InputError(f"{proposed}: says the same as the present guideline; nothing to judge")
    held = part_gold(project)[1]
    gold, left_out = _scored(variant, held, (old, new), most, seed)
    for each in (project, variant):
        status = label(each, annotators, only=gold.keys(), max_cost=max_cost, trial=True)
        if status.stopped:
            raise InputError(f"gate: labeling stopped: {status.stopped[0]}")
    compared, labels, notes = _compared(project, variant, annotators, gold)
    reached = affected(project, old, new, similar=similar).items
    gated = Gated(old.hash, new.hash, content_hash(sorted(gold)), _verdict(compared), time.time())
    before = [one for one in read_log(project).gates if one.gold == gated.gold]
    append(project, gated)
    if changed_before := len({one.new for one in before} - {new.hash}):
        notes = [*notes, _used(changed_before)]
    return Gate(
        old.hash,
        new.hash,
        len(held),
        left_out,
        len(gold),
        _agreed(labels, gold, project),
        tuple(compared),
        gated.verdict,  # type: ignore[arg-type]  # as it was made above
        _elsewhere(labels, set(gold) - reached.keys()),
        tuple(_changed(labels, gold)),
        tuple(notes),
    )


def _used(times: int) -> str:
    changes = "1 other change was" if times == 1 else f"{times} other changes were"
    return (
        f"{changes} judged on this gold: one tuned to it looks better than it is; new gold would "
        "tell"
    )


def _scored(
    variant: Project, held: Sequence[Gold], guidelines: Any, most: int | None, seed: int
) -> tuple[dict[str, Label], int]:
    """Return the gold to run by item, and how many items stand in one of the guidelines."""
    ids = {g.item_id for g in held}
    items = [item for item in variant.items() if item.id in ids]
    shown = shown_in(guidelines, items)
    there = sorted({item.id for item in items} - shown)
    if not there:
        raise InputError(
            "gate: no gold is held out; name a file under `gold:` in prelabel.yaml, with a split "
            "`test` or more items"
        )
    if most is not None and most < 1:
        raise InputError(f"gate: most must be 1 or more, got {most}")
    if most is not None and most < len(there):
        there = random.Random(seed).sample(there, most)  # noqa: S311 - no secret
    # gold is read anew under the changed guideline, which may have renamed a label
    labels = {g.item_id: g.label for g in part_gold(variant)[1]}
    return {item: labels[item] for item in there}, len(shown)


def _compared(
    project: Project, variant: Project, annotators: Sequence[str], gold: Mapping[str, Label]
) -> tuple[list[Comparison], dict[str, tuple[Any, Any]], list[str]]:
    """Return a comparison for each annotator, and its labels under both guidelines."""
    from prelabel.annotate import find_annotators
    from prelabel.answer_sheet import answers_of_labels
    from prelabel.api import evidence_of
    from prelabel.comparing import compare_answers
    from prelabel.paired import corrected
    from prelabel.versions import SHOWN, with_earlier
    from prelabel.votes import outcome_table

    names = [config.name for config in find_annotators(project, annotators)]
    evidence = with_earlier(variant, evidence_of(variant, names), [project.guideline.hash])
    said, outcomes = evidence.labels(), outcome_table(evidence)
    answers = answers_of_labels(said, outcomes, gold, variant.task)
    found: list[Comparison] = []
    notes: list[str] = []
    labels: dict[str, tuple[Any, Any]] = {}
    for name in names:
        before = f"{name} @ {project.guideline.hash[:SHOWN]}"
        at = [answers.names.index(one) for one in (name, before)]
        pair = replace(
            answers, names=(name, before), state=answers.state[at], rows=answers.rows[at]
        )
        one = compare_answers(pair, baseline=before, correction="none")
        found += one.comparisons
        notes += one.notes
        was, now = said[before], said[name]
        labels[name] = (
            {item: was[item] for item in gold if item in was},
            {item: now[item] for item in gold if item in now},
        )
    ps = corrected([one.p for one in found])
    return (
        [replace(one, p_corrected=p) for one, p in zip(found, ps, strict=True)],
        labels,
        notes,
    )


def _verdict(compared: Sequence[Comparison]) -> Verdict:
    from prelabel.comparing import ALPHA

    shown = [one for one in compared if one.p_corrected <= ALPHA]
    if any(one.only_a < one.only_b for one in shown):
        return "worse"
    return "better" if shown else "unproven"


def _agreed(labels: Mapping[str, Any], gold: Mapping[str, Label], project: Project) -> int:
    right = project.task.right
    return sum(
        all(item in old and right(truth, old[item]) for old, _ in labels.values())
        for item, truth in gold.items()
    )


def _elsewhere(labels: Mapping[str, Any], items: set[str]) -> Estimate:
    """Return the share of items not reached on which an annotator's label changed."""
    both = [
        item for item in items if any(item in old and item in new for old, new in labels.values())
    ]
    moved = sum(
        any(item in old and item in new and old[item] != new[item] for old, new in labels.values())
        for item in both
    )
    return wilson(moved, len(both), undefined="the change reaches all items that were run")


def _changed(labels: Mapping[str, Any], gold: Mapping[str, Label]) -> list[tuple[Any, ...]]:
    """Return what changed its label: item, annotator, gold, label before, label now."""
    return [
        (item, name, truth, old[item], new[item])
        for name, (old, new) in labels.items()
        for item, truth in gold.items()
        if item in old and item in new and old[item] != new[item]
    ]
