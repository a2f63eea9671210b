"""Pictures: what counts as one, and what is kept of it."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pictures import URL, data_url, gif, jpeg, png, webp

from prelabel import images
from prelabel.errors import InputError
from prelabel.images import (
    MOST_BYTES,
    MOST_PIXELS,
    content_block,
    find_image,
    read_facts,
)
from prelabel.records import Image, Item

PICTURES = {
    "png": (png(), "image/png"),
    "jpeg": (jpeg(), "image/jpeg"),
    "gif": (gif(), "image/gif"),
    "webp": (webp(b"VP8 "), "image/webp"),
    "webp lossless": (webp(b"VP8L"), "image/webp"),
    "webp extended": (webp(b"VP8X"), "image/webp"),
}


def trouble(source: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        find_image("photo", source, folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


# What counts as a picture


@pytest.mark.parametrize("kind", PICTURES)
def test_the_kind_and_the_size_stand_in_the_bytes(kind: str, tmp_path: Path) -> None:
    content, mime = PICTURES[kind]
    found = read_facts(content, "x")
    assert found == (mime, 3, 2, hashlib.sha256(content).hexdigest())
    for name in ("right.bin", "wrong.jpg"):  # the name says nothing
        (tmp_path / name).write_bytes(content)
        image = find_image("photo", name, tmp_path)
        assert image == Image("photo", str(tmp_path / name), found.digest)
        url = content_block(image)["image_url"]["url"]
        assert url == f"data:{mime};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_cut_short_is_broken(kind: str) -> None:
    content, _ = PICTURES[kind]
    rest = 1 if kind != "gif" else 2  # the mark of a GIF's end may be missing
    for end in range(len(content) - rest + 1):
        with pytest.raises(InputError, match=r"^x: (not a PNG|the picture is broken)"):
            read_facts(content[:end], "x")


@given(st.binary(max_size=80), st.sampled_from(sorted(PICTURES)), st.integers(0, 60))
@example(b"", "png", 8)
def test_no_bytes_crash_or_hang(noise: bytes, kind: str, at: int) -> None:
    content, _ = PICTURES[kind]
    try:
        found = read_facts(content[:at] + noise + content[at:], "x")
    except InputError:
        return
    assert 0 < min(found[1:3]) <= max(found[1:3]) <= MOST_PIXELS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a PNG"),
        (b"just a text", "not a PNG"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a PNG"),
        (b"BM" + bytes(60), "not a PNG"),
        (png(0, 5), "broken"),
        (png(8001, 1), "8001 x 1 pixels, and providers take 8000 a side"),
        (png(1, 9000), "1 x 9000 pixels"),
        (png(padding=MOST_BYTES), r"3.9 MB, and providers take 3.9; make it smaller"),
    ],
)
def test_what_is_no_picture_is_one_line(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert why in trouble("a.png", tmp_path)
    assert why in trouble(data_url(content), tmp_path)


def test_a_picture_at_the_limits(tmp_path: Path) -> None:
    spare = MOST_BYTES - len(png(8000, 8000))
    (tmp_path / "a.png").write_bytes(png(8000, 8000, padding=spare))
    block = content_block(find_image("photo", "a.png", tmp_path))
    sent = block["image_url"]["url"].removeprefix("data:image/png;base64,")
    assert len(sent) == 5 * 2**20  # what providers refuse is one byte more


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("none.png", "no picture there (No such file or directory)"),
        ("", "not a file"),
        ("a\0b", "no picture there (no path)"),
        ("a\nb.png", "a\\nb.png: no picture there"),
        ("x" * 5000, "no picture there (File name too long)"),
        ("pipe", "not a file"),
        (f"http://{URL[8:]}", "download it and give the file's path"),
        ("ftp://a.example/b.png", "download it"),
        ("file:///a/b.png", "give the file's path"),
        ("https:///b.png", "download it"),
        ("https://[", "not a URL"),
        ("https://a.example/b c.png", "download it"),
        ("https://me:hush@a.example/b.png", "no passwords in URLs"),
        ("http://me:hush@a.example/b.png", "no passwords in URLs"),
        ("data:image/png;base64,****", "not base64"),
        ("data:image/png,abc", "not data:image/"),
        ("data:text/plain;base64,aGk=", "not data:image/"),
        (f"data:image/svg+xml;base64,{'a' * 999}", "not data:image/"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(source: str, why: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    said = trouble(source, tmp_path)
    assert why in said
    assert "hush" not in said


def test_paths_and_links(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.png").write_bytes(png())
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link.png").symlink_to(tmp_path / "far" / "a.png")
    (tmp_path / "near" / "all").symlink_to(tmp_path / "far")
    (tmp_path / "near" / "secret.png").symlink_to("/etc/passwd")
    near = tmp_path / "near"
    absolute = find_image("photo", str(tmp_path / "far" / "a.png"), near)
    for source in ("link.png", "all/a.png", "../far/a.png"):  # links are followed
        assert find_image("photo", source, near).digest == absolute.digest
    assert "not a PNG" in trouble("secret.png", near)  # and nothing but a picture is sent


def test_data_urls_are_made_alike(tmp_path: Path) -> None:
    image = find_image("photo", data_url(jpeg(), "jpg").replace("data:", "DATA:"), tmp_path)
    assert image.source == data_url(jpeg(), "jpeg")
    assert image.digest == hashlib.sha256(jpeg()).hexdigest()
    assert content_block(image) == {"type": "image_url", "image_url": {"url": image.source}}


def test_a_url_is_kept_as_it_is(tmp_path: Path) -> None:
    image = find_image("photo", f"HTTPS{URL[5:]}", tmp_path)
    assert image == Image("photo", URL)
    assert content_block(image) == {"type": "image_url", "image_url": {"url": URL}}


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads = tmp_path / "a.png", []
    real = images.read_facts
    monkeypatch.setattr(images, "read_facts", lambda *a: reads.append(a[1]) or real(*a))
    path.write_bytes(png(4, 4))
    first = find_image("photo", "a.png", tmp_path)
    assert find_image("photo", "a.png", tmp_path) == first
    assert len(reads) == 1
    path.write_bytes(png(5, 5, padding=1))
    second = find_image("photo", "a.png", tmp_path)
    assert second.digest != first.digest
    assert Item("i", {}, images=(first,)).hash != Item("i", {}, images=(second,)).hash
    with pytest.raises(InputError, match="changed while it was used"):
        content_block(first)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        content_block(second)
