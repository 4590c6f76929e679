//! What the program says about itself.

mod agents;
mod health;
mod letters;
mod log;
mod state;

use utoipa_axum::router::OpenApiRouter;

use crate::routes::API;
use crate::stream::{self, Hub};
use crate::{Keys, keys};

pub(crate) use state::System;

/// Routes and where they are mounted.
pub(crate) struct Part {
    pub(crate) at: &'static str,
    pub(crate) routes: OpenApiRouter,
}

/// Paths of the system that older clients know at the root.
pub(crate) const ROOT_ALIASES: &[&str] = &["modules"];

pub(crate) fn parts(system: &System, keys: Keys, hub: Hub) -> Vec<Part> {
    let api = OpenApiRouter::new()
        .merge(agents::routes())
        .merge(letters::routes())
        .merge(log::routes())
        .with_state(system.clone());
    vec![
        Part { at: "", routes: health::routes().with_state(system.clone()) },
        Part { at: "", routes: stream::http::routes().with_state(hub) },
        Part { at: API, routes: api },
        Part { at: API, routes: keys::http::routes().with_state(keys) },
    ]
}

/// The same routes without anything behind them, for the contract alone.
pub(crate) fn documents() -> Vec<Described> {
    let api = [agents::routes(), letters::routes(), log::routes()];
    let mut described = vec![
        Described { at: "", document: health::routes().into_openapi() },
        Described { at: "", document: stream::http::routes().into_openapi() },
        Described { at: API, document: keys::http::routes().into_openapi() },
    ];
    described.extend(api.map(|routes| Described { at: API, document: routes.into_openapi() }));
    described
}

/// A document and where its routes are mounted.
pub(crate) struct Described {
    pub(crate) at: &'static str,
    pub(crate) document: utoipa::openapi::OpenApi,
}
