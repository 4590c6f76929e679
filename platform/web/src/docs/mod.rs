//! The API reference and the pages of the error codes, readable without a network.

mod markdown;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::problem::{CODES, ErrorCode, NOT_FOUND};
use crate::{Module, Problem};

#[derive(RustEmbed)]
#[folder = "../../docs/errors"]
struct ErrorPages;

type Codes = Arc<BTreeMap<&'static str, ErrorCode>>;

pub(crate) fn router(contract: String, modules: &[Module]) -> Router {
    let codes = CODES.iter().chain(modules.iter().flat_map(|module| module.errors));
    let codes: Codes = Arc::new(codes.map(|code| (code.code, *code)).collect());
    let contract: Arc<str> = contract.into();
    Router::new()
        .route("/docs", get(|| async { Html(include_str!("page.html")) }))
        .route("/docs/docs.js", get(|| async { typed("text/javascript", include_str!("page.js")) }))
        .route("/docs/docs.css", get(|| async { typed("text/css", include_str!("page.css")) }))
        .route("/docs/errors/{code}", get(error_page).with_state(codes))
        .route(
            "/api/v1/openapi.json",
            get(|State(contract): State<Arc<str>>| async move {
                typed("application/json", contract.to_string())
            })
            .with_state(contract),
        )
}

fn typed(kind: &'static str, body: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], body.into()).into_response()
}

async fn error_page(State(codes): State<Codes>, Path(code): Path<String>) -> Response {
    let Some(known) = codes.get(code.as_str()) else {
        return Problem::of(&NOT_FOUND).into_response();
    };
    let text = ErrorPages::get(&format!("{code}.md")).map_or_else(
        || format!("# {}\n\n`{}`, status {}.", known.title, known.code, known.status),
        |file| String::from_utf8_lossy(&file.data).into_owned(),
    );
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title><link rel=\"stylesheet\" \
         href=\"/docs/docs.css\"></head><body><main class=\"text\">{}<p><a href=\"/docs\">API \
         reference</a></p></main></body></html>",
        markdown::escape(known.title),
        markdown::to_html(&text)
    );
    (StatusCode::OK, Html(page)).into_response()
}
