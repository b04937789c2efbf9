"""`Notifier`: declares what a kind of event tells whom on which channels; and triggers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, get_args

from aquila.errors import ConfigError
from chimeway.declaration import check_notifier, places_of
from chimeway.errors import NotifierInvalid
from chimeway.fanout import AT_ONCE
from chimeway.models import Event
from chimeway.planning import PlanOptions
from chimeway.policy import Digest, Throttle
from chimeway.privacy import redacted
from chimeway.recipient import Recipient, as_recipients
from chimeway.registry import register
from chimeway.rendering import render
from chimeway.trigger import OnDuplicate, Order, Triggered, atrigger, trigger
from chimeway.trigger_checks import Keys, checked_params
from chimeway.workflow import Workflow
from jobs.host_connection import AsyncHostSession, HostSession
from jobs.rows import new_id
from jobs.threads import in_thread

#: Stands in an event until it is added.
_UNSET = datetime(1970, 1, 1, tzinfo=UTC)


class Notifier:
    """Declares what a kind of event tells whom, on which channels. A subclass with a `notification_key` can be triggered.

    ```python
    class WelcomeNotifier(chimeway.Notifier):
        notification_key = "welcome"
        channels = ("email",)
        email = chimeway.Content(subject="Welcome, {name}!", text="Good to have you here.")

    WelcomeNotifier.trigger(user_id, {"name": "Ada"}, session=session)
    ```

    What a channel says stands in the attribute of its name: a `Content`, whose blanks the parameters fill, a text, or a method
    `(self, recipient, params)` that gives one. With a workflow an attribute of the step's name goes before its channel's.
    """

    #: The kind of event, as rows and jobs name it; it outlives the class's own name.
    notification_key: ClassVar[str] = ""
    #: Of what it says; kept with each event.
    version: ClassVar[int] = 1
    #: Where it goes, without a workflow.
    channels: ClassVar[Sequence[str]] = ("in_app",)
    #: What recipients may switch off as a whole: `"marketing"`.
    category: ClassVar[str | None] = None
    #: Goes out whatever the recipient prefers: password resets, say.
    critical: ClassVar[bool] = False
    #: Channels that are left out if the notification was read by the time they are sent.
    only_unread: ClassVar[Sequence[str]] = ()
    #: Attempts of one delivery in all.
    max_attempts: ClassVar[int] = 5
    #: How many of them one recipient gets within a time.
    throttle: ClassVar[Throttle | None] = None
    #: How deliveries are held to go out as one.
    digest: ClassVar[Digest | None] = None
    #: The steps it goes through, instead of all channels at once.
    workflow: ClassVar[Workflow | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.notification_key:
            check_notifier(cls, reserved=dir(Notifier))
            register(cls.notification_key, cls)

    def recipients(self, recipient: Any, params: Mapping[str, Any]) -> Iterable[Recipient]:
        """Say who is told: by default whom the trigger names. Override it to find them by the parameters.

        Args:
            recipient: What the trigger was given: an id, a `Recipient`, or several.
            params: The trigger's parameters.
        """
        return as_recipients(recipient)

    @classmethod
    def trigger(
        cls,
        recipient: Any,
        params: Mapping[str, Any] | None = None,
        *,
        session: HostSession | None = None,
        idempotency_key: str | None = None,
        tenant_id: str = "default",
        correlation_id: str | None = None,
        cancellation_key: str | None = None,
        on_duplicate: OnDuplicate = "return",
    ) -> Triggered:
        """Tell people of an event.

        With a session all rows, and the jobs that deliver, are added in the caller's transaction: its commit means that they
        go out, its rollback, or that of a savepoint, that they do not. Without one a transaction of our own is committed
        before anything is sent. What an adapter raises is kept with the delivery and never raised here.

        Args:
            recipient: Whom: an id, a `Recipient`, or several of them.
            params: What fills the contents, JSON values. They are kept without passwords, tokens and other secrets.
            session: A session or connection of SQLAlchemy's to the database of the jobs. Nothing is committed.
            idempotency_key: A second trigger of a tenant with the same key adds nothing. None: each trigger is its own.
            tenant_id: Whose it is.
            correlation_id: What it belongs to elsewhere, a request for instance; traces are found by it.
            cancellation_key: `chimeway.cancel(key=...)` takes back what has not gone out.
            on_duplicate: `"redrive"` gives what a duplicate left unsent to the dispatcher once more.

        Returns:
            The event, its notifications and their deliveries; those of the first trigger for a duplicate.

        Raises:
            NotifierInvalid: A recipient, a parameter, a key or a content cannot be used.
            ConfigError: The session is none in whose transaction this can be done, or the jobs cannot be used as configured.
            WorkflowConflict: The workflow's version is stored with other steps.
            StorageError: The database failed, and nothing was added.
            SQLAlchemyError: A statement failed in the caller's transaction.
        """
        keys = Keys(tenant_id, idempotency_key, correlation_id, cancellation_key)
        return trigger(cls._order(recipient, params, keys, on_duplicate), session)

    @classmethod
    async def atrigger(
        cls,
        recipient: Any,
        params: Mapping[str, Any] | None = None,
        *,
        session: AsyncHostSession | None = None,
        idempotency_key: str | None = None,
        tenant_id: str = "default",
        correlation_id: str | None = None,
        cancellation_key: str | None = None,
        on_duplicate: OnDuplicate = "return",
    ) -> Triggered:
        """Do as `trigger` does, with an asynchronous session and without blocking the loop.

        The notifier's own methods run in a thread.

        Args:
            recipient: Whom: an id, a `Recipient`, or several of them.
            params: What fills the contents, JSON values.
            session: An asynchronous session or connection of SQLAlchemy's to the database of the jobs.
            idempotency_key: A second trigger of a tenant with the same key adds nothing. None: each trigger is its own.
            tenant_id: Whose it is.
            correlation_id: What it belongs to elsewhere.
            cancellation_key: `chimeway.acancel(key=...)` takes back what has not gone out.
            on_duplicate: `"redrive"` gives what a duplicate left unsent to the dispatcher once more.

        Returns:
            The event, its notifications and their deliveries; those of the first trigger for a duplicate.

        Raises:
            NotifierInvalid: A recipient, a parameter, a key or a content cannot be used.
            ConfigError: The session is none in whose transaction this can be done, or the jobs cannot be used as configured.
            WorkflowConflict: The workflow's version is stored with other steps.
            StorageError: The database failed, and nothing was added.
            SQLAlchemyError: A statement failed in the caller's transaction.
        """
        keys = Keys(tenant_id, idempotency_key, correlation_id, cancellation_key)
        order = await in_thread(cls._order, recipient, params, keys, on_duplicate)
        return await atrigger(order, session)

    @classmethod
    def places(cls) -> dict[str, str]:
        """Give what each channel, or each step of the workflow, takes its content from: the attribute's name."""
        return places_of(cls)

    @classmethod
    def planned(cls) -> dict[str, Any]:
        """Give what planning needs to know of it: its channels, its options and its workflow."""
        options = PlanOptions(
            max_attempts=cls.max_attempts,
            critical=cls.critical,
            only_unread=tuple(cls.only_unread),
            throttle=cls.throttle.to_dict() if cls.throttle else None,
            digest=cls.digest.to_dict() if cls.digest else None,
        )
        return {"channels": tuple(dict.fromkeys(cls.channels)), "options": options, "workflow": cls.workflow}

    @classmethod
    def _order(
        cls, recipient: Any, params: Mapping[str, Any] | None, keys: Keys, on_duplicate: OnDuplicate
    ) -> Order:
        if not cls.notification_key:
            raise ConfigError(f"{cls.__name__} has no notification_key; give it one, and it can be triggered")
        if on_duplicate not in get_args(OnDuplicate):
            raise ConfigError(f"on_duplicate={on_duplicate!r} must be 'return' or 'redrive'")
        notifier, given = cls(), checked_params(params)
        recipients = as_recipients(notifier.recipients(recipient, given))
        event_id = new_id()
        facts = cls.planned()
        event = Event(
            event_id=event_id,
            notification_key=cls.notification_key,
            notification_version=cls.version,
            idempotency_key=keys.idempotency_key or event_id,
            tenant_id=keys.tenant_id,
            correlation_id=keys.correlation_id,
            cancellation_key=keys.cancellation_key,
            category=cls.category,
            payload=redacted(given, where="params"),
            options=facts["options"].to_dict(),
            created_at=_UNSET,
        )
        order = Order(event=event, recipients=recipients, on_duplicate=on_duplicate, **facts)
        if not order.is_large:
            return replace(order, rendered=render(notifier, recipients, given))
        # Rendered where they are planned, from what is stored of the parameters: what cannot be is told here and now.
        try:
            render(notifier, recipients[:1], event.payload)
        except NotifierInvalid as error:
            raise NotifierInvalid(
                f"{error}. With more than {AT_ONCE} recipients contents are made of what is stored: JSON values, without "
                "parameters whose names are those of secrets"
            ) from error
        return order
