use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use kernel::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Json, Path, Problem, Role};

use crate::model::{Report, ReportFormat};
use crate::service::{Maintenance, ReportWanted};

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportKind {
    Maintenance,
}

/// Which report, over which time.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct GenerateBody {
    #[garde(skip)]
    kind: ReportKind,
    #[garde(skip)]
    format: ReportFormat,
    /// Work that starts at or after this.
    #[garde(skip)]
    from: Timestamp,
    /// Work that starts before this.
    #[garde(skip)]
    to: Timestamp,
}

/// Asks for a report; it is made in the background.
#[utoipa::path(
    post, path = "/reports/generate", tag = "maintenance", request_body = GenerateBody,
    responses(
        (status = 202, body = Report),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)
    )
)]
pub(super) async fn generate(
    State(service): State<Maintenance>,
    caller: Caller,
    Json(body): Json<GenerateBody>,
) -> Result<(StatusCode, Json<Report>), Problem> {
    caller.need(Role::Operator)?;
    let ReportKind::Maintenance = body.kind;
    let wanted = ReportWanted {
        kind: "maintenance".to_owned(),
        format: body.format,
        from: body.from,
        to: body.to,
    };
    Ok((StatusCode::ACCEPTED, Json(service.ask_report(wanted, &caller.name).await?)))
}

/// How far a report is.
#[utoipa::path(
    get, operation_id = "one_report", path = "/reports/{id}", tag = "maintenance", params(("id" = Uuid, Path)),
    responses((status = 200, body = Report), (status = 404, body = Problem))
)]
pub(super) async fn one(
    State(service): State<Maintenance>,
    Path(id): Path<Uuid>,
) -> Result<Json<Report>, Problem> {
    Ok(Json(service.report(id).await?))
}

/// The finished report.
#[utoipa::path(
    get, path = "/reports/{id}/download", tag = "maintenance", params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = String, content_type = "text/html"),
        (status = 404, body = Problem), (status = 409, body = Problem)
    )
)]
pub(super) async fn download(
    State(service): State<Maintenance>,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let (report, content) = service.report_content(id).await?;
    let name = format!("{}-{}.{}", report.kind, report.report_id, report.format.extension());
    let headers = [
        (header::CONTENT_TYPE, report.format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        // Text of people stands in it: nothing may run, should a browser show it.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'".to_owned(),
        ),
    ];
    Ok((headers, content).into_response())
}
