//! Parameters as Prometheus reads them: from the query string and from a form.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use kernel::Timestamp;
use promql::{Grid, PromqlError};
use web::RawBody;

use super::answer::Fault;
use crate::service::prometheus::TIMEOUT_MAX;

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut pairs = Vec::new();
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with(FORM));
        if request.method() == Method::POST && is_form {
            let RawBody(body) =
                RawBody::from_request(request, state).await.map_err(Fault::Problem)?;
            pairs = read(&body)?;
        }
        // A form comes first, as in Go's `FormValue`.
        pairs.append(&mut read(query.as_bytes())?);
        Ok(Self(pairs))
    }
}

fn read(text: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    serde_html_form::from_bytes(text).map_err(|error| Fault::bad_data(error.to_string()))
}

impl Asked {
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The first value that says something.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    pub(super) fn wanted(&self, name: &str) -> Result<&str, Fault> {
        self.one(name)
            .ok_or_else(|| Fault::bad_data(format!("invalid parameter \"{name}\": it is missing")))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Fault> {
        let wrong = || invalid(name, "a whole number is needed");
        self.one(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Fault> {
        let parse = |text| {
            parse_time(text)
                .ok_or_else(|| invalid(name, format!("cannot parse {text:?} to a valid timestamp")))
        };
        self.one(name).map(parse).transpose()
    }

    pub(super) fn timeout(&self) -> Result<Duration, Fault> {
        let Some(text) = self.one("timeout") else { return Ok(TIMEOUT_MAX) };
        let millis = parse_duration(text).and_then(|millis| u64::try_from(millis).ok());
        let millis = millis.ok_or_else(|| no_duration("timeout", text))?;
        Ok(Duration::from_millis(millis))
    }

    pub(super) fn grid(&self) -> Result<Grid, Fault> {
        let time = |name: &str| -> Result<i64, Fault> {
            self.wanted(name)?;
            Ok(self.time(name)?.unwrap_or_default())
        };
        let (start, end) = (time("start")?, time("end")?);
        let step = self.wanted("step")?;
        let step = parse_duration(step).ok_or_else(|| no_duration("step", step))?;
        Grid::range(start, end, step).map_err(|error: PromqlError| match end < start {
            true => invalid("end", error.to_string()),
            false => Fault::bad_data(error.to_string()),
        })
    }
}

fn invalid(name: &str, reason: impl std::fmt::Display) -> Fault {
    Fault::bad_data(format!("invalid parameter \"{name}\": {reason}"))
}

fn no_duration(name: &str, text: &str) -> Fault {
    invalid(name, format!("cannot parse {text:?} to a valid duration"))
}

/// Milliseconds of Unix seconds or of RFC 3339.
fn parse_time(text: &str) -> Option<i64> {
    let bounds = (Timestamp::MIN.as_micros() / 1_000, Timestamp::MAX.as_micros() / 1_000);
    if let Ok(seconds) = text.parse::<f64>() {
        // Prometheus rounds the fraction to milliseconds.
        let millis = (seconds * 1_000.0).round();
        let is_time = seconds.is_finite() && millis.abs() < 9e15;
        return is_time.then_some((millis as i64).clamp(bounds.0, bounds.1));
    }
    let time: Timestamp = text.parse().ok()?;
    Some(time.as_micros().div_euclid(1_000).clamp(bounds.0, bounds.1))
}

/// Milliseconds of seconds or of a duration such as `1h30m`.
fn parse_duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = seconds * 1_000.0;
        return (millis.is_finite() && millis.abs() < 9e15).then_some(millis as i64);
    }
    let (mut rest, mut millis) = (text, 0_i64);
    // From the greatest unit down, each at most once.
    let units = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let mut units = units.iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let name = &after[..after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len())];
        let (_, unit) = units.by_ref().find(|(own, _)| *own == name)?;
        millis = millis.checked_add(count.checked_mul(*unit)?)?;
        rest = &after[name.len()..];
    }
    (!text.is_empty()).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unix_seconds_or_rfc_3339() {
        for (text, wanted) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.1234", Some(1_700_000_000_123)),
            ("-1.5", Some(-1_500)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("2023-11-14T23:13:20.5+01:00", Some(1_700_000_000_500)),
            ("yesterday", None),
            ("NaN", None),
            ("1e300", None),
        ] {
            assert_eq!(parse_time(text), wanted, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_units_from_great_to_small() {
        for (text, wanted) in [
            ("15", Some(15_000)),
            ("0.25", Some(250)),
            ("1h30m", Some(5_400_000)),
            ("1d2ms", Some(86_400_002)),
            ("5m1h", None),
            ("5", Some(5_000)),
            ("m", None),
            ("5x", None),
            ("1e300", None),
            ("99999999999999999y", None),
        ] {
            assert_eq!(parse_duration(text), wanted, "{text}");
        }
    }
}
