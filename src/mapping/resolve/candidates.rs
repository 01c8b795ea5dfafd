//! The entities that an end may be, read once for each run.

use super::absent_properties::names_of;
use super::environment::{ExprEnvironment, MappingConstants};
use super::mapping_graph::{EndCandidate, MappingGraph, PropertyProjection, property_name};
use crate::graph::ObjectId;
use crate::lang::holds;
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot, Template};
use crate::mapping::model::{
    EndDefinition, Mapping, MatchAlternative, MatchStrategy, PairSource, PropertyAssignment,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// The candidates of one end.
#[derive(Debug, Default)]
pub(in crate::mapping) struct CandidateSet {
    pub candidates: Vec<EndCandidate>,
    by_id: FxHashMap<ObjectId, u32>,
    /// The number of entities that the selection had before `where`.
    pub selected: u64,
    /// Properties that a condition needs and that none of these entities has.
    pub absent: BTreeSet<String>,
}

impl CandidateSet {
    /// The candidate with this id.
    pub(in crate::mapping) fn with_id(&self, id: ObjectId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Reads the candidates of an end.
    pub(in crate::mapping) fn read<G: MappingGraph>(
        mapping: &Mapping,
        root: PathRoot,
        graph: &G,
    ) -> Result<CandidateSet, G::Error> {
        let end = mapping.end(root);
        let wanted = PropertyProjection::Only(mapping.properties_of(root));
        let shared = mapping.shared();
        let needed = mapping.needed_properties(root);
        let mut side = CandidateSet { absent: needed, ..CandidateSet::default() };
        graph.entities(&end.select, &wanted, &mut |candidate| {
            side.selected += 1;
            if !side.absent.is_empty() {
                for (name, _) in &candidate.properties {
                    side.absent.remove(&**name);
                }
            }
            let kept = end.filter.as_ref().is_none_or(|filter| {
                holds(filter, &ExprEnvironment::of_end(&shared, root, &candidate))
            });
            if kept {
                side.candidates.push(candidate);
            }
        })?;
        // Only `key` and `id` look up by id; conditions have indexes of their own.
        if matches!(end.find, MatchStrategy::Key(..) | MatchStrategy::Id(..)) {
            side.by_id =
                side.candidates.iter().zip(0..).map(|(candidate, i)| (candidate.id, i)).collect();
        }
        Ok(side)
    }
}

/// True if an expression names what is around a row.
pub(in crate::mapping) fn mentions_around(expr: &MappingExpr) -> bool {
    let around = |expr: &MappingExpr| match &expr.kind {
        MappingExprKind::Path(root, _) => root.is_around(),
        _ => false,
    };
    expr.any(&around)
}

impl Mapping {
    pub(in crate::mapping) fn end(&self, root: PathRoot) -> &EndDefinition {
        if root == PathRoot::From { &self.from } else { &self.to }
    }

    pub(in crate::mapping) fn shared(&self) -> MappingConstants<'_> {
        MappingConstants { tables: &self.tables, junk: &self.junk, lets: &[] }
    }

    /// The properties of an end that any expression of the file names.
    fn properties_of(&self, root: PathRoot) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.each_expression(&mut |expr| {
            expr.walk(&mut |expr| {
                if let MappingExprKind::Path(of, steps) = &expr.kind
                    && *of == root
                    && let Some(name) = property_name(names_of(steps))
                    // Every candidate has these five, so the graph need not be asked for them.
                    && !matches!(name.as_str(), "_key" | "_scope" | "_type" | "_id" | "_class")
                {
                    names.insert(name);
                }
            });
        });
        names
    }

    /// True if any expression names what is around a row.
    pub(in crate::mapping) fn mentions_enclosing_data(&self) -> bool {
        let mut asks = false;
        self.each_expression(&mut |expr| asks |= mentions_around(expr));
        asks
    }

    fn each_expression<'m>(&'m self, visit: &mut impl FnMut(&'m MappingExpr)) {
        fn template<'m>(template: &'m Template, visit: &mut impl FnMut(&'m MappingExpr)) {
            template.expressions().for_each(visit);
        }
        fn properties<'m>(
            properties: &'m [(String, PropertyAssignment)],
            visit: &mut impl FnMut(&'m MappingExpr),
        ) {
            for (_, property) in properties {
                if let PropertyAssignment::Template(text) = property {
                    template(text, visit);
                }
            }
        }
        fn alternatives<'m>(of: &'m [MatchAlternative], visit: &mut impl FnMut(&'m MappingExpr)) {
            for alternative in of {
                visit(&alternative.when);
                properties(&alternative.properties, visit);
            }
        }
        match &self.pairs {
            PairSource::Join(of) => alternatives(of, visit),
            // The filter of `entities` is left out: such rows are read with all their properties.
            PairSource::Rows { filter, .. } => filter.iter().for_each(&mut *visit),
        }
        for end in [&self.from, &self.to] {
            end.filter.iter().chain(&end.prefer).for_each(&mut *visit);
            match &end.find {
                MatchStrategy::Key(text, _) | MatchStrategy::Id(text, _) => template(text, visit),
                MatchStrategy::Match(of) => alternatives(of, visit),
                MatchStrategy::Joined => {}
            }
        }
        for text in self.edge.type_name.iter().chain(&self.edge.key) {
            template(text, visit);
        }
        properties(&self.edge.properties, visit);
        self.edge.prefer.iter().for_each(&mut *visit);
        for promise in &self.promises {
            // `covers` reads the same candidates, so they must have the properties of its `where`.
            if let crate::mapping::model::TestExpectation::Covers(covers) = &promise.ask {
                covers.filter.iter().for_each(&mut *visit);
            }
        }
    }
}
