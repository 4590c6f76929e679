//! What a server recorded while nobody listened.

use std::time::Duration;

use kernel::{Reading, Timestamp};
use opcua_client::{HistoryReadAction, Session};
use opcua_types::{
    ByteString, HistoryData, HistoryReadValueId, NodeId, ReadRawModifiedDetails, StatusCode,
    TimestampsToReturn,
};

use crate::OpcUaError;
use crate::tags::Tag;
use crate::values::ua_time;

const VALUES_PER_REQUEST: u32 = 1_000;
/// Readings of one node and gap; what is older than that is left.
const VALUES_PER_NODE_MAX: usize = 1_000_000;
/// A shorter gap is what lies between two notifications.
const GAP_MIN: Duration = Duration::from_secs(2);

/// What became of a gap.
pub(crate) enum Filled {
    /// There was none.
    Nothing,
    /// The server keeps no history of this node.
    Unsupported,
    /// So many readings, the first one after the given time.
    Readings { count: usize, from: Timestamp },
}

/// Fills the gap of one node up to `until`, handing over page by page.
pub(crate) async fn fill(
    session: &Session,
    tag: &Tag,
    until: Timestamp,
    reach: Duration,
    mut hand_over: impl FnMut(Vec<Reading>),
) -> Result<Filled, OpcUaError> {
    let Some(last) = tag.last.good_until.filter(|last| until.since(*last) >= GAP_MIN) else {
        return Ok(Filled::Nothing);
    };
    let from = last.max(until.minus(reach));
    let mut point = ByteString::null();
    let mut count = 0;
    loop {
        let (status, values, next) = page(session, &tag.node, from, until, point).await?;
        if matches!(
            status,
            StatusCode::BadHistoryOperationUnsupported
                | StatusCode::BadNotSupported
                | StatusCode::BadUserAccessDenied
                | StatusCode::BadNotReadable
        ) {
            return Ok(Filled::Unsupported);
        }
        let readings: Vec<Reading> = values
            .iter()
            .filter_map(|value| tag.past(value))
            // The one that began the gap is known.
            .filter(|reading| reading.at > from && reading.at <= until)
            .collect();
        count += readings.len();
        hand_over(readings);
        if status.is_bad() || next.is_null_or_empty() || count >= VALUES_PER_NODE_MAX {
            break;
        }
        point = next;
    }
    Ok(if count == 0 { Filled::Nothing } else { Filled::Readings { count, from } })
}

async fn page(
    session: &Session,
    node: &NodeId,
    from: Timestamp,
    until: Timestamp,
    continuation_point: ByteString,
) -> Result<(StatusCode, Vec<opcua_types::DataValue>, ByteString), OpcUaError> {
    let details = HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
        is_read_modified: false,
        start_time: ua_time(from),
        end_time: ua_time(until),
        num_values_per_node: VALUES_PER_REQUEST,
        return_bounds: false,
    });
    let asked = HistoryReadValueId {
        node_id: node.clone(),
        continuation_point,
        ..HistoryReadValueId::default()
    };
    let answer = session.history_read(details, TimestampsToReturn::Both, false, &[asked]).await;
    let answer = match answer {
        Ok(answer) => answer,
        // A server without history refuses the whole service.
        Err(error) if error.status() == StatusCode::BadServiceUnsupported => {
            let status = StatusCode::BadHistoryOperationUnsupported;
            return Ok((status, Vec::new(), ByteString::null()));
        }
        Err(error) => return Err(OpcUaError::service("history")(error)),
    };
    let Some(result) = answer.into_iter().next() else {
        return Ok((StatusCode::Good, Vec::new(), ByteString::null()));
    };
    let data = result.history_data.into_inner_as::<HistoryData>();
    let values = data.and_then(|data| data.data_values).unwrap_or_default();
    Ok((result.status_code, values, result.continuation_point))
}
