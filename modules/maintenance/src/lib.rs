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

/// The module around `service`.
#[must_use]
pub fn module(service: Maintenance) -> web::Module {
    web::Module {
        agents: service.agents(),
        migrations: records::migrations(),
        events: events::ALL,
        errors: error::CODES,
        ..web::Module::new("maintenance", http::routes(service))
    }
}
