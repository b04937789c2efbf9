"""`LocalTransport`: the local model under one stable address, wherever its server happens to listen.

Requests are written for `http://aquila.local/v1`, so that recordings of them fit on every machine; the real address and
the key are put in here, below every recorder.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from anyio import to_thread

from aquila.errors import ConfigError, ConnectionFailed
from aquila.local.attach import LINGER, attach_local
from aquila.settings import Settings, read_settings
from aquila.shared_server import Attachment
from aquila.transport.base import LOCAL_BASE_URL, Request, Transport, TransportResponse
from aquila.transport.openai import OpenAITransport


class LocalTransport:
    """Sends requests to the shared local server, starting it at the first one.

    The server stays while the transport is attached, and a minute longer. Safe to use from several tasks, and from
    several event loops if the inner transport is.
    """

    #: What requests are written for, wherever the server listens.
    base_url = LOCAL_BASE_URL

    def __init__(
        self, inner: Transport | None = None, *, settings: Settings | None = None, linger: float = LINGER
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            inner: What carries the requests; None means a new `OpenAITransport`.
            settings: Where the server's folder is; None means the environment, read at the first request.
            linger: Seconds the server stays after its last client, if this transport starts it.
        """
        self._inner = inner or OpenAITransport()
        self._settings = settings
        self._linger = linger
        self._attachment: Attachment | None = None
        #: Held by worker threads only, never across an await.
        self._changing = threading.Lock()

    async def send(self, request: Request) -> TransportResponse:
        """Send one request to the local server, once more if that one has gone away since the last.

        Raises:
            ConfigError: The extra or the model is missing, the server did not start, or the URL is another one.
            ConnectionFailed: The server broke the connection twice.
            ConnectTimeout: It took longer than `request.connect_timeout`, the server's start not counted.
        """
        attachment = self._attachment or await self._attached(None)
        try:
            return await self._inner.send(addressed(request, attachment))
        except ConnectionFailed:
            attachment = await self._attached(attachment)
        return await self._inner.send(addressed(request, attachment))

    async def aclose(self) -> None:
        """Close the connections and let go of the server. The transport may be used again afterwards."""
        await self._inner.aclose()
        await to_thread.run_sync(self._detach)

    async def _attached(self, broken: Attachment | None) -> Attachment:
        # A cancelled caller does not wait for a start; the thread keeps the attachment for the next one or for aclose.
        return await to_thread.run_sync(self._attach, broken, abandon_on_cancel=True)

    def _attach(self, broken: Attachment | None) -> Attachment:
        with self._changing:
            if self._attachment is None or self._attachment is broken:
                fresh = attach_local(self._settings or read_settings(), linger=self._linger)
                if broken is not None:
                    broken.release()
                self._attachment = fresh
            return self._attachment

    def _detach(self) -> None:
        with self._changing:
            if self._attachment is not None:
                self._attachment.release()
                self._attachment = None


def addressed(request: Request, attachment: Attachment) -> Request:
    """Write the server's real address and key into a request for the stable one.

    Raises:
        ConfigError: The request is for another address.
    """
    if not request.url.startswith(LOCAL_BASE_URL):
        raise ConfigError(f"{request.url} is not the local model's; its base_url is {LOCAL_BASE_URL}")
    path = request.url.removeprefix(LOCAL_BASE_URL)
    return replace(
        request,
        url=f"{attachment.address['url']}/v1{path}",
        headers={**request.headers, "authorization": f"Bearer {attachment.address['api_key']}"},
    )
