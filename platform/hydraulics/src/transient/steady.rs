//! The state in which nothing moves, of the very equations that the steps solve.

use std::f64::consts::PI;

use super::balance::{Balance, Edge, Far, Loss, Point, Unsettled};
use super::boundary::{Element, adjust, elements};
use super::controls::Settings;
use super::lanes::Lanes;
use super::network::Network;
use crate::Error;

/// What may be missing in the balance of a node, m3/s.
const MISSING_M3S: f64 = 1e-7;

/// Heads by node and edges by element.
pub(super) struct Steady {
    pub(super) heads: Vec<f64>,
    elements: Vec<(Element, Edge)>,
}

impl Steady {
    /// Finds the steady state and fills the lanes with it.
    ///
    /// # Errors
    /// A part whose head nothing fixes, or flows for which no heads are found.
    pub(super) fn find(
        network: &Network,
        settings: &Settings,
        speeds: &[f64],
        lanes: &mut Lanes,
    ) -> Result<Self, Error> {
        let pipes = network.pipes.iter().zip(&lanes.stretches).map(|(pipe, stretch)| Edge {
            from: pipe.from.0,
            to: Far::Point(pipe.to.0),
            loss: Loss::Pipe {
                resistance: stretch.resistance,
                reaches: (stretch.points.len() - 1) as f64,
            },
            one_way: false,
            shut: false,
            // 1 m/s is the usual order of magnitude.
            flow: PI * pipe.diameter_m * pipe.diameter_m / 4.0,
        });
        let mut edges: Vec<Edge> = pipes.collect();
        let mut kinds = Vec::new();
        for (element, mut edge) in elements(network) {
            adjust(&mut edge, element, network, settings, speeds);
            if let Loss::Pump { curve, .. } = &edge.loss {
                edge.flow = (curve.shutoff_m / curve.quadratic.abs()).sqrt() / 2.0;
            }
            kinds.push(element);
            edges.push(edge);
        }
        let mut balance = Balance::default();
        balance.points = first_heads(network, settings, &edges)?;
        balance.edges = edges;
        let unsettled = |Unsettled(node)| Error::NoBalance { time_s: 0.0, node };
        // The second time polishes: its start is as good as the first one's end.
        balance.solve().map_err(unsettled)?;
        balance.solve().map_err(unsettled)?;
        if let Some(node) = unbalanced(&balance) {
            return Err(Error::NoBalance { time_s: 0.0, node });
        }
        fill(lanes, &balance);
        let elements = kinds.into_iter().zip(balance.edges.split_off(network.pipes.len()));
        let heads = balance.points.iter().map(|point| point.head).collect();
        Ok(Self { heads, elements: elements.collect() })
    }

    pub(super) fn edge(&self, wanted: Element) -> Option<&Edge> {
        let same = |element: &Element| match (element, wanted) {
            (Element::Valve(a), Element::Valve(b))
            | (Element::Pump(a), Element::Pump(b))
            | (Element::Leak(a), Element::Leak(b)) => *a == b,
            _ => false,
        };
        self.elements.iter().find(|(element, _)| same(element)).map(|(_, edge)| edge)
    }
}

/// Heads to start from; every part that hangs together has one that counts.
fn first_heads(
    network: &Network,
    settings: &Settings,
    edges: &[Edge],
) -> Result<Vec<Point>, Error> {
    let mut part: Vec<usize> = (0..network.nodes.len()).collect();
    for edge in edges.iter().filter(|edge| !edge.shut && !matches!(edge.loss, Loss::Given(_))) {
        if let Far::Point(to) = edge.to {
            let (keep, drop) = (part[edge.from], part[to]);
            part.iter_mut().filter(|at| **at == drop).for_each(|at| *at = keep);
        }
    }
    let mut known: Vec<Option<f64>> = vec![None; network.nodes.len()];
    for (node, head) in settings.heads.iter().enumerate() {
        known[part[node]] = known[part[node]].or(*head);
    }
    for edge in edges.iter().filter(|edge| !edge.shut && !matches!(edge.loss, Loss::Given(_))) {
        if let Far::Head(head) = edge.to {
            known[part[edge.from]] = known[part[edge.from]].or(Some(head));
        }
    }
    for (node, description) in network.nodes.iter().enumerate() {
        known[part[node]] = known[part[node]].or(description.first_head_m);
    }
    let points = settings.heads.iter().enumerate().map(|(node, imposed)| {
        let head = imposed.or(known[part[node]]).ok_or(Error::Undetermined { node })?;
        let source = -settings.demands[node];
        Ok(Point { fixed: imposed.is_some(), head, source, slope: 0.0 })
    });
    points.collect()
}

fn unbalanced(balance: &Balance) -> Option<usize> {
    let mut missing: Vec<f64> = balance.points.iter().map(|point| point.source).collect();
    for edge in &balance.edges {
        missing[edge.from] -= edge.flow;
        if let Far::Point(to) = edge.to {
            missing[to] += edge.flow;
        }
    }
    let balanced = |node: usize| missing[node].abs() <= MISSING_M3S;
    (0..missing.len()).find(|node| !balance.points[*node].fixed && !balanced(*node))
}

fn fill(lanes: &mut Lanes, balance: &Balance) {
    for (stretch, edge) in lanes.stretches.iter().zip(&balance.edges) {
        let first = balance.points[edge.from].head;
        let (loss, _) = stretch.resistance.loss(edge.flow);
        for (reach, point) in stretch.points.clone().enumerate() {
            lanes.head[point] = first - loss * reach as f64;
            lanes.flow[point] = edge.flow;
        }
    }
    lanes.refresh(true);
}
