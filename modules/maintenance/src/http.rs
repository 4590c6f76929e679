mod decisions;
mod reports;
mod work;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Page, Problem};

use crate::error::{self, MaintenanceError};
use crate::service::{Listed, Maintenance};

const LIMIT_DEFAULT: u64 = 100;
/// Seconds after which trying again makes sense.
const RETRY_AFTER_S: u64 = 2;

pub(crate) fn routes(service: Maintenance) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::pending))
        .routes(routes!(decisions::submit))
        .routes(routes!(decisions::one))
        .routes(routes!(work::schedule))
        .routes(routes!(work::scheduled))
        .routes(routes!(work::logs))
        .routes(routes!(work::calendar))
        .routes(routes!(work::one))
        .routes(routes!(work::complete))
        .routes(routes!(reports::generate))
        .routes(routes!(reports::one))
        .routes(routes!(reports::download))
        .with_state(service)
}

impl From<MaintenanceError> for Problem {
    fn from(fault: MaintenanceError) -> Self {
        match fault {
            MaintenanceError::NoSuchDecision(_) => Self::of(&error::NO_SUCH_DECISION),
            MaintenanceError::Settled { number, state, by } => {
                let who = by.map(|name| format!(" by {name}")).unwrap_or_default();
                Self::of(&error::DECISION_SETTLED).detail(format!("D-{number} is {state}{who}."))
            }
            MaintenanceError::NoSuchWork(_) => Self::of(&error::NO_SUCH_WORK),
            MaintenanceError::WorkSettled { number, state } => {
                Self::of(&error::WORK_SETTLED).detail(format!("W-{number} is {state}."))
            }
            MaintenanceError::Overlap { assignee } => Self::of(&error::WORK_OVERLAPS)
                .detail(format!("{assignee} has other work then. Choose another time or person.")),
            MaintenanceError::NoSuchReport(_) => Self::of(&error::NO_SUCH_REPORT),
            MaintenanceError::NotReady { state, .. } => Self::of(&error::REPORT_NOT_READY)
                .detail(format!("It is {}. Ask again in a moment.", state.as_str())),
            MaintenanceError::TooManyReports { waiting } => Self::of(&error::REPORTS_BUSY)
                .detail(format!("{waiting} reports are waiting. Ask again when one is done."))
                .retry_after(RETRY_AFTER_S),
            MaintenanceError::Field { field, reason } => {
                Self::of(&error::MAINTENANCE_INVALID).field(field, reason)
            }
            MaintenanceError::Race => Self::of(&error::MAINTENANCE_BUSY).retry_after(RETRY_AFTER_S),
            other => Self::internal(&other),
        }
    }
}

fn page<T>((items, next): Listed<T>) -> Page<T> {
    Page { items, next }
}

/// A cursor that this module gave out: the number of the last item.
fn before(cursor: Option<&str>) -> Result<Option<i64>, MaintenanceError> {
    cursor.map(|text| text.parse().map_err(|_| bad_cursor())).transpose()
}

fn bad_cursor() -> MaintenanceError {
    let reason = "pass `next` of the page before, unchanged".to_owned();
    MaintenanceError::Field { field: "cursor", reason }
}

/// Seconds of a number of hours that was checked.
fn duration(hours: f64) -> std::time::Duration {
    std::time::Duration::from_secs_f64(hours * 3_600.0)
}
