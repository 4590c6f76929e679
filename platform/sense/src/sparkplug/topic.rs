use std::fmt;
use std::sync::Arc;

/// The namespace of Sparkplug B.
pub(super) const NAMESPACE: &str = "spBv1.0";

/// An edge node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId {
    pub(super) group: Arc<str>,
    pub(super) node: Arc<str>,
}

impl NodeId {
    pub(super) fn command_topic(&self) -> String {
        format!("{NAMESPACE}/{}/NCMD/{}", self.group, self.node)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.node)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Birth,
    Data,
    Death,
}

/// What a topic says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Node(Verb, NodeId),
    Device(Verb, NodeId, String),
    /// Of the host named.
    State(String),
    /// Commands, which are for others.
    Command,
}

pub(super) fn state_topic(host: &str) -> String {
    format!("{NAMESPACE}/STATE/{host}")
}

impl Topic {
    /// `None` for a topic that Sparkplug does not know.
    pub(super) fn parse(topic: &str) -> Option<Self> {
        let mut parts = topic.split('/');
        let (space, group) = (parts.next()?, parts.next()?);
        let (kind, node, device) = (parts.next()?, parts.next(), parts.next());
        if space != NAMESPACE || parts.next().is_some() {
            return None;
        }
        if group == "STATE" && node.is_none() {
            return Some(Self::State(kind.to_owned()));
        }
        let node = node.filter(|node| !node.is_empty() && !group.is_empty())?;
        let id = NodeId { group: Arc::from(group), node: Arc::from(node) };
        let verb = match kind {
            "NBIRTH" | "DBIRTH" => Verb::Birth,
            "NDATA" | "DDATA" => Verb::Data,
            "NDEATH" | "DDEATH" => Verb::Death,
            "NCMD" | "DCMD" => return Some(Self::Command),
            _ => return None,
        };
        match (kind.starts_with('N'), device) {
            (true, None) => Some(Self::Node(verb, id)),
            (false, Some(device)) if !device.is_empty() => {
                Some(Self::Device(verb, id, device.to_owned()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read() {
        let id = NodeId { group: "north".into(), node: "gw-1".into() };
        let parse = Topic::parse;
        assert_eq!(parse("spBv1.0/north/NBIRTH/gw-1"), Some(Topic::Node(Verb::Birth, id.clone())));
        let data = Topic::Device(Verb::Data, id.clone(), "p-2".to_owned());
        assert_eq!(parse("spBv1.0/north/DDATA/gw-1/p-2"), Some(data));
        assert_eq!(parse("spBv1.0/STATE/plainview"), Some(Topic::State("plainview".to_owned())));
        assert_eq!(parse(&id.command_topic()), Some(Topic::Command));
        for text in [
            "spBv1.0/north/NBIRTH",
            "spBv1.0/north/NBIRTH/gw-1/p-2",
            "spBv1.0/north/DDATA/gw-1",
            "spBv1.0/north/DDATA/gw-1/p-2/x",
            "spAv1.0/north/NBIRTH/gw-1",
            "spBv1.0/north/XYZ/gw-1",
            "spBv1.0//NDATA/gw-1",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
