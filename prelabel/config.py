"""The settings of a project: the document ``prelabel.yaml``."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
)

from prelabel.errors import InputError
from prelabel.settings import (
    AnnotatorConfig,
    DecideConfig,
    EscalateConfig,
    GoldConfig,
    ItemsConfig,
    PriceConfig,
    ReviewConfig,
    RunConfig,
    Settings,
    ShotsConfig,
    SplitConfig,
)

VARIABLE = re.compile(r"\$\{(\w+)\}")


class ProjectConfig(Settings):
    """The document ``prelabel.yaml``."""

    guideline: str = "guideline.yaml"
    items: ItemsConfig
    gold: GoldConfig | None = None
    annotators: list[AnnotatorConfig] = Field(default_factory=list)
    run: RunConfig = RunConfig()
    decide: DecideConfig = DecideConfig()
    review: ReviewConfig = ReviewConfig()

    @field_validator("annotators")
    @classmethod
    def _names_differ(cls, value: list[AnnotatorConfig]) -> list[AnnotatorConfig]:
        seen: set[str] = set()
        for annotator in value:
            if annotator.name.casefold() in seen:
                raise ValueError(f"{annotator.name!r} is there twice; give each its own name")
            seen.add(annotator.name.casefold())
        return value


def changed(config: DecideConfig, settings: Mapping[str, Any]) -> DecideConfig:
    """Return the settings with some changed. Raises ``InputError`` in one line."""
    try:
        return DecideConfig.model_validate(config.model_dump() | dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
        raise InputError(f"decide: {where}: {what}, got {first['input']!r}") from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``prelabel.yaml``, for editors that complete and check."""
    schema = ProjectConfig.model_json_schema()
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "prelabel project"}


def parse_config(text: str, file: Path) -> ProjectConfig:
    """Read the text of a ``prelabel.yaml``. Raises ``InputError`` in one line."""
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = text.count("\n", 0, error.position) if hasattr(error, "position") else None
        line = mark.line if mark else at
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        place = file if line is None else f"{file}:{line + 1}"
        raise InputError(f"{place}: {problem}; mend the YAML") from None
    except (ValueError, RecursionError) as error:  # PyYAML's own, for a date such as 2024-13-45
        raise InputError(f"{file}: {error}; put text in quotes") from None
    if not isinstance(data, dict):
        raise InputError(f"{file}: settings expected, such as `items:`; see `prelabel init`")
    data = {key: value for key, value in data.items() if value is not None}  # an empty section
    try:
        return ProjectConfig.model_validate(expand(data, str(file)))
    except ValidationError as error:
        raise InputError(f"{file}: {explain(error)}") from None


class _Loader(yaml.SafeLoader):
    """Refuses a setting that is written twice: YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = [key.value for key in keys]
        for at, key in enumerate(keys):
            if key.value in names[:at]:
                problem = f"{key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


def explain(error: ValidationError) -> str:
    """Say in one line which setting is wrong, and why."""
    errors = error.errors(include_url=False)
    # A misspelt setting is also a missing one, which says less.
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    loc, kind = first["loc"], first["type"]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")
    if kind == "extra_forbidden":
        known = settings_at(loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        what = (
            f"no such setting; did you mean {near[0]}?"
            if near
            else "no such setting; " + (f"there are: {', '.join(known)}")
        )
    elif kind == "missing":
        what = "is missing; write it"
    elif kind == "string_type":
        what = "must be text; put it in quotes"
    elif kind in ("model_type", "dict_type"):
        what = "must have settings of its own, each on a line below it"
    else:
        what = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return f"{where}: {what}"


def settings_at(loc: Sequence[int | str]) -> list[str]:
    """Name the settings at a place of the document."""
    parts: dict[str, type[BaseModel]] = {
        "items": ItemsConfig,
        "gold": GoldConfig,
        "annotators": AnnotatorConfig,
        "shots": ShotsConfig,
        "price": PriceConfig,
        "split": SplitConfig,
        "run": RunConfig,
        "decide": DecideConfig,
        "review": ReviewConfig,
        "escalate": EscalateConfig,
    }
    names = [part for part in loc if isinstance(part, str)]
    return list((parts[names[-1]] if names else ProjectConfig).model_fields)


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
