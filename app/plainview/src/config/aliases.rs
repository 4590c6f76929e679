use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;

use super::Environ;

const PREFIX: &str = "PLAINVIEW_";

/// An older name and the setting it stands for.
const ALIASES: &[(&str, &str)] = &[
    ("ENVIRONMENT", "environment"),
    ("POSTGRES_URL", "records.url"),
    ("DATABASE_URL", "records.url"),
    ("API_KEY_ENABLED", "auth.protect_reads"),
    ("API_KEYS", "auth.keys"),
    ("CORS_ORIGINS", "server.cors_origins"),
    ("JSON_LOGGING", "log.json"),
    ("LOG_LEVEL", "log.level"),
    ("EVENT_HANDLER_MAX_RETRIES", "events.retries_max"),
    ("EVENT_HANDLER_RETRY_DELAY_SECONDS", "events.retry_delay_seconds"),
    ("DLQ_ENABLED", "events.dead_letters"),
];

/// Settings written as one text with commas.
const LISTS: &[&str] =
    &["auth.keys", "server.cors_origins", "mqtt.topics", "notifications.smtp.to"];

/// Settings that stay text even when they look like a number or a truth.
const TEXTS: &[&str] = &["mqtt.password", "mqtt.user", "notifications.smtp.password"];

/// Lays the environment over the file: older names first, `PLAINVIEW_…` last.
pub(super) fn merge(mut figment: Figment, environ: &Environ) -> Figment {
    for (name, key) in ALIASES {
        if let Some(text) = environ.get(*name).filter(|text| !text.is_empty()) {
            figment = figment.merge(Serialized::default(key, value(key, text)));
        }
    }
    for (name, text) in environ {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        // Names without a section are the tests' own, such as PLAINVIEW_TEST_RECORDS.
        if !rest.contains("__") && rest != "ENVIRONMENT" {
            continue;
        }
        let key = rest.to_ascii_lowercase().replace("__", ".");
        figment = figment.merge(Serialized::default(&key, value(&key, text)));
    }
    figment
}

fn value(key: &str, text: &str) -> Value {
    if LISTS.contains(&key) {
        let parts =
            text.trim_matches(['[', ']']).split(',').map(|part| part.trim().trim_matches('"'));
        return Value::from(
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>(),
        );
    }
    let text = if key == "environment" || key == "log.level" {
        text.to_ascii_lowercase()
    } else {
        text.to_owned()
    };
    if TEXTS.contains(&key) {
        return Value::from(text);
    }
    // The same rules as in the file: true, 5, 1.5; anything else is text.
    text.parse::<Value>().unwrap_or_else(|_| Value::from(text))
}
