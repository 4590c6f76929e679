//! Answers and errors as Prometheus writes them.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use promql::{Answer, Labels, PromqlError, Sample, number_text};
use serde::Serialize;
use serde_json::{Value, json};
use web::Problem;

use crate::error::TelemetryError;

/// Seconds after which trying again makes sense.
const RETRY_AFTER_S: u64 = 1;

/// Why a question is not answered.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Prometheus' shape: status, `errorType`, `error`.
    Said(StatusCode, &'static str, String),
    /// What happened before the question was read.
    Problem(Problem),
}

impl Fault {
    pub(super) fn bad_data(reason: impl Into<String>) -> Self {
        Self::Said(StatusCode::BAD_REQUEST, "bad_data", reason.into())
    }

    /// A parameter that holds no query.
    pub(super) fn of(parameter: &str, error: &PromqlError) -> Self {
        match error {
            PromqlError::Syntax(_)
            | PromqlError::Unsupported { .. }
            | PromqlError::TooMany { .. } => {
                Self::bad_data(format!("invalid parameter \"{parameter}\": {error}"))
            }
            _ => Self::Said(StatusCode::UNPROCESSABLE_ENTITY, "execution", error.to_string()),
        }
    }
}

impl From<TelemetryError> for Fault {
    fn from(fault: TelemetryError) -> Self {
        let said = |status, kind, text: String| Self::Said(status, kind, text);
        match fault {
            TelemetryError::Query(error) => match error {
                PromqlError::Syntax(text) => Self::bad_data(text),
                PromqlError::TimedOut => said(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "timeout",
                    "query timed out in expression evaluation".to_owned(),
                ),
                PromqlError::Source(source) => {
                    tracing::warn!(
                        error = &*source as &dyn std::error::Error,
                        "query without data"
                    );
                    let text = "the store is busy; try again".to_owned();
                    said(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
                }
                other => said(StatusCode::UNPROCESSABLE_ENTITY, "execution", other.to_string()),
            },
            other => {
                let problem = Problem::from(other);
                let status = StatusCode::from_u16(problem.status)
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let kind = if status.is_server_error() { "unavailable" } else { "execution" };
                said(status, kind, problem.title.to_string())
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Said(status, kind, error) => {
                let body = json!({ "status": "error", "errorType": kind, "error": error });
                let mut response = (status, axum::Json(body)).into_response();
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    let seconds = HeaderValue::from(RETRY_AFTER_S);
                    response.headers_mut().insert(header::RETRY_AFTER, seconds);
                }
                response
            }
        }
    }
}

pub(super) fn data(data: &impl Serialize) -> Response {
    axum::Json(json!({ "status": "success", "data": data })).into_response()
}

pub(super) fn labels_json(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// Written as text at once: an answer may hold millions of samples.
pub(super) fn of(answer: &Answer) -> Response {
    let mut out = String::from(r#"{"status":"success","data":{"resultType":""#);
    match answer {
        Answer::Scalar(sample) => {
            out.push_str(r#"scalar","result":"#);
            push_sample(&mut out, *sample);
        }
        Answer::Text { at_ms, text } => {
            out.push_str(r#"string","result":["#);
            push_time(&mut out, *at_ms);
            out.push(',');
            out.push_str(&Value::from(text.as_str()).to_string());
            out.push(']');
        }
        Answer::Vector(samples) => {
            out.push_str(r#"vector","result":["#);
            for (i, (labels, sample)) in samples.iter().enumerate() {
                push_metric(&mut out, i, labels);
                out.push_str(r#""value":"#);
                push_sample(&mut out, *sample);
                out.push('}');
            }
            out.push(']');
        }
        Answer::Matrix(series) => {
            out.push_str(r#"matrix","result":["#);
            for (i, (labels, samples)) in series.iter().enumerate() {
                push_metric(&mut out, i, labels);
                out.push_str(r#""values":["#);
                for (j, sample) in samples.iter().enumerate() {
                    if j > 0 {
                        out.push(',');
                    }
                    push_sample(&mut out, *sample);
                }
                out.push_str("]}");
            }
            out.push(']');
        }
    }
    out.push_str("}}");
    ([(header::CONTENT_TYPE, "application/json")], out).into_response()
}

fn push_metric(out: &mut String, i: usize, labels: &Labels) {
    out.push_str(if i == 0 { r#"{"metric":"# } else { r#",{"metric":"# });
    out.push_str(&labels_json(labels).to_string());
    out.push(',');
}

fn push_sample(out: &mut String, sample: Sample) {
    out.push('[');
    push_time(out, sample.at_ms);
    out.push_str(",\"");
    out.push_str(&number_text(sample.value));
    out.push_str("\"]");
}

/// Seconds, with a fraction only where there is one.
fn push_time(out: &mut String, at_ms: i64) {
    let (seconds, millis) = (at_ms.unsigned_abs() / 1_000, at_ms.unsigned_abs() % 1_000);
    let sign = if at_ms < 0 { "-" } else { "" };
    // Writing to a string cannot fail.
    let written = match millis {
        0 => write!(out, "{sign}{seconds}"),
        _ => write!(out, "{sign}{seconds}.{millis:03}"),
    };
    debug_assert!(written.is_ok(), "a string takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_a_fraction_where_there_is_one() {
        for (at_ms, wanted) in
            [(1_700_000_000_000, "1700000000"), (1_500, "1.500"), (-250, "-0.250"), (0, "0")]
        {
            let mut out = String::new();
            push_time(&mut out, at_ms);
            assert_eq!(out, wanted);
        }
    }
}
