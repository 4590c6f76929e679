//! From what is unusual to what people must know: alarms with a life of their own, incidents that
//! join them, and the timeline of all that happened.

mod decide;
mod detect;
mod error;
pub mod events;
mod http;
mod learn;
pub mod model;
mod records;
mod sense;
mod service;

pub use detect::delays::AlarmPolicy;
pub use error::IncidentsError;
pub use service::{Deps, Incidents};

/// The module around `service`.
#[must_use]
pub fn module(service: Incidents) -> web::Module {
    web::Module {
        root_aliases: &["incidents", "alerts"],
        agents: service.agents(),
        migrations: records::migrations(),
        events: events::ALL,
        errors: error::CODES,
        ..web::Module::new("incidents", http::routes(service))
    }
}
