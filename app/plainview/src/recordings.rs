//! Recordings of real machines that come with Plainview, for trying it and for its tests.

/// A recording inside the program.
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    /// The sensor it is replayed as when none is named.
    pub(crate) sensor: &'static str,
    pub(crate) unit: &'static str,
    /// Gzipped CSV with `timestamp,value`.
    pub(crate) csv_gz: &'static [u8],
}

/// From the Numenta Anomaly Benchmark v1.1 (MIT); see `assets/nab/NOTICE.md`.
const RECORDINGS: &[Recording] = &[Recording {
    name: "machine_temperature_system_failure",
    sensor: "nab/machine/temperature",
    unit: "°F",
    csv_gz: include_bytes!("../assets/nab/machine_temperature_system_failure.csv.gz"),
}];

pub(crate) fn find(name: &str) -> Option<&'static Recording> {
    RECORDINGS.iter().find(|recording| recording.name == name)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    RECORDINGS.iter().map(|recording| recording.name)
}
