//! The life of the process: start, serve, stop.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::compose::House;
use crate::config::Config;

/// Runs Plainview until it is told to stop. `ready` is called once it answers.
pub(crate) async fn run(config: Config, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let house = House::build(&config, stop.clone()).await?;
    let watcher = tokio::spawn(stop_on_signal(stop.clone()));
    let server = tokio::spawn({
        let (router, settings) = (house.router.clone(), house.web.clone());
        async move { web::serve(listener, router, &settings, stop).await }
    });
    ready(address);
    let served = server.await.context("the server failed")?;
    watcher.abort();
    house.close().await;
    Ok(served?)
}

/// What `plainview serve` says once it answers.
pub(crate) fn announce(address: SocketAddr) {
    cli::print(&format!("listening on http://{address}"));
}

async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard; stop this process with kill -9, nothing is lost");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
}
