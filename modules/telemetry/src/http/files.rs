mod read;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use kernel::{CorrelationId, SensorKey};
use sense::{Delivery, Origin, Protocol, SourceId};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use utoipa::ToSchema;
use web::{BodyParts, Caller, FieldError, Json, Problem, Query, RequestId, Role};

use super::ingest::FAULTS_NAMED_MAX;
use super::remote_write::CONTENT_TYPE;
use super::{correlation, key};
use crate::error;
use crate::service::Telemetry;

use read::{Asked, Chunk, Kind};

/// Files that are read at the same time; each may lie on the disk once while it is.
const FILES_AT_ONCE: usize = 4;
/// Seconds after which another file may have ended.
const RETRY_AFTER_S: u64 = 5;
/// Parts of a body, and chunks of readings, that wait for the other side.
const WAITING_MAX: usize = 4;
/// Bytes of a refused file that are still let in, and thrown away.
const DRAINED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The door of files, and how many may still come in.
#[derive(Clone)]
pub(super) struct Files {
    service: Telemetry,
    places: Arc<Semaphore>,
}

impl Files {
    pub(super) fn new(service: Telemetry) -> Self {
        Self { service, places: Arc::new(Semaphore::new(FILES_AT_ONCE)) }
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.places.try_acquire().map_err(|_| {
            Problem::of(&error::STORE_BUSY)
                .detail(format!("{FILES_AT_ONCE} files are being read already."))
                .retry_after(RETRY_AFTER_S)
        })
    }
}

#[derive(Clone, Debug, Deserialize, garde::Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileParams {
    /// The sensor of a file that has no column for it.
    #[garde(length(max = 200))]
    sensor: Option<String>,
    /// `site/asset`, put before the columns of a wide Parquet file.
    #[garde(length(max = 200))]
    prefix: Option<String>,
    /// `real` (default), `simulated` or `replayed`. Replayed readings are not judged for silence.
    #[garde(skip)]
    #[param(value_type = Option<String>)]
    #[serde(default)]
    origin: Origin,
}

/// What became of a file. Everything in `accepted` is durable.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FileAnswer {
    /// `csv` or `parquet`.
    format: &'static str,
    accepted: u64,
    rejected: u64,
    /// The first 100 faults by their line or row, from 1.
    errors: Vec<FieldError>,
    /// Position in the series log.
    offset: Option<u64>,
    correlation_id: CorrelationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// Hand in a file of readings
///
/// CSV (`text/csv`, plain or gzip) or Parquet (`application/vnd.apache.parquet`), up to 1 GiB.
/// Good rows are stored while the file still comes in, bad ones named. A 200 means that every
/// accepted reading is durable; a file that breaks off says how many were stored before. Sending
/// a file again does no harm.
#[utoipa::path(
    post, path = "/data/files", tag = "telemetry",
    params(FileParams, ("X-Correlation-ID" = Option<String>, Header, description = "The chain these readings start")),
    request_body(content = Vec<u8>, content_type = "text/csv"),
    responses(
        (status = 200, body = FileAnswer),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem),
    )
)]
pub(crate) async fn upload(
    State(files): State<Files>,
    caller: Caller,
    Query(params): Query<FileParams>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    mut body: BodyParts,
) -> Result<Json<FileAnswer>, Problem> {
    caller.need(Role::Ingest)?;
    let _place = files.place()?;
    let correlation_id = correlation(&headers)?;
    let asked = match asked(&params, &headers) {
        Ok(asked) => asked,
        Err(problem) => {
            drain(&mut body).await;
            return Err(problem);
        }
    };
    let kind = asked.kind;
    let mut tally = Tally { correlation_id, origin: params.origin, ..Tally::default() };
    let told = tally.take_file(&files.service, &caller, asked, body).await;
    let told = told.and_then(|()| tally.must_hold_something());
    if let Err(problem) = told {
        return Err(tally.add_to(problem));
    }
    Ok(Json(FileAnswer {
        format: kind.name(),
        accepted: tally.accepted,
        rejected: tally.rejected,
        errors: tally.errors,
        offset: tally.offset,
        correlation_id,
        request_id: request_id.map(|Extension(RequestId(id))| id),
    }))
}

fn asked(params: &FileParams, headers: &HeaderMap) -> Result<Asked, Problem> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = text.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = match kind.to_ascii_lowercase().as_str() {
        "text/csv" | "application/csv" | "text/plain" | "application/gzip" => Kind::Csv,
        "application/vnd.apache.parquet" | "application/x-parquet" | "application/parquet" => {
            Kind::Parquet
        }
        _ => {
            return Err(Problem::of(&CONTENT_TYPE)
                .detail("Send `text/csv` or `application/vnd.apache.parquet`."));
        }
    };
    let sensor = params.sensor.as_deref().map(key).transpose()?;
    if let Some(prefix) = &params.prefix {
        SensorKey::new(&format!("{prefix}/measure"))
            .map_err(|error| super::invalid("prefix", error.to_string()))?;
    }
    Ok(Asked { kind, sensor, prefix: params.prefix.clone() })
}

/// Hands the parts of the body to the reader until either ends.
async fn feed(body: &mut BodyParts, parts: mpsc::Sender<Option<Bytes>>) -> Result<(), Problem> {
    while let Some(part) = body.next().await {
        let part = match part {
            Ok(part) => part,
            // The reader hears that the body broke off, not that it ended.
            Err(problem) => {
                drop(parts.send(None).await);
                return Err(problem);
            }
        };
        if parts.send(Some(part)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Lets the rest of a refused file go by: a sender that is cut off while it sends does not hear
/// why.
async fn drain(body: &mut BodyParts) {
    let mut left = DRAINED_BYTES_MAX;
    while let Some(Ok(part)) = body.next().await {
        let Some(rest) = left.checked_sub(part.len()) else { return };
        left = rest;
    }
}

/// What became of the rows so far.
#[derive(Default)]
struct Tally {
    correlation_id: CorrelationId,
    origin: Origin,
    accepted: u64,
    rejected: u64,
    errors: Vec<FieldError>,
    offset: Option<u64>,
}

impl Tally {
    /// Lets the file in on one side and stores its readings on the other, while a thread of its
    /// own reads what comes in.
    async fn take_file(
        &mut self,
        service: &Telemetry,
        caller: &Caller,
        asked: Asked,
        mut body: BodyParts,
    ) -> Result<(), Problem> {
        let (parts, bytes) = mpsc::channel(WAITING_MAX);
        let (chunks, mut ready) = mpsc::channel(WAITING_MAX);
        let reader = tokio::task::spawn_blocking(move || read::file(&asked, bytes, &chunks));
        let feed = feed(&mut body, parts);
        let store = async {
            while let Some(chunk) = ready.recv().await {
                self.store(service, caller, chunk).await?;
            }
            Ok(())
        };
        // A store that fails ends the feed too: nobody reads what comes after.
        let told = tokio::try_join!(feed, store);
        drain(&mut body).await;
        told?;
        match reader.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(Problem::of(&error::READINGS_UNREADABLE).field("body", reason)),
            Err(panic) => Err(Problem::internal(&panic)),
        }
    }

    async fn store(
        &mut self,
        service: &Telemetry,
        caller: &Caller,
        chunk: Chunk,
    ) -> Result<(), Problem> {
        let Chunk { readings, rows, refused, refused_total } = chunk;
        self.rejected += refused_total;
        let source = SourceId::new(Protocol::File, &caller.name);
        if let Some((row, field, reason)) = refused.first() {
            let why = format!("row {row}: {field}: {reason}");
            service.note_unread(&source, usize::try_from(refused_total).unwrap_or(0), &why);
        }
        for (row, field, reason) in refused {
            self.name(row, &field, reason);
        }
        service.count_refused(refused_total);
        if readings.is_empty() {
            return Ok(());
        }
        let delivery = Delivery {
            source,
            origin: self.origin,
            correlation: Some(self.correlation_id),
            received: service.clock.now(),
            readings,
        };
        let receipt = service.take(delivery, &[]).await?;
        self.accepted += receipt.accepted as u64;
        self.rejected += receipt.refused.len() as u64;
        self.offset = receipt.offset.or(self.offset);
        for refusal in receipt.refused {
            let row = rows.get(refusal.index).copied().unwrap_or_default();
            let field = if refusal.field == "at" { "timestamp" } else { refusal.field };
            self.name(row, field, refusal.reason);
        }
        Ok(())
    }

    fn name(&mut self, row: u64, field: &str, reason: String) {
        if self.errors.len() < FAULTS_NAMED_MAX {
            self.errors.push(FieldError { field: format!("row {row}: {field}"), reason });
        }
    }

    fn must_hold_something(&self) -> Result<(), Problem> {
        if self.accepted > 0 {
            return Ok(());
        }
        let detail = match self.rejected {
            0 => "The file holds no readings.".to_owned(),
            many => format!("All {many} rows were refused."),
        };
        Err(Problem::of(&error::READINGS_REFUSED).detail(detail))
    }

    /// What was stored stays stored, whatever came after.
    fn add_to(self, mut problem: Problem) -> Problem {
        if self.accepted > 0 {
            let detail = problem.detail.take().unwrap_or_else(|| format!("{}.", problem.title));
            problem.detail =
                Some(format!("{detail} {} readings before it are stored.", self.accepted));
        }
        problem.errors.extend(self.errors);
        problem
    }
}
