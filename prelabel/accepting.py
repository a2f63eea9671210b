"""accept() and carry(): a person's yes to a changed guideline, and to labels made before it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.affected import SIMILAR, affected
from prelabel.errors import InputError
from prelabel.guideline_edit import PROPOSED, without_proposal
from prelabel.guideline_log import Accepted, Carried, append, need_author, read_log
from prelabel.guideline_versions import find_version, keep_version
from prelabel.project import Project

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.ledger import Ledger
    from prelabel.records import Annotation, Item

BATCH = 2000


@dataclass(frozen=True, slots=True)
class NewGuideline:
    """A changed guideline in the place of the old one, which is kept as ``kept``."""

    old: str
    new: str
    gate: str
    path: Path
    kept: Path

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return {name: str(value) for name, value in asdict(self).items()}


def accept(
    project: Project, proposed: Path, *, author: str, reason: str, anyway: bool = False
) -> NewGuideline:
    """Put a changed guideline in the place of the present one, by a person's word.

    The old one is kept, and so are its annotations, under its hash. A change that no `gate` found
    to be better is taken ``anyway`` only. Raises ``InputError`` for a guideline that is not sound,
    has a TODO left, was made from another than the present one, or says the same.
    """
    from prelabel.exchange.files import replacing

    who, why, now = need_author("accept", author, reason)
    path = project.folder / project.config.guideline
    text = _read(proposed)
    changed = {"guideline": str(proposed.resolve())}
    new = Project(project.folder, project.config.model_copy(update=changed)).checked_guideline()
    old = project.guideline
    _check(proposed, text, old, new, _read(path))
    verdict = read_log(project).gate(old.hash, new.hash)
    if verdict != "better" and not anyway:
        said = f"the gate found it {verdict}" if verdict else "no gate was run on it"
        raise InputError(
            f"{proposed}: {said}; run `prelabel guideline gate`, or accept it with --anyway"
        )
    kept = keep_version(project)
    append(project, Accepted(old.hash, new.hash, verdict, who, why, now))
    with replacing(path) as file:
        file.write(_final(text, new).encode())
    keep_version(Project(project.folder, project.config))
    if PROPOSED in text and proposed.resolve() != path.resolve():
        proposed.unlink(missing_ok=True)  # of `revise`: it says nothing more than the guideline
    return NewGuideline(old.hash, new.hash, verdict, path, kept)


def _read(proposed: Path) -> str:
    try:
        return proposed.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{proposed}: cannot be read ({why}); check the path") from None


def _check(proposed: Path, text: str, old: Guideline, new: Guideline, before: str) -> None:
    if old.hash == new.hash:
        raise InputError(f"{proposed}: says the same as the present guideline; nothing to accept")
    base = re.search(
        rf"^{PROPOSED} a change of .*?, guideline ([0-9a-f]{{16}})", text, re.MULTILINE
    )
    if base and base[1] != old.hash:
        raise InputError(
            f"{proposed}: was made from guideline {base[1]}, and the present one is {old.hash}; "
            "make the proposal anew with `prelabel revise`"
        )
    for number, line in enumerate(text.splitlines(), 1):
        if "TODO" in line and not line.lstrip().startswith("#") and line not in before:
            raise InputError(f"{proposed}:{number}: TODO is left; write it, or take the entry out")


def _final(text: str, new: Guideline) -> str:
    """Return the text without the comments about the proposal, if it still says the same."""
    from prelabel.guideline import Guideline
    from prelabel.guideline_yaml import DocumentError, parse

    found = without_proposal(text)
    try:
        same = Guideline.model_validate(parse(found.encode())[0]).hash == new.hash
    except (DocumentError, ValueError):
        same = False
    return found if same else text


@dataclass(frozen=True)
class CarriedOver:
    """Annotations of an earlier guideline that now stand under the present one.

    ``carried`` counts them by annotator, ``opinions`` those of people on the review page.
    ``affected`` items of ``total`` are reached by the change and were left out. ``notes`` say what
    else was.
    """

    old: str
    new: str
    total: int
    affected: int
    carried: Mapping[str, int]
    opinions: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def carry(
    project: Project, old: str, *, author: str, reason: str, similar: float = SIMILAR
) -> CarriedOver:
    """Let what was said under an earlier guideline count under the present one.

    Only on items that the change does not reach, with the settings and the text of then: labels and
    abstentions that are not there yet, and people's opinions on the review page. Each is a new row
    that says where it comes from, and whatever counts annotations says how many were carried over.
    ``old`` is a guideline's file or the first digits of its hash. Raises ``InputError`` where
    nothing can be carried.
    """
    from prelabel.review.results import carry_decisions
    from prelabel.run import opened

    who, why, now = need_author("carry", author, reason)
    before, present = find_version(project, old), project.checked_guideline()
    if before.hash == present.hash:
        raise InputError(f"guideline {before.hash}: is the present one; nothing to carry over")
    reached = affected(project, before, present, similar=similar)
    items = {item.id: item for item in project.items() if item.id not in reached.items}
    if not items:
        raise InputError("carry: the change reaches every item; label them: prelabel label")
    with opened(project) as (ledger, _cache):
        same, notes = _same_annotators(project, ledger, before.hash)
        found = list(_carried(ledger, same, items, before.hash, present.hash))
        said = carry_decisions(project, items.values(), before.hash, present.hash)
        if not found and not said:
            raise InputError("; ".join(["carry: nothing is left to carry over", *notes]))
        # said before it is done: no annotation is ever carried silently
        append(project, Carried(before.hash, present.hash, len(found), said, who, why, now))
        _record(project, ledger, same, found, items)
    names = {new: name for _, (new, name) in same.items()}
    counts = dict.fromkeys(names.values(), 0)
    for one in found:
        counts[names[one.annotator]] += 1
    return CarriedOver(
        before.hash, present.hash, reached.total, len(reached.items), counts, said, tuple(notes)
    )


def _same_annotators(
    project: Project, ledger: Ledger, old: str
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return ``{id then: (id now, name)}`` of annotators with the same settings, and notes.

    An LLM's id is also made of its prompt, which holds the guideline: by its settings it is the
    same. Of several under one name the last that labeled counts.
    """
    from prelabel.annotate import annotator_id, compiler_of, settings_of

    rows = {row["id"]: row for row in ledger.annotators()}
    last: dict[str, str] = {}
    for one in ledger.current(list(rows), old):
        last[rows[one.annotator]["name"]] = one.annotator
    configs = {config.name: config for config in project.config.annotators}
    same, notes = {}, []
    for name, then in last.items():
        if rows[then]["kind"] != "llm":
            same[then] = (then, name)
        elif name not in configs:
            notes.append(f"annotator {name!r} is not in prelabel.yaml any more: not carried over")
        elif settings_of(configs[name]) != rows[then]["settings"]:
            notes.append(f"annotator {name!r} has other settings now: label again with it")
        else:
            now = annotator_id(configs[name], compiler_of(project, configs[name]))
            same[then] = (now, name)
    return same, notes


def _carried(
    ledger: Ledger,
    same: Mapping[str, tuple[str, str]],
    items: Mapping[str, Item],
    old: str,
    new: str,
) -> Iterator[Annotation]:
    """Yield what is to be carried over, each annotation as it will stand."""
    for then, (now, _) in same.items():
        settled: set[str] = set()
        listed = list(items.values())
        for start in range(0, len(listed), BATCH):
            settled |= ledger.settled(now, new, listed[start : start + BATCH])
        for one in ledger.current([then], old):
            item = items.get(one.item_id)
            if item is None or item.hash != one.item_hash or one.outcome == "failed":
                continue
            if one.item_id in settled:
                continue
            source = one.extras.get("carried") or {"guideline": old, "annotator": then}
            yield replace(
                one,
                annotator=now,
                guideline_hash=new,
                replayed=True,
                created=time.time(),
                extras={**one.extras, "carried": source},
            )


def _record(
    project: Project,
    ledger: Ledger,
    same: Mapping[str, tuple[str, str]],
    found: Sequence[Annotation],
    items: Mapping[str, Item],
) -> None:
    from prelabel.annotate import settings_of

    configs = {config.name: config for config in project.config.annotators}
    for now, name in same.values():
        if name in configs:
            ledger.add_annotator(now, name, "llm", settings_of(configs[name]))
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        ledger.add(part, [items[one.item_id] for one in part])
