//! Properties that a condition asks for and that no entity of an end has: mistakes more often than not,
//! and such a condition holds for nothing.

use super::mapping_graph::{MappingGraph, PropertyProjection, property_name};
use crate::lang::{AccessStep, Diagnostic, ExprFunction, TermOperator, closest};
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot, PathStep};
use crate::mapping::model::{Mapping, MatchAlternative, MatchStrategy, PairSource};
use std::collections::{BTreeMap, BTreeSet};

/// The names that a path of an entity begins with: together they are one property.
pub(super) fn names_of(steps: &[PathStep]) -> &[PathStep] {
    let names = steps.iter().take_while(|step| matches!(step, AccessStep::Name(_))).count();
    &steps[..names]
}

/// The properties of an end without which an expression holds for nothing. What may be missing is left
/// out: what is compared with `undefined`, stands in for another value, or is denied.
fn needed(expr: &MappingExpr, root: PathRoot, names: &mut BTreeSet<String>) {
    match &expr.kind {
        MappingExprKind::Path(of, steps) if *of == root => {
            let name = property_name(names_of(steps));
            // Names with `_` are metadata, which each entity has.
            names.extend(name.filter(|name| !name.is_empty() && !name.starts_with('_')));
        }
        MappingExprKind::Call(ExprFunction::Default | ExprFunction::If, ..)
        | MappingExprKind::Not(_)
        | MappingExprKind::Compare(_, TermOperator::NotEqual, _) => {}
        MappingExprKind::Compare(left, _, right)
            if left.is_undefined_literal() || right.is_undefined_literal() => {}
        MappingExprKind::Compare(left, _, right) => {
            needed(left, root, names);
            needed(right, root, names);
        }
        MappingExprKind::Call(_, parts, _)
        | MappingExprKind::List(parts)
        | MappingExprKind::And(parts)
        | MappingExprKind::Or(parts) => parts.iter().for_each(|part| needed(part, root, names)),
        MappingExprKind::Steps(inner, _) => needed(inner, root, names),
        _ => {}
    }
}

impl Mapping {
    /// The conditions that name entities, each with its place in the file, and true if no other one
    /// stands in for it.
    fn conditions(&self) -> Vec<(&MappingExpr, &std::ops::Range<usize>, bool)> {
        let mut all = Vec::new();
        let take = |of: &[MatchAlternative]| of.len() == 1;
        if let PairSource::Join(of) = &self.pairs {
            let alone = take(of);
            all.extend(of.iter().map(|alternative| (&alternative.when, &alternative.span, alone)));
        }
        for end in [&self.from, &self.to] {
            all.extend(end.filter.iter().map(|filter| (filter, &end.span, true)));
            if let MatchStrategy::Match(of) = &end.find {
                let alone = take(of);
                all.extend(
                    of.iter().map(|alternative| (&alternative.when, &alternative.span, alone)),
                );
            }
        }
        all
    }

    /// The properties of an end that any condition needs.
    pub(super) fn needed_properties(&self, root: PathRoot) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.conditions().into_iter().for_each(|(expr, ..)| needed(expr, root, &mut names));
        names
    }

    /// A fault for each property that a condition needs and that is `absent` from all entities of an end.
    pub(super) fn absent_properties<G: MappingGraph>(
        &self,
        root: PathRoot,
        absent: &BTreeSet<String>,
        graph: &G,
    ) -> Result<Vec<Diagnostic>, G::Error> {
        if absent.is_empty() {
            return Ok(Vec::new());
        }
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        let select = &self.end(root).select;
        graph.entities(select, &PropertyProjection::All, &mut |candidate| {
            for (name, _) in &candidate.properties {
                match known.get_mut(&**name) {
                    Some(count) => *count += 1,
                    None => drop(known.insert(name.to_string(), 1)),
                }
            }
        })?;
        known.retain(|name, _| !name.starts_with('_'));
        let table = if root == PathRoot::From { "from" } else { "to" };
        let mut faults = Vec::new();
        for name in absent {
            let mut places = self.conditions().into_iter().filter(|(expr, ..)| {
                let mut names = BTreeSet::new();
                needed(expr, root, &mut names);
                names.contains(name)
            });
            let Some((_, span, alone)) = places.next() else { continue };
            let words = format!("no entity of `[{table}]` has the property `{name}`");
            let help = match closest(name, known.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let mut known: Vec<(&String, &u64)> = known.iter().collect();
                    known.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
                    let known: Vec<String> =
                        known.iter().take(10).map(|(name, _)| format!("`{name}`")).collect();
                    match known.is_empty() {
                        true => "they have no properties at all".to_owned(),
                        false => format!("properties there: {}", known.join(", ")),
                    }
                }
            };
            // Another alternative may find what this one cannot, and entities without any property are
            // a beginning more often than a mistake.
            let fault = match alone && !known.is_empty() {
                true => Diagnostic::error("M0508", &self.source, words),
                false => Diagnostic::warning("M0508", &self.source, words),
            };
            faults.push(fault.at(span.clone(), "").help(help));
        }
        Ok(faults)
    }
}
