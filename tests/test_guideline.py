"""The guideline document: loading, matching, hashing."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from documents import built, minimal
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelabel.errors import InputError
from prelabel.guideline import fold, json_schema, load_guideline
from prelabel.guideline_check import check
from prelabel.guideline_show import to_markdown
from prelabel.guideline_yaml import MAX_DEPTH

SHOP = Path(__file__).with_name("guideline_shop.yaml").read_text(encoding="utf-8")


@pytest.fixture
def write(tmp_path):
    """Write a guideline of text or bytes and return its path."""

    def _write(content):
        path = tmp_path / "guideline.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


@pytest.fixture
def load(write):
    return lambda content: load_guideline(write(content))


@pytest.fixture
def refusal(write):
    """Return why a document is refused, as ``line: message``; check says the same."""

    def _refusal(content):
        path = write(content)
        with pytest.raises(InputError) as caught:
            load_guideline(path)
        said = str(caught.value)
        assert "\n" not in said
        assert said.startswith(f"{path}:")
        (finding,) = check(path)
        assert finding.level == "error"
        assert said == f"{path}:{finding.line}: {finding.message}"
        return f"{finding.line}: {finding.message}"

    return _refusal


@pytest.fixture
def findings(write):
    return lambda content, **options: check(write(content), **options)


# Loading


def test_a_whole_document_loads(load):
    guideline = load(SHOP)
    assert guideline.label_names == ("delivery", "payment")
    assert guideline.purpose == "Messages go to the team that can answer."
    assert guideline.item == "customer message"
    assert guideline.labels[0].examples[0].why == "asks for its place"
    assert guideline.labels[0].counter_examples[0].label == "payment"
    assert guideline.edge_cases[0].then == "payment"
    assert guideline.decision_tree[0].no[0].yes == "delivery"
    assert guideline.rulings[0].label == "delivery"
    assert guideline.max_labels is None


def test_a_multi_label_document_loads(load):
    guideline = load(
        minimal("a", "b", task="multi-label")
        + "    examples: [{text: t, labels: [a, b]}, {text: u, labels: []}]\n"
        "edge_cases: [{when: w, then: []}, {when: v, then: [a, b]}]\n"
        "decision_tree: [{ask: q, yes: [a, b], no: []}]\n"
        "max_labels: 3\n"
    )
    assert guideline.labels[1].examples[0].labels == ("a", "b")
    assert guideline.labels[1].examples[1].labels == ()
    assert [case.then for case in guideline.edge_cases] == [(), ("a", "b")]
    assert (guideline.decision_tree[0].yes, guideline.decision_tree[0].no) == (("a", "b"), ())
    assert guideline.max_labels == 3


def test_nothing_of_a_guideline_can_be_changed(load):
    guideline = load(SHOP)
    with pytest.raises(ValidationError):
        guideline.name = "other"
    with pytest.raises(ValidationError):
        guideline.labels[0].definition = "other"
    assert isinstance(guideline.labels, tuple)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + SHOP.encode(),
        SHOP.replace("\n", "\r\n").encode(),
        SHOP.replace("\n", "\r").encode(),
        SHOP.encode() + b"...\n",
        b"---\n" + SHOP.encode(),
    ],
    ids=["bom", "crlf", "cr", "document end", "document start"],
)
def test_encodings_of_line_and_file_do_not_matter(load, content):
    assert load(content).hash == load(SHOP).hash


@pytest.mark.parametrize(
    "name", ["no", "yes", "on", "off", "y", "1", "1.0", "true", "null", "2024-01-01"]
)
def test_label_names_stay_what_the_author_wrote(load, findings, name):
    more = f"edge_cases: [{{when: w, then: {name}}}]\ndecision_tree:\n  - ask: q\n    yes: {name}\n    no: z\n"
    document = minimal(name, "z", more=more)
    guideline = load(document)
    assert guideline.label_names == (name, "z")
    assert guideline.match(name) == name
    assert (guideline.edge_cases[0].then, guideline.decision_tree[0].yes) == (name, name)
    assert not [f for f in findings(document) if f.level == "error"]


@pytest.mark.parametrize("nothing", ["", " ~", " null"])
def test_an_empty_field_counts_as_left_out(load, nothing):
    plain = minimal("a", "b")
    more = f"rulings:{nothing}\nabstain:{nothing}\nmax_labels:{nothing}\npurpose:{nothing}\n"
    assert load(plain + more) == load(plain)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "1: the document is empty; write at least name, task and labels"),
        (b"# only this\n", "1: the document is empty; write at least name, task and labels"),
        (b"name: a\ntask: b\0\n", "2: a NUL byte; save the file as plain text in UTF-8"),
        ("name: a\ntask: b\nquestion: café?\n".encode("latin-1"), "3: not UTF-8 (byte 0xe9); save the file as UTF-8"),
        ("name: a\n".encode("utf-16"), "1: a NUL byte; save the file as plain text in UTF-8"),
        ("\n- a\n- b\n", "2: the document is a list; write fields such as 'name: …'"),
        ("just words\n", "1: the document is text; write fields such as 'name: …'"),
        ("name: a\ntask: b\nname: c\n", "3: field 'name' is written twice (first on line 1); keep one"),
        ("a: 1\n'a': 2\n", "2: field 'a' is written twice (first on line 1); keep one"),
        ("name: a\x07b\n", "1: the control character U+0007 is not allowed; remove it"),
        ("name: a\n---\nname: b\n", "2: not valid YAML: another document begins here (column 1); keep one document and remove the '---' between"),
        ("[a, b]: c\n", "1: a field name must be one word; put text in quotes"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused_in_one_line(refusal, content, said):
    assert refusal(content) == said


@pytest.mark.parametrize(
    ("content", "line", "hint"),
    [
        ("labels:\n\t- name: a\n", 2, "indent with spaces, not tabs"),
        (
            "name: a\npurpose: why: who\n",
            2,
            "put text that contains ': ' in quotes, and check the indentation",
        ),
        ("name: a\npurpose: @home\n", 2, "put text that begins with this character in quotes"),
        ('name: a\npurpose: "open\ntask: b\n', 4, "close the quote opened on line 2"),
        ("name: a\npurpose\ntask: b\n", 2, "write 'field: value', and indent text below its field"),
        ("name: [a\n", 2, "check the indentation and the quotes around here"),
        ('name: "\\q"\n', 1, "check the indentation and the quotes around here"),
    ],
)
def test_a_yaml_error_has_its_line_and_a_hint(refusal, content, line, hint):
    said = refusal(content)
    assert said.startswith(f"{line}: not valid YAML: ")
    assert said.endswith(f"; {hint}")
    assert "(column " in said


@pytest.mark.parametrize(
    "content",
    [
        "name: a\npurpose: &home is best\n",
        "name: a\npurpose: *home\n",
        "name: a\npurpose: !important text\n",
        "name: a\nlabels: &x [*x]\n",
        "name: a\nlabels: !!python/object/apply:os.system [x]\n",
    ],
)
def test_what_yaml_would_swallow_or_run_is_refused(refusal, content):
    said = refusal(content)
    assert said.startswith("2: ")
    assert "is not supported; put text that begins with" in said


def test_deep_nesting_is_refused_and_allowed_depth_works(load, refusal):
    assert "nested more than" in refusal("name: " + "[" * 5000)
    tree = "a"
    for _ in range((MAX_DEPTH - 4) // 2):
        tree = f"[{{ask: q, yes: {tree}}}]"
    guideline = load(minimal("a", "b", more=f"decision_tree: {tree}\n"))
    assert "q" in to_markdown(guideline)
    assert guideline.hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("task: classification\n", "", "1: task is missing; write it"),
        ("task: classification", "task:", "4: task is empty; write it"),
        ("task: classification", "task: [a]", "4: task must be text, not a list; put text in quotes"),
        ("task: classification", "tsak: classification", "4: unknown field 'tsak'; did you mean 'task'?"),
        ("    aliases:", "    alias:", "10: unknown field 'alias' in labels[0]; did you mean 'aliases'?"),
        ("        why: asks", "        because: asks", "13: unknown field 'because' in labels[0].examples[0]; the fields are text, why, labels"),
        ("name: payment ", "name: ' ' ", "20: labels[1].name is empty; write it"),
        ("name: payment ", "name: ", "20: labels[1].name is empty; write it"),
        ("  - name: payment ", "  - ", "21: labels[1].name is missing; write it"),
        ("[shipping]", "shipping", "10: labels[0].aliases must be a list, not text; write each entry after '- '"),
        ("[shipping]", "[a: b]", "10: labels[0].aliases[0] must be text, not a mapping; put text in quotes"),
        ('- text: "I was charged twice."', "- I was charged twice.", "23: labels[1].examples[0] must have fields, not be text; the fields are text, why, labels"),
        ('- text: "I was charged twice."', "-", "23: labels[1].examples[0] is empty; write it"),
        ("    then: payment", "    then: {a: b}", "28: edge_cases[0].then must be a label or a list of labels"),
        ("    then: payment", "    then: [a, [b]]", "28: edge_cases[0].then[1] must be text, not a list; put text in quotes"),
        ("    yes: payment", "    yes: {ask: b}", "32: decision_tree[0].yes must be a label, a list of labels, or a list of questions"),
        ("        yes: delivery", "        yse: delivery", "35: unknown field 'yse' in decision_tree[0].no[0]; did you mean 'yes'?"),
        ("        yes: delivery", "        yes: [{ask: a}, b]", "35: decision_tree[0].no[0].yes[1] must have fields, not be text; the fields are ask, yes, no"),
        ("  - id: R1\n    text", "  - text", "41: rulings[0].id is missing; write it"),
        ("abstain: the", "max_labels: three\nabstain: the", "44: max_labels must be a whole number of 1 or more, got 'three'"),
        ("abstain: the", "max_labels: 0\nabstain: the", "44: max_labels must be a whole number of 1 or more, got '0'"),
        ("abstain: the message cannot be read", "abstain: no", "44: abstain must say when annotators may abstain; to forbid it leave it out"),
        ('"Late again, and dear."', '"\\ud83d"', "42: rulings[0].text has a broken \\u escape; write the character itself"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_line(refusal, old, new, said):
    assert SHOP.count(old) == 1
    assert refusal(SHOP.replace(old, new)) == said


def test_the_first_of_several_mistakes_is_named(refusal):
    assert refusal("name: a\nfoo: b\nbar: c\n").startswith("2: unknown field 'foo'")
    assert refusal("name: a\ntask: t\nfoo: b\nbar: c\n").startswith("3: unknown field 'foo'")


def test_a_file_that_cannot_be_read_is_said_so(tmp_path):
    missing = tmp_path / "none.yaml"
    for act in (load_guideline, check):
        with pytest.raises(InputError, match=re.escape(f"{missing}: no such file; ")):
            act(missing)
        with pytest.raises(InputError, match="cannot be read"):
            act(tmp_path)
        with pytest.raises(InputError, match="cannot be read"):
            act("a\0b")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_load_or_are_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:  # none of them is a guideline
        load_guideline(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(SHOP)),
    st.text("\t\n -:[]{}&*!|>'\"%@`#?,aé\u2028\x85\\0", max_size=6),
    st.integers(0, 30),
)
def test_a_damaged_document_never_crashes(tmp_path_factory, at, inserted, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text(SHOP[:at] + inserted + SHOP[at + cut :], encoding="utf-8", newline="")
    findings = check(path)
    assert findings == sorted(findings, key=lambda finding: finding.line)
    assert all(f.line >= 1 and "\n" not in f.message for f in findings)
    try:
        to_markdown(load_guideline(path))
    except InputError:
        assert len(findings) == 1


# Matching


def test_only_whole_names_and_aliases_match():
    guideline = built({"name": "toxic"}, {"name": "not toxic", "aliases": ["Clean", "harmless"]})
    assert guideline.match("toxic ") == "toxic"
    assert guideline.match("\n NOT Toxic\t") == "not toxic"
    assert guideline.match("clean") == "not toxic"
    for other in (
        "Not toxic.",
        "not  toxic",
        "toxi",
        "toxic!",
        "it is toxic",
        "",
        " ",
        "harm less",
    ):
        assert guideline.match(other) is None


def test_matching_ignores_how_unicode_is_written():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    guideline = built(
        {"name": decomposed}, {"name": "straße"}, {"name": "\u0130stanbul"}, {"name": "ǰ"}
    )
    assert guideline.match(composed.upper()) == decomposed
    assert guideline.match("STRASSE") == "straße"
    assert guideline.match("i\u0307stanbul") == "\u0130stanbul"
    assert guideline.match("istanbul") is None  # the dotted capital is a letter of its own
    assert guideline.match("j\u030c") == "ǰ"


def test_a_spelling_claimed_twice_matches_nothing():
    guideline = built({"name": "a", "aliases": ["x", "A"]}, {"name": "b", "aliases": ["X"]})
    assert guideline.match("x") is None
    assert (guideline.match("a"), guideline.match("b")) == ("a", "b")


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()))
def test_a_label_matches_itself_however_written(name):
    guideline = built({"name": name}, {"name": "another label altogether"})
    for form in ("NFC", "NFD"):
        assert (
            guideline.match(f" {unicodedata.normalize(form, name)}\n") == guideline.label_names[0]
        )
    assert fold(fold(name)) == fold(name)


# Hash


def test_formatting_does_not_change_the_hash(load):
    guideline = load(SHOP)
    plain = guideline.model_dump(mode="json", exclude_defaults=True)
    assert re.fullmatch("[0-9a-f]{16}", guideline.hash)
    for text in (
        yaml.safe_dump(plain),
        yaml.safe_dump(plain, sort_keys=False, default_flow_style=True),
        yaml.safe_dump(plain, default_style='"', width=30),
        json.dumps(plain, indent=2, ensure_ascii=False),
        SHOP.replace("item: customer message", "\n# a comment\nitem:    'customer message'"),
        SHOP.replace(">-\n  Messages go to", ">\n  Messages\n  go   to").replace(
            "go   to", "go to"
        ),
    ):
        assert load(text).hash == guideline.hash


def test_the_hash_of_a_document_stays_the_same_between_versions():
    assert built({"name": "a"}, {"name": "b"}).hash == "a1cbf1d8b812fe48"
    assert built({"name": "a"}, {"name": "b"}, item="item", rulings=[]).hash == "a1cbf1d8b812fe48"


def test_a_copy_with_changes_is_a_new_document():
    guideline = built({"name": "a"})
    before = guideline.hash, guideline.match("b")
    changed = guideline.model_copy(update={"labels": built({"name": "b"}).labels})
    assert before == (guideline.hash, None)
    assert changed.hash != guideline.hash
    assert changed.match("b") == "b"
    assert changed.match("a") is None


# Schema


def test_json_schema_for_editors():
    schema = json_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["title"] == "prelabel guideline"
    assert set(schema["required"]) == {"name", "task"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["max_labels"]["anyOf"][0]["minimum"] == 1
    assert schema["properties"]["abstain"]["description"].startswith("When annotators may abstain")
    assert set(schema["$defs"]["Question"]["required"]) == {"ask", "yes"}
    json.dumps(schema)
