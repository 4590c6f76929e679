// What the mock plant says of itself: its health and what it measures.

export const health = () => ({
  status: "ok",
  version: "0.1.0",
  uptime_sec: 86_400,
  checks: {
    cache: { status: "ok", detail: "not configured" },
    database: { status: "ok", detail: "sqlite answers" },
    event_bus: { status: "ok", detail: "log at 1204" },
    mqtt: { status: "ok", detail: "not configured" },
    series: { status: "ok", detail: "25 sensors, 6218592 bytes" },
  },
});

export const metrics = () => `plainview_readings_accepted_total 4846120
series_commit_seconds_sum 13.97
series_commit_seconds_count 3482
series_sealed_readings_total 4369625
series_seal_seconds_sum 0.84
series_seal_seconds_count 12
series_compaction_seconds_sum 0.41
series_compaction_seconds_count 1
plainview_series_quarantined 0
`;
