use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Field, SenseError};

/// Reads a connector's settings, a JSON object. A fault names its field, one of `fields`.
///
/// # Errors
/// [`SenseError::Settings`] when a field is unknown or of the wrong kind.
pub fn read<T: DeserializeOwned>(
    settings: &Value,
    fields: &'static [Field],
) -> Result<T, SenseError> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        let first = path.split(['.', '[']).next().unwrap_or_default();
        let field = fields.iter().find(|field| field.name == first);
        let reason = error.into_inner().to_string();
        match field {
            Some(field) if path == field.name => SenseError::Settings { field: field.name, reason },
            Some(field) => {
                let reason = format!("{}: {reason}", &path[field.name.len()..]);
                SenseError::Settings { field: field.name, reason }
            }
            None => SenseError::Settings { field: "settings", reason },
        }
    })
}

/// Settings of nothing but the defaults that `fields` show.
#[cfg(test)]
pub(crate) fn of_defaults<T: DeserializeOwned>(fields: &'static [Field]) -> T {
    let shown = fields.iter();
    let shown = shown.filter_map(|field| Some((field.name.to_owned(), field.default_value()?)));
    read(&Value::Object(shown.collect()), fields).unwrap()
}
