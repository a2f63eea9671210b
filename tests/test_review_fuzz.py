"""Whatever is sent to whatever route of a review, the answer is none of the server's failing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measured import LABELS, with_gold
from review_site import Browser, Site, serving

from prelabel.review import decisions, fairness
from prelabel.review.guard import Guard
from prelabel.review.results import results, rows
from prelabel.review.schema import QUEUE
from prelabel.review.serving import make_desk, refresh

if TYPE_CHECKING:
    import httpx

RATES = {"gold_rate": 0.4, "wrong_rate": 0.2, "blind_rate": 0.3}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    project = with_gold(tmp_path_factory.mktemp("review") / "project", 40, 20, **RATES)
    with serving(project, overlap=2) as running:
        yield running


@pytest.fixture(scope="module")
def people(site: Site) -> list[Browser]:
    return [site.join("ada"), site.join("bo"), site.join("cy", "senior")]


def paths_of(site: Site) -> list[str]:
    """Return the paths of all routes, as the app declares them."""
    from prelabel.review.app import make_app

    terms = refresh(site.project, site.database, always=False)
    app: Any = make_app(make_desk(site.project, site.database, terms, [site.url]))
    assert isinstance(app, Guard)
    return sorted({route.path for route in app.app.routes})  # type: ignore[attr-defined]


TEXT = st.text(max_size=30) | st.sampled_from(
    [*LABELS, "", "1", "-1", "9" * 400, "null", "\x00", "../..", "\u202e", "a" * 5000, "true"]
)
FIELDS = ("label", "cause", "note", "ruling", "none", "more", "n", "token", "csrf", "request", "x")
CAUSES = ("annotator_error", "guideline_gap", "bad_item", "label_set_gap", "ambiguous_item")
FORMS = st.lists(st.tuples(st.sampled_from(FIELDS), TEXT | st.sampled_from(CAUSES)), max_size=8)
METHODS = st.sampled_from(["GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
HEADERS = st.dictionaries(
    st.sampled_from(["Accept", "Cookie", "Content-Type", "Range", "X-Forwarded-Host", "Origin"]),
    st.text(st.characters(codec="latin-1", categories=("L", "N", "P")), max_size=20).map(str.strip),
    max_size=2,
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request: of whom, to which route, with what; the form is often a valid one."""
    return {
        "who": draw(st.integers(0, 2)),
        "route": draw(st.integers(0, 99)),
        "method": draw(METHODS),
        "own": draw(st.booleans()),
        "valid": draw(st.sampled_from([True, True, True, False])),
        "parts": draw(st.lists(TEXT, min_size=2, max_size=2)),
        "query": draw(st.lists(st.tuples(st.sampled_from(["start", "token", "q"]), TEXT), max_size=2)),
        "form": draw(FORMS),
        "label": draw(st.sampled_from([*LABELS, ""])),
        "headers": draw(st.just({}) | HEADERS),
    }  # fmt: skip


def encoded(pairs: list[tuple[str, str]]) -> str:
    return urlencode(pairs, errors="surrogatepass")


def send(site: Site, browser: Browser, path: str, one: dict[str, Any]) -> httpx.Response:
    """Send a drawn request as one of the people, whose page tells the valid parts."""
    key = browser.path.removeprefix("/item/")
    parts = iter([key, "0"] if one["own"] else one["parts"])
    url = re.sub(r"\{\w+\}", lambda _: quote(next(parts, "x"), errors="surrogatepass"), path)
    form = list(one["form"])
    if one["valid"] and browser.item:
        form = [("csrf", browser.hidden("csrf")), ("request", browser.hidden("request")),
                ("label", one["label"]), *form]  # fmt: skip
        if 'name="n"' in browser.html:
            form.append(("n", browser.hidden("n")))
    headers = {"origin": site.url} if one["valid"] else {}
    if one["method"] == "POST":
        headers["content-type"] = "application/x-www-form-urlencoded"
    url = f"{url}?{encoded(one['query'])}"
    headers |= {name: value.encode("latin-1") for name, value in one["headers"].items()}
    body = encoded(form) if one["method"] in ("POST", "PUT") else None
    return browser.client.request(
        one["method"], url, content=body, headers=headers, follow_redirects=False
    )


@given(st.lists(requests(), min_size=3, max_size=6))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_request_breaks_the_server(
    site: Site, people: list[Browser], drawn: list[dict[str, Any]]
) -> None:
    known = paths_of(site)
    for one in drawn:
        browser = people[one["who"]]
        path = known[one["route"] % len(known)]
        if path == "/logout":
            continue  # nobody would be left
        answer = send(site, browser, path, one)
        assert answer.status_code < 500, (path, one, answer.text)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        if answer.has_redirect_location:
            assert re.fullmatch(r"/(next|login|item/[0-9a-f]{16})", answer.headers["location"])
        browser.get("/next")
        assert browser.page.status_code == 200


def test_what_was_stored_meanwhile_holds_together(site: Site, people: list[Browser]) -> None:
    """After all that: every row reads back, and the queue is what follows from the facts."""
    for browser in people:
        if browser.item:
            browser.decide(label=LABELS[0])
    told = results(site.project)
    stored = list(rows(site.project))
    assert sum(told.authors.values()) == len(stored) > 0
    assert all(row["label"] in (*LABELS, None) for row in stored)
    assert told.settled == len(decisions(site.project))
    assert fairness(site.project).overall.decided == len(stored)

    def stages() -> dict[str, str]:
        with site.database.reading() as connection:
            return {row.item_id: row.stage for row in connection.execute(sa.select(QUEUE))}

    before = stages()
    refresh(site.project, site.database)
    assert stages() == before
