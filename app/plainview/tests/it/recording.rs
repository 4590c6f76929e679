//! A recording of a real machine goes in; its failure is noticed, a person approves, the work and
//! the messages exist.

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Plainview, Setup};
use crate::receivers::{HookSink, SmtpSink};

const SECRET: &str = "whsec_cGxhaW52aWV3LXRlc3RzLXNpZ24td2l0aC10aGlz";
const SENSOR: &str = "nab/machine/temperature";
const READINGS: u64 = 22_695;

/// The labelled windows of the recording (NAB `labels/combined_windows.json`), UTC.
const WINDOWS: &[(&str, &str)] = &[
    ("2013-12-10T06:25:00Z", "2013-12-12T05:35:00Z"),
    ("2013-12-15T17:50:00Z", "2013-12-17T17:00:00Z"),
    ("2014-01-27T14:20:00Z", "2014-01-29T13:30:00Z"),
    ("2014-02-07T14:55:00Z", "2014-02-09T14:05:00Z"),
];

/// A Plainview into which the recording was replayed, with a decision that waits.
pub(crate) struct Journey {
    pub(crate) plainview: Plainview,
    pub(crate) decision: Value,
    mail: SmtpSink,
    hook: HookSink,
    correlation: String,
}

impl Journey {
    /// Replays the recording at full speed and waits for what follows from it by itself.
    pub(crate) async fn begin() -> Self {
        let mail = SmtpSink::start().await;
        let hook = HookSink::start().await;
        let settings = format!(
            "[notifications]\nallow_private = true\n[notifications.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             to = [\"planner@plant.example\"]\n[[notifications.webhooks]]\nurl = \"{}\"\n\
             secret = \"{SECRET}\"\n",
            mail.port, hook.url
        );
        let plainview = Setup::default().file(&settings).start().await;
        let correlation = replay(&plainview);
        let decision = plainview
            .item("/api/v1/decisions/pending", |decision| decision["sensor"] == SENSOR)
            .await;
        let journey = Self { plainview, decision, mail, hook, correlation };
        journey.check_anomalies().await;
        journey.check_incident().await;
        journey
    }

    async fn check_anomalies(&self) {
        let path = format!("/api/v1/anomalies?sensor={SENSOR}&limit=1000");
        let anomalies = self.plainview.get(&path).await;
        let starts: Vec<&str> = anomalies["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|anomaly| anomaly["started_at"].as_str().unwrap())
            .collect();
        let labelled = |at: &str| WINDOWS.iter().any(|(from, to)| *from <= at && at <= *to);
        assert!(starts.iter().any(|at| labelled(at)), "none in a labelled window: {starts:?}");
    }

    async fn check_incident(&self) {
        let incident = self
            .plainview
            .item("/api/v1/incidents", |incident| incident["asset"] == "nab/machine")
            .await;
        let path = format!("/api/v1/incidents/{}", incident["incident_id"].as_str().unwrap());
        let incident = self
            .plainview
            .until(DEADLINE, "a timeline with alarm, prediction and decision", async |it| {
                let incident = it.get(&path).await;
                let kinds: Vec<&str> = incident["timeline"]
                    .as_array()?
                    .iter()
                    .filter_map(|entry| entry["kind"].as_str())
                    .collect();
                let wanted = ["alarm", "prediction", "decision"];
                wanted.iter().all(|kind| kinds.contains(kind)).then_some(incident.clone())
            })
            .await;
        assert!(!incident["alerts"].as_array().unwrap().is_empty());
    }

    pub(crate) fn decision_id(&self) -> &str {
        self.decision["decision_id"].as_str().unwrap()
    }

    /// What must follow once `approver` has approved.
    pub(crate) async fn check_outcome(&self, approver: &str) {
        let work = self
            .plainview
            .item("/api/v1/maintenance/scheduled", |work| {
                work["decision_id"] == self.decision["decision_id"]
            })
            .await;
        assert_eq!(work["approved_by"], approver);
        let signed = self
            .plainview
            .until(DEADLINE, "the webhook of the scheduled work", async |_| {
                let mut hooks = self.hook.hooks().into_iter();
                hooks.find(|hook| hook.event()["type"] == "maintenance.scheduled")
            })
            .await;
        assert!(signed.is_signed_with(SECRET));
        assert!(!signed.is_signed_with("whsec_b3RoZXI="));
        assert_eq!(signed.event()["correlationid"], self.correlation);
        let title = work["title"].as_str().unwrap();
        self.plainview
            .until(DEADLINE, "the mail of the scheduled work", async |_| {
                let mails = self.mail.mails();
                mails.iter().any(|mail| mail.contains("planner@plant.example")).then_some(())
            })
            .await;
        assert!(!title.is_empty());
        self.check_correlation().await;
    }

    /// One correlation id runs through all of it.
    async fn check_correlation(&self) {
        for kind in [
            "anomaly.detected",
            "incident.created",
            "maintenance.predicted",
            "decision.requested",
            "decision.submitted",
            "maintenance.scheduled",
            "notification.sent",
        ] {
            let query = format!("types={kind}&correlation_id={}", self.correlation);
            self.plainview
                .until(DEADLINE, kind, async |it| {
                    (!it.events(&query).await.is_empty()).then_some(())
                })
                .await;
        }
    }
}

/// Replays the recording with the command a person would type; its correlation id.
fn replay(plainview: &Plainview) -> String {
    let output = plainview
        .command(&["replay", "machine_temperature_system_failure", "--json", "--url"])
        .args([&plainview.base, "--key", &plainview.key])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["accepted"], READINGS);
    said["correlation_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_failure_becomes_an_approved_work_order() {
    let journey = Journey::begin().await;
    let answer = json!({
        "decision_id": journey.decision_id(),
        "decision": "approve",
        "reason": "the machine failed like this before",
    });
    let (status, said) = journey.plainview.post("/api/v1/decisions/submit", &answer).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["answered_by"], "tester");
    journey.check_outcome("tester").await;

    let (status, said) = journey.plainview.post("/api/v1/decisions/submit", &answer).await;
    assert_eq!(status, 409, "a decision is answered once: {said}");
}
