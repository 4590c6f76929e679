use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::Problem;
use crate::problem::{
    BODY_EMPTY, BODY_NOT_UTF8, CONTENT_TYPE, FIELDS_INVALID, JSON_INVALID, JSON_TOO_DEEP,
};

/// Deeper than any document of ours, far from the depth at which a recursive reader runs out of
/// stack.
const DEPTH_MAX: usize = 64;

/// `application/json` or `application/…+json`; a charset, if said, is UTF-8.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(Problem::of(&CONTENT_TYPE)
            .detail("The request says no Content-Type. Send `Content-Type: application/json`."));
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let is_json =
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    let is_utf8 = parts
        .filter_map(|part| part.strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"));
    if is_json && is_utf8 {
        return Ok(());
    }
    Err(Problem::of(&CONTENT_TYPE)
        .detail("Send JSON in UTF-8 with `Content-Type: application/json`."))
}

/// Reads `T` from a JSON text. Faults name the field, and never the text of it.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::of(&BODY_EMPTY).detail("The body is empty."));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::of(&BODY_NOT_UTF8)
            .detail(format!("Byte {} begins no UTF-8 character.", error.valid_up_to()))
    })?;
    if let Some(problem) = too_deep(bytes) {
        return Err(problem);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| refusal(text, &error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| refusal(text, ".", &error))?;
    Ok(value)
}

/// The refusal of a body that is nested deeper than 64 levels; for handlers that read
/// bodies themselves.
#[must_use]
pub fn too_deep(bytes: &[u8]) -> Option<Problem> {
    let at = passes_depth(bytes)?;
    Some(
        Problem::of(&JSON_TOO_DEEP).detail(format!(
            "Byte {at} opens level {}; {DEPTH_MAX} levels are read.",
            DEPTH_MAX + 1
        )),
    )
}

/// Where the nesting passes [`DEPTH_MAX`]. Brackets inside strings do not count.
fn passes_depth(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Some(at);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn refusal(text: &str, path: &str, error: &serde_json::Error) -> Problem {
    let field = if path == "." { "body" } else { path };
    let reason = reason_of(error);
    if reason.starts_with("number out of range") {
        return Problem::of(&FIELDS_INVALID)
            .field(field, "the number is larger than a 64-bit float can hold");
    }
    match error.classify() {
        serde_json::error::Category::Data => Problem::of(&FIELDS_INVALID).field(field, reason),
        _ if is_non_finite(text, error) => Problem::of(&FIELDS_INVALID)
            .field(field, "JSON knows no NaN and no Infinity; leave the value out or send null"),
        _ => Problem::of(&JSON_INVALID).detail(format!(
            "Line {}, column {}: {reason}.",
            error.line(),
            error.column()
        )),
    }
}

/// Serde's text without the position at its end.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Whether the text stumbles over `NaN`, `Infinity` or `-Infinity`, which some writers produce.
fn is_non_finite(text: &str, error: &serde_json::Error) -> bool {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    // Serde points at the character it did not expect, or just behind it.
    let near = error.column().saturating_sub(3);
    let rest = line.as_bytes().get(near..).unwrap_or_default();
    let rest = &rest[..rest.len().min(12)];
    [&b"NaN"[..], b"nan", b"Inf", b"inf"]
        .iter()
        .any(|word| rest.windows(word.len()).take(3).any(|window| window == *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Reading {
        #[expect(dead_code, reason = "only read to see which field is refused")]
        value: f64,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Batch {
        readings: Vec<Reading>,
    }

    fn problem(text: &str) -> Problem {
        parse::<Batch>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn names_the_field() {
        let found = problem(r#"{"readings":[{"value":1.0},{"value":"x"}]}"#);
        assert_eq!(found.status, 422);
        assert_eq!(found.errors[0].field, "readings[1].value");
        assert!(found.errors[0].reason.contains("expected f64"), "{found:?}");
    }

    #[test]
    fn refuses_numbers_that_are_none() {
        for value in ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", "nan"] {
            let found = problem(&format!(r#"{{"readings":[{{"value": {value}}}]}}"#));
            assert_eq!(found.status, 422, "{value}: {found:?}");
            assert_eq!(found.errors[0].field, "readings[0].value", "{value}");
        }
        assert_eq!(problem(r#"{"readings":[{"value": nothing}]}"#).status, 400);
    }

    #[test]
    fn refuses_depth_before_parsing() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(problem(&deep).kind, "/docs/errors/json-too-deep");
        let level = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
        assert!(parse::<serde_json::Value>(level.as_bytes()).is_ok());
        let text = format!(r#"["{}\"{}"]"#, "[".repeat(100), "[".repeat(100));
        assert!(parse::<serde_json::Value>(text.as_bytes()).is_ok());
    }

    #[test]
    fn says_where_the_text_breaks() {
        let found = problem("{\"readings\":\n [,]}");
        assert_eq!(found.kind, "/docs/errors/json-invalid");
        assert!(found.detail.unwrap().starts_with("Line 2, column 3"));
        assert_eq!(problem(r#"{"readings":[]} x"#).kind, "/docs/errors/json-invalid");
        assert_eq!(problem("  ").kind, "/docs/errors/body-empty");
        let bytes = parse::<Batch>(b"{\"readings\":\"\xff\"}").unwrap_err();
        assert_eq!(bytes.kind, "/docs/errors/body-not-utf8");
        assert!(parse::<Batch>(br#"{"readings":[]}"#).unwrap().readings.is_empty());
    }
}
