//! What will fail, when, and how sure that is: predictions from trends, forecasts, and the models
//! that make them.

mod error;
pub mod events;
mod http;
pub mod model;
mod predict;
mod records;
mod sense;
mod service;

pub use error::ModelsError;
pub use sense::Band;
pub use service::{Deps, Models, RangeOf};

/// The module around `service`.
#[must_use]
pub fn module(service: Models) -> web::Module {
    web::Module {
        agents: service.agents(),
        migrations: records::migrations(),
        events: events::ALL,
        errors: error::CODES,
        ..web::Module::new("models", http::routes(service))
    }
}
