"""Settings: each mistake is one line with the file and the setting."""

import json

import pytest

from prelabel.config import json_schema, parse_config
from prelabel.errors import InputError
from prelabel.project import Project, load_project
from prelabel.settings import ShotsConfig

BASE = "items: {path: items.csv}\n"
A = BASE + "annotators: [{name: a, model: m, %s}]"
GUIDELINE = """
name: g
task: classification
question: Which?
labels:
  - {name: a, definition: A}
  - {name: b, definition: B}
"""


def project(tmp_path, text=BASE, **files):
    (tmp_path / "prelabel.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "guideline.yaml").write_text(GUIDELINE, encoding="utf-8")
    for name, content in files.items():
        (tmp_path / name.replace("_", ".")).write_text(content, encoding="utf-8")
    return load_project(tmp_path)


MISTAKES = [
    ("itmes: {path: x}", "itmes: no such setting; did you mean items?"),
    ("{}", "items: is missing; write it"),
    ("items: {}", "items.path: is missing; write it"),
    ("items: x.csv", "items: must have settings of its own, each on a line below it"),
    ("items: {path: 3}", "items.path: must be text; put it in quotes"),
    ("items: {path: x, text: []}", "items.text: must be the name of a column, or a list of names"),
    (
        "items: {path: x, text: [a, 3]}",
        "items.text: must be the name of a column, or a list of names",
    ),
    (
        BASE + "zzz: 1",
        "zzz: no such setting; there are: guideline, items, gold, annotators, run, decide",
    ),
    (BASE + "annotators: x", "annotators: must be a valid list"),
    (A % "temprature: 1", "annotators[0].temprature: no such setting; did you mean temperature?"),
    (A % "temperature: hot", "annotators[0].temperature: must be a valid number"),
    (
        A % "shots: {choose: near}",
        "annotators[0].shots.choose: must be 'none', 'fixed', 'diverse' or 'similar'",
    ),
    (A % "shots: {kk: 3}", "annotators[0].shots.kk: no such setting; did you mean k?"),
    (
        A % "price: {input: -1, output: 1}",
        "annotators[0].price.input: must be greater than or equal to 0",
    ),
    (
        A % "price: {inputs: 1, output: 1}",
        "annotators[0].price.inputs: no such setting; did you mean input?",
    ),
    (A % "rationale: maybe", "annotators[0].rationale: must be a valid boolean"),
    (A % "extra: 3", "annotators[0].extra: must have settings of its own"),
    (
        BASE + "annotators: [{name: a, model: m}, {name: A, model: m}]",
        "annotators: 'A' is there twice; give each its own name",
    ),
    (
        BASE + "annotators: [{name: a@b, model: m}]",
        "annotators[0].name: 'a@b' is no name; begin with a letter, and leave out @",
    ),
    (BASE + "annotators: [{name: '', model: m}]", "annotators[0].name: '' is no name"),
    (
        BASE + "annotators: [{name: no, model: m}]",
        "annotators[0].name: must be text; put it in quotes",
    ),
    (BASE + "annotators: [{name: a}]", "annotators[0].model: is missing; write it"),
    (BASE + "run: {max_cost: .nan}", "run.max_cost: must be a finite number"),
    (BASE + "run: {max_cost: -1}", "run.max_cost: must be greater than or equal to 0"),
    (BASE + "run: {concurrency: 0}", "run.concurrency: must be greater than or equal to 1"),
    (BASE + "decide: {ties: coin}", "decide.ties: must be 'review', 'priority' or 'probability'"),
    (BASE + "decide: {min_agreement: 2}", "decide.min_agreement: must be less than or equal to 1"),
    (BASE + "gold: {path: g, separator: ''}", "gold.separator: "),
    (BASE + "guideline: 2024-13-45", "month must be in 1..12; put text in quotes"),
    ("", "settings expected, such as `items:`; see `prelabel init`"),
    ("- a", "settings expected"),
    ("just text", "settings expected"),
]


@pytest.mark.parametrize(("text", "error"), MISTAKES)
def test_a_mistake_is_one_line(tmp_path, text, error):
    with pytest.raises(InputError) as caught:
        project(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'prelabel.yaml'}: {error}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (BASE + BASE, ":2: 'items' is there twice; mend the YAML"),
        ("items:\n  path: a\n  path: b", ":3: 'path' is there twice; mend the YAML"),
        ("items: {path: a}\nrun: [", ":2: "),
        ("items:\n\tpath: a", ":2: found character '\\t'"),
        ("items: {path: a}\nrun: *no", ":2: found undefined alias"),
        (
            "items: {path: a}\nrun: !!python/object:os.system x",
            ":2: could not determine a constructor",
        ),
        ("items:\n  path: a\x00b", ":2: unacceptable character #x0000"),
        ("items: {path: a}\n? [a]\n: 1", ":2: found unhashable key"),
    ],
)
def test_broken_yaml_has_its_line(tmp_path, text, error):
    with pytest.raises(InputError) as caught:
        project(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'prelabel.yaml'}{error}")
    assert "\n" not in str(caught.value)


def test_a_key_is_never_shown(tmp_path):
    for key in ("12345678", "[12345678]", "{a: 12345678}"):
        with pytest.raises(InputError) as caught:
            project(tmp_path, A % f"api_key: {key}")
        assert "12345678" not in str(caught.value)
    [annotator] = project(tmp_path, A % "api_key: sk-12345678").config.annotators
    assert "12345678" not in repr(annotator)
    assert "12345678" not in annotator.model_dump_json()


def test_the_environment_is_put_in_but_not_for_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("PRELABEL_TEST_HOST", "box")
    monkeypatch.delenv("PRELABEL_TEST_NONE", raising=False)
    monkeypatch.setenv("PRELABEL_TEST_N", "3")
    text = (
        A
        % "base_url: 'http://${PRELABEL_TEST_HOST}:${PRELABEL_TEST_N}/v1', max_tokens: '${PRELABEL_TEST_N}', api_key: '${PRELABEL_TEST_NONE}'"
    )
    [annotator] = project(tmp_path, text).config.annotators
    assert annotator.base_url == "http://box:3/v1"
    assert annotator.max_tokens == 3
    assert annotator.api_key.get_secret_value() == "${PRELABEL_TEST_NONE}"
    with pytest.raises(
        InputError,
        match=r"annotators: base_url: the environment has no PRELABEL_TEST_NONE; set it, or write the value",
    ):
        project(tmp_path, A % "base_url: '${PRELABEL_TEST_NONE}'")


def test_a_byte_order_mark(tmp_path):
    project(tmp_path, "\ufeff" + BASE)


def test_an_empty_section_is_its_defaults(tmp_path):
    config = project(tmp_path, BASE + "run:\ndecide:\nannotators:\ngold:\n").config
    assert config.run.concurrency == 16
    assert config.annotators == []
    assert config.gold is None


def test_anchors(tmp_path):
    text = BASE + "annotators:\n  - &a {name: a, model: m}\n  - {<<: *a, name: b}\n"
    assert [a.name for a in project(tmp_path, text).config.annotators] == ["a", "b"]


def test_no_project_here(tmp_path):
    for place in (tmp_path, tmp_path / "other.yaml", tmp_path / "no" / "folder"):
        with pytest.raises(
            InputError,
            match=r"not found; make a project with `prelabel init`, or name one with --project",
        ):
            load_project(place)


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "prelabel.yaml").write_bytes(b"items:\n  path: caf\xe9.csv\n")
    with pytest.raises(InputError, match=r"prelabel.yaml:2: not UTF-8; save it as UTF-8 text"):
        load_project(tmp_path)
    (tmp_path / "sub" / "prelabel.yaml").mkdir(parents=True)
    with pytest.raises(InputError, match=r"cannot be read"):
        load_project(tmp_path / "sub")


def test_paths_are_relative_to_the_project(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "items.csv").write_text("id,text\n1,x\n")
    made = project(tmp_path, "items: {path: data/items.csv}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [item.id for item in made.items()] == ["1"]
    assert made.guideline.name == "g"
    assert [item.id for item in load_project(tmp_path / "prelabel.yaml").items()] == ["1"]
    monkeypatch.chdir(tmp_path)
    assert [item.id for item in load_project().items()] == ["1"]


def test_the_state_folder_is_its_owners(tmp_path):
    state = project(tmp_path).state
    assert state == tmp_path / ".prelabel"
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_state_folder_that_cannot_be_made(tmp_path):
    made = project(tmp_path)
    (tmp_path / ".prelabel").write_text("a file")
    with pytest.raises(
        InputError, match=r"cannot be made \(File exists\); use a folder you may write to"
    ):
        _ = made.state


def test_the_schema_is_for_editors():
    schema = json_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == {
        "guideline",
        "items",
        "gold",
        "annotators",
        "run",
        "decide",
        "review",
    }
    assert schema["additionalProperties"] is False
    assert json.loads(json.dumps(schema)) == schema


def test_a_checked_guideline(tmp_path):
    made = project(tmp_path)
    assert made.checked_guideline().name == "g"
    bad = GUIDELINE.replace("name: b", "name: a")
    (tmp_path / "guideline.yaml").write_text(bad)
    with pytest.raises(InputError, match=r"guideline.yaml:7: label 'a' is defined twice"):
        load_project(tmp_path).checked_guideline()


# Gold

WITH_GOLD = BASE + "gold: {path: gold.csv}"
ITEMS = "id,text\n" + "".join(f"{n},text {n}\n" for n in range(6))
GOLD = "id,label,split\n0,a,test\n1,b,test\n2,a,calibration\n3,b,calibration\n4,a,\n9,a,\n"


def gold_project(tmp_path, gold=GOLD):
    return project(tmp_path, WITH_GOLD, items_csv=ITEMS, gold_csv=gold)


def test_gold_to_score_on_is_the_test_split(tmp_path):
    made = gold_project(tmp_path)
    assert [g.item_id for g in made.scoring_gold()] == ["0", "1"]
    assert [g.item_id for g in made.scoring_gold("calibration")] == ["2", "3"]
    with pytest.raises(
        InputError, match=r"gold: no split 'dev' in the gold; there are: calibration, test"
    ):
        made.scoring_gold("dev")
    all_of_it = gold_project(tmp_path, "id,label\n0,a\n1,b\n")
    assert len(all_of_it.scoring_gold()) == 2


def test_authors_who_differ_settle_it_before_scoring(tmp_path):
    agreeing = gold_project(tmp_path, "id,label,author\n0,a,ann\n0,a,bob\n1,b,ann\n")
    assert [(g.item_id, g.author) for g in agreeing.scoring_gold()] == [("0", "ann"), ("1", "ann")]
    assert len(agreeing.gold) == 3
    differing = gold_project(tmp_path, "id,label,author\n0,a,ann\n0,b,\n")
    with pytest.raises(
        InputError, match=r"^gold: item '0' has different labels by 'ann' and 'another'; settle it"
    ):
        differing.scoring_gold()


def test_shots_leave_the_test_split_alone(tmp_path):
    made = gold_project(tmp_path)
    assert made.gold_shots(ShotsConfig()) == []
    pool = made.gold_shots(ShotsConfig(source="gold"))
    assert [(s.item_id, s.label, s.fields) for s in pool] == [
        ("2", "a", {"text": "text 2"}),
        ("3", "b", {"text": "text 3"}),
        ("4", "a", {"text": "text 4"}),
    ]
    assert [s.item_id for s in made.gold_shots(ShotsConfig(source="gold", split="test"))] == [
        "0",
        "1",
    ]
    with pytest.raises(
        InputError, match=r"shots: split: no split 'x' in the gold; there are: calibration, test"
    ):
        made.gold_shots(ShotsConfig(source="gold", split="x"))


def test_shots_of_gold_without_gold(tmp_path):
    made = project(tmp_path, items_csv=ITEMS)
    assert made.gold == []
    with pytest.raises(
        InputError, match=r"shots: source gold, but there is no `gold:`; name a gold file"
    ):
        made.gold_shots(ShotsConfig(source="gold"))


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    made = Project(tmp_path, parse_config(WITH_GOLD, tmp_path / "prelabel.yaml"))
    with pytest.raises(InputError, match=r"guideline.yaml: no such file"):
        _ = made.guideline
    with pytest.raises(InputError, match=r"items.csv: no such file"):
        next(made.items())
    assert list(tmp_path.iterdir()) == []
