//! Publishes single readings to an MQTT broker with QoS 1, as fast as its acknowledgements allow,
//! and says how fast that was.
//!
//! `mqtt_load HOST:PORT [messages=100000] [sensors=1000] [connections=2] [inflight=1000]
//! [payload=json|plain] [prefix=plainview/bench] [user=…] [password=…] [start=EPOCH_MS]`
//!
//! It prints one line of JSON. A message is acknowledged by the broker: when that is Mosquitto,
//! the readings are not stored by then; when it is the broker inside Plainview, they are.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rumqttc_v4::mqttbytes::QoS;
use rumqttc_v4::mqttbytes::v4::{Connect, Packet, Publish};

/// A broker that acknowledges nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const PUBACK_BYTES: usize = 4;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
struct Plan {
    address: String,
    messages: u64,
    sensors: u64,
    connections: u64,
    inflight: u64,
    plain: bool,
    prefix: String,
    user: String,
    password: String,
    start_ms: u64,
}

impl Plan {
    fn read() -> Result<Self, Failure> {
        let mut words = std::env::args().skip(1);
        let address = words.next().ok_or("the first word is HOST:PORT")?;
        let pairs: HashMap<String, String> = words
            .map(|word| {
                let (name, value) = word.split_once('=').ok_or("a setting is name=value")?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Failure>>()?;
        let text = |name: &str, default: &str| {
            pairs.get(name).cloned().unwrap_or_else(|| default.to_owned())
        };
        let number = |name: &str, default: u64| -> Result<u64, Failure> {
            pairs.get(name).map_or(Ok(default), |value| Ok(value.parse()?))
        };
        Ok(Self {
            address,
            messages: number("messages", 100_000)?,
            sensors: number("sensors", 1_000)?.max(1),
            connections: number("connections", 2)?.max(1),
            inflight: number("inflight", 1_000)?.clamp(1, 60_000),
            plain: text("payload", "json") == "plain",
            prefix: text("prefix", "plainview/bench"),
            user: text("user", ""),
            password: text("password", ""),
            start_ms: number("start", 1_767_225_600_000)?,
        })
    }

    /// The message with this number; every sensor gets one reading per second.
    fn message(&self, number: u64, packet_id: u16) -> Packet {
        let (sensor, turn) = (number % self.sensors, number / self.sensors);
        let value = 20.0 + (sensor % 100) as f64 + (turn % 600) as f64 / 100.0;
        let at = self.start_ms + turn * 1_000;
        let payload = if self.plain {
            format!("{value:.2}")
        } else {
            format!("{{\"value\":{value:.2},\"timestamp\":{at}}}")
        };
        Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Bytes::from(format!("{}/asset-{sensor}/temperature", self.prefix)),
            pkid: packet_id,
            payload: Bytes::from(payload),
        })
    }
}

fn main() -> Result<(), Failure> {
    let plan = Plan::read()?;
    let begun = Instant::now();
    let threads: Vec<_> = (0..plan.connections)
        .map(|own| {
            let plan = plan.clone();
            std::thread::spawn(move || publish(&plan, own))
        })
        .collect();
    let mut acknowledged = 0;
    for thread in threads {
        acknowledged += thread.join().map_err(|_| "a publisher panicked")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{{\"acknowledged\":{acknowledged},\"seconds\":{seconds:.3},\"per_s\":{:.0},\
         \"connections\":{},\"inflight\":{},\"sensors\":{}}}",
        acknowledged as f64 / seconds,
        plan.connections,
        plan.inflight,
        plan.sensors
    );
    Ok(())
}

/// Publishes every message whose number is `own` modulo the connections.
fn publish(plan: &Plan, own: u64) -> Result<u64, Failure> {
    let mut stream = connect(plan, own)?;
    let (mut sent, mut acknowledged, mut rest) = (0, 0, 0);
    let wanted = (own..plan.messages).step_by(plan.connections as usize).count() as u64;
    let (mut out, mut answer) = (BytesMut::new(), vec![0; 64 * 1024]);
    while acknowledged < wanted {
        out.clear();
        while sent < wanted && sent - acknowledged < plan.inflight {
            let number = own + sent * plan.connections;
            let packet_id = (sent % u64::from(u16::MAX)) as u16 + 1;
            plan.message(number, packet_id).write(&mut out, usize::MAX)?;
            sent += 1;
        }
        stream.write_all(&out)?;
        let read = stream.read(&mut answer)?;
        if read == 0 {
            return Err("the broker ended the connection".into());
        }
        // Nothing but acknowledgements comes, and all of them are equally long.
        acknowledged += ((rest + read) / PUBACK_BYTES) as u64;
        rest = (rest + read) % PUBACK_BYTES;
    }
    Ok(acknowledged)
}

fn connect(plan: &Plan, own: u64) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(&plan.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut connect = Connect::new(format!("mqtt-load-{own}"));
    connect.keep_alive = 0;
    if !plan.user.is_empty() {
        connect.set_credentials(plan.user.clone(), plan.password.clone());
    }
    let mut out = BytesMut::new();
    Packet::Connect(connect).write(&mut out, usize::MAX)?;
    stream.write_all(&out)?;
    let mut welcome = [0; 4];
    stream.read_exact(&mut welcome)?;
    if welcome[0] != 0x20 || welcome[3] != 0 {
        return Err(format!("the broker refuses the login: {}", welcome[3]).into());
    }
    Ok(stream)
}
