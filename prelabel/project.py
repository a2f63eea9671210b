"""One project on disk: ``prelabel.yaml`` and the files that it names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from prelabel.config import ProjectConfig, parse_config
from prelabel.errors import InputError
from prelabel.records import Gold, Item
from prelabel.settings import ShotsConfig
from prelabel.shots import Shot

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.tasks import Task

CONFIG_NAME = "prelabel.yaml"
STATE_FOLDER = ".prelabel"
TEST_SPLIT = "test"


class Project:
    """A project folder; nothing is read before it is asked for."""

    def __init__(self, folder: Path, config: ProjectConfig) -> None:
        self.folder = folder
        self.config = config

    @property
    def state(self) -> Path:
        """The folder of ledger, cache and rules; made readable by its owner only."""
        path = self.folder / STATE_FOLDER
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be made ({error.strerror}); use a folder you may write to"
            ) from None
        return path

    @cached_property
    def guideline(self) -> Guideline:
        """The guideline."""
        from prelabel.guideline import load_guideline

        return load_guideline(self.folder / self.config.guideline)

    def checked_guideline(self) -> Guideline:
        """Return the guideline. Raises ``InputError`` for the first error that a check finds."""
        from prelabel.guideline_check import check

        path = self.folder / self.config.guideline
        guideline = self.guideline
        errors = [finding for finding in check(path) if finding.level == "error"]
        if errors:
            raise InputError(f"{path}:{errors[0].line}: {errors[0].message}")
        return guideline

    @cached_property
    def task(self) -> Task:
        """The task under the guideline."""
        from prelabel.tasks import make_task

        return make_task(self.guideline)

    def items(self, limit: int | None = None) -> Iterator[Item]:
        """Read items one after the other, checking each. Raises ``InputError``."""
        from prelabel.exchange.items import read_items

        return read_items(self.folder, self.config.items, limit)

    @cached_property
    def gold(self) -> list[Gold]:
        """All gold labels, matched to the guideline; empty without a gold file."""
        from prelabel.exchange.items import read_gold

        if self.config.gold is None:
            return []
        items = {item.id: item for item in self.items()} if self.task.needs_item else {}
        return read_gold(self.folder, self.config.gold, self.task, items)

    @cached_property
    def gold_in_guideline(self) -> frozenset[str]:
        """The ids of gold items whose text the guideline shows, as an example or a ruling.

        Whoever labels by the guideline has seen the answer, so that they say nothing of anybody.
        """
        from prelabel.guideline_versions import shown_in, texts_of

        if not texts_of(self.guideline):
            return frozenset()
        return frozenset(shown_in([self.guideline], self._gold_items()))

    def _gold_items(self) -> Iterator[Item]:
        """Yield the items that have gold, reading no further than the last of them."""
        left = {g.item_id for g in self.gold}
        for item in self.items() if left else ():
            if item.id in left:
                yield item
                left.remove(item.id)
                if not left:
                    return

    def scoring_gold(self, split: str | None = None) -> list[Gold]:
        """Return the gold to score on: the split named, else ``test`` where there is one, else all.

        Items that the guideline shows are left out. Raises ``InputError`` for a split that does not
        occur, and where two authors differ.
        """
        if split is None:
            split = TEST_SPLIT if any(g.split == TEST_SPLIT for g in self.gold) else None
        gold = self._of_split(split, "gold")
        kept = self._unseen(gold)
        if gold and not kept:
            raise InputError(
                f"gold: the guideline shows the texts of all {len(gold)} gold items, so that none "
                "can score; add others"
            )
        return kept

    def fitting_gold(self, split: str | None = None) -> list[Gold]:
        """Return the gold that a decision rule learns from: the split named, or all.

        Items that the guideline shows are left out. Raises ``InputError`` as `scoring_gold` does.
        """
        return self._unseen(self._of_split(split, "decide: split"))

    def gold_notes(self) -> tuple[str, ...]:
        """Say how much gold is left out because the guideline shows it."""
        n = len(self.gold_in_guideline)
        return (f"gold left out because the guideline shows its text: {n}",) if n else ()

    def _unseen(self, gold: list[Gold]) -> list[Gold]:
        return [g for g in gold if g.item_id not in self.gold_in_guideline]

    def gold_shots(self, config: ShotsConfig) -> list[Shot]:
        """Return gold items as a pool of few-shot examples: the split named, else all but ``test``.

        Raises ``InputError`` where there are none, and for a split that does not occur.
        """
        if config.source != "gold":
            return []
        if self.config.gold is None:
            raise InputError(
                f"{self.folder / CONFIG_NAME}: shots: source gold, but there is no `gold:`; "
                "name a gold file, or use source: guideline"
            )
        pool = self._of_split(config.split, "shots: split")
        if config.split is None:
            pool = [g for g in pool if g.split != TEST_SPLIT]
        wanted = {g.item_id: g.label for g in pool}
        return [
            Shot(item.fields, wanted[item.id], item_id=item.id, images=item.images)
            for item in self.items()
            if item.id in wanted
        ]

    def _of_split(self, split: str | None, where: str) -> list[Gold]:
        from prelabel.exchange.items import one_each

        known = sorted({g.split for g in self.gold if g.split})
        if split is not None and split not in known:
            there = ", ".join(known) or "none"
            raise InputError(f"{where}: no split {split!r} in the gold; there are: {there}")
        return one_each(g for g in self.gold if split is None or g.split == split)


def load_project(path: Path | str = ".") -> Project:
    """Open the project at ``path``, a folder or a ``prelabel.yaml``. Raises ``InputError``."""
    path = Path(path)
    file = path / CONFIG_NAME if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{file}: not found; make a project with `prelabel init`, or name one with --project"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}:{line}: not UTF-8; save it as UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check its path") from None
    return Project(file.parent, parse_config(text, file))
