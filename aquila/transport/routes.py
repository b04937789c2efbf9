"""`RoutedTransport`: one transport for several providers, chosen by the model's name."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from aquila.errors import ConfigError
from aquila.transport.base import LOCAL_BASE_URL, LOCAL_MODEL, Request, Transport, TransportResponse
from aquila.transport.default import local_transport, openai_transport


class RoutedTransport:
    """Hands each request to the transport whose pattern fits its model.

    A pattern is a model's name, or a shell pattern such as `gpt-*` or `local/*` (`*`, `?`, `[...]`; case counts). A name
    that fits exactly comes first, then the longest pattern; of equally long ones, the one named first. The transports
    stay the caller's to close, because several routes may share one.

    Example:
        `RoutedTransport({"gpt-*": None, "groq/*": OpenAITransport(base_url="https://api.groq.com/openai/v1",
        api_key=key)})`
    """

    def __init__(self, routes: Mapping[str, Transport | None], default: Transport | None = None) -> None:
        """Prepare.

        Args:
            routes: A transport for each pattern; None stands for the one that calls without a transport use.
            default: For models that no pattern fits; None refuses them. The route `"*": None` sends them where calls
                without a transport go.

        Raises:
            ConfigError: There is neither a route nor a default, or a pattern is empty.
        """
        if not routes and default is None:
            raise ConfigError("RoutedTransport has no route; name at least one, or a default")
        if any(not pattern for pattern in routes):
            raise ConfigError("RoutedTransport: a pattern is empty; use '*' for every model")
        self._routes = dict(routes)
        self._default = default
        self._patterns = sorted(self._routes, key=len, reverse=True)

    def base_url_for(self, model: str | None) -> str | None:
        """Give the base URL that requests for a model go to; None leaves it to the call and the environment.

        Raises:
            ConfigError: No route fits the model.
        """
        transport = self._find(model)
        if transport is None:
            return LOCAL_BASE_URL if model == LOCAL_MODEL else None
        if isinstance(transport, RoutedTransport):
            return transport.base_url_for(model)
        address: str | None = getattr(transport, "base_url", None)
        return address

    async def send(self, request: Request) -> TransportResponse:
        """Send one request through the transport for its model.

        Raises:
            ConfigError: No route fits the model.
            ConnectionFailed: No connection could be made, or it broke.
            ConnectTimeout: It took longer than `request.connect_timeout`.
        """
        transport = self._find(request.model)
        if transport is None:
            transport = local_transport() if request.model == LOCAL_MODEL else openai_transport()
        return await transport.send(request)

    async def aclose(self) -> None:
        """Do nothing: the transports are the caller's."""

    def _find(self, model: str | None) -> Transport | None:
        if model is not None:
            if model in self._routes:
                return self._routes[model]
            for pattern in self._patterns:
                if fnmatchcase(model, pattern):
                    return self._routes[pattern]
        if self._default is None:
            known = ", ".join(map(repr, self._routes))
            raise ConfigError(
                f"no route for model={model!r}; the patterns are {known}: add one, or a default to RoutedTransport"
            )
        return self._default
