"""Readings as tables, made of the Arrow streams that the server sends."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import MissingExtra

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class Readings:
    """The answer of a query, kept as Arrow until it is asked for in some form.

    Raw readings have the columns `sensor`, `at` (µs, UTC), `value`, `quality`, `reason`, `unit`;
    buckets have `sensor`, `at`, `count`, `min`, `max`, `mean`, `first`, `last`, `unit`. Rows come
    sensor by sensor, each in order of time. Values are bit for bit what was stored.
    """

    def __init__(self, streams: Sequence[bytes], unknown: Sequence[str] = ()) -> None:
        self._streams = tuple(streams)
        #: Keys asked for that name no sensor.
        self.unknown = tuple(unknown)

    def __repr__(self) -> str:
        size = sum(len(stream) for stream in self._streams)
        return f"<Readings: {size} bytes of Arrow, {len(self.unknown)} unknown sensors>"

    @property
    def streams(self) -> tuple[bytes, ...]:
        """The Arrow IPC streams as the server sent them, one per 50 sensors."""
        return self._streams

    def to_arrow(self) -> pyarrow.Table:
        """As a `pyarrow.Table`."""
        try:
            import pyarrow as pa
            import pyarrow.ipc
        except ImportError as error:
            raise MissingExtra("pyarrow", "arrow") from error
        tables = [pa.ipc.open_stream(stream).read_all() for stream in self._streams]
        return pa.concat_tables(tables).unify_dictionaries()

    def to_pandas(self, *, wide: bool = False) -> pandas.DataFrame:
        """As a `pandas.DataFrame`; `wide` has a row per time and a column per sensor."""
        try:
            import pandas  # noqa: F401 - told apart from a missing pyarrow
        except ImportError as error:
            raise MissingExtra("pandas", "pandas") from error
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        if not wide:
            return frame
        value = "value" if "value" in frame.columns else "mean"
        frame["sensor"] = frame["sensor"].astype(str)
        table: pandas.DataFrame = frame.pivot(index="at", columns="sensor", values=value)
        table.columns.name = None
        return table

    def to_polars(self) -> polars.DataFrame:
        """As a `polars.DataFrame`; words such as `sensor` are categories."""
        try:
            import polars as pl
        except ImportError as error:
            raise MissingExtra("polars", "polars") from error
        frames = [pl.read_ipc_stream(io.BytesIO(stream)) for stream in self._streams]
        return frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical")
