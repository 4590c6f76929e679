//! One webhook call: the name is resolved once, and only that address is spoken to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use kernel::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use crate::act;
use crate::decide::{self, Outcome};
use crate::model::WebhookSettings;
use crate::records::Stored;

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// An answer is read only to end the exchange cleanly; more than this is cut off.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Calls `hook` with the event of `stored`.
pub(super) async fn call(
    hook: &WebhookSettings,
    stored: &Stored,
    now: Timestamp,
    allow_private: bool,
) -> Outcome {
    let refused = |error: &str| Outcome::Refused { error: error.to_owned() };
    let Ok(body) = serde_json::to_string(&stored.event) else {
        return refused("the event cannot be written as JSON");
    };
    let id = stored.notification.notification_id;
    let Some(signed) = act::sign(&hook.secret, id, now, body) else {
        return refused("the webhook's secret is no whsec_ key of 24 to 64 bytes");
    };
    let (url, address) = match target(&hook.url, allow_private).await {
        Ok(target) => target,
        Err(outcome) => return outcome,
    };
    let client = match client(&url, address) {
        Ok(client) => client,
        Err(error) => return Outcome::Again { error: explain(&error), after: None },
    };
    let mut request =
        client.post(url).header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8");
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    match request.body(signed.body).send().await {
        Ok(response) => judge(response).await,
        // Sent again with the same id, so a receiver that did get it drops the second copy.
        Err(error) => Outcome::Again { error: explain(&error), after: None },
    }
}

async fn target(text: &str, allow_private: bool) -> Result<(Url, SocketAddr), Outcome> {
    let refused = |error: String| Outcome::Refused { error };
    let url = Url::parse(text).map_err(|_| refused("the webhook's URL cannot be read".into()))?;
    let scheme_allowed = url.scheme() == "https" || (url.scheme() == "http" && allow_private);
    if !scheme_allowed {
        return Err(refused(format!("a webhook needs https; this one has {}", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a webhook's URL holds no user or password".into()));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(refused("the webhook's URL names no host".into()));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = resolve(host, port).await?;
    if !allow_private
        && let Some(why) = addresses.iter().find_map(|address| decide::forbidden(address.ip()))
    {
        return Err(refused(format!("`{host}` leads to a {why} address")));
    }
    let Some(address) = addresses.first().copied() else {
        return Err(Outcome::Again { error: format!("`{host}` has no address"), after: None });
    };
    Ok((url, address))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Outcome> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let again = |error: String| Outcome::Again { error, after: None };
    match tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(again(format!("`{host}` cannot be resolved: {error}"))),
        Err(_) => Err(again(format!("`{host}` was not resolved in time"))),
    }
}

/// A client for this one address: no proxy, no redirect, no second look at the name.
fn client(url: &Url, address: SocketAddr) -> Result<Client, reqwest::Error> {
    Client::builder()
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &[address])
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .user_agent(concat!("plainview/", env!("CARGO_PKG_VERSION")))
        .build()
}

async fn judge(response: Response) -> Outcome {
    let status = response.status();
    let after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .map(Duration::from_secs);
    drain(response).await;
    let error = format!("the receiver answered {}", status.as_u16());
    if status.is_success() {
        Outcome::Sent
    } else if status == StatusCode::GONE || status.is_redirection() {
        Outcome::Refused { error }
    } else {
        Outcome::Again { error, after }
    }
}

async fn drain(response: Response) {
    let mut stream = response.bytes_stream();
    let mut read = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            return;
        }
    }
}

/// The error with its causes, without the URL: it may hold a token.
fn explain(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_timeout() { "timed out".to_owned() } else { "the call failed".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.chars().take(300).collect()
}
