"""One project on disk: ``prelabel.yaml`` and the files that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from prelabel.errors import InputError
from prelabel.records import Gold, Item
from prelabel.shots import Shot

if TYPE_CHECKING:
    from prelabel.guideline import Guideline
    from prelabel.tasks import Task

CONFIG_NAME = "prelabel.yaml"
STATE_FOLDER = ".prelabel"
VARIABLE = re.compile(r"\$\{(\w+)\}")


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ItemsConfig(_Config):
    """Where the items are, and which columns mean what."""

    path: str
    id: str = Field("id", description="The column that identifies an item.")
    text: str | list[str] = Field("text", description="The column(s) that annotators see.")
    meta: list[str] | None = Field(
        None, description="Columns kept as metadata, never shown to an annotator; default: the rest"
    )
    encoding: str | None = Field(None, description="If the file is not UTF-8, such as latin-1.")

    @property
    def columns(self) -> list[str]:
        """The columns that annotators see."""
        return [self.text] if isinstance(self.text, str) else self.text


class GoldConfig(_Config):
    """Where expert labels are."""

    path: str
    id: str = "id"
    label: str = "label"
    split: str | None = Field("split", description="The column naming a part of the gold.")
    author: str | None = Field("author", description="The column naming who made the label.")
    separator: str | None = Field(None, description="What parts labels in one cell, such as ';'.")
    encoding: str | None = None


class ShotsConfig(_Config):
    """Few-shot examples in the prompt."""

    choose: Literal["none", "fixed", "diverse", "similar"] = "none"
    k: int = Field(4, ge=0, le=64)
    source: Literal["guideline", "gold"] = "guideline"
    split: str | None = Field(None, description="With source gold: only this split.")
    seed: int = 0


class PriceConfig(_Config):
    """Dollars a million tokens, for models that LiteLLM has no price for."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class AnnotatorConfig(_Config):
    """An LLM with its settings."""

    name: str = Field(min_length=1, pattern=r"^[^\s@/][^@]*$")
    model: str = Field(min_length=1, description="Any LiteLLM model, or local/NAME-OR-PATH.gguf")
    base_url: str | None = None
    api_key: SecretStr | None = Field(None, description="Write ${NAME} to read the environment.")
    prompt: str = Field("full", description="full, brief, or the path of a .jinja file.")
    shots: ShotsConfig = ShotsConfig()
    rationale: bool = False
    temperature: float | None = 0.0
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int = Field(256, ge=1)
    logprobs: bool | None = Field(None, description="Default: where the provider gives them.")
    mode: Literal["schema", "json", "text"] | None = Field(
        None, description="How structure is asked for; default: the best the provider supports."
    )
    reasks: int = Field(1, ge=0, le=5, description="Questions more after an unusable answer.")
    price: PriceConfig | None = None
    concurrency: int | None = Field(None, ge=1)
    threads: int | None = Field(None, ge=1, description="Of a local model; default: all cores but one.")
    context: int = Field(8192, ge=256, description="Tokens of context of a local model.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Passed on to the provider.")


class RunConfig(_Config):
    """How a run behaves."""

    concurrency: int = Field(16, ge=1, description="Calls in flight for each annotator.")
    timeout: float = Field(60.0, gt=0, description="Seconds a call may take.")
    retries: int = Field(5, ge=0, description="Tries more after an outage, a timeout or a 429.")
    max_cost: float | None = Field(None, ge=0, description="Dollars this project may spend.")


class DecideConfig(_Config):
    """How annotations become a consensus, and which items people see."""

    aggregate: Literal["majority", "distribution"] = Field(
        "majority", description="Over labels, or over label distributions corrected for bias."
    )
    ties: Literal["review", "priority", "probability"] = Field(
        "probability", description="What breaks a tie; a tied item goes to review in any case."
    )
    min_agreement: float = Field(0.66, ge=0, le=1, description="Share of votes needed to accept.")
    min_votes: int = Field(2, ge=1)


class ProjectConfig(_Config):
    """The document ``prelabel.yaml``."""

    guideline: str = "guideline.yaml"
    items: ItemsConfig
    gold: GoldConfig | None = None
    annotators: list[AnnotatorConfig] = Field(default_factory=list)
    run: RunConfig = RunConfig()
    decide: DecideConfig = DecideConfig()

    @model_validator(mode="after")
    def _names_differ(self) -> ProjectConfig:
        names = [a.name.casefold() for a in self.annotators]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"annotator {name!r} is there twice; give each its own name")
        return self


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
        from prelabel.tasks import TASKS

        path = self.folder / self.config.guideline
        guideline = self.guideline
        errors = [finding for finding in check(path, TASKS) if finding.level == "error"]
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
        return read_gold(self.folder, self.config.gold, self.task)

    def scoring_gold(self, split: str | None = None) -> list[Gold]:
        """Return the gold to score on: the split named, else ``test`` where there is one, else all.

        Raises ``InputError`` for a split that does not occur.
        """
        splits = {g.split for g in self.gold}
        if split is None:
            split = "test" if "test" in splits else None
        elif split not in splits:
            known = ", ".join(sorted(splits)) or "none"
            raise InputError(f"gold: no split {split!r}; there are: {known}")
        return [g for g in self.gold if split is None or g.split == split]

    def gold_shots(self, config: ShotsConfig) -> list[Shot]:
        """Return gold items as a pool of few-shot examples."""
        if config.source != "gold":
            return []
        wanted = {
            g.item_id: g.label for g in self.gold if config.split is None or g.split == config.split
        }
        return [
            Shot(item.fields, wanted[item.id], item_id=item.id)
            for item in self.items()
            if item.id in wanted
        ]


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
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); save it as UTF-8 text") from None
    return Project(file.parent, parse_config(text, file))


def parse_config(text: str, file: Path) -> ProjectConfig:
    """Read the text of a ``prelabel.yaml``. Raises ``InputError`` with file and line."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{file}{line}: {problem}; mend the YAML") from None
    if not isinstance(data, dict):
        raise InputError(f"{file}: settings expected, such as `items:`; see `prelabel init`")
    try:
        return ProjectConfig.model_validate(expand(data, str(file)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = "no such setting; the known ones are in the schema (`prelabel schema project`)"
        raise InputError(f"{file}: {where}: {what}") from None


def expand(value: Any, where: str) -> Any:
    """Replace ``${NAME}`` in all texts below ``value`` by the environment's values.

    An API key is left as it is until a call needs it, so that scoring works without one.
    Raises ``InputError`` that names the setting.
    """
    if isinstance(value, dict):
        return {
            key: item if key == "api_key" else expand(item, f"{where}: {key}")
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [expand(item, where) for item in value]
    if not isinstance(value, str):
        return value
    for name in VARIABLE.findall(value):
        if name not in os.environ:
            raise InputError(f"{where}: the environment has no {name}; set it, or write the value")
    return VARIABLE.sub(lambda match: os.environ[match[1]], value)
