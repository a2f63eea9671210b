"""How fast one annotator may ask: as fast as its provider lets it.

Every call of an annotator enters and leaves here. After a 429 all wait, and fewer go at once;
each answer widens the way again. An outage slows nobody but the call that met it.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prelabel.failures import CallError

LONGEST_PAUSE = 120.0
POLL_SECONDS = 0.02


class StoppedError(Exception):
    """The run was asked to stop before this call was made."""


class Pace:
    """How many calls may be in flight, and when the next may begin; ``stopping`` ends the wait."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.in_flight = 0
        self.allowed = math.inf
        self.resume_at = 0.0

    async def enter(self, until: float) -> None:
        """Wait for one's own time, that of all, and room. Raises ``StoppedError``."""
        behind = 0.0 if until else 2 * POLL_SECONDS  # those that failed before go first
        while not self.stopping.is_set():
            wait = max(until, self.resume_at + behind) - time.monotonic()
            if wait <= 0 and self.in_flight < self.allowed:
                self.in_flight += 1
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), max(wait, POLL_SECONDS))
        raise StoppedError

    def leave(self) -> None:
        """End a call, however it went."""
        self.in_flight -= 1

    def answered(self) -> None:
        """Let one more go at once, after as many answers as go at once now."""
        self.allowed += 1 / self.allowed

    def failed(self, error: CallError, attempt: int) -> float:
        """Return when to try again: as late as the provider asked, else ever later."""
        wait = error.wait or min(30.0, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        now = time.monotonic()
        until = now + min(wait, LONGEST_PAUSE)
        if error.kind == "rate_limited" and now >= self.resume_at:  # once for those in flight
            self.allowed = max(1.0, min(self.allowed, self.in_flight) / 2)
        if error.kind == "rate_limited" or error.wait:  # without a word, others wait a little
            self.resume_at = max(self.resume_at, until if error.wait else min(until, now + 1.0))
        return until
