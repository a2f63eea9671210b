"""Pictures of items: found and checked, and as the content block that a provider is sent.

Nothing is fetched from a URL, by us or by litellm: a URL goes to providers that take it as it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import stat
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from prelabel.errors import InputError
from prelabel.records import Image

MOST_BASE64 = 5 * 2**20
MOST_BYTES = MOST_BASE64 // 4 * 3
"""Anthropic's limit on Bedrock and Google Cloud, and long on its own API: 5 MB of base64 an image
(docs "Vision", General limits). The lowest known; OpenAI takes 20 MB and more."""

MOST_PIXELS = 8000
"""Anthropic refuses an image with a longer side (docs "Vision", General limits)."""

MOST_TOKENS = 48_169
"""The most tokens known for one image: gpt-4o-mini's 2,833 and 5,667 for each of at most 8 tiles
of 512 px (OpenAI docs "Images and vision", Calculating costs: at most 2048 x 768 px are seen)."""

MOST_TOKENS_CLAUDE = 4_784
"""Claude's most, with high resolution (Anthropic docs "Vision", Evaluate image size)."""

USUAL_TOKENS = 1_400
USUAL_TOKENS_4O_MINI = 25_501
"""What a picture of 1024 x 1024 pixels comes to: 765 with gpt-4o, 1,369 with Claude, 1,032 with
Gemini; gpt-4o-mini counts 33 times what gpt-4o does, at a lower price. For estimates."""

URL_PROVIDERS = frozenset({
    "anthropic", "azure", "deepinfra", "fireworks_ai", "groq", "hosted_vllm", "mistral", "openai",
    "openrouter", "together_ai", "xai",
})  # fmt: skip
"""Providers whose request carries an ``https:`` URL as it is, which a test holds for litellm's
installed version. For others (gemini, vertex_ai, bedrock, ollama, snowflake, …) litellm fetches
the picture itself, or sends none."""

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?=//)|data:", re.IGNORECASE)
DATA = re.compile(r"data:image/[a-z]+;base64,", re.IGNORECASE)


class Facts(NamedTuple):
    """What a picture's own bytes say of it."""

    mime: str
    width: int
    height: int
    digest: str


def find_image(name: str, source: str, folder: Path) -> Image:
    """Return a picture, checked: a path (relative to ``folder`` or not), https: or data: URL.

    Symbolic links are followed, wherever they lead; a file is never sent unless its bytes are a
    picture's. Raises ``InputError`` for what is no picture, broken, too large, or not there.
    """
    scheme = SCHEME.match(source)
    if scheme is None:
        path = folder / source
        return Image(name, str(path), _look_at(path).digest)
    if scheme[0].casefold() == "data:":
        content = _decoded(source)
        facts = read_facts(content, shown(source))
        return Image(name, as_data(facts.mime, content), facts.digest)
    try:
        parts = urlsplit(source)
    except ValueError:
        raise InputError(f"{shown(source)}: not a URL; mend it") from None
    if parts.username is not None:
        raise InputError(f"…@{parts.hostname}: no passwords in URLs; take it out")
    if parts.scheme != "https" or not parts.hostname or re.search(r"\s", source):
        raise InputError(
            f"{shown(source)}: a picture is a file's path, an https: or a data: URL; "
            "download it and give the file's path"
        )
    return Image(name, f"https{source[5:]}")  # HTTPS: is allowed, too


def content_block(image: Image) -> dict[str, Any]:
    """Return a picture as a part of a chat message, as OpenAI writes it; a file goes as base64.

    Raises ``InputError`` where the file is no longer what it was.
    """
    url = image.source
    if not SCHEME.match(url):
        content = _read(Path(url))
        facts = read_facts(content, shown(url))
        if facts.digest != image.digest:
            raise InputError(f"{shown(url)}: changed while it was used; run the same command again")
        url = as_data(facts.mime, content)
    return {"type": "image_url", "image_url": {"url": url}}


def need_sendable(images: Iterable[Image], provider: str) -> None:
    """Raise ``InputError`` for a picture that cannot be sent to litellm's ``provider``."""
    for image in images:
        if provider == "local":
            raise InputError(
                f"picture {shown(image.source)}: the embedded model reads text only; "
                "use a model that sees"
            )
        if image.source.startswith("https:") and not url_allowed(provider):
            raise InputError(
                f"picture {shown(image.source)}: {provider} is not sent URLs; "
                "download it and give the file's path"
            )


def url_allowed(provider: str) -> bool:
    """Whether a request to litellm's ``provider`` carries an https: URL as it is."""
    return provider in URL_PROVIDERS


def tokens_bound(model: str) -> int:
    """Return the most tokens that a provider is known to count for one picture."""
    return MOST_TOKENS_CLAUDE if "claude" in model.casefold() else MOST_TOKENS


def usual_tokens(model: str) -> int:
    """Return about how many tokens one picture comes to; only the bound is sure."""
    return USUAL_TOKENS_4O_MINI if "gpt-4o-mini" in model else USUAL_TOKENS


def without_images(messages: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return messages without their pictures, and how many those were."""
    texts, count = [], 0
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            kept = [block for block in content if block["type"] != "image_url"]
            count += len(content) - len(kept)
            content = kept
        texts.append({**message, "content": content})
    return texts, count


def as_data(mime: str, content: bytes) -> str:
    """Return a picture as a data: URL."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def shown(source: str | Path) -> str:
    """Return a source for messages: one line, and not the whole of a data: URL."""
    line = repr(str(source))[1:-1]
    return line if len(line) <= 200 else f"{line[:80]}…"


def _look_at(path: Path) -> Facts:
    """Return the facts of a file, read once as long as it does not change."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise InputError(f"{shown(path)}: no picture there ({why}); check it") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{shown(path)}: not a file; give a picture's path")
    if found.st_size > MOST_BYTES:
        raise _too_large(shown(path), found.st_size)
    return _known(str(path), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _known(path: str, size: int, changed: int) -> Facts:
    del size, changed  # of the key: another file under the same name is read anew
    return read_facts(_read(Path(path)), shown(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read ({error.strerror}); check it") from None


def _decoded(url: str) -> bytes:
    """Return the bytes of a data: URL."""
    head = DATA.match(url)
    if head is None:
        raise InputError(f"{shown(url)}: not data:image/…;base64,…; write it so")
    if len(url) > MOST_BASE64 + len(head[0]):
        raise _too_large(shown(url), len(url) // 4 * 3)
    try:
        return base64.b64decode(url[len(head[0]) :], validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{shown(url)}: not base64; encode it anew") from None


def _too_large(where: str, size: int) -> InputError:
    return InputError(
        f"{where}: {size / 1e6:.1f} MB, and providers take {MOST_BYTES / 1e6:.1f}; make it smaller"
    )


def read_facts(content: bytes, where: str) -> Facts:
    """Return what a picture's bytes say. Raises ``InputError`` that begins with ``where``.

    The kind follows from the bytes, not from a name. Only headers are understood; that the end is
    there is checked, so that a download cut short is found.
    """
    if len(content) > MOST_BYTES:
        raise _too_large(where, len(content))
    reader = next((reader for reader in READERS if reader[0].match(content)), None)
    if reader is None:
        raise InputError(f"{where}: not a PNG, JPEG, GIF or WebP picture; convert it to one")
    _, mime, size_of = reader
    try:
        width, height = size_of(content)
    except (IndexError, ValueError):
        width = height = 0
    if not width or not height:
        raise InputError(f"{where}: the picture is broken or cut short; get it anew")
    if max(width, height) > MOST_PIXELS:
        raise InputError(
            f"{where}: {width} x {height} pixels, and providers take {MOST_PIXELS} a side; "
            "make it smaller"
        )
    return Facts(mime, width, height, hashlib.sha256(content).hexdigest())


def _number(content: bytes, at: int, size: int, order: Any = "big") -> int:
    """Read a number. Raises ``IndexError`` beyond the end."""
    found = content[at : at + size]
    if len(found) < size:
        raise IndexError(at)
    return int.from_bytes(found, order)


def _png(content: bytes) -> tuple[int, int]:
    at = 8
    if content[12:16] != b"IHDR":
        raise ValueError
    while content[at + 4 : at + 8] != b"IEND":
        at += 12 + _number(content, at, 4)
    _number(content, at + 8, 4)
    return _number(content, 16, 4), _number(content, 20, 4)


def _jpeg(content: bytes) -> tuple[int, int]:
    at, found = 2, (0, 0)
    while True:
        marker = _number(content, at, 2)
        if marker >> 8 != 0xFF:
            raise ValueError
        kind = marker & 0xFF
        if kind == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            found = _number(content, at + 7, 2), _number(content, at + 5, 2)
        if kind == 0xDA:  # the pixels, in which the end mark cannot occur
            content.index(b"\xff\xd9", at)
            return found
        at += 2 + _number(content, at + 2, 2)


def _gif(content: bytes) -> tuple[int, int]:
    """Read a GIF's size; one frame must be whole, for many lack the mark of the end."""
    size = _number(content, 6, 2, "little"), _number(content, 8, 2, "little")
    at, kind = 13 + _palette(content[10]), 0
    while kind != 0x2C:  # a frame
        kind = content[at]
        if kind not in (0x21, 0x2C):  # an extension, or a frame
            raise ValueError
        at += 2 if kind == 0x21 else 11 + _palette(content[at + 9])
        while content[at]:
            at += 1 + content[at]
        at += 1
    return size


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(content: bytes) -> tuple[int, int]:
    if 8 + _number(content, 4, 4, "little") > len(content):
        raise ValueError
    kind = content[12:16]
    if kind == b"VP8X":
        return _number(content, 24, 3, "little") + 1, _number(content, 27, 3, "little") + 1
    if kind == b"VP8L":
        bits = _number(content, 21, 4, "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind != b"VP8 " or content[23:26] != b"\x9d\x01\x2a":
        raise ValueError
    return _number(content, 26, 2, "little") & 0x3FFF, _number(content, 28, 2, "little") & 0x3FFF


READERS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png", _png),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg", _jpeg),
    (re.compile(rb"GIF8[79]a"), "image/gif", _gif),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp", _webp),
)
