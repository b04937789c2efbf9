from __future__ import annotations

import time

import pytest

from aquila.cassette.matching.wording import text_changes


def test_changes_at_both_ends_of_a_very_long_prompt_are_both_shown() -> None:
    prompt = "".join(
        f"Rule {number}: the guard must see the ticket of the traveller.\n" for number in range(600)
    )
    sent = prompt.replace("Rule 0:", "Rule zero:").replace("Rule 599: the", "Rule 599: a")

    assert len(prompt) > 30_000
    assert text_changes(prompt, sent) == [
        "at character 5: Rule [-0-]{+zero+}: the guard must see the ticke...",
        (
            f"at character {prompt.rindex('the guard')}: ...t of the traveller.\\nRule 599: "
            "[-the-]{+a+} guard must see the ticket of ..."
        ),
    ]


def test_a_text_without_sentences_that_is_all_different_shows_where_it_begins() -> None:
    (line,) = text_changes("a " * 3000 + "end", "b " * 3000 + "end")

    assert line.startswith("at character 0: [-a a a")
    assert len(line) < 1000


def test_more_changes_than_can_be_read_are_counted() -> None:
    before = " ".join(f"word{number} and" for number in range(20))

    found = text_changes(before, before.replace("word", "item"))

    assert found[0] == "at character 0: [-word0-]{+item0+} and word1 and word2 and word3..."
    assert found[-1] == "and 12 more changes"


def test_a_change_inside_one_huge_word_is_shown_and_not_its_beginning() -> None:
    before, after = ("data:image/png;base64," + "A" * 5000 + end for end in ("BBB", "CCC"))

    assert text_changes(before, after) == [f"at character 5022: ...{'A' * 30}[-BBB-]{{+CCC+}}"]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("Größe", "Grösse", "at character 0: [-Größe-]{+Grösse+}"),
        ("去巴黎的火车", "去里昂的火车", "at character 0: [-去巴黎的火车-]{+去里昂的火车+}"),
        ("nice 🦅", "nice 🐍", "at character 5: nice [-🦅-]{+🐍+}"),
        ("caf\u00e9", "cafe\u0301", "at character 0: [-caf\\xe9-]{+cafe\\u0301+}"),
        ("a b", "a\u00a0b", "at character 1: a[- b-]{+\\xa0b+}"),
        ("ab", "a\u200bb", "at character 0: [-ab-]{+a\\u200bb+}"),
        ("train", "tr\u0430in", "at character 0: [-train-]{+tr\\u0430in+}"),
        ("a\x1b[31m", "a\x1b[32m", "at character 3: a\\x1b[[-31m-]{+32m+}"),
        ("a b", "a  b", "at character 2: a [-b-]{+ b+}"),
        ("a b", "a\tb", "at character 1: a[- b-]{+\\tb+}"),
    ],
)
def test_what_could_look_the_same_is_told_apart(before: str, after: str, change: str) -> None:
    assert text_changes(before, after) == [change]


def test_every_second_word_of_a_very_long_text_is_told_soon() -> None:
    before = [f"w{n}" for n in range(20_000)]
    after = [word if n % 2 else f"z{word}" for n, word in enumerate(before)]

    start = time.process_time()
    found = text_changes(" ".join(before), " ".join(after))

    assert time.process_time() - start < 5
    assert found[0] == "at character 0: [-w0-]{+zw0+} w1 w2 w3 w4 w5 w6 w7 w8 w9 w1..."
    assert found[-1] == "and 9992 more changes"
