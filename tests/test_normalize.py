"""Normal forms: which texts count as equal, which texts are numbers and dates, and which are refused."""

import datetime as dt
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.normalize import as_date, as_number, normalize

RULES = ("case", "space", "punctuation", "articles", "accents")
subsets = st.sets(st.sampled_from(RULES))
words = st.sampled_from(
    ["the", "The", "a", "AN", "cat", "Café", "e\u0301", "!", "?!", "1,200", "3.5", "-5", "\u2212", "ß", "İ", "ﬁ", "①"]
)  # fmt: skip
texts = st.text() | st.lists(words | st.text(max_size=3)).map(" ".join)


@given(texts, subsets)
def test_normalising_twice_is_normalising_once(text, rules):
    once = normalize(text, rules)
    assert normalize(once, rules) == once
    assert once == once.strip() == unicodedata.normalize("NFC", once)


@given(texts, subsets)
def test_what_says_something_says_something_afterwards(text, rules):
    assert bool(normalize(text, rules)) == bool(text.strip())


@given(texts, st.permutations(RULES))
def test_the_order_of_rules_does_not_matter(text, rules):
    assert normalize(text, rules) == normalize(text, RULES)


@given(texts)
def test_composed_and_decomposed_texts_are_equal(text):
    assert normalize(unicodedata.normalize("NFD", text), ()) == normalize(text, ())


@pytest.mark.parametrize(
    ("rule", "equal", "not_equal"),
    [
        ("case", ("Straße", "STRASSE"), ("a b", "a  b")),
        ("space", (" two \t\n\u00a0words ", "two words"), ("two words", "twowords")),
        ("accents", ("Café à la crème", "Cafe a la creme"), ("Cafe", "cafe")),
        ("accents", ("Ärger", "Arger"), ("か", "が")),
        ("punctuation", ("“Hello”, she said!", "Hello she said"), ("a b", "ab")),
        ("punctuation", ("1,200,300", "1200300"), ("3.5", "35")),
        ("punctuation", ("St. Ives", "St Ives"), ("-5", "5")),
        ("punctuation", ("$1,200.50.", "1200.50"), ("10:30", "1030")),
        ("articles", ("The end of a day", "end of day"), ("Theo", "o")),
        ("articles", ("an apple", "apple"), ("AN", "A")),
    ],
)
def test_each_rule(rule, equal, not_equal):
    one, other = equal
    assert normalize(one, [rule]) == normalize(other, [rule])
    assert normalize(one, []) != normalize(other, [])
    one, other = not_equal
    assert normalize(one, [rule]) != normalize(other, [rule])


@pytest.mark.parametrize(
    ("text", "kept"), [("?!", "?!"), ("The", "the"), ("the a", "the a"), ("...", "...")]
)
def test_a_rule_that_would_leave_nothing_is_not_applied(text, kept):
    assert normalize(text, RULES) == kept


NUMBERS = {
    "12": 12, " 12.50 ": 12.5, "-3": -3, "\u22123": -3, "+4": 4, ".5": 0.5, "1e3": 1000, "007": 7,
    "1,200.50": 1200.5, "1.200,50": 1200.5, "1 200": 1200, "1\u202f200,5": 1200.5, "1'200.50": 1200.5,
    "1,234,567": 1234567, "1.234.567": 1234567, "12,5": 12.5, "1234,567": 1234.567, "0,125": 0.125,
    "0.125": 0.125, "1.199": 1.199, "€ 12": 12, "12 €": 12, "$1,200.50": 1200.5, "-$5": -5, "£3": 3,
    "12 %": 12, "12.5%": 12.5, "EUR 12": 12, "450 CHF": 450, "٣٤": 34,
}  # fmt: skip
NO_NUMBERS = [
    "1,200", "1.200", "$1,200", "1.199 €", "12.340", "", " ", "abc", "12k", "1.2 million", "1 2", "1 2000",
    "10-12", "2 x 3", "12.", "1_000", "0x1f", "nan", "NaN", "inf", "-inf", "1e999", "10²", "½", "(5)", "--5",
    "-$-5", "€ 12 €", "1,2,3", "1,200,00", "1.2.3", "1\n200", "12 ‰", "12 km", "5,-", "ca. 12",
]  # fmt: skip


@pytest.mark.parametrize("raw", NUMBERS)
def test_texts_that_are_numbers(raw):
    assert as_number(raw) == NUMBERS[raw]


@pytest.mark.parametrize(
    "raw", [*NO_NUMBERS, True, False, None, [], [1], {}, float("nan"), float("inf"), 10**400]
)
def test_what_is_no_number_or_could_be_two(raw):
    with pytest.raises(ValueError, match=r"number|may mean"):
        as_number(raw)


def test_an_ambiguous_number_is_named_both_ways():
    with pytest.raises(ValueError, match=r"^may mean 1250 or 1.25; write the one that is meant$"):
        as_number("1,250")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_a_number_written_by_a_program_is_read_as_it_was(number):
    found = as_number(number)
    assert found == number == as_number(repr(number)) == as_number(str(found))
    assert as_number(found) == found
    assert type(found) is type(as_number(float(number)))  # 12 and 12.0 have one form


@given(st.integers(1_000_000, 10**12), st.integers(0, 99))
def test_grouped_thousands_in_every_style(whole, cents):
    expected = float(f"{whole}.{cents:02}")
    grouped = f"{whole:,}"
    for group, point in (
        (",", "."),
        (".", ","),
        (" ", ","),
        (" ", "."),
        ("'", "."),
        ("\u00a0", ","),
    ):
        text = f"{grouped.replace(',', group)}{point}{cents:02}"
        assert as_number(text) == as_number(f"€ {text}") == as_number(f"{text} €") == expected
        assert as_number(f"-{text}") == -expected


DATES = {
    "2024-03-05": "2024-03-05", "2024/3/5": "2024-03-05", "2024.3.5": "2024-03-05", "20240305": "2024-03-05",
    "2024-03-05T10:00:00Z": "2024-03-05", "2024-03-05 00:00:00": "2024-03-05", " 3 March 2024 ": "2024-03-03",
    "March 3, 2024": "2024-03-03", "March 3 2024": "2024-03-03", "3rd of March 2024": "2024-03-03",
    "Mar. 3rd, 2024": "2024-03-03", "3 Sept 2024": "2024-09-03", "3-Mar-2024": "2024-03-03",
    "1st MAY 2024": "2024-05-01", "25/12/2024": "2024-12-25", "12/25/2024": "2024-12-25",
    "25.12.2024": "2024-12-25", "03/03/2024": "2024-03-03", "29 February 2024": "2024-02-29",
}  # fmt: skip
NO_DATES = [
    "03/04/2024", "3.4.2024", "03-04-2024", "2024-02-30", "29 February 2023", "31 April 2024", "13/13/2024",
    "0000-01-01", "", "today", "March 2024", "3 March", "3/24", "2024", "2024-03", "3 March 24", "25/12/24",
    "on 3 March 2024", "3 Marchember 2024", "32 May 2024", "2024/3-5", "2024-03-05 and more", "5 Mai 2024x",
]  # fmt: skip


@pytest.mark.parametrize("raw", DATES)
def test_texts_that_are_dates(raw):
    assert as_date(raw) == DATES[raw]


@pytest.mark.parametrize("raw", [*NO_DATES, 20240305, 5.0, None, True, [], {}])
def test_what_is_no_date_or_could_be_two(raw):
    with pytest.raises(ValueError, match=r"write it as YYYY-MM-DD$"):
        as_date(raw)


FORMS = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d %B %Y",
    "%B %d, %Y",
    "%d %b %Y",
    "%b %d %Y",
    "%Y%m%d",
    "%d-%b-%Y",
]


@given(st.dates(min_value=dt.date(1000, 1, 1)), st.sampled_from(FORMS))
def test_a_date_written_in_any_clear_form_is_read_as_it_was(day, form):
    assert as_date(day.strftime(form)) == day.isoformat() == as_date(day.isoformat())
