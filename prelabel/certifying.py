"""certificate(): one page with everything needed to check what a rule promises."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from scipy.stats import binom

from prelabel import api
from prelabel.audit_log import AuditLog, read_log
from prelabel.audited_errors import strata_of
from prelabel.audits import stratified_error
from prelabel.dataset_quality import prevalence, quality
from prelabel.decide import DecisionRule, load_rule
from prelabel.drift import Monitor
from prelabel.errors import InputError
from prelabel.exchange.files import replacing
from prelabel.fitting import halves
from prelabel.promise import Kind, Promise, percent
from prelabel.promising import usable
from prelabel.records import content_hash

if TYPE_CHECKING:
    from prelabel.project import Project

RANDOM = "not declared: taken as drawn at random from the items"

RIGHT = "Gold is right, and was drawn at random from the items that the promise is about."
BEFORE = "Promise, target and delta were chosen before results were seen."
TOGETHER = (
    "It is about all accepted items together, not about each one or a part of them, and only about "
    "items like those that gold was drawn from."
)
ASSUMED: Mapping[Kind, str] = {
    "selective": (
        "Thresholds are tried in a fixed order from a start that depends on numbers alone, each by "
        "an exact binomial test at the full delta; the first that fails ends it (Angelopoulos et "
        "al. 2021)."
    ),
    "dataset": (
        "Items that people review are right. Among the accepted alone the share may be higher (PAC "
        "labels, Candès, Ilyas and Zrnic 2025)."
    ),
    "expected": (
        "This is the mean over draws of gold and says nothing about the gold at hand (conformal "
        "selection, Jin and Candès 2023)."
    ),
}
STRICT = "The promise was tested on gold that nothing was learned from: the test is exact."
CROSS_FITTED = (
    "Each gold item's confidence comes from a fit that did not see it (five-fold cross-fitting), "
    "that of other items from a fit to all gold: the test is nearly exact. A strict rule tests on "
    "gold that nothing was learned from."
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A page at ``path`` and what it says, ``facts``, as plain JSON-able values."""

    path: Path
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return {"file": str(self.path), **self.facts}


def certificate(project: Project, rule: Path, to: Path, *, drawn: str = "") -> Certificate:
    """Write the page about a rule's promise, HTML or Markdown by its ending.

    ``drawn`` says in words how gold was drawn. Raises ``RuleMismatchError`` for a rule that does
    not fit the project, and ``InputError`` for one without a promise or changed by hand.
    """
    if to.suffix.lower() not in (".html", ".htm", ".md"):
        raise InputError(f"{to}: a certificate is a page; let its name end in .html or .md")
    loaded = load_rule(rule)
    if loaded.promise is None:
        raise InputError(f"{rule}: makes no promise; fit one with `prelabel fit --promise …`")
    found = Certificate(to, facts(project, loaded, rule, drawn))
    page = _page(found.facts, markdown=to.suffix.lower() == ".md")
    with replacing(to) as file:
        file.write(page.encode())
    return found


def facts(project: Project, rule: DecisionRule, file: Path, drawn: str) -> dict[str, Any]:
    """Return what a certificate says."""
    routes = api.route(project, rule=file)
    assert rule.promise is not None
    items = {item.id: item.hash for item in project.items()}
    guideline = project.guideline
    return {
        "guideline": {
            "name": guideline.name,
            "question": guideline.question,
            "hash": rule.guideline_hash,
        },
        "items": {
            "n": len(items),
            "fingerprint": content_hash(sorted(items.items())),
            "accepted": len(routes.accepted),
            "review": len(routes.queue),
        },
        "annotators": _annotators(project, rule),
        "rule": _rule(rule, file.name),
        "gold": _gold(project, rule, routes, drawn),
        "promises": [_promise(group, one) for group, one in rule.promises.items()],
        "assumed": [RIGHT, BEFORE, TOGETHER, ASSUMED[_kind(rule)], _tested(rule)],
        "audits": audits(read_log(project), rule),
        "quality": _or_why(lambda: quality(project, rule=file).to_dict()),
        "prevalence": _or_why(lambda: prevalence(project, rule=file).to_dict()),
        "commands": _commands(rule, routes.evidence.names, relpath(file, project.folder)),
        "notes": [*routes.evidence.notes, *rule.notes],
        "made": _day(time.time()),
        "version": version("prelabel"),
    }


def _kind(rule: DecisionRule) -> Kind:
    assert rule.promise is not None
    kind: Kind = rule.promise["kind"]
    return kind


def _tested(rule: DecisionRule) -> str:
    return STRICT if _strict(rule) else CROSS_FITTED


def _strict(rule: DecisionRule) -> bool:
    assert rule.promise is not None
    return bool(rule.promise["strict"])


def _annotators(project: Project, rule: DecisionRule) -> list[dict[str, Any]]:
    """Return who labeled: names, models, and hashes of their settings."""
    from contextlib import closing

    from prelabel.ledger import Ledger

    with closing(Ledger(project.state / "ledger.sqlite")) as ledger:
        recorded = {row["id"]: row for row in ledger.annotators()}
    return [
        {
            "id": name,
            "name": recorded[name]["name"],
            "kind": recorded[name]["kind"],
            "model": str(recorded[name]["settings"].get("model", "")),
            "settings": content_hash(recorded[name]["settings"]),
        }
        for name in rule.annotators
    ]


def _rule(rule: DecisionRule, file: str) -> dict[str, Any]:
    confidence, promise = rule.confidence or {}, rule.promise or {}
    escalation = rule.params.get("escalation")
    return {
        "file": file,
        "hash": rule.hash,
        "version": rule.version,
        "created": _day(rule.created),
        "aggregate": rule.aggregate,
        "escalation": escalation and {name: escalation[name] for name in ("name", "share")},
        "confidence": confidence.get("method", ""),
        "signals": ["share of votes", *confidence.get("groups", ())],
        "kind": promise["kind"],
        "each": promise["each"],
        "strict": promise["strict"],
        "target": next(iter(rule.promises.values())).target,
    }


def _gold(project: Project, rule: DecisionRule, routes: api.Routes, drawn: str) -> dict[str, Any]:
    """Return how much gold there was, and whether the gold at hand is the same."""
    gold = project.fitting_gold(project.config.decide.split)
    test = halves(gold)[1] if _strict(rule) else gold
    own = rule.seen(routes.evidence)
    labeled = {
        item.id: item
        for item in project.items()
        if any(a.annotator in rule.annotators for a in own.items[item.id])
    }
    tested = [g for g in usable(test, own, rule, labeled) if not g.drawn]
    now = content_hash([[g.item_id, g.label] for g in tested])
    other = sorted({g.drawn for g in gold if g.drawn})
    written = (rule.promise or {})["tested_on"]
    return {
        "tested": sum(one.gold for one in rule.promises.values()),
        "learned": rule.gold,
        "fingerprint": written,
        "at_hand": now == written,
        "drawn": drawn or _said_of_gold(project),
        "left_out": other,
    }


def _said_of_gold(project: Project) -> str:
    """Return how the gold file says that it was drawn."""
    column = project.config.gold.drawn if project.config.gold else None
    return f"at random, by the gold file's column {column!r}" if column else RANDOM


def _promise(group: str, one: Promise) -> dict[str, Any]:
    """Return a promise with the test that anyone can repeat."""
    found = one.to_dict() | {"group": group, "sentence": one.sentence()}
    found["coverage"] = asdict(one.coverage)
    return found | (_check(one) if one.threshold is not None else {"check": "", "holds": None})


def _check(one: Promise) -> dict[str, Any]:
    """Return the line of Python that checks a promise, and what it gives here."""
    if one.kind == "expected":
        share = one.coverage.value or 0.0
        line = f"(1 + {one.wrong}) / ({one.gold} + 1) <= {one.target!r} * {share!r}"
        return {"check": line, "holds": (1 + one.wrong) / (one.gold + 1) <= one.target * share}
    n = one.tested if one.kind == "selective" else one.gold
    line = f"binom.cdf({one.wrong}, {n}, {one.target!r}) <= {one.delta!r}"
    holds = bool(binom.cdf(one.wrong, n, one.target) <= (one.delta or 0.0))
    return {"check": line, "holds": holds}


def audits(log: AuditLog, rule: DecisionRule) -> dict[str, Any]:
    """Return what audits of a rule found so far, and what the monitor makes of them."""
    drawn = [one for one in log.draws.values() if one.rule == rule.hash]
    found = []
    for one in drawn:
        own = [made for (audit, _), made in log.outcomes.items() if audit == one.audit]
        error = stratified_error(strata_of(one, own))
        found.append(
            {
                "audit": one.audit,
                "created": _day(one.created),
                "accepted": sum(one.sizes.values()) + one.known,
                "drawn": len(one.items),
                "checked": len(own),
                "wrong": sum(made.wrong for made in own),
                "error": asdict(error),
            }
        )
    target = log.target_of(rule.hash)
    stream = [one.wrong for one in log.of_rule(rule.hash) if one.watched]
    watched = None if target is None else Monitor(target).watch(stream)
    return {
        "done": found,
        "watched": watched and watched.to_dict(),
        "stopped": watched.reason if watched else None,
    }


def _or_why(make: Any) -> dict[str, Any]:
    """Return what is made, and why it cannot be made where it cannot."""
    try:
        return {"why": "", **make()}
    except InputError as error:
        return {"why": str(error)}


def _commands(rule: DecisionRule, names: Mapping[str, str], file: str) -> list[tuple[str, str]]:
    """Return commands that check the page, and what each shows.

    ``file`` is the rule's, as seen from the project's folder.
    """
    own = _rule(rule, file)
    groups = rule.promises.values()
    whole = sum(one.delta or 0.0 for one in groups)
    parts = ["prelabel fit", f"--promise {own['kind']}", f"--target {own['target']!r}"]
    parts += [f"--delta {whole:.10g}"] if own["kind"] != "expected" else []
    parts += [f"--each {shlex.quote(own['each'])}"] if own["each"] else []
    parts += ["--strict"] if own["strict"] else []
    parts += [f"--audit {rule.audit!r}"] if rule.audit else []
    parts += [f"-a {shlex.quote(names[name])}" for name in rule.annotators]
    there = shlex.quote(file)
    return [
        (f"prelabel route --rule {there}", "what is accepted; refuses a file changed by hand"),
        (" ".join(parts), f"the same annotations and gold give rule {rule.hash} again"),
        (f"prelabel audit sheet.csv --rule {there}", "draws accepted items for people to check"),
    ]


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _page(found: Mapping[str, Any], *, markdown: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    env = Environment(
        loader=loader,
        autoescape=not markdown,  # noqa: S701  HTML always is; Markdown by `finalize`
        undefined=StrictUndefined,
        finalize=as_markdown if markdown else None,
        trim_blocks=markdown,
        lstrip_blocks=markdown,
    )
    env.filters |= {"percent": percent, "share": _share, "code": _Verbatim}
    name = "certificate.md" if markdown else "certificate.html"
    return env.get_template(name).render(found)


class _Verbatim(str):
    """Text for a code block of Markdown, where nothing is escaped and no line ends."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        return super().__new__(cls, " ".join(str(text).replace("```", "'''").split()))


def as_markdown(value: Any) -> Any:
    """Return a value so that Markdown shows it as it is, in one line."""
    if isinstance(value, _Verbatim) or not isinstance(value, str):
        return value
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(value.split()))


def _share(one: Mapping[str, Any]) -> str:
    """Write a share with its interval."""
    if one["value"] is None:
        return f"not defined: {one['why']}" if one["why"] else "not defined"
    text = percent(one["value"])
    if one["low"] is None or one["high"] is None:
        return text
    return f"{text} [{percent(one['low'])}, {percent(one['high'])}]"
