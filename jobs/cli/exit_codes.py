"""What the exit codes of a command mean, for its help."""

from __future__ import annotations

EXIT_CODES = (
    "Exit codes: 0 what was asked for has happened; 1 it has not, and one line on stderr says why; 2 a wrong command "
    "line; 130 Ctrl-C. With --json, stdout holds JSON alone."
)
