from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

import pytest

from aquila.cassette.matching.drift import explain
from aquila.cassette.matching.likeness import Sketch
from aquila.cassette.matching.match import Index, request_key
from tests.talks import POLICY, SYSTEM, Talk, drift, form, talk
from tests.tapes import interaction, request


def test_the_nearest_has_the_prompt_and_not_only_the_parameters() -> None:
    prompt = "Long words before it. " * 100 + "Answer in {}, please."

    found = drift(
        request(prompt.format("French"), temperature=0.7),
        request("Something else altogether", temperature=0.7),
        request(prompt.format("English"), temperature=0.2),
        replace(request(prompt.format("French"), temperature=0.7), url="https://other.test/"),
    )

    assert (found.number, len(found.lines)) == (2, 2)


def test_the_nearest_is_one_that_is_still_unplayed() -> None:
    index = Index([interaction(), interaction()])
    index.claim(request_key(request()))

    assert explain(request("Hallo"), index).number == 2


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_round_of_a_tool_loop_is_nearest_to_its_own_recording(rounds: int) -> None:
    recorded = [talk(lambda m, _, n=n: m.__delitem__(slice(2 * n, None))) for n in (1, 2, 3)]

    def change(messages: Talk, _: Talk) -> None:
        del messages[2 * rounds :]
        messages[0]["content"] = SYSTEM.replace("English", "French")

    assert drift(talk(change), *recorded).number == rounds


def test_a_long_talk_and_a_file_have_their_nearest() -> None:
    talks = [[{"role": "user", "content": f"{name} {n}"} for n in range(12)] for name in ("Bus", "Tram")]
    sounds = [form(("file", ("a.wav", data, "audio/wav")), prompt=data.hex()) for data in (b"\xff", b"\xfe")]

    assert drift(request(messages=[{**each, "x": 1} for each in talks[1]]), *(request(messages=each) for each in talks)).number == 2  # fmt: skip
    assert drift(form(("file", ("b.wav", b"\xfe", "audio/wav")), prompt="fe"), *sounds).number == 2


def test_a_prompt_changed_at_both_ends_is_still_found() -> None:
    prompts = [f"{name} " + POLICY.replace("railway", name) * 3 for name in ("ferry", "tram", "bus")]

    found = drift(request(f"Today: {prompts[1]} Now!"), *map(request, prompts))

    assert found.number == 2


def test_a_miss_among_a_thousand_long_prompts_is_explained_soon() -> None:
    words = POLICY.split()

    def prompt(number: int) -> str:
        order = hashlib.shake_128(b"%d" % number).digest(5600)
        return f"You serve train {number} today. " + " ".join(words[byte % len(words)] for byte in order)

    recorded = [talk(lambda m, _, n=n: m[0].update(content=prompt(n))) for n in range(1000)]
    whole = json.loads(recorded[700].body)
    whole["messages"][0]["content"] = f"Today {whole['messages'][0]['content']} only"
    index = Index([replace(interaction(), request=each, key=str(n)) for n, each in enumerate(recorded)])
    assert len(recorded[0].body) > 30_000

    start = time.process_time()
    found = explain(replace(recorded[0], body=json.dumps(whole).encode()), index)

    assert time.process_time() - start < 6
    assert (found.number, len(found.lines)) == (701, 1)


def test_many_differences_are_counted() -> None:
    found = drift(request(**{f"a{n}": n for n in range(60)}), request())

    assert len(found.lines) == 41
    assert found.lines[-1] == "and 20 more differences"


def test_likeness_goes_from_nothing_in_common_to_equal() -> None:
    sketch = Sketch("the next train to Paris")

    assert sketch.likeness(Sketch("the next train to Paris")) == 1.0
    assert 0.5 < sketch.likeness(Sketch("the next train to Lyon")) < 1.0
    assert sketch.likeness(Sketch("0 12 3456")) == 0.0
