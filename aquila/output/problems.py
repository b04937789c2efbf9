"""What is wrong with an answer, in lines that a person and a model can both act on."""

from __future__ import annotations

import re

from pydantic import ValidationError

#: A model that gets everything wrong is told the first of it; more would not help.
_MOST = 20
_LONGEST = 300
_AROUND = 20
_POSITION = re.compile(r" at line (\d+) column (\d+)")


def list_problems(error: ValidationError, text: str) -> tuple[str, ...]:
    """List what pydantic found, one `path: message` each; at most 20 and a count of the rest.

    Values are left out: an answer may be long, and may hold what its reader should not see in a log.

    Args:
        error: What pydantic raised.
        text: The text it read, for an excerpt where that is no JSON.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = []
    for problem in found[:_MOST]:
        path = ".".join(str(step) for step in problem["loc"]) or "(root)"
        message = problem["msg"]
        if problem["type"] == "json_invalid":
            message = _broken(message, text)
        problems.append(f"{path[:_LONGEST]}: {message[:_LONGEST]}")
    if len(found) > _MOST:
        problems.append(f"(root): and {len(found) - _MOST} more")
    return tuple(problems)


def _broken(message: str, text: str) -> str:
    if not text:
        return "Invalid JSON: there is no text"
    position = _POSITION.search(message)
    if position is None:
        return message
    line, column = int(position.group(1)), int(position.group(2))
    lines = text.encode("utf-8", "replace").split(b"\n")
    # The parser counts bytes, and the fault may be at the end, behind the last line.
    around = lines[line - 1][max(column - _AROUND, 0) : column + _AROUND] if line <= len(lines) else b""
    return f"{message}, at {around.decode('utf-8', 'ignore')!r}"
