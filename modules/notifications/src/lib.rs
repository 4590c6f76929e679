//! Tells people and programs what happened: in the app, by e-mail and by signed webhooks.
//!
//! The agent `notification` decides who hears of an event and writes a row per message in its own
//! transaction. The task `delivery` sends them outside any transaction and records what became of
//! each; an outcome that cannot be known is said to be unknown and is not tried again.

mod act;
mod decide;
mod error;
pub mod events;
mod http;
pub mod model;
mod records;
mod sense;
mod service;

pub use error::NotificationsError;
pub use model::{Secret, Settings, SmtpSettings, SmtpTls, WebhookSettings};
pub use service::{Deps, Notifications};

/// The module around `service`.
#[must_use]
pub fn module(service: Notifications) -> web::Module {
    web::Module {
        agents: service.agents(),
        migrations: records::migrations(),
        events: events::ALL,
        errors: error::CODES,
        ..web::Module::new("notifications", http::routes(service))
    }
}
