"""What a digest says: the words of the deliveries that it stands for, one after the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from chimeway.content import Content
from chimeway.errors import NotifierInvalid
from chimeway.filling import fill_line

#: Deliveries that are listed; further ones are only counted.
MOST_LISTED = 100
#: Characters of one of them.
LONGEST_ITEM = 2_000
DEFAULT_SUBJECT = "{n} new notifications"


def digest_content(
    contents: Sequence[Content], options: Mapping[str, Any], params: Mapping[str, Any]
) -> Content:
    """Give what a digest says.

    Args:
        contents: What its deliveries say, in their order.
        options: What `Digest.to_dict` gave. With `instructions` a model is asked for the text; the list stands in if it
            does not answer.
        params: What fills the blanks of the subject, besides `n` and `count`, how many there are.
    """
    listed = contents[:MOST_LISTED]
    more = len(contents) - len(listed)
    text = "\n\n".join([*(_item(one) for one in listed), *([f"... and {more} more"] if more else [])])
    instructions = options.get("instructions")
    return Content(
        subject=_subject(options.get("subject"), {**params, "n": len(contents), "count": len(contents)}),
        text=text,
        html=None if instructions else _html(listed, more),
        url=_same([one.url for one in contents]),
        data={
            **_same_data(contents),
            "count": len(contents),
            "items": [_facts(one) for one in listed],
        },
        prompt=text if instructions else None,
        instructions=instructions,
        model=options.get("model"),
    )


def _subject(declared: str | None, params: Mapping[str, Any]) -> str:
    try:
        return fill_line(declared or DEFAULT_SUBJECT, params, where="subject")
    except NotifierInvalid:
        # A digest that does not go out would take all of its deliveries with it.
        return fill_line(DEFAULT_SUBJECT, params, where="subject")


def _item(content: Content) -> str:
    # What is still to be written by a model has nothing but what that is asked.
    body = content.text or content.prompt or ""
    link = content.url if content.url and content.url not in body else ""
    lines = (one for one in (content.subject, _cut(body), link) if one)
    return "- " + "\n".join(lines).strip().replace("\n", "\n  ")


def _html(listed: Sequence[Content], more: int) -> str | None:
    if not any(one.html for one in listed):
        return None
    rest = f"\n<p>... and {more} more</p>" if more else ""
    return "<ul>\n" + "\n".join(f"<li>{_html_item(one)}</li>" for one in listed) + "\n</ul>" + rest


def _html_item(content: Content) -> str:
    subject = f"<strong>{escape(content.subject)}</strong><br>\n" if content.subject else ""
    # HTML is not cut: half of it would swallow what follows.
    body = content.html or escape(_cut(content.text)).replace("\n", "<br>\n")
    link = content.url
    shown = link is not None and link not in body and escape(link) not in body
    return subject + body + (f'<br>\n<a href="{escape(link)}">{escape(link)}</a>' if shown and link else "")


def _facts(content: Content) -> dict[str, Any]:
    return {"subject": content.subject, "text": _cut(content.text), "url": content.url}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_ITEM else text[: LONGEST_ITEM - 3] + "..."


def _same_data(contents: Sequence[Content]) -> dict[str, Any]:
    """Give what all say alike: the link with which the recipient unsubscribes, say."""
    first, rest = contents[0].data, contents[1:]
    return {
        name: value
        for name, value in first.items()
        if all(name in one.data and one.data[name] == value for one in rest)
    }


def _same(values: Sequence[str | None]) -> str | None:
    return values[0] if len(set(values)) == 1 else None
