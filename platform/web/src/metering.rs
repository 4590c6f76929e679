use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::WebError;

/// From half a millisecond to half a minute: what a page feels, and what times out.
const DURATION_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What `/metrics` writes out; cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

impl Metrics {
    /// Makes this process record metrics. A second call gives the same recorder: there can be
    /// only one in a process.
    ///
    /// # Errors
    /// When another recorder is installed already.
    pub fn install() -> Result<Self, WebError> {
        if let Some(installed) = INSTALLED.get() {
            return Ok(installed.clone());
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS)
            .map_err(|_| WebError::Metrics)?
            .build_recorder();
        let metrics = Self(recorder.handle());
        match metrics::set_global_recorder(recorder) {
            Ok(()) => Ok(INSTALLED.get_or_init(|| metrics).clone()),
            // Another thread was quicker, with ours or with another recorder.
            Err(_) => INSTALLED.get().cloned().ok_or(WebError::Metrics),
        }
    }

    pub(crate) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
