"""Starting the server: the queue is built if it must be, and the address and token are printed."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prelabel.errors import InputError, MissingExtraError
from prelabel.qualification_log import unqualified
from prelabel.review import store
from prelabel.review.building import build, terms_of
from prelabel.review.entries import entries, fingerprint
from prelabel.review.hidden import Check, checks
from prelabel.review.queue import Terms
from prelabel.review.schema import Database

if TYPE_CHECKING:
    import uvicorn

    from prelabel.project import Project
    from prelabel.review.desk import Desk

PORT = 8765
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and by which origins people reach it."""

    host: str
    port: int
    urls: tuple[str, ...] = ()

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins that requests may name. Raises ``InputError`` where they are not known."""
        if self.urls:
            return tuple(map(_origin, self.urls))
        if self.host not in LOOPBACK:
            raise InputError(
                f"--host {self.host}: others can reach it, so say by which address with --url, "
                f"such as --url http://{socket.gethostname()}:{self.port}"
            )
        names = ("[::1]", "localhost") if self.host == "::1" else ("127.0.0.1", "localhost")
        return tuple(f"http://{name}:{self.port}" for name in names)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url.casefold())
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.path not in ("", "/") or parts.query or "@" in parts.netloc:
        raise InputError(f"--url {url}: not a server's address; write https://review.example.org")
    standard = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.removesuffix(standard)}"


def refresh(
    project: Project,
    database: Database,
    *,
    overlap: int | None = None,
    rule: Path | None = None,
    always: bool = True,
) -> Terms:
    """Build the queue anew, or only if what it follows from changed, and return its terms.

    Without ``overlap`` it stays what it was, 1 at first.
    """
    from prelabel.api import route

    with database.reading() as connection:
        known = {key: store.about(connection, key) for key in ("facts", "overlap", "guideline")}
        terms = terms_of(project, connection, overlap)
        measured = store.has_hidden(connection)
    hide = terms.gold_rate > 0
    facts = fingerprint(project, rule)
    wanted = {"facts": facts, "overlap": str(terms.overlap), "guideline": terms.guideline_hash}
    if always or known != wanted:
        routes = route(project, rule=rule)
        found = list(entries(project, routes))
        gold: list[Check] = []
        if hide or measured:
            gold = checks(project, routes.evidence, found, hide=hide)
        noted = {"facts": facts, "rule": routes.rule.hash, "seed": terms.seed}
        with database.explained("written"):
            build(database, found, terms, project.task, gold, **noted)
    return terms


def serve(
    project: Project,
    address: Address,
    *,
    database: str | None = None,
    reviewer: str = "owner",
    blind: bool = False,
    overlap: int | None = None,
    rule: Path | None = None,
    anew: bool = False,
    started: Callable[[str], None],
) -> None:
    """Serve the review until it is stopped; ``started`` is told the address to log in with.

    ``reviewer`` is made a senior if not there yet. Raises ``InputError`` and ``MissingExtraError``.
    """
    need_server()
    import uvicorn

    origins = address.origins
    with (
        closing(listen(address.host, address.port)) as listening,
        closing(store.open_store(project, database)) as opened,
    ):
        terms = refresh(project, opened, overlap=overlap, rule=rule, always=anew)
        store.ensure_reviewer(opened, reviewer, "senior")
        token = secrets.token_urlsafe(32)
        starting = (token, reviewer)
        desk = make_desk(project, opened, replace(terms, blind=blind), origins, starting)
        listening.listen()  # so that a browser opened now waits, and is not refused
        started(f"{origins[0]}/login?token={token}")
        uvicorn.Server(settings(desk)).run(sockets=[listening])


def make_desk(
    project: Project,
    database: Database,
    terms: Terms,
    origins: Sequence[str],
    starting: tuple[str, str] | None = None,
) -> Desk:
    """Return what the pages of one server share; ``starting`` is a token and whom it logs in."""
    from prelabel.review.desk import Desk
    from prelabel.review.sessions import Sessions

    cookie = f"prelabel_review_{urlsplit(origins[0]).port or 'https'}"  # cookies know no ports
    sessions = Sessions(database, starting)
    refusal = partial(unqualified, project)
    return Desk(project.task, database, terms, sessions, tuple(origins), cookie, refusal)


def settings(desk: Desk) -> uvicorn.Config:
    """Return how uvicorn runs the app."""
    import uvicorn

    from prelabel.review.app import make_app

    return uvicorn.Config(
        make_app(desk),
        log_level="warning",
        access_log=False,  # it would write tokens
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address. Raises ``InputError`` where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only where a socket says that it is TCP
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host}:{port}: cannot be listened on ({why}); choose another with --port"
        ) from None
    return listening


def need_server() -> None:
    """Raise ``MissingExtraError`` where the server's packages are not installed."""
    try:
        import starlette
        import uvicorn
    except ModuleNotFoundError:
        raise MissingExtraError(
            'review needs its web server; pip install "prelabel[review]"'
        ) from None
    del starlette, uvicorn
