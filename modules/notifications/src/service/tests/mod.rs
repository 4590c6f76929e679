mod receivers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bus::{Bus, Coordinator, Filter, Offset, RetryPolicy};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{Event, EventDraft};
use receivers::{Call, MailServer, Manner, Receiver};
use serde_json::{Value, json};
use sha2::Sha256;
use store::records::Records;
use testkit::{FakeClock, TestDatabase};

use super::*;
use crate::model::{Channel, Secret, Severity, SmtpSettings, SmtpTls, WebhookSettings};

const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    bus: Bus,
    clock: Arc<FakeClock>,
    settings: Settings,
    _database: TestDatabase,
}

fn smtp(server: SocketAddr) -> Option<SmtpSettings> {
    Some(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        from: "Plainview <plainview@example.org>".to_owned(),
        to: vec!["shift@example.org".to_owned()],
        tls: SmtpTls::None,
        username: None,
        password: None,
    })
}

fn hook(address: SocketAddr) -> WebhookSettings {
    WebhookSettings {
        url: format!("http://{address}/hook?token=hidden"),
        secret: Secret::new(format!("whsec_{KEY}")),
        events: Vec::new(),
    }
}

async fn bench(settings: Settings) -> Bench {
    bench_on(TestDatabase::sqlite().unwrap(), settings).await
}

async fn bench_on(database: TestDatabase, settings: Settings) -> Bench {
    // A second installation of the same provider is refused, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let records = Records::open(database.url()).await.unwrap();
    let mut migrations = Bus::migrations();
    migrations.extend(records::migrations());
    records.migrate(&migrations, FakeClock::START).await.unwrap();
    let clock = FakeClock::shared();
    let bus = Bus::new(records, Arc::<FakeClock>::clone(&clock) as _);
    Bench { bus, clock, settings, _database: database }
}

fn work() -> EventDraft {
    let data = json!({
        "work_id": "w", "number": 633, "title": "Inspect P-2", "state": "scheduled",
        "severity": "high", "starts_at": "2026-11-20T08:00:00Z", "approved_by": "ines",
        "origin": "real",
    });
    testkit::draft("maintenance.scheduled", "work/w", data)
}

impl Bench {
    fn service(&self) -> Notifications {
        Notifications::new(Deps { bus: self.bus.clone(), settings: self.settings.clone() })
    }

    fn start(&self) -> Coordinator {
        let module = crate::module(self.service());
        let agents = module.agents.into_iter().map(|agent| (module.name, agent)).collect();
        Coordinator::start(self.bus.clone(), agents, RetryPolicy::default())
    }

    async fn say(&self, draft: EventDraft) -> Event {
        let tx = self.bus.records().begin().await.unwrap();
        let event = self.bus.publish(&tx, "test", draft).await.unwrap();
        tx.commit().await.unwrap();
        event
    }

    async fn told(&self, channel: Channel) -> Vec<Notification> {
        let selection = Selection { channel: Some(channel), limit: 100, ..Selection::default() };
        self.service().list(selection).await.unwrap()
    }

    async fn until(&self, channel: Channel, state: NotificationState) -> Notification {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let all = self.told(channel).await;
            if let Some(found) = all.iter().find(|note| note.state == state) {
                return found.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "never {state:?}: {all:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn said(&self, kind: &str) -> Vec<Event> {
        let filter = Filter { types: vec![kind.to_owned()], ..Filter::default() };
        let read = self.bus.read(Offset(0), &filter, 100).await.unwrap();
        read.into_iter().map(|(_, event)| event).collect()
    }

    /// A message that a process was sending when it died.
    async fn left_in_sending(&self, channel: Channel, handed_over: bool) -> Event {
        let event = self.say(work()).await;
        let tx = self.bus.records().begin().await.unwrap();
        self.service().notify(&event, &tx).await.unwrap();
        tx.commit().await.unwrap();
        let id = self.told(channel).await[0].notification_id;
        let tx = self.bus.records().begin().await.unwrap();
        records::claim(&tx, id).await.unwrap().unwrap();
        if handed_over {
            records::mark_handed_over(&tx, id).await.unwrap();
        }
        tx.commit().await.unwrap();
        event
    }
}

/// As a receiver in another language would check it.
fn is_signed(call: &Call) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
    let (id, at) = (call.header("webhook-id"), call.header("webhook-timestamp"));
    mac.update(format!("{id}.{at}.{}", call.body).as_bytes());
    call.header("webhook-signature")
        == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn everyone_is_told_once_by_every_way() {
    for database in TestDatabase::each().await.unwrap() {
        everyone_is_told_once_on(database).await;
    }
}

async fn everyone_is_told_once_on(database: TestDatabase) {
    let mail = MailServer::start(Manner::Accept).await;
    let (receiver, address) = Receiver::start(&[]).await;
    let settings = Settings {
        smtp: smtp(mail.address),
        webhooks: vec![hook(address)],
        allow_private: true,
        ..Settings::default()
    };
    let bench = bench_on(database, settings).await;
    let running = bench.start();
    let event = bench.say(work()).await;
    // The same work order said again, in the same state, is no news.
    bench.say(work()).await;
    let by_mail = bench.until(Channel::Email, NotificationState::Sent).await;
    let by_hook = bench.until(Channel::Webhook, NotificationState::Sent).await;
    let in_app = bench.until(Channel::InApp, NotificationState::Sent).await;
    assert_eq!(by_mail.title, "W-633 scheduled: Inspect P-2");
    assert_eq!(by_hook.to, format!("http://{address}/hook"));
    assert_eq!(in_app.severity, Severity::High);

    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.said("notification.sent").await.len() < 3 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    let sent = bench.said("notification.sent").await;
    assert_eq!(sent.len(), 3);
    for said in &sent {
        assert_eq!(said.correlationid, event.correlationid);
        assert_eq!(said.causationid, Some(event.id));
        assert_eq!(said.data["about"]["type"], "maintenance.scheduled");
    }
    let mails = mail.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains(&format!("Message-ID: <{}@example.org>", by_mail.notification_id)));
    assert!(mails[0].contains("Subject: [Plainview] W-633 scheduled: Inspect P-2"));
    let calls = receiver.calls();
    assert_eq!(calls.len(), 1);
    assert!(is_signed(&calls[0]));
    assert_eq!(calls[0].header("webhook-id"), by_hook.notification_id.to_string());
    let body: Value = serde_json::from_str(&calls[0].body).unwrap();
    assert_eq!(body["specversion"], "1.0");
    assert_eq!(body["id"], event.id.to_string());
    assert_eq!(body["data"]["number"], 633);
}

#[tokio::test]
async fn a_webhook_that_fails_is_called_again_with_the_same_id() {
    let (receiver, address) = Receiver::start(&[(503, None)]).await;
    let bench = bench(Settings {
        webhooks: vec![hook(address)],
        allow_private: true,
        ..Settings::default()
    })
    .await;
    let running = bench.start();
    bench.say(work()).await;
    let waiting = bench.until(Channel::Webhook, NotificationState::Pending).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.told(Channel::Webhook).await[0].error.is_none() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.clock.advance(Duration::from_secs(10));
    let sent = bench.until(Channel::Webhook, NotificationState::Sent).await;
    running.stop().await;
    assert_eq!((sent.notification_id, sent.attempts), (waiting.notification_id, 2));
    let calls = receiver.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_ne!(calls[0].header("webhook-timestamp"), calls[1].header("webhook-timestamp"));
    assert!(calls.iter().all(is_signed));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (target, target_address) = Receiver::start(&[]).await;
    let location: &'static str = format!("http://{target_address}/inner").leak();
    let (_, address) = Receiver::start(&[(302, Some(location))]).await;
    let bench = bench(Settings {
        webhooks: vec![hook(address)],
        allow_private: true,
        ..Settings::default()
    })
    .await;
    let running = bench.start();
    bench.say(work()).await;
    let failed = bench.until(Channel::Webhook, NotificationState::Failed).await;
    running.stop().await;
    assert!(failed.error.unwrap().contains("302"));
    assert!(target.calls().is_empty());
    assert_eq!(bench.said("notification.failed").await.len(), 1);
}

#[tokio::test]
async fn inner_addresses_are_not_called_unless_allowed() {
    let (receiver, address) = Receiver::start(&[]).await;
    let mut hooks = vec![hook(address)];
    for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]"] {
        let url = format!("https://{host}:{}/hook", address.port());
        hooks.push(WebhookSettings { url, ..hook(address) });
    }
    let count = hooks.len();
    let bench = bench(Settings { webhooks: hooks, ..Settings::default() }).await;
    let running = bench.start();
    bench.say(work()).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let all = bench.told(Channel::Webhook).await;
        if all.len() == count && all.iter().all(|n| n.state == NotificationState::Failed) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{all:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn a_mail_is_tried_again_only_while_nobody_can_have_it() {
    for (manner, state) in [
        (Manner::Refuse, NotificationState::Failed),
        (Manner::RefuseText, NotificationState::Failed),
        (Manner::Vanish, NotificationState::Unknown),
    ] {
        let mail = MailServer::start(manner).await;
        let bench = bench(Settings { smtp: smtp(mail.address), ..Settings::default() }).await;
        let running = bench.start();
        bench.say(work()).await;
        let ended = bench.until(Channel::Email, state).await;
        bench.clock.advance(Duration::from_secs(3_600));
        running.stop().await;
        assert_eq!(ended.attempts, 1, "{manner:?}");
        assert!(mail.mails().len() <= 1);
        assert_eq!(bench.said("notification.failed").await.len(), 1);
    }
}

#[tokio::test]
async fn a_deferred_mail_arrives_later_under_the_same_message_id() {
    let mail = MailServer::start(Manner::Defer).await;
    let bench = bench(Settings { smtp: smtp(mail.address), ..Settings::default() }).await;
    let running = bench.start();
    bench.say(work()).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.told(Channel::Email).await.first().is_none_or(|note| note.error.is_none()) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    mail.behave(Manner::Accept);
    bench.clock.advance(Duration::from_secs(10));
    let sent = bench.until(Channel::Email, NotificationState::Sent).await;
    running.stop().await;
    assert_eq!(sent.attempts, 2);
    assert_eq!(mail.mails().len(), 1);
    assert!(mail.mails()[0].contains(&sent.notification_id.to_string()));
}

#[tokio::test]
async fn after_a_crash_a_webhook_is_sent_again_with_its_id() {
    let (receiver, address) = Receiver::start(&[]).await;
    let bench = bench(Settings {
        webhooks: vec![hook(address)],
        allow_private: true,
        ..Settings::default()
    })
    .await;
    bench.left_in_sending(Channel::Webhook, false).await;
    let running = bench.start();
    bench.until(Channel::Webhook, NotificationState::Pending).await;
    bench.clock.advance(Duration::from_secs(10));
    let sent = bench.until(Channel::Webhook, NotificationState::Sent).await;
    running.stop().await;
    assert_eq!(receiver.calls().len(), 1);
    assert_eq!(receiver.calls()[0].header("webhook-id"), sent.notification_id.to_string());
}

#[tokio::test]
async fn after_a_crash_a_mail_that_may_have_gone_out_is_unknown() {
    for database in TestDatabase::each().await.unwrap() {
        a_mail_that_may_have_gone_out_is_unknown_on(database).await;
    }
}

async fn a_mail_that_may_have_gone_out_is_unknown_on(database: TestDatabase) {
    let mail = MailServer::start(Manner::Accept).await;
    let settings = Settings { smtp: smtp(mail.address), ..Settings::default() };
    let bench = bench_on(database, settings).await;
    let event = bench.left_in_sending(Channel::Email, true).await;
    let running = bench.start();
    let unknown = bench.until(Channel::Email, NotificationState::Unknown).await;
    bench.clock.advance(Duration::from_secs(3_600));
    running.stop().await;
    assert!(mail.mails().is_empty());
    assert!(unknown.error.unwrap().contains("may have arrived"));
    let said = bench.said("notification.failed").await;
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].causationid, Some(event.id));
}

#[tokio::test]
async fn after_a_crash_a_mail_that_never_left_is_sent() {
    let mail = MailServer::start(Manner::Accept).await;
    let bench = bench(Settings { smtp: smtp(mail.address), ..Settings::default() }).await;
    bench.left_in_sending(Channel::Email, false).await;
    let running = bench.start();
    bench.until(Channel::Email, NotificationState::Pending).await;
    bench.clock.advance(Duration::from_secs(10));
    bench.until(Channel::Email, NotificationState::Sent).await;
    running.stop().await;
    assert_eq!(mail.mails().len(), 1);
}

#[tokio::test]
async fn reading_a_message_keeps_the_first_reader() {
    for database in TestDatabase::each().await.unwrap() {
        reading_keeps_the_first_reader_on(database).await;
    }
}

async fn reading_keeps_the_first_reader_on(database: TestDatabase) {
    let bench = bench_on(database, Settings::default()).await;
    let event = bench.say(work()).await;
    let tx = bench.bus.records().begin().await.unwrap();
    bench.service().notify(&event, &tx).await.unwrap();
    tx.commit().await.unwrap();
    let id = bench.told(Channel::InApp).await[0].notification_id;
    let first = bench.service().read(id, "ines").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let second = bench.service().read(id, "ravi").await.unwrap();
    assert_eq!(first.read_by.as_deref(), Some("ines"));
    assert_eq!(first, second);
    let missing = bench.service().read(Uuid::now_v7(), "ines").await;
    assert!(matches!(missing, Err(NotificationsError::Unknown { .. })));
}

#[tokio::test]
async fn the_feed_comes_in_pages_and_can_be_filtered() {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use web::{Caller, Role};

    let bench = bench(Settings::default()).await;
    for number in 0..3 {
        let data = json!({"title": format!("incident {number}"), "priority": 2});
        let event = bench.say(testkit::draft("incident.created", &number.to_string(), data)).await;
        let tx = bench.bus.records().begin().await.unwrap();
        bench.service().notify(&event, &tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let (router, _) = crate::module(bench.service()).routes.split_for_parts();
    let send = async |method: &str, path: String, role: Option<Role>| {
        let caller = Caller { name: "ines".to_owned(), role };
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let api = router.clone().layer(axum::Extension(caller));
        let response = api.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let (status, first) = send("GET", "/notifications?limit=2".to_owned(), None).await;
    assert_eq!(status, 200);
    assert_eq!(first["items"][0]["title"], "incident 2");
    let cursor = first["next"].as_str().unwrap();
    let (_, second) = send("GET", format!("/notifications?limit=2&cursor={cursor}"), None).await;
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["items"][0]["title"], "incident 0");
    let (_, none) = send("GET", "/notifications?channel=email".to_owned(), None).await;
    assert!(none["items"].as_array().unwrap().is_empty());
    let (status, _) = send("GET", "/notifications?channel=pigeon".to_owned(), None).await;
    assert!((400..500).contains(&status));

    let id = first["items"][0]["notification_id"].as_str().unwrap();
    let read = format!("/notifications/{id}/read");
    assert_eq!(send("POST", read.clone(), None).await.0, 401);
    assert_eq!(send("POST", read.clone(), Some(Role::Viewer)).await.0, 403);
    let (status, note) = send("POST", read, Some(Role::Operator)).await;
    assert_eq!((status, note["read_by"].as_str()), (200, Some("ines")));
    let unknown = format!("/notifications/{}/read", Uuid::now_v7());
    let (status, problem) = send("POST", unknown, Some(Role::Operator)).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (404, Some("/docs/errors/notification-unknown"))
    );
}
