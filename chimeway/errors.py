"""Every error of chimeway, in one tree below the client's.

```
ChimewayError             below aquila.AquilaError
├── NotifierInvalid       a notifier's declaration cannot be used (also a ConfigError)
├── WorkflowConflict      a workflow's version is stored with other steps
├── NotificationNotFound  no such event, notification, delivery, run or bucket in this tenant
├── FeedbackRefused       a provider's webhook is not what it says it is
└── DeliveryError         raised by adapters: what became of a delivery
    ├── TemporaryFailure  try again later
    ├── PermanentFailure  no other attempt helps
    └── Bounced           the address does not take it
```
"""

from __future__ import annotations

from typing import Any

from aquila.errors import AquilaError, ConfigError


class ChimewayError(AquilaError):
    """The root of the errors that `chimeway` adds."""


class NotifierInvalid(ChimewayError, ConfigError):
    """A notifier or a workflow is declared in a way that cannot be used."""


class WorkflowConflict(ChimewayError):
    """A workflow of this key and version is stored with other steps; raise its version."""


class NotificationNotFound(ChimewayError):
    """No such event, notification, delivery or run in this tenant."""


class FeedbackRefused(ChimewayError):
    """A provider's webhook has a wrong signature, is too old, or cannot be read."""


class DeliveryError(ChimewayError):
    """Raised by adapters: the delivery did not arrive."""

    #: The word that the attempt's row has.
    error_class = "unknown"
    # Defaults for classes of a host's own whose `__init__` does not call this one.
    #: What the provider calls the message, if it took it.
    provider_message_id: str | None = None
    #: What the provider answered, as JSON values without secrets.
    response: dict[str, Any] | None = None
    #: Seconds that the provider asks to wait; None if it does not say.
    retry_after: float | None = None

    def __init__(
        self,
        message: str,
        *,
        provider_message_id: str | None = None,
        response: dict[str, Any] | None = None,
        retry_after: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.provider_message_id = provider_message_id
        self.response = response
        self.retry_after = retry_after


class TemporaryFailure(DeliveryError):
    """It may arrive if it is sent again later."""

    retryable = True
    error_class = "temporary"


class PermanentFailure(DeliveryError):
    """No other attempt helps."""

    error_class = "permanent"


class Bounced(DeliveryError):
    """The address does not exist or does not take it."""

    error_class = "bounced"
