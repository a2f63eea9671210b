"""Human review: a web page where people settle what the rule would not accept.

Read in this order: ``schema`` (what is stored), ``settling`` (what opinions come to), ``queue``
(who gets which item), ``deciding`` (what people do with it), ``forms`` (one a task), ``pages`` and
``app`` (the web). ``guard`` and ``sessions`` keep others out. Nothing here imports the web server
but ``app``, ``guard``, ``pages`` and ``serving``.
"""

from prelabel.review.results import decisions

__all__ = ["decisions"]
