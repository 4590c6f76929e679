//! A mail server and a webhook receiver, real enough to be spoken to over TCP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How the mail server treats the next conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Accept,
    /// 550 to the recipient.
    Refuse,
    /// 451 to the recipient.
    Defer,
    /// 552 to the text.
    RefuseText,
    /// Takes the text and hangs up without a word.
    Vanish,
}

#[derive(Clone, Debug)]
pub(super) struct MailServer {
    pub(super) address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    pub(super) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            manner: Arc::new(Mutex::new(manner)),
            mails: Arc::default(),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.converse(stream).await });
            }
        });
        server
    }

    pub(super) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(super) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    async fn converse(&self, stream: TcpStream) {
        let manner = *self.manner.lock().unwrap();
        let mut stream = BufReader::new(stream);
        if stream.write_all(b"220 sink ready\r\n").await.is_err() {
            return;
        }
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let answer = match (verb.as_str(), manner) {
                ("EHLO", _) => "250-sink\r\n250 8BITMIME\r\n",
                ("RCPT", Manner::Refuse) => "550 5.1.1 no such mailbox\r\n",
                ("RCPT", Manner::Defer) => "451 4.7.1 greylisted\r\n",
                ("DATA", _) => "354 go on\r\n",
                ("QUIT", _) => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            if stream.write_all(answer.as_bytes()).await.is_err() || verb == "QUIT" {
                return;
            }
            if verb == "DATA" && !self.take(&mut stream, manner).await {
                return;
            }
        }
    }

    async fn take(&self, stream: &mut BufReader<TcpStream>, manner: Manner) -> bool {
        let mut text = String::new();
        while !text.ends_with("\r\n.\r\n") {
            if stream.read_line(&mut text).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        match manner {
            Manner::RefuseText => stream.write_all(b"552 too large\r\n").await.is_ok(),
            Manner::Vanish => {
                self.mails.lock().unwrap().push(text);
                false
            }
            _ => {
                self.mails.lock().unwrap().push(text);
                stream.write_all(b"250 2.0.0 queued\r\n").await.is_ok()
            }
        }
    }
}

/// One call that the receiver got.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }
}

/// A status, and where a redirect leads.
type Answer = (u16, Option<&'static str>);

/// What the receiver answers to its calls, one after the other, then 204.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    answers: Arc<Mutex<Vec<Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Receiver {
    pub(super) async fn start(answers: &[Answer]) -> (Self, SocketAddr) {
        let receiver = Self::default();
        receiver.answers.lock().unwrap().extend(answers.iter().rev());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/{*path}", post(answer)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (receiver, address)
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn answer(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let body = String::from_utf8(body.to_vec()).unwrap();
    receiver.calls.lock().unwrap().push(Call { headers, body });
    let (status, location) = receiver.answers.lock().unwrap().pop().unwrap_or((204, None));
    let mut headers = HeaderMap::new();
    if let Some(location) = location {
        headers.insert("location", location.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers)
}
