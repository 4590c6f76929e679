use kernel::Timestamp;

use crate::model::WorkOrder;

const COLUMNS: [&str; 17] = [
    "number",
    "asset",
    "sensor",
    "title",
    "state",
    "priority",
    "starts_at",
    "ends_at",
    "assignee",
    "approved_by",
    "reason",
    "completed_at",
    "verdict",
    "failure_mode",
    "failure_mechanism",
    "failure_cause",
    "notes",
];

/// The work orders as CSV, safe to open in a spreadsheet.
pub(crate) fn csv(work: &[WorkOrder]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for order in work {
        writer.write_record(row(order).iter().map(|cell| harmless(cell)))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The work orders as one printable page without scripts or outside resources.
#[must_use]
pub(crate) fn html(work: &[WorkOrder], from: Timestamp, to: Timestamp, now: Timestamp) -> String {
    let done = work.iter().filter(|order| order.completion.is_some()).count();
    let head: String = COLUMNS.iter().map(|name| format!("<th>{}</th>", label(name))).collect();
    let body: String = work
        .iter()
        .map(|order| {
            let cells: String =
                row(order).iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Maintenance report</title><style>{STYLE}</style></head><body>\
         <h1>Maintenance report</h1>\
         <p>{} to {}. {} work orders, {done} completed. Made {}.</p>\
         <table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></body></html>\n",
        from,
        to,
        work.len(),
        now,
    )
}

const STYLE: &str = "body{font:13px/1.4 system-ui,sans-serif;margin:24px;color:#222}\
h1{font-size:20px}table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #ccc;padding:4px 6px;text-align:left;vertical-align:top}\
th{background:#eee}@media print{body{margin:0}}";

fn row(order: &WorkOrder) -> [String; 17] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let done = order.completion.as_ref();
    [
        format!("W-{}", order.number),
        order.asset.clone(),
        text(&order.sensor),
        order.title.clone(),
        order.state.as_str().to_owned(),
        order.priority.to_string(),
        order.starts_at.to_string(),
        order.ends_at.to_string(),
        text(&order.assignee),
        order.approved_by.clone(),
        text(&order.reason),
        done.map(|d| d.completed_at.to_string()).unwrap_or_default(),
        done.map(|d| d.verdict.as_str().to_owned()).unwrap_or_default(),
        code(done.and_then(|d| d.failure_mode)),
        code(done.and_then(|d| d.failure_mechanism)),
        code(done.and_then(|d| d.failure_cause)),
        done.map(|d| d.notes.clone()).unwrap_or_default(),
    ]
}

/// The code's name as it stands in JSON.
fn code<T: serde::Serialize>(value: Option<T>) -> String {
    match value.map(serde_json::to_value) {
        Some(Ok(serde_json::Value::String(name))) => name,
        _ => String::new(),
    }
}

/// A cell that a spreadsheet takes for text: what could start a formula gets an apostrophe.
fn harmless(cell: &str) -> String {
    let starts_formula = cell
        .trim_start_matches([' ', '\u{a0}'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if starts_formula { format!("'{cell}") } else { cell.to_owned() }
}

fn label(name: &str) -> String {
    let mut text = name.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{Origin, Severity, WorkState};

    pub(crate) fn order(title: &str) -> WorkOrder {
        WorkOrder {
            work_id: uuid::Uuid::nil(),
            number: 633,
            decision_id: None,
            asset: "north/p-2".to_owned(),
            sensor: None,
            title: title.to_owned(),
            state: WorkState::Scheduled,
            priority: 2,
            starts_at: "2026-11-30T07:00:00Z".parse().unwrap(),
            ends_at: "2026-11-30T11:00:00Z".parse().unwrap(),
            assignee: Some("Mechanical crew".to_owned()),
            skill: "mechanical".to_owned(),
            severity: Severity::High,
            completion: None,
            created_at: Timestamp::from_secs(0),
            approved_by: "ines".to_owned(),
            reason: Some("=1+1".to_owned()),
            late: false,
            anomaly_id: None,
            origin: Origin::Real,
        }
    }

    #[test]
    fn a_cell_never_starts_a_formula() {
        for evil in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1"] {
            let text = csv(&[order(evil)]).unwrap();
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            assert_eq!(&record[3], format!("'{evil}"), "{evil}");
            assert_eq!(&record[10], "'=1+1");
        }
        assert_eq!(harmless("north/p-2"), "north/p-2");
    }

    #[test]
    fn a_page_runs_nothing() {
        let now = Timestamp::from_secs(0);
        let page = html(&[order("<script>alert(1)</script>")], now, now, now);
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(page.contains("1 work orders, 0 completed"));
    }
}
