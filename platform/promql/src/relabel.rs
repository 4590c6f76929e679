//! `label_replace` and `label_join`.

use regex::Regex;

use crate::PromqlError;
use crate::rows::{self, Row};

pub(crate) fn replace(
    mut found: Vec<Row>,
    (target, replacement): (&str, &str),
    (source, pattern): (&str, &Regex),
) -> Result<Vec<Row>, PromqlError> {
    for row in &mut found {
        let Some(captures) = pattern.captures(row.labels.get(source)) else { continue };
        let mut value = String::new();
        captures.expand(replacement, &mut value);
        row.labels = row.labels.with(target, &value);
    }
    rows::merged(found)
}

pub(crate) fn join(
    mut found: Vec<Row>,
    target: &str,
    separator: &str,
    sources: &[String],
) -> Result<Vec<Row>, PromqlError> {
    for row in &mut found {
        let values: Vec<&str> = sources.iter().map(|name| row.labels.get(name)).collect();
        let value = values.join(separator);
        row.labels = row.labels.with(target, &value);
    }
    rows::merged(found)
}
