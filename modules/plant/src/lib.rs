//! The simulated plant behind the demo and the tests, its scenarios, and the golden path.
//!
//! The plant `north` is a 60 km crude line. Every value is a function of seed, sensor and time; it
//! comes in through the same door as real readings and is tagged as simulated. The golden path
//! feeds a series of its own through the whole chain; the agent `orchestrator` follows it by its
//! correlation id and raises what got stuck.

mod decide;
mod error;
mod http;
pub mod model;
mod records;
mod sense;
mod service;

pub use error::PlantError;
pub use model::{ApprovePort, ConfigurePort, Settings};
pub use service::{Deps, Plant};

/// The module around `service`.
#[must_use]
pub fn module(service: Plant) -> web::Module {
    web::Module {
        agents: service.agents(),
        migrations: records::migrations(),
        errors: error::CODES,
        ..web::Module::new("plant", http::routes(service))
    }
}
