"""A review over a real socket: the server in a thread, and a client that fills in its forms."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from projects import make_project

from prelabel import api
from prelabel.project import Project, load_project
from prelabel.resources import data_folder
from prelabel.review.schema import Database
from prelabel.review.store import Role, invite, open_store

pytest.importorskip("starlette")
import uvicorn

from prelabel.review.serving import Address, listen, make_desk, refresh, settings

DISPUTED = [("alpha", "toxic"), ("beta", "not_toxic")]


def record(project: Project, said: Sequence[tuple[str, str, Any]]) -> Project:
    """Record labels as ``(item, annotator, label)``."""
    table = project.folder / "said.jsonl"
    rows = [{"id": item, "annotator": name, "label": label} for item, name, label in said]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    api.import_annotations(project, table, layout="long")
    return project


def disputed(folder: Path, texts: Sequence[str], **settings: Any) -> Project:
    """Make a project in which two annotators say different labels of every item."""
    project = make_project(folder, texts, [], **settings)
    said = [(f"i{n}", name, label) for n in range(len(texts)) for name, label in DISPUTED]
    return record(project, said)


def copied(folder: Path, name: str) -> Project:
    """Copy an evalset; nobody has labeled it."""
    shutil.copytree(data_folder("evalsets") / name, folder)
    return load_project(folder)


def evalset(folder: Path, name: str) -> Project:
    """Copy an evalset whose two annotators differ on most items; one of them says gold."""
    project = copied(folder, name)
    said = []
    for n, gold in enumerate(project.gold):
        other: Any = project.gold[n - 1].label
        if project.task.needs_item:
            other = gold.label[1:]
        first = gold.label
        if project.task.name == "text" and isinstance(first, list):
            first = first[0]
            other = other[0] if isinstance(other, list) else other
        said += [(gold.item_id, "right", first), (gold.item_id, "other", other)]
    return record(project, said)


class Page(HTMLParser):
    """What is on a page: elements with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class Site:
    """A running review."""

    project: Project
    database: Database
    url: str
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self) -> httpx.Client:
        """Return a client that nobody is logged in with; redirections are followed."""
        found = httpx.Client(base_url=self.url, follow_redirects=True, timeout=60)
        self.clients.append(found)
        return found

    def join(self, name: str, role: Role = "reviewer") -> Browser:
        """Invite a reviewer and log them in."""
        token = invite(self.database, name, role)
        client = self.client()
        page = client.post("/login", data={"token": token}, headers={"origin": self.url})
        assert page.status_code == 200, page.text
        return Browser(client, self.url, page)


@dataclass
class Browser:
    """A reviewer's browser: the page it shows, and the forms on it."""

    client: httpx.Client
    url: str
    page: httpx.Response

    @property
    def html(self) -> str:
        """The page's text."""
        return self.page.text

    @property
    def path(self) -> str:
        """The path of the page."""
        return self.page.url.path

    @property
    def item(self) -> str:
        """The id of the item that is shown; empty where none is."""
        found = re.search(r'id="item-title".*?<bdi class="said">(.*?)</bdi>', self.html, re.DOTALL)
        return unescape(found[1]) if found else ""

    def hidden(self, name: str) -> str:
        """Return a hidden field of the page's forms."""
        found = re.search(
            rf'<form method="post" action="/item.*?name="{name}" value="(.*?)"',
            self.html,
            re.DOTALL,
        )
        found = found or re.search(rf'name="{name}" value="(.*?)"', self.html)
        assert found, name
        return unescape(found[1])

    def tokens(self) -> dict[str, str]:
        """Return what every form of the page carries."""
        return {"csrf": self.hidden("csrf"), "request": self.hidden("request")}

    def get(self, path: str = "/next") -> Browser:
        """Load a page."""
        self.page = self.client.get(path)
        return self

    def post(self, path: str, data: Mapping[str, Any], **headers: str) -> httpx.Response:
        """Send a form and show what comes back."""
        sent = {"origin": self.url} | headers
        self.page = self.client.post(path, data=dict(data), headers=sent)
        return self.page

    def decide(self, **content: Any) -> httpx.Response:
        """Send the form of the item that is shown."""
        return self.post(self.path, self.tokens() | content)

    def skip(self) -> httpx.Response:
        """Skip the item that is shown."""
        return self.post(f"{self.path}/skip", self.tokens())

    def undo(self) -> httpx.Response:
        """Take the last step back."""
        return self.post("/undo", self.tokens() | {"n": self.hidden("n")})


@contextmanager
def serving(
    project: Project,
    *,
    database: str | None = None,
    overlap: int | None = None,
    urls: tuple[str, ...] = (),
    **terms: Any,
) -> Iterator[Site]:
    """Serve a project's review."""
    from dataclasses import replace

    opened = open_store(project, database)
    agreed = replace(refresh(project, opened, overlap=overlap), **terms)
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    origins = Address("127.0.0.1", port, urls).origins
    server = uvicorn.Server(settings(make_desk(project, opened, agreed, origins)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    site = Site(project, opened, f"http://127.0.0.1:{port}")
    try:
        while not server.started:
            time.sleep(0.01)
        yield site
    finally:
        for client in site.clients:
            client.close()
        server.should_exit = True
        thread.join()
        listening.close()
        opened.close()


SERVER = """
import sys
from pathlib import Path
from prelabel.project import load_project
from prelabel.review.serving import Address, serve
serve(load_project(Path(sys.argv[1])), Address("127.0.0.1", int(sys.argv[2])), started=lambda a: print(a, flush=True))
"""


def start(project: Project, port: int) -> tuple[subprocess.Popen[str], str]:
    """Start the server as a process; return it and the address that logs in."""
    command = [sys.executable, "-c", SERVER, str(project.folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            break
        time.sleep(0.05)
    return process, address


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
