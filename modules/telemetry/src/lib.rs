//! TELEMETRY: the sensor registry, validation, readings and the always-on detectors.

pub(crate) mod detect;
pub mod error;
pub mod events;
pub(crate) mod http;
pub mod model;
pub(crate) mod records;
pub(crate) mod sense;
pub mod service;

use bus::Agent;
use web::Module;

pub use error::TelemetryError;
pub use model::UnknownSensors;
pub use service::{Door, SensorDeclaration, TelemetryDeps, TelemetrySettings};

/// Assembles the module, and the door through which everything hands in readings.
#[must_use]
pub fn module(deps: TelemetryDeps) -> (Module, Door) {
    let mapping = deps.settings.mapping.clone();
    let telemetry = service::Telemetry::new(deps);
    let agents = vec![
        agent("data-acquisition", "Data acquisition", &telemetry, service::Telemetry::acquire),
        agent("validation", "Validation", &telemetry, service::Telemetry::report_validation),
        agent("retention", "Retention", &telemetry, service::Telemetry::retain),
        agent("anomaly-detection", "Anomaly detection", &telemetry, service::Telemetry::detect),
    ];
    let module = Module {
        name: "telemetry",
        routes: http::routes(telemetry.clone(), mapping.clone()),
        root_routes: http::root_routes(telemetry.clone(), mapping),
        root_aliases: &["flow"],
        agents,
        migrations: records::migrations(),
        events: events::TYPES,
        errors: http::ERRORS,
        health: Vec::new(),
    };
    (module, Door(telemetry))
}

fn agent<F>(
    name: &'static str,
    title: &'static str,
    telemetry: &service::Telemetry,
    run: impl Fn(service::Telemetry, bus::TaskContext) -> F + Send + Sync + 'static,
) -> Agent
where
    F: Future<Output = Result<(), bus::TaskError>> + Send + 'static,
{
    let telemetry = telemetry.clone();
    Agent::task(name, title, move |context| Box::pin(run(telemetry.clone(), context)))
}
