use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{ErrorCode, FIELDS_INVALID, NOT_FOUND, PARAMETERS_INVALID};
use crate::{Problem, body, json};

/// A JSON body, read within limits and checked with garde. Errors name the field.
///
/// `Option<Json<T>>` is `None` for a request without a body. As a response it writes JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// A JSON body, read whole within limits, not parsed: for doors that name every bad row.
#[derive(Clone, Debug)]
pub struct JsonBytes(pub Bytes);

/// A body of any type, read whole within limits. Use it instead of axum's `Bytes`, whose
/// refusals cannot say which limit was passed or that a body does not decompress.
#[derive(Clone, Debug)]
pub struct RawBody(pub Bytes);

/// A body of any type as it comes, part by part, within limits: for bodies that are not held whole.
#[derive(Debug)]
pub struct BodyParts {
    body: axum::body::Body,
    limits: body::BodyLimits,
}

impl BodyParts {
    /// The next part; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(part) => return Some(Ok(part)),
                    Err(_trailers) => {}
                },
                Err(error) => return Some(Err(body::refusal(&error, self.limits))),
            }
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for BodyParts {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let limits = request.extensions().get::<body::BodyLimits>().copied().unwrap_or_default();
        Ok(Self { body: request.into_body(), limits })
    }
}

/// The query string, checked with garde. Errors name the parameter.
///
/// A parameter may come several times when its field is a `Vec`. Do not `flatten` numbers into
/// it: serde then sees only text.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// Path parameters. Errors name the parameter.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + garde::Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        json::check_content_type(request.headers())?;
        let bytes = body::read(request).await?;
        let value: T = json::parse(&bytes)?;
        check(&value, &FIELDS_INVALID)?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        json::check_content_type(request.headers())?;
        body::read(request).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        body::read(request).await.map(Self)
    }
}

impl<S, T> OptionalFromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + garde::Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Self::Rejection> {
        let without_body = request.body().is_end_stream()
            || request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        if without_body {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + garde::Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let text = parts.uri.query().unwrap_or_default();
        let reader = serde_html_form::Deserializer::from_bytes(text.as_bytes());
        let value: T = serde_path_to_error::deserialize(reader).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "query" } else { path.as_str() };
            Problem::of(&PARAMETERS_INVALID).field(field, error.inner().to_string())
        })?;
        check(&value, &PARAMETERS_INVALID)?;
        Ok(Self(value))
    }
}

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection| path_refusal(&rejection))
    }
}

/// Every field that garde refuses, at once.
fn check<T: garde::Validate<Context = ()>>(value: &T, code: &ErrorCode) -> Result<(), Problem> {
    let Err(report) = value.validate() else { return Ok(()) };
    let problem = report.iter().fold(Problem::of(code), |problem, (path, error)| {
        let path = path.to_string();
        let field = if path.is_empty() { "body" } else { path.as_str() };
        problem.field(field, error.to_string())
    });
    Err(problem)
}

fn path_refusal(rejection: &PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Problem::internal(rejection);
    };
    let refuse =
        |field: &str, reason: String| Problem::of(&PARAMETERS_INVALID).field(field, reason);
    match failed.kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            refuse(key, format!("is no {expected_type}"))
        }
        ErrorKind::ParseErrorAtIndex { index, expected_type, .. } => {
            refuse(&format!("path[{index}]"), format!("is no {expected_type}"))
        }
        ErrorKind::ParseError { expected_type, .. } => {
            refuse("path", format!("is no {expected_type}"))
        }
        ErrorKind::InvalidUtf8InPathParam { key } => refuse(key, "is not UTF-8".to_owned()),
        ErrorKind::DeserializeError { key, message, .. } => refuse(key, message.clone()),
        ErrorKind::Message(message) => refuse("path", message.clone()),
        _ if failed.status().is_client_error() => Problem::of(&NOT_FOUND),
        _ => Problem::internal(failed),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::{get, post};
    use garde::Validate;
    use http_body_util::BodyExt;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    #[derive(Deserialize, Validate)]
    struct Shelve {
        #[garde(length(min = 1, max = 5))]
        reason: String,
        #[garde(range(min = 1, max = 10))]
        hours: u32,
        #[garde(dive)]
        #[serde(default)]
        notes: Vec<Note>,
    }

    #[derive(Deserialize, Validate)]
    struct Note {
        #[garde(length(min = 1))]
        text: String,
    }

    #[derive(Deserialize, Validate)]
    struct Filter {
        #[garde(range(max = 1000))]
        limit: Option<u32>,
        #[garde(skip)]
        #[serde(default)]
        sensor: Vec<String>,
    }

    async fn shelve(Json(body): Json<Shelve>) -> String {
        format!(
            "{} {} {}",
            body.reason,
            body.hours,
            body.notes.iter().map(|n| n.text.len()).sum::<usize>()
        )
    }

    async fn maybe(body: Option<Json<Note>>) -> String {
        body.map_or_else(|| "none".to_owned(), |Json(note)| note.text)
    }

    async fn list(Query(filter): Query<Filter>) -> String {
        format!("{:?} {:?}", filter.limit, filter.sensor)
    }

    async fn one(Path((kind, number)): Path<(String, u32)>) -> String {
        format!("{kind} {number}")
    }

    async fn send(request: Request<Body>) -> (u16, String) {
        let router = Router::new()
            .route("/shelve", post(shelve))
            .route("/maybe", post(maybe))
            .route("/list", get(list))
            .route("/one/{kind}/{number}", get(one));
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn post_json(path: &str, body: &str) -> (u16, String) {
        let request = Request::post(path).header("content-type", "application/json; charset=UTF-8");
        send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    #[tokio::test]
    async fn says_every_bad_field_at_once() {
        let body = r#"{"reason":"","hours":99,"notes":[{"text":"a"},{"text":""}]}"#;
        let (status, text) = post_json("/shelve", body).await;
        assert_eq!(status, 422);
        let problem: Value = serde_json::from_str(&text).unwrap();
        let fields: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|e| &e["field"]).collect();
        assert_eq!(json!(fields), json!(["hours", "notes[1].text", "reason"]));
        assert_eq!(post_json("/shelve", r#"{"reason":"leak","hours":2}"#).await.1, "leak 2 0");
    }

    #[tokio::test]
    async fn asks_for_json() {
        let plain = Request::post("/shelve").header("content-type", "text/plain");
        assert_eq!(send(plain.body(Body::from("{}")).unwrap()).await.0, 415);
        assert_eq!(send(Request::post("/shelve").body(Body::from("{}")).unwrap()).await.0, 415);
        let latin =
            Request::post("/shelve").header("content-type", "application/json; charset=latin1");
        assert_eq!(send(latin.body(Body::from("{}")).unwrap()).await.0, 415);
        assert_eq!(post_json("/shelve", "").await.0, 400);
        assert_eq!(post_json("/shelve", &" ".repeat(3 << 20)).await.0, 413);
    }

    #[tokio::test]
    async fn a_body_may_be_left_out_where_it_is_optional() {
        assert_eq!(send(Request::post("/maybe").body(Body::empty()).unwrap()).await.1, "none");
        assert_eq!(post_json("/maybe", r#"{"text":"x"}"#).await.1, "x");
        assert_eq!(post_json("/maybe", r#"{"text":""}"#).await.0, 422);
    }

    #[tokio::test]
    async fn names_the_parameter() {
        let get = |path: &str| send(Request::get(path).body(Body::empty()).unwrap());
        assert_eq!(get("/list?sensor=a&limit=5&sensor=b%20c").await.1, r#"Some(5) ["a", "b c"]"#);
        assert_eq!(get("/list?sensor=a").await.1, r#"None ["a"]"#);
        let (status, text) = get("/list?limit=many").await;
        assert_eq!(status, 400);
        assert!(text.contains(r#""field":"limit""#), "{text}");
        assert_eq!(get("/list?limit=1001").await.0, 400);
        assert_eq!(get("/one/a/7").await.1, "a 7");
        assert_eq!(get("/one/a/b").await.0, 400);
        assert_eq!(get("/one/%ff/1").await.0, 400);
    }
}
