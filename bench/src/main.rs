//! Plainview beside the programs that do the same work, in one run on one machine.

mod bus;
mod data;
mod detectors;
mod flood;
mod http;
mod ingest;
mod late;
mod load;
mod measure;
mod mqtt;
mod query;
mod report;
mod scale;
mod server;
mod singles;
mod transient;

use clap::Parser;

/// The product's own: the log of events is measured inside this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "bench", about = "Measure Plainview beside its peers")]
enum Bench {
    /// Line protocol over HTTP: readings per second and per CPU-second
    Ingest(ingest::Ingest),
    /// Means over many sensors, and a year of one sensor in a thousand buckets
    Query(query::Ask),
    /// MQTT with QoS 1, through Mosquitto and by the broker inside
    Mqtt(mqtt::Mqtt),
    /// Durable events beside JetStream
    Bus(bus::Publish),
    /// Ten minutes of more than can be taken
    Flood(flood::Flood),
    /// What late readings cost
    Late(late::Late),
    /// One detector: time per reading and bytes of state
    Detectors(detectors::Detectors),
    /// The same readings from ever more sensors
    Sensors(scale::Sensors),
    /// The same questions as history grows
    History(scale::History),
    /// One reading per call, durable, from many callers
    Singles(singles::Singles),
    /// Pressure waves in a pipe beside TSNet: grid points times steps per CPU-second
    Transient(transient::Transient),
}

fn main() -> anyhow::Result<()> {
    match Bench::parse() {
        Bench::Detectors(detectors) => detectors.run(),
        Bench::Bus(publish) => publish.run(),
        Bench::Ingest(ingest) => ingest.run(),
        Bench::Flood(flood) => flood.run(),
        Bench::Late(late) => late.run(),
        Bench::Sensors(sensors) => sensors.run(),
        Bench::History(history) => history.run(),
        Bench::Mqtt(mqtt) => mqtt.run(),
        Bench::Query(ask) => ask.run(),
        Bench::Singles(singles) => singles.run(),
        Bench::Transient(transient) => transient.run(),
    }
}
