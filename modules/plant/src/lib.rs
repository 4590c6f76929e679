//! The simulated plant behind the demo and the tests, its scenarios, and the golden path.
//!
//! The plant `north` is a 60 km crude line. Every value is a function of seed, sensor and time; it
//! comes in through the same door as real readings and is tagged as simulated. The golden path
//! feeds a series of its own through the whole chain; the agent `orchestrator` follows it by its
//! correlation id and raises what got stuck.

mod decide;
mod error;
mod http;
mod model;
mod records;
mod sense;
mod service;

use std::sync::Arc;

use ::sense::ReadingSink;
use bus::{Agent, Bus};

pub use error::PlantError;
pub use model::{
    ApprovePort, ConfigurePort, GoldenPath, OverallStatus, PortError, Run, RunState, ScenarioInfo,
    ScenarioKind, SensorSetup, Settings, Step, StepName, StepStatus,
};
pub use service::Plant;

/// What the module needs from the composition root.
#[derive(Clone)]
pub struct Deps {
    pub bus: Bus,
    /// The door that real readings come through, too.
    pub sink: Arc<dyn ReadingSink>,
    /// Tells the sensor registry ranges and units.
    pub configure: ConfigurePort,
    /// Approves a decision for a golden path that was asked to do so.
    pub approve: ApprovePort,
    pub settings: Settings,
}

/// Assembles the module.
///
/// # Errors
/// When the plant's own table of sensors is wrong.
pub fn module(deps: Deps) -> Result<web::Module, PortError> {
    let Deps { bus, sink, configure, approve, settings } = deps;
    let enabled = settings.enabled;
    let plant = Arc::new(Plant::new(bus, sink, configure, approve, settings)?);
    let mut agents = vec![orchestrator(&plant), watch(&plant)];
    if enabled {
        agents.push(simulated_plant(&plant));
    }
    Ok(web::Module {
        name: "plant",
        routes: http::routes(plant),
        root_routes: utoipa_axum::router::OpenApiRouter::new(),
        root_aliases: &[],
        agents,
        migrations: records::migrations(),
        events: &[],
        errors: http::ERRORS,
        health: Vec::new(),
    })
}

fn orchestrator(plant: &Arc<Plant>) -> Agent {
    let plant = Arc::clone(plant);
    Agent::consumer(
        "orchestrator",
        "Follows golden paths through the chain",
        sense::TYPES,
        move |event, tx| {
            let plant = Arc::clone(&plant);
            Box::pin(async move { plant.orchestrate(event, tx).await })
        },
    )
}

fn watch(plant: &Arc<Plant>) -> Agent {
    let plant = Arc::clone(plant);
    Agent::task("orchestrator-watch", "Feeds golden paths and raises what got stuck", move |ctx| {
        let plant = Arc::clone(&plant);
        Box::pin(async move { plant.watch_paths(ctx).await })
    })
}

fn simulated_plant(plant: &Arc<Plant>) -> Agent {
    let plant = Arc::clone(plant);
    Agent::task("simulated-plant", "Plays the plant `north`", move |context| {
        let plant = Arc::clone(&plant);
        Box::pin(async move { plant.run_plant(context).await })
    })
}
