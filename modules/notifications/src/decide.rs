//! Who is told, by which way, when; and what follows a failed attempt.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use kernel::{Backoff, Timestamp};

use crate::model::{Channel, NotificationState, QuietHours, Settings, Severity};

/// Attempts before a message is given up; with the backoff below about a quarter of an hour.
pub(crate) const ATTEMPTS_MAX: u32 = 8;
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(5), max: Duration::from_secs(5 * 60) };
/// A receiver may ask for more patience, up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// What people are told of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matter {
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) body: String,
    /// Two matters with the same key are told once.
    pub(crate) dedupe: String,
}

/// One message to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) channel: Channel,
    pub(crate) to: String,
    pub(crate) state: NotificationState,
    pub(crate) due_at: Timestamp,
    pub(crate) dedupe: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// The receiver certainly does not have it; another attempt may help.
    Again {
        error: String,
        after: Option<Duration>,
    },
    /// The receiver certainly does not have it and will not take it.
    Refused {
        error: String,
    },
    /// The receiver may have it.
    Unknown {
        error: String,
    },
}

/// What the record says after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) state: NotificationState,
    pub(crate) error: Option<String>,
    pub(crate) due_at: Timestamp,
}

/// Every message that `matter` asks for.
pub(crate) fn route(
    matter: &Matter,
    event_kind: &str,
    settings: &Settings,
    now: Timestamp,
) -> Vec<Plan> {
    let plan = |channel: Channel, to: &str, due_at: Timestamp| Plan {
        channel,
        to: to.to_owned(),
        state: match channel {
            Channel::InApp => NotificationState::Sent,
            Channel::Email | Channel::Webhook => NotificationState::Pending,
        },
        due_at,
        dedupe: format!("{}:{}:{to}", matter.dedupe, channel.as_str()),
    };
    let mut plans = vec![plan(Channel::InApp, "everyone", now)];
    if let Some(smtp) = &settings.smtp
        && matter.severity >= settings.email_severity_min
    {
        let due_at = mail_time(matter.severity, settings.quiet_hours, now);
        plans.extend(smtp.to.iter().map(|to| plan(Channel::Email, to, due_at)));
    }
    let wanted = settings
        .webhooks
        .iter()
        .filter(|hook| hook.events.is_empty() || hook.events.iter().any(|kind| kind == event_kind));
    plans.extend(wanted.map(|hook| plan(Channel::Webhook, &hook.url, now)));
    plans
}

/// Programs do not sleep, so only mail of low severity waits for the morning.
fn mail_time(severity: Severity, quiet: Option<QuietHours>, now: Timestamp) -> Timestamp {
    match quiet {
        Some(quiet) if severity == Severity::Low => end_of_quiet(quiet, now),
        _ => now,
    }
}

fn end_of_quiet(quiet: QuietHours, now: Timestamp) -> Timestamp {
    let (from, to) = (i64::from(quiet.from % 24), i64::from(quiet.to % 24));
    let in_day = now.as_micros().rem_euclid(DAY_MICROS);
    let hour = in_day / HOUR_MICROS;
    let inside = if from <= to { (from..to).contains(&hour) } else { hour >= from || hour < to };
    if !inside {
        return now;
    }
    let midnight = now.as_micros() - in_day;
    let end = midnight + to * HOUR_MICROS;
    Timestamp::from_micros(if end > now.as_micros() { end } else { end + DAY_MICROS })
}

/// What follows from `outcome` of attempt number `attempts`. `random` lies in `0.0..1.0`.
pub(crate) fn settle(outcome: Outcome, attempts: u32, random: f64, now: Timestamp) -> Settled {
    let ended = |state, error| Settled { state, error, due_at: now };
    match outcome {
        Outcome::Sent => ended(NotificationState::Sent, None),
        Outcome::Refused { error } => ended(NotificationState::Failed, Some(error)),
        Outcome::Unknown { error } => ended(NotificationState::Unknown, Some(error)),
        Outcome::Again { error, .. } if attempts >= ATTEMPTS_MAX => {
            ended(NotificationState::Failed, Some(format!("given up after {attempts}: {error}")))
        }
        Outcome::Again { error, after } => {
            let asked = after.unwrap_or_default().min(RETRY_AFTER_MAX);
            let pause = BACKOFF.pause(attempts, random).max(asked);
            Settled {
                state: NotificationState::Pending,
                error: Some(error),
                due_at: now.plus(pause),
            }
        }
    }
}

/// What becomes of a message that was being sent when the process died. A webhook's receiver
/// knows the id again and drops a second copy; a mail server does not, so a mail whose text may
/// have gone out is not sent again.
pub(crate) fn recover(channel: Channel, handed_over: bool) -> Outcome {
    match channel {
        Channel::Email if handed_over => Outcome::Unknown {
            error: "stopped while the mail server was taking it; it may have arrived".to_owned(),
        },
        Channel::Email | Channel::Webhook | Channel::InApp => {
            Outcome::Again { error: "stopped before it was handed over".to_owned(), after: None }
        }
    }
}

/// Why a webhook may not connect to `address`; `None` when it may.
pub(crate) fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => forbidden_v4(v4),
            None => forbidden_v6(v6),
        },
    }
}

fn forbidden_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    if ip.is_loopback() {
        Some("loopback")
    } else if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
        Some("private")
    } else if ip.is_link_local() {
        Some("link-local")
    } else if a == 0
        || a >= 224
        || ip.is_documentation()
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
    {
        Some("special-purpose")
    } else {
        None
    }
}

fn forbidden_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let first = ip.segments()[0];
    if ip.is_loopback() {
        Some("loopback")
    } else if first & 0xfe00 == 0xfc00 {
        Some("private")
    } else if first & 0xffc0 == 0xfe80 {
        Some("link-local")
    } else if first & 0xe000 != 0x2000
        || (first == 0x2001 && (ip.segments()[1] < 0x0200 || ip.segments()[1] == 0x0db8))
    {
        // Only global unicast is left, without protocol assignments and documentation.
        Some("special-purpose")
    } else {
        None
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address: what is really reached.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let pair = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let compatible = s[..6] == [0; 6] && !ip.is_loopback() && !ip.is_unspecified();
    let mapped = s[..6] == [0, 0, 0, 0, 0, 0xffff];
    let nat64 = s[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if compatible || mapped || nat64 {
        Some(pair(s[6], s[7]))
    } else if s[0] == 0x2002 {
        Some(pair(s[1], s[2]))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Secret, SmtpSettings, SmtpTls, WebhookSettings};

    fn matter(severity: Severity) -> Matter {
        Matter { severity, title: "t".into(), body: "b".into(), dedupe: "k".into() }
    }

    fn settings() -> Settings {
        Settings {
            smtp: Some(SmtpSettings {
                host: "mail.example".into(),
                port: 25,
                from: "plainview@example.org".into(),
                to: vec!["shift@example.org".into()],
                tls: SmtpTls::None,
                username: None,
                password: None,
            }),
            webhooks: vec![WebhookSettings {
                url: "https://hooks.example/x".into(),
                secret: Secret::new("whsec_"),
                events: vec!["incident.created".into()],
            }],
            ..Settings::default()
        }
    }

    fn channels(severity: Severity, kind: &str) -> Vec<Channel> {
        let now = Timestamp::from_secs(0);
        route(&matter(severity), kind, &settings(), now).into_iter().map(|p| p.channel).collect()
    }

    #[test]
    fn each_channel_has_its_rule() {
        use Channel::{Email, InApp, Webhook};
        assert_eq!(channels(Severity::High, "incident.created"), [InApp, Email, Webhook]);
        assert_eq!(channels(Severity::High, "agent.failed"), [InApp, Email]);
        assert_eq!(channels(Severity::Low, "agent.failed"), [InApp]);
    }

    #[test]
    fn low_mail_waits_for_the_morning_and_high_mail_does_not() {
        let quiet = Some(QuietHours { from: 22, to: 6 });
        let hour = |h: i64| Timestamp::from_secs(10 * 86_400 + h * 3600 + 60);
        let six = |day: i64| Timestamp::from_secs(day * 86_400 + 6 * 3600);
        assert_eq!(mail_time(Severity::Low, quiet, hour(23)), six(11));
        assert_eq!(mail_time(Severity::Low, quiet, hour(2)), six(10));
        assert_eq!(mail_time(Severity::Low, quiet, hour(6)), hour(6));
        assert_eq!(mail_time(Severity::Medium, quiet, hour(23)), hour(23));
    }

    #[test]
    fn attempts_back_off_and_end() {
        let now = Timestamp::from_secs(100);
        let again = || Outcome::Again { error: "503".into(), after: None };
        let first = settle(again(), 1, 1.0, now);
        assert_eq!(first.state, NotificationState::Pending);
        assert_eq!(first.due_at, now.plus(Duration::from_secs(5)));
        assert_eq!(settle(again(), ATTEMPTS_MAX, 1.0, now).state, NotificationState::Failed);
        let patient = Outcome::Again { error: "429".into(), after: Some(Duration::from_secs(120)) };
        assert_eq!(settle(patient, 1, 0.0, now).due_at, now.plus(Duration::from_secs(120)));
    }

    #[test]
    fn a_crash_repeats_only_what_cannot_double() {
        assert!(matches!(recover(Channel::Email, true), Outcome::Unknown { .. }));
        assert!(matches!(recover(Channel::Email, false), Outcome::Again { .. }));
        assert!(matches!(recover(Channel::Webhook, true), Outcome::Again { .. }));
    }

    #[test]
    fn inner_addresses_are_refused_in_every_disguise() {
        let refused = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ];
        for text in refused {
            let ip: IpAddr = text.parse().unwrap();
            assert!(forbidden(ip).is_some(), "{text} must be refused");
        }
        for text in ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"] {
            assert_eq!(forbidden(text.parse().unwrap()), None, "{text} must be allowed");
        }
    }
}
