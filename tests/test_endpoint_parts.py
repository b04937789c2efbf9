from __future__ import annotations

from typing import Any

import pytest

from aquila.endpoint.parts import chat_parts, responses_parts
from aquila.errors import ConfigError

URL = "https://example.org/a.png"


@pytest.mark.parametrize(
    ("chat", "responses"),
    [
        ({"type": "text", "text": "a"}, {"type": "input_text", "text": "a"}),
        ({"type": "image_url", "image_url": {"url": URL}}, {"type": "input_image", "image_url": URL}),
        (
            {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
            {"type": "input_image", "image_url": URL, "detail": "low"},
        ),
        ({"type": "file", "file": {"file_id": "file_1"}}, {"type": "input_file", "file_id": "file_1"}),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        ),
        ({"type": "brand_new", "x": 1}, {"type": "brand_new", "x": 1}),
    ],
    ids=["text", "picture", "picture with detail", "file id", "file", "sound", "unknown"],
)
def test_a_part_goes_both_ways(chat: dict[str, Any], responses: dict[str, Any]) -> None:
    assert responses_parts([chat], "user") == [responses]
    assert chat_parts([responses]) == [chat]
    # A part that has its shape already keeps it.
    assert responses_parts([responses], "user") == [responses]
    assert chat_parts([chat]) == [chat]


def test_text_of_the_models_is_output() -> None:
    assert responses_parts([{"type": "text", "text": "a"}], "assistant") == [
        {"type": "output_text", "text": "a"}
    ]
    assert chat_parts([{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}]) == [
        {"type": "text", "text": "a"}
    ]


def test_a_picture_given_as_bare_url_is_understood() -> None:
    assert responses_parts([{"type": "image_url", "image_url": URL}], "user") == [
        {"type": "input_image", "image_url": URL}
    ]


@pytest.mark.parametrize("content", ["text", None])
def test_what_is_no_list_passes_through(content: Any) -> None:
    assert chat_parts(content) == content
    assert responses_parts(content, "user") == content


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"type": "input_image", "file_id": "file_1"}, "takes no file_id of a picture"),
        ({"type": "input_image", "file_id": "file_1", "image_url": None}, "takes no file_id of a picture"),
        ({"type": "input_file", "file_url": URL}, "takes no URL of a document"),
    ],
)
def test_what_chat_cannot_take_is_named_with_a_remedy(part: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        chat_parts([part])
