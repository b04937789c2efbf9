"""Import: what the first line of a script costs, the interpreter's own start subtracted."""

from __future__ import annotations

import json
import sys

import anyio

from benchmarks.scenario import Scenario, Target

#: `aquila, used` has made its first stream, with the HTTP library under it: what every program comes to pay.
STATEMENTS = {
    "aquila": "import aquila",
    "aquila, used": "import aquila, aquila.transport; aquila.stream('hi', model='m'); aquila.transport.openai_transport()",
    "httpx": "import httpx",
    "openai": "import openai",
    "openai, used": "import openai; openai.AsyncOpenAI(api_key='k').chat.completions",
    "any-llm": "import any_llm",
    "llm": "import llm",
    "langchain": "import langchain_openai; langchain_openai.ChatOpenAI",
    "pydantic-ai": "import pydantic_ai",
}
_REPORT = """
import re, sys, time
print(time.process_time() * 1e3, int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024,
      len(sys.modules), sep=",")
"""


async def measure(client: str, _url: str) -> dict[str, float]:
    """Run the statement in a new interpreter and give what it adds to an empty one; the server is not asked."""
    empty, full = await _run(""), await _run(STATEMENTS[client])
    return {name: after - before for name, before, after in zip(_COLUMNS, empty, full, strict=True)}


async def _run(statement: str) -> list[float]:
    done = await anyio.run_process([sys.executable, "-c", statement + _REPORT], stderr=None)
    numbers: list[float] = json.loads(f"[{done.stdout.decode()}]")
    return numbers


_COLUMNS = {"CPU": "ms", "RSS": "MB", "modules": "loaded"}
SCENARIOS = (
    Scenario(
        title="import",
        measure=measure,
        clients=tuple(STATEMENTS),
        columns=_COLUMNS,
        targets=(Target(what="CPU", of="aquila", over="openai", at_most=1 / 8),),
    ),
)
