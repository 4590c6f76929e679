//! One mail, one connection, step by step: only so it is known whether the server had the text.

use std::time::Duration;

use kernel::Timestamp;
use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;

use crate::act;
use crate::decide::Outcome;
use crate::error::NotificationsError;
use crate::model::{SmtpSettings, SmtpTls};
use crate::records::Stored;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For each stretch of the conversation; servers that scan mail answer late.
const TALK_TIMEOUT: Duration = Duration::from_secs(30);
/// Fits within the ten seconds of a graceful stop even when the server hangs.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the mail of `stored`. `hand_over` is called, and must be durable, before the text goes
/// out.
pub(super) async fn send(
    settings: &SmtpSettings,
    stored: &Stored,
    now: Timestamp,
    hand_over: impl AsyncFnOnce() -> Result<(), NotificationsError>,
) -> Outcome {
    let note = &stored.notification;
    let mail =
        act::mail(settings, &stored.recipient, note.notification_id, &note.title, &note.body, now);
    let mail = match mail {
        Ok(mail) => mail,
        Err(error) => return Outcome::Refused { error: format!("no mail can be made: {error}") },
    };
    let mut connection = match within(TALK_TIMEOUT, open(settings)).await {
        Ok(connection) => connection,
        Err(outcome) => return outcome,
    };
    if let Err(outcome) = within(TALK_TIMEOUT, announce(&mut connection, mail.envelope())).await {
        return outcome;
    }
    if let Err(error) = hand_over().await {
        return Outcome::Again { error: error.to_string(), after: None };
    }
    let outcome = transmit(&mut connection, &mail.formatted()).await;
    // The mail is through or not by now; how the connection ends changes nothing.
    drop(tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await);
    outcome
}

async fn open(settings: &SmtpSettings) -> Result<AsyncSmtpConnection, SmtpError> {
    let hello = ClientId::default();
    let tls = || TlsParameters::new(settings.host.clone());
    let implicit = match settings.tls {
        SmtpTls::Tls => Some(tls()?),
        SmtpTls::None | SmtpTls::Starttls => None,
    };
    let address = (settings.host.as_str(), settings.port);
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_TIMEOUT), &hello, implicit, None)
            .await?;
    if settings.tls == SmtpTls::Starttls {
        connection.starttls(tls()?, &hello).await?;
    }
    if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
        let credentials = Credentials::new(username.clone(), password.reveal().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
    }
    Ok(connection)
}

async fn announce(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
) -> Result<(), SmtpError> {
    connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await?;
    for to in envelope.to() {
        connection.command(Rcpt::new(Address::clone(to), Vec::new())).await?;
    }
    Ok(())
}

async fn transmit(connection: &mut AsyncSmtpConnection, text: &[u8]) -> Outcome {
    if let Err(outcome) = within(TALK_TIMEOUT, connection.command(Data)).await {
        return outcome;
    }
    match tokio::time::timeout(TALK_TIMEOUT, connection.message(text)).await {
        Ok(Ok(_)) => Outcome::Sent,
        Ok(Err(error)) if error.status().is_some() => before_acceptance(&error),
        Ok(Err(error)) => Outcome::Unknown { error: explain(&error) },
        Err(_) => Outcome::Unknown { error: "the mail server did not confirm in time".to_owned() },
    }
}

/// Runs a stretch of the conversation in which the server has no text yet.
async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, Outcome> {
    match tokio::time::timeout(limit, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(before_acceptance(&error)),
        Err(_) => Err(Outcome::Again {
            error: "the mail server did not answer in time".to_owned(),
            after: None,
        }),
    }
}

fn before_acceptance(error: &SmtpError) -> Outcome {
    let text = explain(error);
    if error.is_permanent() {
        Outcome::Refused { error: text }
    } else {
        Outcome::Again { error: text, after: None }
    }
}

/// The error with its causes, bounded: the server's own words are in there.
fn explain(error: &SmtpError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.chars().take(300).collect()
}
