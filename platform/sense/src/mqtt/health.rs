use std::sync::{Arc, Mutex, PoisonError};

use kernel::Timestamp;
use serde::Serialize;

use super::BrokerSettings;
use crate::rows::excerpt;

const RATE_WINDOW_S: f64 = 10.0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    #[default]
    Idle,
    Connecting,
    Connected,
    /// Waiting to connect again.
    Waiting,
    /// The breaker is open after many failures: one try a minute.
    Open,
}

/// How a broker connection does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BrokerHealth {
    pub name: String,
    pub address: String,
    pub state: LinkState,
    pub connected_since: Option<Timestamp>,
    pub reconnects: u64,
    pub messages: u64,
    pub readings: u64,
    /// Rows and messages that could not be taken; they were acknowledged and named in the log.
    pub refused: u64,
    /// Readings per second, smoothed over ten seconds.
    pub rate_per_s: f64,
    /// Messages read and not yet acknowledged.
    pub lag: u64,
    pub last_message_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

/// The live state of one connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct BrokerStatus(Arc<Mutex<BrokerHealth>>);

impl BrokerStatus {
    pub(super) fn new(settings: &BrokerSettings) -> Self {
        Self(Arc::new(Mutex::new(BrokerHealth {
            name: settings.name.clone(),
            address: format!("{}:{}", settings.host, settings.port),
            ..BrokerHealth::default()
        })))
    }

    #[must_use]
    pub fn snapshot(&self) -> BrokerHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut BrokerHealth)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn connecting(&self) {
        self.change(|health| health.state = LinkState::Connecting);
    }

    pub(super) fn connected(&self, now: Timestamp) {
        self.change(|health| {
            health.state = LinkState::Connected;
            health.connected_since = Some(now);
        });
    }

    pub(super) fn lost(&self, error: &dyn std::error::Error, open: bool, _now: Timestamp) {
        self.change(|health| {
            health.state = if open { LinkState::Open } else { LinkState::Waiting };
            health.connected_since = None;
            health.reconnects += 1;
            health.lag = 0;
            health.rate_per_s = 0.0;
            health.last_error = Some(excerpt(&error.to_string(), 300));
        });
    }

    pub(super) fn stopped(&self) {
        self.change(|health| {
            health.state = LinkState::Idle;
            health.connected_since = None;
        });
    }

    pub(super) fn trouble(&self, reason: &str) {
        self.change(|health| health.last_error = Some(excerpt(reason, 300)));
    }

    pub(super) fn waiting(&self, messages: u64) {
        self.change(|health| health.lag = messages);
    }

    pub(super) fn stored(&self, messages: u64, readings: u64, refused: u64, now: Timestamp) {
        self.change(|health| {
            let seconds = health
                .last_message_at
                .map_or(RATE_WINDOW_S, |last| (now.micros_since(last) as f64 / 1e6).max(1e-3));
            let keep = (-seconds / RATE_WINDOW_S).exp();
            health.rate_per_s = health.rate_per_s * keep + (1.0 - keep) * readings as f64 / seconds;
            health.messages += messages;
            health.readings += readings;
            health.refused += refused;
            health.lag = 0;
            health.last_message_at = Some(now);
        });
    }
}
