"""What chance decides in a review: each draw follows from the seed and what it is for, and stays.

The seed is made once for each database and kept there; whoever knows it can repeat every draw.
"""

from __future__ import annotations

import hashlib
import json


def lot(seed: str, *what: str | int) -> float:
    """Return a number from 0 to 1, below 1, that looks random and is always the same."""
    text = json.dumps([seed, *what])
    drawn = hashlib.sha256(text.encode()).digest()[:8]
    return int.from_bytes(drawn, "big") / 2**64
