"""Small projects whose annotators ask the scripted server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wire import Wire, serving

from prelabel.ledger import Ledger
from prelabel.project import Project, load_project
from prelabel.records import Annotation
from prelabel.run import label

SECRET = "a-very-private-word"


def make_project(
    folder: Path,
    texts: Sequence[str],
    annotators: Sequence[dict[str, Any]],
    *,
    labels: Sequence[str] = ("toxic", "not_toxic"),
    task: str = "classification",
    **run: Any,
) -> Project:
    """Write a project of items ``i0``, ``i1``, … and open it."""
    folder.mkdir(parents=True, exist_ok=True)
    guideline = {
        "name": "comments",
        "purpose": "Comments that hurt are hidden.",
        "task": task,
        "question": "What is this comment?",
        "labels": [
            {
                "name": name,
                "definition": f"It is {name}.",
                "examples": [{"text": f"{name} {n}"} for n in range(3)],
            }
            for name in labels
        ],
    }
    settings = {
        "items": {"path": "items.jsonl"},
        "annotators": list(annotators),
        "run": {"retries": 1, "timeout": 5.0} | run,
    }
    rows = [json.dumps({"id": f"i{n}", "text": text}) for n, text in enumerate(texts)]
    (folder / "items.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "guideline.yaml").write_text(json.dumps(guideline))  # JSON is YAML
    (folder / "prelabel.yaml").write_text(json.dumps(settings))
    return load_project(folder)


def openai_like(wire: Wire, name: str = "gpt", **settings: Any) -> dict[str, Any]:
    """Return the settings of an annotator that asks the server in OpenAI's format."""
    fixed = {"name": name, "model": "openai/gpt-4o-mini", "base_url": f"{wire.url}/v1"}
    return fixed | {"api_key": SECRET} | settings


def anthropic_like(wire: Wire, name: str = "claude", **settings: Any) -> dict[str, Any]:
    """Return the settings of an annotator that asks the server in Anthropic's format."""
    fixed = {"name": name, "model": "anthropic/claude-sonnet-4-5", "base_url": wire.url}
    return fixed | {"api_key": SECRET} | settings


def warm_up(folder: Path) -> None:
    """Let litellm import what it imports at the first call, which takes longer than a timeout."""
    with serving() as wire:
        label(make_project(folder, ["x"], [openai_like(wire), anthropic_like(wire)]))


def annotations(project: Project) -> dict[str, Annotation]:
    """Return what counts now, by item; of several annotators, by ``name item``."""
    ledger = Ledger(project.state / "ledger.sqlite")
    try:
        names = {row["id"]: row["name"] for row in ledger.annotators()}
        found = list(ledger.current(list(names), project.guideline.hash))
    finally:
        ledger.close()
    if len(set(names.values())) == 1:
        return {a.item_id: a for a in found}
    return {f"{names[a.annotator]} {a.item_id}": a for a in found}
