use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::readings;
use crate::broker;
use crate::harness::{DEADLINE, Plainview};
use crate::sources::free_port;

/// Its own files have six digits after the point.
const ROUNDED: f64 = 0.6e-6;
/// Times at which collectd shall have looked before it is judged.
const LOOKS_MIN: usize = 8;
const GUIDE: &str = include_str!("../../../../../docs/connect/collectd.md");

/// Debian's collectd as our guide sets it up; what it reads it also writes into files of its own.
struct Collectd {
    child: Child,
    dir: PathBuf,
}

impl Collectd {
    fn start(dir: &Path, port: u16, key: &str) -> Self {
        let dir = dir.join("collectd");
        std::fs::create_dir_all(&dir).unwrap();
        let guide = GUIDE.split("```").find(|block| block.contains("LoadPlugin mqtt")).unwrap();
        let guide = guide.replace("1883", &port.to_string()).replace("YOUR_KEY", key);
        let at = dir.display();
        let settings = format!(
            "Hostname \"p-7\"\nFQDNLookup false\nInterval 0.2\nBaseDir \"{at}\"\n\
             PIDFile \"{at}/pid\"\nTypesDB \"/usr/share/collectd/types.db\"\n\
             LoadPlugin logfile\n<Plugin logfile>\nLogLevel info\nFile \"{at}/log\"\n</Plugin>\n\
             LoadPlugin csv\n<Plugin csv>\nDataDir \"csv\"\nStoreRates true\n</Plugin>\n\
             LoadPlugin load\nLoadPlugin memory\nLoadPlugin contextswitch\n{guide}"
        );
        std::fs::write(dir.join("collectd.conf"), settings).unwrap();
        let child = Command::new("/usr/sbin/collectd")
            .args(["-f", "-C"])
            .arg(dir.join("collectd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    /// What it has read so far, by the sensors that our guide promises: microseconds and value.
    fn read(&self) -> BTreeMap<String, Vec<(i64, f64)>> {
        let mut all: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        for plugin in entries(&self.dir.join("csv/p-7")) {
            for file in entries(&plugin) {
                let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
                // `load-2026-12-01`
                let (plugin, file_name) = (name(&plugin), name(&file));
                let kind = &file_name[..file_name.len() - "-2026-12-01".len()];
                let text = std::fs::read_to_string(&file).unwrap();
                // The last line may be half written.
                let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
                let mut table = csv::Reader::from_reader(whole.as_bytes());
                let names = table.headers().unwrap().clone();
                for row in table.records() {
                    let row = row.unwrap();
                    let micros = (row[0].parse::<f64>().unwrap() * 1e3).round() as i64 * 1_000;
                    for (name, value) in names.iter().zip(&row).skip(1) {
                        let own = if names.len() > 2 { format!("/{name}") } else { String::new() };
                        let value: f64 = value.parse().unwrap();
                        if !value.is_nan() {
                            let key = format!("north/p-7/{plugin}/{kind}{own}");
                            all.entry(key).or_default().push((micros, value));
                        }
                    }
                }
            }
        }
        all
    }
}

impl Drop for Collectd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            eprintln!("── collectd said\n{log}");
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(all) = std::fs::read_dir(folder) else { return Vec::new() };
    all.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn collectd_is_heard_as_the_guide_says() {
    let port = free_port();
    let plainview = broker::started(port).await;
    let key = plainview.create_key("collectd", "ingest");
    let collectd = Collectd::start(plainview.directory(), port, &key);
    let load = "north/p-7/load/load/shortterm";
    let rate = "north/p-7/contextswitch/contextswitch";
    let expected = plainview
        .until(DEADLINE, "collectd looks", async |_: &Plainview| {
            let read = collectd.read();
            let looks = |key: &str| read.get(key).map_or(0, Vec::len);
            (looks(load).min(looks(rate)) >= LOOKS_MIN).then_some(read)
        })
        .await;
    let free = &expected["north/p-7/memory/memory-free"];
    assert!(free.iter().all(|(_, value)| *value > 0.0), "{free:?}");
    let keys: Vec<String> = expected.keys().cloned().collect();
    let missing = async |it: &Plainview| {
        let known = it.get("/api/v1/sensors/sensors?limit=1000").await.to_string();
        let unknown = keys.iter().find(|key| !known.contains(&format!("\"{key}\"")));
        if let Some(key) = unknown {
            return Some(format!("{key} is no sensor"));
        }
        let stored = readings(it, &keys).await;
        for (key, rows) in &expected {
            let points = &stored[key];
            for (micros, value) in rows {
                let point = points.iter().find(|point| point.micros == *micros);
                if point.is_none_or(|it| (it.value - value).abs() > ROUNDED || it.quality != "good")
                {
                    return Some(format!("{key} at {micros}: {value} is {point:?} in {points:?}"));
                }
            }
        }
        None
    };
    plainview
        .until(DEADLINE, "every value that collectd read", async |it: &Plainview| {
            let missing = missing(it).await;
            if let Some(missing) = &missing {
                println!("{missing}");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            missing.is_none().then_some(())
        })
        .await;
}
