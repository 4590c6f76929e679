"""Exports every instrument through the OpenTelemetry SDK, with gzip, and once more as JSON.

Prints the request as JSON, so that the test can compare it with what was stored.
"""

import json
import sys

import requests
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

url, key = sys.argv[1], sys.argv[2]

sent = []


class Noting(OTLPMetricExporter):
    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        result = super().export(metrics_data, timeout_millis, **kwargs)
        assert result is MetricExportResult.SUCCESS, result
        sent.append(encode_metrics(metrics_data))
        return result


def run(instance, compression):
    exporter = Noting(
        endpoint=f"{url}/v1/metrics",
        headers={"Authorization": f"Bearer {key}"},
        compression=compression,
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    resource = Resource.create(
        {"service.name": "press", "service.instance.id": instance, "plant.hall": "7"}
    )
    provider = MeterProvider(metric_readers=[reader], resource=resource)
    meter = provider.get_meter("doors", "1.0")
    meter.create_gauge("oil.temperature", unit="Cel", description="how warm").set(
        71.25, {"bearing": "de"}
    )
    counter = meter.create_counter("parts", unit="{part}")
    counter.add(3, {"line": "a"})
    counter.add(4, {"line": "b/2"})
    meter.create_up_down_counter("queue").add(-2)
    histogram = meter.create_histogram(
        "press.time", unit="s", explicit_bucket_boundaries_advisory=[0.5, 1.0, 2.5]
    )
    for value in [0.25, 0.75, 0.8, 9.0]:
        histogram.record(value)
    meter.create_observable_gauge(
        "oil.pressure", [lambda _: [Observation(4.5, {"unit": "bar"})]]
    )
    # Collects and exports, once.
    provider.shutdown()


run("p-1", Compression.NoCompression)
run("p-2", Compression.Gzip)

requests_as_json = [MessageToDict(r, use_integers_for_enums=True) for r in sent]
again = json.loads(json.dumps(requests_as_json[0]).replace('"p-1"', '"p-json"'))
answer = requests.post(f"{url}/v1/metrics", json=again, headers={"X-API-Key": key}, timeout=30)
assert (answer.status_code, answer.json()) == (200, {}), answer.text
requests_as_json.append(again)

nan = json.loads(json.dumps(again))
gauge = nan["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
assert gauge["name"] == "oil.temperature"
gauge["gauge"]["dataPoints"].append({**gauge["gauge"]["dataPoints"][0], "asDouble": "Infinity"})
answer = requests.post(f"{url}/v1/metrics", json=nan, headers={"X-API-Key": key}, timeout=30)
partial = answer.json()["partialSuccess"]
assert answer.status_code == 200 and partial["rejectedDataPoints"] == "1", answer.text

print(json.dumps(requests_as_json))
