//! One client's connection, from its login to its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::ConnectReturnCode;
use rumqttc::mqttbytes::{QoS, valid_topic};
use sense::mqtt::{Message, Room};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::codec::{self, Answer, Hello, Letter, Request, Version};
use crate::error::Breach;
use crate::hub::{Hub, PeerId, is_said_by_nodes};
use crate::{Broker, Client};

const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A login carries no more than this; nobody is known yet.
const LOGIN_BYTES_MAX: usize = 64 * 1024;
/// A wrong login is answered this late: guessing is slow.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);
/// For clients that promise no sign of life.
const SILENT_MAX: Duration = Duration::from_secs(15 * 60);
/// A client that reads nothing for so long is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection that ends waits for what is on its way to the disk.
const SETTLE: Duration = Duration::from_secs(3);
/// Answers and letters that wait for one client.
const LETTERS_MAX: usize = 1_024;
const READ_BYTES: usize = 16 * 1024;
const WRITE_BYTES: usize = 64 * 1024;
/// Topics of one client of which is remembered whether they are about readings.
const TOPICS_MAX: usize = 1_000;

/// What the acknowledgement of a message needs. Nothing for QoS 0.
pub(crate) type Token = Option<Debt>;

/// An acknowledgement owed to a client.
pub(crate) struct Debt {
    acks: mpsc::Sender<Ack>,
    qos: QoS,
    packet_id: u16,
    permit: OwnedSemaphorePermit,
}

/// An acknowledgement on its way; the place of its message is free once it is written.
struct Ack {
    answer: Answer,
    place: OwnedSemaphorePermit,
}

impl Debt {
    /// Its message is durable. A client that is gone sends it again.
    pub(crate) fn pay(self) {
        let packet_id = self.packet_id;
        let answer = match self.qos {
            QoS::ExactlyOnce => Answer::Received { packet_id },
            _ => Answer::Acknowledged { packet_id, unheard: false },
        };
        // There are as many places as permits: it is never full.
        if self.acks.try_send(Ack { answer, place: self.permit }).is_err() {
            tracing::debug!(packet_id, "client gone before an acknowledgement");
        }
    }
}

/// What every session knows.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) broker: Arc<Broker>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) intake: mpsc::Sender<Message<Token>>,
    pub(crate) room: Room,
    pub(crate) stop: CancellationToken,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<S>(house: House, stream: S, peer: String)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let login = timeout(LOGIN_TIMEOUT, login(&mut reader, &mut buffer)).await;
    let (version, hello) = match login {
        Ok(Ok(login)) => login,
        Ok(Err(breach)) => return note(&house, &peer, &breach),
        Err(_) => return note(&house, &peer, &Breach::NoLogin(LOGIN_TIMEOUT.as_secs())),
    };
    match admit(&house, version, &hello, &mut writer).await {
        Err(breach) => note(&house, &format!("{peer} {}", hello.user), &breach),
        Ok(client) => {
            let session = Session::new(house, version, client, hello);
            session.run(reader, buffer, writer).await;
        }
    }
}

fn note(house: &House, who: &str, breach: &Breach) {
    if breach.is_notable() {
        tracing::warn!(client = who, reason = %breach, "MQTT client refused");
        house.broker.status.trouble(&format!("{who}: {breach}"), house.broker.clock.now());
    }
}

async fn login(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<(Version, Hello), Breach> {
    loop {
        if let Some(version) = codec::version(buffer)?
            && let Some(hello) = codec::hello(version, buffer, LOGIN_BYTES_MAX)?
        {
            return Ok((version, hello));
        }
        fill(reader, buffer).await?;
    }
}

async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<(), Breach> {
    buffer.reserve(READ_BYTES);
    if reader.read_buf(buffer).await? == 0 {
        return Err(Breach::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// Checks user and key.
async fn admit(
    house: &House,
    version: Version,
    hello: &Hello,
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<Client, Breach> {
    let (code, breach) = if hello.wants_dance {
        let breach = Breach::Protocol("an authentication method; only user and key are known");
        (ConnectReturnCode::BadAuthenticationMethod, breach)
    } else {
        match (house.broker.verify)(hello.user.clone(), hello.password.clone()).await {
            Ok(Some(client)) => return Ok(client),
            Ok(None) => {
                house.hub.logins_refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(REFUSAL_PAUSE).await;
                (ConnectReturnCode::BadUserNamePassword, Breach::NotAuthenticated)
            }
            Err(reason) => (ConnectReturnCode::ServerUnavailable, Breach::Unverified(reason)),
        }
    };
    send(version, Answer::Unwelcome(code), writer).await?;
    Err(breach)
}

async fn send(
    version: Version,
    answer: Answer,
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Breach> {
    let mut bytes = BytesMut::new();
    codec::write(version, answer, &mut bytes)?;
    put(&bytes, writer).await
}

async fn put(bytes: &[u8], writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Breach> {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    timeout(WRITE_TIMEOUT, written).await.map_err(|_| Breach::SlowReader)?.map_err(Breach::Io)
}

/// A client that is logged in.
struct Session {
    house: House,
    version: Version,
    client: Client,
    /// User and key, which must stay good.
    login: (String, String),
    id: PeerId,
    assigned_id: Option<String>,
    silent_max: Duration,
    will: Option<Letter>,
    /// One permit per message on its way to the disk.
    inflight: Arc<Semaphore>,
    acks: mpsc::Sender<Ack>,
    letters: mpsc::Sender<Answer>,
    outbox: Option<(mpsc::Receiver<Ack>, mpsc::Receiver<Answer>)>,
    about_readings: HashMap<Bytes, bool>,
    number: u64,
    taken_over: CancellationToken,
}

impl Session {
    fn new(house: House, version: Version, client: Client, hello: Hello) -> Self {
        let inflight_max = usize::from(house.broker.settings.inflight_max);
        let (acks, acks_out) = mpsc::channel(inflight_max);
        let (letters, letters_out) = mpsc::channel(LETTERS_MAX);
        let taken_over = CancellationToken::new();
        // A client that brings no id can never be the same as another.
        let assigned_id = hello.client_id.is_empty().then(|| {
            let now = house.broker.clock.now();
            format!("plainview-{:016x}", kernel::spread((&client.name, now)).to_bits())
        });
        let client_id = assigned_id.clone().unwrap_or(hello.client_id);
        let id = (client.name.clone(), client_id);
        let number = house.hub.join(&id, letters.clone(), taken_over.clone());
        let promised = Duration::from_secs(u64::from(hello.keep_alive_s)).mul_f64(1.5);
        Self {
            version,
            client,
            login: (hello.user, hello.password),
            id,
            assigned_id,
            silent_max: if promised.is_zero() { SILENT_MAX } else { promised },
            will: hello.will,
            inflight: Arc::new(Semaphore::new(inflight_max)),
            acks,
            letters,
            outbox: Some((acks_out, letters_out)),
            about_readings: HashMap::new(),
            number,
            taken_over,
            house,
        }
    }

    async fn run(
        mut self,
        mut reader: impl AsyncRead + Unpin,
        mut buffer: BytesMut,
        mut writer: impl AsyncWrite + Unpin,
    ) {
        let settings = Arc::clone(&self.house.broker.settings);
        let welcome = Answer::Welcome {
            inflight_max: settings.inflight_max,
            packet_bytes_max: settings.packet_bytes_max,
            assigned_id: self.assigned_id.take(),
        };
        let Some((acks, letters)) = self.outbox.take() else { return };
        let (version, quiet) = (self.version, CancellationToken::new());
        let (taken_over, stop) = (self.taken_over.clone(), self.house.stop.clone());
        let unknown = unknown(Arc::clone(&self.house.broker), self.login.clone());
        let ended = {
            let speaking = async {
                send(version, welcome, &mut writer).await?;
                speak(version, acks, letters, &mut writer, &quiet).await
            };
            let listening = async {
                let ended = tokio::select! {
                    biased;
                    () = taken_over.cancelled() => Err(Breach::TakenOver),
                    () = stop.cancelled() => Err(Breach::Stopping),
                    () = unknown => Err(Breach::NotAuthenticated),
                    ended = self.listen(&mut reader, &mut buffer) => ended,
                };
                self.settle().await;
                quiet.cancel();
                ended
            };
            tokio::pin!(speaking, listening);
            tokio::select! {
                ended = &mut listening => {
                    let spoken = timeout(WRITE_TIMEOUT, speaking).await;
                    spoken.map_err(|_| Breach::SlowReader).and_then(|spoken| spoken).and(ended)
                }
                spoken = &mut speaking => spoken,
            }
        };
        self.end(ended, &mut writer).await;
    }

    /// Waits for the acknowledgements that are still owed.
    async fn settle(&self) {
        let all = u32::from(self.house.broker.settings.inflight_max);
        if timeout(SETTLE, self.inflight.acquire_many(all)).await.is_err() {
            tracing::debug!(client = %self.client.name, "ended with messages on their way");
        }
    }

    async fn end(mut self, ended: Result<(), Breach>, writer: &mut (impl AsyncWrite + Unpin)) {
        self.house.hub.leave(&self.id, self.number);
        let Err(breach) = ended else { return };
        let who = format!("{} ({})", self.client.name, self.id.1);
        note(&self.house, &who, &breach);
        if let Some(reason) = breach.reason()
            && send(self.version, Answer::Goodbye(reason), writer).await.is_err()
        {
            tracing::debug!(client = %who, "gone before a farewell");
        }
        if let Some(will) = self.will.take().filter(|_| !matches!(breach, Breach::Stopping)) {
            let will = Letter { qos: QoS::AtMostOnce, ..will };
            if let Err(error) = self.publish(will).await {
                tracing::debug!(client = %who, error = %error, "will not published");
            }
        }
    }

    /// Reads requests until the client leaves.
    async fn listen(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> Result<(), Breach> {
        let max = self.house.broker.settings.packet_bytes_max as usize;
        loop {
            while let Some(request) = codec::request(self.version, buffer, max)? {
                if let Request::Leave { with_will } = request {
                    self.will = self.will.take().filter(|_| with_will);
                    let broken = std::io::ErrorKind::ConnectionAborted;
                    return if with_will { Err(Breach::Io(broken.into())) } else { Ok(()) };
                }
                self.obey(request).await?;
            }
            timeout(self.silent_max, fill(reader, buffer)).await.map_err(|_| Breach::Silent)??;
        }
    }

    async fn obey(&mut self, request: Request) -> Result<(), Breach> {
        match request {
            Request::Publish(letter) => self.publish(letter).await,
            Request::Subscribe { packet_id, wishes } => {
                let (grants, kept) = self.house.hub.subscribe(&self.id, &self.client, wishes);
                self.reply(Answer::Subscribed { packet_id, grants }).await?;
                for letter in kept {
                    self.reply(Answer::Letter(letter)).await?;
                }
                Ok(())
            }
            Request::Unsubscribe { packet_id, filters } => {
                self.house.hub.unsubscribe(&self.id, &filters);
                self.reply(Answer::Unsubscribed { packet_id, count: filters.len() }).await
            }
            Request::Release { packet_id } => self.reply(Answer::Completed { packet_id }).await,
            Request::Ping => self.reply(Answer::Pong).await,
            Request::Leave { .. } | Request::Nothing => Ok(()),
        }
    }

    async fn reply(&self, answer: Answer) -> Result<(), Breach> {
        self.letters.send(answer).await.map_err(|_| Breach::SlowReader)
    }

    /// Passes a message on; one about readings is acknowledged once it is durable.
    async fn publish(&mut self, letter: Letter) -> Result<(), Breach> {
        let topic = std::str::from_utf8(&letter.topic).unwrap_or_default();
        let sound = !topic.is_empty()
            && valid_topic(topic)
            && !topic.starts_with('$')
            && !topic.contains('\0');
        if !sound {
            let shown = String::from_utf8_lossy(&letter.topic).chars().take(100).collect();
            return Err(Breach::Topic(shown));
        }
        let about_readings = self.is_about_readings(&letter.topic);
        if !about_readings && !self.client.may_command && !is_said_by_nodes(topic) {
            self.house.hub.not_allowed.fetch_add(1, Ordering::Relaxed);
            let why = format!("{}: may not publish to `{topic}`", self.client.name);
            self.house.broker.status.trouble(&why, self.house.broker.clock.now());
            return self.acknowledge_now(&letter, true).await;
        }
        let heard = self.house.hub.pass_on(&letter, self.number);
        if !about_readings {
            return self.acknowledge_now(&letter, !heard).await;
        }
        let debt = self.debt(&letter).await?;
        let Letter { topic, payload, .. } = letter;
        let place = Some(self.house.room.take(payload.len()).await);
        let message = Message { topic, payload, retain: false, token: debt, place };
        self.house.intake.send(message).await.map_err(|_| Breach::Stopping)
    }

    async fn debt(&self, letter: &Letter) -> Result<Token, Breach> {
        if letter.qos == QoS::AtMostOnce {
            return Ok(None);
        }
        let permit = Arc::clone(&self.inflight).acquire_owned().await;
        let permit = permit.map_err(|_| Breach::Stopping)?;
        let (qos, packet_id) = (letter.qos, letter.packet_id);
        Ok(Some(Debt { acks: self.acks.clone(), qos, packet_id, permit }))
    }

    /// For messages that nobody stores.
    async fn acknowledge_now(&self, letter: &Letter, unheard: bool) -> Result<(), Breach> {
        let packet_id = letter.packet_id;
        match letter.qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.reply(Answer::Acknowledged { packet_id, unheard }).await,
            QoS::ExactlyOnce => self.reply(Answer::Received { packet_id }).await,
        }
    }

    fn is_about_readings(&mut self, topic: &Bytes) -> bool {
        if let Some(known) = self.about_readings.get(topic) {
            return *known;
        }
        let text = std::str::from_utf8(topic).unwrap_or_default();
        let covered = self.house.broker.mapping.covers(text);
        if self.about_readings.len() >= TOPICS_MAX {
            self.about_readings.clear();
        }
        self.about_readings.insert(Bytes::copy_from_slice(topic), covered);
        covered
    }
}

/// Returns when a key is no longer good. While that cannot be told, it is.
async fn unknown(broker: Arc<Broker>, (user, password): (String, String)) {
    loop {
        tokio::time::sleep(broker.verify_every).await;
        if let Ok(None) = (broker.verify)(user.clone(), password.clone()).await {
            return;
        }
    }
}

/// Writes what waits, several packets at once, until it is told to be quiet and nothing waits.
async fn speak(
    version: Version,
    mut acks: mpsc::Receiver<Ack>,
    mut letters: mpsc::Receiver<Answer>,
    writer: &mut (impl AsyncWrite + Unpin),
    quiet: &CancellationToken,
) -> Result<(), Breach> {
    let mut bytes = BytesMut::with_capacity(WRITE_BYTES);
    let mut permits = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(ack) = acks.recv() => {
                codec::write(version, ack.answer, &mut bytes)?;
                permits.push(ack.place);
            }
            Some(letter) = letters.recv() => codec::write(version, letter, &mut bytes)?,
            () = quiet.cancelled() => return Ok(()),
        }
        while bytes.len() < WRITE_BYTES {
            if let Ok(ack) = acks.try_recv() {
                codec::write(version, ack.answer, &mut bytes)?;
                permits.push(ack.place);
            } else if let Ok(letter) = letters.try_recv() {
                codec::write(version, letter, &mut bytes)?;
            } else {
                break;
            }
        }
        put(&bytes, writer).await?;
        bytes.clear();
        permits.clear();
    }
}
