"""What hostile items and requests get from a review: nothing, and a clear answer."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import pytest
from pictures import png
from projects import make_project
from review_site import Page, Site, disputed, record, serving

from prelabel.errors import InputError
from prelabel.project import load_project
from prelabel.review import decisions
from prelabel.review.guard import MOST_BYTES
from prelabel.review.serving import Address
from prelabel.review.store import check_name, invite

if TYPE_CHECKING:
    import httpx

TEXTS = [f"comment number {n}" for n in range(5)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(disputed(tmp_path / "project", TEXTS)) as running:
        yield running


HOSTILE = [
    '<script>alert("x")</script><img src=x onerror=alert(1)>',
    '"><svg/onload=alert(1)>',
    "{{ 7*7 }} {% raw %} ${7*7}",
    "</textarea></bdi></div><form action=//evil.example><input name=x>",
    "\u202egnp.exe \u2066\u2067 \r\n\x1b[31m \ufeff\U000e0041",
    "x" * 300_000,
    "عربي " * 50 + "שלום",
    "[" * 50_000,
    '{"<b>name</b>": "<i>value</i>"}',
]


@pytest.mark.parametrize("task", ["classification", "multi-label", "spans"])
def test_hostile_items_are_inert_and_whole(task: str, tmp_path: Path) -> None:
    texts = HOSTILE
    project = disputed(tmp_path / "project", texts, task=task) if task == "classification" else None
    if project is None:
        project = make_project(tmp_path / "project", texts, [], task=task)
        for name, label in (
            ("alpha", []),
            ("beta", ["toxic"] if task == "multi-label" else [[0, 1, "toxic"]]),
        ):
            record(project, [(f"i{n}", name, label) for n in range(len(texts))])
    with serving(project) as site:
        ada = site.join("<b>ada</b>" if task == "spans" else "ada")
        for _ in texts:
            page = Page(ada.html)
            tags = {tag for tag, _ in page.elements}
            assert not tags & {"img", "svg", "i", "b", "iframe"} - {"b"}
            assert sum(tag == "script" for tag, _ in page.elements) == 1 + (task == "spans")
            assert not any(
                name.startswith("on") or name == "style"
                for _, attrs in page.elements
                for name in attrs
            )
            assert {
                urlsplit(attrs["action"] or "").netloc
                for tag, attrs in page.elements
                if tag == "form" and "action" in attrs
            } == {""}
            assert "49" not in page.text.replace(ada.item, "")
            assert not re.search("[\u202a-\u202e\u2066-\u2069]", ada.html)
            content = {"spans": "[]"} if task == "spans" else {"label": "toxic"}
            assert ada.decide(**content, note=HOSTILE[0]).status_code == 200
        assert len(decisions(project)) == len(texts)
        assert "<img" not in ada.get("/guideline").html


def test_who_is_not_logged_in_sees_nothing(site: Site) -> None:
    ada = site.join("ada")
    stranger = site.client()
    for path in ("/", "/next", ada.path, "/guideline", f"{ada.path}/picture/0"):
        page = stranger.get(path)
        assert page.url.path == "/login"
        assert "comment number" not in page.text
    form = ada.tokens() | {"label": "toxic"}
    answer = stranger.post(ada.path, data=form, headers={"origin": site.url})
    assert answer.status_code == 401
    ada.post("/logout", ada.tokens())
    assert ada.get("/next").path == "/login"
    assert decisions(site.project) == {}


def test_the_cookie_and_the_headers(site: Site) -> None:
    client = site.client()

    answer = client.post(
        "/login",
        data={"token": invite(site.database, "ada")},
        headers={"origin": site.url},
        follow_redirects=False,
    )
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert answer.headers["location"] == "/next"
    for path in ("/next", "/login", "/nothing", "/static/review.js", "/static/none"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_a_new_invitation_ends_what_the_old_one_began(site: Site) -> None:
    old = site.join("ada")
    site.join("ada")
    assert old.get("/next").path == "/login"


def test_forms_of_others_are_refused(site: Site) -> None:
    ada, bo = site.join("ada"), site.join("bo")
    path, form = ada.path, ada.tokens() | {"label": "toxic"}
    assert ada.post(path, form | {"csrf": bo.hidden("csrf")}).status_code == 403
    assert ada.post(path, form | {"csrf": "é"}).status_code == 403
    assert ada.post(path, {"label": "toxic", "request": form["request"]}).status_code == 403
    for origin in (
        "http://evil.example",
        "null",
        site.url.replace("http:", "https:"),
        f"{site.url}.evil.example",
    ):
        assert ada.post(path, form, origin=origin).status_code == 403
    without = ada.client.post(path, data=form)
    assert without.status_code == 403
    assert ada.client.get("/next", headers={"origin": "http://evil.example"}).status_code == 403
    for host in ("evil.example", "127.0.0.1", "127.0.0.1.evil.example:80", ""):
        assert ada.client.get("/login", headers={"host": host}).status_code == 400
    assert decisions(site.project) == {}
    assert ada.post(path, form).status_code == 200
    assert decisions(site.project).keys() == {"i0"}


def test_an_item_that_one_was_not_given_cannot_be_had(site: Site) -> None:
    ada, bo = site.join("ada"), site.join("bo")
    form = bo.tokens() | {"label": "toxic"}
    assert bo.post(ada.path, form).status_code == 404
    assert bo.post(f"{ada.path}/skip", form).status_code == 404
    assert bo.get(ada.path).page.status_code == 404
    for path in ("/item/..%2f..%2fetc%2fpasswd", "/item/" + "f" * 16, "/item/%00", "/static/..%2fapp.py",
                 "/static/%2e%2e/app.py", "/next//evil", "/item/" + "é" * 9, "/undo"):  # fmt: skip
        assert bo.client.get(path).status_code in (404, 405)
    assert decisions(site.project) == {}


def test_wrong_tokens_are_slowed_down(site: Site) -> None:
    client = site.client()

    def attempt(token: str) -> httpx.Response:
        return client.post("/login", data={"token": token}, headers={"origin": site.url})

    answers = [attempt(f"guess {n}").status_code for n in range(11)]
    assert answers == [403] * 10 + [429]
    assert int(attempt("x").headers["retry-after"]) <= 60
    assert client.get("/login?token=%3Cscript%3E").text.count("<script") == 1


def raw(site: Site, request: bytes) -> bytes:
    """Send bytes and return the first line of what comes back."""
    port = urlsplit(site.url).port
    with socket.create_connection(("127.0.0.1", port or 0), 10) as connection:
        connection.sendall(request)
        return connection.recv(4096).split(b"\r\n")[0]


def test_broken_requests_get_a_clear_refusal(site: Site) -> None:
    ada = site.join("ada")
    host = urlsplit(site.url).netloc.encode()
    cookie = "; ".join(f"{name}={value}" for name, value in ada.client.cookies.items()).encode()
    head = (
        b"POST "
        + ada.path.encode()
        + b" HTTP/1.1\r\nHost: "
        + host
        + b"\r\nOrigin: http://"
        + host
        + b"\r\nCookie: "
        + cookie
    )
    form = b"\r\nContent-Type: application/x-www-form-urlencoded"
    cases = {
        head + b"\r\nContent-Length: 3\r\n\r\na=b": b"415",
        head + form + b"\r\nContent-Length: 4\r\n\r\n%ff=": b"400",
        head + form + b"\r\nContent-Length: 3\r\n\r\n\xff=1": b"400",
        head + form + b"\r\nContent-Length: 99999999\r\n\r\n": b"413",
        head + form + b"\r\nContent-Length: 99999999999999999999999\r\n\r\n": b"4",
        head + form + b"\r\nContent-Length: -1\r\n\r\n": b"4",
        head
        + form
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"fffff\r\n" + b"a" * 0xFFFFF + b"\r\n") * 2: b"413",
        head + form + b"\r\nContent-Length: 20000\r\n\r\n" + b"a=1&" * 5000 + b"b": b"4",
        head + b"\r\nHost: other\r\nContent-Length: 0\r\n\r\n": b"400",
        b"GET /next HTTP/1.1\r\n\r\n": b"400",
        b"GET //evil.example HTTP/1.1\r\nHost: " + host + b"\r\n\r\n": b"404",
        b"BREW /next HTTP/1.1\r\nHost: "
        + host
        + b"\r\nOrigin: http://"
        + host
        + b"\r\n\r\n": b"405",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: " + host + b"\r\n\r\n": b"4",
        b"\x16\x03\x01\x00": b"4",
        b"GET /next HTTP/1.1\r\nHost: "
        + host
        + b"\r\nCookie: "
        + b"a=\xff;" * 50
        + b"\r\n\r\n": b"303",
    }
    for request, status in cases.items():
        answer = raw(site, request)
        assert answer.split(b" ")[1].startswith(status), (request[:300], answer)
    assert MOST_BYTES == 2**20
    assert decisions(site.project) == {}


def test_fields_of_any_kind_never_break_the_server(site: Site) -> None:
    ada = site.join("ada")
    path, tokens = ada.path, ada.tokens()
    odd = ["", "x" * 100_000, "\x00é\u202e", "9" * 5000]
    for name in (
        "label",
        "cause",
        "note",
        "ruling",
        "none",
        "more",
        "request",
        "n",
        "csrf",
        "spans",
    ):
        for value in odd:
            for target in (path, f"{path}/skip", "/undo", "/login", "/logout?x=1"):
                if target.startswith("/logout") and name != "csrf":
                    continue
                status = ada.client.post(
                    target, content=urlencode(tokens | {name: value}), follow_redirects=False,
                    headers={"origin": site.url, "content-type": "application/x-www-form-urlencoded"},
                ).status_code  # fmt: skip
                assert status < 500, (name, value[:20], target)


def test_pictures_are_served_by_number_only(tmp_path: Path) -> None:

    folder = tmp_path / "project"
    make_project(folder, ["x"], [])
    (folder / "one.png").write_bytes(png())
    row = {
        "id": "i0",
        "text": "x",
        "image": "one.png",
        "far": "https://pictures.example/x.png?a=1&b=2",
    }
    (folder / "items.jsonl").write_text(json.dumps(row) + "\n")
    settings = json.loads((folder / "prelabel.yaml").read_text())
    settings["items"]["images"] = ["image", "far"]
    (folder / "prelabel.yaml").write_text(json.dumps(settings))

    project = record(load_project(folder), [("i0", "alpha", "toxic"), ("i0", "beta", "not_toxic")])
    with serving(project) as site:
        ada = site.join("ada")
        path = ada.path
        assert f'src="{path}/picture/0"' in ada.html
        assert 'href="https://pictures.example/x.png?a=1&amp;b=2"' in ada.html
        assert "one.png" not in ada.html.replace("pictures.example", "")
        answer = ada.client.get(f"{path}/picture/0")
        assert (answer.content, answer.headers["content-type"]) == (png(), "image/png")
        for number in ("1", "2", "-1", "x", "9" * 5000, "..%2f0"):
            assert ada.client.get(f"{path}/picture/{number}").status_code == 404
        assert site.client().get(f"{path}/picture/0").url.path == "/login"
        (folder / "one.png").write_bytes(b"no longer a picture")
        assert ada.client.get(f"{path}/picture/0").status_code == 404


def test_addresses() -> None:
    assert Address("127.0.0.1", 8765).origins == ("http://127.0.0.1:8765", "http://localhost:8765")
    assert Address("0.0.0.0", 80, ("https://Review.example:443/",)).origins == (
        "https://review.example",
    )
    with pytest.raises(InputError, match="--url"):
        _ = Address("0.0.0.0", 8765).origins
    for url in ("ftp://x", "https://x/path", "https://a@x", "x", "https://x:99999"):
        with pytest.raises(InputError, match="not a server's address"):
            _ = Address("0.0.0.0", 80, (url,)).origins
    for name in ("", " a", "a\nb", "x" * 61, "a\u202e"):
        with pytest.raises(InputError, match="a name has"):
            check_name(name)
