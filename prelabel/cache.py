"""The response cache: every paid answer, kept for good under a complete key.

diskcache holds bytes only: nothing is pickled when written, and nothing is ever unpickled when
read (CVE-2025-69872), so a cache file from elsewhere cannot run code. It never evicts.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_PICKLE

from prelabel.errors import InputError

COMPRESS_ABOVE = 2000
"""Bytes; setting up to compress costs half a millisecond, and gains little on a short answer."""

PICO = 10**12
"""Dollars are counted in whole 10^-12 parts, so that sums are exact."""


class _BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """Stores text keys and bytes; refuses all that diskcache would pickle."""

    def put(self, key: Any) -> tuple[Any, bool]:
        if not isinstance(key, str):
            raise TypeError("cache keys are text")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        if not raw:
            raise ValueError("a pickled cache key was refused")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, Any, Any]:
        if not isinstance(value, (bytes, int)):
            raise TypeError("cache values are bytes")
        size, mode, name, stored = super().store(value, read, key=key)
        return size, mode, name, stored

    def fetch(self, mode: int, filename: Any, value: Any, read: bool) -> Any:
        if mode == MODE_PICKLE:
            raise ValueError("a pickled cache value was refused")
        return super().fetch(mode, filename, value, read)


class ResponseCache:
    """Paid answers by key, and what they cost, in a folder that only its owner can read.

    ``account`` names whose spending is counted: several projects may share one cache. All writes
    outlive the process as soon as they return. Raises ``InputError`` where the files cannot be
    used.
    """

    def __init__(self, folder: Path, account: str) -> None:
        self.folder, self.account = folder, account
        self._in_flight = self._held = 0
        with self._explained("opened"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._cache = diskcache.Cache(
                str(folder),
                disk=_BytesDisk,
                eviction_policy="none",
                cull_limit=0,
                size_limit=2**62,
                disk_min_file_size=2**20,
                timeout=60,
            )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what may go wrong with the files into one line."""
        try:
            yield
        except (OSError, TypeError, ValueError, zlib.error, sqlite3.Error, diskcache.Timeout) as e:
            raise InputError(f"{self.folder}: the cache cannot be {what} ({e})") from None

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the answer under ``key``, or None."""
        with self._explained("read"):
            data = self._cache.get(key)
            if data is None:
                return None
            if not isinstance(data, bytes):
                raise TypeError("an answer is not bytes")
            reply: dict[str, Any] = json.loads(data if data[:1] == b"{" else zlib.decompress(data))
            return reply

    def put(
        self, key: str, reply: Mapping[str, Any], cost: float | None, held: float = 0.0
    ) -> None:
        """Keep an answer, count its cost and free what was held for it.

        An answer of unknown cost, bought at a known price, may have cost what was held.
        """
        data = json.dumps(reply, ensure_ascii=False).encode(errors="replace")
        if len(data) > COMPRESS_ABOVE:
            data = zlib.compress(data, 1)
        with self._explained("written"), self._cache.transact():
            self._cache.set(key, data)
            self._count("spent", picos(cost or 0.0))
            if cost is None:
                self._count("unconfirmed", picos(held))
        self._in_flight -= picos(held)

    def hold(self, dollars: float) -> None:
        """Set aside the most that a call may cost, before it is made.

        The most that was ever in flight is what stands on disk, so that few calls need a write.
        """
        self._in_flight += picos(dollars)
        if self._in_flight > self._held:
            with self._explained("written"):
                self._count("held", self._in_flight - self._held)
            self._held = self._in_flight

    def release(self, dollars: float, *, lost: bool) -> None:
        """End a call that brought no answer; ``lost`` where it may have been billed."""
        if lost:
            with self._explained("written"):
                self._count("unconfirmed", picos(dollars))
        self._in_flight -= picos(dollars)

    def give_up_held(self) -> None:
        """Count what a killed run held as unconfirmed; only the one run that writes may ask."""
        with self._explained("written"), self._cache.transact():
            held = self._counted("held")
            self._count("unconfirmed", held)
            self._count("held", -held)

    def _count(self, what: str, picos: int) -> None:
        if picos:
            self._cache.incr(f"{what}:{self.account}", picos)

    def _counted(self, what: str) -> int:
        return int(self._cache.get(f"{what}:{self.account}", 0))

    @property
    def spent(self) -> float:
        """Dollars this account has paid for answers in this cache."""
        return self._counted("spent") / PICO

    @property
    def unconfirmed(self) -> float:
        """The most that attempts without an answer may have cost this account, in dollars."""
        return self._counted("unconfirmed") / PICO

    def __len__(self) -> int:
        """Return the number of answers kept; keys with a colon are something else."""
        with self._explained("read"):
            return sum(1 for key in self._cache if ":" not in key)

    def volume(self) -> int:
        """Return the bytes on disk."""
        return int(self._cache.volume())

    def close(self) -> None:
        """Close the cache; nothing is in flight any more."""
        with self._explained("written"):
            self._count("held", -self._held)
        self._cache.close()


def picos(dollars: float) -> int:
    """Return dollars as a whole number of 10^-12 parts, rounded up but for float noise."""
    return math.ceil(round(dollars * PICO, 3))


def cache_key(ingredients: Mapping[str, Any]) -> str:
    """Return the key of a request: a hash of all that changes the answer, and of nothing else."""
    text = json.dumps(ingredients, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
