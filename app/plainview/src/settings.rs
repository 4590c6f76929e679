//! What each part makes of the settings.

use std::time::Duration;

use bus::RetryPolicy;
use kernel::Backoff;
use notifications::{Secret, SmtpSettings, WebhookSettings};
use sense::line::KeyMapping;

use crate::config::{Config, Environment, SmtpTls, UnknownSensors};

/// The longest pause between two attempts at an event.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn web(config: &Config) -> web::WebSettings {
    let per_minute = |calls| coord::Rate { calls, per: MINUTE, burst: calls };
    let defaults = web::WebSettings::default();
    web::WebSettings {
        environment: match config.environment {
            _ if config.auth.protect_reads => web::Environment::Production,
            Environment::Development => web::Environment::Development,
            Environment::Production => web::Environment::Production,
        },
        cors_origins: config.server.cors_origins.clone(),
        rates: web::Rates {
            actuation: per_minute(config.server.rate_actuation),
            changes: per_minute(config.server.rate_changes),
            rest: per_minute(config.server.rate_other),
            reads: per_minute(config.server.rate_reads),
            anonymous_reads: per_minute(config.server.rate_reads),
            ..defaults.rates
        },
        ..defaults
    }
}

pub(crate) fn keys(config: &Config) -> anyhow::Result<Vec<web::ConfiguredKey>> {
    Ok(web::ConfiguredKey::parse_list(&config.auth.keys.join(","))?)
}

pub(crate) fn telemetry(config: &Config) -> telemetry::Settings {
    telemetry::Settings {
        unknown_sensors: match config.ingest.unknown_sensors {
            UnknownSensors::Auto => telemetry::UnknownSensors::Auto,
            UnknownSensors::Quarantine => telemetry::UnknownSensors::Quarantine,
            UnknownSensors::Reject => telemetry::UnknownSensors::Reject,
        },
        mapping: KeyMapping {
            default_site: config.ingest.default_site.clone(),
            ..KeyMapping::default()
        },
        sensors_max: config.ingest.sensors_max,
        retention: (config.data.retention_days > 0)
            .then(|| Duration::from_secs(u64::from(config.data.retention_days) * 86_400)),
        ..telemetry::Settings::default()
    }
}

pub(crate) fn calendar(config: &Config) -> maintenance::WorkCalendar {
    maintenance::WorkCalendar {
        day_start_min: u32::from(config.maintenance.work_starts_hour) * 60,
        day_end_min: u32::from(config.maintenance.work_ends_hour) * 60,
        ..maintenance::WorkCalendar::default()
    }
}

pub(crate) fn notifications(config: &Config) -> notifications::Settings {
    let from = &config.notifications;
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    notifications::Settings {
        smtp: text(&from.smtp.host).map(|host| SmtpSettings {
            host,
            port: from.smtp.port,
            from: from.smtp.from.clone(),
            to: from.smtp.to.clone(),
            tls: match from.smtp.tls {
                SmtpTls::None => notifications::SmtpTls::None,
                SmtpTls::Starttls => notifications::SmtpTls::Starttls,
                SmtpTls::Tls => notifications::SmtpTls::Tls,
            },
            username: text(&from.smtp.user),
            password: text(&from.smtp.password).map(Secret::new),
        }),
        webhooks: from
            .webhooks
            .iter()
            .map(|hook| WebhookSettings {
                url: hook.url.clone(),
                secret: Secret::new(&hook.secret),
                events: hook.events.clone(),
            })
            .collect(),
        allow_private: from.allow_private,
        ..notifications::Settings::default()
    }
}

pub(crate) fn plant(config: &Config) -> plant::Settings {
    plant::Settings {
        enabled: config.plant.enabled,
        seed: config.plant.seed,
        development: config.environment == Environment::Development,
    }
}

pub(crate) fn retry(config: &Config) -> RetryPolicy {
    RetryPolicy {
        retries_max: config.events.retries_max,
        backoff: Backoff {
            first: Duration::from_secs_f64(config.events.retry_delay_seconds.max(0.001)),
            max: RETRY_PAUSE_MAX,
        },
        dead_letters: config.events.dead_letters,
    }
}
