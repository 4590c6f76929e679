//! What goes over the wire: the mail and the signed webhook request.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use kernel::Timestamp;
use lettre::Message;
use lettre::message::header::ContentType;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::{Secret, SmtpSettings};

/// Key lengths that Standard Webhooks allows, in bytes.
const KEY_BYTES_MIN: usize = 24;
const KEY_BYTES_MAX: usize = 64;

/// A webhook request as Standard Webhooks says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedRequest {
    pub(crate) headers: [(&'static str, String); 3],
    pub(crate) body: String,
}

/// The bytes of a `whsec_` key; `None` when it is none or of a length that is not allowed.
pub(crate) fn signing_key(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.reveal().strip_prefix("whsec_")?;
    let key = STANDARD.decode(text).ok()?;
    (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()).then_some(key)
}

/// Signs `body` for the message `id`. The id stays the same over all attempts, the time does not.
pub(crate) fn sign(
    secret: &Secret,
    id: Uuid,
    now: Timestamp,
    body: String,
) -> Option<SignedRequest> {
    let key = signing_key(secret)?;
    let seconds = now.as_micros().div_euclid(1_000_000);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let headers = [
        ("webhook-id", id.to_string()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{signature}")),
    ];
    Some(SignedRequest { headers, body })
}

/// The mail of one notification. Its Message-ID is the same over all attempts.
///
/// # Errors
/// When an address cannot be read.
pub(crate) fn mail(
    smtp: &SmtpSettings,
    to: &str,
    id: Uuid,
    title: &str,
    body: &str,
    now: Timestamp,
) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
    let from: lettre::message::Mailbox = smtp.from.parse()?;
    let message_id = format!("<{id}@{}>", from.email.domain());
    let micros = u64::try_from(now.as_micros()).unwrap_or(0);
    let message = Message::builder()
        .from(from)
        .to(to.parse()?)
        .subject(format!("[Plainview] {title}"))
        .message_id(Some(message_id))
        .date(UNIX_EPOCH + Duration::from_micros(micros))
        .header(ContentType::TEXT_PLAIN)
        .body(format!("{title}\n\n{body}\n"))?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standard_says() {
        // The example of the Standard Webhooks specification, with its id as a UUID's place taken.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let id = Uuid::nil();
        let request =
            sign(&secret, id, Timestamp::from_secs(1_614_265_330), "{\"test\": 2432232314}".into())
                .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(
            &STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        )
        .unwrap();
        mac.update(b"00000000-0000-0000-0000-000000000000.1614265330.{\"test\": 2432232314}");
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(request.headers[2].1, expected);
        assert_eq!(request.headers[1].1, "1614265330");
    }

    #[test]
    fn weak_or_foreign_keys_sign_nothing() {
        assert!(signing_key(&Secret::new("whsec_c2hvcnQ=")).is_none());
        assert!(signing_key(&Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).is_none());
    }

    #[test]
    fn a_mail_keeps_its_message_id() {
        let smtp = SmtpSettings {
            host: "localhost".into(),
            port: 25,
            from: "Plainview <plainview@example.org>".into(),
            to: Vec::new(),
            tls: crate::SmtpTls::None,
            username: None,
            password: None,
        };
        let id = Uuid::from_u128(7);
        let text = |now| {
            let mail = mail(&smtp, "a@example.org", id, "Größe", "4 mm/s", now).unwrap();
            String::from_utf8(mail.formatted()).unwrap()
        };
        let line = format!("Message-ID: <{id}@example.org>");
        assert!(text(Timestamp::from_secs(1)).contains(&line));
        assert!(text(Timestamp::from_secs(99)).contains(&line));
        assert!(text(Timestamp::from_secs(1)).is_ascii());
    }
}
