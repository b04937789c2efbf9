"""Whether a file ends where its writer stopped: what a crash, a full disk or a bad merge cut off is still YAML.

The writer ends each interaction with `key:`, so that the last one without a whole key is cut. What other tools wrote has
no such end; there a body that goes on to the file's last line is looked at itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aquila.cassette.answer import is_event_stream, is_finished

#: Only the recorder writes the status on one line and the body behind it, and then the part that is missing.
_RECORDED = re.compile(r"^    status: \{code: .*^    body:\r?$", re.MULTILINE | re.DOTALL)
_LITERAL = re.compile(r"^( +)string: \|[-+0-9]*[ \t]*\r?$", re.MULTILINE)
_KEY = re.compile(r"[0-9a-f]{32}")


def missing_end(text: str, item: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> str | None:
    """Say what the last interaction of a file lacks because the file is cut off; None if it is whole.

    Args:
        text: The whole file.
        item: The interaction as the file has it.
        headers: Of its answer, names lower-case.
        body: Of its answer, decoded.
    """
    response = item["response"]
    if "aquila" in response:
        return None if _ends(response["aquila"]) else "ends without a whole `key` under `aquila`"
    last = text[max(text.rfind("\n- request:"), 0) :]
    if _RECORDED.search(last):
        return "ends before its `aquila` part"
    if not _is_open(last):
        return None
    if is_event_stream(headers):
        return None if is_finished(body, headers) else "ends in a stream without a last event"
    if "json" in headers.get("content-type", "").lower() and not _is_json(body):
        return "ends in the middle of a JSON body"
    return None


def _ends(extras: Any) -> bool:
    if not isinstance(extras, dict):
        return False
    if extras.get("source") == "written" and "sha" not in extras:
        return True
    key = extras.get("key")
    return isinstance(key, str) and _KEY.fullmatch(key) is not None


def _is_open(last: str) -> bool:
    """Tell whether the body is a literal block that goes on to the end of the file."""
    blocks = list(_LITERAL.finditer(last))
    if not blocks:
        return False
    indent = len(blocks[-1][1])
    lines = last[blocks[-1].end() :].splitlines()
    return all(not line.strip() or line[: indent + 1].isspace() for line in lines)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
