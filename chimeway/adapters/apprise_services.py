"""`AppriseAdapter`: the hundred services that Apprise knows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from aquila.errors import ConfigError
from chimeway.adapters.base import check_name
from chimeway.errors import PermanentFailure, TemporaryFailure
from chimeway.message import OutgoingMessage, Receipt


class AppriseAdapter:
    """Sends through Apprise, which is to be installed beside this package: `pip install apprise`.

    Apprise says only whether it worked, so a failure counts as temporary; its own log says more. With several URLs, a failure
    of one repeats all of them in the next attempt: one adapter for each URL keeps them apart.

    Args:
        url: A URL of Apprise's, such as `slack://...`, or several. They are secrets, and shown in no error.
        name: What attempts call it.

    Raises:
        ConfigError: Apprise is not installed, or does not know the URL.
    """

    needs_address = False

    def __init__(self, url: str | Sequence[str], *, name: str = "apprise") -> None:
        self.name = check_name(name)
        try:
            self._library: Any = import_module("apprise")
        except ImportError as error:
            raise ConfigError("AppriseAdapter needs Apprise: pip install apprise") from error
        urls = [url] if isinstance(url, str) else list(url)
        if not urls:
            raise ConfigError("AppriseAdapter needs a URL, such as AppriseAdapter('slack://...')")
        self._urls = urls
        # Now, so that a mistake is found before the first message.
        self._service()

    def deliver(self, message: OutgoingMessage) -> Receipt:
        """Send it.

        Raises:
            PermanentFailure: The message says nothing.
            TemporaryFailure: Apprise could not send it.
        """
        content = message.content
        is_html = not content.text and bool(content.html)
        body = content.text or content.html or ""
        if content.url and content.url not in body:
            body = f"{body}\n\n{content.url}".strip()
        title, body = (content.subject, body) if body else ("", content.subject)
        if not body:
            raise PermanentFailure(f"the message has no text, and {self.name} sends none without")
        # An object of one's own for each call: nothing says that threads may share one.
        took = self._service().notify(body=body, title=title, body_format="html" if is_html else "text")
        if not took:
            raise TemporaryFailure(
                f"{self.name}: Apprise could not send it; the log of the logger 'apprise' says why"
            )
        return Receipt()

    def _service(self) -> Any:
        service = self._library.Apprise()
        for at, url in enumerate(self._urls):
            if not isinstance(url, str) or not service.add(url):
                scheme = url.partition("://")[0][:30] if isinstance(url, str) and "://" in url else "none"
                raise ConfigError(
                    f"Apprise does not know URL {at + 1} (its scheme: {scheme}); it is not shown, look at Apprise's list"
                )
        return service
