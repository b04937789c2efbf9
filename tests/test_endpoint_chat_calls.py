from __future__ import annotations

import pytest

from aquila import errors
from aquila.events import (
    Status,
    ToolCall,
)
from tests.decoding import PROVIDER, chat_decoder, choice, feed, fragment


def test_done_behind_complete_calls_ends_the_answer_everywhere() -> None:
    decoder = chat_decoder()

    events = feed(decoder, choice(tool_calls=[fragment("{}", id="c", name="f")]), b"[DONE]")

    assert decoder.ended
    assert [*events, *decoder.finish()][-1] == Status("finished", {"finish_reason": "tool_calls"})


def test_done_behind_a_cut_call_does_not_end_the_answer() -> None:
    decoder = chat_decoder()

    feed(decoder, choice(tool_calls=[fragment('{"a', id="c", name="f")]), b"[DONE]")

    assert not decoder.ended


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call"])
def test_calls_are_calls_whatever_the_finish_reason_says(finish: str) -> None:
    decoder = chat_decoder()

    events = feed(
        decoder, choice(tool_calls=[fragment('{"x":1}', id="c", name="f")]), choice(finish), finish=True
    )

    assert events[-1] == ToolCall("c", "f", {"x": 1}, '{"x":1}')
    assert decoder.calls == [events[-1]]


@pytest.mark.parametrize(
    ("limit", "tokens", "reason"),
    [(10, 10, "length"), (10, 9, "tool_calls"), (None, 10, "tool_calls")],
    ids=["the limit was reached", "below the limit", "no limit"],
)
def test_a_call_that_the_limit_cut_ends_with_length_though_the_server_says_otherwise(
    limit: int | None, tokens: int, reason: str
) -> None:
    decoder = chat_decoder(limit=limit)
    usage = {"choices": [], "usage": {"completion_tokens": tokens}}

    events = feed(
        decoder,
        choice(tool_calls=[fragment('{"x', id="c", name="f")]),
        choice("tool_calls"),
        usage,
        finish=True,
    )

    said = [event.data["finish_reason"] for event in events if isinstance(event, Status)]
    assert said[-1] == reason
    assert decoder.calls[0].arguments is None


def test_a_call_without_a_name_is_an_error_unless_it_was_cut() -> None:
    nameless = choice(tool_calls=[fragment("{}", index=0, id="c")])
    cut = chat_decoder()

    feed(cut, nameless, choice("length"), finish=True)

    with pytest.raises(errors.ProtocolError, match="a tool without a name"):
        feed(chat_decoder(), nameless, choice("stop"), finish=True)
    assert [call.name for call in cut.calls] == [""]


def test_the_old_form_of_a_call_is_a_call() -> None:
    decoder = chat_decoder()

    events = feed(
        decoder,
        choice(function_call={"name": "f", "arguments": '{"x":'}),
        choice(function_call={"arguments": "1}"}),
        choice("function_call"),
        finish=True,
    )

    assert events[-1] == ToolCall("call_r_0", "f", {"x": 1}, '{"x":1}')


def test_the_turn_holds_text_and_all_calls_in_one_message() -> None:
    decoder = chat_decoder()

    feed(
        decoder,
        choice(content="Let me see."),
        choice(tool_calls=[fragment(" ", index=0, id="a", name="f"), fragment('{"x', index=1, id="b", name="g")]),
        choice("tool_calls"),
        finish=True,
    )  # fmt: skip
    turn = decoder.turn()

    assert turn is not None
    assert turn.to_dict() == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            # Servers read the arguments of earlier turns, so what is no JSON goes back as JSON.
            {
                "id": "b",
                "type": "function",
                "function": {"name": "g", "arguments": '{"invalid_json":"{\\"x"}'},
            },
        ],
        "provider": PROVIDER,
    }


def test_an_answer_that_says_nothing_is_no_turn() -> None:
    decoder = chat_decoder()

    feed(decoder, choice("stop"), finish=True)

    assert decoder.turn() is None


def test_a_refusal_stays_in_the_turn() -> None:
    decoder = chat_decoder()

    feed(decoder, choice(refusal="I "), choice(refusal="won't"), choice("stop"), finish=True)
    turn = decoder.turn()

    assert turn is not None
    assert (turn.content, turn.extra) == (None, {"refusal": "I won't"})
