"""The decision rule: fitted once, frozen to a file, and then the same for any item anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.aggregate import Source, apply_majority, fit_majority
from prelabel.errors import InputError, RuleMismatchError
from prelabel.records import Consensus, content_hash

if TYPE_CHECKING:
    from prelabel.config import DecideConfig
    from prelabel.tasks import Task
    from prelabel.votes import Ballot, Evidence

RULE_VERSION = 1
FEW_ITEMS = 50
"""Below so many, an annotator's mean is as much of these items as of its bias."""


@dataclass(frozen=True)
class DecisionRule:
    """Aggregator, its parameters and the thresholds; JSON all through.

    ``annotators`` are the ids whose votes it may see. The rule makes no promise about the error of
    what it accepts: it was fitted without gold.
    """

    task: str
    guideline_hash: str
    annotators: tuple[str, ...]
    params: dict[str, Any]
    min_agreement: float
    min_votes: int
    fitted_on: int
    created: float = field(compare=False, default=0.0)
    version: int = RULE_VERSION

    @property
    def hash(self) -> str:
        """Identity of what the rule does, not of when it was fitted."""
        return content_hash({k: v for k, v in asdict(self).items() if k != "created"})

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a user should know before relying on the rule."""
        if self.params["bias"] and self.fitted_on < FEW_ITEMS:
            few = f"the bias correction was fitted on {self.fitted_on} items only"
            return (f"{few}; it wants {FEW_ITEMS} or more",)
        return ()

    def consensus(self, ballot: Ballot, task: Task) -> Consensus:
        """Return the consensus of one item, of the votes of the rule's annotators only."""
        return apply_majority(restrict(ballot, self.annotators), self.params, task)

    def to_json(self) -> str:
        """Return the rule as a document for people and programs."""
        return json.dumps(asdict(self) | {"hash": self.hash}, indent=2, ensure_ascii=False) + "\n"


def fit_rule(
    evidence: Evidence, config: DecideConfig, only: Sequence[str] | None = None
) -> DecisionRule:
    """Fit a rule on the evidence, without gold. ``only`` limits it to some annotators' ids."""
    chosen = list(evidence.names) if only is None else list(only)
    ballots = [restrict(evidence.ballot(item), chosen) for item in evidence.items]
    source = aggregator(config, evidence.task)
    params = fit_majority(ballots, source=source, ties=config.ties, priority=chosen)
    return DecisionRule(
        evidence.task.name,
        evidence.guideline_hash,
        tuple(chosen),
        params,
        config.min_agreement,
        config.min_votes,
        sum(1 for ballot in ballots if ballot.votes),
        time.time(),
    )


def aggregator(config: DecideConfig, task: Task) -> Source:
    """Return the aggregator asked for, or the task's usual one. Raises ``InputError``."""
    usual: Source = "median" if task.level != "nominal" else "majority"
    only: dict[str, tuple[str, bool]] = {
        "median": ("ratings", task.level != "nominal"),
        "overlap": ("spans", task.name == "spans"),
    }
    what, fits = only.get(config.aggregate or usual, ("", True))
    if not fits:
        raise InputError(
            f"decide: aggregate: {config.aggregate} is for {what} only, and the task is "
            f"{task.name}; use majority"
        )
    return config.aggregate or usual


def restrict(ballot: Ballot, annotators: Sequence[str]) -> Ballot:
    """Return a ballot with some annotators' votes only."""
    from prelabel.votes import Ballot

    return Ballot(
        ballot.item_id,
        {name: v for name, v in ballot.votes.items() if name in annotators},
        {name: d for name, d in ballot.distributions.items() if name in annotators},
    )


def load_rule(path: Path) -> DecisionRule:
    """Read a rule. Raises ``InputError`` where the file is not one, or was changed by hand."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        written, version = data.pop("hash"), data["version"]
        if isinstance(version, int) and version > RULE_VERSION:
            raise InputError(f"{path}: rule version {version} is newer; upgrade prelabel")
        rule = DecisionRule(**data | {"annotators": tuple(data["annotators"])})
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; fit a rule with `prelabel fit`") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{path}: not a decision rule; fit one with `prelabel fit`") from None
    if rule.hash != written:
        raise InputError(f"{path}: changed after it was fitted; fit it again with `prelabel fit`")
    return rule


def check_rule(rule: DecisionRule, evidence: Evidence) -> None:
    """Raise ``RuleMismatchError`` if the rule is of another guideline or other annotators."""
    if rule.guideline_hash != evidence.guideline_hash:
        raise RuleMismatchError(
            f"the rule was fitted under guideline {rule.guideline_hash}, the project's is "
            f"{evidence.guideline_hash}; fit it again with `prelabel fit`"
        )
    missing = [name for name in rule.annotators if name not in evidence.names]
    if missing:
        raise RuleMismatchError(
            f"the rule counts on annotator {missing[0]}, which has no annotations here; "
            "label with it, or fit again with `prelabel fit`"
        )
