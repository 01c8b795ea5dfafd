//! The graph of a picture: what an answer says about entities, hop by hop.
//!
//! Each answer is turned into nodes in columns of the same distance from where it starts. An entity that
//! chains pass at two distances is two nodes, so that every edge leads from one column to the next.

use super::cards::grouped;
use crate::answers::{
    BlastRadiusAnswer, CyclesAnswer, NamedChain, NamedChainStep, OwnersAnswer, PathAnswer,
    RelationshipHead, clean, display,
};
use crate::graph::EntityHead;
use crate::rules::ImpactState;
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What a picture shows, before anything is folded or placed.
pub struct PictureGraph<'a> {
    /// What was asked: `Blast radius of billing-writer`.
    pub title: String,
    /// The word for one entity that stands in a column, and for several: `reached`.
    pub counted: (&'static str, &'static str),
    /// The nodes, those of a smaller hop first; where the answer starts has hop 0.
    pub nodes: Vec<PictureNode<'a>>,
    /// Scopes whose last job is older than the others' by far.
    pub stale: BTreeSet<&'a str>,
    /// Facts about the answer that no card shows, in sentences.
    pub facts: Vec<String>,
    /// The word for an entity that the answer is about finding, if its card shall say so: `owner`.
    pub goal: Option<&'static str>,
    /// The sentence of an answer that is empty.
    pub nothing: Option<&'static str>,
}

/// An entity at one distance.
pub struct PictureNode<'a> {
    /// The entity.
    pub entity: &'a EntityHead,
    /// Relationships between it and where the answer starts.
    pub hop: u32,
    /// The state in which it is reached, if the answer tells states.
    pub state: Option<ImpactState>,
    /// The reason why it stands here.
    pub role: NodeRole,
    /// The relationships by which it is reached.
    pub links: Vec<PictureLink<'a>>,
}

/// The reason why an entity is in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeRole {
    /// The answer starts there.
    Start,
    /// The answer is that it is found: an owner, the end of a path, a stop on it.
    Goal,
    /// The answer lists it.
    Listed,
    /// A chain to something in the answer leads through it.
    OnTheWay,
}

impl NodeRole {
    /// The name of the role in the classes of a card.
    pub const fn word(self) -> &'static str {
        match self {
            NodeRole::Start => "root",
            NodeRole::Goal => "goal",
            NodeRole::Listed => "listed",
            NodeRole::OnTheWay => "way",
        }
    }
}

/// A relationship from a node of the column before.
#[derive(Clone, Copy)]
pub struct PictureLink<'a> {
    /// Position of that node.
    pub from: u32,
    /// The relationship.
    pub relationship: &'a RelationshipHead,
    /// True if the relationship points away from that node.
    pub onward: bool,
}

impl<'a> PictureNode<'a> {
    fn start(entity: &'a EntityHead) -> PictureNode<'a> {
        PictureNode { entity, hop: 0, state: None, role: NodeRole::Start, links: Vec::new() }
    }

    /// The name that people use for the entity.
    pub fn name(&self) -> Cow<'a, str> {
        let EntityHead { display_name, key, .. } = self.entity;
        clean(display(display_name.as_deref(), key).unwrap_or(key))
    }

    /// The state in one word; a node without one is `plain`.
    pub fn state_word(&self) -> &'static str {
        self.state.map_or("plain", ImpactState::word)
    }
}

/// The name of an entity as titles show it.
fn name(entity: &EntityHead) -> String {
    clean(display(entity.display_name.as_deref(), &entity.key).unwrap_or(&entity.key)).into_owned()
}

/// Up to three names; of more, the number of the others.
fn names<'e>(entities: impl ExactSizeIterator<Item = &'e EntityHead>) -> String {
    let more = entities.len().saturating_sub(3);
    let first: Vec<String> = entities.take(3).map(name).collect();
    let first = first.join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

impl<'a> PictureGraph<'a> {
    /// The graph of a blast radius: a node for each visit, so that a chain that leads through an entity
    /// in a weaker state than its strongest is drawn as it is.
    pub fn of_blast_radius(answer: &'a BlastRadiusAnswer) -> PictureGraph<'a> {
        let mut nodes: Vec<PictureNode<'a>> = answer.roots.iter().map(PictureNode::start).collect();
        let roots: FxHashMap<u32, u32> =
            (0..).zip(&answer.roots).map(|(at, r)| (r.number, at)).collect();
        let mut places: FxHashMap<u32, u32> = FxHashMap::default();
        // Visits come by distance, so the one before is always there already.
        for visit in &answer.reached {
            let from = match visit.before {
                Some(before) => places.get(&before),
                None => roots.get(&visit.from),
            };
            let link = from.map(|&from| PictureLink {
                from,
                relationship: &visit.link,
                onward: visit.link.from == visit.from,
            });
            places.insert(visit.number, nodes.len() as u32);
            nodes.push(PictureNode {
                entity: &visit.entity,
                hop: visit.distance,
                state: visit.state,
                role: if visit.reported { NodeRole::Listed } else { NodeRole::OnTheWay },
                links: link.into_iter().collect(),
            });
        }
        let empty = answer.reported().next().is_none();
        PictureGraph {
            title: format!("Blast radius of {}", names(answer.roots.iter())),
            counted: ("reached", "reached"),
            nodes,
            stale: answer.stale.iter().map(String::as_str).collect(),
            facts: Vec::new(),
            goal: None,
            nothing: empty.then_some("nothing is reached"),
        }
    }

    /// The graph of owners: the owned entities at the left, each chain of evidence the other way round.
    pub fn of_owners(answer: &'a OwnersAnswer) -> PictureGraph<'a> {
        let mut graph = ChainGraph::default();
        for owned in &answer.answers {
            graph.start(&owned.entity);
        }
        for (owner, _) in answer.answers.iter().flat_map(|owned| owned.all()) {
            graph.backward(&owner.entity, &owner.chain);
        }
        let ownerless = answer.answers.iter().filter(|owned| owned.owners.is_empty()).count();
        let nothing = match (answer.answers.is_empty(), ownerless == answer.answers.len()) {
            (true, _) => Some("no such entity"),
            (false, true) => Some("no owner"),
            (false, false) => None,
        };
        let title = match answer.named {
            true => format!("Owners of {}", names(answer.answers.iter().map(|a| &a.entity))),
            false => format!("Owners of entities{}", clean(&answer.words)),
        };
        let facts = match (nothing, ownerless) {
            (Some(_), _) | (None, 0) => Vec::new(),
            (None, 1) => vec!["1 entity has no owner".to_owned()],
            (None, n) => vec![format!("{} entities have no owner", grouped(n))],
        };
        PictureGraph { goal: Some("owner"), ..graph.finish(title, facts, nothing) }
    }

    /// The graph of paths: all chains in one picture, an entity that they share once.
    pub fn of_paths(answer: &'a PathAnswer) -> PictureGraph<'a> {
        let (from, via, to) = answer.stops();
        let mut graph = ChainGraph::default();
        graph.start(from);
        for chain in &answer.chains {
            graph.forward(chain);
        }
        for node in graph.nodes.iter_mut().filter(|node| node.hop > 0) {
            if via.iter().any(|stop| stop.number == node.entity.number) {
                node.role = NodeRole::Goal;
            }
        }
        if answer.chains.is_empty() {
            graph.nodes.push(PictureNode {
                role: NodeRole::Goal,
                hop: 1,
                ..PictureNode::start(to)
            });
        }
        let through = match via {
            [] => String::new(),
            via => format!(" by {}", names(via.iter())),
        };
        let more = answer.total.saturating_sub(answer.chains.len() as u64);
        graph.finish(
            format!("Path from {} to {}{through}", name(from), name(to)),
            more_not_drawn(more, "shortest chain is", "shortest chains are"),
            answer.chains.is_empty().then_some("no chain leads there"),
        )
    }

    /// The graph of cycles: of each a shortest chain from an entity back to itself, which stands at both
    /// ends.
    pub fn of_cycles(answer: &'a CyclesAnswer) -> PictureGraph<'a> {
        let mut graph = ChainGraph::default();
        let mut members = 0;
        for cycle in &answer.cycles {
            graph.start(&cycle.chain.first);
            graph.forward(&cycle.chain);
            members += cycle.members.len().saturating_sub(cycle.chain.links.len()) as u64;
        }
        let title = match answer.cycles.len() {
            1 => "1 cycle".to_owned(),
            n => format!("{n} cycles"),
        };
        graph.finish(
            title,
            more_not_drawn(members, "entity of these cycles is", "entities of these cycles are"),
            answer.cycles.is_empty().then_some("no entity reaches itself again"),
        )
    }

    /// The number of entities that stand in the picture or in its groups, apart from where it starts.
    pub fn listed(&self) -> u64 {
        let listed =
            |node: &&PictureNode<'_>| matches!(node.role, NodeRole::Goal | NodeRole::Listed);
        self.nodes.iter().filter(listed).count() as u64
    }

    /// The names of the scopes in it.
    pub fn scopes(&self) -> BTreeSet<&'a str> {
        self.nodes.iter().map(|node| node.entity.scope.as_str()).collect()
    }
}

/// Says how many more of something there are, if any.
fn more_not_drawn(count: u64, one: &str, many: &str) -> Vec<String> {
    match count {
        0 => Vec::new(),
        1 => vec![format!("1 more {one} not drawn")],
        n => vec![format!("{} more {many} not drawn", grouped(n as usize))],
    }
}

/// Chains while they are laid over each other.
#[derive(Default)]
struct ChainGraph<'a> {
    nodes: Vec<PictureNode<'a>>,
    places: FxHashMap<(u32, u32), u32>,
    /// Both places and the relationship of each link.
    linked: FxHashSet<(u32, u32, u32)>,
}

impl<'a> ChainGraph<'a> {
    fn start(&mut self, entity: &'a EntityHead) {
        self.place(entity, 0, NodeRole::Start);
    }

    /// The place of an entity at a distance. The stronger of two roles stays.
    fn place(&mut self, entity: &'a EntityHead, hop: u32, role: NodeRole) -> u32 {
        let at = *self.places.entry((entity.number, hop)).or_insert_with(|| {
            self.nodes.push(PictureNode { hop, role, ..PictureNode::start(entity) });
            (self.nodes.len() - 1) as u32
        });
        let node = &mut self.nodes[at as usize];
        node.role = node.role.min(role);
        at
    }

    fn link(&mut self, from: u32, to: u32, relationship: &'a RelationshipHead, onward: bool) {
        // Chains that share their beginning bring the same relationship again.
        if self.linked.insert((from, to, relationship.number)) {
            self.nodes[to as usize].links.push(PictureLink { from, relationship, onward });
        }
    }

    /// Lays a chain from its first entity on.
    fn forward(&mut self, chain: &'a NamedChain) {
        let mut from = self.place(&chain.first, 0, NodeRole::Start);
        let mut before = &chain.first;
        for (step, hop) in chain.links.iter().zip(1..) {
            let last = hop as usize == chain.links.len();
            let role = if last { NodeRole::Goal } else { NodeRole::Listed };
            let to = self.place(&step.entity, hop, role);
            self.link(from, to, &step.relationship, step.relationship.from == before.number);
            (from, before) = (to, &step.entity);
        }
    }

    /// Lays a chain from its last entity back to its first.
    fn backward(&mut self, first: &'a EntityHead, steps: &'a [NamedChainStep]) {
        let Some(last) = steps.last() else { return };
        let mut from = self.place(&last.entity, 0, NodeRole::Start);
        for (at, hop) in (0..steps.len()).rev().zip(1..) {
            let (entity, role) = match at {
                0 => (first, NodeRole::Goal),
                at => (&steps[at - 1].entity, NodeRole::Listed),
            };
            let relationship = &steps[at].relationship;
            let to = self.place(entity, hop, role);
            self.link(from, to, relationship, relationship.from == steps[at].entity.number);
            from = to;
        }
    }

    fn finish(
        mut self,
        title: String,
        facts: Vec<String>,
        nothing: Option<&'static str>,
    ) -> PictureGraph<'a> {
        // Positions follow the hops, as links must lead from a smaller one to a larger.
        let mut order: Vec<u32> = (0..self.nodes.len() as u32).collect();
        order.sort_by_key(|&at| (self.nodes[at as usize].hop, at));
        let mut places = vec![0; order.len()];
        for (new, &old) in (0..).zip(&order) {
            places[old as usize] = new;
        }
        for link in self.nodes.iter_mut().flat_map(|node| &mut node.links) {
            link.from = places[link.from as usize];
        }
        self.nodes.sort_by_key(|node| node.hop);
        PictureGraph {
            title,
            counted: ("entity", "entities"),
            nodes: self.nodes,
            stale: BTreeSet::new(),
            facts,
            goal: None,
            nothing,
        }
    }
}
