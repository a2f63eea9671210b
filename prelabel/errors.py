"""Errors a user can act on: each message says where, what, and what to do next.

PrelabelError
├── InputError      a file, setting or argument is wrong
├── RuleMismatchError  a rule or annotation belongs to another guideline or annotator
├── MissingExtraError  an optional package is needed
└── FatalModelError    the provider refuses every call (key, model name, quota)
"""

from __future__ import annotations


class PrelabelError(Exception):
    """Base of all errors that the command line shows as one line, with exit code 2."""


class InputError(PrelabelError):
    """A file, setting or argument is wrong; the message names the place and the remedy."""


class RuleMismatchError(PrelabelError):
    """A rule was fitted under another guideline or with other annotators."""


class MissingExtraError(PrelabelError):
    """An optional package is needed; the message says what to install."""


class FatalModelError(PrelabelError):
    """The provider refuses every call of an annotator: wrong key, unknown model, no quota."""
