"""One line of the standard library's logging for each HTTP request."""

from __future__ import annotations

import logging

logger = logging.getLogger("aquila")


def log_request(
    *,
    ref: str,
    model: str,
    status: int | None,
    request_id: str | None,
    attempt: int,
    seconds: float,
    error: BaseException | None = None,
) -> None:
    """Log the end of one HTTP request at debug; neither content nor key is in it.

    Args:
        ref: The run's name.
        model: The model asked for.
        status: The HTTP status; None when no answer came.
        request_id: The provider's id of the request; None if it gave none.
        attempt: Which request of the run this was, from 1.
        seconds: How long it took, body included.
        error: What it ended in, of which only the class is logged; None when it ended well.
    """
    if not logger.isEnabledFor(logging.DEBUG):
        return
    logger.debug(
        "request_done ref=%s model=%s status=%s request_id=%s attempt=%d seconds=%.3f error=%s",
        ref,
        _word(model),
        "-" if status is None else status,
        _word(request_id),
        attempt,
        seconds,
        "-" if error is None else type(error).__name__,
    )


def _word(value: str | None) -> str:
    # These come from outside: whitespace would tear the line, or its fields, apart.
    return "_".join(value.split()) if value and value.strip() else "-"
