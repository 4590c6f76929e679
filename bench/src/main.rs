//! Plainview beside the programs that do the same work, in one run on one machine.

mod data;
mod http;
mod ingest;
mod measure;
mod report;
mod server;

use clap::Parser;

#[derive(Parser)]
#[command(name = "bench", about = "Measure Plainview beside its peers")]
enum Bench {
    /// Line protocol over HTTP: readings per second and per CPU-second
    Ingest(ingest::Ingest),
}

fn main() -> anyhow::Result<()> {
    match Bench::parse() {
        Bench::Ingest(ingest) => ingest.run(),
    }
}
