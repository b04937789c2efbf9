from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.request_differences import differences
from aquila.transport.base import Request
from tests.talks import JSON, SOUND, SYSTEM, Talk, body, drift, form, talk
from tests.tapes import request


def test_a_change_at_the_end_of_a_long_url_is_shown() -> None:
    one, other = (
        replace(request(), url=f"https://e.test/?q={'a' * 400}&z={end}") for end in ("left", "right")
    )

    assert differences(one, other)[0].endswith("&z=[-left-]{+right+}")


def test_a_change_at_the_end_of_a_long_prompt_is_named_and_shown() -> None:
    assert len(SYSTEM) == 2066

    found = drift(talk(lambda m, _: m[0].update(content=SYSTEM.replace("English", "French"))), talk())

    assert (found.reason, found.number) == ("no_match", 1)
    assert found.lines == (
        f"$.messages[0].content: at character 2050: ...{SYSTEM[2020:2049]} [-English-]{{+French+}}, kindly.",
    )


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (talk(temperature=0.7), "$.temperature: 0.2 -> 0.7"),
        (talk(temperature=None), "$.temperature: 0.2 -> null"),
        (talk(seed=1), "$.seed: not recorded, now 1"),
        (
            talk(lambda _, tools: tools[1]["function"].update(description="Looks up prices in euros")),
            "$.tools[1].function.description: at character 15: Looks up prices{+ in euros+}",
        ),
        (
            talk(
                lambda _, tools: tools[0]["function"]["parameters"]["properties"]["city"].update(
                    enum=["Paris"]
                )
            ),
            '$.tools[0].function.parameters.properties.city.enum: not recorded, now ["Paris"]',
        ),
        (
            talk(lambda _, tools: tools[0]["function"]["parameters"].update(required=["city", "day"])),
            '$.tools[0].function.parameters.required[1]: not recorded, now "day"',
        ),
        (
            talk(lambda m, _: m[2]["tool_calls"][0]["function"].update(arguments='{"city":"Lyon"}')),
            '$.messages[2].tool_calls[0].function.arguments: at character 9: {"city":"[-Paris-]{+Lyon+}"}',
        ),
        (
            talk(lambda m, _: m[3].update(content='{"leaves": "11:24", "platform": 7}')),
            '$.messages[3].content: at character 12: {"leaves": "[-10-]{+11+}:24", "platform": 7}',
        ),
        (
            talk(lambda m, _: m.insert(1, {"role": "user", "content": "Be brief"})),
            '$.messages[1]: not recorded, now {"role": "user", "content": "Be brief"}',
        ),
        (
            talk(lambda m, _: m.pop(1)),
            '$.messages[1]: recorded as {"role": "user", "content": "When does the next train go to Paris?"}, now absent',
        ),
        (
            talk(lambda m, _: m.append({"role": "user", "content": "Thanks"})),
            '$.messages[5]: not recorded, now {"role": "user", "content": "Thanks"}',
        ),
        (
            talk(lambda m, _: m.insert(1, m.pop(4))),
            "$.messages: the same items in another order: [1] was [4], [2] was [1], [3] was [2], [4] was [3]",
        ),
        (
            talk(lambda _, tools: tools.reverse()),
            "$.tools: the same items in another order: [0] was [2], [2] was [0]",
        ),
        (
            talk(lambda m, _: m[4].update(content=[{"type": "text", "text": "And?"}])),
            '$.messages[4].content: "And what does it cost?" -> [{"type": "text", "text": "And?"}]',
        ),
    ],
)
def test_one_change_is_one_line(sent: Request, line: str) -> None:
    assert drift(sent, talk()).lines == (line,)


def test_an_inserted_message_does_not_hide_a_change_behind_it() -> None:
    def change(messages: Talk, _: Talk) -> None:
        messages.insert(1, {"role": "user", "content": "Be brief"})
        messages[5]["content"] = "And what does it cost on Sunday?"

    moved = "$.messages[5].content (recorded at $.messages[4].content)"
    assert drift(talk(change), talk()).lines == (
        '$.messages[1]: not recorded, now {"role": "user", "content": "Be brief"}',
        f"{moved}: at character 21: And what does it cost{{+ on Sunday+}}?",
    )


def test_a_tool_that_moved_and_changed_is_known_by_its_name() -> None:
    def change(_: Talk, tools: Talk) -> None:
        tools.insert(0, tools.pop())
        tools[0]["function"]["description"] = "Looks up weather anywhere"

    moved = "$.tools[0].function.description (recorded at $.tools[2].function.description)"
    assert drift(talk(change), talk()).lines == (
        f"{moved}: at character 16: Looks up weather{{+ anywhere+}}",
    )


def test_a_moved_message_beside_a_new_one_is_told_as_moved() -> None:
    def change(messages: Talk, _: Talk) -> None:
        messages.insert(1, messages.pop(4))
        messages.append({"role": "user", "content": "Thanks"})

    assert drift(talk(change), talk()).lines == (
        "$.messages[1]: moved, recorded at $.messages[4]",
        '$.messages[5]: not recorded, now {"role": "user", "content": "Thanks"}',
    )


def test_a_message_of_another_role_is_another_message() -> None:
    found = drift(talk(lambda m, _: m.__setitem__(1, {"role": "developer", "content": "Be brief"})), talk())

    assert [line.partition(":")[0] for line in found.lines] == ["$.messages[1]", "$.messages[1]"]
    assert {line.endswith("now absent") for line in found.lines} == {True, False}


@pytest.mark.parametrize(
    ("recorded", "sent", "line"),
    [
        ('{"a": 1}', '{"a": 1, "tools": [{"name": "f"}]}', '$.tools: not recorded, now [{"name": "f"}]'),
        ('{"a": 1, "n": null}', '{"a": 1}', "$.n: recorded as null, now absent"),
        ('{"a": "one\\ntwo"}', '{"a": "one\\nthree"}', "$.a: at character 4: one\\n[-two-]{+three+}"),
        ('{"a": "x"}', '{"a": "x y"}', "$.a: at character 1: x{+ y+}"),
        ('{"a": 1}', '{"a": true}', "$.a: 1 -> true"),
        ('{"a": [1, 0]}', '{"a": [true, 0]}', "$.a[0]: 1 -> true"),
        ('{"a b": 1}', '{"a b": 2}', '$["a b"]: 1 -> 2'),
        ('{"a": {}}', '{"a": []}', "$.a: {} -> []"),
        ('{"a": {}}', '{"a": {"b": 1}}', "$.a.b: not recorded, now 1"),
        ('{"stop": ["a", "b"]}', '{"stop": ["b", "a"]}', '$.stop: the same items in another order: recorded ["a", "b"], now ["b", "a"]'),
        ('{"stop": ["a"]}', '{"stop": ["z"]}', "$.stop[0]: at character 0: [-a-]{+z+}"),
        ('[{"a": 1}]', '[{"a": 2}]', "$[0].a: 1 -> 2"),
        ("plain text", "plain words", "body: at character 6: plain [-text-]{+words+}"),
        ("", "plain", 'body: not recorded, now text "plain"'),
        ('{"a": 1}', "", 'body: recorded as JSON {"a": 1}, now absent'),
        ('{"a": 1}', '{"a": 1', 'body: JSON {"a": 1} -> text "{\\"a\\": 1"'),
    ],
)  # fmt: skip
def test_each_kind_of_difference_has_its_words(recorded: str, sent: str, line: str) -> None:
    assert differences(body(recorded), body(sent)) == [line]


def test_bytes_differ_at_a_byte() -> None:
    one, other = (replace(body(""), body=data) for data in (b"\xff\x00\x01", b"\xff\x00\x02\x03"))

    assert differences(one, other) == ["body: 3 bytes recorded, 4 sent, different from byte 2 on"]


def test_the_parts_of_a_form_are_named() -> None:
    recorded = form(SOUND, model="whisper-1", prompt="Take one")
    sent = form(
        ("file", ("b.wav", b"RIFF\x00\xfe\x01", "audio/wav")), mark="Y", model="whisper-1", prompt="Take two"
    )

    assert differences(recorded, sent) == [
        "$.prompt: at character 5: Take [-one-]{+two+}",
        "$.file.filename: at character 0: [-a-]{+b+}.wav",
        "$.file.content: 6 bytes recorded, 7 sent, different from byte 5 on",
    ]


def test_a_body_of_another_kind_is_told() -> None:
    lines = differences(replace(form(model="a"), headers={}), form(model="a"))

    assert lines[0].startswith("body: text ")
    assert lines[0].endswith('-> multipart form {"model": "a"}')


def test_several_changes_in_one_text_are_listed_each() -> None:
    before = "One fish. " + "Nothing to see here. " * 5 + "Red fish."
    after = before.replace("One", "Two").replace("Red", "Blue")

    (line,) = differences(body(json.dumps({"a": before})), body(json.dumps({"a": after})))

    assert "at character 0: [-One-]{+Two+}" in line
    assert f"at character {before.index('Red')}: " in line
    assert "[-Red-]{+Blue+}" in line


def test_lone_surrogates_can_be_printed() -> None:
    (line,) = differences(body('{"a": "\\ud800 x"}'), body('{"a": "\\ud801 x"}'))

    assert line.encode().decode() == "$.a: at character 0: [-\\ud800-]{+\\ud801+} x"


@settings(deadline=None)
@given(JSON, JSON)
def test_a_report_is_empty_only_for_equal_requests(one: object, other: object) -> None:
    first, second = body(json.dumps({"a": one})), body(json.dumps({"a": other}))

    assert (differences(first, second) == []) == (request_key(first) == request_key(second))


def test_a_body_nested_as_deeply_as_can_be_read_is_explained() -> None:
    one, other = ("[" * 900 + number + "]" * 900 for number in "12")

    found = drift(body(other), body(one))

    assert (found.reason, len(found.lines)) == ("no_match", 1)
    assert "[-1-]{+2+}" in found.lines[0] or "1 -> 2" in found.lines[0]
