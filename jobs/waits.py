"""Errors that mean: later. The attempt is put off, and it does not count."""

from __future__ import annotations

from aquila.errors import RateLimitError


class LimitReached(RateLimitError):  # noqa: N818 - named as the other errors are
    """A provider limit of ours leaves no room for a request soon enough; nothing was sent.

    The run does not repeat the request itself: waiting is the row's, where it holds no slot.
    """

    retryable = False


class BudgetResting(RateLimitError):  # noqa: N818 - named as the other errors are
    """The budget of a tag is used up until its next day or month; nothing was sent."""

    retryable = False
