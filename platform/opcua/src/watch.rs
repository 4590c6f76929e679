//! The subscription of one server, across sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kernel::Timestamp;
use opcua_client::{MonitoredItemMap, OnSubscriptionNotificationCore, Session};
use opcua_types::{
    AttributeId, DataChangeFilter, DataChangeNotification, DataChangeTrigger, DataValue,
    ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters,
    NotificationMessage, ReadValueId, TimestampsToReturn,
};
use sense::courier::Courier;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::OpcUaError;
use crate::backfill::{Backfill, recorded};
use crate::kind::OpcUa;
use crate::link::Link;
use crate::nodes::{self, NODES_PER_READ};
use crate::tags::{Last, Tag};

/// Notifications that wait between the session and us.
const NOTIFICATIONS_MAX: usize = 1_024;
const ITEMS_PER_REQUEST: usize = 500;
/// Publishing intervals without a notification after which the server sends an empty one.
const KEEP_ALIVE_COUNT: u32 = 10;
/// Publishing intervals without a request of ours after which the server forgets us.
const LIFETIME_COUNT: u32 = 600;
const ABSOLUTE_DEADBAND: u32 = 1;
const REPEAT_LOOK: Duration = Duration::from_secs(1);
/// Every round fills what came during the one before, which is less and less.
const FILL_ROUNDS_MAX: usize = 10;

/// Values of one message, each with the handle of its node.
type Changes = Vec<(u32, DataValue)>;

pub(crate) struct Watch<'a> {
    source: &'a OpcUa,
    courier: Courier,
    tags: Vec<Tag>,
    backfilled: u64,
    history_requests: u64,
}

/// Passes notifications on without ever waiting: it is called by what drives the session.
struct Ear {
    queue: mpsc::Sender<Changes>,
    missed: Arc<AtomicU64>,
}

impl OnSubscriptionNotificationCore for Ear {
    fn on_subscription_notification(
        &mut self,
        notification: NotificationMessage,
        _items: MonitoredItemMap<'_>,
    ) {
        let parts = notification.notification_data.unwrap_or_default();
        let changes: Changes = parts
            .into_iter()
            .filter_map(|part| part.into_inner_as::<DataChangeNotification>())
            .flat_map(|part| part.monitored_items.unwrap_or_default())
            .map(|item| (item.client_handle, item.value))
            .collect();
        let count = changes.len() as u64;
        if count > 0 && self.queue.try_send(changes).is_err() {
            self.missed.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Why a session ended, and whether it had begun.
type Lost = (OpcUaError, bool);

impl<'a> Watch<'a> {
    pub(crate) fn new(source: &'a OpcUa, courier: Courier) -> Self {
        source.status.detail("time of a reading", "the source's, as the server says it");
        Self { source, courier, tags: Vec::new(), backfilled: 0, history_requests: 0 }
    }

    fn now(&self) -> Timestamp {
        self.source.clock.now()
    }

    /// One session; `Ok` when it was stopped.
    pub(crate) async fn session(&mut self, stop: &CancellationToken) -> Result<(), Lost> {
        let opened = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = Link::open(self.source) => opened,
        };
        let mut link = opened.map_err(|error| (error, false))?;
        let session = Arc::clone(&link.session);
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            error = link.lost() => Some(error),
            error = self.follow(&session) => Some(error),
        };
        match ended {
            None => {
                link.close().await;
                Ok(())
            }
            Some(error) => {
                link.close().await;
                Err((error, true))
            }
        }
    }

    /// Subscribes, fills the gap, and then listens until something goes wrong.
    async fn follow(&mut self, session: &Session) -> OpcUaError {
        let (queue, mut changes) = mpsc::channel(NOTIFICATIONS_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        let ear = Ear { queue, missed: Arc::clone(&missed) };
        let began = self.now();
        if let Err(error) = self.begin(session, ear).await {
            return error;
        }
        self.source.status.connected(self.now());
        if let Err(error) = self.fill_gaps(session, began, &missed).await {
            return error;
        }
        let mut timer = tokio::time::interval(REPEAT_LOOK);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                some = changes.recv() => match some {
                    Some(some) => self.hear(&some),
                    None => return OpcUaError::Lost(opcua_types::StatusCode::BadSubscriptionIdInvalid),
                },
                _ = timer.tick() => {
                    let count = missed.load(Ordering::Relaxed);
                    self.source.status.detail("notifications missed", count.to_string());
                    if let Err(error) = self.repeat(session, began).await {
                        return error;
                    }
                }
            }
        }
    }

    async fn begin(&mut self, session: &Session, ear: Ear) -> Result<(), OpcUaError> {
        let settings = &self.source.settings;
        let mut tags = nodes::find(session, settings).await?;
        for tag in &mut tags {
            let known = self.tags.iter().find(|known| known.sensor == tag.sensor);
            tag.last = known.map_or_else(|| self.stored_before(tag), |known| known.last);
        }
        self.tags = tags;
        let every = Duration::from_millis(settings.publishing_ms);
        let subscription = session
            .create_subscription(every, LIFETIME_COUNT, KEEP_ALIVE_COUNT, 0, 0, true, ear)
            .await
            .map_err(OpcUaError::service("subscribe"))?;
        let mut refused = 0_usize;
        let mut first = None;
        for (place, some) in self.tags.chunks(ITEMS_PER_REQUEST).enumerate() {
            let wanted = some.iter().enumerate();
            let wanted = wanted.map(|(index, tag)| {
                item(tag, (place * ITEMS_PER_REQUEST + index) as u32 + 1, settings.queue)
            });
            let made = session
                .create_monitored_items(subscription, TimestampsToReturn::Both, wanted.collect())
                .await
                .map_err(OpcUaError::service("monitor"))?;
            for (tag, made) in some.iter().zip(made) {
                if made.result.status_code.is_bad() {
                    refused += 1;
                    let status = made.result.status_code;
                    first.get_or_insert_with(|| format!("{} ({}): {status}", tag.sensor, tag.node));
                }
            }
        }
        let status = &self.source.status;
        status.detail("nodes", self.tags.len().to_string());
        status.detail("nodes refused", refused.to_string());
        if let Some(first) = first {
            status.trouble(&first, self.now());
        }
        Ok(())
    }

    /// What the store knows of a sensor from before this start.
    fn stored_before(&self, tag: &Tag) -> Last {
        let newest = self.source.kind.newest.as_ref().and_then(|newest| newest(&tag.sensor));
        Last { good_until: newest, ..Last::default() }
    }

    /// Fills the gaps, and then those that filling made: notifications wait meanwhile, and those
    /// that find no room are in the history too. Nothing newer is handed over before, so a gap
    /// that is half filled when we are killed still begins where it was filled to.
    async fn fill_gaps(
        &mut self,
        session: &Session,
        began: Timestamp,
        missed: &AtomicU64,
    ) -> Result<(), OpcUaError> {
        let hours = u64::from(self.source.settings.backfill_hours);
        if hours == 0 {
            return Ok(());
        }
        let reach = Duration::from_secs(hours * 3_600);
        let recorded = recorded(session, &self.tags).await?;
        let without = recorded.iter().filter(|recorded| !**recorded).count();
        self.source.status.detail("nodes without history", without.to_string());
        let mut until = began;
        for _ in 0..FILL_ROUNDS_MAX {
            let before = missed.load(Ordering::Relaxed);
            self.fill(session, &recorded, until, reach).await;
            if missed.load(Ordering::Relaxed) == before {
                break;
            }
            until = self.now();
        }
        Ok(())
    }

    async fn fill(
        &mut self,
        session: &Session,
        recorded: &[bool],
        until: Timestamp,
        reach: Duration,
    ) {
        let backfill = Backfill::new(session, &self.tags, &mut self.courier, until).await;
        let filled = backfill.run(recorded, reach).await;
        for index in filled.whole {
            let last = &mut self.tags[index].last;
            last.good_until = last.good_until.max(Some(until));
        }
        self.backfilled += filled.readings;
        self.history_requests += filled.requests;
        let status = &self.source.status;
        status.detail("backfilled readings", self.backfilled.to_string());
        status.detail("history requests", self.history_requests.to_string());
        if let Some(from) = filled.from {
            let said = format!("{from} to {until}: {} readings", filled.readings);
            status.detail("last gap filled", said);
        }
        if let Some(failed) = filled.failed {
            status.trouble(&failed, self.now());
        }
    }

    fn hear(&mut self, changes: &Changes) {
        let now = self.now();
        let mut readings = Vec::with_capacity(changes.len());
        let mut refused = 0;
        for (handle, value) in changes {
            let Some(tag) = self.tags.get_mut((*handle as usize).wrapping_sub(1)) else { continue };
            match tag.hear(value, now) {
                Ok(reading) => readings.push(reading),
                Err(reason) => {
                    refused += 1;
                    self.source.status.trouble(&reason, now);
                }
            }
        }
        self.courier.send(readings, refused);
    }

    /// Reads what has not changed for a while: it may be constant, or nobody may write it any
    /// more, and only the server knows.
    async fn repeat(&mut self, session: &Session, began: Timestamp) -> Result<(), OpcUaError> {
        let Some(every) = sense::Connector::interval(self.source) else { return Ok(()) };
        let now = self.now();
        // First the subscription says what it has.
        if now.since(began) < every {
            return Ok(());
        }
        let due: Vec<usize> =
            (0..self.tags.len()).filter(|index| self.tags[*index].is_due(now, every)).collect();
        for some in due.chunks(NODES_PER_READ) {
            let asked: Vec<ReadValueId> = some
                .iter()
                .map(|index| ReadValueId::from(self.tags[*index].node.clone()))
                .collect();
            let values = session.read(&asked, TimestampsToReturn::Both, 0.0).await;
            let values = values.map_err(OpcUaError::service("read"))?;
            let now = self.now();
            let mut readings = Vec::with_capacity(values.len());
            for (index, value) in some.iter().zip(&values) {
                let tag = &mut self.tags[*index];
                match tag.confirm(value, now) {
                    Ok(reading) => readings.push(reading),
                    // Asked again when the time has come again, not at once.
                    Err(reason) => {
                        tag.last.at = Some(now);
                        self.source.status.trouble(&reason, now);
                    }
                }
            }
            self.courier.send(readings, 0);
        }
        Ok(())
    }

    /// What is kept of every node is old now.
    pub(crate) fn mark_all_stale(&mut self) {
        let now = self.now();
        let readings = self.tags.iter_mut().filter_map(|tag| tag.expire(now)).collect();
        self.courier.send(readings, 0);
    }
}

fn item(tag: &Tag, handle: u32, queue: u32) -> MonitoredItemCreateRequest {
    let filter = match tag.deadband {
        Some(deadband_value) if deadband_value > 0.0 => {
            ExtensionObject::from_message(DataChangeFilter {
                trigger: DataChangeTrigger::StatusValue,
                deadband_type: ABSOLUTE_DEADBAND,
                deadband_value,
            })
        }
        _ => ExtensionObject::null(),
    };
    let watched = ReadValueId {
        node_id: tag.node.clone(),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    };
    let parameters = MonitoringParameters {
        client_handle: handle,
        sampling_interval: tag.sampling_ms as f64,
        filter,
        queue_size: queue,
        discard_oldest: true,
    };
    MonitoredItemCreateRequest::new(watched, MonitoringMode::Reporting, parameters)
}
