//! What `/health` says about sources.

use futures_util::future::BoxFuture;
use sense::{LinkState, Protocol, SourceHealth};
use web::{Check, HealthCheck, Standing};

use super::view::SourceState;
use super::{Desired, SourceView};
use crate::service::Telemetry;

/// Sources named in one line.
const NAMED_MAX: usize = 3;

impl Telemetry {
    /// A line for all connectors, and the line of the MQTT broker, which is older.
    pub(crate) fn source_checks(&self) -> Vec<HealthCheck> {
        let (all, mqtt) = (self.clone(), self.clone());
        let ask_all = move || -> BoxFuture<'static, Check> {
            let telemetry = all.clone();
            Box::pin(async move { telemetry.check_sources().await })
        };
        let ask_mqtt = move || -> BoxFuture<'static, Check> {
            let telemetry = mqtt.clone();
            Box::pin(async move { telemetry.check_mqtt().await })
        };
        vec![
            HealthCheck { name: "sources", ask: std::sync::Arc::new(ask_all) },
            HealthCheck { name: "mqtt", ask: std::sync::Arc::new(ask_mqtt) },
        ]
    }

    async fn check_sources(&self) -> Check {
        let views = match self.source_views().await {
            Ok(views) => views,
            Err(error) => return Check { status: Standing::Degraded, detail: error.to_string() },
        };
        let connectors: Vec<&SourceView> =
            views.iter().filter(|view| view.desired == Some(Desired::Running)).collect();
        let well = |view: &&SourceView| view.state == SourceState::Live;
        let ill: Vec<&SourceView> = connectors.iter().copied().filter(|view| !well(view)).collect();
        if connectors.is_empty() {
            return Check { status: Standing::Ok, detail: "not configured".to_owned() };
        }
        if ill.is_empty() {
            return Check { status: Standing::Ok, detail: format!("{} live", connectors.len()) };
        }
        let named: Vec<String> = ill.iter().take(NAMED_MAX).map(|view| complaint(view)).collect();
        let more = ill.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Check { status: Standing::Degraded, detail: format!("{}{more}", named.join("; ")) }
    }

    /// The broker that `[mqtt]` names, or any other.
    async fn check_mqtt(&self) -> Check {
        if let Err(error) = self.ensure_sources().await {
            return Check { status: Standing::Degraded, detail: error.to_string() };
        }
        let wanted = self.sources.all_wanted();
        let brokers = wanted.iter().filter(|(id, _)| id.protocol == Protocol::Mqtt);
        let mut worst: Option<Check> = None;
        for (id, wanted) in brokers {
            let check = if wanted.desired == Desired::Stopped {
                Check { status: Standing::Ok, detail: format!("{id} is stopped") }
            } else {
                let actual = self.sources.actual().get(id).cloned().unwrap_or_default();
                match (actual.status, actual.fault) {
                    (Some(status), _) => broker(&status.snapshot()),
                    (None, Some(fault)) => {
                        Check { status: Standing::Degraded, detail: fault.message }
                    }
                    (None, None) => {
                        Check { status: Standing::Degraded, detail: "starting".to_owned() }
                    }
                }
            };
            if worst.as_ref().is_none_or(|worst| worst.status < check.status) {
                worst = Some(check);
            }
        }
        worst.unwrap_or(Check { status: Standing::Ok, detail: "not configured".to_owned() })
    }
}

fn complaint(view: &SourceView) -> String {
    let state = match view.state {
        SourceState::Live => "is live",
        SourceState::Silent => "is silent",
        SourceState::Connecting => "is connecting",
        SourceState::Waiting => "waits to connect again",
        SourceState::Failing => "fails",
        SourceState::Stopped => "is stopped",
    };
    let error = view.last_error.as_ref().filter(|_| view.state != SourceState::Silent);
    let error = error.map(|error| format!(": {}", error.message)).unwrap_or_default();
    format!("{} {state}{error}", view.id)
}

fn broker(health: &SourceHealth) -> Check {
    let (status, state) = match health.link {
        LinkState::Connected => (Standing::Ok, "connected to"),
        LinkState::Idle | LinkState::Connecting => (Standing::Degraded, "connecting to"),
        LinkState::Waiting => (Standing::Degraded, "waiting to connect again to"),
        LinkState::Open => (Standing::Degraded, "trying once a minute to connect to"),
    };
    let error = health.last_error.as_ref().filter(|_| status != Standing::Ok);
    let detail = format!(
        "{state} {}, {} readings, {} refused{}",
        health.address,
        health.readings,
        health.refused,
        error.map(|error| format!("; last error: {}", error.message)).unwrap_or_default()
    );
    Check { status, detail }
}
