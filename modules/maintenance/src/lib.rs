//! From a prediction to work that is done: asks people, places what they approve in the calendar,
//! keeps what was found.

mod act;
mod decide;
mod error;
pub mod events;
mod http;
pub mod model;
mod records;
mod sense;
mod service;

pub use act::slots::{Assignee, WorkCalendar};
pub use error::MaintenanceError;
pub use service::{DecisionChoice, Deps, Maintenance, Submission};

/// The module around `service`; keep a clone of it to submit decisions from elsewhere.
#[must_use]
pub fn module(service: Maintenance) -> web::Module {
    web::Module {
        name: "maintenance",
        agents: service.agents(),
        routes: http::routes(service),
        root_routes: utoipa_axum::router::OpenApiRouter::new(),
        root_aliases: &[],
        migrations: records::migrations(),
        events: events::ALL,
        errors: error::CODES,
        health: Vec::new(),
    }
}
