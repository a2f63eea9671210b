"""Label Studio: a project's config and pre-labeled tasks out, people's annotations back.

Format: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions. A
prediction that names a tag or a label that the config lacks may have the whole import refused.

==============  ================================================================================
task            how its labels stand in Label Studio
==============  ================================================================================
classification  ``Choices``, one; so in matching
multi-label     ``Choices``, several
hierarchical    ``Taxonomy``: ``[["animals", "dogs"]]``
spans           ``Labels`` over the ``Text`` of the field that spans stand in
rating          ``Rating`` for a scale of 1, 2, … to 10 at most; else ``Number``
pairwise        ``Choices`` A, B (and tie) below the texts. Not ``Pairwise``: upstream disagrees
                with itself what its ``to_name`` is, and it knows no tie
extraction      a tag a field: ``Choices`` for closed values, ``Number``, ``DateTime`` for dates,
                ``TextArea`` for strings and lists
relations       ``Relations`` between ``Labels`` results, which are the item's given spans
text            ``TextArea``
==============  ================================================================================

Offsets over ``Text`` are Unicode code points, as in this package: the editor converts what the
browser counts, which is UTF-16 units, and a CRLF counts two (checked with version 1.23.2).
Versions before the end of 2021 wrote UTF-16 units: reading tries these where the covered texts do
not fit.

Who cannot decide skips the task; skipped tasks are not read. An image's source is written as it
is: for a path of this machine Label Studio needs local file serving,
https://labelstud.io/guide/storage#Local-storage.
"""

from prelabel.exchange.labelstudio.controls import CONTROL
from prelabel.exchange.labelstudio.read import ImportedLabel, read_annotations
from prelabel.exchange.labelstudio.write import CONSENSUS, GIVEN, config, tasks, write_tasks

__all__ = [
    "CONSENSUS",
    "CONTROL",
    "GIVEN",
    "ImportedLabel",
    "config",
    "read_annotations",
    "tasks",
    "write_tasks",
]
