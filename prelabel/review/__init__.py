"""Human review: a web page where people settle what the rule would not accept.

Read in this order: ``schema`` (what is stored), ``settling`` (what opinions come to), ``queue``
(who gets which item), ``building`` (how the queue is made), ``deciding`` (what people do with it),
``forms`` (one a task), ``pages`` and ``app`` (the web). ``hidden``, ``lots`` and ``floor`` are how
people are measured, ``measuring`` and ``times`` what comes of it. ``guard`` and ``sessions`` keep
others out. Nothing here imports the web server but ``app``, ``guard``, ``pages`` and ``serving``.
"""

from prelabel.review.building import lift
from prelabel.review.measuring import fairness
from prelabel.review.results import decisions

__all__ = ["decisions", "fairness", "lift"]
