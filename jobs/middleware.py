"""Calls the host's Dramatiq middleware around each attempt, as Dramatiq's own worker does."""

from __future__ import annotations

from functools import partial
from typing import Any

import dramatiq
from anyio import to_thread
from dramatiq.broker import MessageProxy
from dramatiq.middleware import MiddlewareError

from aquila.errors import ConfigError
from jobs.outcome import Errored, Finished, Outcome
from jobs.wire import Wire


class Hooks:
    """`before_process_message` and `after_process_message` of one message; in a thread, because they may block."""

    def __init__(self, wire: Wire, message: dramatiq.Message[Any]) -> None:
        self._broker = wire.broker
        self._proxy = MessageProxy(message)

    async def before(self) -> None:
        """Tell the middleware that the attempt begins.

        Raises:
            ConfigError: One of them skipped the message, so the job is discarded.
        """
        if not self._broker.middleware:
            return
        try:
            await to_thread.run_sync(self._broker.emit_before, "process_message", self._proxy)
        except MiddlewareError as error:
            raise ConfigError(f"a middleware skipped the message: {error!r}") from error

    async def after(self, outcome: Outcome) -> None:
        """Tell the middleware how the attempt ended, once that is stored."""
        if self._broker.middleware:
            await to_thread.run_sync(partial(self._emit_after, outcome))

    def _emit_after(self, outcome: Outcome) -> None:
        match outcome:
            case Finished(_, result):
                self._broker.emit_after("process_message", self._proxy, result=result)
            case Errored(error):
                try:
                    raise error  # noqa: TRY301 - so that format_exc() finds it
                except BaseException:  # noqa: BLE001 - raised one line above
                    self._broker.emit_after("process_message", self._proxy, exception=error)
            case _:
                self._broker.emit_after("skip_message", self._proxy)
