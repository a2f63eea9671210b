"""label() as a person watches it: the progress bar, Ctrl-C, and how it ended."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from prelabel.failures import FINAL
from prelabel.screen import as_json, dollars, duration, err, out

if TYPE_CHECKING:
    from prelabel.project import Project
    from prelabel.run import RunStatus


def watched_label(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    limit: int | None = None,
    max_cost: float | None = None,
    only: Collection[str] | None = None,
    escalate: float | None = None,
    after: Sequence[str] = (),
    json: bool = False,
) -> RunStatus:
    """Label with a progress bar; Ctrl-C once stops taking items, twice stops at once."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from prelabel.run import label_async

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[money]}"),
        TextColumn("[red]{task.fields[failed]}"),
    )
    progress = Progress(*columns, console=err, refresh_per_second=4)
    bar = progress.add_task("labeling", total=None, rate="", money="", failed="")
    with ExitStack() as shown:

        def show(status: RunStatus) -> None:
            if not progress.live.is_started:  # not before the input was found good
                shown.enter_context(progress)
            fields = progress_fields(status)
            progress.update(bar, completed=status.done, total=status.total, **fields)

        def watch(end: Callable[[], None]) -> None:
            def asked() -> None:
                err.print("finishing the calls in flight; Ctrl-C again stops at once")
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
                end()

            if sys.platform != "win32":
                asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asked)

        status = asyncio.run(
            label_async(
                project,
                annotators,
                limit=limit,
                max_cost=max_cost,
                only=only,
                escalate=escalate,
                after=after,
                report=show,
                stop=watch,
            )
        )
    labeled(status, json=json)
    return status


def progress_fields(status: RunStatus) -> dict[str, Any]:
    """Return what stands beside the bar: rate, dollars so far and projected, failures by kind."""
    new = sum(status.outcomes.values())
    rate = f"{new / status.seconds:.1f}/s" if new and status.seconds else ""
    money = ""
    if status.bought:
        money = dollars(status.spent)
        if status.projected:
            money += f" of about {dollars(status.projected)}"
        if status.unpriced:
            money += " + unknown prices"
    failed = ", ".join(f"{n} {kind}" for kind, n in status.failures.most_common())
    return {"rate": rate, "money": money, "failed": failed}


def labeled(status: RunStatus, *, json: bool) -> None:
    """Print how a run ended."""
    if json:
        fields = ("total", "done", "skipped", "replayed", "spent", "unconfirmed", "seconds")
        as_json(
            {name: getattr(status, name) for name in fields}
            | {
                "outcomes": dict(status.outcomes),
                "failures": dict(status.failures),
                "examples": status.examples,
                "stopped": status.stopped,
            }
        )
        return
    parts = [f"{status.outcomes[name]} {name}" for name in ("labeled", "abstained", "failed")]
    if status.skipped:
        parts.append(f"{status.skipped} done before")
    if status.replayed:
        parts.append(f"{status.replayed} from the cache")
    money = f"{dollars(status.spent)} spent" + (" + unknown prices" if status.unpriced else "")
    out.print(f"{', '.join(parts)}; {money}; {duration(status.seconds)}", soft_wrap=True)
    for kind, n in status.failures.most_common():
        out.print(escape(f"failed: {n} {kind}, such as {status.examples[kind]}"), soft_wrap=True)
    if status.failures.keys() - FINAL:
        out.print("the same command again tries failed items again")
    for reason in status.stopped:
        err.print(f"[red]stopped:[/] {escape(reason)}", soft_wrap=True)
