use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::TestkitError;

/// Small enough that latency and cuts fall between the parts of a message.
const CHUNK_BYTES: usize = 4 * 1024;
/// Connections at once; one more waits until another ends.
const CONNECTIONS_MAX: usize = 1_024;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// They pass.
    #[default]
    Open,
    /// New connections and those that say something are reset.
    Reset,
    /// They are swallowed: nothing answers and nothing ends.
    Blackhole,
}

/// How the network behaves now. Changes reach connections that are already open.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    pub path: Path,
    /// Before each chunk, in each direction.
    pub latency: Duration,
    /// Up to this much more, evenly spread.
    pub jitter: Duration,
    /// Resets a connection with this probability at each chunk, 0.0 to 1.0.
    pub reset_chance: f64,
    /// Resets a connection once the client sent this many bytes over it.
    pub cut_request_after: Option<u64>,
    /// Resets a connection once the server answered this many bytes: 0 loses every answer.
    pub cut_reply_after: Option<u64>,
}

/// A TCP relay that fails on command, and the same way again from the same seed.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    faults: watch::Sender<Faults>,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct Relay {
    faults: watch::Receiver<Faults>,
    random: Arc<Mutex<ChaCha8Rng>>,
}

#[derive(Clone, Copy)]
enum Way {
    Request,
    Reply,
}

/// Why a direction of a connection ended.
enum End {
    /// The sender has no more to say.
    Finished,
    /// Both sides are to see a reset.
    Cut,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and relays to `upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(upstream: SocketAddr, seed: u64) -> Result<Self, TestkitError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let faults = watch::Sender::new(Faults::default());
        let relay = Relay {
            faults: faults.subscribe(),
            random: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))),
        };
        let accepting = tokio::spawn(accept(listener, upstream, relay));
        Ok(Self { addr, faults, accepting })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes the network behave so from now on.
    pub fn set(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// Makes the network whole again.
    pub fn heal(&self) {
        self.set(Faults::default());
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, relay: Relay) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.len() >= CONNECTIONS_MAX {
            open.join_next().await;
        }
        // Ended connections are forgotten while waiting for the next one.
        let client = tokio::select! {
            client = listener.accept() => client,
            Some(_) = open.join_next() => continue,
        };
        let Ok((client, _)) = client else { continue };
        open.spawn(serve(client, upstream, relay.clone()));
    }
}

async fn serve(client: TcpStream, upstream: SocketAddr, mut relay: Relay) {
    if relay.now().path == Path::Reset {
        reset(&client);
        return;
    }
    relay.wait_while_swallowed().await;
    let Ok(server) = TcpStream::connect(upstream).await else {
        reset(&client);
        return;
    };
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let cut = {
        let request = relay.clone().carry(Way::Request, &mut client_read, &mut server_write);
        let reply = relay.carry(Way::Reply, &mut server_read, &mut client_write);
        tokio::pin!(request, reply);
        // A cut in one direction ends both at once; a plain end waits for the other direction.
        let (first, request_ended) = tokio::select! {
            end = &mut request => (end, true),
            end = &mut reply => (end, false),
        };
        match first {
            End::Cut => true,
            End::Finished if request_ended => matches!(reply.await, End::Cut),
            End::Finished => matches!(request.await, End::Cut),
        }
    };
    if cut {
        reset(client_read.as_ref());
        reset(server_read.as_ref());
        // Dropping a write half says a polite goodbye first, which a reset does not.
        client_write.forget();
        server_write.forget();
    }
}

impl Relay {
    fn now(&self) -> Faults {
        *self.faults.borrow()
    }

    fn random(&self) -> MutexGuard<'_, ChaCha8Rng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Relays one direction until it ends.
    async fn carry(mut self, way: Way, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> End {
        let mut carried = 0_u64;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let Ok(count) = from.read(&mut chunk).await else { return End::Cut };
            if count == 0 {
                // Whether the other side is still there to hear it does not matter.
                drop(to.shutdown().await);
                return End::Finished;
            }
            let Some(allowed) = self.admit(way, carried, count).await else { return End::Cut };
            if to.write_all(&chunk[..allowed]).await.is_err() || allowed < count {
                return End::Cut;
            }
            carried += allowed as u64;
        }
    }

    /// How many of `count` bytes pass, after the delay that is due; `None` cuts before the first.
    async fn admit(&mut self, way: Way, carried: u64, count: usize) -> Option<usize> {
        self.wait_while_swallowed().await;
        let faults = self.now();
        let (spread, unlucky) = {
            let mut random = self.random();
            (random.random::<f64>(), random.random::<f64>() < faults.reset_chance)
        };
        tokio::time::sleep(faults.latency + faults.jitter.mul_f64(spread)).await;
        // The network may have changed while the chunk was on its way.
        if unlucky || self.now().path == Path::Reset {
            return None;
        }
        let cut = match way {
            Way::Request => faults.cut_request_after,
            Way::Reply => faults.cut_reply_after,
        };
        match cut {
            Some(limit) if carried >= limit => None,
            Some(limit) => Some(count.min(usize::try_from(limit - carried).unwrap_or(usize::MAX))),
            None => Some(count),
        }
    }

    async fn wait_while_swallowed(&mut self) {
        let swallowed = |faults: &Faults| faults.path == Path::Blackhole;
        // The sender is gone when the proxy is: then nothing is swallowed any more.
        drop(self.faults.wait_for(|faults| !swallowed(faults)).await.map(drop));
    }
}

fn reset(stream: &TcpStream) {
    // A stream that is already closed cannot be reset, and need not be.
    drop(stream.set_zero_linger());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything back.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        addr
    }

    async fn ask(proxy: &FaultProxy, text: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(proxy.addr()).await?;
        stream.write_all(text).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn passes_bytes_unchanged() {
        let proxy = FaultProxy::start(echo().await, 1).await.unwrap();
        let sent: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        assert_eq!(ask(&proxy, &sent).await.unwrap(), sent);
    }

    #[tokio::test]
    async fn resets_new_and_open_connections() {
        let proxy = FaultProxy::start(echo().await, 1).await.unwrap();
        let mut open = TcpStream::connect(proxy.addr()).await.unwrap();
        open.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        open.read_exact(&mut back).await.unwrap();
        proxy.set(Faults { path: Path::Reset, ..Faults::default() });
        open.write_all(b"again").await.unwrap();
        assert!(open.read_exact(&mut back).await.is_err());
        assert!(ask(&proxy, b"new").await.is_err());
        proxy.heal();
        assert_eq!(ask(&proxy, b"whole").await.unwrap(), b"whole");
    }

    #[tokio::test]
    async fn a_blackhole_swallows_until_it_heals() {
        let proxy = FaultProxy::start(echo().await, 1).await.unwrap();
        proxy.set(Faults { path: Path::Blackhole, ..Faults::default() });
        let asking = ask(&proxy, b"anybody?");
        tokio::pin!(asking);
        let quiet = tokio::time::timeout(Duration::from_millis(100), &mut asking).await;
        assert!(quiet.is_err());
        proxy.heal();
        assert_eq!(asking.await.unwrap(), b"anybody?");
    }

    #[tokio::test]
    async fn cuts_after_so_many_bytes() {
        let proxy = FaultProxy::start(echo().await, 1).await.unwrap();
        proxy.set(Faults { cut_reply_after: Some(3), ..Faults::default() });
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        stream.write_all(b"abcdef").await.unwrap();
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got).await;
        // A reset may overtake the last bytes, but never lets more through.
        assert!(end.is_err() && b"abc".starts_with(&got));
        proxy.set(Faults { cut_reply_after: Some(0), ..Faults::default() });
        assert!(ask(&proxy, b"lost answer").await.is_err());
    }

    #[tokio::test]
    async fn delays() {
        let proxy = FaultProxy::start(echo().await, 1).await.unwrap();
        let latency = Duration::from_millis(30);
        proxy.set(Faults { latency, ..Faults::default() });
        let began = std::time::Instant::now();
        assert_eq!(ask(&proxy, b"slow").await.unwrap(), b"slow");
        assert!(began.elapsed() >= latency * 2);
    }
}
