//! Real faults: a process killed at any instant, a network that cuts, hangs and delays.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use bus::{Agent, Bus, Filter, Offset};
use kernel::Event;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testkit::{Ack, AckLog, FaultProxy, Faults, Path, compare, fingerprint};

use crate::site::{Site, effect, open, run, sites};

const CHILD_URL: &str = "PLAINVIEW_TEST_CHILD_URL";
const PUBLISHERS: i64 = 4;

fn recorder() -> Agent {
    Agent::consumer("recorder", "Recorder", &["a"], |event, tx| Box::pin(effect(event, tx)))
}

fn ack(event: &Event) -> Ack {
    let hash = fingerprint(&serde_json::to_vec(event).unwrap());
    Ack { id: event.id.to_string(), hash, position: 0 }
}

/// The process that is killed: publishes as fast as it can, says what committed, and runs an agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below, as a process of its own"]
async fn child() {
    let Some(url) = child_url() else { return };
    let bus = open(&url).await;
    let _agents = run(&bus, vec![recorder()]);
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let bus = bus.clone();
        publishers.spawn(async move {
            for n in 0.. {
                let subject = format!("p{publisher}");
                let event = if publisher % 2 == 0 {
                    crate::site::say(&bus, "a", &subject, n).await
                } else {
                    let draft = testkit::draft("a", &subject, serde_json::json!({ "n": n }));
                    bus.post("tests", draft).await.unwrap()
                };
                let ack = ack(&event);
                println!("ack {} {}", ack.id, ack.hash);
            }
        });
    }
    publishers.join_next().await;
}

#[expect(clippy::disallowed_methods, reason = "how a test speaks to the process it starts")]
fn child_url() -> Option<String> {
    std::env::var(CHILD_URL).ok()
}

/// kill -9 at random instants: nothing acknowledged is lost, no effect is missing or doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    const ROUNDS: u64 = 6;
    let mut dice = StdRng::seed_from_u64(20_261_121);
    for site in sites().await {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acks");
        for _ in 0..ROUNDS {
            let mut process = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "faults::child", "--ignored", "--nocapture"])
                .env(CHILD_URL, site.database.url())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let said = BufReader::new(process.stdout.take().unwrap());
            let mut acks = AckLog::open(&path).unwrap();
            let listening = tokio::task::spawn_blocking(move || {
                let mut count = 0;
                for line in said.lines().map_while(Result::ok) {
                    let Some((_, rest)) = line.split_once("ack ") else { continue };
                    // A line torn by the kill names no whole hash and was never counted.
                    if let Some((id, hash)) = rest.split_once(' ').filter(|(_, h)| h.len() == 32) {
                        let (id, hash) = (id.to_owned(), hash.to_owned());
                        acks.record(&[Ack { id, hash, position: 0 }]).unwrap();
                        count += 1;
                    }
                }
                count
            });
            tokio::time::sleep(Duration::from_millis(dice.random_range(150..500))).await;
            process.kill().unwrap();
            process.wait().unwrap();
            assert!(listening.await.unwrap() > 0, "the process did nothing before it was killed");
        }
        check(&site, &AckLog::load(&path).unwrap()).await;
    }
}

/// What must hold after any fault: acknowledged events are in the log, and every event of the log
/// takes effect once, in order of its subject.
async fn check(site: &Site, acked: &[Ack]) {
    let coordinator = run(&site.bus, vec![recorder()]);
    site.until_idle(&coordinator).await;
    coordinator.stop().await;
    let log = whole_log(&site.bus).await;
    let verdict = compare(acked, log.iter().map(ack));
    assert!(verdict.holds(), "{verdict:?}");
    let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in log {
        expected.entry(event.subject.clone()).or_default().push(event.data["n"].as_i64().unwrap());
    }
    let mut took: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (subject, n) in site.effects().await {
        took.entry(subject).or_default().push(n);
    }
    assert_eq!(took, expected);
    assert!(site.bus.dead_letters(None, 1).await.unwrap().is_empty());
}

async fn whole_log(bus: &Bus) -> Vec<Event> {
    let filter = Filter { types: vec!["a".to_owned()], ..Filter::default() };
    let mut after = Offset(0);
    let mut events = Vec::new();
    loop {
        let page = bus.read(after, &filter, 1_000).await.unwrap();
        let Some((last, _)) = page.last() else { return events };
        after = *last;
        events.extend(page.into_iter().map(|(_, event)| event));
    }
}

/// A network that cuts, hangs and delays between the program and Postgres: commits whose answer is
/// lost are neither forgotten nor done twice, and work goes on by itself afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failing_network_loses_and_doubles_nothing() {
    let mut dice = StdRng::seed_from_u64(42);
    for site in sites().await.into_iter().filter(|site| site.database.is_postgres()) {
        let url = site.database.url().to_owned();
        let (server, rest) = url.split_once("://").unwrap().1.split_once('/').unwrap();
        let host = server.rsplit('@').next().unwrap();
        let upstream = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
        let proxy = FaultProxy::start(upstream, 7).await.unwrap();
        let through = server.replace(host, &proxy.addr().to_string());
        let bus = open(&format!("postgres://{through}/{rest}")).await;
        let coordinator = run(&bus, vec![recorder()]);

        let publishing: Vec<_> =
            (0..PUBLISHERS).map(|p| tokio::spawn(publish(bus.clone(), p))).collect();
        let broken = Faults { path: Path::Reset, ..Faults::default() };
        let silent = Faults { path: Path::Blackhole, ..Faults::default() };
        for round in 0..10 {
            let cut = Faults {
                cut_reply_after: Some(dice.random_range(2_000..20_000)),
                ..Faults::default()
            };
            let slow = Faults {
                latency: Duration::from_millis(5),
                jitter: Duration::from_millis(20),
                reset_chance: 0.01,
                ..Faults::default()
            };
            proxy.set([cut, broken, cut, slow, silent][round % 5]);
            tokio::time::sleep(Duration::from_millis(dice.random_range(100..300))).await;
            proxy.heal();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut acked = Vec::new();
        for publisher in publishing {
            acked.extend(publisher.await.unwrap());
        }
        assert!(acked.len() > 50, "hardly anything was published: {}", acked.len());
        let ids: BTreeSet<_> = acked.iter().map(|ack: &Ack| &ack.id).collect();
        assert_eq!(ids.len(), acked.len());
        // The agents that lived through it come back without help.
        tokio::time::timeout(Duration::from_secs(30), site.until_idle(&coordinator)).await.unwrap();
        coordinator.stop().await;
        check(&site, &acked).await;
    }
}

/// Publishes for some seconds, whatever happens, and returns what was acknowledged.
async fn publish(bus: Bus, publisher: i64) -> Vec<Ack> {
    let began = std::time::Instant::now();
    let mut acked = Vec::new();
    for n in 0.. {
        if began.elapsed() > Duration::from_secs(4) {
            break;
        }
        let draft = testkit::draft("a", &format!("p{publisher}"), serde_json::json!({ "n": n }));
        let Ok(tx) = bus.records().begin().await else { continue };
        let Ok(event) = bus.publish(&tx, "tests", draft).await else { continue };
        if tx.commit().await.is_ok() {
            acked.push(ack(&event));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acked
}
