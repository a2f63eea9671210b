"""The decision rule: fitted once, frozen to a file, and then the same for any item anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prelabel.aggregate import apply_majority
from prelabel.errors import InputError, RuleMismatchError
from prelabel.records import Consensus, content_hash

if TYPE_CHECKING:
    from prelabel.promise import Promise
    from prelabel.tasks import Task
    from prelabel.votes import Ballot, Evidence
    from prelabel.weighing import Weighed

RULE_VERSION = 3
FEW_ITEMS = 50
"""Below so many, an annotator's mean is as much of these items as of its bias."""


@dataclass(frozen=True)
class DecisionRule:
    """Aggregator, its parameters and the thresholds; JSON all through.

    ``annotators`` are the ids whose votes it may see. ``fitted_on`` counts the items with votes,
    ``gold`` the gold items it learned from. With a promise the items of enough ``confidence`` are
    accepted; without one those of ``min_agreement``, and nothing is said of their errors.
    """

    task: str
    guideline_hash: str
    annotators: tuple[str, ...]
    params: dict[str, Any]
    min_agreement: float
    min_votes: int
    fitted_on: int
    gold: int = 0
    confidence: dict[str, Any] | None = None
    promise: dict[str, Any] | None = None
    created: float = field(compare=False, default=0.0)
    version: int = RULE_VERSION

    @property
    def hash(self) -> str:
        """Identity of what the rule does, not of when it was fitted."""
        return content_hash({k: v for k, v in asdict(self).items() if k != "created"})

    @property
    def learned(self) -> bool:
        """Whether the aggregator learned from gold, or is one that could."""
        return "problems" in self.params

    @property
    def aggregate(self) -> str:
        """Name the aggregator."""
        return str(self.params["method" if self.learned else "source"])

    @cached_property
    def promises(self) -> dict[str, Promise]:
        """The promise for each group of items, ``""`` where it is one for all."""
        from prelabel.promise import Promise

        groups = self.promise["groups"] if self.promise else {}
        return {group: Promise.from_dict(data) for group, data in groups.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a user should know before relying on the rule."""
        if self.learned:
            from prelabel.weighing import notes_of

            return notes_of(self.params)
        if self.params["bias"] and self.fitted_on < FEW_ITEMS:
            few = f"the bias correction was fitted on {self.fitted_on} items only"
            return (f"{few}; it wants {FEW_ITEMS} or more",)
        return ()

    def consensus(self, ballot: Ballot, task: Task) -> Consensus:
        """Return the consensus of one item, of the votes of the rule's annotators only."""
        return self.weighed(ballot, task)[0]

    def weighed(self, ballot: Ballot, task: Task) -> Weighed:
        """Return the consensus and, of an aggregator that has them, the weights of each value."""
        own = restrict(ballot, self.annotators)
        if not self.learned:
            return apply_majority(own, self.params, task), {}
        from prelabel import weighing

        return weighing.consensus(own, self.params, task)

    def to_json(self) -> str:
        """Return the rule as a document for people and programs."""
        return json.dumps(asdict(self) | {"hash": self.hash}, indent=2, ensure_ascii=False) + "\n"


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
        if isinstance(version, int) and version != RULE_VERSION:
            newer = version > RULE_VERSION
            what = "newer; upgrade prelabel" if newer else "of an earlier prelabel; fit it again"
            raise InputError(f"{path}: rule version {version} is {what}")
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
