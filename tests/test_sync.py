"""Synchronous callers: one portal thread, no leaks, and nothing left behind on any path."""

from __future__ import annotations

import contextvars
import gc
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, sleep

import anyio
import pytest
from anyio import to_thread

import aquila
from aquila import errors, sync
from aquila.events import Chunk, Done, Event
from aquila.sync.handover import Handover
from aquila.sync.portal import the_portal
from aquila.testing import Answer, ScriptedTransport
from tests import wire


def scripted(*chunks: bytes | float | aquila.AquilaError) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=chunks))


def endless() -> ScriptedTransport:
    """An answer that begins and then hangs."""
    return scripted(wire.delta("a"), 60.0)


def eventually(holds: Callable[[], bool]) -> bool:
    limit = perf_counter() + 5
    while not holds() and perf_counter() < limit:
        sleep(0.01)
    return holds()


async def hang(connection: wire.Connection) -> None:
    connection.start()
    connection.send(wire.delta("a"))
    await connection.closed.wait()


async def play(connection: wire.Connection) -> None:
    connection.play(wire.answer("Hel", "lo"))


def test_ask_gives_the_whole_answer() -> None:
    answer = sync.ask("hi", transport=scripted(*wire.answer("Hel", "lo")))

    assert (answer.text, answer.status) == ("Hello", "completed")


async def test_ask_works_over_a_real_socket_from_a_thread() -> None:
    async with wire.serve(play) as server:
        answer = await to_thread.run_sync(lambda: sync.ask("hi", base_url=server.url))

    assert answer.text == "Hello"


def test_a_stream_is_iterated_event_by_event_with_done_last() -> None:
    with sync.stream("hi", transport=scripted(*wire.answer("Hel", "lo"))) as s:
        events = list(s)

    assert [event.text for event in events if isinstance(event, Chunk) and event.text] == ["Hel", "lo"]
    assert isinstance(events[-1], Done)
    assert s.response().text == "Hello"


def test_text_gives_the_fragments_alone() -> None:
    with sync.stream("hi", transport=scripted(*wire.answer("Hel", "lo"))) as s:
        assert "".join(s.text) == "Hello"


def test_nothing_is_sent_before_the_first_read() -> None:
    transport = scripted(*wire.answer("x"))

    with sync.stream("hi", transport=transport) as s:
        assert transport.requests == []
        assert s.response().text == "x"

    assert list(s) == []


def test_the_response_can_be_asked_for_in_the_middle_and_again() -> None:
    with sync.stream("hi", transport=scripted(*wire.answer("a", "b"))) as s:
        next(s)

        assert s.response().text == "ab"
        assert s.response().text == "ab"
        assert list(s) == []


def test_a_failure_is_raised_once_by_iterating_and_always_by_response() -> None:
    with sync.stream("hi", transport=scripted(wire.delta("x"))) as s:
        seen: list[Event] = []
        with pytest.raises(errors.StreamTruncated) as caught:
            seen.extend(s)
        assert list(s) == []
        with pytest.raises(errors.StreamTruncated):
            s.response()

    assert caught.value.partial is not None
    assert caught.value.partial.text == "x"


def test_ask_raises_what_the_run_failed_with() -> None:
    with pytest.raises(errors.StreamTruncated):
        sync.ask("hi", transport=scripted(wire.delta("x")))


async def test_inside_an_event_loop_the_error_names_the_async_form() -> None:
    with pytest.raises(errors.ConfigError, match=r"await aquila\.ask"):
        sync.ask("hi")
    with pytest.raises(errors.ConfigError, match=r"async with aquila\.stream"):
        sync.stream("hi")
    with pytest.raises(errors.ConfigError, match="create_task_group"):
        sync.results()


async def test_a_stream_made_outside_a_loop_refuses_to_be_read_inside_one() -> None:
    s = await to_thread.run_sync(lambda: sync.stream("hi", transport=endless()))

    with pytest.raises(errors.ConfigError, match="async with"):
        next(s)
    with pytest.raises(errors.ConfigError, match="await"):
        s.response()


def test_leaving_the_block_early_closes_the_connection_at_once() -> None:
    transport = endless()

    with sync.stream("hi", transport=transport) as s:
        for event in s:
            if isinstance(event, Chunk):
                break
        start = perf_counter()

    assert perf_counter() - start < 1
    assert transport.open == 0
    assert list(s) == []
    with pytest.raises(aquila.AquilaError, match="closed by its reader") as caught:
        s.response()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


async def test_leaving_the_block_early_closes_the_socket() -> None:
    def read_one(url: str) -> None:
        with sync.stream("hi", base_url=url) as s:
            next(s.text)

    async with wire.serve(hang) as server:
        await to_thread.run_sync(read_one, server.url)
        with anyio.fail_after(5):
            await server.connections[0].closed.wait()


def test_a_dropped_stream_is_closed_with_a_warning() -> None:
    transport = endless()
    s = sync.stream("hi", transport=transport)
    next(s)

    with pytest.warns(ResourceWarning, match=s.ref):
        del s
        gc.collect()

    assert eventually(lambda: transport.open == 0)


def test_a_stream_that_was_read_to_its_end_or_never_begun_is_dropped_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(sync.stream("hi", transport=scripted(*wire.answer("x"))))
        sync.stream("hi", transport=endless())
        gc.collect()


def test_closing_twice_or_before_the_beginning_is_no_trouble() -> None:
    s = sync.stream("hi", transport=endless())

    s.close()
    next(s)
    s.close()
    s.close()


def test_context_variables_of_the_calling_thread_are_seen() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[str] = []
    name.set("caller")

    with aquila.sink.ambient(aquila.sink.callback(lambda event: seen.append(f"{name.get()} {event.type}"))):
        sync.ask("hi", transport=scripted(*wire.answer("x")))

    assert (seen[0], seen[-1]) == ("caller started", "caller done")


def test_a_plain_function_as_sink_gets_every_event() -> None:
    types: list[str] = []

    sync.ask(
        "hi",
        transport=scripted(*wire.answer("x")),
        sink=aquila.sink.callback(lambda event: types.append(event.type)),
    )

    assert types[0] == "started"
    assert types[-1] == "done"


def test_a_sink_may_close_the_stream_that_feeds_it() -> None:
    transport = endless()

    def close(event: Event) -> None:
        if isinstance(event, Chunk):
            s.close()

    s = sync.stream("hi", transport=transport, sink=aquila.sink.callback(close))
    with pytest.raises(aquila.AquilaError, match="closed by its reader"):
        s.response()

    assert transport.open == 0


def test_a_worker_thread_of_a_run_may_ask_in_its_turn() -> None:
    inner: list[str] = []

    async def ask_again(event: Event) -> None:
        if isinstance(event, Done):
            answer = await to_thread.run_sync(lambda: sync.ask("hi", transport=scripted(*wire.answer("in"))))
            inner.append(answer.text)

    outer = sync.ask("hi", transport=scripted(*wire.answer("out")), sink=aquila.sink.callback(ask_again))

    assert (outer.text, inner) == ("out", ["in"])


def test_a_plain_function_as_tool_may_block_and_the_object_asked_for_comes_back() -> None:
    call = {
        "id": "call-1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
    }
    rounds = (
        [wire.delta(tool_calls=[{"index": 0, **call}]), wire.delta(finish="tool_calls"), wire.DONE],
        wire.answer('{"result": [21, 22]}'),
    )

    def weather(city: str) -> str:
        sleep(0.05)
        return f"{city}: sunny"

    answer = sync.ask(
        "hi",
        transport=ScriptedTransport(*(Answer(chunks=chunks) for chunks in rounds)),
        tools=[weather],
        output=list[int],
    )

    assert answer.parsed == [21, 22]
    assert [call.name for call in answer.tool_calls] == ["weather"]


def test_a_slow_thread_makes_the_run_wait() -> None:
    texts = [wire.delta(f"{number} ") for number in range(2_000)]
    transport = scripted(*texts, *wire.answer("end"))
    seen: list[Event] = []

    with sync.stream("hi", transport=transport, sink=aquila.sink.callback(seen.append)) as s:
        next(s)
        sleep(0.2)
        ahead = len(seen)
        text = "".join(s.text)

    assert ahead < 1_000
    assert text == "".join(f"{number} " for number in range(2_000)) + "end"


def test_fifty_threads_share_one_loop() -> None:
    def one(number: int) -> str:
        chunks = [wire.delta(str(number)), 0.1, *wire.answer("!")]
        return sync.ask("hi", transport=scripted(*chunks)).text

    start = perf_counter()
    with ThreadPoolExecutor(50) as threads:
        texts = list(threads.map(one, range(50)))

    assert texts == [f"{number}!" for number in range(50)]
    assert perf_counter() - start < 2.5
    assert sum(thread.name == "aquila-sync" for thread in threading.enumerate()) == 1


def test_results_runs_together_and_keeps_the_order() -> None:
    def slow(text: str) -> aquila.Stream:
        return aquila.stream("hi", transport=scripted(0.2, *wire.answer(text)))

    start = perf_counter()
    answers = sync.results(*(slow(text) for text in "abcdefghij"))

    assert [answer.text for answer in answers] == list("abcdefghij")
    assert perf_counter() - start < 1
    assert sync.results() == []


def test_the_first_failure_of_results_ends_the_others() -> None:
    hanging = endless()

    with pytest.raises(errors.StreamTruncated):
        sync.results(
            aquila.stream("hi", transport=hanging), aquila.stream("hi", transport=scripted(wire.delta("x")))
        )

    assert hanging.open == 0


def test_a_sink_that_ends_the_loop_does_not_leave_its_thread_waiting() -> None:
    def leave(event: Event) -> None:
        raise SystemExit

    before = the_portal()
    with pytest.raises(aquila.AquilaError, match="ended"):
        sync.ask("hi", transport=endless(), sink=aquila.sink.callback(leave))

    assert eventually(lambda: not before.alive)
    assert sync.ask("hi", transport=scripted(*wire.answer("x"))).text == "x"


def run_script(body: str) -> subprocess.CompletedProcess[str]:
    script = "import os, sys, threading, time, aquila\nfrom aquila import sync\nfrom tests import wire\n"
    script += "from aquila.testing import Answer, ScriptedTransport\n"
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", script + body],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_forked_child_gets_a_portal_of_its_own() -> None:
    done = run_script("""
def answer(): return ScriptedTransport(Answer(chunks=wire.answer("x")))
left = sync.stream("hi", transport=ScriptedTransport(Answer(chunks=(wire.delta("a"), 60.0))))
next(left)
over = sync.stream("hi", transport=answer())
over.response()
if not (child := os.fork()):
    assert over.response().text == "x"
    assert sync.ask("hi", transport=answer()).text == "x"
    try:
        left.response()
    except aquila.AquilaError as error:
        assert "forked" in str(error)
        left.close()
        print("child", flush=True)
    sys.exit(0)
status = os.waitpid(child, 0)[1]
assert sync.ask("hi", transport=answer()).text == "x"
left.close()
print("parent", status)
""")

    assert done.stdout.split() == ["child", "parent", "0"]
    assert [line for line in done.stderr.splitlines() if "fork" not in line] == []


def test_the_process_exits_quickly_and_quietly_in_the_middle_of_streams() -> None:
    start = perf_counter()
    done = run_script("""
s = sync.stream("hi", transport=ScriptedTransport(Answer(chunks=(wire.delta("a"), 60.0))))
next(s)
def forever(): sync.ask("hi", transport=ScriptedTransport(Answer(chunks=(60.0,))))
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
""")

    assert (done.returncode, done.stderr) == (0, "")
    assert perf_counter() - start < 15


async def test_ctrl_c_cancels_the_run_and_closes_the_socket() -> None:
    script = "import sys\nfrom aquila import sync\nsync.ask('hi', base_url=sys.argv[1])\n"
    asked = anyio.Event()

    async def hang_audibly(connection: wire.Connection) -> None:
        asked.set()
        await hang(connection)

    async with (
        wire.serve(hang_audibly) as server,
        await anyio.open_process([sys.executable, "-c", script, server.url]) as process,
    ):
        with anyio.fail_after(20):
            await asked.wait()
            await anyio.sleep(0.1)
            process.send_signal(signal.SIGINT)
            await server.connections[0].closed.wait()
            assert process.stderr is not None
            said = b"".join([chunk async for chunk in process.stderr])
            await process.wait()

    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith(b"KeyboardInterrupt")


async def test_a_thread_takes_all_that_is_there_in_one_go() -> None:
    handover = Handover()

    await handover.put([Chunk("a"), Chunk("b")])
    await handover.put([Chunk("c")])
    handover.end()

    assert handover.take(lambda _: None) == [Chunk("a"), Chunk("b"), Chunk("c")]
    assert handover.take(lambda _: None) == []
