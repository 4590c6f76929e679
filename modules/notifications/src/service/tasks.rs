use bus::Agent;

use super::Notifications;
use crate::sense;

impl Notifications {
    /// The module's workers.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let (notify, deliver) = (self.clone(), self.clone());
        vec![
            Agent::consumer(
                "notification",
                "Decides who is told what",
                sense::TYPES,
                move |event, tx| {
                    let service = notify.clone();
                    Box::pin(async move { service.notify(event, tx).await })
                },
            ),
            Agent::task("delivery", "Sends e-mails and webhooks", move |context| {
                Box::pin(deliver.clone().deliver_until_stopped(context))
            }),
        ]
    }
}
