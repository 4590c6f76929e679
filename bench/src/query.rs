//! Questions about what is stored, asked over HTTP as a page would ask them.

use std::time::Instant;

use anyhow::ensure;
use clap::Args;

use crate::data::{Plant, START_MS};
use crate::ingest::{deliver, start, write_path};
use crate::measure::until_idle;
use crate::report::{Line, Report};
use crate::server::Server;
use std::time::Duration;

const SETTLE: Duration = Duration::from_secs(300);
const SECONDS_PER_YEAR: i64 = 365 * 86_400;

/// Loads the same readings into each contender, then asks in turn.
#[derive(Args)]
pub(crate) struct Ask {
    /// Sensors that are averaged
    #[arg(long, default_value_t = 1_000)]
    sensors: usize,
    /// Readings of each of them
    #[arg(long, default_value_t = 4_000)]
    seconds: i64,
    /// Seconds of one more sensor at 1 Hz, a year of them by default; 0 leaves it out
    #[arg(long, default_value_t = SECONDS_PER_YEAR)]
    year: i64,
    /// Times each question is asked
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// Contenders
    #[arg(long, value_delimiter = ',', default_value = "plainview,victoria-metrics")]
    peers: Vec<String>,
}

impl Ask {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let servers: Vec<Server> = self
            .peers
            .iter()
            .map(|peer| {
                let server = start(peer)?;
                self.load(&server)?;
                Ok(server)
            })
            .collect::<anyhow::Result<_>>()?;
        let mut lines: Vec<Line> = servers
            .iter()
            .map(|s| Line { who: s.who.clone(), settings: s.settings.clone(), runs: Vec::new() })
            .collect();
        // One unmeasured round, then in turn.
        for run in 0..=self.runs {
            for (server, line) in servers.iter().zip(&mut lines) {
                let millis = self.ask(server)?;
                if run > 0 {
                    line.runs.push(millis);
                }
            }
        }
        self.report(lines).publish()
    }

    fn load(&self, server: &Server) -> anyhow::Result<()> {
        let path = write_path(&server.who);
        let mut connection = server.connect()?;
        let mut plant = Plant::new(self.sensors, 0);
        for _ in 0..self.seconds / 10 {
            deliver(&mut connection, path, &plant.lines(10))?;
        }
        // A year that ends where the others begin.
        let mut year = Plant::single("vibration,site=north,asset=p-year value=", -self.year);
        for _ in 0..self.year / 10_000 {
            deliver(&mut connection, path, &year.lines(10_000))?;
        }
        if server.who.starts_with("VictoriaMetrics") {
            connection.get("/internal/force_flush")?;
        }
        until_idle(server.pid(), SETTLE)?;
        Ok(())
    }

    /// Milliseconds of each question.
    fn ask(&self, server: &Server) -> anyhow::Result<Vec<f64>> {
        let mut connection = server.connect()?;
        let mut millis = Vec::new();
        for question in self.questions(&server.who) {
            let begun = Instant::now();
            let answer = connection.get(&question)?;
            millis.push(begun.elapsed().as_secs_f64() * 1e3);
            ensure!(
                answer.status == 200 && answer.body.len() > 500,
                "{question}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>()
            );
        }
        Ok(millis)
    }

    fn questions(&self, who: &str) -> Vec<String> {
        let (from, to) = (START_MS / 1_000, START_MS / 1_000 + self.seconds);
        let year_from = from - self.year / 10_000 * 10_000;
        let step = (from - year_from) / 1_000;
        if who.starts_with("Plainview") {
            vec![
                format!("/api/v1/sensors/aggregate?site=north&from={from}&to={to}&width=60s"),
                format!("/api/v1/sensors/aggregate?measure=m3&from={from}&to={to}&width=60s"),
                format!(
                    "/api/v1/sensors/readings?sensor=north/p-7/m7&from={}&to={to}&limit=3600",
                    to - 3_600
                ),
                format!(
                    "/api/v1/sensors/readings?sensor=north/p-year/vibration&from={year_from}&to={from}&buckets=1000"
                ),
            ]
        } else {
            // The instant of a bucket is its end.
            let range = format!("start={}&end={to}&step=60s&nocache=1", from + 60);
            vec![
                format!(
                    "/api/v1/query_range?query=avg(avg_over_time(%7B__name__%3D~%22m._value%22%7D%5B1m%5D))&{range}"
                ),
                format!("/api/v1/query_range?query=avg(avg_over_time(m3_value%5B1m%5D))&{range}"),
                format!(
                    "/api/v1/export?match[]=m7_value%7Basset%3D%22p-0%22%7D&start={}&end={to}",
                    to - 3_600
                ),
                format!(
                    "/api/v1/query_range?query=avg_over_time(vibration_value%5B{step}s%5D)&start={}&end={from}&step={step}s&nocache=1",
                    year_from + step
                ),
            ]
        }
    }

    fn report(&self, lines: Vec<Line>) -> Report {
        let mut report = Report {
            name: "query",
            work: format!(
                "questions over HTTP about {} sensors × {} readings, and {} of one sensor",
                self.sensors, self.seconds, self.year
            ),
            columns: vec!["all in 1-min, ms", "a tenth, ms", "1 h raw, ms", "a year in 1000, ms"],
            lines,
            says: Vec::new(),
        };
        for peer in 1..report.lines.len() {
            let ratios: Vec<String> = (0..report.columns.len())
                .map(|c| format!("{:.1}", report.median(peer, c) / report.median(0, c)))
                .collect();
            report.says.push(format!(
                "times as fast as {}: {}",
                report.lines[peer].who,
                ratios.join(", ")
            ));
        }
        report
    }
}
