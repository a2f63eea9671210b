"""prelabel: LLM pre-labeling and validation.

Every command has a function of the same name here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from prelabel.accepting import accept, carry
    from prelabel.alternatives import alt_test
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
    from prelabel.audited_errors import audit_error
    from prelabel.auditing import gold_audit
    from prelabel.auditing_accepted import audit
    from prelabel.behind_scores import score_details
    from prelabel.calibrating import calibration
    from prelabel.cascading import cascade
    from prelabel.certifying import certificate
    from prelabel.comparing import compare
    from prelabel.dataset_quality import prevalence, quality
    from prelabel.diagnosis import doctor
    from prelabel.error_correlation import project_error_correlation
    from prelabel.errors import PrelabelError
    from prelabel.forecasting import forecast
    from prelabel.gating import gate
    from prelabel.gold_errors import gold_error
    from prelabel.gold_sizes import gold_size
    from prelabel.human_ceiling import ceiling
    from prelabel.planning import plan
    from prelabel.project import Project, load_project
    from prelabel.qualifying import qualify
    from prelabel.records import Adjudication, Annotation, Consensus, Gold, Item, Routed
    from prelabel.reporting import report
    from prelabel.revising import revise
    from prelabel.starting import init
    from prelabel.weighing import choose_aggregator

_HOMES = {
    "accepting": ("accept", "carry"),
    "alternatives": ("alt_test",),
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
    "audited_errors": ("audit_error",),
    "auditing": ("gold_audit",),
    "auditing_accepted": ("audit",),
    "behind_scores": ("score_details",),
    "calibrating": ("calibration",),
    "cascading": ("cascade",),
    "certifying": ("certificate",),
    "comparing": ("compare",),
    "dataset_quality": ("prevalence", "quality"),
    "diagnosis": ("doctor",),
    "error_correlation": ("project_error_correlation",),
    "errors": ("PrelabelError",),
    "forecasting": ("forecast",),
    "gating": ("gate",),
    "gold_errors": ("gold_error",),
    "gold_sizes": ("gold_size",),
    "human_ceiling": ("ceiling",),
    "planning": ("plan",),
    "project": ("Project", "load_project"),
    "qualifying": ("qualify",),
    "records": ("Adjudication", "Annotation", "Consensus", "Gold", "Item", "Routed"),
    "reporting": ("report",),
    "revising": ("revise",),
    "starting": ("init",),
    "weighing": ("choose_aggregator",),
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
    "accept",
    "agreement",
    "alt_test",
    "audit",
    "audit_error",
    "calibration",
    "candidates",
    "carry",
    "cascade",
    "ceiling",
    "certificate",
    "choose_aggregator",
    "compare",
    "doctor",
    "export",
    "fit",
    "forecast",
    "gate",
    "gold_audit",
    "gold_error",
    "gold_size",
    "import_annotations",
    "init",
    "label",
    "label_async",
    "load_project",
    "plan",
    "prevalence",
    "project_error_correlation",
    "qualify",
    "quality",
    "rank",
    "report",
    "revise",
    "route",
    "score",
    "score_details",
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
