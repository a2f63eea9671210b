"""The file of audits: killed while it was written, damaged, and written by several at once."""

import multiprocessing
from dataclasses import replace

import pytest
from audit_projects import fill, noisy, project_of

from prelabel.audit_log import FILE, append, read_log
from prelabel.audited_errors import audit_error
from prelabel.auditing_accepted import audit
from prelabel.errors import InputError
from prelabel.project import load_project


@pytest.fixture
def made(tmp_path):
    truth, said = noisy()
    return project_of(tmp_path, truth, said), truth, said


def test_a_line_cut_short_never_counted(made, tmp_path):
    project, truth, _ = made
    path = tmp_path / "s.csv"
    audit(project, path, n=20)
    fill(path, truth)
    audit_error(project, path)
    file = project.state / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])  # killed while it wrote
    assert len(read_log(project).outcomes) == 19
    again = audit_error(project, path)
    assert (again.new, again.checked) == (1, 20)
    assert len(file.read_bytes().splitlines()) == 21
    file.write_bytes(whole[:50] + b"\n" + whole[60:])
    with pytest.raises(InputError, match=r"audits.jsonl:1: not a line of the audits; restore"):
        read_log(project)


def _add(folder, drawn):
    project = load_project(folder)
    for n in range(25):
        append(project, [replace(drawn, audit=f"{drawn.audit}-{n}")])


def test_several_writers(made, tmp_path):
    project, _, _ = made
    found = audit(project, tmp_path / "s.csv", n=50)
    drawn = read_log(project).draws[found.audit]
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_add, args=(tmp_path, replace(drawn, audit=str(k))))
        for k in range(3)
    ]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert len(read_log(project).draws) == 1 + 75
