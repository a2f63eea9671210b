"""Templates of one's own: found, extended, kept in the sandbox, and mended by one line."""

import pytest
from test_prompts import SHOP, messages

from prelabel.errors import InputError
from prelabel.prompts import load_template, template_hash


def own(tmp_path, text, prompt="prompts/mine.jinja", guideline=SHOP):
    path = tmp_path / prompt
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return messages(guideline, folder=tmp_path, prompt=prompt)


ITEM_BLOCK = "{% block item %}{% include '_item.jinja' %}{% endblock %}"


def test_a_template_by_its_path(tmp_path):
    text = (
        "{% block system %}Say it: {{ guideline.label_names | join('|') }}{% endblock %}"
        + ITEM_BLOCK
    )
    sent = own(tmp_path, text)
    assert [m["content"] for m in sent] == [
        "Say it: delivery|payment",
        "<item>\nWhere is it?\n</item>",
    ]


def test_a_template_may_extend_a_shipped_one(tmp_path):
    text = (
        "{% extends 'classification.jinja' %}{% block system %}Hear!\n{{ super() }}{% endblock %}"
    )
    sent = own(tmp_path, text)
    assert sent[0]["content"] == "Hear!\n" + messages()[0]["content"]
    assert sent[1:] == messages()[1:]


def test_a_template_that_extends_itself(tmp_path):
    with pytest.raises(InputError, match=r"extends itself; give your template another name"):
        own(tmp_path, "{% extends 'classification.jinja' %}", "classification.jinja")


SYSTEM = "{{% block system %}}\n{}{{% endblock %}}" + ITEM_BLOCK.replace("{", "{{").replace(
    "}", "}}"
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "{{ ''.__class__.__mro__ }}",
            r"mine.jinja:2: access to attribute '__class__' of 'str' object is unsafe; mend",
        ),
        (
            "{{ guideline.__class__ }}",
            r"mine.jinja:2: access to attribute '__class__' .* is unsafe",
        ),
        (
            "{{ guideline.name.__init__.__globals__ }}",
            r"mine.jinja:2: access to attribute '__init__'",
        ),
        ("{{ nobody }}", r"mine.jinja:2: 'nobody' is undefined; mend the template"),
        ("{{ guideline.nothing }}", r"mine.jinja:2: .* has no attribute 'nothing'; mend"),
        ("{{ fields.text }}", r"mine.jinja:2: 'fields' is undefined"),
        ("{{ 1 / 0 }}", r"mine.jinja:2: division by zero; mend"),
        ("{{ range(10 ** 9) }}", r"mine.jinja:2: Range too big"),
        ("{% if %}", r"mine.jinja:2: Expected an expression"),
        ("{{ x", r"mine.jinja:2: expected token"),
        ("{% include 'nothing.jinja' %}", r"mine.jinja:2: .*nothing.jinja"),
        ("{% include '../../../etc/passwd' %}", r"mine.jinja:2: "),
    ],
)
def test_a_bad_template_is_one_line(tmp_path, text, error):
    with pytest.raises(InputError, match=error) as caught:
        own(tmp_path, SYSTEM.format(text))
    assert "\n" not in str(caught.value)


def test_a_template_lacks_a_block(tmp_path):
    with pytest.raises(
        InputError, match=r"mine.jinja: no block named 'item'; add \{% block item %\}"
    ):
        own(tmp_path, "{% block system %}x{% endblock %}")
    with pytest.raises(InputError, match=r"no block named 'system'"):
        own(tmp_path, ITEM_BLOCK)


def test_a_template_that_is_not_utf8(tmp_path):
    (tmp_path / "mine.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"mine.jinja: .*; mend the template"):
        messages(folder=tmp_path, prompt="mine.jinja")


@pytest.mark.parametrize("prompt", ["fulll", "nothing.jinja", "../full", "classification"])
def test_an_unknown_prompt(prompt):
    with pytest.raises(
        InputError, match=r"was not found for task 'classification'; use full, brief or the path"
    ):
        messages(prompt=prompt)


def test_a_template_is_told_by_its_sources(tmp_path):
    path = tmp_path / "a.jinja"
    (tmp_path / "part.jinja").write_text("one")
    path.write_text(
        "{% block system %}{% include 'part.jinja' %}{% include 'no.jinja' ignore missing %}{% endblock %}"
        + ITEM_BLOCK
    )
    first = template_hash(load_template("classification", "a.jinja", tmp_path))
    assert first == template_hash(load_template("classification", "a.jinja", tmp_path))
    (tmp_path / "part.jinja").write_text("two")
    assert first != template_hash(load_template("classification", "a.jinja", tmp_path))
