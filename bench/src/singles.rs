//! Many callers that each write one reading and wait until it is durable.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::data::START_MS;
use crate::ingest::deliver;
use crate::report::{Line, Report};
use crate::server::Server;

/// Threads of the callers, here as in pgbench.
const THREADS: usize = 2;
/// Where a run of ours tells what the server spent on a write, in µs.
const CPU: usize = 3;
/// How an answer begins that has no body.
const STORED: &[u8] = b"HTTP/1.1 204 ";
const PGBENCH: &str = "/usr/lib/postgresql/15/bin/pgbench";

/// Single durable writes beside PostgreSQL.
#[derive(Args)]
pub(crate) struct Singles {
    /// Callers at once
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Alternating runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

impl Singles {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        let (mut who, mut peer) = (String::new(), String::new());
        for _ in 0..self.runs {
            let server = Server::plainview(&[])?;
            ours.push(self.plainview(&server)?);
            who.clone_from(&server.who);
            drop(server);
            let server = Server::postgres()?;
            theirs.push(self.postgres(&server)?);
            peer.clone_from(&server.who);
        }
        let lines = vec![
            Line { who, settings: "HTTP, line protocol, fsync before ack".to_owned(), runs: ours },
            Line {
                who: peer,
                settings: "pgbench -M prepared over a socket, fsync on, synchronous_commit on"
                    .to_owned(),
                runs: theirs,
            },
        ];
        let mut report = Report {
            name: "singles",
            work: format!("{} callers, each writing one reading at a time", self.callers),
            columns: vec!["durable writes/s", "median ms", "99th ms"],
            lines,
            says: Vec::new(),
        };
        let ratio = report.median(0, 0) / report.median(1, 0);
        report.says.push(format!("{ratio:.2} × PostgreSQL"));
        report.says.push(format!("{:.0} µs of processor per write", report.median(0, CPU)));
        report.publish()
    }

    fn plainview(&self, server: &Server) -> anyhow::Result<Vec<f64>> {
        let known: String = (0..self.callers).map(|c| line(c, 0)).collect();
        deliver(&mut server.connect()?, "/write?precision=ms", known.as_bytes())?;
        let token = server.token.as_deref().unwrap_or_default();
        let head = format!(
            "POST /write?precision=ms HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\
             Authorization: Token {token}\r\n",
            server.port
        );
        let before = server.cpu_seconds()?;
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (port, head) = (server.port, head.clone());
                let callers: Vec<usize> = (thread..self.callers).step_by(THREADS).collect();
                thread::spawn(move || drive(port, &head, callers, until))
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(millis) => all.extend(millis?),
                Err(_) => bail!("a caller panicked"),
            }
        }
        let cpu = (server.cpu_seconds()? - before) * 1e6 / all.len() as f64;
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        Ok(vec![all.len() as f64 / self.seconds as f64, at(0.5), at(0.99), cpu])
    }

    fn postgres(&self, server: &Server) -> anyhow::Result<Vec<f64>> {
        let (script, log) = (server.home().join("insert.sql"), server.home().join("latency"));
        std::fs::write(
            &script,
            "\\set sensor random(1, 1000)\n\
             INSERT INTO readings VALUES (:sensor, now(), :sensor);\n",
        )?;
        let output = Command::new(PGBENCH)
            .args([
                "-n",
                "-M",
                "prepared",
                "-j",
                &THREADS.to_string(),
                "-c",
                &self.callers.to_string(),
            ])
            .args(["-T", &self.seconds.to_string(), "-f"])
            .arg(&script)
            .args(["-l", "--log-prefix"])
            .arg(&log)
            .args(["-h", &server.home().display().to_string(), "-p", &server.port.to_string()])
            .args(["-U", "bench", "postgres"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let tps = text
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .and_then(|rest| rest.split(' ').next())
            .with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        let mut millis = Vec::new();
        for entry in std::fs::read_dir(server.home())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("latency.")) {
                let text = std::fs::read_to_string(&path)?;
                let micros = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
                millis.extend(micros.map(|micros: f64| micros / 1e3));
                std::fs::remove_file(path)?;
            }
        }
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
        Ok(vec![tps.parse()?, at(0.5), at(0.99)])
    }
}

/// Drives `callers` from this thread, as a thread of pgbench does: were each a thread of its own,
/// the machine would spend more on switching between them than on either server.
fn drive(port: u16, head: &str, callers: Vec<usize>, until: Instant) -> anyhow::Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let callers = callers.into_iter().map(|caller| {
            let head = head.to_owned();
            tokio::spawn(async move { call(port, &head, caller, until).await })
        });
        let callers: Vec<_> = callers.collect();
        let mut millis = Vec::new();
        for caller in callers {
            millis.extend(caller.await??);
        }
        Ok(millis)
    })
}

/// One caller on a connection of its own; how long each of its writes took.
async fn call(port: u16, head: &str, caller: usize, until: Instant) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 4_096];
    let mut millis = Vec::new();
    while Instant::now() < until {
        let body = line(caller, 1 + millis.len() as i64);
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        while !answer[..filled].ends_with(b"\r\n\r\n") {
            let more = stream.read(&mut answer[filled..]).await?;
            filled += more;
            let said = || String::from_utf8_lossy(&answer[..filled]);
            ensure!(more > 0 && answer.starts_with(STORED), "not stored: {}", said());
        }
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(millis)
}

fn line(caller: usize, count: i64) -> String {
    format!("level,site=north,asset=t-{caller} value={}.5 {}\n", count % 90, START_MS + count * 20)
}
