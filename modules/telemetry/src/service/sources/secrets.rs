//! Secrets go into settings and never come out again.

use serde_json::Value;

/// Stands where a secret is; sent back, it means the one that is stored.
const HIDDEN: &str = "***";

/// `settings` without what `secrets` names, wherever it stands.
pub(super) fn hide(settings: &Value, secrets: &[&str]) -> Value {
    match settings {
        Value::Object(fields) => {
            let hide = |(name, value): (&String, &Value)| {
                let is_given = !matches!(value, Value::Null) && value.as_str() != Some("");
                let hidden = secrets.contains(&name.as_str()) && is_given;
                (name.clone(), if hidden { HIDDEN.into() } else { hide(value, secrets) })
            };
            Value::Object(fields.iter().map(hide).collect())
        }
        Value::Array(items) => items.iter().map(|item| hide(item, secrets)).collect(),
        other => other.clone(),
    }
}

/// `settings` with the stored secrets where they still stand hidden.
pub(super) fn restore(settings: Value, stored: &Value, secrets: &[&str]) -> Value {
    match settings {
        Value::Object(fields) => {
            let restore = |(name, value): (String, Value)| {
                let before = stored.get(&name).unwrap_or(&Value::Null);
                let hidden = secrets.contains(&name.as_str()) && value.as_str() == Some(HIDDEN);
                let value = if hidden { before.clone() } else { restore(value, before, secrets) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(restore).collect())
        }
        Value::Array(items) => {
            let at = |index: usize| stored.get(index).unwrap_or(&Value::Null);
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| restore(item, at(index), secrets)).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_and_kept_when_they_come_back_hidden() {
        let stored = json!({"host": "a", "password": "canary", "tls": {"password": "canary"},
            "users": [{"password": "canary"}]});
        let shown = hide(&stored, &["password"]);
        assert!(!shown.to_string().contains("canary"), "{shown}");
        assert_eq!(restore(shown.clone(), &stored, &["password"]), stored);
        let mut other = shown;
        other["password"] = json!("new");
        other["host"] = json!("b");
        let restored = restore(other, &stored, &["password"]);
        assert_eq!((&restored["password"], &restored["host"]), (&json!("new"), &json!("b")));
        assert_eq!(restored["tls"]["password"], "canary");
        assert_eq!(hide(&json!({"password": ""}), &["password"])["password"], "");
    }
}
