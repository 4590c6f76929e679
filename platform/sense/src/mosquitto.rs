//! A real broker for the tests of MQTT and Sparkplug.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const MOSQUITTO: &str = "/usr/sbin/mosquitto";
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A real broker on a free port that keeps its sessions on disk.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    process: Option<Child>,
}

impl Mosquitto {
    /// `None`, said aloud, where no broker is installed.
    pub(crate) fn new() -> Option<Self> {
        if !std::path::Path::new(MOSQUITTO).exists() {
            eprintln!("LEFT OUT: {MOSQUITTO} is not installed, MQTT is not tested");
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\nmax_queued_messages 0\nlog_type none\nuser root\n",
            dir.path().display()
        );
        std::fs::write(dir.path().join("broker.conf"), config).unwrap();
        let mut broker = Self { port, dir, process: None };
        broker.start();
        Some(broker)
    }

    pub(crate) fn start(&mut self) {
        let config = self.dir.path().join("broker.conf");
        let process = Command::new(MOSQUITTO).arg("-c").arg(config).stderr(Stdio::null()).spawn();
        self.process = Some(process.unwrap());
        let deadline = std::time::Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(std::time::Instant::now() < deadline, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in order, so that it writes its sessions down.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            process.wait().unwrap();
        }
    }

    /// Publishes one reading per number with QoS 1; returns when the broker has acknowledged all.
    pub(crate) async fn publish(&self, numbers: std::ops::Range<i64>) {
        let port = self.port.to_string();
        let lines: String = numbers
            .map(|n| format!("{{\"value\":{n},\"timestamp\":{}}}\n", 1_700_000_000_000 + n))
            .collect();
        self.send(&port, "plainview/north/p-2/vibration", lines).await;
    }

    pub(crate) async fn send(&self, port: &str, topic: &'static str, lines: String) {
        let port = port.to_owned();
        let sent = tokio::task::spawn_blocking(move || {
            let mut publisher = Command::new("mosquitto_pub")
                .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-l", "-t", topic])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
            publisher.wait().unwrap().success()
        });
        assert!(sent.await.unwrap());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}
