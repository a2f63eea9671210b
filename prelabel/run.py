"""label(): many items x several annotators, so that nothing paid for is ever lost.

Workers pull items from one stream an annotator, so memory does not grow with the items. A finished
annotation is on disk before it is counted. The same command continues where the last one stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from prelabel.annotate import LLMAnnotator, find_annotators, settings_of
from prelabel.budget import Budget
from prelabel.cache import ResponseCache
from prelabel.errors import FatalModelError, InputError
from prelabel.guideline_versions import keep_version
from prelabel.ledger import Ledger
from prelabel.pace import Pace, StoppedError
from prelabel.provider import close_clients, price_of
from prelabel.qualification_log import need_qualified
from prelabel.records import Annotation, Item

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.settings import AnnotatorConfig

CHUNK = 500
"""Items looked up in the ledger at once."""

FLUSH_SECONDS = 0.25
MOST_WAITING = 2000
"""Annotations not on disk yet; more of them wait, so that memory stays flat."""

LATER = ("outage", "timeout", "rate_limited")
"""Failures that say something about the provider, not about the item."""

GIVE_UP = 20
"""So many of them in a row, and the annotator is stopped: the provider is down."""

TOO_DEAR = 5
"""So many calls in a row that the budget had no room for, and the annotator is stopped."""


@dataclass
class RunStatus:
    """How a run stands; every number is of what is on disk."""

    total: int
    skipped: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    replayed: int = 0
    spent_before: float = 0.0
    spent: float = 0.0
    unconfirmed: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0
    stopped: list[str] = field(default_factory=list)
    fatal: bool = False

    @property
    def done(self) -> int:
        """Annotations that need no more work now: new ones and those from earlier runs."""
        return self.skipped + sum(self.outcomes.values())

    @property
    def bought(self) -> int:
        """New annotations that needed at least one call."""
        return sum(self.outcomes.values()) - self.replayed

    @property
    def projected(self) -> float | None:
        """Dollars of the whole run if the rest costs as much an annotation as so far."""
        if not self.bought:
            return None
        return self.spent + (self.total - self.done) * self.spent / self.bought


class Run:
    """One run: its ledger, cache and budget, and where it stands."""

    def __init__(
        self,
        project: Project,
        ledger: Ledger,
        cache: ResponseCache,
        max_cost: float | None,
        only: Collection[str] | None = None,
        *,
        again: bool = False,
    ) -> None:
        self.project, self.ledger, self.cache, self.only = project, ledger, cache, only
        self.again = again  # what was carried over from another guideline
        self.budget = Budget(max_cost, lambda: cache.spent + cache.unconfirmed)
        self.status = RunStatus(0, spent_before=cache.spent)
        cache.give_up_held()  # of a run that was killed
        self.stopping, self.finished, self.full = (asyncio.Event() for _ in range(3))
        self.asked = False
        self.started = time.monotonic()
        self.waiting: list[tuple[Annotation, Item]] = []
        self.paces: list[Pace] = []
        self.report: Callable[[RunStatus], None] = lambda _status: None

    def ask_to_stop(self) -> None:
        """Begin no more calls; those in flight finish."""
        self.asked = True
        self.halt()

    async def annotators(self, ready: Sequence[LLMAnnotator], limit: int | None) -> None:
        """Label with all annotators; write on the way, and what is left at the end."""
        self.paces = [one.llm.pace for one in ready]
        flusher = asyncio.create_task(self.flusher())
        try:
            async with asyncio.TaskGroup() as group:
                for lane in lanes(ready):
                    group.create_task(self.lane(lane, limit))
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None
        finally:
            self.finished.set()
            self.full.set()
            await flusher
        if self.asked and self.status.done < self.status.total:
            self.status.stopped.append("on request; run the same command again to continue")

    async def lane(self, lane: Sequence[LLMAnnotator], limit: int | None) -> None:
        """Let annotators that share the cores work one after the other."""
        for one in lane:
            await self.annotator(one, limit)

    async def annotator(self, one: LLMAnnotator, limit: int | None) -> None:
        """Label all that one annotator has not labeled yet."""
        stream = self.todo(one, limit)
        own = _Health(one.config.name)
        async with asyncio.TaskGroup() as group:
            for _ in range(one.config.width(self.project.config.run)):
                group.create_task(self.worker(one, stream, own))
        self.status.fatal |= own.fatal
        if own.reason:
            self.status.stopped.append(f"annotator {own.name!r}: {own.reason}")

    async def worker(self, one: LLMAnnotator, stream: Iterator[Item], own: _Health) -> None:
        """Take one item after the other until the stream ends or the run stops."""
        for n, item in enumerate(stream):
            if self.stopping.is_set() or own.reason:
                return
            try:
                annotation = await one.annotate(item)
                own.heard(annotation)
                self.waiting.append((annotation, item))
            except FatalModelError as error:
                own.reason, own.fatal = str(error), True
            except StoppedError:
                return
            if own.reason:  # the calls in flight finish
                one.llm.pace.stopping.set()
                return
            if n % 50 == 49:
                await asyncio.sleep(0)  # answers from the cache never wait: let others in
            while len(self.waiting) >= MOST_WAITING and not self.stopping.is_set():
                self.full.set()
                await asyncio.sleep(0.01)

    def todo(self, one: LLMAnnotator, limit: int | None) -> Iterator[Item]:
        """Yield the items that this annotator has neither labeled nor abstained from."""
        items = some_items(self.project, limit, self.only)
        while chunk := list(islice(items, CHUNK)):
            carried = not self.again
            settled = self.ledger.settled(one.id, one.guideline_hash, chunk, carried=carried)
            self.status.skipped += len(settled)
            yield from (item for item in chunk if item.id not in settled)

    async def flusher(self) -> None:
        """Write what is finished, four times a second, and only then count it."""
        try:
            while not self.finished.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.full.wait(), FLUSH_SECONDS)
                self.full.clear()
                self.flush()
            self.flush()  # where all was finished before the first wait
        finally:
            self.halt()  # where nothing can be written, nothing is bought

    def flush(self) -> None:
        """Write what is finished, then count it."""
        batch, self.waiting = self.waiting, []
        if batch:
            of = {item.id: item for _, item in batch}.values()
            self.ledger.add([a for a, _ in batch], of)
        for annotation, _ in batch:
            self.status.outcomes[annotation.outcome] += 1
            self.status.replayed += annotation.replayed and annotation.usage.calls > 0
            self.status.unpriced += annotation.usage.cost is None
            if annotation.failure:
                self.status.failures[annotation.failure] += 1
                said = f"item {annotation.item_id!r}: {annotation.detail}"
                self.status.examples.setdefault(annotation.failure, said)
        self.status.spent = self.cache.spent - self.status.spent_before
        self.status.unconfirmed = self.cache.unconfirmed
        self.status.seconds = time.monotonic() - self.started
        self.report(self.status)

    def halt(self) -> None:
        """Begin no more calls, and wait no more for a time to begin them."""
        self.stopping.set()
        for pace in self.paces:
            pace.stopping.set()


class _Health:
    """Notices what makes every call fail, so that a run does not go through thousands of items.

    The provider is down, the budget is used up, or all requests are refused for one same reason.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_a_row, self.cause = 0, ""
        self.reason, self.fatal = "", False

    def heard(self, annotation: Annotation) -> None:
        said = f"{annotation.failure}: {annotation.detail}"
        causes = dict.fromkeys(LATER, "later") | {"bad_request": said, "budget": "budget"}
        cause = causes.get(annotation.failure or "", "")
        self.in_a_row = self.in_a_row + 1 if cause == self.cause else 1
        self.cause = cause
        if self.reason or not cause or self.in_a_row < (GIVE_UP, TOO_DEAR)[cause == "budget"]:
            return
        if cause == "budget":
            self.reason = f"{annotation.detail}; raise --max-cost and run the same command again"
            return
        advice = "run the same command again later" if cause == "later" else "check its settings"
        self.reason = f"{GIVE_UP} failures in a row, the last: {said}; {advice}"


def some_items(
    project: Project, limit: int | None, only: Collection[str] | None = None
) -> Iterator[Item]:
    """Yield the first ``limit`` items, of these only those named, if any are."""
    return (item for item in project.items(limit) if only is None or item.id in only)


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in a group of groups."""
    error = errors.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


async def label_async(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    limit: int | None = None,
    max_cost: float | None = None,
    only: Collection[str] | None = None,
    escalate: float | None = None,
    after: Sequence[str] = (),
    report: Callable[[RunStatus], None] | None = None,
    stop: Callable[[Callable[[], None]], None] | None = None,
    trial: bool = False,
) -> RunStatus:
    """Label the project's items with its annotators; see ``label``.

    ``stop`` is called once with a function that ends the run: calls in flight finish first.
    ``trial`` labels gold to find out how good an annotator is, which nobody needs to be qualified
    for.
    """
    configs = find_annotators(project, annotators)
    project.checked_guideline()
    keep_version(project)
    if not trial:
        need_qualified(project, configs)
    max_cost = budget_of(project, configs, max_cost)
    again = only is not None  # asked for by name
    if (least_sure := _least_sure(project, annotators, after, escalate)) is not None:
        only = least_sure if only is None else least_sure & set(only)
    total = sum(len(project.task.views(item)) > 0 for item in some_items(project, limit, only))
    if not total and only is None:
        raise InputError(f"{project.config.items.path}: no items; nothing to label")
    with opened(project) as (ledger, cache):
        run = Run(project, ledger, cache, max_cost, only, again=again)
        run.status.total = total * len(configs)
        run.report = report or run.report
        if stop:
            stop(run.ask_to_stop)
        ready = [LLMAnnotator(project, config, cache, run.budget) for config in configs]
        for one in ready:
            ledger.add_annotator(one.id, one.config.name, "llm", settings_of(one.config))
        try:
            await run.annotators(ready, limit)
        finally:
            await close_clients()
        return run.status


def budget_of(
    project: Project, configs: Sequence[AnnotatorConfig], max_cost: float | None
) -> float | None:
    """Return the dollars that the project may spend: those asked for, else its own setting.

    Raises ``InputError`` for an annotator whose price is not known, under which none can be kept.
    """
    most = project.config.run.max_cost if max_cost is None else max_cost
    for config in configs if most is not None else ():
        if price_of(config) is None:
            raise InputError(
                f"annotator {config.name!r}: {config.model} has no known price, so no budget "
                "can be kept; give `price: {input: …, output: …}` in $ a million tokens, or "
                "run without a budget"
            )
    return most


def _least_sure(
    project: Project, annotators: Sequence[str], after: Sequence[str], share: float | None
) -> set[str] | None:
    """Return the items to ask a strong annotator about; None where all are to be labeled."""
    from prelabel.escalation import escalated

    if share is None:
        if after:
            raise InputError("after: whose labels come before says nothing without --escalate")
        return None
    if not annotators or set(annotators) & set(after):
        raise InputError(
            "escalate: name the strong annotator with -a, and those before it with --after"
        )
    return set(escalated(project, after, share))


def lanes(ready: Sequence[LLMAnnotator]) -> list[list[LLMAnnotator]]:
    """Group annotators: local models one after the other (they share the cores), others at once."""
    local = [one for one in ready if one.config.is_local]
    return [[one] for one in ready if one not in local] + ([local] if local else [])


@contextmanager
def opened(project: Project) -> Iterator[tuple[Ledger, ResponseCache]]:
    """Open ledger and cache for writing, for one run at a time. Raises ``InputError``."""
    import filelock

    lock = filelock.FileLock(project.state / "run.lock", timeout=0)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        raise InputError(
            f"{project.state}: another run is writing here; wait for it, or stop it"
        ) from None
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{project.state}: {why}; is it writable?") from None
    with held, looked_at(project) as both:
        yield both


@contextmanager
def looked_at(project: Project) -> Iterator[tuple[Ledger, ResponseCache]]:
    """Open ledger and cache beside a run that may be writing. Raises ``InputError``."""
    with (
        closing(Ledger(project.state / "ledger.sqlite")) as ledger,
        closing(ResponseCache(project.state / "cache", ledger.account)) as cache,
    ):
        yield ledger, cache


def label(project: Project, annotators: Sequence[str] = (), **options: Any) -> RunStatus:
    """Label the project's items, each annotator doing what it has not done yet.

    Args:
        project: the project.
        annotators: names of configured annotators; all of them if empty.
        **options: ``limit`` (items), ``max_cost`` (dollars that the project may have spent in all),
            ``only`` (ids of the items to label; all if None), ``escalate`` (only this share of the
            items: those that the annotators named ``after``, who have labeled all, are least sure
            of; see `prelabel.escalation`), ``report`` (called with the ``RunStatus`` several times
            a second).

    Returns:
        how the run ended; ``stopped`` says why, if before its end.

    Raises:
        InputError: a setting, the guideline or an item cannot be used. Nothing is spent before
            all items have been read once.

    """
    return asyncio.run(label_async(project, annotators, **options))
