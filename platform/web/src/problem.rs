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

/// Declares the codes of this crate once: as constants, and as the list behind `docs/errors/`.
macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        $(pub(crate) const $name: ErrorCode =
            ErrorCode { code: $code, status: $status, title: $title };)*

        /// Every code that this crate reports by itself.
        pub const CODES: &[ErrorCode] = &[$($name),*];
    };
}

codes! {
    UNAUTHENTICATED = "key-missing", 401, "This needs a key";
    KEY_INVALID = "key-invalid", 401, "This key is not valid";
    FORBIDDEN = "role-too-low", 403, "Your key may not do this";
    NOT_FOUND = "not-found", 404, "There is nothing here";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "This method is not allowed here";
    BODY_EMPTY = "body-empty", 400, "This needs a JSON body";
    BODY_INCOMPLETE = "body-incomplete", 400, "The body ended too early";
    BODY_UNDECODABLE = "body-undecodable", 400, "The body could not be decompressed";
    BODY_NOT_UTF8 = "body-not-utf8", 400, "The body is not UTF-8";
    BODY_TOO_LARGE = "body-too-large", 413, "The body is too large";
    BODY_TOO_SLOW = "body-too-slow", 408, "The body came too slowly";
    JSON_INVALID = "json-invalid", 400, "The body is not JSON";
    JSON_TOO_DEEP = "json-too-deep", 400, "The JSON is nested too deep";
    CONTENT_TYPE = "content-type-unsupported", 415, "This content type is not read here";
    CONTENT_ENCODING = "content-encoding-unsupported", 415, "This content encoding is not read here";
    FIELDS_INVALID = "fields-invalid", 422, "Some fields are not right";
    PARAMETERS_INVALID = "parameters-invalid", 400, "Some parameters are not right";
    REQUEST_INVALID = "request-invalid", 400, "This request cannot be read";
    IDEMPOTENCY_KEY_INVALID = "idempotency-key-invalid", 400, "This idempotency key cannot be used";
    IDEMPOTENCY_IN_FLIGHT = "idempotency-in-flight", 409, "The same request is under way";
    IDEMPOTENCY_MISMATCH = "idempotency-mismatch", 422, "This idempotency key was used for another body";
    RATE_LIMITED = "rate-limited", 429, "Too many requests";
    STREAMS_FULL = "streams-full", 503, "Too many event streams are open";
    UNAVAILABLE = "unavailable", 503, "This part is away just now";
    TIMED_OUT = "timed-out", 504, "This took too long";
    INTERNAL = "internal", 500, "Something went wrong here";
    KEY_UNKNOWN = "key-unknown", 404, "There is no such key";
    KEY_NAME_TAKEN = "key-name-taken", 409, "A key of this name exists";
    LETTER_UNKNOWN = "dead-letter-unknown", 404, "There is no such dead letter";
    LETTER_SETTLED = "dead-letter-settled", 409, "This dead letter was settled already";
}

impl Problem {
    pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

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
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Self::MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is not read, so nothing more can be asked on this connection
            // (RFC 9110, 15.5.14); a client that knows does not try.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // The outermost layer adds the request id to a problem it finds here.
        response.extensions_mut().insert(self);
        response
    }
}
