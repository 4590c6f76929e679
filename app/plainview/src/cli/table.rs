//! Rows as lines of columns under their names.

use serde_json::Value;

/// Numbers stand to the right of their column, words to the left.
pub(super) fn columns(names: &[&str], rows: &[Value]) -> Vec<String> {
    let mut cells: Vec<Vec<String>> = vec![names.iter().map(|n| (*n).to_owned()).collect()];
    cells.extend(rows.iter().map(|row| names.iter().map(|name| cell(&row[*name])).collect()));
    let widths: Vec<usize> = (0..names.len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let is_figure = |name: &&str| {
        let mut told = rows.iter().map(|row| &row[*name]).filter(|value| !value.is_null());
        told.next().is_some_and(Value::is_number) && told.all(Value::is_number)
    };
    let figures: Vec<bool> = names.iter().map(is_figure).collect();
    cells
        .iter()
        .map(|row| {
            let parts = row.iter().zip(&widths).zip(&figures).map(|((text, width), right)| {
                if *right { format!("{text:>width$}") } else { format!("{text:<width$}") }
            });
            format!("  {}", parts.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        })
        .collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or(String::new(), figure),
        other => other.to_string(),
    }
}

/// Seven digits are enough for a person; programs take JSON or CSV.
fn figure(value: f64) -> String {
    let short = format!("{value:.6e}");
    let Ok(rounded) = short.parse::<f64>() else { return short };
    let size = rounded.abs();
    if size == 0.0 || (1e-4..1e9).contains(&size) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}
