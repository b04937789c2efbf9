"""Where requests go, and how they travel: `Destination`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from aquila.cassette.secrets.secret import request_secrets
from aquila.cassette.secrets.secret_names import is_secret_header
from aquila.retry import Retry
from aquila.timeouts import Timeouts
from aquila.transport.base import Request, Transport

#: A parameter of a base URL with such a name is a credential, whatever its value looks like.
_ALWAYS_SECRET = ("key", "code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where requests go, and how they travel."""

    base_url: str
    #: Lower-case names. Not part of the representation: they hold the key.
    headers: Mapping[str, str] = field(repr=False)
    #: Makes the transport when something is to be sent, not before; whoever calls it closes what it gives.
    transport: Callable[[], Transport]
    timeouts: Timeouts
    retry: Retry

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not appear in an error; the longest first, as a shorter one may be a part of it."""
        whole = {value for name, value in self.headers.items() if value and is_secret_header(name)}
        parts = {secret.value for secret in request_secrets(self.base_url, self.headers, _ALWAYS_SECRET)}
        return tuple(sorted(whole | parts, key=len, reverse=True))

    @property
    def server(self) -> str:
        """The server's name in the history: its host, and its port where that is unusual."""
        return urlsplit(self.base_url).netloc

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        model: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """Make a request.

        Args:
            method: `POST`, `GET`, `DELETE`.
            path: What follows the base URL.
            body: The request's body.
            query: Parameters, encoded; those of the base URL stay (Azure has its API version there).
            model: The model asked for, where there is one.
            headers: Replace headers of the same name.
        """
        parts = urlsplit(self.base_url)
        joined = "&".join(text for text in (parts.query, query) if text)
        url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=joined, fragment=""))
        return Request(
            method=method,
            url=url,
            headers={**self.headers, **(headers or {})},
            body=body,
            model=model,
            connect_timeout=self.timeouts.connect,
        )
