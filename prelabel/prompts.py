"""Guideline + task + item -> chat messages.

Everything that is the same for every item comes first, so that providers' prompt caches hit; the
item comes last, fenced by a tag that its text does not contain. Templates run in a sandbox and may
not use a name that is not given to them.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prelabel.errors import InputError
from prelabel.records import Item, Label, content_hash
from prelabel.resources import data_folder
from prelabel.shots import Selector, Shot, make_selector
from prelabel.tasks import OffListError, shorten

if TYPE_CHECKING:
    from jinja2 import Template

    from prelabel.guideline import Guideline
    from prelabel.project import AnnotatorConfig
    from prelabel.tasks import Task

Message = dict[str, Any]


class Prompt(NamedTuple):
    """The messages that follow the static prefix, and the ids of gold items shown in them."""

    messages: list[Message]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Compiler:
    """Compiles items for one annotator; ``static`` is the prefix that all its prompts share."""

    template: Template
    task: Task
    static: list[Message]
    selector: Selector
    rationale: bool
    shown: tuple[str, ...]

    def compile(self, item: Item) -> Prompt:
        """Return what follows the static prefix for ``item``, the item last."""
        if self.selector.static:
            return Prompt([self._user(item.fields)], self.shown)
        shots = self.selector.choose(item)
        turns = [message for shot in shots for message in self._turn(shot)]
        shown = tuple(shot.item_id for shot in shots if shot.item_id)
        return Prompt([*turns, self._user(item.fields)], shown)

    def _user(self, fields: Mapping[str, str]) -> Message:
        return {"role": "user", "content": render_item(self.template, fields)}

    def _turn(self, shot: Shot) -> list[Message]:
        answer = self.task.answer(shot.label)
        if self.rationale:
            answer = {"rationale": shot.why or f"It fits: {named(shot.label)}."} | answer
        text = json.dumps(answer, ensure_ascii=False)
        return [self._user(shot.fields), {"role": "assistant", "content": text}]


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
    system = render_system(
        template, guideline=guideline, rationale=config.rationale, show_examples=not in_turns
    )
    static: list[Message] = [{"role": "system", "content": system}]
    compiler = Compiler(template, task, static, selector, config.rationale, ())
    if not selector.static:
        return compiler
    shots = selector.choose(None)
    for shot in shots:
        static.extend(compiler._turn(shot))  # noqa: SLF001
    shown = tuple(shot.item_id for shot in shots if shot.item_id)
    return Compiler(template, task, static, selector, config.rationale, shown)


def guideline_shots(guideline: Guideline, task: Task) -> list[Shot]:
    """Return the guideline's own examples as shots: each label's first, then each one's second, ….

    A text stands once. Raises ``InputError`` for an example whose labels the task cannot hold.
    """
    shots: dict[str, Shot] = {}
    columns = [[(label.name, e) for e in label.examples] for label in guideline.labels]
    rounds = (cell for cells in zip_longest(*columns) for cell in cells if cell)
    for name, example in rounds:
        try:
            found = task.match(example.labels or [name])
        except OffListError as error:
            raise InputError(
                f"guideline {guideline.name!r}: label {name!r}, example "
                f"{shorten(example.text, 40)}: {error}; mend its labels"
            ) from None
        shots.setdefault(example.text, Shot({"text": example.text}, found, example.why))
    return list(shots.values())


def load_template(task: str, prompt: str, folder: Path) -> Template:
    """Load a shipped prompt (``full``, ``brief``) or a file of one's own (``….jinja``).

    A template has the blocks ``system`` (sees ``guideline``, ``rationale``, ``show_examples``) and
    ``item`` (sees ``fields``, ``fence``); it may extend or include the shipped ones.
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
    env.filters["tojson_text"] = lambda text: json.dumps(text, ensure_ascii=False)
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


def render_item(template: Template, fields: Mapping[str, str]) -> str:
    """Render the fenced item."""
    return render_block(template, "item", {"fields": fields, "fence": fence(fields.values())})


def fence(texts: Iterable[str]) -> str:
    """Return a tag name for which no text can write a tag.

    Plain ``item`` nearly always; where a text has both the word and an angle bracket (also one
    that only looks like it), a name made from the text's own hash, which nobody can write into
    the text beforehand, and which is the same at every run.
    """
    text = "\n".join(texts)
    shape = unicodedata.normalize("NFKC", text).casefold()
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


def named(label: Label) -> str:
    """Name a label for people."""
    return label if isinstance(label, str) else ", ".join(label) or "none of the labels"
