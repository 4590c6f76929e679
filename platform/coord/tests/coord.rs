//! The conformance suite of leases, quotas and idempotency keys: on SQLite always, on Postgres
//! when the environment names a server (`PLAINVIEW_TEST_POSTGRES_URL`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Arc;
use std::time::Duration;

use coord::{Begun, CoordError, Idempotency, KeyedRequest, Leases, Quota, Quotas};
use coord::{StoredResponse, Taken};
use kernel::{Clock, SharedClock, Timestamp};
use store::records::Records;
use testkit::{FakeClock, TestDatabase};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

struct Site {
    database: TestDatabase,
    records: Records,
    clock: Arc<FakeClock>,
}

impl Site {
    fn clock(&self) -> SharedClock {
        Arc::clone(&self.clock) as SharedClock
    }

    fn leases(&self) -> Leases {
        Leases::new(self.records.clone(), self.clock())
    }

    fn keys(&self) -> Idempotency {
        Idempotency::new(self.records.clone(), self.clock(), "site")
    }

    fn quotas(&self) -> Quotas {
        Quotas::new(self.records.clone(), self.clock())
    }

    /// Another handle on the same database, as another process has.
    async fn elsewhere(&self) -> Records {
        Records::open(self.database.url()).await.unwrap()
    }
}

async fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for database in TestDatabase::each().await.unwrap() {
        let records = Records::open(database.url()).await.unwrap();
        records.migrate(&coord::migrations(), FakeClock::START).await.unwrap();
        sites.push(Site { database, records, clock: FakeClock::shared() });
    }
    sites
}

#[tokio::test]
async fn a_lease_has_one_holder_and_its_fence_grows() {
    for site in sites().await {
        let leases = site.leases();
        let first = leases.acquire("planner", "one", MINUTE).await.unwrap().unwrap();
        assert_eq!(first.until, site.clock.now().plus(MINUTE));
        assert!(leases.acquire("planner", "two", MINUTE).await.unwrap().is_none());
        assert!(leases.acquire("other", "two", MINUTE).await.unwrap().is_some());

        site.clock.advance(MINUTE / 2);
        let first = leases.renew(&first, MINUTE).await.unwrap().unwrap();
        site.clock.advance(MINUTE / 2);
        assert!(leases.acquire("planner", "two", MINUTE).await.unwrap().is_none());

        site.clock.advance(MINUTE);
        let second = leases.acquire("planner", "two", MINUTE).await.unwrap().unwrap();
        assert!(second.fence > first.fence);
        assert!(leases.renew(&first, MINUTE).await.unwrap().is_none());
        leases.release(&first).await.unwrap();
        assert!(leases.acquire("planner", "one", MINUTE).await.unwrap().is_none());

        leases.release(&second).await.unwrap();
        assert!(leases.renew(&second, MINUTE).await.unwrap().is_none());
        let third = leases.acquire("planner", "one", MINUTE).await.unwrap().unwrap();
        assert!(third.fence > second.fence, "a fence never starts again");
        let again = leases.acquire("planner", "one", MINUTE).await.unwrap().unwrap();
        assert!(again.fence > third.fence);
        assert!(leases.renew(&third, MINUTE).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_sleepers_late_write_is_refused() {
    for site in sites().await {
        let leases = site.leases();
        let sleeper = leases.acquire("planner", "one", MINUTE).await.unwrap().unwrap();
        let tx = site.records.begin().await.unwrap();
        assert!(leases.guard(&tx, &sleeper).await.unwrap());
        tx.commit().await.unwrap();
        site.clock.advance(MINUTE);
        let tx = site.records.begin().await.unwrap();
        assert!(!leases.guard(&tx, &sleeper).await.unwrap(), "it is over");
        tx.rollback().await.unwrap();
        leases.acquire("planner", "two", MINUTE).await.unwrap().unwrap();
        let tx = site.records.begin().await.unwrap();
        assert!(!leases.guard(&tx, &sleeper).await.unwrap(), "it is another's");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_clock_set_back_does_not_lock_a_lease_for_ever() {
    for site in sites().await {
        let leases = site.leases();
        leases.acquire("planner", "one", Duration::MAX).await.unwrap().unwrap();
        site.clock.set(Timestamp::from_secs(1_000));
        assert!(leases.acquire("planner", "two", MINUTE).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_want_a_lease_one_gets_it() {
    for site in sites().await {
        let other = Leases::new(site.elsewhere().await, site.clock());
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..16 {
            let leases = if racer % 2 == 0 { site.leases() } else { other.clone() };
            racers.spawn(async move {
                leases.acquire("planner", &format!("r{racer}"), MINUTE).await.unwrap()
            });
        }
        let mut won = Vec::new();
        while let Some(lease) = racers.join_next().await {
            won.extend(lease.unwrap());
        }
        assert_eq!(won.len(), 1);
    }
}

fn daily(limit: u32) -> Quota {
    Quota { name: "greetings".to_owned(), period: "2026-11-19".to_owned(), limit }
}

#[tokio::test]
async fn a_quota_counts_only_what_commits() {
    for site in sites().await {
        let quotas = site.quotas();
        let take = async |quota: &Quota, commit: bool| {
            let tx = site.records.begin().await.unwrap();
            let taken = quotas.take(&tx, quota).await.unwrap();
            if commit {
                tx.commit().await.unwrap()
            } else {
                tx.rollback().await.unwrap()
            }
            taken
        };
        assert_eq!(quotas.used(&daily(2)).await.unwrap(), 0);
        assert_eq!(take(&daily(2), false).await, Taken::Left(1));
        assert_eq!(take(&daily(2), true).await, Taken::Left(1));
        assert_eq!(take(&daily(2), true).await, Taken::Left(0));
        assert_eq!(take(&daily(2), true).await, Taken::Exhausted);
        assert_eq!(quotas.used(&daily(2)).await.unwrap(), 2);
        assert_eq!(take(&daily(1), true).await, Taken::Exhausted, "a limit lowered meanwhile");
        assert_eq!(take(&daily(3), true).await, Taken::Left(0), "a limit raised meanwhile");
        assert_eq!(take(&daily(0), true).await, Taken::Exhausted);
        let tomorrow = Quota { period: "2026-11-20".to_owned(), ..daily(2) };
        assert_eq!(take(&tomorrow, true).await, Taken::Left(1));
    }
}

/// 64 callers in two processes race for 15; some of them roll back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quota_is_never_overdrawn() {
    const LIMIT: u32 = 15;
    for site in sites().await {
        let elsewhere = site.elsewhere().await;
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..64 {
            let records = if racer % 2 == 0 { site.records.clone() } else { elsewhere.clone() };
            let quotas = Quotas::new(records.clone(), site.clock());
            racers.spawn(async move {
                let tx = records.begin().await.unwrap();
                let taken = quotas.take(&tx, &daily(LIMIT)).await.unwrap();
                tokio::task::yield_now().await;
                if racer % 7 == 0 {
                    tx.rollback().await.unwrap();
                    return false;
                }
                tx.commit().await.unwrap();
                taken != Taken::Exhausted
            });
        }
        let mut granted = 0;
        while let Some(taken) = racers.join_next().await {
            granted += u32::from(taken.unwrap());
        }
        assert_eq!(granted, site.quotas().used(&daily(LIMIT)).await.unwrap());
        assert_eq!(granted, LIMIT);
    }
}

fn request(key: &str, body: &[u8]) -> KeyedRequest {
    KeyedRequest {
        caller: "planner".to_owned(),
        target: "POST /api/v1/maintenance/schedule".to_owned(),
        key: key.to_owned(),
        body_hash: body.to_vec(),
    }
}

fn response() -> StoredResponse {
    StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        body: b"{\"id\":\0 7}".to_vec(),
    }
}

#[tokio::test]
async fn a_key_is_new_then_in_flight_then_answered() {
    for site in sites().await {
        let keys = site.keys();
        let one = request("k", b"body");
        let since = site.clock.now();
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::New);
        site.clock.advance(Duration::from_secs(5));
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::InFlight { since });
        assert_eq!(keys.begin(&request("k", b"other")).await.unwrap(), Begun::Mismatch);
        let elsewhere = KeyedRequest { caller: "viewer".to_owned(), ..one.clone() };
        assert_eq!(keys.begin(&elsewhere).await.unwrap(), Begun::New);

        keys.finish(&one, &response()).await.unwrap();
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::Replay(response()));
        assert_eq!(keys.begin(&request("k", b"other")).await.unwrap(), Begun::Mismatch);
        let late = StoredResponse { status: 500, ..response() };
        keys.finish(&one, &late).await.unwrap();
        keys.abandon(&one).await.unwrap();
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::Replay(response()));

        site.clock.advance(DAY);
        assert_eq!(keys.begin(&request("k", b"other")).await.unwrap(), Begun::New);
    }
}

#[tokio::test]
async fn a_failed_request_frees_its_key() {
    for site in sites().await {
        let keys = site.keys();
        let one = request("k", b"body");
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::New);
        keys.abandon(&one).await.unwrap();
        assert_eq!(keys.begin(&request("k", b"other")).await.unwrap(), Begun::New);
    }
}

#[tokio::test]
async fn a_dead_process_leaves_its_key_to_the_next_attempt() {
    for site in sites().await {
        let keys = site.keys();
        let one = request("k", b"body");
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::New);
        site.clock.advance(MINUTE * 2);
        assert_eq!(keys.begin(&request("k", b"other")).await.unwrap(), Begun::Mismatch);
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::New);
        let since = site.clock.now();
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::InFlight { since });
    }
}

#[tokio::test]
async fn an_answer_commits_with_its_effect() {
    for site in sites().await {
        let keys = site.keys();
        let one = request("k", b"body");
        keys.begin(&one).await.unwrap();
        let tx = site.records.begin().await.unwrap();
        site.quotas().take(&tx, &daily(5)).await.unwrap();
        keys.finish_in(&tx, &one, &response()).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(matches!(keys.begin(&one).await.unwrap(), Begun::InFlight { .. }));
        let tx = site.records.begin().await.unwrap();
        keys.finish_in(&tx, &one, &response()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(keys.begin(&one).await.unwrap(), Begun::Replay(response()));
    }
}

#[tokio::test]
async fn a_restart_takes_over_what_had_no_effect_and_repeats_nothing_that_had() {
    for site in sites().await {
        let (before, elsewhere) =
            (site.keys(), Idempotency::new(site.elsewhere().await, site.clock(), "elsewhere"));
        let (idle, done) = (request("idle", b"body"), request("done", b"body"));
        before.begin(&idle).await.unwrap();
        before.begin(&done).await.unwrap();
        before
            .perform(&idle, async {
                let tx = site.records.begin().await.unwrap();
                site.quotas().take(&tx, &daily(5)).await.unwrap();
                tx.rollback().await.unwrap();
            })
            .await;
        before
            .perform(&done, async {
                let tx = site.records.begin().await.unwrap();
                site.quotas().take(&tx, &daily(5)).await.unwrap();
                tx.commit().await.unwrap();
            })
            .await;
        for one in [&idle, &done] {
            assert!(matches!(before.begin(one).await.unwrap(), Begun::InFlight { .. }));
            assert!(matches!(elsewhere.begin(one).await.unwrap(), Begun::InFlight { .. }));
        }
        let after = site.keys();
        assert_eq!(after.begin(&idle).await.unwrap(), Begun::New);
        let Begun::Replay(answer) = after.begin(&done).await.unwrap() else { panic!("repeated") };
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8(answer.body).unwrap().contains("lost in a crash"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_equal_requests_one_is_done() {
    for site in sites().await {
        let elsewhere = Idempotency::new(site.elsewhere().await, site.clock(), "elsewhere");
        let here = site.keys();
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..32 {
            let keys = if racer % 2 == 0 { here.clone() } else { elsewhere.clone() };
            racers.spawn(async move { keys.begin(&request("k", b"body")).await.unwrap() });
        }
        let mut new = 0;
        while let Some(begun) = racers.join_next().await {
            match begun.unwrap() {
                Begun::New => new += 1,
                Begun::InFlight { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(new, 1);
    }
}

#[tokio::test]
async fn keys_and_answers_are_bounded() {
    for site in sites().await {
        let keys = site.keys();
        let long = keys.begin(&request(&"k".repeat(256), b"")).await;
        assert!(matches!(long, Err(CoordError::TooLong { bytes: 256, .. })));
        let one = request("k", b"");
        keys.begin(&one).await.unwrap();
        let large = StoredResponse { body: vec![0; (4 << 20) + 1], ..response() };
        assert!(matches!(keys.finish(&one, &large).await, Err(CoordError::TooLong { .. })));
    }
}
