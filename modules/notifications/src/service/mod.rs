mod delivery;
mod smtp;
mod tasks;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;

use bus::{Bus, HandlerError};
use kernel::{Event, EventDraft, Timestamp};
use store::records::Tx;
use uuid::Uuid;

use crate::decide::{self, Matter, Plan};
use crate::error::NotificationsError;
use crate::events;
use crate::model::{About, Notification, NotificationState, Settings};
use crate::records::{self, Fresh, Selection};
use crate::sense;

/// What this module is given.
#[derive(Clone, Debug)]
pub struct Deps {
    pub bus: Bus,
    pub settings: Settings,
}

/// Who wrote an event.
const SOURCE: &str = "notifications";

/// The module's façade; cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifications {
    bus: Bus,
    settings: Arc<Settings>,
}

impl Notifications {
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        Self { bus: deps.bus, settings: Arc::new(deps.settings) }
    }

    /// Writes down every message that `event` asks for, as part of `tx`.
    pub(crate) async fn notify(&self, event: &Event, tx: &Tx) -> Result<(), HandlerError> {
        let Some(matter) = sense::matter(event).map_err(HandlerError::poison)? else {
            return Ok(());
        };
        let now = self.bus.clock().now();
        for plan in decide::route(&matter, &event.kind, &self.settings, now) {
            self.write(event, tx, &matter, plan, now).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        event: &Event,
        tx: &Tx,
        matter: &Matter,
        plan: Plan,
        now: Timestamp,
    ) -> Result<(), NotificationsError> {
        if records::is_known(tx, &plan.dedupe).await? {
            return Ok(());
        }
        let sent = plan.state == NotificationState::Sent;
        let notification = Notification {
            notification_id: Uuid::now_v7(),
            channel: plan.channel,
            to: plan.to,
            severity: matter.severity,
            title: matter.title.clone(),
            body: matter.body.clone(),
            about: About {
                kind: event.kind.clone(),
                subject: event.subject.clone(),
                event_id: event.id,
            },
            state: plan.state,
            attempts: u32::from(sent),
            error: None,
            created_at: now,
            sent_at: sent.then_some(now),
            read_at: None,
            read_by: None,
            correlation_id: event.correlationid,
        };
        let fresh =
            Fresh { notification: &notification, dedupe: &plan.dedupe, due_at: plan.due_at, event };
        records::insert(tx, fresh).await?;
        self.publish(tx, event, &notification).await
    }

    /// Says how a message ended; says nothing while it has not.
    async fn publish(
        &self,
        tx: &Tx,
        cause: &Event,
        notification: &Notification,
    ) -> Result<(), NotificationsError> {
        let kind = match notification.state {
            NotificationState::Sent => events::NOTIFICATION_SENT,
            NotificationState::Failed | NotificationState::Unknown => events::NOTIFICATION_FAILED,
            NotificationState::Pending | NotificationState::Sending => return Ok(()),
        };
        let subject = format!("notification/{}", notification.notification_id);
        let draft = EventDraft::new(kind, subject, notification)
            .map_err(|source| NotificationsError::Payload { kind: kind.name.to_owned(), source })?
            .caused_by(cause);
        self.bus.publish(tx, SOURCE, draft).await?;
        metrics::counter!(
            "plainview_notifications_total",
            "channel" => notification.channel.as_str(),
            "state" => notification.state.as_str(),
        )
        .increment(1);
        Ok(())
    }

    pub(crate) async fn list(
        &self,
        selection: Selection,
    ) -> Result<Vec<Notification>, NotificationsError> {
        records::list(self.bus.records(), selection).await
    }

    pub(crate) async fn read(
        &self,
        id: Uuid,
        reader: &str,
    ) -> Result<Notification, NotificationsError> {
        let tx = self.bus.records().begin().await?;
        let notification = records::mark_read(&tx, id, reader, self.bus.clock().now()).await?;
        tx.commit().await?;
        Ok(notification)
    }
}
