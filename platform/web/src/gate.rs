//! Who may pass, how often.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coord::{Limits, Rate, Verdict};

use crate::problem::{FORBIDDEN, KEY_INVALID, RATE_LIMITED, UNAUTHENTICATED, UNAVAILABLE};
use crate::routes::{self, Class};
use crate::{Caller, Environment, Keys, Problem, Role, WebSettings};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const ANONYMOUS: &str = "anonymous";

/// What a body without a length is counted as, in KiB.
const UNKNOWN_BODY_KIB: u32 = 64;

#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) settings: Arc<WebSettings>,
    pub(crate) keys: Keys,
    pub(crate) limits: Arc<Limits>,
}

/// Finds out who calls and refuses what that caller may never do. What is left is decided by the
/// handler with [`Caller::need`].
pub(crate) async fn identify(
    gate: &Gate,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let is_open = routes::is_open(request.uri().path());
    let presented = if is_open { None } else { presented_key(request.headers(), request.uri()) };
    let caller = match gate.caller(presented, address(&request)).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let mut response = match may_pass(&caller, &request, gate.settings.environment) {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next(request).await
        }
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(caller);
    response
}

/// Counts the call, refuses one too many, and says what is left.
pub(crate) async fn limit(
    gate: &Gate,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let Some(class) = routes::class_of(request.method(), request.uri().path()) else {
        return next(request).await;
    };
    let caller = request.extensions().get::<Caller>();
    let is_known = caller.is_some_and(|caller| caller.role.is_some());
    let who = match caller {
        Some(caller) if is_known => format!("key {}", caller.name),
        _ => format!("address {}", address(&request)),
    };
    let (name, rate, cost) = gate.measure(class, is_known, request.headers());
    let verdict = gate.limits.check(name, &who, rate, cost.min(rate.burst));
    let mut response = if verdict.allowed {
        next(request).await
    } else {
        too_many(name, rate, verdict).into_response()
    };
    say_limit(response.headers_mut(), name, rate, verdict);
    response
}

impl Gate {
    async fn caller(&self, presented: Option<String>, address: String) -> Result<Caller, Problem> {
        let Some(presented) = presented else {
            return Ok(Caller { name: ANONYMOUS.to_owned(), role: None });
        };
        match self.keys.verify(&presented).await {
            Ok(Some(caller)) => Ok(caller),
            Ok(None) => Err(self.wrong_key(&address)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "key not checked");
                Err(Problem::of(&UNAVAILABLE)
                    .detail("The key could not be checked.")
                    .retry_after(1))
            }
        }
    }

    /// Guessing is slowed down by address; a right key passes all the while.
    fn wrong_key(&self, address: &str) -> Problem {
        let rate = self.settings.rates.wrong_keys;
        let verdict = self.limits.check("wrong-keys", address, rate, 1);
        if !verdict.allowed {
            return too_many("wrong-keys", rate, verdict);
        }
        Problem::of(&KEY_INVALID).detail("The key is unknown, expired or revoked.")
    }

    fn measure(
        &self,
        class: Class,
        is_known: bool,
        headers: &HeaderMap,
    ) -> (&'static str, Rate, u32) {
        let rates = &self.settings.rates;
        match class {
            Class::Actuation => ("actuation", rates.actuation, 1),
            Class::Changes => ("changes", rates.changes, 1),
            Class::Rest => ("rest", rates.rest, 1),
            Class::Reads if is_known => ("reads", rates.reads, 1),
            Class::Reads => ("anonymous-reads", rates.anonymous_reads, 1),
            Class::Ingest => ("ingest-kib", rates.ingest_kib, body_kib(headers)),
        }
    }
}

fn may_pass(caller: &Caller, request: &Request, environment: Environment) -> Result<(), Problem> {
    let (method, path) = (request.method(), request.uri().path());
    if routes::is_open(path) && routes::is_safe(method) {
        return Ok(());
    }
    match caller.role {
        Some(Role::Viewer) if !routes::is_safe(method) && !routes::is_computing(path) => {
            Err(Problem::of(&FORBIDDEN).detail("A viewer's key only reads."))
        }
        _ if routes::is_ingest(path) => caller.need(Role::Ingest).map(|_| ()),
        Some(Role::Ingest) if path != "/api/v1/me" => Err(Problem::of(&FORBIDDEN)
            .detail("An ingest key hands in readings and does nothing else.")),
        Some(_) if routes::is_safe(method) => Ok(()),
        None if (routes::is_safe(method) || routes::is_query(path))
            && environment == Environment::Development =>
        {
            Ok(())
        }
        Some(_) if routes::is_computing(path) => Ok(()),
        Some(_) => Ok(()),
        None => Err(Problem::of(&UNAUTHENTICATED).detail(
            "Send a key as `X-API-Key` or `Authorization: Bearer`. `plainview keys create` makes \
             one.",
        )),
    }
}

/// The key, from whichever header a client sends: `X-API-Key`, or `Authorization` as `Bearer`,
/// `Token` (Influx clients) or `Basic` (the password). Clients of Influx 1 say it as the password
/// `p` in the query; the query stands in no log.
fn presented_key(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    if let Some(value) = headers.get(API_KEY) {
        return Some(value.to_str().unwrap_or_default().trim().to_owned());
    }
    // What cannot be read as a key is a wrong key, not no key.
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return routes::takes_key_in_query(uri.path()).then(|| query_password(uri)).flatten();
    };
    let text = authorization.to_str().unwrap_or_default();
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
    let key = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => rest.trim().to_owned(),
        "basic" => basic_password(rest.trim()).unwrap_or_default(),
        _ => String::new(),
    };
    Some(key)
}

fn basic_password(encoded: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

fn query_password(uri: &Uri) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Credentials {
        p: Option<String>,
    }
    let query = uri.query()?;
    match serde_html_form::from_str::<Credentials>(query) {
        Ok(credentials) => credentials.p.filter(|password| !password.is_empty()),
        Err(_) => Some(String::new()),
    }
}

fn address(request: &Request) -> String {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(|| "unknown".to_owned(), |info| info.0.ip().to_string())
}

fn body_kib(headers: &HeaderMap) -> u32 {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .map_or(UNKNOWN_BODY_KIB, |bytes| u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX))
}

fn too_many(name: &str, rate: Rate, verdict: Verdict) -> Problem {
    let seconds = whole_seconds(verdict.retry_after).max(1);
    Problem::of(&RATE_LIMITED)
        .detail(format!(
            "The class `{name}` allows {} each {} s. Come back in {seconds} s.",
            rate.calls,
            rate.per.as_secs()
        ))
        .retry_after(seconds)
}

fn whole_seconds(span: std::time::Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers.
fn say_limit(headers: &mut HeaderMap, name: &str, rate: Rate, verdict: Verdict) {
    let policy = format!("\"{name}\";q={};w={}", rate.burst, rate.per.as_secs());
    let reset = whole_seconds(verdict.reset.max(verdict.retry_after));
    let state = format!("\"{name}\";r={};t={reset}", verdict.remaining);
    for (header, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header, value);
        }
    }
}
