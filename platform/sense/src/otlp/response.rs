//! The answers of the protocol, in the encoding of the question.

use prost::Message;
use serde_json::json;

use super::Encoding;

#[derive(Clone, PartialEq, Message)]
struct ExportMetricsServiceResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_data_points: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The answer to a body that was taken. With nothing rejected and nothing to say it is the empty
/// message; a message alone is a warning.
#[must_use]
pub fn partial_success(encoding: Encoding, rejected: usize, message: &str) -> Vec<u8> {
    let rejected = i64::try_from(rejected).unwrap_or(i64::MAX);
    let partial = (rejected > 0 || !message.is_empty()).then(|| PartialSuccess {
        rejected_data_points: rejected,
        error_message: message.to_owned(),
    });
    match (encoding, partial) {
        (Encoding::Protobuf, partial_success) => {
            ExportMetricsServiceResponse { partial_success }.encode_to_vec()
        }
        (Encoding::Json, None) => b"{}".to_vec(),
        (Encoding::Json, Some(partial)) => json!({"partialSuccess": {
            // 64-bit numbers are texts in proto3 JSON.
            "rejectedDataPoints": partial.rejected_data_points.to_string(),
            "errorMessage": partial.error_message,
        }})
        .to_string()
        .into_bytes(),
    }
}

/// The protobuf body of a refusal.
#[must_use]
pub fn status(code: i32, message: &str) -> Vec<u8> {
    Status { code, message: message.to_owned() }.encode_to_vec()
}
