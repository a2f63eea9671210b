"""Normal forms of values: what counts as equal when two texts, numbers or dates are compared.

Nothing is guessed: a text that two people may read as two numbers or two dates is refused.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Collection
from datetime import date
from math import isfinite
from typing import Any

_ARTICLES = re.compile(r"\b(?:a|an|the)\b\s*", re.IGNORECASE)
# Marks that belong to a number: "3.5" is not "35", and "-5" is not "5".
_IN_NUMBER = re.compile(r"(?<=\d)[^\w\s](?=\d)|(?<!\S)[-\u2212](?=\d)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!,?\d)")


def normalize(text: str, rules: Collection[str]) -> str:
    """Return the form in which a text is compared: NFC, trimmed, and by ``rules`` more.

    ``accents`` (NFKD without the marks), ``case`` (folded), ``punctuation`` (left out, except in
    numbers: "3.5" keeps its point, "1,200" loses its comma), ``articles`` (English a, an, the left
    out, as in SQuAD's script) and ``space`` (one space for any run of it), in this order whatever
    the order of ``rules``. A rule that would leave nothing of the text is not applied to it, so
    that "?" stays "?", and "The" is not equal to "A". Idempotent.
    """
    done = ""
    while done != text:
        done = text
        text = _once(text, rules)
    return done


def _once(text: str, rules: Collection[str]) -> str:
    """Apply each rule once; what one leaves may be a case for an earlier one."""
    text = unicodedata.normalize("NFC", text).strip()
    for name, rule in _RULES.items():
        if name in rules:
            text = unicodedata.normalize("NFC", rule(text)).strip() or text
    return text


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not _is_accent(char))


def _is_accent(char: str) -> bool:
    """Tell accents and vowel points from marks that make another letter, as those of kana do."""
    kind = unicodedata.combining(char)
    return kind == 1 or 10 <= kind <= 36 or kind >= 200


def _without_punctuation(text: str) -> str:
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    kept = {found.start() for found in _IN_NUMBER.finditer(text)}
    return "".join(char for at, char in enumerate(text) if at in kept or not _is_mark(char))


def _is_mark(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")


_RULES: dict[str, Callable[[str], str]] = {
    "accents": _without_accents,
    "case": str.casefold,
    "punctuation": _without_punctuation,
    "articles": lambda text: _ARTICLES.sub("", text),
    "space": lambda text: " ".join(text.split()),
}

_CODES = "EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY|ILS"
_GAP = " \u00a0\u2009\u202f"
_UNIT = rf"(?:[%$¢£¤¥€₩₪₫₱₴₹₺₽₿]|{_CODES})"
_NUMBER = re.compile(
    rf"(?P<sign>[+\u2212-]?)(?P<before>{_UNIT})?\s*(?P<inner>[+\u2212-]?)"
    rf"(?P<body>[\d.,'\u2019{_GAP}]*\d)\s*(?P<after>{_UNIT})?"
)
_JSON = re.compile(r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BY_SPACE = re.compile(rf"\d{{1,3}}(?:([{_GAP}'\u2019])\d{{3}})(?:\1\d{{3}})*(?:[.,]\d+)?")
_BY_COMMA = re.compile(r"\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}")
_BY_POINT = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}")
_PLAIN = re.compile(r"\d*[.,]\d+|\d+")
_EITHER = re.compile(r"[1-9]\d{0,2}([.,])\d{3}")


def as_number(raw: Any) -> int | float:
    """Return the number that a value or a text stands for; whole numbers as ``int``.

    A text may group its thousands ("1,200.50", "1.200,50", "1 200") and have one percent or
    currency sign, which is left out: "12 %" is 12. "1,200" and "1.200" are 1200 to some and 1.2
    to others, and refused; "1.199" is read as a program writes it. Raises ``ValueError`` with a
    reason, also for booleans, NaN and infinity.
    """
    if isinstance(raw, str):
        return _whole(_number_of(raw.strip()))
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError("is not a number")  # noqa: TRY004  # one error for all that is refused
    return _whole(raw)


def _whole(number: float) -> int | float:
    """Give 12.0 and 12 one form."""
    try:
        number = float(number)
    except OverflowError:
        raise ValueError("is too large for a number") from None
    if not isfinite(number):
        raise ValueError("is not a finite number")
    return int(number) if number.is_integer() and abs(number) <= 2**53 else number


def _number_of(text: str) -> float:
    if _JSON.fullmatch(text) and not _is_either(text):
        return float(text)
    found = _NUMBER.fullmatch(text)
    if not found or (found["sign"] and found["inner"]) or (found["before"] and found["after"]):
        raise ValueError("is not a number; write digits alone, as 1200.5")
    body = found["body"]
    if _EITHER.fullmatch(body):
        joined, point = re.sub(r"[.,]", "", body), float(body.replace(",", "."))
        raise ValueError(f"may mean {joined} or {point:g}; write the one that is meant")
    negative = (found["sign"] or found["inner"]) in {"-", "\u2212"}
    return float(_digits(body)) * (-1 if negative else 1)


def _is_either(text: str) -> bool:
    """Say whether a text has a point that may group thousands: a program writes no "1.200"."""
    return text.endswith("0") and bool(_EITHER.fullmatch(text.lstrip("+-")))


def _digits(body: str) -> str:
    """Return a number's digits with a point before its decimals."""
    if _BY_SPACE.fullmatch(body):
        return re.sub(r"[\s'\u2019]", "", body).replace(",", ".")
    if _BY_COMMA.fullmatch(body):
        return body.replace(",", "")
    if _BY_POINT.fullmatch(body):
        return body.replace(".", "").replace(",", ".")
    if _PLAIN.fullmatch(body):
        return body.replace(",", ".")
    raise ValueError("is not a number; write digits alone, as 1200.5")


_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = {name[:size]: at for at, name in enumerate(_MONTHS, 1) for size in (3, len(name))}
_MONTH["sept"] = 9
_TIME = r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d\d?)\2(\d\d?){_TIME}")
_COMPACT = re.compile(rf"(\d{{4}})(\d\d)(\d\d){_TIME}")
_YEAR_LAST = re.compile(r"(\d\d?)([-/.])(\d\d?)\2(\d{4})")
_DAY_MONTH = re.compile(r"(\d\d?)(?:st|nd|rd|th)?[\s.-]*(?:of\s+)?([a-z]+)[\s.,-]*(\d{4})")
_MONTH_DAY = re.compile(r"([a-z]+)[\s.-]*(\d\d?)(?:st|nd|rd|th)?[\s,]+(\d{4})")
_AS_ISO = "write it as YYYY-MM-DD"


def as_date(raw: Any) -> str:
    """Return the date that a text stands for, as YYYY-MM-DD.

    Year first, or a month by its English name, or day and month that cannot be taken for each
    other ("25/12/2024"); a time of day is left out. "03/04/2024" is refused, as is a date without
    its day or its four-digit year. Raises ``ValueError`` with a reason.
    """
    if not isinstance(raw, str):
        raise ValueError(f"is not a date; {_AS_ISO}")  # noqa: TRY004  # as in as_number
    text = raw.strip()
    year, month, day = _date_parts(text)
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        raise ValueError(f"is no day of the calendar; {_AS_ISO}") from None


def _date_parts(text: str) -> tuple[int, int, int]:
    if found := _YEAR_FIRST.fullmatch(text):
        return int(found[1]), int(found[3]), int(found[4])
    if found := _COMPACT.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _YEAR_LAST.fullmatch(text):
        return _either_order(int(found[1]), int(found[3]), int(found[4]))
    folded = text.casefold()
    if (found := _DAY_MONTH.fullmatch(folded)) and found[2] in _MONTH:
        return int(found[3]), _MONTH[found[2]], int(found[1])
    if (found := _MONTH_DAY.fullmatch(folded)) and found[1] in _MONTH:
        return int(found[3]), _MONTH[found[1]], int(found[2])
    raise ValueError(f"is not a whole date; {_AS_ISO}")


def _either_order(first: int, second: int, year: int) -> tuple[int, int, int]:
    """Tell the day from the month where only one of them can be the month."""
    if first != second and first <= 12 and second <= 12:
        raise ValueError(f"may be day or month first; {_AS_ISO}")
    return (year, first, second) if first <= 12 else (year, second, first)
