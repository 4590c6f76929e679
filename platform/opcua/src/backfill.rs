//! What a server recorded while nobody listened: many nodes in one request, the oldest gaps first.

use std::time::Duration;

use kernel::{Reading, Timestamp};
use opcua_client::{HistoryReadAction, Session};
use opcua_types::{
    AttributeId, ByteString, HistoryData, HistoryReadResult, HistoryReadValueId, NodeId,
    ReadRawModifiedDetails, ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use sense::courier::Courier;

use crate::OpcUaError;
use crate::nodes::NODES_PER_READ;
use crate::tags::Tag;
use crate::values::{number, time, ua_time};

/// Nodes asked about at once, unless the server allows fewer.
const NODES_PER_REQUEST: usize = 100;
/// Values in one answer. They take 34 bytes each at most, and a message holds 320 KiB.
const VALUES_PER_ANSWER: usize = 8_000;
const VALUES_PER_PAGE_MAX: usize = 1_000;
/// Readings of one node and gap; what is older than that is left.
const VALUES_PER_NODE_MAX: usize = 1_000_000;
/// A shorter gap is what lies between two notifications.
const GAP_MIN: Duration = Duration::from_secs(2);
/// Gaps that begin so close to each other are asked about together; a tenth of a longer gap too.
const TOGETHER: Duration = Duration::from_secs(10);

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

/// What is missing of one node.
struct Gap {
    tag: usize,
    /// Everything up to here is known.
    known: Timestamp,
    newest: Timestamp,
    values: usize,
    /// Where the server goes on, if it has said so.
    point: ByteString,
}

/// What became of the gaps.
#[derive(Default)]
pub(crate) struct Filled {
    pub(crate) readings: u64,
    pub(crate) requests: u64,
    /// Where the oldest gap with readings began.
    pub(crate) from: Option<Timestamp>,
    /// The first that went wrong.
    pub(crate) failed: Option<String>,
    /// The tags of which nothing is missing now.
    pub(crate) whole: Vec<usize>,
}

/// Reads the gaps of many nodes up to `until`.
pub(crate) struct Backfill<'a> {
    session: &'a Session,
    tags: &'a [Tag],
    courier: &'a mut Courier,
    until: Timestamp,
    nodes_max: usize,
    waiting: Vec<Gap>,
    filled: Filled,
}

impl<'a> Backfill<'a> {
    pub(crate) async fn new(
        session: &'a Session,
        tags: &'a [Tag],
        courier: &'a mut Courier,
        until: Timestamp,
    ) -> Self {
        let nodes_max = nodes_max(session).await;
        let (waiting, filled) = (Vec::new(), Filled::default());
        Self { session, tags, courier, until, nodes_max, waiting, filled }
    }

    /// Fills the gaps of the tags that `recorded` marks, handing over page by page. A node that
    /// fails is left; the others go on.
    pub(crate) async fn run(mut self, recorded: &[bool], reach: Duration) -> Filled {
        for (tag, _) in self.tags.iter().enumerate().zip(recorded).filter(|(_, kept)| **kept) {
            let (index, tag) = tag;
            let Some(last) = tag.last.good_until else { continue };
            if self.until.since(last) < GAP_MIN {
                self.filled.whole.push(index);
                continue;
            }
            let known = last.max(self.until.minus(reach));
            let point = ByteString::null();
            self.waiting.push(Gap { tag: index, known, newest: known, values: 0, point });
        }
        while let Some(group) = self.next_group() {
            self.read(group).await;
        }
        self.filled
    }

    /// The oldest gap, and those that begin soon after it: a request has one time for all.
    fn next_group(&mut self) -> Option<Vec<Gap>> {
        self.waiting.sort_by_key(|gap| gap.known);
        let oldest = self.waiting.first()?.known;
        let close = oldest.plus(TOGETHER.max(self.until.since(oldest) / 10));
        let near = self.waiting.iter().take_while(|gap| gap.known <= close);
        let count = near.take(self.nodes_max).count();
        Some(self.waiting.drain(..count).collect())
    }

    /// Reads a group page by page, as long as the server goes on with any of them.
    async fn read(&mut self, mut group: Vec<Gap>) {
        let Some(from) = group.first().map(|gap| gap.known) else { return };
        let page = (VALUES_PER_ANSWER / group.len()).clamp(1, VALUES_PER_PAGE_MAX);
        while !group.is_empty() {
            self.courier.room().await;
            self.filled.requests += 1;
            let asked = self.ask(from, page as u32, &group).await;
            let results = match asked {
                Ok(results) if results.len() == group.len() => results,
                Ok(_) => return self.fail_all(&group, "an answer for other nodes"),
                Err(error) if is_too_much(error.status()) && group.len() > 1 => {
                    self.nodes_max = group.len() / 2;
                    self.again(group);
                    return;
                }
                Err(error) => return self.fail_all(&group, &error.to_string()),
            };
            let pages = group.into_iter().zip(results);
            group = pages.filter_map(|(gap, result)| self.take(gap, result, page)).collect();
        }
    }

    async fn ask(
        &self,
        from: Timestamp,
        values: u32,
        group: &[Gap],
    ) -> Result<Vec<HistoryReadResult>, opcua_types::Error> {
        let details = HistoryReadAction::ReadRawModifiedDetails(ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: ua_time(from),
            end_time: ua_time(self.until),
            num_values_per_node: values,
            return_bounds: false,
        });
        let asked: Vec<HistoryReadValueId> = group
            .iter()
            .map(|gap| HistoryReadValueId {
                node_id: self.tags[gap.tag].node.clone(),
                continuation_point: gap.point.clone(),
                ..HistoryReadValueId::default()
            })
            .collect();
        self.session.history_read(details, TimestampsToReturn::Both, false, &asked).await
    }

    /// Hands over one node's page. The gap again, when the server says where it goes on.
    fn take(&mut self, mut gap: Gap, result: HistoryReadResult, page: usize) -> Option<Gap> {
        if result.status_code == StatusCode::BadNoContinuationPoints && self.nodes_max > 1 {
            // It remembers so many at once; fewer nodes need fewer.
            self.nodes_max = self.nodes_max.div_ceil(2);
            self.again(vec![gap]);
            return None;
        }
        if result.status_code.is_bad() {
            self.fail_all(&[gap], &result.status_code.to_string());
            return None;
        }
        let data = result.history_data.into_inner_as::<HistoryData>();
        let values = data.and_then(|data| data.data_values).unwrap_or_default();
        let tag = &self.tags[gap.tag];
        let is_missing = |reading: &Reading| reading.at > gap.known && reading.at <= self.until;
        let readings: Vec<Reading> =
            values.iter().filter_map(|value| tag.past(value)).filter(is_missing).collect();
        if !readings.is_empty() {
            self.filled.from = Some(self.filled.from.map_or(gap.known, |at| at.min(gap.known)));
            self.filled.readings += readings.len() as u64;
        }
        let times = values.iter().filter_map(|value| time(value.source_timestamp.as_ref()));
        gap.newest = times.fold(gap.newest, Timestamp::max);
        gap.values += values.len();
        self.courier.send(readings, 0);
        gap.point = result.continuation_point;
        if gap.values >= VALUES_PER_NODE_MAX {
            self.fail_all(&[gap], "the gap holds more than a million values");
            None
        } else if !gap.point.is_null_or_empty() {
            Some(gap)
        } else if values.len() >= page {
            // Some servers cut at the limit and do not say that there is more.
            self.again(vec![gap]);
            None
        } else {
            self.filled.whole.push(gap.tag);
            None
        }
    }

    /// Asks anew from the newest value on, without what the server remembers.
    fn again(&mut self, gaps: Vec<Gap>) {
        for gap in gaps {
            let known = if gap.newest > gap.known {
                gap.newest
            } else if gap.values > 0 {
                // A page of one instant; nothing more of it is to be had.
                gap.known.plus(Duration::from_micros(1))
            } else {
                gap.known
            };
            self.waiting.push(Gap { known, newest: known, point: ByteString::null(), ..gap });
        }
    }

    /// What is new is worth more than what is missing: the subscription goes on without.
    fn fail_all(&mut self, gaps: &[Gap], reason: &str) {
        if let Some(gap) = gaps.first() {
            let sensor = &self.tags[gap.tag].sensor;
            self.filled.failed.get_or_insert_with(|| format!("history of {sensor}: {reason}"));
        }
    }
}

/// Whether fewer nodes in a request may help.
fn is_too_much(status: StatusCode) -> bool {
    [
        StatusCode::BadTooManyOperations,
        StatusCode::BadNoContinuationPoints,
        StatusCode::BadResponseTooLarge,
        StatusCode::BadRequestTooLarge,
        StatusCode::BadEncodingLimitsExceeded,
        StatusCode::BadTcpMessageTooLarge,
        StatusCode::BadTimeout,
    ]
    .contains(&status)
}

/// How many nodes the server lets us ask about at once (OPC 10000-5, 6.3.11).
async fn nodes_max(session: &Session) -> usize {
    let limit = VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData;
    let asked = ReadValueId::from(NodeId::from(limit));
    let read = session.read(&[asked], TimestampsToReturn::Neither, 0.0).await;
    let said = read.ok().and_then(|values| number(values.first()?.value.as_ref()));
    // Zero is no limit, and so is a server that says none.
    let said = said.filter(|limit| *limit >= 1.0).map_or(NODES_PER_REQUEST, |limit| limit as usize);
    said.min(NODES_PER_REQUEST)
}
