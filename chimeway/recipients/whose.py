"""`Whose`: whom a preference or a setting belongs to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aquila.errors import ConfigError
from chimeway.recipient import as_recipients
from chimeway.trigger_checks import checked_tenant


@dataclass(frozen=True, slots=True)
class Whose:
    """A recipient of a tenant's."""

    tenant_id: str
    identity: str


def whose(recipient: Any, tenant_id: str) -> Whose:
    """Read whom a host means: an id, or a `Recipient`.

    Raises:
        ConfigError: It names nobody or several, or the tenant's name cannot be one.
    """
    checked_tenant(tenant_id)
    found = as_recipients(recipient)
    if len(found) != 1:
        raise ConfigError(f"this takes one recipient, not {len(found)}; call it once for each")
    return Whose(tenant_id, found[0].identity)
