//! Readings as CSV and Arrow, sent while they are read: a page of readings is in memory for each
//! answer, however long it is, and the next one is read when the client has taken the last.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use store::series::{Bucket, Point};
use tables::{ARROW_STREAM, BucketRows, Columns, Encoder, Format, Legend, ReadingRows};
use web::Problem;

use super::invalid;
use crate::error::TelemetryError;
use crate::service::{Pages, SeriesData, Shape};

const CSV: &str = "text/csv; charset=utf-8";
const UNKNOWN_SENSORS: HeaderName = HeaderName::from_static("plainview-unknown-sensors");

/// What an answer is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Arrow,
}

impl Form {
    /// The parameter decides, else what the client accepts.
    pub(super) fn of(asked: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match asked {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("arrow") => Ok(Self::Arrow),
            Some(_) => Err(invalid("format", "give `json`, `csv` or `arrow`")),
            None => {
                let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
                let mut types = accepted.unwrap_or_default().split(',').map(|part| {
                    part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
                });
                // The first one that is known wins; weights are not looked at.
                Ok(types
                    .find_map(|kind| match kind.as_str() {
                        ARROW_STREAM => Some(Self::Arrow),
                        "text/csv" => Some(Self::Csv),
                        "application/json" | "*/*" => Some(Self::Json),
                        _ => None,
                    })
                    .unwrap_or(Self::Json))
            }
        }
    }
}

pub(super) fn stream(pages: Pages, form: Form) -> Result<Response, Problem> {
    let unknown = listed(&pages);
    let body = match pages.shape() {
        Shape::Raw { .. } => body::<ReadingRows>(pages, form)?,
        Shape::Buckets { .. } => body::<BucketRows>(pages, form)?,
    };
    let mut response = Response::new(body);
    let kind = if form == Form::Csv { CSV } else { ARROW_STREAM };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(unknown) = unknown {
        response.headers_mut().insert(UNKNOWN_SENSORS, unknown);
    }
    Ok(response)
}

/// Keys may hold letters of any script, headers only ASCII.
fn listed(pages: &Pages) -> Option<HeaderValue> {
    let encoded = |key: &kernel::SensorKey| -> String {
        let bytes = key.as_str().bytes();
        bytes
            .map(|b| if b.is_ascii() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    let keys: Vec<String> = pages.unknown().iter().map(encoded).collect();
    if keys.is_empty() { None } else { HeaderValue::from_str(&keys.join(", ")).ok() }
}

/// Rows that a page of the store can become.
trait Paged: Columns + Default + Send + 'static {
    fn of(place: u32, data: &SeriesData) -> Self;
}

impl Paged for ReadingRows {
    fn of(place: u32, data: &SeriesData) -> Self {
        let points: &[Point] = if let SeriesData::Raw { points, .. } = data { points } else { &[] };
        let mut rows = Self::with_capacity(points.len());
        points.iter().for_each(|p| rows.push(place, p.at, p.value, p.quality));
        rows
    }
}

impl Paged for BucketRows {
    fn of(place: u32, data: &SeriesData) -> Self {
        let buckets: &[Bucket] =
            if let SeriesData::Buckets { buckets, .. } = data { buckets } else { &[] };
        let mut rows = Self::default();
        for b in buckets {
            rows.push(place, b.start, b.count, [b.min, b.max, b.mean(), b.first, b.last]);
        }
        rows
    }
}

/// Why an answer broke off. The client sees a body without an end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Read(#[from] TelemetryError),
    #[error(transparent)]
    Encode(#[from] tables::TablesError),
    #[error("encoding stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

struct Sending<T: Paged> {
    pages: Pages,
    /// Gone once the end has been written.
    encoder: Option<Encoder<T, Vec<u8>>>,
}

fn body<T: Paged>(pages: Pages, form: Form) -> Result<Body, Problem> {
    let format = if form == Form::Csv { Format::Csv } else { Format::ArrowStream };
    let legend = Legend::new(pages.sensors());
    let encoder =
        Encoder::<T, _>::new(Vec::new(), format, legend).map_err(|e| Problem::internal(&e))?;
    let sending = Sending { pages, encoder: Some(encoder) };
    Ok(Body::from_stream(stream::try_unfold(sending, |mut sending| async move {
        let next = sending.next().await.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "readings broke off");
        })?;
        Ok::<_, Broken>(next.map(|bytes| (Bytes::from(bytes), sending)))
    })))
}

impl<T: Paged> Sending<T> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(None) };
        let Some(page) = self.pages.next().await? else { return Ok(Some(encoder.finish()?)) };
        let place = u32::try_from(page.place).unwrap_or(u32::MAX);
        // Writing ten thousand numbers as text takes longer than a thread of the runtime may.
        let written = tokio::task::spawn_blocking(move || {
            encoder.write(&T::of(place, &page.data))?;
            let bytes = encoder.drain();
            Ok::<_, tables::TablesError>((encoder, bytes))
        });
        let (encoder, bytes) = written.await??;
        self.encoder = Some(encoder);
        Ok(Some(bytes))
    }
}
