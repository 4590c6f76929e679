"""Makes the sync client of the async one: `python tools/unasync.py [--check]`.

The two are the same but for the words of `asyncio`, so only `_async.py` is written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "plainview"

#: What stands in the async client, and what in the sync one, in this order.
WORDS = [
    (
        '"""The client for `asyncio`. Its methods are those of `Client`; see there for the details."""',  # noqa: E501
        '"""The client that waits for each answer. Made of `_async.py` by `tools/unasync.py`."""',
    ),
    (
        "import asyncio\nimport datetime as dt\nimport os\n",
        "import datetime as dt\nimport os\nimport time\n",
    ),
    ("import AsyncIterator, Iterable, Sequence", "import Iterable, Iterator, Sequence"),
    (
        '            for item in page["items"]:\n                yield item\n',
        '            yield from page["items"]\n',
    ),
    (", for `asyncio`.", "."),
    ("an `async with`", "a `with`"),
    ("its `async with`", "its `with`"),
    ("between tasks", "between threads"),
    ("asyncio.sleep", "time.sleep"),
    ("AsyncIterator", "Iterator"),
    ("AsyncClient", "Client"),
    ("AsyncBaseTransport", "BaseTransport"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    (".aclose()", ".close()"),
    (".aread()", ".read()"),
    (".aiter_lines()", ".iter_lines()"),
    ("async def ", "def "),
    ("async for ", "for "),
    ("async with ", "with "),
    ("await ", ""),
]


def made() -> str:
    """The text of the sync client."""
    text = (SOURCE / "_async.py").read_text()
    for word, instead in WORDS:
        if word not in text:
            raise SystemExit(f"unasync: {word!r} does not stand in _async.py any more")
        text = text.replace(word, instead)
    return text


def main() -> None:
    """Writes the sync client, or says that it is not current."""
    target = SOURCE / "_sync.py"
    text = made()
    if "--check" in sys.argv:
        if target.read_text() != text:
            raise SystemExit("unasync: _sync.py is not what _async.py makes; run tools/unasync.py")
        return
    target.write_text(text)


if __name__ == "__main__":
    main()
