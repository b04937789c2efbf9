"""What servers have taught a transport about themselves, kept as long as the transport lives."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from aquila.endpoint.profile import Profile
from aquila.transport.base import Transport

_LESSONS: WeakKeyDictionary[Transport, dict[str, Profile]] = WeakKeyDictionary()


def lessons_of(transport: Transport) -> dict[str, Profile]:
    """Give the profiles learnt through a transport, by base URL.

    A recorder or a replay lives for one run and remembers nothing, so that what is recorded does not depend on what
    was sent before.
    """
    owner = getattr(transport, "owner", transport)
    try:
        return _LESSONS.setdefault(owner, {})
    except TypeError:
        # A transport of the user's that cannot be referred to weakly: each of its runs learns for itself.
        return {}
