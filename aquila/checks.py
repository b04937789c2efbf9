"""What `aquila doctor` reports: one `Check` for each thing it looked at.

Other packages add theirs through the entry-point group `aquila.checks`: a function without arguments that returns a
list of Check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "off", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding, in words."""

    #: What was looked at: `jobs: Redis`.
    name: str
    #: `off` is a choice or an extra that is not installed; `problem` makes doctor exit with 1.
    state: State
    #: What was found, in one sentence; never a secret.
    detail: str
    #: What to do about it; empty when there is nothing to do.
    remedy: str = ""
