"""The review page in a real Chromium: keys, marking of spans, and that scripts in items are inert."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import make_project
from review_site import Site, disputed, evalset, free_port, record, serving, start

from prelabel.review import decisions
from prelabel.review.forms import make_form
from prelabel.review.store import invite

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

TEXT = "👩‍🚀 Zoë met \u202eשרה\u202c in 東京,\r\nthen <b>Ann</b>\u200b e\u0301mile. 🇫🇷 done"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 375, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    closing = "ERR_CONNECTION_REFUSED"  # of a picture or style asked for as the test ends
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    yield page
    context.close()
    assert [said for said in problems if closing not in said] == []


def enter(site: Site, page: Any, name: str = "ada") -> None:
    """Log in as somebody who opens the address of an invitation and presses Enter."""
    page.goto(f"{site.url}/login?token={invite(site.database, name)}")
    if page.evaluate("document.documentElement.className"):  # scripts run
        page.wait_for_function("document.activeElement.id === 'token'")
    page.locator("#token").press("Enter")
    page.wait_for_url("**/item/*")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def leave(page: Any, *keys: str) -> None:
    """Press keys of which the last leads to another page."""
    press(page, *keys[:-1])
    with page.expect_navigation(url=lambda url: "/next" not in url):
        page.keyboard.press(keys[-1])
    page.wait_for_load_state()


def test_keys_alone(page: Any, tmp_path: Path) -> None:
    with serving(disputed(tmp_path / "project", ["one", "two", "three"])) as site:
        enter(site, page)
        leave(page, "1")
        assert decisions(site.project)["i0"].label == "toxic"
        leave(page, "u")
        assert decisions(site.project) == {}
        press(page, "w")
        page.keyboard.type("s is typed, not skipped")
        press(page, "Escape", "r")
        leave(page, "2")
        one = decisions(site.project)["i0"]
        assert (one.label, one.note) == ("not_toxic", "s is typed, not skipped")
        leave(page, "s")
        assert page.locator("#item-title").inner_text().endswith("i2")
        leave(page, "p")
        assert page.locator("#item-title").inner_text().endswith("i1")
        press(page, "?")
        assert page.locator("dialog").is_visible()
        page.keyboard.press("Escape")
        press(page, "g")
        assert page.locator("#definitions").get_attribute("open") is not None
        assert page.evaluate("document.documentElement.scrollWidth") == 375


def spans_project(folder: Path, texts: list[str], **options: Any) -> Any:
    project = make_project(folder, texts, [], labels=("person", "place"), task="spans")
    if options:
        path = folder / "guideline.yaml"
        path.write_text(json.dumps(json.loads(path.read_text()) | options))
        project = type(project)(project.folder, project.config)
    found = [[0, 1, "person"]]
    return record(project, [(f"i{n}", name, said) for n in range(len(texts))
                            for name, said in (("a", []), ("b", found))])  # fmt: skip


def select(page: Any, start: int, end: int) -> None:
    """Select with the keys, counting the caret's steps from the text's beginning."""
    press(page, "Control+Home", *["ArrowRight"] * start, *["Shift+ArrowRight"] * (end - start))


def test_spans_by_keyboard_count_code_points(page: Any, tmp_path: Path) -> None:
    project = spans_project(tmp_path / "project", [TEXT, "two"])
    with serving(project, blind=True) as site:
        enter(site, page)
        place = TEXT.index("Zoë")
        press(
            page, "Control+Home", "ArrowRight", "ArrowRight"
        )  # the astronaut is one step, three code points
        press(page, *["Shift+ArrowRight"] * 3, "1")
        assert page.locator("#spans-said").inner_text() == "Marked “Zoë” as person."
        page.evaluate("""() => {
            const box = document.getElementById('text'), walker = document.createTreeWalker(box, 4);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                const at = node.data.indexOf('東京');
                if (at >= 0) getSelection().setBaseAndExtent(node, at, node, at + 3); // and the comma
            }
        }""")
        press(page, "Shift+ArrowLeft", "2")
        assert "“東京” as place" in page.locator("#spans-said").inner_text()
        leave(page, "Enter")
    start = TEXT.index("東京")
    assert decisions(project)["i0"].label == [
        {"start": place, "end": place + 3, "text": "Zoë", "label": "person"},
        {"start": start, "end": start + 2, "text": "東京", "label": "place"},
    ]


def test_spans_by_mouse_through_marks_and_line_breaks(page: Any, tmp_path: Path) -> None:
    project = spans_project(tmp_path / "project", [TEXT, "two"])
    with serving(project, blind=True) as site:
        enter(site, page)
        page.evaluate("""() => {
            const walker = document.createTreeWalker(document.getElementById('text'), 4);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                const at = node.data.indexOf('Ann');
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(node, at); range.setEnd(node, at + 3);
                const box = range.getBoundingClientRect();
                window.ann = [box.left, box.right, box.top + box.height / 2];
            }
        }""")
        left, right, middle = page.evaluate("window.ann")
        page.mouse.move(left + 1, middle)
        page.mouse.down()
        page.mouse.move(right, middle, steps=4)
        page.mouse.up()
        page.locator("button[data-label=person]").click()
        assert page.locator("#spans-said").inner_text() == "Marked “Ann” as person."
        page.locator("#text").focus()
        press(page, "Control+a", "2")
        assert "overlaps “Ann”" in page.locator("#spans-said").inner_text()
        press(page, "x", "Control+x", "Control+v", "Delete")  # the text cannot be changed; spans go
        assert json.loads(page.locator("#spans").input_value()) == []
        press(page, "Control+a", "2")
        leave(page, "Control+Enter")
    assert decisions(project)["i0"].label == [
        {"start": 0, "end": len(TEXT), "text": TEXT, "label": "place"}
    ]


def test_spans_that_overlap_and_that_were_there(page: Any, tmp_path: Path) -> None:
    project = spans_project(tmp_path / "project", ["abcdef", "two"], overlap=True)
    with serving(project) as site:
        enter(site, page)
        page.goto(page.url + "?start=1")
        assert len(json.loads(page.locator("#spans").input_value())) in (0, 1)
        page.locator("#text").focus()
        select(page, 0, 4)
        press(page, "1")
        select(page, 2, 6)
        press(page, "2")
        page.locator("#spans-list button").first.click()
        leave(page, "Enter")
    found = decisions(project)["i0"].label
    assert [(one["start"], one["end"]) for one in found][-1] == (2, 6)


def test_scripts_in_items_do_nothing(page: Any, tmp_path: Path) -> None:
    texts = ["<img src=x onerror=alert(1)><script>alert(2)</script>", "<svg onload=alert(3)>"]
    with serving(disputed(tmp_path / "project", texts)) as site:
        enter(site, page)
        assert texts[0] in page.locator(".item").inner_text()
        leave(page, "1")
        assert texts[1] in page.locator(".item").inner_text()


@pytest.mark.parametrize(
    "name", ["city-desk", "hotel-aspects", "small-ads", "staff-news", "library-replies"]
)
def test_narrow_pages_fit_and_everything_has_a_name(name: str, page: Any, tmp_path: Path) -> None:
    with serving(evalset(tmp_path / "project", name)) as site:
        enter(site, page)
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        nameless = page.evaluate("""() => [...document.querySelectorAll('button, a, input, select, textarea')]
            .filter((e) => e.type !== 'hidden' && e.checkVisibility())
            .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim()))
            .map((e) => e.outerHTML)""")
        assert nameless == []


def test_a_label_is_found_by_name(page: Any, tmp_path: Path) -> None:
    with serving(evalset(tmp_path / "project", "city-desk")) as site:
        enter(site, page)
        item = page.locator("#item-title .said").inner_text()
        press(page, "/")
        page.keyboard.type("library_fine")
        assert page.locator("button[name=label]:visible").count() == 1
        leave(page, "Enter")
        assert decisions(site.project)[item].label == "library_fine"
        first = page.locator("button[name=label]").first
        label = first.get_attribute("value")
        item = page.locator("#item-title .said").inner_text()
        leave(page, "1")
        assert decisions(site.project)[item].label == label


def test_without_script_a_label_is_one_click(chromium: Any, tmp_path: Path) -> None:
    with serving(disputed(tmp_path / "project", ["one", "two"])) as site:
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        enter(site, page)
        assert page.locator(".script").first.is_hidden()
        page.locator("button[name=label]").first.click()
        page.wait_for_url("**/item/*")
        assert decisions(site.project)["i0"].label == "toxic"
        context.close()


def fill_in(page: Any, content: Any) -> None:
    """Fill in a form of several parts with the keys of a keyboard."""
    for name, values in content.items():
        fields = page.locator(f"#decide [name={name}]")
        if fields.count() and fields.first.get_attribute("type") == "checkbox":
            for box in fields.all():
                if box.is_checked() != (box.get_attribute("value") in values):
                    box.press("Space")
            continue
        for field, value in zip(fields.all(), [*values, *[""] * fields.count()], strict=False):
            if field.evaluate("e => e.tagName") == "SELECT":
                field.select_option(value)
                continue
            field.press("Control+a")
            page.keyboard.type(value) if value else field.press("Delete")


@pytest.mark.parametrize(
    "name",
    [
        "campsite-desk", "caretaker-messages", "fair-stalls", "hotel-aspects", "library-replies",
        "notice-questions", "small-ads", "staff-news",
    ],
)  # fmt: skip
def test_each_form_stores_what_is_meant(name: str, page: Any, tmp_path: Path) -> None:
    """Gold's label, by keys: hierarchical, rating, matching, multi-label, pairwise, text, …"""
    project = evalset(tmp_path / "project", name)
    gold = {one.item_id: one.label for one in project.gold}
    form = make_form(project.task)
    with serving(project) as site:
        enter(site, page)
        item = page.locator("#item-title .said").inner_text()
        label = gold[item]
        if project.task.name == "text" and isinstance(label, list):
            label = label[0]
        content = form.fill(label)
        if form.at_once:
            value = json.dumps(content["label"][0])
            key = page.locator(f"button[name=label][value={value}]").get_attribute("data-key")
            leave(page, *key)
        else:
            fill_in(page, content)
            leave(page, "Control+Enter")
        assert project.task.right(gold[item], decisions(project)[item].label)


def test_two_people_at_once(chromium: Any, tmp_path: Path) -> None:
    with serving(disputed(tmp_path / "project", ["one", "two", "three", "four"])) as site:
        pages = {}
        for name in ("ada", "bo"):
            pages[name] = chromium.new_context().new_page()
            enter(site, pages[name], name)
        shown = {
            name: page.locator("#item-title .said").inner_text() for name, page in pages.items()
        }
        assert shown == {"ada": "i0", "bo": "i1"}
        for page in pages.values():
            leave(page, "1")
        found = decisions(site.project)
        assert {item: one.author for item, one in found.items()} == {"i0": "ada", "i1": "bo"}
        for page in pages.values():
            page.context.close()


def test_a_blind_page_has_nothing_in_its_html(page: Any, tmp_path: Path) -> None:
    with serving(disputed(tmp_path / "project", ["one", "two"]), overlap=2) as site:
        ada = site.join("ada")
        ada.decide(label="not_toxic", note="because-of-ada")
        enter(site, page, "bo")
        assert page.locator("#item-title .said").inner_text() == "i0"
        html = page.content()
        for word in ("alpha", "beta", "ada", "because-of-ada", "Suggested", "What was said"):
            assert word not in html
        leave(page, "1")


def test_a_server_killed_between_decisions_loses_none(chromium: Any, tmp_path: Path) -> None:
    page = chromium.new_context().new_page()  # whose console may tell of the lost connection
    project = disputed(tmp_path / "project", ["one", "two", "three"])
    port = free_port()
    process, address = start(project, port)
    page.goto(address)
    page.wait_for_function("document.activeElement.id === 'token'")
    page.locator("#token").press("Enter")
    page.wait_for_url("**/item/*")
    leave(page, "1")
    here = page.url
    stop(process)
    assert decisions(project)["i0"].label == "toxic"
    with page.expect_event("requestfailed"):  # the browser says so, and nothing is stored
        page.keyboard.press("2")
    assert decisions(project).keys() == {"i0"}
    process, _ = start(project, port)
    page.goto(here)
    leave(page, "2")
    page.context.close()
    stop(process)
    assert {item: one.label for item, one in decisions(project).items()} == {
        "i0": "toxic", "i1": "not_toxic",
    }  # fmt: skip


def stop(process: Any) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const rgb = (layers) => {
        canvas.fillStyle = 'white'; canvas.fillRect(0, 0, 1, 1);
        for (const layer of layers) { canvas.fillStyle = layer; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => c / 255)
            .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
            .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
    };
    const found = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || !e.checkVisibility() || e.closest('.jump, dialog')) continue;
        const layers = [];
        for (let up = e; up; up = up.parentElement) layers.unshift(getComputedStyle(up).backgroundColor);
        const back = rgb(layers), ink = rgb([...layers, getComputedStyle(e).color]);
        const ratio = (Math.max(back, ink) + .05) / (Math.min(back, ink) + .05);
        found.push([ratio, e.outerHTML.slice(0, 80)]);
    }
    return found.sort((a, b) => a[0] - b[0]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_dark(
    scheme: str, chromium: Any, tmp_path: Path
) -> None:
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    with serving(evalset(tmp_path / "project", "hotel-aspects")) as site:
        enter(site, page)
        leave(page, "Enter")  # so that there is a last step
        found = page.evaluate(CONTRAST)
        assert len(found) > 20
        assert found[0][0] >= 4.5, found[0]  # WCAG 2.2, 1.4.3
        light = page.evaluate("matchMedia('(prefers-color-scheme: light)').matches")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades = [int(part) for part in re.findall(r"\d+", ground)]
        assert light == (scheme == "light") == (sum(shades) > 382)
    context.close()
