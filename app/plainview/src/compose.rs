//! The composition root: what Plainview is made of, one step after another.

use std::sync::Arc;

use axum::Router;
use bus::Coordinator;
use coord::{Idempotency, Limits};
use incidents::Incidents;
use kernel::{SystemClock, Timestamp};
use maintenance::{DecisionChoice, Maintenance, Submission};
use models::{Band, Models, RangeOf};
use notifications::Notifications;
use plant::{ApprovePort, ConfigurePort, Plant};
use store::records::Migration;
use telemetry::{Door, LateDoor, SensorDeclaration, Telemetry};
use tokio_util::sync::CancellationToken;
use web::{Check, HealthCheck, Keys, Metrics, Module, Role, Standing, WebSettings};

use crate::assets::assets;
use crate::config::Config;
use crate::platform::{self, Platform, Scratch};
use crate::{broker, settings, sources};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A Plainview that runs.
pub(crate) struct House {
    pub(crate) router: Router,
    pub(crate) web: WebSettings,
    platform: Platform,
    coordinator: Coordinator,
}

impl House {
    /// Opens the stores, brings the schema forward, starts the agents, puts the router together.
    /// `stop` ends streams and makes `/ready` say no.
    pub(crate) async fn build(config: &Config, stop: CancellationToken) -> anyhow::Result<Self> {
        let platform = Platform::open(config).await?;
        let mut modules = modules(config, &platform)?;
        platform.records.migrate(&migrations(&modules), platform.clock.now()).await?;
        let agents = modules
            .iter_mut()
            .flat_map(|module| {
                let name = module.name;
                std::mem::take(&mut module.agents).into_iter().map(move |agent| (name, agent))
            })
            .collect();
        let coordinator = Coordinator::start(platform.bus.clone(), agents, settings::retry(config));
        let web = settings::web(config);
        let deps = web::Deps {
            version: VERSION,
            records: platform.records.clone(),
            bus: platform.bus.clone(),
            clock: Arc::clone(&platform.clock),
            keys: keys(config, &platform)?,
            limits: Arc::new(Limits::new(Arc::clone(&platform.clock))),
            idempotency: Idempotency::new(
                platform.records.clone(),
                Arc::clone(&platform.clock),
                &platform::instance(config)?,
            ),
            coordinator: Some(coordinator.clone()),
            health: vec![series_health(&platform)],
            metrics: Some(Metrics::install()?),
            assets: assets(),
            stop,
        };
        let app = modules.into_iter().fold(web::App::new(web.clone(), deps), web::App::with);
        Ok(Self { router: app.build()?, web, platform, coordinator })
    }

    /// Stops the agents, then closes the stores.
    pub(crate) async fn close(self) {
        self.coordinator.stop().await;
        drop(self.router);
        if let Err(error) = self.platform.records.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "records closed badly");
        }
    }
}

/// Every module, after the ports through which they meet.
fn modules(config: &Config, platform: &Platform) -> anyhow::Result<Vec<Module>> {
    let Platform { clock, records, series, bus } = platform.clone();
    let late = LateDoor::default();
    let telemetry = Telemetry::new(telemetry::Deps {
        series: Arc::clone(&series),
        records,
        bus: bus.clone(),
        clock,
        settings: settings::telemetry(config),
        connectors: broker::add(
            config,
            keys(config, platform)?,
            sources::connectors(config, &late)?,
        ),
    });
    let door = telemetry.door();
    late.tie(&door);
    let incidents = Incidents::new(incidents::Deps {
        bus: bus.clone(),
        policy: incidents::AlarmPolicy::default(),
    });
    let models =
        Models::new(models::Deps { bus: bus.clone(), series, range_of: Some(range_of(&door)) });
    let maintenance = Maintenance::new(maintenance::Deps {
        bus: bus.clone(),
        calendar: settings::calendar(config),
    });
    let notifications = Notifications::new(notifications::Deps {
        bus: bus.clone(),
        settings: settings::notifications(config),
    });
    let plant = Plant::new(plant::Deps {
        bus: bus.clone(),
        sink: Arc::new(door.clone()),
        configure: configure(&door),
        approve: approve(&maintenance),
        settings: settings::plant(config),
    })?;
    Ok(vec![
        telemetry::module(telemetry),
        incidents::module(incidents),
        models::module(models),
        maintenance::module(maintenance),
        notifications::module(notifications),
        plant::module(plant),
    ])
}

fn migrations(modules: &[Module]) -> Vec<Migration> {
    let own = modules.iter().flat_map(|module| module.migrations.iter().cloned());
    platform::migrations().into_iter().chain(own).collect()
}

/// How the simulated plant tells the registry what its sensors are.
fn configure(door: &Door) -> ConfigurePort {
    let door = door.clone();
    Arc::new(move |setup| {
        let door = door.clone();
        Box::pin(async move {
            let declaration = SensorDeclaration {
                key: setup.key,
                kind: setup.kind,
                unit: setup.unit,
                expected_low: Some(setup.expected_low),
                expected_high: Some(setup.expected_high),
                rate_max_per_s: setup.rate_max_per_s,
                interval_s: setup.interval_s,
            };
            Ok(door.declare(declaration, sense::Origin::Simulated).await?)
        })
    })
}

/// Where predictions learn the limits of a sensor.
fn range_of(door: &Door) -> RangeOf {
    let door = door.clone();
    Arc::new(move |key| {
        let door = door.clone();
        Box::pin(async move {
            match door.range_of(&key).await {
                Ok(range) => range.map(|(low, high)| Band { low, high }),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no range");
                    None
                }
            }
        })
    })
}

/// How a golden path that was asked to approves its own decision.
fn approve(maintenance: &Maintenance) -> ApprovePort {
    let maintenance = maintenance.clone();
    Arc::new(move |decision, reason, actor| {
        let maintenance = maintenance.clone();
        Box::pin(async move {
            let submission = Submission {
                decision_id: decision.parse()?,
                decision: DecisionChoice::Approve,
                reason,
                deferred_until: None,
                starts_at: None,
            };
            maintenance.submit(submission, &actor).await?;
            Ok(())
        })
    })
}

fn series_health(platform: &Platform) -> HealthCheck {
    let series = Arc::clone(&platform.series);
    let ask = move || -> futures_util::future::BoxFuture<'static, Check> {
        let series = Arc::clone(&series);
        Box::pin(async move {
            match series.status().await {
                Err(error) => Check { status: Standing::Failing, detail: error.to_string() },
                Ok(status) => {
                    let standing = match (&status.fault, status.quarantined) {
                        (Some(_), _) => Standing::Failing,
                        (None, 0) => Standing::Ok,
                        (None, _) => Standing::Degraded,
                    };
                    let fault = status.fault.unwrap_or_else(|| {
                        format!("{} sensors, {} bytes", status.sensors, status.bytes_on_disk)
                    });
                    Check { status: standing, detail: fault }
                }
            }
        })
    };
    HealthCheck { name: "series", ask: Arc::new(ask) }
}

fn keys(config: &Config, platform: &Platform) -> anyhow::Result<Keys> {
    let configured = settings::keys(config)?;
    Ok(Keys::new(platform.records.clone(), Arc::clone(&platform.clock), configured))
}

/// Brings the schema forward; the names of what was applied. A Plainview may be running.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<Vec<&'static str>> {
    let scratch = Scratch::open(config).await?;
    let Platform { records, clock, .. } = &scratch.platform;
    let modules = modules(config, &scratch.platform)?;
    Ok(records.migrate(&migrations(&modules), clock.now()).await?)
}

/// The keys of the database that the settings name. A Plainview may be running.
pub(crate) async fn open_keys(config: &Config) -> anyhow::Result<Keys> {
    let records = platform::records(config).await?;
    let clock = SystemClock::shared();
    records.ensure(&Keys::migrations(), clock.now()).await?;
    Ok(Keys::new(records, clock, settings::keys(config)?))
}

/// Makes a key and returns its secret, which is kept nowhere else.
pub(crate) async fn create_key(
    config: &Config,
    name: &str,
    role: Role,
    expires: Option<Timestamp>,
) -> anyhow::Result<String> {
    Ok(open_keys(config).await?.create(name, role, expires).await?.secret)
}

/// Fails when the records database cannot be reached.
pub(crate) async fn reach(config: &Config) -> anyhow::Result<()> {
    Ok(platform::records(config).await?.ping().await?)
}

/// The HTTP contract, from the code alone.
pub(crate) async fn contract() -> anyhow::Result<serde_json::Value> {
    let scratch = Scratch::empty().await?;
    Ok(web::openapi(&modules(&Config::default(), &scratch.platform)?, VERSION))
}
