use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A kind of problem that Plainview can report. Each has a page under `docs/errors/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// Stable, kebab-case: `sensor-unknown`. The page is `docs/errors/sensor-unknown.md`.
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
}

/// One field that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where: `readings[3].value`, or `line 7`.
    pub field: String,
    pub reason: String,
}

/// An error as RFC 9457 says it. The request id is added by the outermost layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Stable URI reference of the kind: `/docs/errors/sensor-unknown`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What is wrong here and what to do about it. Never internal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds after which trying again makes sense; also sent as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

pub(crate) const UNAUTHENTICATED: ErrorCode =
    ErrorCode { code: "key-missing", status: 401, title: "This needs a key" };
pub(crate) const FORBIDDEN: ErrorCode =
    ErrorCode { code: "role-too-low", status: 403, title: "Your key may not do this" };
pub(crate) const INTERNAL: ErrorCode =
    ErrorCode { code: "internal", status: 500, title: "Something went wrong here" };

impl Problem {
    #[must_use]
    pub fn of(code: &ErrorCode) -> Self {
        Self {
            kind: format!("/docs/errors/{}", code.code),
            title: code.title.to_owned(),
            status: code.status,
            detail: None,
            errors: Vec::new(),
            request_id: None,
            retry_after: None,
        }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn field(mut self, field: impl Into<String>, reason: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), reason: reason.into() });
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A fault of ours: logged here with its causes, said without them.
    #[must_use]
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed");
        Self::of(&INTERNAL)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The outermost layer adds the request id to a problem it finds here.
        response.extensions_mut().insert(self);
        response
    }
}
