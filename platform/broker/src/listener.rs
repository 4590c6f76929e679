use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::Backoff;
use rumqttc::tokio_rustls::TlsAcceptor;
use rumqttc::tokio_rustls::rustls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sense::mqtt::{Intake, Message, Room};
use sense::{ReadingSink, SenseError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::session::{Debt, House, Token, serve};
use crate::settings::{TlsFiles, invalid};
use crate::{Broker, BrokerSettings};

/// Messages of all clients that wait for the store.
const QUEUE_MAX: usize = 8_192;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A socket that cannot be accepted is often a lack of file descriptors: others must end first.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const LISTEN_AGAIN: Backoff =
    Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30) };

/// Listens until `stop`; an address that is taken is tried again.
pub(crate) async fn listen(
    broker: Arc<Broker>,
    sink: Arc<dyn ReadingSink>,
    stop: CancellationToken,
) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        broker.status.connecting();
        match open(&broker.settings).await {
            Ok((listener, tls)) => {
                broker.status.connected(broker.clock.now());
                accept(&broker, &listener, tls, &sink, &stop).await;
                break;
            }
            Err(error) => {
                failures += 1;
                broker.status.lost(&error, false, broker.clock.now());
                tracing::warn!(listen = %broker.settings.listen, error = %error, "broker does not listen");
            }
        }
        let jitter = kernel::spread((&broker.settings.listen, failures));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LISTEN_AGAIN.pause(failures, jitter)) => {}
        }
    }
    broker.status.stopped();
}

async fn open(settings: &BrokerSettings) -> Result<(TcpListener, Option<TlsAcceptor>), SenseError> {
    let tls = settings.tls.as_ref().map(acceptor).transpose()?;
    Ok((TcpListener::bind(settings.listen).await?, tls))
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, SenseError> {
    let wrong = |path: &Path, reason: &dyn std::fmt::Display| {
        invalid("tls", &format!("{}: {reason}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&files.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&files.cert_file, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|error| wrong(&files.key_file, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| wrong(&files.cert_file, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(
    broker: &Arc<Broker>,
    listener: &TcpListener,
    tls: Option<TlsAcceptor>,
    sink: &Arc<dyn ReadingSink>,
    stop: &CancellationToken,
) {
    let (intake, waiting) = mpsc::channel::<Message<Token>>(QUEUE_MAX);
    let hub = Arc::new(Hub::default());
    let house = House {
        broker: Arc::clone(broker),
        hub: Arc::clone(&hub),
        intake,
        room: Room::new(),
        stop: stop.clone(),
    };
    let keeper = Intake {
        mapping: broker.mapping.clone(),
        origin: broker.settings.origin,
        clock: Arc::clone(&broker.clock),
        status: broker.status.clone(),
        sink: Arc::clone(sink),
        stop: stop.clone(),
    };
    let keeping = keeper.run(waiting, |token: Token| {
        if let Some(debt) = token {
            Debt::pay(debt);
        }
    });
    tokio::join!(doorkeeper(house, listener, tls), keeping);
    hub.tell(&broker.status, 0, broker.settings.connections_max);
}

/// Lets connections in, as many as there is room for. Ends when all of them have ended.
async fn doorkeeper(house: House, listener: &TcpListener, tls: Option<TlsAcceptor>) {
    let settings = Arc::clone(&house.broker.settings);
    let mut sessions = JoinSet::new();
    let mut tell = tokio::time::interval(TELL_EVERY);
    loop {
        let accepted = tokio::select! {
            () = house.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = sessions.join_next() => continue,
            _ = tell.tick() => {
                house.hub.tell(&house.broker.status, sessions.len(), settings.connections_max);
                continue;
            }
        };
        match accepted {
            Ok((stream, address)) if sessions.len() < settings.connections_max => {
                let (house, tls) = (house.clone(), tls.clone());
                sessions.spawn(welcome(house, stream, address.to_string(), tls));
            }
            Ok(_) => {
                house.hub.turned_away.fetch_add(1, Ordering::Relaxed);
                let reason = format!("more than {} connections", settings.connections_max);
                house.broker.status.trouble(&reason, house.broker.clock.now());
            }
            Err(error) => {
                tracing::warn!(error = %error, "connection not accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(house);
    while sessions.join_next().await.is_some() {}
}

async fn welcome(house: House, stream: TcpStream, peer: String, tls: Option<TlsAcceptor>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(client = peer, error = %error, "no immediate sending");
    }
    match tls {
        None => serve(house, stream, peer).await,
        Some(acceptor) => match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => serve(house, stream, peer).await,
            Ok(Err(error)) => tracing::warn!(client = peer, error = %error, "no TLS"),
            Err(_) => tracing::warn!(client = peer, "no TLS in time"),
        },
    }
}
