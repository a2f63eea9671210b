"""prelabel: LLM pre-labeling and validation.

Every command has a function of the same name here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from prelabel.api import (
        agreement,
        candidates,
        export,
        fit,
        import_annotations,
        label,
        label_async,
        rank,
        route,
        score,
    )
    from prelabel.errors import PrelabelError
    from prelabel.planning import plan
    from prelabel.project import Project, load_project
    from prelabel.records import Adjudication, Annotation, Consensus, Gold, Item, Routed
    from prelabel.reporting import report
    from prelabel.starting import init

_HOMES = {
    "api": (
        "agreement",
        "candidates",
        "export",
        "fit",
        "import_annotations",
        "label",
        "label_async",
        "rank",
        "route",
        "score",
    ),
    "errors": ("PrelabelError",),
    "planning": ("plan",),
    "project": ("Project", "load_project"),
    "records": ("Adjudication", "Annotation", "Consensus", "Gold", "Item", "Routed"),
    "reporting": ("report",),
    "starting": ("init",),
}

__all__ = [
    "Adjudication",
    "Annotation",
    "Consensus",
    "Gold",
    "Item",
    "PrelabelError",
    "Project",
    "Routed",
    "agreement",
    "candidates",
    "export",
    "fit",
    "import_annotations",
    "init",
    "label",
    "label_async",
    "load_project",
    "plan",
    "rank",
    "report",
    "route",
    "score",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"prelabel.{module}"), name)
    raise AttributeError(f"module 'prelabel' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
