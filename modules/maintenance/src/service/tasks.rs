use std::time::Duration;

use bus::{Agent, TaskContext, TaskError};

use super::Maintenance;

/// How often the clock is looked at for decisions that expire or come back.
const LAPSE_EVERY: Duration = Duration::from_secs(5);
/// How often reports are looked for that nobody told of: after a restart, or asked elsewhere.
const REPORTS_EVERY: Duration = Duration::from_secs(15);

impl Maintenance {
    /// The module's workers.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let (ask, place, write) = (self.clone(), self.clone(), self.clone());
        let (lapse, report) = (self.clone(), self.clone());
        vec![
            Agent::consumer(
                "human-interface",
                "Asks people",
                &["maintenance.predicted"],
                move |event, tx| {
                    let service = ask.clone();
                    Box::pin(async move { Ok(service.on_predicted(event, tx).await?) })
                },
            ),
            Agent::consumer(
                "scheduling",
                "Places approved work",
                &["decision.submitted"],
                move |event, tx| {
                    let service = place.clone();
                    Box::pin(async move { Ok(service.on_submitted(event, tx).await?) })
                },
            ),
            Agent::consumer(
                "maintenance-log",
                "Keeps the maintenance log",
                &["maintenance.scheduled", "maintenance.completed"],
                move |event, tx| {
                    let service = write.clone();
                    Box::pin(async move { Ok(service.on_work(event, tx).await?) })
                },
            ),
            Agent::task("decision-expiry", "Ends unanswered questions", move |context| {
                Box::pin(lapse.clone().watch_decisions(context))
            }),
            Agent::task("reporting", "Makes reports", move |context| {
                Box::pin(report.clone().watch_reports(context))
            }),
        ]
    }

    async fn watch_decisions(self, context: TaskContext) -> Result<(), TaskError> {
        loop {
            let changed = self.lapse_due().await?;
            context.handle.progress(changed, 0);
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LAPSE_EVERY) => {}
            }
        }
    }

    async fn watch_reports(self, context: TaskContext) -> Result<(), TaskError> {
        loop {
            while !context.stop.is_cancelled() && self.has_report_to_make().await? {
                if self.make_report().await? {
                    context.handle.progress(1, 0);
                }
            }
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                () = self.report_asked.notified() => {}
                () = tokio::time::sleep(REPORTS_EVERY) => {}
            }
        }
    }
}
