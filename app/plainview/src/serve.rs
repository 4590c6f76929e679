//! The life of the process: start, serve, stop.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    // Heard from here on: who is told that it runs may stop it at once.
    let signals = Signals::hear().context("signals cannot be heard")?;
    let watcher = tokio::spawn(signals.stop(stop.clone()));
    let house = tokio::select! {
        house = House::build(&config, stop.clone()) => house?,
        // A start that is broken off is no worse than a crash, which harms nothing.
        () = stop.cancelled() => return Ok(()),
    };
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

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn hear() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(mut self, stop: CancellationToken) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    }
}
