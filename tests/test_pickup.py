from __future__ import annotations

import json

import pytest

from aquila import errors
from aquila.destination import Destination
from aquila.endpoint import ResponsesDecoder
from aquila.events import Resumed
from aquila.pickup import Pickup
from aquila.retry import Retry
from aquila.testing import ScriptedTransport
from aquila.timeouts import Timeouts

DESTINATION = Destination(
    base_url="https://api.example/v1?api-version=1",
    headers={"accept": "text/event-stream"},
    transport=ScriptedTransport,
    timeouts=Timeouts(),
    retry=Retry(),
)


def decoder_at(number: int) -> ResponsesDecoder:
    decoder = ResponsesDecoder()
    created = {"type": "response.created", "sequence_number": number, "response": {"id": "resp/1"}}
    decoder.decode("", json.dumps(created).encode())
    return decoder


@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectionFailed("x"),
        errors.StreamTruncated("x"),
        errors.SilenceTimeout("x", seconds=1),
        errors.IdleTimeout("x", seconds=1),
    ],
)
def test_a_lost_stream_goes_on_behind_its_last_event(error: errors.AquilaError) -> None:
    pickup = Pickup()

    event = pickup.after(error, decoder_at(4))

    assert event == Resumed("resp/1", 4)
    request = pickup.request(DESTINATION)
    assert request is not None
    assert (request.method, request.body) == ("GET", b"")
    assert request.url == (
        "https://api.example/v1/responses/resp%2F1?api-version=1&stream=true&starting_after=4"
    )


def test_nothing_is_picked_up_before_the_response_has_a_name() -> None:
    pickup = Pickup()

    assert pickup.after(errors.ConnectionFailed("x"), None) is None
    assert pickup.after(errors.ConnectionFailed("x"), ResponsesDecoder()) is None
    assert pickup.request(DESTINATION) is None


@pytest.mark.parametrize("error", [errors.RateLimitError, errors.OverloadedError, errors.AuthenticationError])
def test_other_errors_are_no_lost_stream(error: type[errors.APIStatusError]) -> None:
    assert Pickup().after(error("x", status_code=429), decoder_at(1)) is None


def test_a_stream_that_cannot_be_had_any_more_is_asked_for_as_a_whole() -> None:
    pickup = Pickup(("resp_1", None))
    first = pickup.request(DESTINATION)

    event = pickup.after(errors.BadRequestError("too old", status_code=400), None)

    assert first is not None
    assert first.url.endswith("stream=true")
    assert event == Resumed("resp_1", 0)
    assert pickup.polling
    request = pickup.request(DESTINATION)
    assert request is not None
    assert (request.url, request.headers["accept"]) == (
        "https://api.example/v1/responses/resp_1?api-version=1",
        "application/json",
    )
    # A refusal of that is for good.
    assert pickup.after(errors.NotFoundError("gone", status_code=404), None) is None


def test_a_stream_without_numbers_is_asked_for_as_a_whole() -> None:
    pickup = Pickup()
    decoder = ResponsesDecoder()
    decoder.decode("", b'{"type": "response.created", "response": {"id": "resp_1"}}')

    assert pickup.after(errors.ConnectionFailed("x"), decoder) == Resumed("resp_1", 0)
    assert pickup.polling


def test_the_pauses_between_questions_grow_to_a_bound() -> None:
    pickup = Pickup(("resp_1", 1))

    pauses = [pickup.next_pause() for _ in range(12)]

    assert pauses[0] == 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15
