"""Asks a Plainview through prometheus-api-client: `prometheus_client.py URL KEY`."""

import datetime
import sys

from prometheus_api_client import MetricsList, PrometheusConnect

START = 1_700_000_000


def main() -> None:
    url, key = sys.argv[1:]
    prometheus = PrometheusConnect(url=url, headers={"Authorization": f"Bearer {key}"})
    assert prometheus.check_prometheus_connection()

    names = prometheus.all_metrics()
    assert {"temperature", "requests_total", "level"} <= set(names), names
    assert prometheus.get_label_values("tank") == ["x", "y", "z"]
    assert "site" in prometheus.get_label_names()

    now = prometheus.custom_query("sum(limits)", params={"time": START + 3600})
    assert now[0]["value"] == [START + 3600, "45"], now

    start = datetime.datetime.fromtimestamp(START)
    end = datetime.datetime.fromtimestamp(START + 3600)
    ranged = prometheus.custom_query_range("avg(level)", start, end, step="60")
    assert len(ranged[0]["values"]) == 61, len(ranged[0]["values"])

    chunks = prometheus.get_metric_range_data(
        "temperature", {"site": "north"}, start_time=start, end_time=end,
        chunk_size=datetime.timedelta(minutes=30),
    )
    assert len(MetricsList([chunk for chunk in chunks])) == 3

    figures = prometheus.get_metric_aggregation(
        "temperature", ["min", "max", "average", "percentile_95"], start, end, step="60"
    ) if _has_numpy() else None
    assert figures is None or figures["min"] <= figures["average"] <= figures["max"]
    print("prometheus-api-client is content")


def _has_numpy() -> bool:
    try:
        import numpy  # noqa: F401
    except ImportError:
        return False
    return True


main()
