//! Where pipes end: nodes, alone or joined by valves and pumps, each group solved by itself.

use super::balance::{Balance, Edge, Far, Loss, Point, Unsettled};
use super::controls::Settings;
use super::lanes::Lanes;
use super::network::{Beyond, Network};
use super::steady::Steady;
use super::valve::ValveLaw;

/// Friction at an end takes the flow of the round before; each round leaves a share of the error
/// that is the head lost in half a reach over the wave head.
const ROUNDS_MAX: usize = 12;
/// A loss within a reach that changes by less than this has settled, m.
const SETTLED_M: f64 = 1e-9;

/// The end of a pipe at a node.
#[derive(Clone, Copy, Debug)]
struct PipeEnd {
    stretch: usize,
    point: usize,
    /// The pipe's flow arrives here.
    arrives: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Element {
    Valve(usize),
    Pump(usize),
    Leak(usize),
}

/// Nodes that valves and pumps join, with all that stands there.
#[derive(Clone, Debug)]
pub(super) struct Group {
    nodes: Vec<usize>,
    ends: Vec<Vec<PipeEnd>>,
    elements: Vec<Element>,
    balance: Balance,
}

/// The elements of a network with the edge each is, whose points are nodes.
pub(super) fn elements(network: &Network) -> Vec<(Element, Edge)> {
    let edge = |from: usize, to: Far| Edge {
        from,
        to,
        loss: Loss::Given(0.0),
        one_way: false,
        shut: true,
        flow: 0.0,
    };
    let valves = network.valves.iter().enumerate().map(|(index, valve)| {
        let to = match valve.to {
            Beyond::Node(node) => Far::Point(node.0),
            Beyond::Head(head_m) => Far::Head(head_m),
        };
        (Element::Valve(index), edge(valve.from.0, to))
    });
    let pumps = network
        .pumps
        .iter()
        .enumerate()
        .map(|(index, pump)| (Element::Pump(index), edge(pump.from.0, Far::Point(pump.to.0))));
    let leaks = network.leaks.iter().enumerate().map(|(index, leak)| {
        let outside = Far::Head(network.nodes[leak.node.0].elevation_m);
        (Element::Leak(index), edge(leak.node.0, outside))
    });
    valves.chain(pumps).chain(leaks).collect()
}

/// Makes an edge what its element is now.
pub(super) fn adjust(
    edge: &mut Edge,
    element: Element,
    network: &Network,
    settings: &Settings,
    speeds: &[f64],
) {
    let (loss, check) = match element {
        Element::Valve(index) => {
            let share = settings.shares[index];
            let loss = match network.valves[index].law {
                ValveLaw::Flow { open_m3s } => Loss::Given(share * open_m3s),
                ValveLaw::Orifice { conductance } => {
                    Loss::Orifice { conductance: share * conductance }
                }
            };
            (loss, false)
        }
        Element::Pump(index) => {
            let pump = &network.pumps[index];
            (Loss::Pump { curve: pump.curve, speed: speeds[index] }, pump.check_valve)
        }
        Element::Leak(index) => (Loss::Orifice { conductance: settings.leaks[index] }, true),
    };
    let closed = matches!(loss, Loss::Orifice { conductance } if conductance <= 0.0);
    if closed {
        edge.flow = 0.0;
        edge.shut = true;
        edge.one_way = false;
        return;
    }
    // A check valve stays as it is; what was closed by hand opens.
    edge.shut = edge.one_way && edge.shut;
    edge.one_way = check;
    if let Loss::Given(flow) = loss {
        edge.flow = flow;
    }
    edge.loss = loss;
}

impl Group {
    /// All groups of a network; together they hold every node once.
    pub(super) fn all(network: &Network, lanes: &Lanes) -> Vec<Self> {
        let mut owner: Vec<usize> = (0..network.nodes.len()).collect();
        let elements = elements(network);
        for (_, edge) in &elements {
            if let Far::Point(to) = edge.to {
                let (keep, drop) = (owner[edge.from], owner[to]);
                owner.iter_mut().filter(|at| **at == drop).for_each(|at| *at = keep);
            }
        }
        let mut ends: Vec<Vec<PipeEnd>> = vec![Vec::new(); network.nodes.len()];
        for (stretch, pipe) in network.pipes.iter().enumerate() {
            let points = &lanes.stretches[stretch].points;
            let end = |point, arrives| PipeEnd { stretch, point, arrives };
            ends[pipe.from.0].push(end(points.start, false));
            ends[pipe.to.0].push(end(points.end - 1, true));
        }
        let mut roots = owner.clone();
        roots.sort_unstable();
        roots.dedup();
        let nodes_of = |root| (0..owner.len()).filter(|node| owner[*node] == root).collect();
        roots.into_iter().map(|root| Self::of(nodes_of(root), &ends, &elements)).collect()
    }

    fn of(nodes: Vec<usize>, ends: &[Vec<PipeEnd>], elements: &[(Element, Edge)]) -> Self {
        let place = |node: usize| nodes.iter().position(|at| *at == node);
        let mut group = Self {
            ends: nodes.iter().map(|node| ends[*node].clone()).collect(),
            elements: Vec::new(),
            balance: Balance::default(),
            nodes: Vec::new(),
        };
        group.balance.points = vec![Point::default(); nodes.len()];
        for (element, edge) in elements {
            if let Some(from) = place(edge.from) {
                let to = match edge.to {
                    Far::Point(node) => Far::Point(place(node).unwrap_or(from)),
                    head @ Far::Head(_) => head,
                };
                group.elements.push(*element);
                group.balance.edges.push(Edge { from, to, ..edge.clone() });
            }
        }
        group.nodes = nodes;
        group
    }

    /// Takes the flows of elements and the heads of nodes as they are.
    pub(super) fn start(&mut self, steady: &Steady) {
        for (edge, element) in self.balance.edges.iter_mut().zip(&self.elements) {
            let (from, to) = (edge.from, edge.to);
            if let Some(known) = steady.edge(*element) {
                *edge = Edge { from, to, ..known.clone() };
            }
        }
        for (point, node) in self.balance.points.iter_mut().zip(&self.nodes) {
            point.head = steady.heads[*node];
        }
    }

    /// Each element with the flow through it, m3/s.
    pub(super) fn flows(&self) -> impl Iterator<Item = (Element, f64)> + '_ {
        self.elements.iter().copied().zip(self.balance.edges.iter().map(|edge| edge.flow))
    }

    /// Heads and flows at the ends of pipes one step on, from what the lanes bring.
    ///
    /// # Errors
    /// The node near which no balance was found.
    pub(super) fn advance(
        &mut self,
        network: &Network,
        settings: &Settings,
        speeds: &[f64],
        lanes: &mut Lanes,
        heads: &mut [f64],
    ) -> Result<(), usize> {
        for (edge, element) in self.balance.edges.iter_mut().zip(&self.elements) {
            adjust(edge, *element, network, settings, speeds);
        }
        for _ in 0..ROUNDS_MAX {
            self.gather(settings, lanes);
            if self.balance.edges.is_empty() {
                for point in self.balance.points.iter_mut().filter(|point| !point.fixed) {
                    if point.slope > 0.0 {
                        point.head = point.source / point.slope;
                    }
                }
            } else {
                self.balance.solve().map_err(|Unsettled(point)| self.nodes[point])?;
            }
            if self.scatter(lanes) <= SETTLED_M {
                break;
            }
        }
        for (point, node) in self.balance.points.iter().zip(&self.nodes) {
            heads[*node] = point.head;
        }
        Ok(())
    }

    fn gather(&mut self, settings: &Settings, lanes: &Lanes) {
        for (place, node) in self.nodes.iter().enumerate() {
            let point = &mut self.balance.points[place];
            let (mut source, mut slope) = (-settings.demands[*node], 0.0);
            for end in &self.ends[place] {
                let (coming, ease) = end.characteristic(lanes);
                source += coming * ease;
                slope += ease;
            }
            *point = Point { fixed: false, head: point.head, source, slope };
            if let Some(head) = settings.heads[*node] {
                point.fixed = true;
                point.head = head;
            }
        }
    }

    /// Writes heads and flows to the ends of pipes; the greatest change of a loss, m.
    fn scatter(&self, lanes: &mut Lanes) -> f64 {
        let mut change: f64 = 0.0;
        for (point, ends) in self.balance.points.iter().zip(&self.ends) {
            for end in ends {
                let (coming, ease) = end.characteristic(lanes);
                let flow = (coming - point.head) * ease;
                let new = if end.arrives { flow } else { -flow };
                let old = std::mem::replace(&mut lanes.flow[end.point], new);
                lanes.head[end.point] = point.head;
                change = change.max(lanes.quadratic[end.point] * (new * new - old * old).abs());
            }
        }
        change
    }
}

impl PipeEnd {
    /// The head that a wave brings to the end, m, and the flow towards the node per head that it
    /// stands lower there, m2/s.
    fn characteristic(&self, lanes: &Lanes) -> (f64, f64) {
        let stretch = &lanes.stretches[self.stretch];
        let coming =
            if self.arrives { lanes.plus[self.point - 1] } else { lanes.minus[self.point + 1] };
        let turbulent = lanes.quadratic[self.point] * lanes.flow[self.point].abs();
        let friction = 0.5 * turbulent.max(stretch.resistance.laminar);
        (coming, 1.0 / (stretch.impedance + friction))
    }
}
