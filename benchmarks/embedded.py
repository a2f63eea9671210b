"""The embedded model on a shipped evalset: label distributions, calibrated, against raw argmax.

    prelabel demo --to DIR && python benchmarks/embedded.py DIR

"argmax" counts the label that each annotator gave; "distribution" sums label probabilities, each
annotator's bias taken out; "learned" is the aggregator that gold chose. Of each: how many labels
are right, how well the vote share and the confidence fitted on gold tell right from wrong (held
out, with 95% intervals), and what is accepted under each promise at 5 and 10%.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from prelabel import api
from prelabel.estimate import Estimate, wilson
from prelabel.project import Project, load_project
from prelabel.promise import KINDS

WAYS = {"argmax": "majority", "distribution": "distribution", "learned": "auto"}
TARGETS = (0.05, 0.1)


def told(found: Estimate, digits: int = 3) -> str:
    """Write a figure with its interval."""
    if found.value is None:
        return f"not defined ({found.why})"
    if found.low is None or found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def show(project: Project, way: str, folder: Path) -> None:
    """Print a block for one way to a consensus."""
    gold = {g.item_id: g.label for g in project.fitting_gold(None)}
    for kind in KINDS:
        for target in TARGETS:
            rule = folder / f"{way}.json"
            asked = {"promise": kind, "target": target, "delta": 0.1, "aggregate": WAYS[way]}
            found = api.fit(project, to=rule, **asked)
            promise = found.rule.promises[""]
            if (kind, target) == (KINDS[0], TARGETS[0]):
                report = found.confidence
                right = report.items - report.wrong
                print(
                    f"{way}: {found.rule.aggregate}, held out right on "
                    f"{told(wilson(right, report.items))} of {report.items}; AUROC of the vote "
                    f"share {told(report.alone.auroc)}, of the confidence "
                    f"{told(report.together.auroc)}"
                )
            routes = api.route(project, rule=rule)
            wrong = sum(r.consensus.label != gold[r.item_id] for r in routes.accepted)
            n = len(routes.items)
            print(
                f"  {kind:10}{target:>5.0%}  accepted {len(routes.accepted)} of {n} "
                f"({len(routes.accepted) / n:.0%}), of these {wrong} wrong"
                + (f"; {promise.sentence()}" if promise.threshold is None else "")
            )


def main() -> None:
    """Print a block for each way to a consensus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of prelabel demo")
    args = parser.parse_args()
    project = load_project(args.folder)
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            show(project, way, Path(folder))


if __name__ == "__main__":
    main()
