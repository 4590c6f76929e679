//! What a path means to the layers: which door it is, and how it is counted.

use axum::http::Method;

pub(crate) const API: &str = "/api/v1";

/// Doors that take readings with any key.
const INGEST_DOORS: [&str; 7] = [
    "/api/v1/data/ingest",
    FILES,
    "/write",
    "/api/v2/write",
    "/api/v3/write_lp",
    REMOTE_WRITE,
    "/v1/metrics",
];
const FILES: &str = "/api/v1/data/files";
const REMOTE_WRITE: &str = "/api/v1/write";

/// Calls that are posted only because they carry a body; they change nothing.
const COMPUTING: [&str; 4] = [
    "/api/v1/ml/predict",
    "/api/v1/ml/forecast",
    "/api/v1/ml/detect_anomaly",
    "/api/v1/ml/check_drift",
];

/// What one may ask without a key even in production: whether the program lives, and the files
/// of the UI and of the reference, which hold no data.
const OPEN: [&str; 6] = ["/health", "/ready", "/ping", "/app", "/docs", "/"];

pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

pub(crate) fn is_ingest(path: &str) -> bool {
    INGEST_DOORS.contains(&path)
}

/// Takes whole files: longer bodies, and more time for them.
pub(crate) fn takes_files(path: &str) -> bool {
    path == FILES
}

/// Its bodies are snappy blocks by protocol; the door unpacks them itself.
pub(crate) fn unpacks_itself(path: &str) -> bool {
    path == REMOTE_WRITE
}

/// Clients of Influx 1 say user and password in the query.
pub(crate) fn takes_key_in_query(path: &str) -> bool {
    path == "/write"
}

pub(crate) fn is_computing(path: &str) -> bool {
    COMPUTING.contains(&path) || is_query(path)
}

/// The query API of Prometheus: its clients post what they ask.
pub(crate) fn is_query(path: &str) -> bool {
    path.starts_with("/prometheus/api/v1/")
}

pub(crate) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
        || path.starts_with("/app/")
        || path.starts_with("/health/")
        || path.starts_with("/docs/")
}

/// How a call is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Actuation,
    Changes,
    Rest,
    Reads,
    Ingest,
}

/// `None` is not counted.
pub(crate) fn class_of(method: &Method, path: &str) -> Option<Class> {
    if *method == Method::OPTIONS {
        return None;
    }
    if is_ingest(path) {
        return Some(Class::Ingest);
    }
    if is_query(path) {
        return Some(Class::Reads);
    }
    let rest = path.strip_prefix(API)?;
    if is_safe(method) {
        return Some(Class::Reads);
    }
    let under =
        |area: &str| rest == area || rest.strip_prefix(area).is_some_and(|r| r.starts_with('/'));
    if under("/valves") {
        return (!rest.ends_with("/emergency-close")).then_some(Class::Actuation);
    }
    if under("/incidents") || under("/alerts") || under("/pipeline/alerts") {
        return Some(Class::Changes);
    }
    Some(Class::Rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_calls_by_what_they_do() {
        let post = |path| class_of(&Method::POST, path);
        assert_eq!(post("/api/v1/valves/v-1/actuate"), Some(Class::Actuation));
        assert_eq!(post("/api/v1/valves/v-1/emergency-close"), None);
        assert_eq!(post("/api/v1/alerts/7/acknowledge"), Some(Class::Changes));
        assert_eq!(post("/api/v1/alertsome"), Some(Class::Rest));
        assert_eq!(post("/api/v1/data/ingest"), Some(Class::Ingest));
        assert_eq!(class_of(&Method::GET, "/api/v1/alerts"), Some(Class::Reads));
        assert_eq!(post("/prometheus/api/v1/query"), Some(Class::Reads));
        for path in ["/health", "/metrics", "/events", "/app/assets/a.js"] {
            assert_eq!(class_of(&Method::GET, path), None);
        }
    }
}
