//! From what sensors say to what is believed: the sensor registry, validation, readings and the
//! detectors that are always on.

mod detect;
mod error;
pub mod events;
mod http;
pub mod model;
mod records;
mod sense;
mod service;

pub use error::TelemetryError;
pub use model::{Settings, UnknownSensors};
pub use service::{
    ConfiguredSource, Connectors, Deps, Door, LateDoor, SensorDeclaration, Telemetry,
};

/// The module around `service`.
#[must_use]
pub fn module(service: Telemetry) -> web::Module {
    web::Module {
        root_routes: http::root_routes(service.clone()),
        root_aliases: &["flow"],
        agents: service.agents(),
        health: service.source_checks(),
        migrations: records::migrations(),
        events: events::ALL,
        errors: error::CODES,
        ..web::Module::new("telemetry", http::routes(service))
    }
}
