use std::time::Duration;

use bus::{Agent, TaskContext, TaskError};

use super::Incidents;
use crate::sense::timeline;

/// How often the clock is looked at for delays, shelvings and dismissals that end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Incidents {
    /// The module's workers.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let (correlate, write, watch) = (self.clone(), self.clone(), self.clone());
        vec![
            Agent::consumer(
                "correlation",
                "Raises alarms and joins them into incidents",
                &["anomaly.detected"],
                move |event, tx| {
                    let service = correlate.clone();
                    Box::pin(async move { Ok(service.on_anomaly(event, tx).await?) })
                },
            ),
            Agent::consumer(
                "timeline",
                "Writes the timeline of incidents",
                timeline::TYPES,
                move |event, tx| {
                    let service = write.clone();
                    Box::pin(async move { Ok(service.on_any(event, tx).await?) })
                },
            ),
            Agent::task("alarm-clock", "Ends delays, shelvings and dismissals", move |context| {
                Box::pin(watch.clone().watch(context))
            }),
        ]
    }

    async fn watch(self, context: TaskContext) -> Result<(), TaskError> {
        loop {
            let mut changed = self.ripen_due().await?;
            changed += self.unshelve_due().await?;
            changed += self.dismissals_due().await?;
            context.handle.progress(changed, 0);
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}
