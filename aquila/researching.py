"""`Research`: deep research with defaults; `aquila.research` is the same without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack, cast
from uuid import uuid4

from aquila import storage
from aquila.cassette import Scope
from aquila.errors import ConfigError, TotalTimeout
from aquila.options import Options, check_names
from aquila.pickup import Pickup
from aquila.plan import Plan
from aquila.planning import make_plan
from aquila.prompt import Prompt
from aquila.request_options import RequestOptions, check_request_options, request_options
from aquila.response import Response
from aquila.roundtrip import Line
from aquila.settings import Settings, read_settings
from aquila.streams import Stream
from aquila.timeouts import Timeouts

DEFAULT_MODEL = "o3-deep-research"
#: The model may say nothing for as long as it likes: a stream that falls silent is picked up again where it was, at no
#: cost, and whatever happens, the answer stays at the provider. Hence no clock for content, and two hours in all, which
#: is far above what research takes.
TIMEOUTS = Timeouts(first_chunk=None, idle=None, total=7200.0)

_SEARCH = {"type": "web_search_preview"}
#: Tools that give the model something to search in; it does not work without one.
_SOURCES = ("web_search", "file_search", "mcp")
_RUNNING = {"queued", "in_progress"}


class Research:
    """Deep research with defaults.

    Args:
        defaults: Options of every call that its own options do not name; a model here takes the place of
            `o3-deep-research`.
        settings: What the environment says; None reads it.
        scope: A cassette that the calls share; None for none.

    Raises:
        ConfigError: The environment holds a value that cannot be used.
        TypeError: An option is unknown.
    """

    def __init__(
        self, defaults: Options | None = None, settings: Settings | None = None, scope: Scope | None = None
    ) -> None:
        check_names(defaults or {})
        self._defaults: Options = defaults or {}
        self._settings = settings or read_settings()
        self._scope = scope

    async def create(self, prompt: Prompt | None = None, **options: Unpack[Options]) -> Response:
        """Start a run in the background; see `aquila.research.create`.

        Raises:
            ConfigError: An option's value cannot be used.
            AquilaError: The request failed.
            TypeError: An option is unknown.
        """
        given = self._merged(options)
        plan = self._plan(
            prompt, {**given, "extra_body": {"stream": False, **(given.get("extra_body") or {})}}
        )
        # An answer in one piece has no options of streaming, and the API refuses them.
        endpoint = plan.endpoint.with_profile(plan.endpoint.profile.evolve(obfuscates=False))
        async with self._line(given, plan.call.model) as line:
            read = partial(storage.read_stored, line)
            response = await line.send(
                "POST", endpoint.path, read, body=endpoint.body(plan.call), repeatable=False
            )
        return response.evolve(
            messages=(*plan.call.messages, *response.messages), meta=plan.call.metadata or response.meta
        )

    def stream(
        self,
        prompt: Prompt | None = None,
        *,
        response_id: str | None = None,
        starting_after: int | None = None,
        **options: Unpack[Options],
    ) -> Stream[Any]:
        """Prepare to follow a run; see `aquila.research.stream`.

        Raises:
            ConfigError: An option's value cannot be used.
            TypeError: An option is unknown.
        """
        given = self._merged(options)
        given["timeout"] = Timeouts.of(given.get("timeout"), TIMEOUTS)
        if response_id is None:
            if starting_after is not None:
                raise ConfigError(f"starting_after={starting_after!r} says nothing without response_id=")
            plan = self._plan(prompt, given)
        else:
            plan = self._attached(prompt, given, response_id, starting_after)
        return Stream(plan, sink=given.get("sink"))

    async def fetch(
        self, response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> Response:
        """Fetch a run as it is now; see `aquila.research.fetch`.

        Raises:
            ConfigError: The id or an option's value cannot be used.
            AquilaError: The request failed.
            TypeError: An option is unknown.
        """
        async with self._asking(options, model) as line:
            return await storage.retrieve(line, response_id)

    async def cancel(
        self, response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> Response:
        """End a run at the provider; see `aquila.research.cancel`.

        Raises:
            ConfigError: The id or an option's value cannot be used.
            AquilaError: The request failed.
            TypeError: An option is unknown.
        """
        async with self._asking(options, model) as line:
            return await storage.cancel(line, response_id)

    async def wait(
        self,
        response_id: str,
        *,
        model: str | None = None,
        pause: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> Response:
        """Ask for a run until it has ended; see `aquila.research.wait`.

        Raises:
            ConfigError: The id or an option's value cannot be used.
            TotalTimeout: It has not ended in time.
            AquilaError: A request failed.
            TypeError: An option is unknown.
        """
        pauses = Pickup((response_id, None))
        response: Response | None = None
        async with self._asking(options, model, TIMEOUTS) as line:
            try:
                while True:
                    response = await storage.retrieve(line, response_id)
                    if response.status not in _RUNNING:
                        return response
                    await line.pause(pauses.next_pause() if pause is None else pause)
            except TotalTimeout as error:
                error.partial = response
                raise

    def _merged(self, options: Mapping[str, Any]) -> Options:
        check_names(options)
        given = {name: value for name, value in options.items() if value is not None}
        return cast("Options", {**self._defaults, **given})

    def _asking(self, options: RequestOptions, model: str | None, timeouts: Timeouts | None = None) -> Line:
        check_request_options(options)
        return self._line(self._merged(options), model, timeouts)

    def _line(self, given: Options, model: str | None, timeouts: Timeouts | None = None) -> Line:
        return Line(
            request_options(given),
            model=model or given.get("model") or DEFAULT_MODEL,
            settings=self._settings,
            scope=self._scope,
            timeouts=timeouts,
        )

    def _plan(self, prompt: Prompt | None, given: Options) -> Plan:
        options: Options = {**given, "tools": _with_source(given.get("tools") or ())}
        options["model"] = given.get("model") or DEFAULT_MODEL
        # No other API works in the background.
        options["endpoint"] = "responses"
        options["background"] = True
        return make_plan(prompt, options, self._settings, ref=uuid4().hex, scope=self._scope)

    def _attached(self, prompt: Prompt | None, given: Options, response_id: str, after: int | None) -> Plan:
        # What was asked is known to the provider; it matters here only for the conversation that the answer ends.
        storage.response_path(response_id)
        known = prompt is not None or bool(given.get("messages"))
        plan = self._plan(prompt if known else response_id, given)
        asked = plan.call.messages if known else ()
        return plan.evolve(call=replace(plan.call, messages=asked, attach=(response_id, after)))


def _with_source(tools: Sequence[Any]) -> Sequence[Any]:
    if not isinstance(tools, list | tuple):
        # No list: whoever checks the options says so.
        return tools
    kinds = [str(item.get("type") or "") for item in tools if isinstance(item, Mapping)]
    return tools if any(kind.startswith(_SOURCES) for kind in kinds) else [*tools, dict(_SEARCH)]
