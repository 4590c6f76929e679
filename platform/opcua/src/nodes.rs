//! Which nodes to watch: those that are named, and the numbers of a subtree.

use std::collections::{HashSet, VecDeque};

use kernel::SensorKey;
use opcua_client::Session;
use opcua_types::{
    BrowseDescription, BrowseDirection, BrowseResult, BrowseResultMaskFlags, NodeClass,
    NodeClassMask, NodeId, ReadValueId, ReferenceDescription, ReferenceTypeId, TimestampsToReturn,
};

use crate::OpcUaError;
use crate::settings::{BrowseSettings, NODES_MAX, NodeName, OpcUaSettings};
use crate::tags::{Last, Tag};
use crate::values;

const NODES_PER_BROWSE: usize = 100;
pub(crate) const NODES_PER_READ: usize = 500;
/// Nodes of a subtree that are looked at, whether or not they are numbers.
const VISITED_MAX: usize = 100_000;
/// A sensor's key has no more parts.
const SEGMENTS_MAX: usize = 8;

/// The nodes of the settings with the ids they have at this server.
pub(crate) async fn find(
    session: &Session,
    settings: &OpcUaSettings,
) -> Result<Vec<Tag>, OpcUaError> {
    let mut tags = Vec::new();
    for node in &settings.nodes {
        let tag = Tag {
            node: resolve(session, &node.node).await?,
            sensor: node.sensor.clone(),
            unit: node.unit_of_measure.clone(),
            sampling_ms: node.sampling_ms.unwrap_or(settings.sampling_ms),
            deadband: node.deadband,
            last: Last::default(),
        };
        tags.push(tag);
    }
    if let Some(subtree) = &settings.browse {
        let named: HashSet<NodeId> = tags.iter().map(|tag| tag.node.clone()).collect();
        let mut keys: HashSet<SensorKey> = tags.iter().map(|tag| tag.sensor.clone()).collect();
        for (node, sensor) in browse(session, subtree).await? {
            if tags.len() < NODES_MAX && !named.contains(&node) && keys.insert(sensor.clone()) {
                let (sampling_ms, last) = (settings.sampling_ms, Last::default());
                tags.push(Tag { node, sensor, unit: None, sampling_ms, deadband: None, last });
            }
        }
    }
    Ok(tags)
}

async fn resolve(session: &Session, text: &str) -> Result<NodeId, OpcUaError> {
    let unknown = |reason: String| OpcUaError::Service { what: "a node of the settings", reason };
    match NodeName::parse(text) {
        Some(NodeName::Number(node)) => Ok(node),
        Some(NodeName::Uri { uri, mut node }) => {
            let index = session.get_namespace_index(&uri).await;
            node.namespace = index.map_err(|error| unknown(format!("{uri}: {error}")))?;
            Ok(node)
        }
        None => Err(unknown(format!("`{text}` is no node id"))),
    }
}

/// Every variable with a number under `root`, with the sensor its path makes of it.
async fn browse(
    session: &Session,
    subtree: &BrowseSettings,
) -> Result<Vec<(NodeId, SensorKey)>, OpcUaError> {
    let root = resolve(session, &subtree.root).await?;
    let mut seen = HashSet::from([root.clone()]);
    let mut waiting = VecDeque::from([(root, Vec::<String>::new())]);
    let mut found = Vec::new();
    while !waiting.is_empty() && seen.len() < VISITED_MAX {
        let some: Vec<(NodeId, Vec<String>)> =
            waiting.drain(..waiting.len().min(NODES_PER_BROWSE)).collect();
        let asked: Vec<BrowseDescription> = some.iter().map(|(node, _)| below(node)).collect();
        let answers = session.browse(&asked, 0, None).await;
        let answers = answers.map_err(OpcUaError::service("browse"))?;
        for ((_, path), answer) in some.into_iter().zip(answers) {
            for child in children(session, answer).await? {
                let node = child.node_id.node_id.clone();
                if child.node_id.server_index != 0 || !seen.insert(node.clone()) {
                    continue;
                }
                let mut path = path.clone();
                path.push(child.browse_name.name.as_ref().to_owned());
                if child.node_class == NodeClass::Variable
                    && let Some(sensor) = key(&subtree.prefix, &path)
                {
                    found.push((node.clone(), sensor));
                }
                if path.len() < subtree.depth as usize {
                    waiting.push_back((node, path));
                }
            }
        }
    }
    only_numbers(session, found).await
}

fn below(node: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: (NodeClassMask::OBJECT | NodeClassMask::VARIABLE).bits(),
        result_mask: BrowseResultMaskFlags::all().bits(),
    }
}

/// The references of an answer and of those that follow it, without properties.
async fn children(
    session: &Session,
    answer: BrowseResult,
) -> Result<Vec<ReferenceDescription>, OpcUaError> {
    let mut all = answer.references.unwrap_or_default();
    let mut point = answer.continuation_point;
    while !point.is_null_or_empty() && all.len() < VISITED_MAX {
        let next = session.browse_next(false, &[point]).await;
        let next = next.map_err(OpcUaError::service("browse"))?.into_iter().next();
        let Some(next) = next else { break };
        all.extend(next.references.unwrap_or_default());
        point = next.continuation_point;
    }
    let property: NodeId = ReferenceTypeId::HasProperty.into();
    all.retain(|child| child.reference_type_id != property);
    Ok(all)
}

/// `prefix` and the path; what is too deep for a key is joined with dots.
fn key(prefix: &str, path: &[String]) -> Option<SensorKey> {
    let room = SEGMENTS_MAX.saturating_sub(prefix.split('/').count()).max(1);
    let clean = |name: &String| -> String {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
    };
    let mut parts: Vec<String> = path.iter().map(clean).filter(|part| !part.is_empty()).collect();
    if parts.len() > room {
        let rest = parts.split_off(room - 1).join(".");
        parts.push(rest);
    }
    SensorKey::new(&format!("{prefix}/{}", parts.join("/"))).ok()
}

async fn only_numbers(
    session: &Session,
    found: Vec<(NodeId, SensorKey)>,
) -> Result<Vec<(NodeId, SensorKey)>, OpcUaError> {
    let mut numbers = Vec::new();
    for some in found.chunks(NODES_PER_READ) {
        let asked: Vec<ReadValueId> =
            some.iter().map(|(node, _)| ReadValueId::from(node.clone())).collect();
        let values = session.read(&asked, TimestampsToReturn::Neither, 0.0).await;
        let values = values.map_err(OpcUaError::service("read"))?;
        for (one, value) in some.iter().zip(values) {
            // A value that is bad now may be a number later.
            if value.value.is_none() || values::number(value.value.as_ref()).is_some() {
                numbers.push(one.clone());
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_becomes_a_key() {
        let key = |prefix: &str, path: &[&str]| {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            super::key(prefix, &path).map(|key| key.as_str().to_owned())
        };
        assert_eq!(key("n/plc", &["Pump 1", "Speed"]).unwrap(), "n/plc/Pump_1/Speed");
        assert_eq!(
            key("n/plc", &["a", "b", "c", "d", "e", "f", "g", "h"]).unwrap(),
            "n/plc/a/b/c/d/e/f.g.h"
        );
        assert_eq!(key("n/plc", &[""]), None);
    }
}
