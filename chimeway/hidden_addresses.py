"""Takes out of what adapters and providers say what must be in no row: a URL's path, and the recipient's address. Pure."""

from __future__ import annotations

import re

#: A scheme, what names the host, and the rest. Answers in JSON write their slashes as `\\/`.
_URL = re.compile(
    r"""\b([a-z][a-z0-9+.-]{0,30}):\\?/\\?/([^\s/?\#'"<>\\]*)([/?\#\\][^\s'"<>]*)?""", re.IGNORECASE
)
_HOST = re.compile(r"(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.IGNORECASE)
#: What ends a sentence or a bracket behind a URL.
_BEHIND = ",;.:)]}"
#: HTTP libraries name the host and the path apart: `with url: /services/...`.
_PATH = re.compile(r"""(\burl:?\s+['"]?)/[^\s'"<>]+""", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"'=/]{1,64}@[\w-][\w.-]{0,252}")
#: A telephone number, which providers write without its blanks.
_NUMBER = re.compile(r"\+?[\d\s().-]{7,30}")
_FEWEST_DIGITS = 6
#: Characters of an address from which on it is no part of a longer word by chance.
_LONG = 6
_MARK = "[redacted]"


def without_paths(text: str) -> str:
    """Cut the URLs in a text to their scheme and host: their paths and queries are secrets with many providers."""
    return _PATH.sub(r"\1/[...]", _URL.sub(_cut, text))


def without_emails(text: str) -> str:
    """Take every e-mail address out of a text."""
    return _EMAIL.sub(_MARK, text)


def address_pattern(address: str | None) -> re.Pattern[str] | None:
    """Give what finds an address in a text, however large or small its letters are; None if there is none.

    Of `Ada <ada@example.com>` it finds the part in brackets, too, and a telephone number also without its blanks.
    """
    if address is None or not (whole := address.strip()):
        return None
    inner = whole[whole.find("<") + 1 :].partition(">")[0].strip() if "<" in whole else ""
    ways = [_literally(one) for one in (whole, inner) if one]
    digits = re.sub(r"\D", "", whole)
    if _NUMBER.fullmatch(whole) and len(digits) >= _FEWEST_DIGITS:
        ways.append(r"\+?(?<!\d)" + r"[\s().-]{0,2}".join(digits) + r"(?!\d)")
    return re.compile("|".join(ways), re.IGNORECASE)


def without_address(text: str, pattern: re.Pattern[str] | None) -> str:
    """Take an address out of a text.

    Args:
        text: Where it may be.
        pattern: From `address_pattern`.
    """
    return text if pattern is None else pattern.sub(_MARK, text)


def _literally(address: str) -> str:
    exactly = re.escape(address)
    return exactly if len(address) >= _LONG else rf"(?<!\w){exactly}(?!\w)"


def _cut(found: re.Match[str]) -> str:
    scheme, authority, rest = found[1], found[2], found[3] or ""
    if not authority and not rest:
        return found[0]
    bare = authority.rpartition("@")[2]
    host = bare if rest else bare.rstrip(_BEHIND)
    if not _HOST.fullmatch(host):
        # A password may hold a slash: what stands before it is no host.
        return f"{scheme}://[...]"
    return f"{scheme}://{host}" + ((rest if rest == "/" else "/[...]") if rest else bare[len(host) :])
