use std::fmt;

use kernel::{CorrelationId, EventId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How much it matters.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// The way a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    InApp,
    Email,
    Webhook,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationState {
    /// Waits for its turn, for quiet hours to end, or to be tried again.
    Pending,
    /// Is being sent right now.
    Sending,
    Sent,
    /// Given up.
    Failed,
    /// The receiver may or may not have it; never tried again by itself.
    Unknown,
}

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// The name as it stands in JSON and in the records.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named!(Severity { Low = "low", Medium = "medium", High = "high", Critical = "critical" });
named!(Channel { InApp = "in_app", Email = "email", Webhook = "webhook" });
named!(NotificationState {
    Pending = "pending",
    Sending = "sending",
    Sent = "sent",
    Failed = "failed",
    Unknown = "unknown",
});

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct About {
    /// Type of the event, such as `decision.requested`.
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    pub event_id: EventId,
}

/// One message to one receiver, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Notification {
    pub notification_id: Uuid,
    pub channel: Channel,
    /// Mail address, webhook without its query, or `everyone`.
    pub to: String,
    pub severity: Severity,
    pub title: String,
    pub body: String,
    pub about: About,
    pub state: NotificationState,
    pub attempts: u32,
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub read_by: Option<String>,
    pub correlation_id: CorrelationId,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `[notifications]` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub smtp: Option<SmtpSettings>,
    pub webhooks: Vec<WebhookSettings>,
    /// Lets webhooks reach private, loopback and link-local addresses, and plain http.
    pub allow_private: bool,
    /// E-mails are sent from this severity upwards.
    pub email_severity_min: Severity,
    /// While these last, e-mails of low severity wait.
    pub quiet_hours: Option<QuietHours>,
}

/// Hours of the day in UTC, from `from` until before `to`; may run over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    pub from: u8,
    pub to: u8,
}

/// How the mail server is spoken to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    pub host: String,
    #[serde(default = "submission_port")]
    pub port: u16,
    pub from: String,
    pub to: Vec<String>,
    #[serde(default)]
    pub tls: SmtpTls,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
}

/// Whether and when the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    None,
    #[default]
    Starttls,
    Tls,
}

/// A program that is told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    pub url: String,
    /// `whsec_` and base64, as Standard Webhooks writes keys.
    pub secret: Secret,
    /// Event types it wants; empty wants all that are told to anyone.
    #[serde(default)]
    pub events: Vec<String>,
}

fn submission_port() -> u16 {
    587
}

impl Settings {
    /// What a production start must not accept, each with its setting's name.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.allow_private {
            found.push("notifications.allow_private lets webhooks reach the inner network".into());
        }
        if let Some(smtp) = &self.smtp
            && smtp.tls == SmtpTls::None
            && smtp.password.is_some()
        {
            found.push("notifications.smtp sends its password without TLS".into());
        }
        for (index, webhook) in self.webhooks.iter().enumerate() {
            if !webhook.url.starts_with("https://") {
                found.push(format!("notifications.webhooks[{index}].url is not https"));
            }
            if crate::act::signing_key(&webhook.secret).is_none() {
                found.push(format!(
                    "notifications.webhooks[{index}].secret is no `whsec_` key of 24 to 64 bytes"
                ));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_committed_schemas_name_every_field() {
        let message = Notification {
            notification_id: Uuid::nil(),
            channel: Channel::Email,
            to: String::new(),
            severity: Severity::Low,
            title: String::new(),
            body: String::new(),
            about: About {
                kind: String::new(),
                subject: String::new(),
                event_id: EventId(Uuid::nil()),
            },
            state: NotificationState::Sent,
            attempts: 1,
            error: None,
            created_at: Timestamp::default(),
            sent_at: None,
            read_at: None,
            read_by: None,
            correlation_id: CorrelationId(Uuid::nil()),
        };
        let written = serde_json::to_value(&message).unwrap();
        let fields: Vec<&String> = written.as_object().unwrap().keys().collect();
        for schema in [
            include_str!("../../../docs/events/notification.sent.json"),
            include_str!("../../../docs/events/notification.failed.json"),
        ] {
            let schema: Value = serde_json::from_str(schema).unwrap();
            let known: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
            assert_eq!(known, fields);
        }
    }

    #[test]
    fn weak_settings_are_named_and_secrets_are_not_shown() {
        let settings = Settings {
            webhooks: vec![WebhookSettings {
                url: "http://hooks.example/x".to_owned(),
                secret: Secret::new("hunter2"),
                events: Vec::new(),
            }],
            allow_private: true,
            ..Settings::default()
        };
        assert_eq!(settings.weaknesses().len(), 3);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
