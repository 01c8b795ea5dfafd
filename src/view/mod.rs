//! Questions on graphs: blast radius, ownership, shortest paths, cycles.
//!
//! Each question is a function over [`Adjacency`](crate::graph::Adjacency). So it runs on a snapshot
//! of the file, which reads only the neighbourhoods that it meets, and on a [`GraphView`], which holds
//! the whole graph in arrays. Ask the snapshot for one question on a cold file. A thousand questions,
//! or one that visits most of the graph, pay for a view. [`Rules`](crate::rules::Rules) say what
//! relationships mean for impact and ownership.
//!
//! This is the only place that names petgraph: views implement its visit traits, so its algorithms run
//! on them. Nothing here knows of files, jobs or output.

mod blast;
mod graph_view;
mod impact;
mod impact_arrays;
mod metered;
mod owners;
mod paths;
mod scratch_bits;
mod verb_table;
mod visit;

pub use crate::rules::FlowDirection;
pub use blast::{
    BlastRules, BlastScratch, EntityVisit, ReachSet, VerbFlows, blast_radius, chain_to,
};
pub use graph_view::{GraphView, ViewBuildError};
pub use impact::{ImpactResult, StateVisit, impact};
pub use impact_arrays::{ImpactReachSet, ImpactScratch, ImpactView};
pub use metered::MeteredGraph;
pub use owners::{
    NearestEntities, NearestEntity, NearestOwners, OwnerSearch, OwnerWithChain, nearest,
};
pub use paths::{ShortestPathSet, cycles, denies, paths, shortest_cycle};
pub use visit::{FilteredView, ViewEdge, VisitedSet};

use crate::graph::{EdgeDirection, IncidentEdge};

/// The directions in which a walk may take relationships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalkDirection {
    /// With the arrow only.
    Out,
    /// Against the arrow only.
    In,
    /// Either way.
    Both,
}

impl WalkDirection {
    /// The directions to look in from an entity, with the arrow first.
    pub const fn directions(self) -> &'static [EdgeDirection] {
        match self {
            WalkDirection::Out => &[EdgeDirection::Out],
            WalkDirection::In => &[EdgeDirection::In],
            WalkDirection::Both => &[EdgeDirection::Out, EdgeDirection::In],
        }
    }

    /// The way that leads back.
    pub const fn reversed(self) -> WalkDirection {
        match self {
            WalkDirection::Out => WalkDirection::In,
            WalkDirection::In => WalkDirection::Out,
            WalkDirection::Both => WalkDirection::Both,
        }
    }
}

/// One step of a chain of evidence, in the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceStep {
    /// The entity the step leaves.
    pub from: u32,
    /// The entity it arrives at.
    pub to: u32,
    /// Number of the relationship taken.
    pub relationship: u32,
    /// Name number of its verb.
    pub verb: u32,
    /// Number of its label, where the graph has labels: see [`IncidentEdge::label`].
    pub label: u32,
    /// [`EdgeDirection::Out`] if the relationship points from `from` to `to`, [`EdgeDirection::In`] if the
    /// step goes against its arrow.
    pub direction: EdgeDirection,
}

impl EvidenceStep {
    /// The step that leaves `from` along `edge`, which was found looking in `direction`.
    fn leaving(from: u32, edge: IncidentEdge, direction: EdgeDirection) -> EvidenceStep {
        let IncidentEdge { other: to, verb, relationship, label } = edge;
        EvidenceStep { from, to, relationship, verb, label, direction }
    }
}

/// Puts a chain that is given from its end into the order of the walk.
fn chain_back(steps: impl Iterator<Item = EvidenceStep>) -> Vec<EvidenceStep> {
    let mut chain: Vec<EvidenceStep> = steps.collect();
    chain.reverse();
    chain
}

/// True if `verb` is among `verbs`, or if no verbs are given. A person typed the list, so it is short
/// and a linear search is fast.
fn passes(verbs: Option<&[u32]>, verb: u32) -> bool {
    verbs.is_none_or(|verbs| verbs.contains(&verb))
}

#[cfg(test)]
mod testing {
    //! Small graphs and their numbers, shared by the tests of this module.

    use super::GraphView;
    use crate::graph::{EntityFacts, NameLookup};
    use proptest::prelude::*;

    /// A dictionary whose numbers are positions.
    pub struct Dictionary(pub Vec<&'static str>);

    impl NameLookup for Dictionary {
        fn name(&self, number: u32) -> &str {
            self.0[number as usize]
        }
        fn name_number(&self, text: &str) -> Option<u32> {
            self.0.iter().position(|name| *name == text).map(|at| at as u32)
        }
        fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
            (0..).zip(&self.0).for_each(|(number, name)| visit(number, name));
        }
    }

    /// The names of an entity of one class.
    pub fn facts(class: u32) -> EntityFacts {
        EntityFacts { scope: 0, type_name: 0, classes: class, live: true }
    }

    /// One relationship: from, to, verb, number.
    pub type Row = (u32, u32, u32, u32);

    /// The view of relationships numbered in the order given.
    pub fn view(bound: u32, edges: &[(u32, u32, u32)]) -> GraphView {
        GraphView::from_edges(bound, rows(edges)).expect("ends below the bound")
    }

    /// `edges` with their positions as relationship numbers.
    pub fn rows(edges: &[(u32, u32, u32)]) -> Vec<Row> {
        (0..).zip(edges).map(|(number, &(from, to, verb))| (from, to, verb, number)).collect()
    }

    /// Random relationships between a dozen entities with verbs 0 to 3: loops, parallels and
    /// cycles are common.
    pub fn edges() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
        prop::collection::vec((0u32..12, 0u32..12, 0u32..4), 0..36)
    }
}
