"""A hard budget: a call is made only if the most it can cost fits what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Budget:
    """Keeps what calls in flight may cost beside what was spent.

    ``spent`` returns the dollars already gone, unconfirmed ones included; ``limit`` None means no
    cap. ``reserve`` waits while calls in flight may still turn out cheap enough, and says no when
    nothing in flight could change the answer. One item that is too dear says nothing of the others.
    """

    def __init__(self, limit: float | None, spent: Callable[[], float]) -> None:
        self.limit = limit
        self.spent = spent
        self.reserved = 0.0
        self._settled = asyncio.Condition()

    async def reserve(self, bound: float) -> bool:
        """Set ``bound`` dollars aside; False where they do not fit, and then nothing is set aside.

        Each True is followed by one ``settle`` with the same bound.
        """
        if self.limit is None:
            return True
        async with self._settled:
            while self.spent() + self.reserved + bound > self.limit:
                if self.reserved <= 0 or self.spent() + bound > self.limit:
                    return False
                await self._settled.wait()
            self.reserved += bound
            return True

    async def settle(self, bound: float) -> None:
        """Free what was set aside; what the call really cost is in ``spent`` by now."""
        if self.limit is None:
            return
        async with self._settled:
            self.reserved = max(0.0, self.reserved - bound)
            if self.reserved < 1e-12:
                self.reserved = 0.0
            self._settled.notify_all()
