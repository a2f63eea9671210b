"""doctor(): what is installed, and whether a project could be labeled now; nothing is called."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prelabel.errors import PrelabelError
from prelabel.models import CATALOGUE, model_path, stored_at
from prelabel.project import CONFIG_NAME, STATE_FOLDER, load_project

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.settings import AnnotatorConfig

EXTRAS = {
    "local": ("xllamacpp", "embedded models"),
    "review": ("starlette", "the review page"),
    "parquet": ("pyarrow", "Parquet files"),
    "postgres": ("psycopg", "a review on several servers"),
}
LITTLE_SPACE = 1e9
"""Bytes; less on the disk is warned of."""

Level = Literal["ok", "note", "error"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing looked at: ``error`` keeps the project from being labeled, ``note`` may."""

    what: str
    level: Level
    found: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was looked at."""

    checks: tuple[Checked, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is in the way."""
        return all(check.level != "error" for check in self.checks)

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON-able values."""
        return {"healthy": self.healthy, "checks": [asdict(check) for check in self.checks]}


def doctor(folder: Path | str = ".") -> Diagnosis:
    """Look at the installation and, where ``folder`` has a project, at all that its run needs.

    Models are not called and no key is read out: whether a provider takes a key, only a call says.
    """
    path = Path(folder)
    checks = [*_installed()]
    if (path / CONFIG_NAME).is_file() or path.is_file() or path != Path():
        checks += _project(path)
    else:
        checks.append(Checked("project", "note", f"none in {path.resolve()}; see prelabel init"))
    return Diagnosis(tuple(checks))


def _installed() -> Iterator[Checked]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Checked("prelabel", "ok", f"{version('prelabel')} on Python {python}")
    for extra, (module, purpose) in EXTRAS.items():
        there = find_spec(module) is not None
        missing = f'not installed; pip install "prelabel[{extra}]" for {purpose}'
        yield Checked(extra, "ok" if there else "note", purpose if there else missing)
    fetched = [model.name for model in CATALOGUE if stored_at(model).is_file()]
    none = f"none fetched; prelabel models pull {CATALOGUE[0].name}"
    yield Checked("models here", "ok" if fetched else "note", ", ".join(fetched) or none)


def _project(path: Path) -> Iterator[Checked]:
    found: list[Project] = []

    def settings() -> str:
        found.append(load_project(path))
        return f"{len(found[0].config.annotators)} annotators"

    yield _tried("settings", settings)
    if not found:
        return
    (project,) = found
    yield _tried("guideline", lambda: _guideline(project))
    yield _tried("items", lambda: f"{sum(1 for _ in project.items()):,} items")
    yield _gold(project)
    for annotator in project.config.annotators:
        yield _annotator(annotator)
    yield from _state(project)


def _tried(what: str, look: Callable[[], str]) -> Checked:
    try:
        return Checked(what, "ok", look())
    except PrelabelError as error:
        return Checked(what, "error", str(error))


def _guideline(project: Project) -> str:
    guideline = project.checked_guideline()
    return f"{guideline.name}, {guideline.task}, {guideline.hash}"


def _gold(project: Project) -> Checked:
    if project.config.gold is None:
        return Checked("gold", "note", "none: nothing can be scored or promised without gold")
    return _tried("gold", lambda: f"{len(project.gold):,} gold labels")


def _annotator(annotator: AnnotatorConfig) -> Checked:
    what = f"annotator {annotator.name}"
    if annotator.is_local:
        return _tried(what, lambda: str(model_path(annotator.model.removeprefix("local/"))))
    try:
        key, price = _key(annotator), _price(annotator)
    except PrelabelError as error:
        return Checked(what, "error", str(error))
    level: Level = "note" if key.startswith("no ") or price.startswith("unknown") else "ok"
    return Checked(what, level, f"{annotator.model}: {key}, {price}")


def _key(annotator: AnnotatorConfig) -> str:
    from prelabel.provider import api_key, load_litellm, look_up

    look_up(annotator.model)
    if api_key(annotator):
        return "key from the settings"
    if annotator.base_url:
        return "no key, for a server of your own"
    missing = load_litellm().validate_environment(model=annotator.model)["missing_keys"]
    return f"no key: set {' or '.join(missing)}" if missing else "key from the environment"


def _price(annotator: AnnotatorConfig) -> str:
    from prelabel.provider import price_of

    price = price_of(annotator)
    if price is None:
        return "unknown price: set `price:` to have costs and a budget"
    return f"${1e6 * price[0]:g} in and ${1e6 * price[1]:g} out a million tokens"


def _state(project: Project) -> Iterator[Checked]:
    folder = project.folder / STATE_FOLDER
    free = shutil.disk_usage(project.folder).free
    level: Level = "ok" if free > LITTLE_SPACE else "note"
    yield Checked("disk", level, f"{free / 1e9:.1f} GB free")
    if not folder.is_dir():
        yield Checked("ledger", "ok", "nothing labeled yet")
        return
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        yield Checked("privacy", "note", f"{folder}: others may read it; chmod 700 it")
    for file in ("ledger.sqlite", "review.sqlite"):
        if (folder / file).is_file():
            yield _database(folder / file)


def _database(file: Path) -> Checked:
    """Check a database as SQLite itself does, without changing it."""
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        said = str(error)
    broken = f"{file}: {said}; restore it from a backup"
    return Checked(
        file.stem, "ok" if said == "ok" else "error", file.name if said == "ok" else broken
    )
