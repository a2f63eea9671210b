"""Small guidelines for tests."""

from prelabel.guideline import Guideline


def minimal(*names, task="classification", more=""):
    """Return a document with these label names, written as they are."""
    labels = "".join(f"  - name: {name}\n    definition: d\n" for name in names)
    return f"name: n\ntask: {task}\nlabels:\n{labels}{more}"


def built(*labels, **fields):
    """Build a guideline without a file."""
    return Guideline.model_validate(
        {"name": "n", "task": "classification", **fields}
        | {"labels": [{"name": "x", "definition": "d"} | label for label in labels]}
    )
