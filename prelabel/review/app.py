"""The web app: which path is which page, logging in, errors, and the files that pages need."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from prelabel.review import pages
from prelabel.review.desk import Desk
from prelabel.review.forms import first
from prelabel.review.guard import Guard
from prelabel.review.pages import html, read_form, see, signed_in
from prelabel.review.sessions import LASTS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

STATIC = {
    "review.css": "text/css; charset=utf-8",
    "review.js": "text/javascript; charset=utf-8",
    "spans.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All files that a browser can ask for, by name."""

MOST_TOKEN = 200


def make_app(desk: Desk) -> ASGIApp:
    """Return the web app of a desk."""
    files = {name: (Path(__file__).parent / "static" / name).read_bytes() for name in STATIC}

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404, "There is no such file.")
        headers = {"cache-control": "no-cache"}
        return Response(files[name], media_type=STATIC[name], headers=headers)

    routes = [
        Route("/", signed_in(lambda _visit: see("/next"))),
        Route("/next", signed_in(pages.next_item)),
        Route("/item/{key}", signed_in(pages.item), methods=["GET"]),
        Route("/item/{key}", signed_in(pages.decide), methods=["POST"]),
        Route("/item/{key}/skip", signed_in(pages.skip), methods=["POST"]),
        Route("/item/{key}/picture/{number}", signed_in(pages.picture)),
        Route("/undo", signed_in(pages.undo), methods=["POST"]),
        Route("/guideline", signed_in(pages.guideline)),
        Route("/login", login_page, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", signed_in(pages.log_out), methods=["POST"]),
        Route("/static/{name}", static),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: problem, sa.exc.DBAPIError: not_stored},
    )
    app.router.redirect_slashes = False
    app.state.desk = desk
    return Guard(app, desk.origins)


async def login_page(request: Request) -> Response:
    """Show the form that logs in; a link's token is filled in, and used only when sent."""
    token = request.query_params.get("token", "")[:MOST_TOKEN]
    return html(_desk(request).draw("login.html", token=token, problem=""))


async def log_in(request: Request) -> Response:
    """Begin a session for a token."""
    desk = _desk(request)
    content = await read_form(request)
    address = request.client.host if request.client else ""
    limiter = desk.sessions.limiter
    if wait := limiter.wait(address):
        page = desk.draw("login.html", token="", problem="Too many tries; wait a minute.")
        answer = html(page, 429)
        answer.headers["retry-after"] = str(int(wait) + 1)
        return answer
    session = await run_in_threadpool(desk.sessions.log_in, first(content, "token")[:MOST_TOKEN])
    if session is None:
        limiter.failed(address)
        said = "No one has this token; ask for a new invitation."
        return html(desk.draw("login.html", token="", problem=said), 403)
    answer = RedirectResponse("/next", 303)
    answer.set_cookie(
        desk.cookie, session, max_age=LASTS, httponly=True, samesite="strict", secure=desk.secure
    )
    return answer


async def problem(request: Request, error: Exception) -> Response:
    """Say on a page why a request was refused."""
    assert isinstance(error, HTTPException)
    said = error.detail
    if said == HTTPStatus(error.status_code).phrase:  # Starlette's own
        said = {404: "There is no such page.", 405: "That cannot be done here."}.get(
            error.status_code, said
        )
    page = _desk(request).draw("message.html", status=error.status_code, problem=said)
    answer = html(page, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def not_stored(request: Request, error: Exception) -> Response:
    """Say that the database does not work, so that a decision may be lacking."""
    cause = getattr(error, "orig", None) or type(error).__name__
    said = f"Nothing was stored: the database says {cause}. Go back and send the form again."
    return html(_desk(request).draw("message.html", status=503, problem=said), 503)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk
