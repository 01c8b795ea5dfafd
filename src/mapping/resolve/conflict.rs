//! Cardinality: edges that an end may not have together.
//!
//! Edges are counted inside one job. An end may allow only one edge; the edges that share such an
//! end form a group. `prefer` settles a group: the edge with the greatest value stays. Otherwise
//! all of them go, since nothing tells which one is right.

use crate::graph::DraftRelationship;
use crate::lang::PreferenceRank;
use crate::mapping::expression::PathRoot;
use crate::mapping::model::Mapping;
use rustc_hash::FxHashMap;

/// An edge that a row made.
#[derive(Debug)]
pub(in crate::mapping) struct RowRelationship {
    pub draft: DraftRelationship<'static>,
    /// Candidates of `from` and `to`.
    pub ends: (u32, u32),
    /// The row that made it, in the order of the rows that were not filtered.
    pub row: u32,
    /// Properties that it lacks, each with the part of the template that is undefined.
    pub without: Vec<(String, String)>,
    /// The value of `prefer`.
    pub prefer: Option<PreferenceRank>,
    /// False once it lost a conflict.
    pub kept: bool,
}

/// Edges of one entity that break the cardinality.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mapping) struct CardinalityConflict {
    /// The end that allows one edge.
    pub end: PathRoot,
    /// The candidate of that end.
    pub entity: u32,
    /// Its edges.
    pub edges: Vec<u32>,
    /// True if the file says to stop. A conflict that `prefer` settled is not listed at all.
    pub fatal: bool,
}

/// Settles all conflicts: edges that lose are no longer kept.
pub(in crate::mapping) fn resolve_conflicts(
    mapping: &Mapping,
    edges: &mut [RowRelationship],
) -> Vec<CardinalityConflict> {
    let mut conflicts = Vec::new();
    // `one-to-...` limits the edges of each entity of `to`, so they are grouped by `to`.
    if mapping.edge.one_from {
        resolve_end_conflicts(mapping, PathRoot::To, edges, &mut conflicts);
    }
    if mapping.edge.one_to {
        resolve_end_conflicts(mapping, PathRoot::From, edges, &mut conflicts);
    }
    // Unsettled edges go only now, so that the second end was counted with them.
    for conflict in &conflicts {
        for &edge in &conflict.edges {
            edges[edge as usize].kept = false;
        }
    }
    conflicts
}

fn resolve_end_conflicts(
    mapping: &Mapping,
    end: PathRoot,
    edges: &mut [RowRelationship],
    conflicts: &mut Vec<CardinalityConflict>,
) {
    let mut groups: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (edge, i) in edges.iter().zip(0..).filter(|(edge, _)| edge.kept) {
        let entity = if end == PathRoot::To { edge.ends.1 } else { edge.ends.0 };
        groups.entry(entity).or_default().push(i);
    }
    let mut crowded: Vec<(u32, Vec<u32>)> =
        groups.into_iter().filter(|(_, group)| group.len() > 1).collect();
    // A hash map has no stable order, and reports must have one.
    crowded.sort_unstable();
    for (entity, group) in crowded {
        let best = group.iter().map(|&e| &edges[e as usize].prefer).max().cloned().flatten();
        let winners = group.iter().filter(|&&e| edges[e as usize].prefer == best).count();
        // A tie for the greatest value settles nothing.
        let settled = mapping.edge.prefer.is_some() && winners == 1;
        if settled {
            for &e in &group {
                edges[e as usize].kept = edges[e as usize].prefer == best;
            }
            continue;
        }
        let fatal = !mapping.edge.skip_conflicts;
        conflicts.push(CardinalityConflict { end, entity, edges: group, fatal });
    }
}
