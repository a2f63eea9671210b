"""prelabel: LLM pre-labeling and validation.

Every command has a function of the same name here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from prelabel.errors import PrelabelError
    from prelabel.project import Project, load_project
    from prelabel.records import Adjudication, Annotation, Consensus, Gold, Item, Routed

_HOMES = {
    "PrelabelError": "errors",
    "Project": "project",
    "load_project": "project",
    "Adjudication": "records",
    "Annotation": "records",
    "Consensus": "records",
    "Gold": "records",
    "Item": "records",
    "Routed": "records",
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
    "load_project",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'prelabel' has no attribute {name!r}")
    return getattr(import_module(f"prelabel.{_HOMES[name]}"), name)
