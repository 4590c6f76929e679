use bus::{Agent, TaskContext, TaskError};

use super::Telemetry;

impl Telemetry {
    /// The module's workers.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        vec![
            self.agent("data-acquisition", "Data acquisition", Self::acquire),
            self.agent("validation", "Validation", Self::report_validation),
            self.agent("retention", "Retention", Self::retain),
            self.agent("series-integrity", "Integrity of readings", Self::watch_integrity),
            self.agent("sources", "Sources", Self::supervise),
            self.agent("anomaly-detection", "Anomaly detection", Self::detect),
            self.agent("process-detection", "Process detection", Self::detect_processes),
        ]
    }

    fn agent<F>(
        &self,
        name: &'static str,
        title: &'static str,
        run: impl Fn(Self, TaskContext) -> F + Send + Sync + 'static,
    ) -> Agent
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let service = self.clone();
        Agent::task(name, title, move |context| Box::pin(run(service.clone(), context)))
    }
}
