use super::{Config, Durability, Environment, SmtpTls};

/// Shortest acceptable key given from outside; 128 bits in hexadecimal.
const KEY_CHARACTERS_MIN: usize = 32;

/// A setting too weak for production, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) setting: &'static str,
    pub(crate) advice: String,
}

/// Every weak setting at once.
pub(crate) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut weak = |setting, advice: &str| {
        findings.push(Finding { setting, advice: advice.to_owned() });
    };
    if config.data.durability == Durability::Off {
        weak("data.durability", "set it to \"full\": acknowledged readings would be lost");
    }
    if config.plant.enabled {
        weak("plant.enabled", "set it to false: simulated readings do not belong into production");
    }
    if !config.server.listen.ip().is_loopback() && !config.server.behind_tls_proxy {
        weak(
            "server.listen",
            "listen on 127.0.0.1 and put a proxy with TLS in front, or set server.behind_tls_proxy",
        );
    }
    if config.server.cors_origins.iter().any(|origin| origin == "*") {
        weak("server.cors_origins", "name exact origins instead of *");
    }
    if config.auth.keys.iter().any(|key| secret_of(key).len() < KEY_CHARACTERS_MIN) {
        weak("auth.keys", "use keys of 32 characters or more; `plainview keys create` makes them");
    }
    if config.records.url.contains("sslmode=disable") && !is_local(&config.records.url) {
        weak("records.url", "encrypt the connection to a database on another machine");
    }
    if !config.mqtt.url.is_empty() && config.mqtt.user.is_empty() {
        weak("mqtt.user", "log in at the broker instead of connecting anonymously");
    }
    for advice in crate::sources::weaknesses(config) {
        weak("sources", &advice);
    }
    let broker = &config.broker;
    if broker.enabled && !broker.listen.ip().is_loopback() && broker.cert_file.is_none() {
        weak("broker.listen", "listen on 127.0.0.1, or name broker.cert_file and broker.key_file");
    }
    if broker.cert_file.is_some() != broker.key_file.is_some() {
        weak("broker.cert_file", "name both broker.cert_file and broker.key_file, or neither");
    }
    if !config.notifications.smtp.host.is_empty()
        && config.notifications.smtp.tls == SmtpTls::None
        && !is_loopback_name(&config.notifications.smtp.host)
    {
        weak("notifications.smtp.tls", "use starttls or tls towards another machine");
    }
    if config.notifications.allow_private {
        weak("notifications.allow_private", "set it to false: webhooks would reach inner networks");
    }
    if config.notifications.webhooks.iter().any(|hook| !hook.secret.starts_with("whsec_")) {
        weak("notifications.webhooks.secret", "sign with a secret such as whsec_…");
    }
    findings
}

/// The findings that keep this configuration from starting.
pub(crate) fn refusals(config: &Config) -> Vec<Finding> {
    if config.environment != Environment::Production {
        return Vec::new();
    }
    examine(config)
}

fn secret_of(key: &str) -> &str {
    key.rsplit(':').next().unwrap_or(key)
}

fn is_local(url: &str) -> bool {
    url.contains("@127.0.0.1") || url.contains("@localhost") || url.contains("@[::1]")
}

fn is_loopback_name(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_names_every_weak_setting_at_once() {
        let mut config = Config { environment: Environment::Production, ..Config::default() };
        assert_eq!(refusals(&config), []);
        config.data.durability = Durability::Off;
        config.plant.enabled = true;
        config.server.listen = ([0, 0, 0, 0], 4000).into();
        config.server.cors_origins = vec!["*".to_owned()];
        config.auth.keys = vec!["ines:operator:secret".to_owned()];
        config.mqtt.url = "mqtt://broker:1883".to_owned();
        config.broker.enabled = true;
        config.broker.listen = ([0, 0, 0, 0], 1883).into();
        let named: Vec<&str> = refusals(&config).iter().map(|f| f.setting).collect();
        assert_eq!(
            named,
            [
                "data.durability",
                "plant.enabled",
                "server.listen",
                "server.cors_origins",
                "auth.keys",
                "mqtt.user",
                "broker.listen"
            ]
        );
        config.environment = Environment::Development;
        assert_eq!(refusals(&config), []);
    }
}
