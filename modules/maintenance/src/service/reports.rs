use std::time::Duration;

use kernel::Timestamp;
use uuid::Uuid;

use super::Maintenance;
use crate::act::report;
use crate::error::MaintenanceError;
use crate::model::{Report, ReportFormat, ReportState};
use crate::records::reports as table;
use crate::records::work::{self, Wanted};

/// Reports that may wait at once.
const REPORTS_WAITING_MAX: u64 = 20;
/// Work orders in one report.
const REPORT_ROWS_MAX: u64 = 10_000;
/// After that a report whose maker died is made by another.
const CLAIM: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct ReportWanted {
    pub(crate) kind: String,
    pub(crate) format: ReportFormat,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Maintenance {
    pub(crate) async fn ask_report(
        &self,
        wanted: ReportWanted,
        actor: &str,
    ) -> Result<Report, MaintenanceError> {
        if wanted.to <= wanted.from {
            let reason = "the end lies before the start".to_owned();
            return Err(MaintenanceError::Field { field: "to", reason });
        }
        let report = Report {
            report_id: Uuid::now_v7(),
            kind: wanted.kind,
            format: wanted.format,
            from: wanted.from,
            to: wanted.to,
            state: ReportState::Queued,
            requested_by: actor.to_owned(),
            requested_at: self.now(),
            finished_at: None,
            rows: None,
            error: None,
        };
        let tx = self.begin().await?;
        let waiting = table::waiting(tx.conn()).await?;
        if waiting >= REPORTS_WAITING_MAX {
            return Err(MaintenanceError::TooManyReports { waiting });
        }
        table::insert(tx.conn(), &report).await?;
        tx.commit().await?;
        self.report_asked.notify_one();
        Ok(report)
    }

    pub(super) async fn has_report_to_make(&self) -> Result<bool, MaintenanceError> {
        table::has_claimable(self.bus.records().read(), self.now()).await
    }

    /// Makes the next report that waits. `false` when none does.
    pub(crate) async fn make_report(&self) -> Result<bool, MaintenanceError> {
        let now = self.now();
        let tx = self.begin().await?;
        let Some(mut report) = table::claim(tx.conn(), now, now.plus(CLAIM)).await? else {
            return Ok(false);
        };
        tx.commit().await?;
        let content = match self.write_report(&report).await {
            Ok((content, rows)) => {
                report.state = ReportState::Done;
                report.rows = Some(rows);
                Some(content)
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "report failed");
                report.state = ReportState::Failed;
                report.error = Some("the report could not be made; ask for it again".to_owned());
                None
            }
        };
        report.finished_at = Some(self.now());
        let tx = self.begin().await?;
        table::finish(tx.conn(), &report, content).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn write_report(&self, report: &Report) -> Result<(String, u64), MaintenanceError> {
        let wanted = Wanted {
            starts_from: Some(report.from),
            starts_to: Some(report.to),
            ..Wanted::default()
        };
        let work = work::list(self.bus.records().read(), &wanted, REPORT_ROWS_MAX).await?;
        let rows = work.len() as u64;
        let content = match report.format {
            ReportFormat::Csv => report::csv(&work)?,
            ReportFormat::Html => report::html(&work, report.from, report.to, self.now()),
        };
        Ok((content, rows))
    }

    pub(crate) async fn report(&self, id: Uuid) -> Result<Report, MaintenanceError> {
        let found = table::find(self.bus.records().read(), id).await?;
        found.map(|(report, _)| report).ok_or(MaintenanceError::NoSuchReport(id))
    }

    pub(crate) async fn report_content(
        &self,
        id: Uuid,
    ) -> Result<(Report, String), MaintenanceError> {
        let found = table::find(self.bus.records().read(), id).await?;
        let (report, content) = found.ok_or(MaintenanceError::NoSuchReport(id))?;
        match content {
            Some(content) => Ok((report, content)),
            None => Err(MaintenanceError::NotReady { id, state: report.state }),
        }
    }
}
