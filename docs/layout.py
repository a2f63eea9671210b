"""Write docs/layout.md, a map of the code by area, or check that it says what the modules say."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1] / "prelabel"
PAGE = Path(__file__).with_name("layout.md")

HEAD = """\
# The code, area by area

Each area is read from its first module to its last. The lines are the modules' own; this page is
made by `make docs`.
"""

AREAS: dict[str, str] = {
    "First": "records errors estimate project settings config api",
    "The guideline": "guideline guideline_parts guideline_fields guideline_tree guideline_yaml "
    "guideline_check guideline_show first_guideline starting",
    "A guideline that learns": "journal guideline_log guideline_versions guideline_changes "
    "affected guideline_edit confusions rulings gold_parts revising drafting gating accepting",
    "Qualification": "qualification qualification_log qualification_sets qualifying",
    "Tasks": "tasks tasks.answers tasks.single_choice tasks.classification tasks.multi_label "
    "tasks.hierarchical tasks.spans tasks.rating tasks.pairwise tasks.extraction tasks.matching "
    "tasks.relations tasks.text normalize grounding",
    "Prompts": "prompts shots preselection splitting images resources",
    "Asking models": "annotate llm provider failures logprobs self_consistency local models",
    "Runs, money and facts on disk": "run pace budget cache ledger planning watch demo diagnosis",
    "Votes": "votes columns versions aggregate voting overlaps span_scores",
    "Agreement": "reliability agreement_records coefficients chance annotator_pairs disagreements "
    "unitizing",
    "Scores": "against_gold scoring measures nominal ordinal position behind_scores slices "
    "mistakes shift pool_accuracy throughput resampling",
    "Comparisons": "comparing paired paired_metrics leaderboard gold_sizes shares ranking",
    "For notebooks": "frames",
    "People and gold": "alternatives human_ceiling auditing gold_errors answer_sheet sheets",
    "Aggregation learned on gold": "choosing weighing learned ridge dawid_skene error_correlation",
    "Confidence": "calibrating calibrators calibration_scores calibration_plot signals "
    "signal_table signal_choice neighbours confidence confidence_report",
    "Decisions and promises": "decide fitting known promise promise_tests promises "
    "weighted_promises promising routing promise_plan forecasting escalation cascading "
    "certifying precedents",
    "Audits and whole datasets": "auditing_accepted audits audited_errors audit_log drift "
    "dataset_estimates dataset_quality",
    "Files in and out": "exchange exchange.tables exchange.cells exchange.parquet exchange.files "
    "exchange.items exchange.recorded importing exchange.iob exchange.export exchange.labelstudio "
    "exchange.labelstudio.controls exchange.labelstudio.regions exchange.labelstudio.write "
    "exchange.labelstudio.read reporting",
    "The review page": "review review.schema review.store review.settling review.entries "
    "review.queue review.deciding review.lots review.hidden review.building review.floor "
    "review.results review.times review.measuring review.forms review.shown review.beside "
    "review.desk review.pages review.sessions review.guard review.app review.serving",
    "The command line": "__main__ cli cli_sections cli_options cli_score cli_validation "
    "cli_calibration cli_deciding cli_forecast cli_audit cli_guideline cli_loop cli_models "
    "cli_review screen "
    "screen_scores screen_details screen_agreement screen_compare screen_validation "
    "screen_calibration screen_deciding screen_forecast screen_audit screen_loop screen_fairness",
}


def page() -> str:
    """Return the page. Exits where a module has no area, or an area no such module."""
    found = {name_of(file): file for file in sorted(ROOT.rglob("*.py")) if file.parent != ROOT}
    found |= {name_of(file): file for file in ROOT.glob("*.py") if file.stem != "__init__"}
    listed = [name for names in AREAS.values() for name in names.split()]
    wrong = sorted(set(listed) ^ found.keys())
    if wrong or len(listed) != len(set(listed)):
        sys.exit(f"docs/layout.py: not in just one area, or not there: {', '.join(wrong)}")
    parts = [HEAD]
    for area, names in AREAS.items():
        lines = [f"- `{name}`: {first_line(found[name])}" for name in names.split()]
        parts.append("\n".join([f"## {area}", *lines, ""]))
    return "\n".join(parts)


def name_of(file: Path) -> str:
    """Return a module's name below the package."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def first_line(file: Path) -> str:
    """Return the first line of a module's docstring."""
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


if __name__ == "__main__":
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/layout.md is not what the modules say; run: make docs")
