//! As much of MQTT 3.1.1 as a publisher and a subscriber of QoS 1 need. Messages are encoded
//! before the clock starts: what a load generator spends is taken from the servers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// A broker that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 256 * 1024;
const CONNACK: u8 = 0x20;
const PUBLISH_QOS1: u8 = 0x32;
const SUBACK: u8 = 0x90;
const PUBACK_BYTES: usize = 4;

/// One client of a broker.
pub(super) struct Client {
    stream: TcpStream,
}

/// Publishes of QoS 1, one after another, and where each of them ends.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    pub(super) fn add(&mut self, topic: &str, payload: &str) {
        let packet_id = (self.ends.len() % usize::from(u16::MAX)) as u16 + 1;
        let length = 2 + topic.len() + 2 + payload.len();
        self.bytes.push(PUBLISH_QOS1);
        put_length(&mut self.bytes, length);
        put_text(&mut self.bytes, topic);
        self.bytes.extend_from_slice(&packet_id.to_be_bytes());
        self.bytes.extend_from_slice(payload.as_bytes());
        self.ends.push(self.bytes.len());
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    fn end(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.ends[last])
    }
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let digit = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            return;
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// How long the first packet in `bytes` is, and where what follows its head begins; `None` while
/// that cannot be said.
fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for place in 0..4 {
        let digit = *bytes.get(1 + place)?;
        length |= usize::from(digit & 0x7f) << (7 * place);
        if digit & 0x80 == 0 {
            return Some((2 + place, 2 + place + length));
        }
    }
    None
}

impl Client {
    /// Connects; `login` is user and password.
    pub(super) fn open(port: u16, id: &str, login: Option<(&str, &str)>) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let clean_session = 0x02;
        let flags = if login.is_some() { 0xc0 | clean_session } else { clean_session };
        let mut body = Vec::new();
        put_text(&mut body, "MQTT");
        body.extend_from_slice(&[4, flags, 0, 0]);
        put_text(&mut body, id);
        if let Some((user, password)) = login {
            put_text(&mut body, user);
            put_text(&mut body, password);
        }
        send(&mut stream, 0x10, &body)?;
        let mut welcome = [0; 4];
        stream.read_exact(&mut welcome)?;
        ensure!(
            welcome[0] == CONNACK && welcome[3] == 0,
            "the broker refuses the login: {}",
            welcome[3]
        );
        Ok(Self { stream })
    }

    pub(super) fn subscribe(&mut self, topic: &str) -> anyhow::Result<()> {
        let mut body = vec![0, 1];
        put_text(&mut body, topic);
        body.push(1);
        send(&mut self.stream, 0x82, &body)?;
        let mut granted = [0; 5];
        self.stream.read_exact(&mut granted)?;
        ensure!(granted[0] == SUBACK && granted[4] == 1, "the broker refuses {topic}");
        Ok(())
    }

    /// Publishes all, with at most `inflight` unacknowledged; returns when all are acknowledged.
    pub(super) fn publish(&mut self, messages: &Messages, inflight: usize) -> anyhow::Result<()> {
        let (wanted, mut sent, mut heard) = (messages.ends.len(), 0, 0);
        let mut answer = vec![0; BUFFER_BYTES];
        while heard < wanted * PUBACK_BYTES {
            let until = wanted.min(heard / PUBACK_BYTES + inflight);
            if until > sent {
                self.stream.write_all(&messages.bytes[messages.end(sent)..messages.end(until)])?;
                sent = until;
            }
            // Nothing but acknowledgements comes, and all of them are equally long.
            let read = self.stream.read(&mut answer).context("no acknowledgement")?;
            ensure!(read > 0, "the broker ended the connection");
            heard += read;
        }
        Ok(())
    }

    /// Takes and acknowledges `wanted` messages; the instant of the last one.
    pub(super) fn take(&mut self, wanted: usize) -> anyhow::Result<Instant> {
        let (mut held, mut taken) = (Vec::new(), 0);
        let (mut bytes, mut acks) = (vec![0; BUFFER_BYTES], Vec::new());
        while taken < wanted {
            let read = self.stream.read(&mut bytes).context("no message")?;
            ensure!(read > 0, "the broker ended the connection");
            held.extend_from_slice(&bytes[..read]);
            let mut at = 0;
            while let Some((head, end)) = extent(&held[at..]) {
                let Some(packet) = held.get(at..at + end) else { break };
                if packet[0] & 0xf6 != PUBLISH_QOS1 {
                    bail!("a packet of type {} among the messages", packet[0] >> 4);
                }
                let topic = usize::from(u16::from_be_bytes([packet[head], packet[head + 1]]));
                let id = head + 2 + topic;
                acks.extend_from_slice(&[0x40, 2, packet[id], packet[id + 1]]);
                taken += 1;
                at += end;
            }
            held.drain(..at);
            self.stream.write_all(&acks)?;
            acks.clear();
        }
        Ok(Instant::now())
    }
}

fn send(stream: &mut TcpStream, kind: u8, body: &[u8]) -> anyhow::Result<()> {
    let mut packet = vec![kind];
    put_length(&mut packet, body.len());
    packet.extend_from_slice(body);
    Ok(stream.write_all(&packet)?)
}
