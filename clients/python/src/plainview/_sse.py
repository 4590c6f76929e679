"""Server-sent events, as the HTML standard defines them."""

from __future__ import annotations

import json

from .models import Event


class EventParser:
    """Turns lines of a stream into events, and remembers where to resume."""

    def __init__(self, last_event_id: int | None = None) -> None:
        self.last_event_id = last_event_id
        #: Seconds to wait before coming back, as the server asked.
        self.retry: float | None = None
        self._name = ""
        self._data: list[str] = []
        self._id: int | None = None

    def feed(self, line: str) -> Event | None:
        """Takes a line without its end; an empty one completes an event."""
        if line == "":
            return self._dispatch()
        if line.startswith(":"):
            return None
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and value.isdigit():
            self._id = int(value)
        elif name == "retry" and value.isdigit():
            self.retry = int(value) / 1000
        return None

    def restart(self) -> None:
        """Forgets the part of an event that a lost connection left behind."""
        self._name, self._data, self._id = "", [], None

    def _dispatch(self) -> Event | None:
        name, data, offset = self._name or "message", "\n".join(self._data), self._id
        self.restart()
        if name == "stream.reset":
            # The log is another one: what was seen before says nothing about it.
            self.last_event_id = None
        if offset is not None:
            self.last_event_id = offset
        if not data:
            return None
        parsed = json.loads(data)
        return Event.from_json(parsed if isinstance(parsed, dict) else {}, offset, name)
