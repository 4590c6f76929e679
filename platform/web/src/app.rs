use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::map_request;
use bus::{Bus, Coordinator};
use coord::{Idempotency, Limits};
use kernel::SharedClock;
use store::records::Records;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::assets::{self, Assets};
use crate::gate::Gate;
use crate::problem::METHOD_NOT_ALLOWED;
use crate::rules::{self, House};
use crate::stream::Hub;
use crate::system::{self, System};
use crate::{
    HealthCheck, Keys, Metrics, Module, Problem, WebError, WebSettings, docs, openapi, routes,
};

/// What the web stands on, given by the composition root.
#[derive(Clone)]
pub struct Deps {
    /// Version of the program.
    pub version: &'static str,
    pub records: Records,
    pub bus: Bus,
    pub clock: SharedClock,
    pub keys: Keys,
    pub limits: Arc<Limits>,
    pub idempotency: Idempotency,
    /// Absent where no agents run.
    pub coordinator: Option<Coordinator>,
    /// Checks of the platform, such as `series`; modules bring their own.
    pub health: Vec<HealthCheck>,
    /// Absent switches `/metrics` off.
    pub metrics: Option<Metrics>,
    pub assets: Assets,
    /// Ends streams and readiness when cancelled; the same token that [`crate::serve`] gets.
    pub stop: CancellationToken,
}

/// Everything that is served, put together module by module.
pub struct App {
    settings: Arc<WebSettings>,
    deps: Deps,
    modules: Vec<Module>,
}

impl App {
    #[must_use]
    pub fn new(settings: WebSettings, deps: Deps) -> Self {
        Self { settings: Arc::new(settings), deps, modules: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, module: Module) -> Self {
        self.modules.push(module);
        self
    }

    /// Builds the router. Must run inside a Tokio runtime: it starts to follow the event log.
    ///
    /// # Errors
    /// When a CORS origin is none.
    pub fn build(self) -> Result<Router, WebError> {
        let cors = cors(&self.settings.cors_origins)?;
        let contract = openapi::openapi(&self.modules, self.deps.version).to_string();
        let system = System::new(&self.deps, self.settings.environment, &self.modules);
        let hub =
            Hub::start(self.deps.bus.clone(), self.settings.streams_max, self.deps.stop.clone());
        let aliases = aliases(&self.modules);

        let mut router = assets::router(Arc::clone(&self.deps.assets))
            .merge(docs::router(contract, &self.modules));
        for part in system::parts(&system, self.deps.keys.clone(), hub) {
            router = mount(router, part.at, part.routes.into());
        }
        for module in self.modules {
            router = mount(router, routes::API, module.routes.into());
            router = router.merge(Router::from(module.root_routes));
        }
        let router =
            router.method_not_allowed_fallback(|| async { Problem::of(&METHOD_NOT_ALLOWED) });
        let gate = Gate {
            settings: Arc::clone(&self.settings),
            keys: self.deps.keys,
            limits: self.deps.limits,
        };
        let house = House { settings: self.settings, gate, idempotency: self.deps.idempotency };
        let router = rules::around(router, Arc::new(house), cors);
        Ok(aliased(router, aliases))
    }
}

fn mount(router: Router, at: &str, part: Router) -> Router {
    if at.is_empty() { router.merge(part) } else { router.merge(Router::new().nest(at, part)) }
}

/// Only the listed origins, without credentials: keys travel in headers that scripts set.
fn cors(origins: &[String]) -> Result<CorsLayer, WebError> {
    let refuse = |origin: &String| WebError::Origin { origin: origin.clone() };
    let origins = origins
        .iter()
        .map(|origin| {
            let is_origin = origin.split_once("://").is_some_and(|(scheme, rest)| {
                matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['/', '*'])
            });
            if !is_origin {
                return Err(refuse(origin));
            }
            HeaderValue::from_str(origin).map_err(|_| refuse(origin))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let named = HeaderName::from_static;
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::IF_MATCH,
            named("x-api-key"),
            named("x-request-id"),
            named("x-correlation-id"),
            named("idempotency-key"),
            named("last-event-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            named("x-request-id"),
            named("ratelimit"),
            named("ratelimit-policy"),
            named("idempotency-replayed"),
        ])
        .max_age(std::time::Duration::from_secs(600)))
}

fn aliases(modules: &[Module]) -> Arc<BTreeSet<&'static str>> {
    let own = modules.iter().flat_map(|module| module.root_aliases.iter());
    Arc::new(own.chain(system::ROOT_ALIASES).copied().collect())
}

/// Serves the paths that older clients know at the root.
fn aliased(router: Router, aliases: Arc<BTreeSet<&'static str>>) -> Router {
    let rewrite = map_request(move |mut request: Request| {
        let aliases = Arc::clone(&aliases);
        async move {
            if let Some(uri) = real_uri(request.uri(), &aliases) {
                *request.uri_mut() = uri;
            }
            Ok::<_, Infallible>(request)
        }
    });
    Router::new().fallback_service(ServiceBuilder::new().layer(rewrite).service(router))
}

fn real_uri(uri: &Uri, aliases: &BTreeSet<&'static str>) -> Option<Uri> {
    let path = uri.path().strip_prefix('/')?;
    let is_alias = aliases.iter().any(|alias| {
        path.strip_prefix(alias).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if !is_alias || uri.path().starts_with("/api/v1/") {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let real: PathAndQuery = format!("{}/{path}{query}", routes::API).parse().ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(real);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests;
