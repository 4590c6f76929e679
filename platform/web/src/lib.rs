//! The HTTP house rules, once for every module: who calls, how often, with what, and how errors
//! are said.
//!
//! A module hands over its routes; everything around them is built here.

mod auth;
mod body;
mod extract;
mod json;
mod module;
mod page;
mod problem;

pub use auth::{Caller, Role};
pub use extract::{Json, Path, Query};
pub use module::{Check, HealthCheck, Module, Standing};
pub use page::Page;
pub use problem::{CODES, ErrorCode, FieldError, Problem};
