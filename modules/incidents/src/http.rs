mod alerts;
mod incidents;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Page, Problem};

use crate::error::{self, IncidentsError};
use crate::service::{Incidents, Listed};

const LIMIT_DEFAULT: u64 = 100;
/// Seconds after which trying again makes sense.
const RETRY_AFTER_S: u64 = 2;

pub(crate) fn routes(service: Incidents) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::quality))
        .routes(routes!(alerts::one))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::shelve))
        .routes(routes!(alerts::unshelve))
        .routes(routes!(alerts::resolve))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::one))
        .routes(routes!(incidents::update))
        .with_state(service)
}

impl From<IncidentsError> for Problem {
    fn from(fault: IncidentsError) -> Self {
        match fault {
            IncidentsError::NoSuchAlert(_) => Self::of(&error::NO_SUCH_ALERT),
            IncidentsError::NoSuchIncident(_) => Self::of(&error::NO_SUCH_INCIDENT),
            IncidentsError::WrongState { number, state, hint } => Self::of(&error::ALERT_STATE)
                .detail(format!("A-{number} is {}. {hint}", state.as_str().replace('_', " "))),
            IncidentsError::Stale { .. } => Self::of(&error::INCIDENT_CHANGED)
                .detail("Read it again and look at what changed before you repeat yours."),
            IncidentsError::Field { field, reason } => {
                Self::of(&error::INCIDENTS_INVALID).field(field, reason)
            }
            IncidentsError::Race => Self::of(&error::INCIDENTS_BUSY).retry_after(RETRY_AFTER_S),
            other => Self::internal(&other),
        }
    }
}

fn page<T>((items, next): Listed<T>) -> Page<T> {
    Page { items, next }
}

/// A cursor that this module gave out: the number of the last item.
fn before(cursor: Option<&str>) -> Result<Option<i64>, IncidentsError> {
    let bad = || {
        let reason = "pass `next` of the page before, unchanged".to_owned();
        IncidentsError::Field { field: "cursor", reason }
    };
    cursor.map(|text| text.parse().map_err(|_| bad())).transpose()
}
