//! The entities of the scope as candidates of `match`, with the indexes of its conditions.

use super::model::{EndRule, RelationshipRule, SourceFile};
use super::resolved::ResolvedSource;
use crate::graph::{ObjectId, ObjectKind};
use crate::lang::{AccessStep, eval, holds};
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot};
use crate::mapping::model::{MatchAlternative, PropertyAssignment};
use crate::mapping::resolve::{ConditionIndex, EndCandidate, ExprEnvironment, MappingConstants};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// The entities as candidates, in the order of their table, and the indexes of the ends that look for
/// them.
pub(super) struct OwnEntities<'s> {
    pub candidates: Vec<EndCandidate>,
    indexes: FxHashMap<(u32, bool), Vec<ConditionIndex<'s>>>,
}

/// The result of looking for an entity.
pub(super) struct FoundEntities {
    pub entities: Vec<u32>,
    /// True if nothing was looked for, since all that is looked up is undefined.
    pub undefined: bool,
}

impl<'s> OwnEntities<'s> {
    /// Takes the entities that were made, with the properties that edges ask for.
    ///
    /// # Errors
    ///
    /// Those of the temporary file that holds what rows made.
    pub(super) fn new(
        source: &'s SourceFile,
        resolved: &ResolvedSource,
        shared: &MappingConstants<'s>,
    ) -> io::Result<OwnEntities<'s>> {
        let rules: Vec<&RelationshipRule> =
            source.relationship_rules().filter(|r| r.late).collect();
        let wanted = wanted_properties(&rules);
        let scope: Arc<str> = source.scope.as_str().into();
        let names = resolved.names.property_names();
        let (types, classes) = (resolved.names.type_names(), resolved.names.class_sets());
        let is_wanted: Vec<bool> = names.iter().map(|name| wanted.contains(&**name)).collect();
        let classes: Vec<Arc<[String]>> =
            classes.iter().map(|set| set.iter().map(|class| class.to_string()).collect()).collect();
        let mut candidates: Vec<EndCandidate> = Vec::with_capacity(resolved.entity_count());
        resolved.entities.records(0..resolved.entity_count(), &mut |record| {
            let mut properties = Vec::new();
            for (name, value) in &record.properties {
                if is_wanted[*name as usize] {
                    let name = Arc::clone(&names[*name as usize]);
                    properties.push((name, value.clone().into_owned()));
                }
            }
            let shown = "displayName";
            if wanted.contains(shown) && !properties.iter().any(|(n, _)| **n == *shown) {
                let text = record.name.as_deref().unwrap_or(&record.key);
                properties.push((shown.into(), text.to_owned().into()));
            }
            candidates.push(EndCandidate {
                id: ObjectId::new(ObjectKind::Entity, &scope, &record.key),
                scope: Arc::clone(&scope),
                key: record.key.to_string(),
                type_name: Arc::clone(&types[record.type_name as usize]),
                classes: Arc::clone(&classes[record.classes as usize]),
                properties,
            });
            Ok::<(), io::Error>(())
        })?;
        let mut indexes = FxHashMap::default();
        for rule in rules {
            for (end, root) in [(&rule.from, PathRoot::From), (&rule.to, PathRoot::To)] {
                if let EndRule::Match { alternatives, .. } = end {
                    let built = alternatives
                        .iter()
                        .map(|a| ConditionIndex::build(&a.when, root, &candidates, shared))
                        .collect();
                    indexes.insert((rule.number, root == PathRoot::To), built);
                }
            }
        }
        Ok(OwnEntities { candidates, indexes })
    }

    /// The entities that the first alternative to find any finds, ascending.
    pub(super) fn find(
        &self,
        rule: u32,
        root: PathRoot,
        (types, alternatives): (&[String], &'s [MatchAlternative]),
        env: &ExprEnvironment<'_>,
    ) -> FoundEntities {
        let indexes = &self.indexes[&(rule, root == PathRoot::To)];
        let mut found = Vec::new();
        let mut undefined = true;
        for (alternative, index) in alternatives.iter().zip(indexes) {
            undefined &= index.probe().is_some_and(|probe| eval(probe, env).is_none());
            index.look_up(env, &mut found);
            found.retain(|&at| {
                let candidate = &self.candidates[at as usize];
                let typed = types.is_empty() || types.iter().any(|t| **t == *candidate.type_name);
                typed && holds(&alternative.when, &env.with(root, candidate))
            });
            if !found.is_empty() {
                return FoundEntities { entities: found, undefined: false };
            }
        }
        FoundEntities { entities: found, undefined }
    }
}

/// The names of properties that edges read of their ends.
fn wanted_properties(rules: &[&RelationshipRule]) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    let mut visit = |expr: &MappingExpr| {
        expr.walk(&mut |expr| {
            if let MappingExprKind::Path(PathRoot::From | PathRoot::To, steps) = &expr.kind {
                let names = steps.iter().map_while(|step| match step {
                    AccessStep::Name(name) => Some(name.as_str()),
                    _ => None,
                });
                wanted.insert(names.collect::<Vec<_>>().join("."));
            }
        });
    };
    for rule in rules {
        for end in [&rule.from, &rule.to] {
            if let EndRule::Match { alternatives, .. } = end {
                alternatives.iter().for_each(|a| visit(&a.when));
            }
        }
        for template in [Some(&rule.class), rule.type_name.as_ref(), rule.key.as_ref()] {
            template.into_iter().flat_map(|t| t.expressions()).for_each(&mut visit);
        }
        for property in &rule.properties {
            match property {
                super::model::PropertyRule::Spread(expr)
                | super::model::PropertyRule::Path(_, expr) => visit(expr),
                super::model::PropertyRule::Assign(_, PropertyAssignment::Template(text)) => {
                    text.expressions().for_each(&mut visit);
                }
                super::model::PropertyRule::Assign(..) => {}
            }
        }
    }
    wanted
}
