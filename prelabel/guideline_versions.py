"""The guidelines that a project labeled by, kept as they were written, found again by their hash.

Not to be taken for ``versions``, which finds the annotations that were made under them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prelabel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prelabel.guideline import Guideline
    from prelabel.project import Project
    from prelabel.records import Item

FOLDER = "guidelines"
SHOWN = 8
"""Digits of a hash that people see."""


def keep_version(project: Project) -> Path:
    """Keep the project's guideline as it is written now, once for each content, and return where.

    Raises ``InputError`` where it cannot be written.
    """
    from prelabel.exchange.files import replacing

    folder = project.state / FOLDER
    kept = folder / f"{project.guideline.hash}.yaml"
    if kept.is_file():
        return kept
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        content = (project.folder / project.config.guideline).read_bytes()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); check it") from None
    with replacing(kept) as file:
        file.write(content)
    return kept


def find_version(project: Project, named: str | Path) -> Guideline:
    """Return a guideline by its file, or by its hash or the first digits of it.

    Raises ``InputError`` where no file has the name and no kept guideline the hash.
    """
    from prelabel.guideline import load_guideline

    if Path(named).is_file():
        return load_guideline(named)
    known = sorted(path.stem for path in (project.state / FOLDER).glob("*.yaml"))
    found = [key for key in known if str(named) and key.startswith(str(named))]
    if len(found) != 1:
        there = ", ".join(key[:SHOWN] for key in known) or "none"
        what = "several guidelines begin" if found else "no file of this name, and none begins"
        raise InputError(f"guideline {str(named)!r}: {what} so; kept are: {there}")
    return load_guideline(project.state / FOLDER / f"{found[0]}.yaml")


def texts_of(guideline: Guideline) -> set[str]:
    """Return all item texts that a guideline shows: examples, counter-examples and rulings."""
    from prelabel.guideline_parts import walk

    texts = [one.text for one in guideline.rulings]
    texts += [case.when for case in guideline.edge_cases]
    for _, label in walk(guideline.labels):
        texts += [example.text for example in label.examples]
        texts += [counter.text for counter in label.counter_examples]
    for worked in guideline.examples:
        texts += ["\n".join(worked.shown.values()), *worked.shown.values()]
    return {flat(text) for text in texts}


def shown_in(guidelines: Iterable[Guideline], items: Iterable[Item]) -> set[str]:
    """Return the ids of the items whose text a guideline shows: it would be scored on its own."""
    texts = {text for one in guidelines for text in texts_of(one)}
    return {item.id for item in items if _spellings(item) & texts}


def _spellings(item: Item) -> set[str]:
    return {flat(text) for text in ("\n".join(item.fields.values()), *item.fields.values())} - {""}


def flat(text: str) -> str:
    """Return a text as texts are compared here: without regard to case and white space."""
    return " ".join(text.split()).casefold()
