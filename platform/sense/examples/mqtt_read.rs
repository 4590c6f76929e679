//! Reads from an MQTT broker as Plainview does, into a sink that only counts, and says how fast
//! that was. Beside `mqtt_load` it shows what the way from the broker to the store costs.
//!
//! `mqtt_read HOST:PORT [readings=100000] [disk_us=2000] [version=5|3.1.1]`
//!
//! `disk_us` is how long the sink takes to call a delivery durable.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use kernel::SystemClock;
use sense::mqtt::{Broker, BrokerSettings, MqttVersion};
use sense::{Delivery, ReadingSink, Receipt, SinkError};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_millis(5);

struct Count {
    readings: AtomicU64,
    deliveries: AtomicU64,
    disk: Duration,
}

impl ReadingSink for Count {
    fn submit(&self, delivery: Delivery) -> BoxFuture<'_, Result<Receipt, SinkError>> {
        Box::pin(async move {
            tokio::time::sleep(self.disk).await;
            let accepted = delivery.readings.len();
            self.readings.fetch_add(accepted as u64, Ordering::Relaxed);
            self.deliveries.fetch_add(1, Ordering::Relaxed);
            Ok(Receipt { accepted, refused: Vec::new(), offset: Some(1) })
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().ok_or("the first word is HOST:PORT")?;
    let (host, port) = address.rsplit_once(':').ok_or("the first word is HOST:PORT")?;
    let pairs: HashMap<String, String> = words
        .filter_map(|word| word.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())))
        .collect();
    let number = |name: &str, default: u64| {
        pairs.get(name).map_or(Ok(default), |value| value.parse::<u64>())
    };
    let wanted = number("readings", 100_000)?;
    let disk = Duration::from_micros(number("disk_us", 2_000)?);
    let version = match pairs.get("version").map(String::as_str) {
        Some("3.1.1") => MqttVersion::V3,
        _ => MqttVersion::V5,
    };
    let settings = BrokerSettings {
        host: host.to_owned(),
        port: port.parse()?,
        version,
        client_id: "mqtt-read".to_owned(),
        ..BrokerSettings::default()
    };
    let broker = Broker::new(settings, SystemClock::shared())?;
    let count = Arc::new(Count { readings: 0.into(), deliveries: 0.into(), disk });
    let stop = CancellationToken::new();
    let (own, sink, until) = (broker.clone(), Arc::clone(&count), stop.clone());
    let running = tokio::spawn(async move { own.run(sink, until).await });
    let read = || count.readings.load(Ordering::Relaxed);
    while read() == 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (begun, first) = (Instant::now(), read());
    while read() < wanted {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (seconds, deliveries) =
        (begun.elapsed().as_secs_f64(), count.deliveries.load(Ordering::Relaxed));
    println!(
        "{{\"readings\":{},\"seconds\":{seconds:.3},\"per_s\":{:.0},\"deliveries\":{deliveries}}}",
        read(),
        (read() - first) as f64 / seconds
    );
    stop.cancel();
    running.await?;
    Ok(())
}
