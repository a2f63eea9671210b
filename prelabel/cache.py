"""The response cache: every paid answer, kept for good under a complete key.

diskcache holds bytes only: nothing is pickled when written, and nothing is ever unpickled when
read (CVE-2025-69872), so a cache file from elsewhere cannot run code. It never evicts.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_PICKLE

from prelabel.errors import InputError

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

    ``account`` names whose spending is counted: several projects may share one cache.
    """

    def __init__(self, folder: Path, account: str) -> None:
        self.account = account
        try:
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
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{folder}: the cache cannot be opened ({error})") from None

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the answer under ``key``, or None."""
        data = self._cache.get(key)
        if data is None:
            return None
        reply: dict[str, Any] = json.loads(zlib.decompress(data))
        return reply

    def put(self, key: str, reply: Mapping[str, Any], cost: float | None) -> None:
        """Keep an answer and count what it cost, both or neither, durable on return."""
        data = zlib.compress(json.dumps(reply, ensure_ascii=False).encode(errors="replace"), 1)
        with self._cache.transact():
            self._cache.set(key, data)
            self._count("spent", cost or 0.0)

    def add_unconfirmed(self, dollars: float) -> None:
        """Count an attempt that may have been billed though no answer came."""
        self._count("unconfirmed", dollars)

    def _count(self, what: str, dollars: float) -> None:
        if dollars:
            self._cache.incr(f"{what}:{self.account}", round(dollars * PICO))

    @property
    def spent(self) -> float:
        """Dollars this account has paid for answers in this cache."""
        return int(self._cache.get(f"spent:{self.account}", 0)) / PICO

    @property
    def unconfirmed(self) -> float:
        """The most that attempts without an answer may have cost this account, in dollars."""
        return int(self._cache.get(f"unconfirmed:{self.account}", 0)) / PICO

    def __len__(self) -> int:
        """Return the number of answers kept."""
        counters = sum(1 for key in self._cache if ":" in key)
        return len(self._cache) - counters

    def volume(self) -> int:
        """Return the bytes on disk."""
        return int(self._cache.volume())

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()


def cache_key(ingredients: Mapping[str, Any]) -> str:
    """Return the key of a request: a hash of all that changes the answer, and of nothing else."""
    text = json.dumps(ingredients, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
