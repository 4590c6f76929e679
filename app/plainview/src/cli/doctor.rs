use std::process::ExitCode;

use super::output;
use crate::compose;
use crate::config::{self, Config};

/// Says what keeps this configuration from starting in production; true when something does.
pub(super) fn refused(config: &Config) -> bool {
    let refusals = config::refusals(config);
    if refusals.is_empty() {
        return false;
    }
    output::complain("production does not start with these settings:");
    for finding in refusals {
        output::tell(&format!("  {}: {}", finding.setting, finding.advice));
    }
    true
}

/// Shows the settings in force, secrets hidden, and every problem at once.
pub(super) async fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let shown = hide_secrets(serde_json::to_value(config)?);
    let mut problems: Vec<(String, String)> = config::examine(config)
        .into_iter()
        .map(|finding| (finding.setting.to_owned(), finding.advice))
        .collect();
    if let Err(error) = compose::reach(config).await {
        problems.push(("records.url".to_owned(), format!("{error:#}")));
    }
    if json {
        let problems: Vec<_> = problems
            .iter()
            .map(|(setting, advice)| serde_json::json!({ "setting": setting, "advice": advice }))
            .collect();
        output::print(&serde_json::json!({ "settings": shown, "problems": problems }).to_string());
    } else {
        output::print(&toml::to_string_pretty(&without_nulls(shown))?);
        if problems.is_empty() {
            output::print("No problems found.");
        }
        for (setting, advice) in &problems {
            output::print(&format!("{setting}: {advice}"));
        }
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Replaces what must not be shown, wherever it stands.
fn hide_secrets(mut settings: serde_json::Value) -> serde_json::Value {
    const HIDDEN: &str = "(hidden)";
    match &mut settings {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let is_secret = matches!(name.as_str(), "password" | "secret" | "keys");
                let is_url_with_password =
                    name == "url" && value.as_str().is_some_and(|url| url.contains('@'));
                let is_empty = value.as_str() == Some("")
                    || value.as_array().is_some_and(std::vec::Vec::is_empty);
                if (is_secret || is_url_with_password) && !is_empty {
                    *value = HIDDEN.into();
                } else {
                    *value = hide_secrets(value.take());
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                *item = hide_secrets(item.take());
            }
        }
        _ => {}
    }
    settings
}

/// TOML knows no null; a setting without a value is left out.
fn without_nulls(mut settings: serde_json::Value) -> serde_json::Value {
    if let serde_json::Value::Object(fields) = &mut settings {
        fields.retain(|_, value| !value.is_null());
        for value in fields.values_mut() {
            *value = without_nulls(value.take());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let shown = hide_secrets(serde_json::json!({
            "records": { "url": "postgres://user:canary@db/x" },
            "auth": { "keys": ["ines:operator:canary"] },
            "notifications": { "webhooks": [{ "url": "https://a.example", "secret": "canary" }] },
            "mqtt": { "password": "" },
        }));
        let text = shown.to_string();
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("https://a.example"));
        assert_eq!(shown["mqtt"]["password"], "");
    }
}
