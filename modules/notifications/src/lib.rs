//! Tells people and programs what happened: in the app, by e-mail and by signed webhooks.
//!
//! The agent `notification` decides who hears of an event and writes a row per message in its own
//! transaction. The task `delivery` sends them outside any transaction and records what became of
//! each; an outcome that cannot be known is said to be unknown and is not tried again.

mod act;
mod decide;
mod error;
mod events;
mod http;
mod model;
mod records;
mod sense;
mod service;

use std::sync::Arc;

use bus::{Agent, Bus};

pub use error::NotificationsError;
pub use model::{
    About, Channel, Notification, NotificationState, QuietHours, Secret, Settings, Severity,
    SmtpSettings, SmtpTls, WebhookSettings,
};
pub use service::Notifications;

/// What the module needs from the composition root.
#[derive(Clone, Debug)]
pub struct Deps {
    pub bus: Bus,
    pub settings: Settings,
}

/// Assembles the module.
#[must_use]
pub fn module(deps: Deps) -> web::Module {
    let service = Arc::new(Notifications::new(deps.bus, deps.settings));
    let listener = Arc::clone(&service);
    let sender = Arc::clone(&service);
    web::Module {
        name: events::MODULE,
        routes: http::routes(service),
        root_routes: utoipa_axum::router::OpenApiRouter::new(),
        root_aliases: &[],
        agents: vec![
            Agent::consumer(
                "notification",
                "Decides who is told what",
                sense::TYPES,
                move |event, tx| {
                    let service = Arc::clone(&listener);
                    Box::pin(async move { service.notify(event, tx).await })
                },
            ),
            Agent::task("delivery", "Sends e-mails and webhooks", move |context| {
                let service = Arc::clone(&sender);
                Box::pin(async move { service.deliver_until_stopped(context).await })
            }),
        ],
        migrations: records::migrations(),
        events: events::ALL,
        errors: http::ERRORS,
        health: Vec::new(),
    }
}
