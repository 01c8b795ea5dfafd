//! Estimates for plans, from the stored counts of the database. They decide between plans only:
//! answers do not depend on them.

use super::read::QueryReader;
use super::resolved::{
    EntityTest, ExpandStep, Predicate, PredicateOperand, ScalarExpr, SelectorKind,
};
use super::spelling::{self, has_class};
use super::syntax::{ComparisonOp, StepDirection};
use crate::graph::{GraphRead, ScopeCounts, Value};

/// A guess at the share of entities that fit a condition. It decides between plans only: answers do
/// not depend on it.
pub(super) fn selectivity(test: &Predicate) -> f64 {
    match test {
        Predicate::And(tests) => tests.iter().map(selectivity).product(),
        Predicate::Or(tests) => tests.iter().map(selectivity).sum::<f64>().min(1.0),
        Predicate::Not(test) => 1.0 - selectivity(test),
        Predicate::Compare { op, negated, right, .. } => {
            let part = match (op, right) {
                (ComparisonOp::Equal, PredicateOperand::Term(ScalarExpr::Undefined)) => 0.3,
                (
                    ComparisonOp::Equal | ComparisonOp::Begins | ComparisonOp::Ends,
                    PredicateOperand::Term(_),
                ) => 0.05,
                (ComparisonOp::Equal, PredicateOperand::Or(all)) => {
                    (0.05 * all.len() as f64).min(0.5)
                }
                (ComparisonOp::Equal, _) => 0.1,
                _ => 0.3,
            };
            if *negated { 1.0 - part } else { part }
        }
    }
}

/// Statistics from the stored counts of the database.
pub(super) struct StoredStatistics {
    pub(super) counts: Vec<ScopeCounts>,
}

impl StoredStatistics {
    /// The spellings of a class that entities have.
    pub(super) fn spellings<'g, G: GraphRead>(
        &self,
        reader: &QueryReader<'g, G>,
        class: &str,
    ) -> Vec<Value<'g>> {
        let all = spelling::classes(reader.graph, &self.counts, class).into_iter();
        all.map(|name| Value::Text(name.into())).collect()
    }

    pub(super) fn entities(&self, scope: Option<u32>) -> f64 {
        let counts = self.counts.iter().filter(|c| scope.is_none_or(|scope| c.scope == scope));
        counts.map(|counts| counts.entities).sum::<u64>() as f64
    }

    /// The estimated number of entities of the kinds and in the scope that are asked for.
    pub(super) fn kinds<G: GraphRead>(
        &self,
        reader: &QueryReader<'_, G>,
        test: &EntityTest,
    ) -> f64 {
        let graph = reader.graph;
        let scope = test.scope.as_ref().map(|scope| graph.name_number(scope).unwrap_or(u32::MAX));
        let counts = || self.counts.iter().filter(|c| scope.is_none_or(|scope| c.scope == scope));
        let each = |kind: &SelectorKind| match kind {
            SelectorKind::Any => self.entities(scope),
            SelectorKind::Words(words) => {
                self.entities(scope) * 0.1_f64.powi(words.len().min(9) as i32)
            }
            SelectorKind::Type(name) => {
                let number = graph.name_number(name).unwrap_or(u32::MAX);
                counts().filter_map(|c| c.types.get(&number)).sum::<u64>() as f64
            }
            SelectorKind::Class(name) => {
                let sets = counts().flat_map(|counts| &counts.classes);
                sets.filter(|(set, _)| has_class(graph.name(**set), name))
                    .map(|(_, n)| n)
                    .sum::<u64>() as f64
            }
            SelectorKind::All(tests) => {
                let parts = tests.iter().map(|test| {
                    self.kinds(reader, test) * test.with.as_ref().map_or(1.0, selectivity)
                });
                parts.fold(self.entities(scope), f64::min)
            }
        };
        // An entity of two of these kinds is counted twice, but there are no more than all.
        test.any.iter().map(each).sum::<f64>().min(self.entities(scope))
    }

    /// The number of targets that one entity is expected to reach by a step.
    pub(super) fn reached<G: GraphRead>(
        &self,
        reader: &QueryReader<'_, G>,
        hop: &ExpandStep,
    ) -> f64 {
        let total = self.entities(None).max(1.0);
        let edges = match &hop.verbs {
            None => self.counts.iter().flat_map(|c| c.verbs.values()).sum::<u64>() as f64,
            // What the rules tell may have any verb.
            Some(verbs) if verbs.iter().any(|verb| verb.set.is_some()) => {
                self.counts.iter().flat_map(|c| c.verbs.values()).sum::<u64>() as f64
            }
            Some(verbs) => {
                let numbers = |verb: &super::resolved::ResolvedVerb| {
                    spelling::verbs(reader.graph, &verb.name)
                };
                let each = verbs.iter().filter(|verb| !verb.name.is_empty()).flat_map(numbers);
                each.map(|verb| {
                    self.counts.iter().filter_map(|c| c.verbs.get(&verb)).sum::<u64>() as f64
                })
                .sum()
            }
        };
        let ways = if hop.arrow == StepDirection::Both { 2.0 } else { 1.0 };
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        let degree = edges * ways / total;
        let met: f64 = (least..=most.min(20)).map(|n| degree.powi(n as i32)).sum();
        let target = &hop.target;
        let part =
            self.kinds(reader, target) * target.with.as_ref().map_or(1.0, selectivity) / total;
        met.min(total) * part
    }
}
