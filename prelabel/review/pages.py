"""The pages: each a plain function from a visit to an answer, run in a thread of its own."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from prelabel.errors import InputError
from prelabel.review import deciding, queue, store
from prelabel.review.deciding import StaleError, read_said
from prelabel.review.desk import Desk
from prelabel.review.forms import Content, first
from prelabel.review.queue import Slot
from prelabel.review.sessions import csrf_fits
from prelabel.review.store import Reviewer
from prelabel.tasks import OffListError

if TYPE_CHECKING:
    import sqlalchemy as sa

KEY = re.compile(r"[0-9a-f]{16}")
REQUEST = re.compile(r"[0-9a-f]{32}")
SMALL = re.compile(r"[0-9]{1,9}", re.ASCII)
MOST_FIELDS = 5000

FORM = "application/x-www-form-urlencoded"
STALE = "The guideline has changed since this server was started; start `prelabel review` again."
NOT_YOURS = "This is not an item of yours. Go on with the next one."


@dataclass(frozen=True)
class Visit:
    """A request of somebody who is logged in; ``content`` is what a form sent."""

    desk: Desk
    request: Request
    reviewer: Reviewer
    session: str
    content: Content

    def slot(self, connection: sa.Connection) -> Slot:
        """Return the item of the path, if it is one that this reviewer was given."""
        key = self.request.path_params["key"]
        slot = queue.slot_of(connection, key, self.reviewer) if KEY.fullmatch(key) else None
        if slot is None:
            raise HTTPException(404, NOT_YOURS)
        return slot

    @property
    def request_id(self) -> str:
        """The number of the form that was sent: a second click sends the same."""
        given = first(self.content, "request")
        if not REQUEST.fullmatch(given):
            raise HTTPException(400, "The form lacks its number; load the page again.")
        return given


Page = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def signed_in(page: Page) -> Endpoint:
    """Return the endpoint of a page that only people who are logged in see."""

    async def endpoint(request: Request) -> Response:
        content = await read_form(request)
        return await run_in_threadpool(_visit, page, request, content)

    return endpoint


def _visit(page: Page, request: Request, content: Content) -> Response:
    desk: Desk = request.app.state.desk
    session = request.cookies.get(desk.cookie, "")
    reviewer = desk.sessions.reviewer(session) if session else None
    if reviewer is None:
        if request.method == "POST":
            raise HTTPException(401, "You are not logged in any more; nothing was stored.")
        return see("/login")
    if request.method == "POST" and not csrf_fits(session, first(content, "csrf")):
        raise HTTPException(403, "The form is not of your session; load the page again.")
    try:
        return page(Visit(desk, request, reviewer, session, content))
    except StaleError:
        raise HTTPException(409, STALE) from None


async def read_form(request: Request) -> Content:
    """Return what a form sent, its line breaks as one character; empty for other methods."""
    if request.method != "POST":
        return {}
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != FORM:
        raise HTTPException(415, "Only the forms of these pages are taken.")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None
    content: dict[str, list[str]] = {}
    for name, value in pairs:
        content.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return content


def see(path: str) -> Response:
    """Send the browser to another page of ours."""
    return RedirectResponse(path, 303)


def html(page: bytes, status: int = 200) -> Response:
    """Answer with a page."""
    return Response(page, status, media_type="text/html; charset=utf-8")


def next_item(visit: Visit) -> Response:
    """Hand out the next item, or say that there is none."""
    desk = visit.desk
    if not visit.reviewer.senior and (why := desk.refusal(visit.reviewer.name)):
        raise HTTPException(403, f"You are {why}.")
    with desk.database.writing() as connection:
        if not queue.is_current(connection, desk.terms):
            raise StaleError
        slot = queue.hand_out(connection, visit.reviewer, desk.terms)
    if slot:
        return see(f"/item/{slot.key}")
    with desk.database.reading() as connection:
        counts = queue.counts(connection)
        shown = desk.common(connection, visit.reviewer, visit.session) | {"counts": counts}
    return html(desk.draw("done.html", **shown))


def item(visit: Visit) -> Response:
    """Show an item."""
    given = visit.request.query_params.get("start", "")
    return _item_page(visit, start=int(given) if SMALL.fullmatch(given) else None)


def _item_page(
    visit: Visit, content: Content | None = None, problem: str = "", start: int | None = None
) -> Response:
    desk = visit.desk
    with desk.database.reading() as connection:
        slot = visit.slot(connection)
        shown = desk.common(connection, visit.reviewer, visit.session)
        shown |= desk.item_page(connection, slot, visit.reviewer, content, start)
    if content:
        shown["request_id"] = visit.request_id  # nothing was stored under it
    return html(desk.draw("item.html", **shown, problem=problem), 422 if problem else 200)


def decide(visit: Visit) -> Response:
    """Store a decision and go on; or show the form again with what is wrong."""
    desk = visit.desk
    request_id = visit.request_id
    with desk.database.reading() as connection:
        slot = visit.slot(connection)
        found = queue.entry(connection, slot).item
    if first(visit.content, "more"):
        return _item_page(visit, visit.content)
    try:
        said = read_said(visit.content, desk.form, desk.task, found)
    except OffListError as error:
        return _item_page(visit, visit.content, str(error))
    deciding.decide(desk.database, slot, visit.reviewer, said, request_id, desk.terms, desk.task)
    return see("/next")


def skip(visit: Visit) -> Response:
    """Leave an item."""
    with visit.desk.database.reading() as connection:
        slot = visit.slot(connection)
    deciding.skip(visit.desk.database, slot, visit.reviewer, visit.request_id, visit.desk.terms)
    return see("/next")


def undo(visit: Visit) -> Response:
    """Take back the last step and show its item again."""
    desk, number = visit.desk, first(visit.content, "n")
    if not SMALL.fullmatch(number):
        raise HTTPException(400, "The form does not say what to undo.")
    key = deciding.undo(
        desk.database, visit.reviewer, int(number), visit.request_id, desk.terms, desk.task
    )
    return see(f"/item/{key}" if key else "/next")


def guideline(visit: Visit) -> Response:
    """Show the whole guideline with all rulings."""
    desk = visit.desk
    with desk.database.reading() as connection:
        shown = desk.common(connection, visit.reviewer, visit.session)
        rulings = store.rulings(connection, desk.task, visit.reviewer.name)
    cases = desk.beside.all_cases(rulings)
    return html(desk.draw("guideline.html", **shown, labels=desk.beside.labels, cases=cases))


def picture(visit: Visit) -> Response:
    """Send a picture of an item that the reviewer was given; its file is named by no request."""
    from prelabel.images import content_block

    with visit.desk.database.reading() as connection:
        images = queue.entry(connection, visit.slot(connection)).item.images
    number = visit.request.path_params["number"]
    if not SMALL.fullmatch(number) or int(number) >= len(images):
        raise HTTPException(404, "There is no such picture.")
    chosen = images[int(number)]
    if chosen.source.startswith("https:"):
        raise HTTPException(404, "This picture is elsewhere; it is not fetched.")
    try:
        url: str = content_block(chosen)["image_url"]["url"]
    except InputError as error:
        raise HTTPException(404, str(error)) from None
    head, data = url.split(",", 1)
    kind = head.removeprefix("data:").split(";")[0]
    return Response(base64.b64decode(data), media_type=kind)


def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.desk.sessions.log_out(visit.session)
    answer = see("/login")
    answer.delete_cookie(visit.desk.cookie)
    return answer
