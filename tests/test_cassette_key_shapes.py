from __future__ import annotations

import base64
import random

import pytest

from aquila.cassette.secrets.key_shapes import KEY_SHAPES


def kinds(data: bytes) -> list[str]:
    return [shape.kind for shape in KEY_SHAPES if any(shape.spans(data))]


@pytest.mark.parametrize(
    "text",
    [
        "sk-abcdefghij0123456789",
        "use sk-ant-api03-abcdefghij0123456789.",
        "sk-proj-abc_DEF-0123456789012345",
        '{"key":"line\\nsk-abcdefghij0123456789"}',
        '{"key":"\\u003csk-abcdefghij0123456789"}',
        "https://e.test/sk-abcdefghij0123456789",
        "key=sk-abcdefghij0123456789",
        "Authorization: Bearer abc0123456789012345",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
        "org-abcdefghij0123456789ABCD",
        "AIza" + "a1B2c" * 7,
        "__cf_bm=abc.def-0123",
        "gsk_" + "a1B2" * 13,
        "xai-" + "a1B2" * 20,
        "hf_" + "aBcD" * 8 + "ef",
        "ghp_" + "a1B2" * 9,
        "github_pat_11ABCDEFG0abcdefghijkl_" + "a1B2" * 14,
        "AKIAABCDEFGHIJKLM123",
        "xoxb-1234567890-1234567890123-abcdefABCDEF123456789012",
        "sk-9f86d081884c7d659a2feaa0c55ad015",
        '{"key":"\\u201csk-abcdefghij0123456789"}',
        "curl -H 'Authorization: Bearer abcd-Efgh-0123456789'",
        "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
    ],
)
def test_the_shape_of_a_key_is_enough(text: str) -> None:
    assert len(kinds(text.encode())) == 1


@pytest.mark.parametrize(
    "text",
    [
        "risk-management-systems-of-2024-and-2025",
        "sk-learn, sk-based-systems-of-2024-and-later-v2, sk-SK-locale-translations-2024",
        "a bearer of good news; Bearer tokens-are-a-good-thing; Bearer authentication-as-in-rfc6750",
        "https://shop.test/sk-hynix-hmcg78aebra109n-16gb",
        "a bearer instrument20240101x of the loan, the bearer 2YotnFZFEjr1zCsicMWpAA",
        "Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.abcdefghijk",
        "org-chart2024templates, ask-\\u0061sk-abcdefghij0123456789",
        "gAAAAABsk-abcdefghij0123456789",
        "task-abcdefghij0123456789",
        "[redacted]",
        "org-chart-of-2024, org-wide, an org-mode2023 file",
        "hf_transformers_tokenizer_parallelism, hf_hub_enable_hf_transfer, hf_" + "lowercase" * 5,
        "the documents' AKIAIOSFODNN7EXAMPLE",
        "ghp_short, github_pat_..., xoxb-your-token-here-please, gsk_your_key, xai-your-key-goes-in-this-place",
        "-----BEGIN PRIVATE KEY----- ... -----END PRIVATE KEY-----",
        "week_0123456789abcdefghijk",
    ],
)
def test_prose_and_opaque_blobs_pass(text: str) -> None:
    assert kinds(text.encode()) == []


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_megabytes_of_images_and_encrypted_reasoning_pass(encode: object) -> None:
    data = random.Random(7).randbytes(1_500_000)  # noqa: S311 - the same bytes each time

    assert kinds(b'{"encrypted_content":"' + encode(data) + b'"}') == []  # type: ignore[operator]
