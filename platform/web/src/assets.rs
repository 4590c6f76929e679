//! The UI's files, wherever they are embedded.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::Problem;
use crate::problem::NOT_FOUND;

/// One embedded file.
#[derive(Clone, Debug)]
pub struct Asset {
    pub bytes: Cow<'static, [u8]>,
    /// Hash of the content; becomes the `ETag`.
    pub hash: [u8; 32],
    /// Media type, such as `text/javascript`.
    pub media_type: String,
}

/// Finds a file of the UI by its path, such as `assets/index-3f2a.js`. A neighbour with `.br` or
/// `.gz` behind its name is served instead to clients that take it.
pub type Assets = Arc<dyn Fn(&str) -> Option<Asset> + Send + Sync>;

const PAGE: &str = "index.html";
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Plainview\
</title><link rel=\"stylesheet\" href=\"/docs/docs.css\"><main><h1>Plainview is running</h1>\
<p>The pages are not part of this build. <code>cargo xtask demo</code> builds them.</p>\
<p><a href=\"/docs\">API reference</a></p></main></html>";

pub(crate) fn router(assets: Assets) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/app/") }))
        .route("/app", get(|| async { Redirect::temporary("/app/") }))
        .route("/app/", get(serve))
        .route("/app/{*path}", get(serve))
        .with_state(assets)
}

async fn serve(State(assets): State<Assets>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches("/app").trim_start_matches('/');
    let path = if path.is_empty() { PAGE } else { path };
    if let Some(found) = find(&assets, path, request.headers()) {
        return found;
    }
    // Paths without a dot are places of the UI, which its own router knows.
    let is_place = !path.rsplit('/').next().unwrap_or_default().contains('.');
    if !is_place && path != PAGE {
        return Problem::of(&NOT_FOUND).into_response();
    }
    find(&assets, PAGE, request.headers()).unwrap_or_else(|| {
        let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
        (StatusCode::OK, [kind], NOT_BUILT).into_response()
    })
}

fn find(assets: &Assets, path: &str, headers: &HeaderMap) -> Option<Response> {
    let plain = assets(path)?;
    let (asset, encoding) = packed(assets, path, headers).unwrap_or((plain.clone(), None));
    let hash = blake3::Hash::from_bytes(asset.hash).to_hex();
    let etag = HeaderValue::from_str(&format!("\"{}\"", &hash[..32])).ok()?;
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|seen| matches(seen, &etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(asset.bytes.into_owned()).into_response()
    };
    let out = response.headers_mut();
    let media_type = HeaderValue::from_str(&with_charset(&plain.media_type)).ok()?;
    out.insert(header::CONTENT_TYPE, media_type);
    out.insert(header::ETAG, etag);
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(header::CACHE_CONTROL, if is_hashed(path) { IMMUTABLE } else { REVALIDATE });
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

fn packed(
    assets: &Assets,
    path: &str,
    headers: &HeaderMap,
) -> Option<(Asset, Option<&'static str>)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |name: &str| {
        accepted.split(',').map(str::trim).any(|part| {
            let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
            coding.trim() == name && weight.trim() != "q=0"
        })
    };
    [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(coding, _)| takes(coding))
        .find_map(|(coding, ending)| Some((assets(&format!("{path}.{ending}"))?, Some(coding))))
}

/// A cache may have marked the tag weak when it compressed the file.
fn matches(seen: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(seen), Ok(etag)) = (seen.to_str(), etag.to_str()) else { return false };
    seen.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
}

/// Files that the build named after their content.
fn is_hashed(path: &str) -> bool {
    path.starts_with("assets/")
}

fn with_charset(media_type: &str) -> String {
    let is_text = media_type.starts_with("text/") || media_type.ends_with("javascript");
    if is_text && !media_type.contains("charset") {
        return format!("{media_type}; charset=utf-8");
    }
    media_type.to_owned()
}
