//! One session with a server, from its start to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{TryStreamExt, pin_mut};
use opcua_client::{Client, ClientBuilder, IdentityToken, Session, SessionPollResult};
use opcua_types::{EndpointDescription, StatusCode};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::OpcUaError;
use crate::kind::OpcUa;
use crate::pki::{self, APPLICATION_NAME, APPLICATION_URI, CERTIFICATE, PRIVATE_KEY};

const CONNECT_TIMEOUT_S: u64 = 10;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Keep-alives that may fail before the link counts as lost.
const KEEP_ALIVES_FAILED_MAX: u64 = 2;
const FAREWELL: Duration = Duration::from_secs(2);

/// A session that works, and the task that drives it.
pub(crate) struct Link {
    pub(crate) session: Arc<Session>,
    driver: AbortOnDropHandle<StatusCode>,
}

impl Link {
    pub(crate) async fn open(source: &OpcUa) -> Result<Self, OpcUaError> {
        let mut client = client(source).await?;
        let limit = Duration::from_secs(CONNECT_TIMEOUT_S);
        let opened = tokio::time::timeout(limit, open(source, &mut client)).await;
        opened.map_err(|_| OpcUaError::Timeout(CONNECT_TIMEOUT_S))?
    }

    /// Returns when the link is lost.
    pub(crate) async fn lost(&mut self) -> OpcUaError {
        OpcUaError::Lost((&mut self.driver).await.unwrap_or(StatusCode::BadInternalError))
    }

    /// Takes leave, so that the server need not wait for the session to time out.
    pub(crate) async fn close(self) {
        let left = tokio::time::timeout(FAREWELL, self.session.disconnect()).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::debug!("server did not end the session in time");
        }
    }
}

async fn client(source: &OpcUa) -> Result<Client, OpcUaError> {
    let folder = source.kind.pki_dir.clone();
    let preparing = std::sync::Arc::clone(&source.kind.preparing);
    let strict = source.settings.strict_certificate;
    let make = move || {
        let alone = preparing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pki::prepare(&folder)?;
        drop(alone);
        let builder = ClientBuilder::new()
            .application_name(APPLICATION_NAME)
            .application_uri(APPLICATION_URI)
            .session_name(APPLICATION_NAME)
            .create_sample_keypair(false)
            .certificate_path(CERTIFICATE)
            .private_key_path(PRIVATE_KEY)
            .pki_dir(&folder)
            // Whom to trust is decided before, by what people accepted.
            .trust_server_certs(false)
            .verify_server_certs(strict)
            // Reconnecting, subscribing anew and filling the gap are done here.
            .session_retry_limit(0)
            .recreate_subscriptions(false)
            .request_timeout(REQUEST_TIMEOUT)
            .keep_alive_interval(KEEP_ALIVE)
            .max_failed_keep_alive_count(KEEP_ALIVES_FAILED_MAX);
        builder.client().map_err(|faults| OpcUaError::Certificate(faults.join("; ")))
    };
    // Making a key takes a while.
    let made = tokio::task::spawn_blocking(make).await;
    made.map_err(|error| OpcUaError::Certificate(error.to_string()))?
}

async fn open(source: &OpcUa, client: &mut Client) -> Result<Link, OpcUaError> {
    let settings = &source.settings;
    let refused = |error: opcua_types::Error| OpcUaError::Connect(error.to_string());
    let url = settings.endpoint.as_str();
    let offered = client.get_server_endpoints_from_url(url).await.map_err(refused)?;
    let (policy, mode) = (settings.policy(), settings.message_mode());
    let endpoint =
        Client::find_matching_endpoint(&offered, url, policy, mode).ok_or_else(|| {
            let wanted = format!("{}/{mode:?}", policy.to_str());
            OpcUaError::Endpoint { wanted, offered: names(&offered) }
        })?;
    if settings.is_secure() {
        trust(source, &source.kind.pki_dir, &endpoint)?;
    }
    let token = match settings.username.as_deref().filter(|user| !user.is_empty()) {
        None => IdentityToken::new_anonymous(),
        Some(user) => {
            IdentityToken::new_user_name(user, settings.password.clone().unwrap_or_default())
        }
    };
    let (session, events) =
        client.connect_to_endpoint_directly(endpoint, token).map_err(refused)?;
    let drive = async move {
        let events = events.enter();
        pin_mut!(events);
        loop {
            match events.try_next().await {
                Ok(Some(SessionPollResult::ConnectionLost(status))) => break status,
                Ok(Some(_)) => {}
                Ok(None) => break StatusCode::Good,
                Err(status) => break status,
            }
        }
    };
    let driver: JoinHandle<StatusCode> = tokio::spawn(drive);
    let mut link = Link { session, driver: AbortOnDropHandle::new(driver) };
    let session = Arc::clone(&link.session);
    tokio::select! {
        status = &mut link.driver => {
            let status = status.unwrap_or(StatusCode::BadInternalError);
            Err(OpcUaError::Connect(status.to_string()))
        }
        _ = session.wait_for_connection() => Ok(link),
    }
}

fn trust(source: &OpcUa, folder: &Path, endpoint: &EndpointDescription) -> Result<(), OpcUaError> {
    let settings = &source.settings;
    let accepted = settings.server_thumbprint.as_deref();
    match pki::trust(folder, &endpoint.server_certificate, accepted) {
        Err(OpcUaError::Untrusted { thumbprint, .. }) if settings.trust_any => {
            pki::trust(folder, &endpoint.server_certificate, Some(&thumbprint))
        }
        other => other,
    }
}

fn names(endpoints: &[EndpointDescription]) -> String {
    let name = |endpoint: &EndpointDescription| {
        let policy = endpoint.security_policy_uri.as_ref();
        let policy = policy.rsplit('#').next().unwrap_or_default();
        format!("{policy}/{:?}", endpoint.security_mode)
    };
    let mut names: Vec<String> = endpoints.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}
