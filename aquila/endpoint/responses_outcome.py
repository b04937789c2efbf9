"""What the end of a response says: usage, finish reason, failure. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aquila.endpoint.failure import Failure, read_failure, stream_error
from aquila.endpoint.wire_json import excerpt
from aquila.errors import AquilaError, ProviderStreamError

_FAILED = {"failed", "cancelled"}
_WORSE = {*_FAILED, "incomplete"}
#: Reasons by which a response is cut, in the words of `finish_reason`.
_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def outcome(name: str, status: object) -> str:
    """Give the status a response has ended in.

    Args:
        name: What the event is called.
        status: What the response inside says, which gateways forget; where it is worse, it counts: some end every
            response as completed.
    """
    return status if isinstance(status, str) and name == "completed" and status in _WORSE else name


def finish_facts(response: Mapping[str, Any], *, has_calls: bool) -> dict[str, Any]:
    """Give the finish reason and the status of a response that has come to an end."""
    if response.get("status") != "incomplete":
        return {"finish_reason": "tool_calls" if has_calls else "stop", "status": "completed"}
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    known = reason if isinstance(reason, str) and reason else "incomplete"
    return {"finish_reason": _REASONS.get(known, known), "status": "incomplete"}


def failure_of(response: Mapping[str, Any]) -> AquilaError | None:
    """Turn a failed or cancelled response into an error; None for any other."""
    status = response.get("status")
    if not isinstance(status, str) or status not in _FAILED:
        return None
    said = response.get("error")
    if said:
        return stream_error(read_failure({"error": said}) or Failure(message=excerpt(said)))
    return ProviderStreamError(
        f"the provider says that the response is {status}, and not why", code=str(status)
    )
