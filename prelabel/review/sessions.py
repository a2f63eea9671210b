"""Who is there: logging in with a token, the cookie that stands for it, the token of forms."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque

import sqlalchemy as sa

from prelabel.review.schema import SESSIONS, Database
from prelabel.review.store import Reviewer, digest, reviewer_by_token, reviewer_of

LASTS = 7 * 24 * 3600
"""Seconds after which one has to log in again."""

MOST_FAILURES = 10
WITHIN = 60.0
"""So many wrong tokens from one address within so many seconds; then it waits."""

MOST_ADDRESSES = 10_000


class Limiter:
    """Counts wrong tokens by address, and in all once there are very many addresses."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def wait(self, address: str) -> float:
        """Return the seconds for which an address may not try; 0 if it may."""
        own = self._failures.get(self._name(address), deque())
        if len(own) < MOST_FAILURES:
            return 0.0
        return max(0.0, own[0] + WITHIN - time.monotonic())

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        own = self._failures.setdefault(self._name(address), deque(maxlen=MOST_FAILURES))
        own.append(time.monotonic())

    def _name(self, address: str) -> str:
        known = address in self._failures or len(self._failures) < MOST_ADDRESSES
        return address if known else ""


class Sessions:
    """The sessions of one database; ``starting`` is the token that was printed, and whose it is."""

    def __init__(self, database: Database, starting: tuple[str, str] | None = None) -> None:
        self.database = database
        self.limiter = Limiter()
        self._starting = starting and (digest(starting[0]), starting[1])

    def log_in(self, token: str) -> str | None:
        """Return a new session for a token of an invitation, or of this server's start."""
        with self.database.writing() as connection:
            reviewer = self._owner(connection, token)
            if reviewer is None:
                return None
            session = secrets.token_urlsafe(32)
            now = time.time()
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.expires < now))
            row = {"token_hash": digest(session), "reviewer": reviewer.name, "expires": now + LASTS}
            connection.execute(sa.insert(SESSIONS).values(**row))
        return session

    def _owner(self, connection: sa.Connection, token: str) -> Reviewer | None:
        if self._starting and hmac.compare_digest(self._starting[0], digest(token)):
            return reviewer_of(connection, self._starting[1])
        return reviewer_by_token(connection, token)

    def reviewer(self, session: str) -> Reviewer | None:
        """Return whose session this is; None where it is over."""
        query = sa.select(SESSIONS.c.reviewer).where(
            SESSIONS.c.token_hash == digest(session), SESSIONS.c.expires > time.time()
        )
        with self.database.reading() as connection:
            name = connection.scalar(query)
            return reviewer_of(connection, name) if name is not None else None

    def log_out(self, session: str) -> None:
        """End a session."""
        with self.database.writing() as connection:
            own = SESSIONS.c.token_hash == digest(session)
            connection.execute(sa.delete(SESSIONS).where(own))


def csrf_of(session: str) -> str:
    """Return the token that the forms of a session carry."""
    return hmac.new(session.encode(), b"csrf", hashlib.sha256).hexdigest()


def csrf_fits(session: str, given: str) -> bool:
    """Say whether a form's token is that of the session."""
    return hmac.compare_digest(csrf_of(session).encode(), given.encode("utf-8", "replace"))
