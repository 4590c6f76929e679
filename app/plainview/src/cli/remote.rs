//! The running Plainview that a command talks to.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;

/// Attempts at one request while the server is away or busy.
const ATTEMPTS_MAX: u32 = 8;
/// Wait before the second attempt when nothing answered.
const BACKOFF: Duration = Duration::from_millis(250);
/// Time for the head of an answer and between two parts of its body.
const PATIENCE: Duration = Duration::from_secs(60);
/// Faults of a problem that are shown.
const FAULTS_SHOWN_MAX: usize = 5;

/// Where it runs.
#[derive(Args)]
pub(super) struct Remote {
    /// The running Plainview
    #[arg(long, env = "PLAINVIEW_URL", default_value = "http://127.0.0.1:4000")]
    url: String,
    /// A key of it
    #[arg(long, env = "PLAINVIEW_KEY", hide_env_values = true, default_value = "")]
    key: String,
}

/// A client that waits for a busy server, and says what a refusal means.
pub(super) struct Link {
    http: Client,
    url: String,
    key: String,
}

/// What an RFC 9457 problem says.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) reason: String,
}

impl Remote {
    pub(super) fn link(&self) -> anyhow::Result<Link> {
        // Packing columns of numbers takes longer than sending them.
        let http =
            Client::builder().no_gzip().connect_timeout(PATIENCE).read_timeout(PATIENCE).build()?;
        let url = self.url.trim_end_matches('/').to_owned();
        Ok(Link { http, url, key: self.key.clone() })
    }
}

impl Link {
    /// The answer to a GET, whatever its length. Fails with what the server said against it.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<Response> {
        let answer = self.ask(path, query).await?;
        if answer.status().is_success() { Ok(answer) } else { bail!(self.refusal(answer).await) }
    }

    /// The answer to a GET, refusals included.
    pub(super) async fn ask(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<Response> {
        self.patiently(|| self.http.get(format!("{}{path}", self.url)).query(query)).await
    }

    /// The answer to a POST of readings, refusals included. Sending readings twice stores them
    /// once, so an attempt whose end is unknown is made again.
    pub(super) async fn post(
        &self,
        path: &str,
        kind: &'static str,
        body: Vec<u8>,
        correlation: &str,
    ) -> anyhow::Result<Response> {
        let body = axum::body::Bytes::from(body);
        self.patiently(|| {
            let request = self.http.post(format!("{}{path}", self.url));
            let request = request.header("X-Correlation-ID", correlation);
            request.header("content-type", kind).body(body.clone())
        })
        .await
    }

    async fn patiently(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> anyhow::Result<Response> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut request = request();
            // An empty key would be a wrong one; none may read where reading is open.
            if !self.key.is_empty() {
                request = request.header("X-API-Key", &self.key);
            }
            let wait = match request.send().await {
                Ok(answer) if is_busy(answer.status()) && attempt < ATTEMPTS_MAX => {
                    retry_after(&answer)
                }
                Ok(answer) => return Ok(answer),
                Err(error) if attempt >= ATTEMPTS_MAX => {
                    return Err(error).with_context(|| format!("cannot reach {}", self.url));
                }
                Err(_) => BACKOFF.saturating_mul(1 << attempt.min(5)),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// What the server said, as one line.
    pub(super) async fn refusal(&self, answer: Response) -> String {
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let Ok(problem) = serde_json::from_str::<Problem>(&text) else {
            return format!("{} said {status}", self.url);
        };
        let mut said = format!("{} ({})", problem.title, status.as_u16());
        if let Some(detail) = problem.detail {
            said.push_str(": ");
            said.push_str(&detail);
        }
        for fault in problem.errors.iter().take(FAULTS_SHOWN_MAX) {
            said.push_str(&format!("; {}: {}", fault.field, fault.reason));
        }
        said
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504 | 507)
}

fn retry_after(answer: &Response) -> Duration {
    let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 30))
}
