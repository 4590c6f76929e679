//! What a server recorded while nobody listened.

use std::time::Duration;

use kernel::{Reading, Timestamp};
use opcua_client::{HistoryReadAction, Session};
use opcua_types::{
    AttributeId, ByteString, HistoryData, HistoryReadValueId, NodeId, ReadRawModifiedDetails,
    ReadValueId, StatusCode, TimestampsToReturn, Variant,
};

use crate::OpcUaError;
use crate::nodes::NODES_PER_READ;
use crate::tags::Tag;
use crate::values::ua_time;

const VALUES_PER_REQUEST: u32 = 1_000;
/// Readings of one node and gap; what is older than that is left.
const VALUES_PER_NODE_MAX: usize = 1_000_000;
/// A shorter gap is what lies between two notifications.
const GAP_MIN: Duration = Duration::from_secs(2);

/// The bit of an access level that says that history can be read (OPC 10000-3, 8.57).
const HISTORY_READ: u8 = 0b100;

/// Of which nodes the server keeps a history, in the order of `tags`.
pub(crate) async fn recorded(session: &Session, tags: &[Tag]) -> Result<Vec<bool>, OpcUaError> {
    let mut recorded = Vec::with_capacity(tags.len());
    for some in tags.chunks(NODES_PER_READ) {
        let asked: Vec<ReadValueId> = some
            .iter()
            .map(|tag| ReadValueId {
                node_id: tag.node.clone(),
                attribute_id: AttributeId::AccessLevel as u32,
                ..ReadValueId::default()
            })
            .collect();
        let levels = session.read(&asked, TimestampsToReturn::Neither, 0.0).await;
        let levels = levels.map_err(OpcUaError::service("read"))?;
        let has = |level: Option<&Variant>| matches!(level, Some(Variant::Byte(level)) if level & HISTORY_READ != 0);
        let level = |index: usize| levels.get(index).and_then(|value| value.value.as_ref());
        recorded.extend((0..some.len()).map(|index| has(level(index))));
    }
    Ok(recorded)
}

/// What became of a gap.
pub(crate) enum Filled {
    /// There was none.
    Nothing,
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
        Err(error) => return Err(OpcUaError::service("history")(error)),
    };
    let Some(result) = answer.into_iter().next() else {
        return Ok((StatusCode::Good, Vec::new(), ByteString::null()));
    };
    let data = result.history_data.into_inner_as::<HistoryData>();
    let values = data.and_then(|data| data.data_values).unwrap_or_default();
    Ok((result.status_code, values, result.continuation_point))
}
