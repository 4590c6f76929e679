use bus::Agent;

use super::Plant;
use crate::sense;

impl Plant {
    /// The module's workers.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let (follow, watch, play) = (self.clone(), self.clone(), self.clone());
        let mut agents = vec![
            Agent::consumer(
                "orchestrator",
                "Follows golden paths through the chain",
                sense::TYPES,
                move |event, tx| {
                    let service = follow.clone();
                    Box::pin(async move { service.orchestrate(event, tx).await })
                },
            ),
            Agent::task(
                "orchestrator-watch",
                "Feeds golden paths and raises what got stuck",
                move |context| Box::pin(watch.clone().watch_paths(context)),
            ),
        ];
        if self.settings.enabled {
            agents.push(Agent::task(
                "simulated-plant",
                "Plays the plant `north`",
                move |context| Box::pin(play.clone().run_plant(context)),
            ));
        }
        agents
    }
}
