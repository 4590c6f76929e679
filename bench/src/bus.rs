//! Durable events: our log beside JetStream, both with a sync before every acknowledgement.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use bus::Bus;
use clap::Args;
use kernel::{CorrelationId, EventDraft, EventType, SystemClock};
use serde_json::json;
use store::records::Records;

use crate::measure::cpu_seconds;
use crate::report::{Line, Report};
use crate::server::Server;

const PROBED: EventType = EventType { name: "anomaly.detected", version: 1 };

/// Publishes events of about 300 bytes from many callers, each waiting for its acknowledgement.
#[derive(Args)]
pub(crate) struct Publish {
    /// Callers at once; for JetStream as many unacknowledged messages
    #[arg(long, default_value_t = 256)]
    callers: usize,
    /// Events of ours per run
    #[arg(long, default_value_t = 60_000)]
    ours: usize,
    /// Events of JetStream per run
    #[arg(long, default_value_t = 4_000)]
    theirs: usize,
    /// Alternating runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

impl Publish {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut peer = String::new();
        for _ in 0..self.runs {
            let dir = crate::server::directory()?;
            ours.push(self.plainview(dir.path())?);
            let server = Server::nats()?;
            theirs.push(self.jetstream(&server)?);
            peer.clone_from(&server.who);
        }
        let lines = vec![
            Line {
                who: format!("Plainview bus {}", env!("CARGO_PKG_VERSION")),
                settings: "SQLite, synchronous FULL, Bus::post".to_owned(),
                runs: ours,
            },
            Line {
                who: peer,
                settings: "file store, sync_interval always".to_owned(),
                runs: theirs,
            },
        ];
        let mut report = Report {
            name: "bus",
            work: format!("{} callers publish durable events of about 300 bytes", self.callers),
            columns: vec!["events/s", "median ms", "99th ms", "CPU µs each"],
            lines,
            says: Vec::new(),
        };
        let ratio = report.median(0, 0) / report.median(1, 0);
        report.says.push(format!("{ratio:.1} × JetStream"));
        report.publish()
    }

    fn plainview(&self, dir: &std::path::Path) -> anyhow::Result<Vec<f64>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let clock = SystemClock::shared();
            let records =
                Records::open(&format!("sqlite://{}", dir.join("records.db").display())).await?;
            records.migrate(&Bus::migrations(), clock.now()).await?;
            let bus = Bus::new(records, clock);
            let next = Arc::new(AtomicUsize::new(0));
            let (cpu, begun) = (cpu_seconds(std::process::id())?, Instant::now());
            let callers: Vec<_> = (0..self.callers)
                .map(|_| tokio::spawn(publish(bus.clone(), Arc::clone(&next), self.ours)))
                .collect();
            let mut millis = Vec::with_capacity(self.ours);
            for caller in callers {
                millis.extend(caller.await??);
            }
            let took = begun.elapsed().as_secs_f64();
            let cpu = cpu_seconds(std::process::id())? - cpu;
            let head = bus.head().await?;
            ensure!(head.0 as usize == self.ours, "{} events in the log", head.0);
            Ok(figures(took, cpu, millis))
        })
    }

    fn jetstream(&self, server: &Server) -> anyhow::Result<Vec<f64>> {
        let mut link = Nats::connect(server.port)?;
        let stream = json!({"name": "BENCH", "subjects": ["ev.>"], "storage": "file"});
        link.publish("$JS.API.STREAM.CREATE.BENCH", &stream.to_string())?;
        let made = link.answer()?;
        ensure!(!made.contains("\"error\""), "{made}");
        let both = || anyhow::Ok(cpu_seconds(std::process::id())? + server.cpu_seconds()?);
        let (cpu, begun) = (both()?, Instant::now());
        // Acknowledgements come in the order of the messages.
        let mut sent = Vec::with_capacity(self.theirs);
        let mut millis = Vec::with_capacity(self.theirs);
        while millis.len() < self.theirs {
            while sent.len() < self.theirs.min(millis.len() + self.callers) {
                sent.push(Instant::now());
                link.publish("ev.north", &payload(sent.len()).to_string())?;
            }
            let ack = link.answer()?;
            ensure!(ack.contains("\"seq\""), "{ack}");
            millis.push(sent[millis.len()].elapsed().as_secs_f64() * 1e3);
        }
        Ok(figures(begun.elapsed().as_secs_f64(), both()? - cpu, millis))
    }
}

/// One caller: events until `count` are taken, and how long each waited for its acknowledgement.
async fn publish(bus: Bus, next: Arc<AtomicUsize>, count: usize) -> anyhow::Result<Vec<f64>> {
    let mut millis = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok(millis);
        }
        let draft = EventDraft {
            kind: PROBED,
            subject: "north/p-2".to_owned(),
            correlation: CorrelationId::new(),
            cause: None,
            data: payload(number),
        };
        let begun = Instant::now();
        bus.post("bench", draft).await?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
}

/// Events a second, their latencies, and the processor time of caller and log together.
fn figures(took: f64, cpu: f64, mut millis: Vec<f64>) -> Vec<f64> {
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
    let count = millis.len() as f64;
    vec![count / took, at(0.5), at(0.99), cpu * 1e6 / count]
}

fn payload(number: usize) -> serde_json::Value {
    json!({
        "anomaly_id": format!("019a9c41-7e0b-7c52-9d1e-{number:012}"), "sensor": "north/p-2/vibration",
        "rule": "score", "state": "active", "severity": "high", "score": 0.93, "value": 4.6,
        "started_at": "2026-11-19T14:03:54Z", "detected_at": "2026-11-19T14:03:55Z",
    })
}

/// As much of the NATS protocol as publishing with acknowledgements needs.
struct Nats {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Nats {
    fn connect(port: u16) -> anyhow::Result<Self> {
        let writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_nodelay(true)?;
        let mut link = Self { reader: BufReader::new(writer.try_clone()?), writer };
        let mut info = String::new();
        link.reader.read_line(&mut info)?;
        link.writer.write_all(b"CONNECT {\"verbose\":false}\r\nSUB bench.ack 1\r\n")?;
        Ok(link)
    }

    fn publish(&mut self, subject: &str, body: &str) -> anyhow::Result<()> {
        let text = format!("PUB {subject} bench.ack {}\r\n{body}\r\n", body.len());
        Ok(self.writer.write_all(text.as_bytes())?)
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        loop {
            let mut line = String::new();
            ensure!(self.reader.read_line(&mut line)? > 0, "the server closed the connection");
            if line.starts_with("PING") {
                self.writer.write_all(b"PONG\r\n")?;
            } else if line.starts_with("MSG") {
                let length = line.trim_end().rsplit(' ').next().context("no length")?;
                let mut body = vec![0; length.parse::<usize>()? + 2];
                self.reader.read_exact(&mut body)?;
                return Ok(String::from_utf8_lossy(&body).into_owned());
            } else if line.starts_with("-ERR") {
                anyhow::bail!("{line}");
            }
        }
    }
}
