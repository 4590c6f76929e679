//! MQTT with QoS 1, from the first message published until all readings are stored and judged:
//! through Mosquitto, through the broker inside, and what Mosquitto does without us.

mod wire;

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::Value;

use self::wire::{Client, Messages};
use crate::data::Plant;
use crate::http::Connection;
use crate::measure::{memory_mb, until_idle};
use crate::report::{Line, Report};
use crate::server::{Server, free_port};

/// One of the topics that Plainview reads when nothing is configured.
const BATCHES: &str = "plainview/north/gateway/lines";
/// The key that the bench makes itself.
const KEY_NAME: &str = "bench";
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longer than any of the contenders needs for one run.
const PATIENCE: Duration = Duration::from_secs(120);
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(60);

/// Messages of QoS 1 until they are stored and judged, beside Mosquitto and a subscriber.
#[derive(Args)]
pub(crate) struct Mqtt {
    /// Sensors
    #[arg(long, default_value_t = 1_000)]
    sensors: usize,
    /// Readings of each sensor, one per message
    #[arg(long, default_value_t = 300)]
    seconds: i64,
    /// Readings of each sensor when they come in batches
    #[arg(long, default_value_t = 2_000)]
    batched_seconds: i64,
    /// Readings in the message of a batch, as line protocol
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Publishers, each with sensors of its own
    #[arg(long, default_value_t = 2)]
    publishers: usize,
    /// Messages of a publisher that may be unacknowledged
    #[arg(long, default_value_t = 1_000)]
    inflight: usize,
    /// Alternating runs
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[derive(Clone, Copy)]
enum Way {
    /// Mosquitto and a subscriber that only counts.
    MosquittoAlone,
    ThroughMosquitto,
    BrokerInside,
}

impl Way {
    const ALL: [Self; 3] = [Self::MosquittoAlone, Self::ThroughMosquitto, Self::BrokerInside];

    fn name(self) -> &'static str {
        match self {
            Self::MosquittoAlone => "Mosquitto alone",
            Self::ThroughMosquitto => "through Mosquitto",
            Self::BrokerInside => "broker inside",
        }
    }
}

/// What one publisher sends.
struct Share {
    /// Names every sensor once.
    known: Messages,
    messages: Messages,
}

/// The messages of all publishers.
struct Load {
    shares: Vec<Share>,
    sensors: u64,
    messages: usize,
    readings: usize,
    /// Messages of a publisher that may be unacknowledged.
    inflight: usize,
}

impl Mqtt {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let loads = [("1 a message", 1), ("batches", self.batch)]
            .map(|(name, batch)| (name, self.load(batch)));
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..self.runs {
            let mut place = 0;
            for (form, load) in &loads {
                for way in Way::ALL {
                    let (settings, run) =
                        measure(way, load).with_context(|| format!("{}, {form}", way.name()))?;
                    if place == lines.len() {
                        let who = format!("{}, {form}", way.name());
                        lines.push(Line { who, settings, runs: Vec::new() });
                    }
                    lines[place].runs.push(run);
                    place += 1;
                }
            }
        }
        self.report(lines).publish()
    }

    fn report(&self, lines: Vec<Line>) -> Report {
        let mut report = Report {
            name: "mqtt",
            work: format!(
                "{} sensors × {} readings with QoS 1, {} publishers with {} messages in flight; \
                 × {} in messages of {} lines",
                self.sensors,
                self.seconds,
                self.publishers,
                self.inflight,
                self.batched_seconds,
                self.batch
            ),
            columns: vec!["readings/s", "per CPU-s", "acknowledged/s", "peak MB"],
            lines,
            says: Vec::new(),
        };
        for (form, alone) in [("one reading a message", 0), ("batches", 3)] {
            let ratio = |line: usize| report.median(line, 0) / report.median(alone, 0);
            let said = format!(
                "{form}: {:.2} × Mosquitto alone through Mosquitto, {:.2} × by the broker inside",
                ratio(alone + 1),
                ratio(alone + 2)
            );
            report.says.push(said);
        }
        report
    }

    fn load(&self, batch: usize) -> Load {
        let seconds = if batch == 1 { self.seconds } else { self.batched_seconds };
        let own = self.sensors / self.publishers;
        let shares: Vec<Share> = (0..self.publishers)
            .map(|publisher| {
                let mut plant = Plant::of_site(&format!("s{publisher}"), own, -60);
                let known_lines = plant.lines(1);
                let lines = Plant::of_site(&format!("s{publisher}"), own, 0).lines(seconds);
                Share { known: messages(&known_lines, batch), messages: messages(&lines, batch) }
            })
            .collect();
        let messages = shares.iter().map(|share| share.messages.count()).sum();
        let readings = own * self.publishers * seconds as usize;
        let sensors = (own * self.publishers) as u64;
        Load { shares, sensors, messages, readings, inflight: self.inflight.max(1) }
    }
}

/// Lines of the plant as messages: a reading as JSON under its own topic, or `batch` lines.
fn messages(lines: &[u8], batch: usize) -> Messages {
    let mut out = Messages::default();
    let text = String::from_utf8_lossy(lines);
    let lines: Vec<&str> = text.lines().collect();
    if batch > 1 {
        for some in lines.chunks(batch) {
            // Line protocol in a message has its times in nanoseconds.
            let payload: String = some.iter().map(|line| format!("{line}000000\n")).collect();
            out.add(BATCHES, &payload);
        }
        return out;
    }
    let mut topics: HashMap<&str, String> = HashMap::new();
    for line in lines {
        let Some((head, value, at)) = parts(line) else { continue };
        let topic = topics.entry(head).or_insert_with(|| topic(head));
        out.add(topic, &format!("{{\"value\":{value},\"timestamp\":{at}}}"));
    }
    out
}

/// The series, the value and the time of a line.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = line.split_once(" value=")?;
    let (value, at) = rest.split_once(' ')?;
    Some((head, value, at))
}

/// `m1,site=s0,asset=p-2` as `plainview/s0/p-2/m1`.
fn topic(head: &str) -> String {
    let mut words = head.split(',');
    let measure = words.next().unwrap_or_default();
    let tags: Vec<&str> = words.filter_map(|tag| Some(tag.split_once('=')?.1)).collect();
    format!("plainview/{}/{measure}", tags.join("/"))
}

/// A run's settings, and its figures as the columns have them.
fn measure(way: Way, load: &Load) -> anyhow::Result<(String, Vec<f64>)> {
    match way {
        Way::MosquittoAlone => {
            let broker = Server::mosquitto()?;
            let mut reader = Client::open(broker.port, "reader", None)?;
            reader.subscribe("#")?;
            let (wanted, cpu) = (load.messages, broker.cpu_seconds()?);
            let taking = thread::spawn(move || reader.take(wanted));
            let begun = Instant::now();
            load.publish(broker.port, None)?;
            let published = begun.elapsed();
            let Ok(last) = taking.join() else { bail!("the subscriber panicked") };
            let seconds = (last? - begun).as_secs_f64();
            let cpu = broker.cpu_seconds()? - cpu;
            let settings = format!("{}, {}", broker.who, broker.settings);
            Ok((settings, load.figures(seconds, cpu, published, &broker)?))
        }
        Way::ThroughMosquitto => {
            let broker = Server::mosquitto()?;
            let url = format!("mqtt://127.0.0.1:{}", broker.port);
            let plainview = Server::plainview(&[("MQTT__URL", &url)])?;
            let run = to_the_end(&[&plainview, &broker], broker.port, None, load)?;
            Ok((format!("{}, {}", plainview.who, plainview.settings), run))
        }
        Way::BrokerInside => {
            let port = free_port()?;
            let listen = format!("127.0.0.1:{port}");
            let settings = [("BROKER__ENABLED", "true"), ("BROKER__LISTEN", &*listen)];
            let plainview = Server::plainview(&settings)?;
            let key = plainview.token.clone().context("no key")?;
            let run = to_the_end(&[&plainview], port, Some((KEY_NAME, &key)), load)?;
            Ok((format!("{}, {}", plainview.who, plainview.settings), run))
        }
    }
}

/// Publishes all and waits until Plainview, the first of the servers, has stored and judged it.
fn to_the_end(
    servers: &[&Server],
    port: u16,
    login: Option<(&str, &str)>,
    load: &Load,
) -> anyhow::Result<Vec<f64>> {
    let plainview = servers[0];
    let mut watch = plainview.connect()?;
    load.make_known(port, login, &mut watch)?;
    ensure!(until_idle(plainview.pid(), SETTLE)?, "{} finds no rest", plainview.who);
    let before = progress(&mut watch)?;
    let cpu = cpu_seconds(servers)?;
    let begun = Instant::now();
    load.publish(port, login)?;
    let published = begun.elapsed();
    let wanted = before.plus(load.readings);
    let reached = |now: Progress| now.accepted >= wanted.accepted && now.judged >= wanted.judged;
    while !reached(progress(&mut watch)?) {
        ensure!(begun.elapsed() < PATIENCE, "{:?} of {wanted:?}", progress(&mut watch)?);
        thread::sleep(LOOK_EVERY);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(servers)? - cpu;
    let now = progress(&mut watch)?;
    ensure!(now == wanted, "{now:?} where {wanted:?} were sent");
    load.figures(seconds, cpu, published, plainview)
}

fn cpu_seconds(servers: &[&Server]) -> anyhow::Result<f64> {
    servers.iter().map(|server| server.cpu_seconds()).sum()
}

/// Readings since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    accepted: u64,
    judged: u64,
}

impl Progress {
    fn plus(self, readings: usize) -> Self {
        let more = readings as u64;
        Self { accepted: self.accepted + more, judged: self.judged + more }
    }
}

fn progress(watch: &mut Connection) -> anyhow::Result<Progress> {
    let answer = watch.get("/api/v1/flow/metrics")?;
    let body: Value = serde_json::from_slice(&answer.body)?;
    let count = |name: &str| body[name].as_u64().with_context(|| format!("no {name}: {body}"));
    Ok(Progress { accepted: count("accepted")?, judged: count("judged")? })
}

impl Load {
    /// All publishers at once; returns when everything is acknowledged.
    fn publish(&self, port: u16, login: Option<(&str, &str)>) -> anyhow::Result<()> {
        thread::scope(|scope| {
            let publishers: Vec<_> = (self.shares.iter().enumerate())
                .map(|(number, share)| {
                    let mut client = Client::open(port, &format!("publisher-{number}"), login)?;
                    Ok(scope.spawn(move || client.publish(&share.messages, self.inflight)))
                })
                .collect::<anyhow::Result<_>>()?;
            for publisher in publishers {
                match publisher.join() {
                    Ok(outcome) => outcome?,
                    Err(_) => bail!("a publisher panicked"),
                }
            }
            Ok(())
        })
    }

    /// Every sensor speaks once, again and again until Plainview listens and has heard them all.
    fn make_known(
        &self,
        port: u16,
        login: Option<(&str, &str)>,
        watch: &mut Connection,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            for share in &self.shares {
                // The broker inside listens a moment after the rest of Plainview.
                let Ok(mut first) = Client::open(port, "first", login) else {
                    thread::sleep(LOOK_EVERY);
                    break;
                };
                first.publish(&share.known, self.inflight)?;
            }
            let said = Instant::now();
            while said.elapsed() < KNOWN_WITHIN {
                if progress(watch)?.judged >= self.sensors {
                    return Ok(());
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        bail!("Plainview does not hear the publishers")
    }

    fn figures(
        &self,
        seconds: f64,
        cpu: f64,
        published: Duration,
        server: &Server,
    ) -> anyhow::Result<Vec<f64>> {
        let readings = self.readings as f64;
        let (_, memory) = memory_mb(server.pid())?;
        Ok(vec![readings / seconds, readings / cpu, readings / published.as_secs_f64(), memory])
    }
}
