"""The main job, end to end: a document is summarised by a durable job on the local model.

Run it with `make demo`. It needs no key and no server of yours: Valkey and llama.cpp run on this machine for as long as
the demo does. The exit code is 0 only if every step really happened.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio

import aquila
import jobs
from aquila.local.attach import server_name
from aquila.settings import ensure_state_dir, read_settings
from aquila.shared_server import stop
from jobs.embedded import SERVER_NAME

DOCUMENT = Path(__file__).parent / "library.txt"
SETTINGS = read_settings()
FOLDER = ensure_state_dir(SETTINGS.state_dir) / "demo"
AQUILA = [sys.executable, "-m", "aquila.cli"]


def say(step: int, text: str) -> None:
    print(f"\n[{step}/5] {text}", flush=True)


@contextmanager
def worker() -> Iterator[None]:
    """Run `aquila worker` beside this process, recording what the model says.

    Raises:
        AquilaError: It does not start.
    """
    log = FOLDER / "worker.log"
    environment = {
        **os.environ,
        "AQUILA_CASSETTES": "rewrite",
        "AQUILA_CASSETTE_DIR": str(FOLDER / "cassettes"),
    }
    with log.open("wb") as output:
        process = subprocess.Popen([*AQUILA, "worker"], env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, start_new_session=True)  # fmt: skip
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise aquila.AquilaError(f"the worker did not start: {log.read_text().strip()[-300:]}")
            if "ready" in log.read_text():
                break
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_servers() -> None:
    """Stop the servers, unless somebody else uses them, and say so."""
    jobs.close()
    for what, name in (("model", server_name(SETTINGS.local_model)), ("Valkey", SERVER_NAME)):
        stopped = stop(name, SETTINGS.state_dir)
        print(
            f"The {what} server is stopped."
            if stopped
            else f"The {what} server stays: another process uses it."
        )


@contextmanager
def seen_through(handle: jobs.JobHandle) -> Iterator[None]:
    """Cancel the job if the demo ends before it does, so that no later worker runs it."""
    try:
        yield
    finally:
        if not handle.job().ended:
            handle.cancel()


def replay(text: str) -> tuple[str, float]:
    """Run the same actor again, in this process, from the cassette alone: no server, no model, no socket."""
    os.environ.update(AQUILA_CASSETTES="none", AQUILA_CASSETTE_DIR=str(FOLDER / "cassettes"))
    start = time.perf_counter()
    replayed = anyio.run(lambda: jobs.generate_summary(text, model="local"))
    return replayed, time.perf_counter() - start


def run(servers: ExitStack) -> None:
    text = DOCUMENT.read_text()
    servers.callback(stop_servers)
    with worker():
        say(1, f"A worker runs; its jobs travel through Valkey and live in {SETTINGS.state_dir}/aquila.db")
        handle = jobs.generate_summary.send(text, document_id=DOCUMENT.name, model="local")
        with seen_through(handle):
            words = len(text.split())
            say(2, f"Enqueued generate_summary on {DOCUMENT.name} ({words} words) as job {handle.job_id}")
            say(3, f"Its tokens, live, in a second process: aquila jobs follow {handle.job_id}")
            subprocess.run([*AQUILA, "jobs", "follow", handle.job_id], check=True)
            summary = handle.result(timeout=30)
        say(4, f"The stored row: aquila jobs show {handle.job_id}")
        subprocess.run([*AQUILA, "jobs", "show", handle.job_id], check=True)
    say(5, "The same call again, from the cassette that the job recorded, with no model at all:")
    servers.close()
    replayed, seconds = replay(text)
    if not summary or replayed != summary:
        raise aquila.AquilaError(
            f"the replay differs from the stored output: {replayed!r} is not {summary!r}"
        )
    if "httpx" in sys.modules:
        raise aquila.AquilaError("the replay loaded the HTTP library, so it may have asked a server")
    print(
        f"Replayed the {len(replayed)} characters of the stored summary, word for word, in {seconds * 1000:.0f} ms."
    )
    aquila_here = os.path.relpath(Path(sys.executable).with_name("aquila"))
    print(f"\nDone. Next: {aquila_here} ask --model local 'Hello', {aquila_here} doctor, docs/tutorial.md")


def main() -> None:
    (FOLDER / "cassettes").mkdir(parents=True, exist_ok=True)
    # Whoever ends the demo politely gets the same clean-up as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as servers:
        try:
            run(servers)
        except KeyboardInterrupt:
            print("\nstopping worker and servers ...")
            servers.close()
            sys.exit(130)
        except (aquila.AquilaError, subprocess.CalledProcessError) as error:
            servers.close()
            sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
