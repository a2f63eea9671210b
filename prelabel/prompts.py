"""Guideline + task + item -> chat messages.

Everything that is the same for every item comes first, so that providers' prompt caches hit; the
item comes last, fenced by a tag that its text does not contain. Templates run in a sandbox and may
not use a name that is not given to them.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prelabel.errors import InputError
from prelabel.guideline_parts import leaves
from prelabel.records import Image, Item, Label, content_hash
from prelabel.resources import data_folder
from prelabel.shots import Selector, Shot, make_selector
from prelabel.tasks import OffListError, shorten

if TYPE_CHECKING:
    from jinja2 import Template

    from prelabel.guideline import Guideline
    from prelabel.preselection import Preselector
    from prelabel.settings import AnnotatorConfig
    from prelabel.tasks import Task

Message = dict[str, Any]

CHOSEN_BY_NAME = ("classification", "multi-label", "hierarchical")
"""Tasks whose label sets may be large, so that labels are preselected."""

SHOWN_CONFIDENCES = (90, 60, 100, 75, 85, 50, 95, 70)
"""What examples show as confidence, in turn. Nobody knows how hard they were, so these only show
the form, as the prompt says. One number for all would be repeated for every item, 100 first of all;
without the field, or with words in its place, answers would follow the examples and lack it."""

ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


class Prompt(NamedTuple):
    """The messages that follow the static prefix, and what they show beside the item.

    ``shown`` are the ids of gold items, ``images`` all pictures, those of the prefix too.
    """

    messages: list[Message]
    shown: tuple[str, ...]
    images: tuple[Image, ...] = ()


@dataclass(frozen=True)
class Compiler:
    """Compiles items for one annotator; ``static`` is the prefix that all its prompts share."""

    template: Template
    task: Task
    static: list[Message]
    selector: Selector
    shots: tuple[Shot, ...]
    preselector: Preselector | None
    rationale: bool
    confidence: bool

    def compile(self, item: Item) -> Prompt:
        """Return what follows the static prefix for ``item``, the item last."""
        asked = self._user(item.fields, item.images, self._candidates(item))
        shots, turns = self.shots, list[Message]()
        if not self.selector.static:
            shots = tuple(self.selector.choose(item))
            turns = self.turns(shots)
        shown = tuple(shot.item_id for shot in shots if shot.item_id)
        images = (*item.images, *(image for shot in shots for image in shot.images))
        return Prompt([*turns, asked], shown, images)

    def _candidates(self, item: Item) -> str:
        """Return the definitions of the labels that are likeliest for an item, if only these."""
        if self.preselector is None:
            return ""
        text = "\n".join(item.fields.values())
        if not text.strip():  # a picture alone: nothing to choose by
            return ""
        chosen = self.preselector.definitions(text, item.id)
        include = self.template.environment.get_template("_candidates.jinja")
        return include.render(candidates=chosen).strip() + "\n\n"

    def _user(
        self, fields: Mapping[str, str], images: Sequence[Image] = (), before: str = ""
    ) -> Message:
        text = before + render_item(self.template, fields, self.task.guideline)
        if not images:
            return {"role": "user", "content": text}
        from prelabel.images import content_block

        if any(field.strip() for field in fields.values()):
            noun = self.task.guideline.item
            belong = "picture belongs" if len(images) == 1 else f"{len(images)} pictures belong"
            text = f"The {belong} to the {noun} below.\n\n{text}"

        blocks = [content_block(image) for image in images]
        return {"role": "user", "content": [*blocks, {"type": "text", "text": text}]}

    def turns(self, shots: Sequence[Shot]) -> list[Message]:
        """Return examples as a conversation: each item, and the answer to it."""
        asked = {"rationale": self.rationale, "confidence": self.confidence}
        turns: list[Message] = []
        for shot, answer in zip(shots, shown_answers(self.task, shots, **asked), strict=True):
            text = json.dumps(answer, ensure_ascii=False)
            turns += self._user(shot.fields, shot.images), {"role": "assistant", "content": text}
        return turns


def make_compiler(
    guideline: Guideline,
    task: Task,
    config: AnnotatorConfig,
    gold_shots: Sequence[Shot],
    folder: Path,
) -> Compiler:
    """Prepare an annotator's prompts.

    ``gold_shots`` is the pool used when ``config.shots.source`` is ``gold``; a template of one's
    own is looked for in ``folder``. Raises ``InputError`` for a template that is missing or does
    not render.
    """
    template = load_template(task.name, config.prompt, folder)
    in_turns = config.shots.choose != "none" and config.shots.source == "guideline"
    pool = guideline_shots(guideline, task) if in_turns else gold_shots
    selector = make_selector(config.shots, pool)
    preselector = preselector_of(guideline, config, gold_shots)
    shots = tuple(selector.choose(None)) if selector.static else ()
    asked = {"rationale": config.rationale, "confidence": config.confidence}
    worked = [] if in_turns else worked_answers(guideline, task, **asked)
    system = render_system(
        template,
        guideline=guideline,
        rationale=config.rationale,
        show_examples=not in_turns,
        worked=worked,
        preselected=preselector is not None,
    )
    if config.confidence:
        shown = bool(worked or shots or not selector.static)
        system += "\n" + render_confidence(template, guideline, shown=shown)
    static: list[Message] = [{"role": "system", "content": system}]
    compiler = Compiler(template, task, static, selector, shots, preselector, **asked)
    static.extend(compiler.turns(shots))
    return compiler


def preselector_of(
    guideline: Guideline, config: AnnotatorConfig, gold_shots: Sequence[Shot]
) -> Preselector | None:
    """Return what chooses the labels that are defined to each item; None where all are."""
    if config.candidates is None:
        return None
    if guideline.task not in CHOSEN_BY_NAME:
        raise InputError(
            f"annotator {config.name!r}: candidates: is for {', '.join(CHOSEN_BY_NAME)} only; "
            f"take it out, the task is {guideline.task}"
        )
    from prelabel.preselection import Preselector

    return Preselector(guideline, gold_shots, config.candidates)


def guideline_shots(guideline: Guideline, task: Task) -> list[Shot]:
    """Return the guideline's own examples as shots.

    Worked examples first, then each label's first, each one's second, …. A text stands once.
    Raises ``InputError`` for an example whose labels the task cannot hold.
    """
    shots: dict[str, Shot] = {}
    for number, worked in enumerate(guideline.examples, 1):
        item = Item(f"example {number}", worked.shown)
        found = _matched(guideline, f"example {number}", task, worked.answer, item)
        shots.setdefault("\n".join(item.fields.values()), Shot(item.fields, found, worked.why))
    if task.needs_item:  # a label's examples are then mentions, not items
        return list(shots.values())
    columns = [[(path, e) for e in label.examples] for path, label in leaves(guideline.labels)]
    for path, example in (cell for cells in zip_longest(*columns) for cell in cells if cell):
        where = f"label {path[-1]!r}, example {shorten(example.text, 40)}"
        found = _matched(guideline, where, task, example.labels or list(path))
        shots.setdefault(example.text, Shot({"text": example.text}, found, example.why))
    return list(shots.values())


def worked_answers(guideline: Guideline, task: Task, **asked: bool) -> list[dict[str, Any]]:
    """Return the guideline's worked examples as a prompt shows them: fields, answer, why."""
    own = guideline_shots(guideline.model_copy(update={"labels": ()}), task)
    answers = shown_answers(task, own, **asked)
    return [
        {"fields": shot.fields, "answer": answer, "why": "" if asked["rationale"] else shot.why}
        for shot, answer in zip(own, answers, strict=True)
    ]


def shown_answers(
    task: Task, shots: Sequence[Shot], *, rationale: bool, confidence: bool
) -> list[dict[str, Any]]:
    """Return the answers that examples show."""
    answers = []
    for number, shot in enumerate(shots):
        answer = task.worked(shot.label, Item("", shot.fields))
        if rationale:
            answer = {"rationale": shot.why or f"It fits: {named(shot.label)}."} | answer
        if confidence:
            answer = answer | {"confidence": SHOWN_CONFIDENCES[number % len(SHOWN_CONFIDENCES)]}
        answers.append(answer)
    return answers


def _matched(
    guideline: Guideline, where: str, task: Task, answer: Any, item: Item | None = None
) -> Label:
    try:
        return task.match(answer, item)
    except OffListError as error:
        raise InputError(f"guideline {guideline.name!r}: {where}: {error}; mend it") from None


def load_template(task: str, prompt: str, folder: Path) -> Template:
    """Load a shipped prompt (``full``, ``brief``) or a file of one's own (``….jinja``).

    A template has the blocks ``system`` (sees ``guideline``, ``rationale``, ``show_examples``) and
    ``item`` (sees ``fields``, ``fence``, ``guideline``); it may extend or include the shipped ones.
    """
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    shipped = data_folder("prompts")
    own = folder / prompt if prompt.endswith(".jinja") else None
    name = own.name if own else f"{task}.jinja" if prompt == "full" else f"{task}.{prompt}.jinja"
    folders = [own.parent, shipped] if own else [shipped]
    if not (folders[0] / name).is_file():
        known = ", ".join(sorted(p.name for p in shipped.glob(f"{task}*.jinja")))
        raise InputError(
            f"prompt {prompt!r} was not found for task {task!r}; use full, brief or the path of "
            f"a .jinja file (shipped: {known})"
        )
    env = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=False,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["tojson_text"] = lambda value: json.dumps(value, ensure_ascii=False)
    env.filters["from_json"] = from_json
    env.globals["is_questions"] = lambda node: (
        isinstance(node, (list, tuple)) and any(hasattr(q, "ask") for q in node)
    )
    try:
        template = env.get_template(name)
        blocks = {block for part in lineage(template) for block in part.blocks}
    except Exception as error:  # noqa: BLE001  a template of one's own can fail in any way
        raise template_error(prompt, error) from None
    for block in ("system", "item"):
        if block not in blocks:
            raise InputError(f"{prompt}: no block named {block!r}; add {{% block {block} %}}")
    return template


def from_json(text: str) -> Any:
    """Return the object or list that a field's text holds as JSON; else the text itself."""
    from prelabel.tasks.answers import json_of

    found = json_of(text) if text[:1] in ("{", "[") else None
    return text if found is None else found


@cache
def lineage(template: Template) -> tuple[Template, ...]:
    """Return a template and those that it extends, the nearest first."""
    from jinja2 import nodes

    env = template.environment
    found = [template]
    while True:
        name = found[-1].name or ""
        assert env.loader
        tree = env.parse(env.loader.get_source(env, name)[0])
        extends = next(tree.find_all(nodes.Extends), None)
        if extends is None:
            return tuple(found)
        parent = env.get_template(extends.template.as_const())
        if parent in found:
            raise ValueError(f"{parent.name} extends itself; give your template another name")
        found.append(parent)


def template_error(name: str, error: Exception) -> InputError:
    """Say in one line where a template failed, and why."""
    place, why = name, str(error).split("\n")[0]
    if line := getattr(error, "lineno", None):  # a syntax error
        place = f"{getattr(error, 'name', None) or name}:{line}"
    trace = error.__traceback__
    while trace:
        if template := trace.tb_frame.f_globals.get("__jinja_template__"):
            place = f"{template.name}:{template.get_corresponding_lineno(trace.tb_lineno)}"
        trace = trace.tb_next
    return InputError(f"{place}: {why.rstrip('.') or type(error).__name__}; mend the template")


def render_block(template: Template, block: str, values: Mapping[str, Any]) -> str:
    """Render one block of a template, without the blank lines around it."""
    try:
        context = template.new_context(dict(values))
        for parent in lineage(template)[1:]:
            for name, inherited in parent.blocks.items():
                context.blocks.setdefault(name, []).append(inherited)
        return "".join(context.blocks[block][0](context)).strip()
    except Exception as error:  # noqa: BLE001  a template of one's own can fail in any way
        raise template_error(template.name or block, error) from None


def render_system(template: Template, **values: Any) -> str:
    """Render the static part: the guideline and how to answer."""
    return render_block(template, "system", values)


def render_confidence(template: Template, guideline: Guideline, *, shown: bool) -> str:
    """Render how to give one's own confidence; ``shown`` where examples give one."""
    # beside the template, not in it: one's own templates need no change for it
    include = template.environment.get_template("_confidence.jinja")
    return include.render(guideline=guideline, shown=shown).strip()


def render_item(template: Template, fields: Mapping[str, str], guideline: Guideline) -> str:
    """Render the fenced item."""
    values = {"fields": fields, "fence": fence(fields.values()), "guideline": guideline}
    return render_block(template, "item", values)


def fence(texts: Iterable[str]) -> str:
    """Return a tag name for which no text can write a tag.

    Plain ``item`` nearly always; where a text has both the word and an angle bracket (also one
    that only looks like it), a name made from the text's own hash, which nobody can write into
    the text beforehand, and which is the same at every run.
    """
    text = "\n".join(texts)
    decoded = ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)  # templates may decode JSON
    shape = unicodedata.normalize("NFKC", f"{text}\n{decoded}").casefold()
    shape = "".join(c for c in shape if unicodedata.category(c) != "Cf")
    name = "item"
    digest = text.encode("utf-8", "surrogatepass")
    while "<" in shape and name in shape:
        name = "item-" + hashlib.sha256(digest).hexdigest()[:8]
        digest += b"+"
    return name


def template_hash(template: Template) -> str:
    """Identify a prompt by the sources it is made of, included files too."""
    from jinja2 import TemplateNotFound, meta

    env = template.environment
    assert env.loader
    sources: dict[str, str] = {}
    waiting = [template.name or ""]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        try:
            sources[name] = env.loader.get_source(env, name)[0]
        except TemplateNotFound:  # an include that may be missing
            sources[name] = ""
        found = meta.find_referenced_templates(env.parse(sources[name]))
        waiting += [other for other in found if other]
    return content_hash(sorted(sources.values()))


def named(label: Label, *, path: bool = False) -> str:
    """Name a label for people; ``path`` says that a list of names leads from one to the next."""
    if isinstance(label, dict):
        return ", ".join(f"{name}: {named(value)}" for name, value in label.items()) or "nothing"
    if not isinstance(label, list | tuple):
        return str(label)
    return (" > " if path else ", ").join(map(_named_entry, label)) or "none of the labels"


def _named_entry(entry: Any) -> str:
    """Name one entry of a label: a label's name, a span, or a relation."""
    if not isinstance(entry, dict):
        return str(entry)
    if "head" in entry:
        return f"{entry['head']} {entry['label']} {entry['tail']}"
    return f"{entry.get('text', '')!r} {entry.get('label', '')}".strip()
