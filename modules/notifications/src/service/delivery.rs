use std::time::Duration;

use bus::{TaskContext, TaskError};
use tokio::task::JoinSet;

use super::{Notifications, smtp, webhook};
use crate::decide::{self, Outcome};
use crate::error::NotificationsError;
use crate::model::{Channel, NotificationState};
use crate::records::{self, Stored};

/// Messages under way at once: one slow receiver must not hold up the others.
const AT_ONCE: usize = 4;
/// How often due times are looked at when nothing else wakes the task.
const POLL: Duration = Duration::from_secs(1);
/// Commits closer together than this are looked at once.
const SETTLE: Duration = Duration::from_millis(50);
/// More messages than this are never under way, so one look finds all that a crash left.
const RECOVERED_MAX: u64 = 1_000;

impl Notifications {
    /// Sends what is due until told to stop, then waits for what is under way.
    pub(crate) async fn deliver_until_stopped(self, context: TaskContext) -> Result<(), TaskError> {
        self.recover().await?;
        let mut commits = self.bus.records().commits();
        // Tasks of their own: a delivery that holds the one writing connection must go on while
        // this loop waits for it.
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < AT_ONCE && !context.stop.is_cancelled() {
                let Some(stored) = self.claim().await? else { break };
                let service = self.clone();
                under_way.spawn(async move { service.deliver(stored).await });
            }
            let woken = async {
                // A closed channel only means that the next look waits for the poll.
                drop(commits.changed().await);
                tokio::time::sleep(SETTLE).await;
            };
            tokio::select! {
                () = context.stop.cancelled() => break,
                Some(done) = under_way.join_next() => {
                    done??;
                    let waiting = records::waiting(self.bus.records()).await?;
                    context.handle.progress(1, waiting);
                }
                () = woken, if under_way.len() < AT_ONCE => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        // Each attempt is bounded by its own timeouts.
        while let Some(done) = under_way.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Settles what an earlier process left half done.
    pub(crate) async fn recover(&self) -> Result<(), NotificationsError> {
        for stored in records::in_flight(self.bus.records(), RECOVERED_MAX).await? {
            let outcome = decide::recover(stored.notification.channel, stored.handed_over);
            self.settle(stored, outcome).await?;
        }
        Ok(())
    }

    async fn claim(&self) -> Result<Option<Stored>, NotificationsError> {
        let records = self.bus.records();
        let Some(id) = records::next_due(records, self.bus.clock().now()).await? else {
            return Ok(None);
        };
        let tx = records.begin().await?;
        let claimed = records::claim(&tx, id).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn deliver(&self, stored: Stored) -> Result<(), NotificationsError> {
        let outcome = match stored.notification.channel {
            Channel::Email => self.send_mail(&stored).await,
            Channel::Webhook => self.call_webhook(&stored).await,
            Channel::InApp => Outcome::Sent,
        };
        self.settle(stored, outcome).await
    }

    async fn send_mail(&self, stored: &Stored) -> Outcome {
        let Some(settings) = &self.settings.smtp else {
            return Outcome::Refused { error: "no mail server is configured any more".to_owned() };
        };
        let id = stored.notification.notification_id;
        let hand_over = async || {
            let tx = self.bus.records().begin().await?;
            records::mark_handed_over(&tx, id).await?;
            Ok(tx.commit().await?)
        };
        smtp::send(settings, stored, self.bus.clock().now(), hand_over).await
    }

    async fn call_webhook(&self, stored: &Stored) -> Outcome {
        let hook = self.settings.webhooks.iter().find(|hook| hook.url == stored.recipient);
        let Some(hook) = hook else {
            return Outcome::Refused {
                error: "this webhook is not configured any more".to_owned(),
            };
        };
        let now = self.bus.clock().now();
        webhook::call(hook, stored, now, self.settings.allow_private).await
    }

    async fn settle(&self, stored: Stored, outcome: Outcome) -> Result<(), NotificationsError> {
        let Stored { mut notification, event, .. } = stored;
        let now = self.bus.clock().now();
        let attempts = notification.attempts;
        let jitter = kernel::spread((notification.notification_id, attempts));
        let settled = decide::settle(outcome, attempts, jitter, now);
        notification.state = settled.state;
        notification.error = settled.error;
        notification.sent_at = (settled.state == NotificationState::Sent).then_some(now);
        if let Some(error) = &notification.error {
            let (id, state) = (notification.notification_id, notification.state.as_str());
            tracing::warn!(%id, state, error, "message not sent");
        }
        let tx = self.bus.records().begin().await?;
        records::settle(&tx, &notification, settled.due_at).await?;
        self.publish(&tx, &event, &notification).await?;
        Ok(tx.commit().await?)
    }
}
