"""What a cancellation is about: a key, an event, a notification or a delivery of one tenant, as conditions on rows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, false, select

from aquila.errors import ConfigError
from chimeway.errors import NotificationNotFound
from chimeway.tables import deliveries, events, fanouts, notifications, runs
from chimeway.trigger_checks import checked_tenant
from jobs.sqltypes import storable

#: The table that each id is one of.
_HOMES = {"event_id": events, "notification_id": notifications, "delivery_id": deliveries}


@dataclass(frozen=True, slots=True)
class Scope:
    """One name for what is to be cancelled."""

    tenant_id: str
    #: `key`, `event_id`, `notification_id` or `delivery_id`.
    by: str
    value: str

    def deliveries(self) -> ColumnElement[bool]:
        """Give the condition of its deliveries."""
        if self.by == "delivery_id":
            return and_(deliveries.c.tenant_id == self.tenant_id, deliveries.c.id == self.value)
        return and_(deliveries.c.tenant_id == self.tenant_id, self._among(deliveries))

    def runs(self) -> ColumnElement[bool]:
        """Give the condition of the runs that are to be stopped; a single delivery stops none."""
        if self.by == "delivery_id":
            return false()
        return and_(runs.c.tenant_id == self.tenant_id, self._among(runs))

    def fanouts(self) -> ColumnElement[bool]:
        """Give the condition of its recipients that are not planned yet."""
        if self.by not in {"key", "event_id"}:
            return false()
        theirs = select(events.c.id).where(events.c.tenant_id == self.tenant_id, self._of_events())
        return fanouts.c.event_id.in_(theirs)

    def _among(self, table: Table) -> ColumnElement[bool]:
        if self.by == "notification_id":
            return table.c.notification_id == self.value
        theirs = select(events.c.id).where(events.c.tenant_id == self.tenant_id, self._of_events())
        return table.c.event_id.in_(theirs)

    def _of_events(self) -> ColumnElement[bool]:
        return events.c.id == self.value if self.by == "event_id" else events.c.cancellation_key == self.value


def read_scope(tenant_id: str, **names: str | None) -> Scope:
    """Read what a caller has named.

    Args:
        tenant_id: Whose it is.
        names: `key`, `event_id`, `notification_id`, `delivery_id`; all but one are None.

    Raises:
        ConfigError: Not one thing is named, or it is no text.
    """
    given = {name: value for name, value in names.items() if value is not None}
    if len(given) != 1:
        said = " and ".join(given) or "nothing"
        raise ConfigError(f"cancel takes one of {', '.join(names)}, and {said} was given")
    name, value = next(iter(given.items()))
    if not isinstance(value, str) or not value.strip() or value != storable(value):
        raise ConfigError(f"cancel({name}={value!r}) takes a text that is not blank")
    return Scope(checked_tenant(tenant_id), name, value)


def check_there(connection: Connection, scope: Scope) -> None:
    """Refuse an id that the tenant does not have; a key without triggers is no mistake.

    Raises:
        NotificationNotFound: There is nothing with that id.
    """
    table = _HOMES.get(scope.by)
    if table is None:
        return
    query = select(table.c.id).where(table.c.id == scope.value, table.c.tenant_id == scope.tenant_id)
    if connection.execute(query).first() is None:
        what = scope.by.removesuffix("_id")
        raise NotificationNotFound(f"no {what} {scope.value!r} in the tenant {scope.tenant_id!r}")
