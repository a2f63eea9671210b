"""cascade(): cheap annotators label all, a strong one what they are least sure of: what it brings.

Who is asked is fixed without gold, and one threshold is tested at the end, on what comes out. All
shares are tried on annotations that there are already, from a pilot that everyone has labeled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from prelabel.config import changed
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, bootstrap, wilson
from prelabel.fitting import UNLEARNED, fit_all
from prelabel.forecasting import NOT_ASKED, UNKNOWN, scaled
from prelabel.promising import usable
from prelabel.routing import route_all

if TYPE_CHECKING:
    from prelabel.decide import DecisionRule
    from prelabel.project import Project
    from prelabel.promise import Kind, Promise
    from prelabel.records import Gold, Item
    from prelabel.settings import DecideConfig
    from prelabel.votes import Evidence

SHARES = (0.0, 0.3, 0.5, 0.7, 1.0)
NOTHING = "nothing is accepted"


@dataclass(frozen=True, slots=True)
class Rung:
    """What comes of one share of items for the strong annotator.

    ``share`` is None for the strong annotator alone; ``asked`` items are labeled by it.
    ``accepted`` is the share of all items that the ``promise`` accepts, ``accuracy`` that of right
    labels on gold, accepted or not. ``dollars`` are what labeling took, None where a price is
    unknown; ``per_accepted`` is dollars for an accepted label, and ``ratio`` how many times that of
    the strong annotator alone, thresholds as they are. ``per_label`` is dollars a label, people's
    reviews of all that is not accepted included.
    """

    share: float | None
    asked: int
    promise: Promise
    accepted: Estimate
    accuracy: Estimate
    dollars: float | None
    per_accepted: Estimate
    ratio: Estimate
    per_label: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self) | {"promise": self.promise.to_dict()}


@dataclass(frozen=True, slots=True)
class Cascade:
    """Cascades from ``cheap`` to ``strong``, tried on the ``items`` that all have labeled.

    Each promise is tested at ``delta`` divided by ``looks``, so that all hold together with
    probability 1 - delta. ``rows`` are in the order of the shares; ``alone`` is the strong
    annotator without the others.
    """

    cheap: tuple[str, ...]
    strong: str
    kind: Kind
    target: float
    delta: float
    looks: int
    items: int
    gold: int
    rows: tuple[Rung, ...]
    alone: Rung
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Rung | None:
        """The rung that costs least a label, or where reviews have no cost, an accepted label."""
        every = [*self.rows, self.alone]
        for name in ("per_label", "per_accepted"):
            known = [rung for rung in every if getattr(rung, name).value is not None]
            if known:
                return min(known, key=lambda rung: float(getattr(rung, name).value))
        return None

    def settings(self, rung: Rung) -> str:
        """Return what to write under ``decide:`` for a rung; empty for the strong one alone."""
        if rung.share is None:
            return ""
        delta = "" if self.kind == "expected" else f", delta: {self.delta / self.looks:.4g}"
        return (
            f"{{promise: {self.kind}, target: {self.target:g}{delta}, min_votes: 1, "
            f"escalate: {{to: {self.strong}, share: {rung.share:g}}}}}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return found | {
            "rows": [row.to_dict() for row in self.rows],
            "alone": self.alone.to_dict(),
            "best": self.best.share if self.best else None,
            "notes": list(self.notes),
        }


class _Pilot(NamedTuple):
    """What all have labeled, and the settings of a promise."""

    evidence: Evidence
    items: Sequence[Item]
    gold: Sequence[Gold]
    config: DecideConfig
    costs: Mapping[str, FloatArray]
    review_cost: float | None


class _Tried(NamedTuple):
    """One way to label the pilot: its rule, what it accepts, what the strong annotator labels."""

    rule: DecisionRule
    accepted: Any
    asked: Any
    accuracy: Estimate
    dollars: float | None


def cascade(
    project: Project,
    cheap: Sequence[str],
    strong: str,
    *,
    shares: Sequence[float] = SHARES,
    promise: Kind | None = None,
    target: float | None = None,
    delta: float | None = None,
    prices: Mapping[str, float] | None = None,
    review_cost: float | None = None,
) -> Cascade:
    """Say what each share of items for a strong annotator would accept, and at what cost.

    ``cheap`` and ``strong`` are names; only items that all of them have annotated count. Promise,
    target and delta are the project's if None. ``prices`` are dollars a label by annotator, in
    place of what is recorded; ``review_cost`` is dollars a review. Raises ``InputError`` where
    there is no gold or no item that all have annotated, and for shares that are none.
    """
    looked = tuple(dict.fromkeys(shares))
    _check(cheap, strong, looked, prices or {}, review_cost)
    own = project.config.decide
    kind: Kind = promise or own.promise or "selective"
    settings = {
        "promise": kind,
        "target": own.target if target is None else target,
        "delta": own.delta if delta is None else delta,
        "aggregate": own.aggregate if own.aggregate in UNLEARNED else None,
        "min_votes": 1,
        "each": None,
        "escalate": None,
    }
    config = changed(own, settings)
    looks = len(looked) + 1
    pilot = _pilot(project, cheap, strong, config, looks, prices or {}, review_cost)
    alone = _alone(pilot, strong)
    tried = {share: _try(pilot, strong, share) for share in looked}
    return Cascade(
        tuple(cheap),
        strong,
        kind,
        config.target,
        config.delta,
        1 if kind == "expected" else looks,
        len(pilot.items),
        len(usable(pilot.gold, pilot.evidence, alone.rule, {i.id: i for i in pilot.items})),
        tuple(_rung(pilot, one, alone, share) for share, one in tried.items()),
        _rung(pilot, alone, alone, None),
        tuple(_notes(project, pilot, tried)),
    )


def _pilot(
    project: Project,
    cheap: Sequence[str],
    strong: str,
    config: DecideConfig,
    looks: int,
    prices: Mapping[str, float],
    review_cost: float | None,
) -> _Pilot:
    from prelabel.api import evidence_of

    evidence = evidence_of(project, [*cheap, strong])
    n = len(evidence.names)
    both = {item for item, given in evidence.items.items() if len(given) == n}
    gold = [g for g in project.fitting_gold(config.split) if g.item_id in both]
    if not gold:
        names = ", ".join(evidence.names.values())
        raise InputError(
            f"cascade: no gold item is annotated by all of {names}; label a pilot with gold by each"
        )
    evidence = evidence.only(both)
    items = [item for item in project.items() if item.id in both]
    return _Pilot(
        evidence,
        items,
        gold,
        changed(config, {"delta": config.delta / looks}),
        {name: _costs(evidence, name, prices) for name in evidence.names.values()},
        review_cost,
    )


def _costs(evidence: Evidence, name: str, prices: Mapping[str, float]) -> FloatArray:
    """Return the dollars of an annotator's annotation of each item, nan where unknown."""
    columns = evidence.columns
    own = columns.by([key for key, other in evidence.names.items() if other == name])
    found = np.full(len(columns.items), np.nan)
    found[own.item] = own.cost
    return np.full(len(found), prices[name]) if name in prices else found


def _try(pilot: _Pilot, strong: str, share: float) -> _Tried:
    """Fit and route with a share of the items for the strong annotator."""
    config = changed(pilot.config, {"escalate": {"to": strong, "share": share}})
    rule = fit_all(pilot.evidence, config, gold=pilot.gold, items=pilot.items).rule
    seen = rule.seen(pilot.evidence)
    to = rule.params["escalation"]["to"]
    asked = np.array([any(a.annotator == to for a in own) for own in seen.items.values()])
    costs = [own if name != strong else own[asked] for name, own in pilot.costs.items()]
    return _tried(pilot, seen, rule, asked, costs)


def _alone(pilot: _Pilot, strong: str) -> _Tried:
    """Fit and route with nobody but the strong annotator."""
    only = [key for key, name in pilot.evidence.names.items() if name == strong]
    rule = fit_all(pilot.evidence, pilot.config, only, gold=pilot.gold, items=pilot.items).rule
    asked = np.ones(len(pilot.items), dtype=np.bool_)
    return _tried(pilot, pilot.evidence, rule, asked, [pilot.costs[strong]])


def _tried(
    pilot: _Pilot, seen: Evidence, rule: DecisionRule, asked: Any, costs: Sequence[FloatArray]
) -> _Tried:
    routed = route_all(pilot.evidence, rule, pilot.items)
    known = {item.id: item for item in pilot.items}
    gold = usable(pilot.gold, seen, rule, known)
    right = [
        label is not None and seen.task.right(g.label, label)
        for g, label in ((g, routed[g.item_id].consensus.label) for g in gold)
    ]
    total = float(sum(own.sum() for own in costs))
    return _Tried(
        rule,
        np.array([one.accepted for one in routed.values()]),
        asked,
        wilson(sum(right), len(right), undefined="no gold item has votes"),
        None if np.isnan(total) else total,
    )


def _rung(pilot: _Pilot, one: _Tried, alone: _Tried, share: float | None) -> Rung:
    n = len(one.accepted)
    k = int(one.accepted.sum())
    accepted = wilson(k, n) if k else Estimate(0.0, n=n, why=NOTHING)
    return Rung(
        share,
        int(one.asked.sum()),
        one.rule.promises[""],
        accepted,
        one.accuracy,
        one.dollars,
        _per_accepted(one.dollars, accepted),
        _ratio(one, alone) if share is not None else Estimate(1.0, n=n, why="compared with itself"),
        _per_label(one.dollars, pilot.review_cost, accepted),
    )


def _per_accepted(dollars: float | None, accepted: Estimate) -> Estimate:
    n = accepted.n
    if dollars is None:
        return Estimate(None, n=n, why=UNKNOWN)
    if not accepted.value or not accepted.low or not accepted.high:
        return Estimate(None, n=n, why=NOTHING)
    each = dollars / n
    return Estimate(each / accepted.value, each / accepted.high, each / accepted.low, n)


def _per_label(dollars: float | None, review_cost: float | None, accepted: Estimate) -> Estimate:
    """Return dollars a label with people's: c_LLM + c_review (1 - coverage)."""
    n = accepted.n
    if dollars is None or review_cost is None:
        return Estimate(None, n=n, why=UNKNOWN if dollars is None else NOT_ASKED)
    return scaled(accepted, -review_cost, dollars / n + review_cost)


def _ratio(one: _Tried, alone: _Tried) -> Estimate:
    """Return how many times the strong annotator's dollars for an accepted label one costs.

    The interval is from resampling items, those that both accept together.
    """
    n = len(one.accepted)
    if one.dollars is None or not alone.dollars:
        return Estimate(None, n=n, why=UNKNOWN)
    if not one.accepted.any() or not alone.accepted.any():
        return Estimate(None, n=n, why=NOTHING)
    times = one.dollars / alone.dollars
    kinds = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
    sizes = np.bincount(2 * one.accepted + alone.accepted, minlength=4)

    def statistic(weights: FloatArray) -> FloatArray:
        mine, other = weights @ kinds[:, 0], weights @ kinds[:, 1]
        return np.where(mine > 0, times * other / np.maximum(mine, 1e-9), np.nan)

    return bootstrap(statistic, sizes)


def read_prices(texts: Sequence[str]) -> dict[str, float]:
    """Return what texts such as ``gpt=0.002`` say. Raises ``InputError``."""
    found = {}
    for text in texts:
        name, _, price = text.rpartition("=")
        try:
            found[name] = float(price)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"cascade: price {text!r}; write NAME=DOLLARS a label: gpt=0.002")
    return found


def _check(
    cheap: Sequence[str],
    strong: str,
    shares: Sequence[float],
    prices: Mapping[str, float],
    review_cost: float | None,
) -> None:
    if not cheap or strong in cheap:
        raise InputError("cascade: name one or more cheap annotators, and another as --strong")
    for share in shares:
        if not 0 <= share <= 1:
            raise InputError(f"cascade: a share must be from 0 to 1, such as 0.3; got {share:g}")
    if not shares:
        raise InputError("cascade: give one or more shares, such as 0.3")
    for what, price in [*prices.items(), ("a review", review_cost or 0.0)]:
        if not 0 <= price < float("inf"):
            raise InputError(f"cascade: the price of {what} must be 0 or more, got {price:g}")
    for name in prices:
        if name not in (*cheap, strong):
            raise InputError(f"cascade: the price of {name!r}: no such annotator in this cascade")


def _notes(project: Project, pilot: _Pilot, tried: Mapping[float, _Tried]) -> list[str]:
    notes = [*pilot.evidence.notes]
    left = sum(1 for _ in project.items()) - len(pilot.items)
    if left:
        notes.append(f"{left} items are not annotated by all, and are left out")
    rules = [one.rule for share, one in tried.items() if 0 < share < 1]
    if rules and _all_alike(pilot, rules[0]):
        notes.append(
            "the cheap annotators are equally sure of all items: who is asked is random. Several "
            "of them, label probabilities, `samples: 5` or `confidence: true` would tell"
        )
    return notes


def _all_alike(pilot: _Pilot, rule: DecisionRule) -> bool:
    from prelabel.escalation import keys

    cheap = [key for key in rule.annotators if key != rule.params["escalation"]["to"]]
    return len({sure for sure, _ in keys(pilot.evidence, cheap, rule.params).values()}) == 1
