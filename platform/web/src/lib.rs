//! The HTTP house rules, once for every module: who calls, how often, with what, and how errors
//! are said.
//!
//! A module hands over its routes; everything around them is built here.

mod app;
mod assets;
mod auth;
mod body;
mod docs;
mod entry;
mod error;
mod extract;
mod gate;
mod json;
mod keys;
mod metering;
mod module;
mod openapi;
mod page;
mod patience;
mod problem;
mod repeat;
mod routes;
mod rules;
mod serve;
mod settings;
mod shared;
mod stream;
mod system;
#[cfg(test)]
mod test_world;

pub use app::{App, Deps};
pub use assets::{Asset, Assets};
pub use auth::{Caller, Role};
pub use entry::RequestId;
pub use error::WebError;
pub use extract::{BodyParts, Json, JsonBytes, Path, Query, RawBody};
pub use json::too_deep;
pub use keys::{ConfiguredKey, Key, Keys, NewKey};
pub use metering::Metrics;
pub use module::{Check, HealthCheck, Module, Standing};
pub use openapi::openapi;
pub use page::Page;
pub use problem::{CODES, ErrorCode, FieldError, Problem};
pub use serve::serve;
pub use settings::{Environment, Rates, WebSettings};
