//! A source as it is shown: what is wanted of it, what it does, what it brought.

use std::time::Duration;

use kernel::Timestamp;
use sense::{LinkState, Protocol, SourceError, SourceHealth, SourceId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::board::Tracked;
use super::{Actual, ConfiguredIn, Desired, Wanted, secrets};
use crate::error::TelemetryError;
use crate::service::Telemetry;

/// A connector that says how often it asks is silent after so many of its intervals.
const SILENT_INTERVALS: u32 = 5;
const SILENT_MIN: Duration = Duration::from_secs(10);
/// A connector that has not brought anything yet is given this long after it connected.
const FIRST_WORD: Duration = Duration::from_secs(60);

/// Whether a source is ours or calls us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceKind {
    /// Goes out and reads.
    Connector,
    /// Calls one of our doors.
    Agent,
}

/// How a source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceState {
    Live,
    /// Nothing came for several of its usual pauses.
    Silent,
    Connecting,
    /// Lost, and about to connect again.
    Waiting,
    /// Lost many times, or cannot start.
    Failing,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SourceDetail {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SourceTrouble {
    pub(crate) at: Timestamp,
    pub(crate) message: String,
}

impl From<SourceError> for SourceTrouble {
    fn from(error: SourceError) -> Self {
        Self { at: error.at, message: error.message }
    }
}

/// A source of readings.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// `modbus_tcp/boiler`.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) protocol: &'static str,
    /// Where it is read from; for an agent the door it calls.
    pub(crate) address: String,
    pub(crate) kind: SourceKind,
    /// What people want of a connector; null for agents.
    pub(crate) desired: Option<Desired>,
    pub(crate) state: SourceState,
    /// Whether what is wanted and what is agree.
    pub(crate) reconciled: bool,
    pub(crate) configured_in: Option<ConfiguredIn>,
    pub(crate) readings: u64,
    pub(crate) refused: u64,
    pub(crate) rate_per_s: f64,
    /// Readings per second in each minute of the last hour, oldest first.
    pub(crate) rates: Vec<f64>,
    /// Receive time minus event time of the newest delivery.
    pub(crate) lag_ms: Option<i64>,
    pub(crate) backlog: u64,
    pub(crate) reconnects: u64,
    pub(crate) newest_at: Option<Timestamp>,
    pub(crate) last_heard_at: Option<Timestamp>,
    pub(crate) connected_since: Option<Timestamp>,
    pub(crate) last_error: Option<SourceTrouble>,
    pub(crate) details: Vec<SourceDetail>,
    /// With secrets shown as `***`; null for agents.
    #[schema(value_type = Option<Object>)]
    pub(crate) settings: Option<Value>,
    /// The entity tag of a connector's settings.
    pub(crate) version: Option<i64>,
}

impl Telemetry {
    /// Connectors and agents, in order of id.
    pub(crate) async fn source_views(&self) -> Result<Vec<SourceView>, TelemetryError> {
        self.ensure_sources().await?;
        let now = self.clock.now();
        let wanted = self.sources.all_wanted();
        let mut views: Vec<SourceView> =
            wanted.iter().map(|(id, wanted)| self.connector_view(id, wanted, now)).collect();
        for (id, tracked) in self.sources.board.all(now) {
            // What a connector brought last may arrive after it was removed.
            if !wanted.contains_key(&id) && !id.protocol.goes_out() {
                views.push(agent_view(&id, tracked, now));
            }
        }
        views.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(views)
    }

    pub(crate) async fn source_view(&self, id: &SourceId) -> Result<SourceView, TelemetryError> {
        self.ensure_sources().await?;
        let now = self.clock.now();
        if let Some(wanted) = self.sources.wanted(id) {
            return Ok(self.connector_view(id, &wanted, now));
        }
        let tracked = self.sources.board.get(id, now);
        let tracked = tracked.ok_or_else(|| TelemetryError::NoSuchSource(id.to_string()))?;
        Ok(agent_view(id, tracked, now))
    }

    pub(super) fn connector_view(
        &self,
        id: &SourceId,
        wanted: &Wanted,
        now: Timestamp,
    ) -> SourceView {
        let actual = self.sources.actual().get(id).cloned().unwrap_or_default();
        let health = actual.status.as_ref().map(sense::SourceStatus::snapshot);
        let tracked = self.sources.board.get(id, now);
        let mut state = state(wanted.desired, &actual, health.as_ref(), tracked.as_ref(), now);
        // A door that we run ourselves is well while it is open, whoever comes.
        if state == SourceState::Silent && !id.protocol.goes_out() {
            state = SourceState::Live;
        }
        let reconciled = match wanted.desired {
            Desired::Stopped => !actual.is_running,
            Desired::Running => matches!(state, SourceState::Live | SourceState::Silent),
        };
        let secrets = self.sources.secrets(id.protocol);
        let mut view = SourceView {
            desired: Some(wanted.desired),
            state,
            reconciled,
            configured_in: Some(wanted.configured_in),
            settings: Some(secrets::hide(&wanted.settings, secrets)),
            version: Some(wanted.version),
            ..bare(id, SourceKind::Connector)
        };
        if let Some(tracked) = tracked {
            fill(&mut view, tracked);
        }
        if let Some(health) = health {
            overlay(&mut view, health);
        }
        view.reconnects += actual.crashes;
        let fault = actual.fault.map(SourceTrouble::from);
        view.last_error = newer(fault, view.last_error.take());
        view
    }
}

pub(super) fn bare(id: &SourceId, kind: SourceKind) -> SourceView {
    SourceView {
        id: id.to_string(),
        name: id.name.to_string(),
        protocol: id.protocol.name(),
        address: String::new(),
        kind,
        desired: None,
        state: SourceState::Stopped,
        reconciled: true,
        configured_in: None,
        readings: 0,
        refused: 0,
        rate_per_s: 0.0,
        rates: Vec::new(),
        lag_ms: None,
        backlog: 0,
        reconnects: 0,
        newest_at: None,
        last_heard_at: None,
        connected_since: None,
        last_error: None,
        details: Vec::new(),
        settings: None,
        version: None,
    }
}

fn fill(view: &mut SourceView, tracked: Tracked) {
    view.readings = tracked.readings;
    view.refused = tracked.refused;
    view.rate_per_s = tracked.rate_per_s;
    view.rates = tracked.rates;
    view.lag_ms = tracked.lag_ms;
    view.newest_at = tracked.newest_at;
    view.last_heard_at = tracked.last_heard_at;
    view.last_error = tracked.last_error.map(SourceTrouble::from);
}

fn overlay(view: &mut SourceView, health: SourceHealth) {
    view.address = health.address;
    // Connectors count what they could not even read; the board counts what was not stored.
    view.refused = view.refused.max(health.refused);
    view.backlog = health.backlog;
    view.reconnects = health.reconnects;
    view.connected_since = health.connected_since;
    view.last_error = newer(health.last_error.map(SourceTrouble::from), view.last_error.take());
    let details = health.details.into_iter();
    view.details =
        details.map(|(name, value)| SourceDetail { name: name.to_owned(), value }).collect();
}

fn newer(one: Option<SourceTrouble>, other: Option<SourceTrouble>) -> Option<SourceTrouble> {
    [one, other].into_iter().flatten().max_by_key(|trouble| trouble.at)
}

fn state(
    desired: Desired,
    actual: &Actual,
    health: Option<&SourceHealth>,
    tracked: Option<&Tracked>,
    now: Timestamp,
) -> SourceState {
    if desired == Desired::Stopped {
        return SourceState::Stopped;
    }
    if !actual.is_running {
        let failed = actual.fault.is_some();
        return if failed { SourceState::Failing } else { SourceState::Connecting };
    }
    let Some(health) = health else { return SourceState::Connecting };
    match health.link {
        LinkState::Idle | LinkState::Connecting if health.reconnects == 0 => {
            SourceState::Connecting
        }
        LinkState::Idle | LinkState::Connecting | LinkState::Waiting => SourceState::Waiting,
        LinkState::Open => SourceState::Failing,
        LinkState::Connected => {
            let heard_at = tracked.and_then(|tracked| tracked.last_heard_at);
            let patience = match (actual.interval, heard_at, tracked) {
                (Some(interval), _, _) => (interval * SILENT_INTERVALS).max(SILENT_MIN),
                (None, Some(_), Some(tracked)) => tracked.silent_after,
                _ => FIRST_WORD,
            };
            let since = heard_at.max(health.connected_since).unwrap_or(now);
            if now.since(since) > patience { SourceState::Silent } else { SourceState::Live }
        }
    }
}

fn agent_view(id: &SourceId, tracked: Tracked, now: Timestamp) -> SourceView {
    let silent = tracked.last_heard_at.is_none_or(|at| now.since(at) > tracked.silent_after);
    let mut view = SourceView {
        address: door_of(id.protocol).to_owned(),
        state: if silent { SourceState::Silent } else { SourceState::Live },
        ..bare(id, SourceKind::Agent)
    };
    fill(&mut view, tracked);
    view
}

/// Where an agent calls.
fn door_of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json => "/api/v1/data/ingest",
        Protocol::LineProtocol => "/api/v2/write",
        Protocol::RemoteWrite => "/api/v1/write",
        Protocol::Otlp => "/v1/metrics",
        Protocol::File => "/api/v1/data/import",
        Protocol::Broker => "the broker inside",
        Protocol::Simulation => "the plant inside",
        Protocol::Mqtt | Protocol::SparkplugB | Protocol::ModbusTcp | Protocol::OpcUa => "",
    }
}
