//! The examples of a mapping: unit tests of its conditions and templates, without a database.

use crate::graph::{NameKind, ObjectId, ObjectKind, Value};
use crate::lang::{Diagnostic, NestedValue, eval, holds};
use crate::mapping::entity_selection::EntitySelection;
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot};
use crate::mapping::model::{Mapping, MappingExample, MatchStrategy, PairSource};
use crate::mapping::resolve::{
    EndCandidate, EndLookup, EntityPresence, ExprEnvironment, MappingGraph, PropertyProjection,
    ResolverOutput, RowOutcome, RowResolver, display_value, name,
};
use crate::mapping::rows::{FrameContent, RowFrame};
use crate::query::{Query, QueryRow};
use std::convert::Infallible;
use std::sync::Arc;

/// The two entities of an example, as a graph.
struct ExampleGraph {
    from: Option<EndCandidate>,
    to: Option<EndCandidate>,
    /// The first call asks for `from`, the second for `to`.
    calls: std::cell::Cell<u32>,
}

impl MappingGraph for ExampleGraph {
    type Error = Infallible;

    fn entities(
        &self,
        _: &EntitySelection,
        _: &PropertyProjection,
        visit: &mut dyn FnMut(EndCandidate),
    ) -> Result<(), Infallible> {
        // `Ends::read` asks for `from` and then for `to`, once each.
        let call = self.calls.replace(self.calls.get() + 1);
        let entity = if call == 0 { &self.from } else { &self.to };
        entity.iter().for_each(|entity| visit(entity.clone()));
        Ok(())
    }

    fn whereabouts(&self, _: &str, _: &str) -> Result<EntityPresence, Infallible> {
        Ok(EntityPresence::default())
    }

    fn types(&self, _: &str) -> Result<Vec<(String, u64)>, Infallible> {
        Ok(Vec::new())
    }

    fn classes(&self, _: &str) -> Result<Vec<(String, u64)>, Infallible> {
        Ok(Vec::new())
    }

    fn ask(&self, _: &Query) -> Result<Result<Vec<QueryRow>, String>, Self::Error> {
        Ok(Err("an example has no graph to ask".to_owned()))
    }

    fn scopes(&self) -> Result<Vec<String>, Infallible> {
        Ok(Vec::new())
    }
}

impl Mapping {
    /// Runs the examples. Returns a fault for each that fails.
    pub fn check_examples(&self) -> Vec<Diagnostic> {
        self.examples.iter().filter_map(|example| self.check_example(example)).collect()
    }

    fn check_example(&self, example: &MappingExample) -> Option<Diagnostic> {
        let pair = ExampleGraph {
            from: self.example_entity(example, PathRoot::From, None),
            to: None,
            calls: std::cell::Cell::new(0),
        };
        // The key of `to` may be made from `from`, so `from` comes first.
        let to = self.example_entity(example, PathRoot::To, pair.from.as_ref());
        let pair = ExampleGraph { to, ..pair };
        let Ok(ends) = EndLookup::read(self, &pair);
        let mut resolver = RowResolver::new(&ends, &pair, None);
        let data = example.row.clone().unwrap_or(NestedValue::Null);
        let row = RowFrame::document(FrameContent::Data(&data), example.number as u32);
        let ran = match self.pairs {
            PairSource::Join(_) => resolver.join(),
            PairSource::Rows { .. } => resolver.row(&row, 0),
        };
        let Ok(()) = ran;
        let run = resolver.finish();
        self.verdict(example, &ends, &run, &row)
    }

    /// Makes an entity with the properties given. An end that is found by its key needs none: an
    /// entity with the key of the row is assumed to exist.
    fn example_entity(
        &self,
        example: &MappingExample,
        root: PathRoot,
        from: Option<&EndCandidate>,
    ) -> Option<EndCandidate> {
        let end = self.end(root);
        let given = if root == PathRoot::From { &example.from } else { &example.to };
        let mut properties = given.clone().unwrap_or_default();
        let mut take = |name: &str| {
            let at = properties.iter().position(|(n, _)| n == name)?;
            Some(properties.remove(at).1)
        };
        let text = |value: Value<'static>| value.as_str().map(str::to_owned);
        let one_of = |names: &[String]| names.first().cloned().unwrap_or_default();
        let scope = take("_scope").and_then(text).unwrap_or_else(|| one_of(&end.select.scopes));
        let type_name = take("_type").and_then(text).unwrap_or_else(|| one_of(&end.select.types));
        let classes = match take("_class") {
            Some(Value::List(items)) => items.into_iter().filter_map(text).collect(),
            Some(class) => text(class).into_iter().collect(),
            None => end.select.classes.iter().take(1).cloned().collect(),
        };
        let key = match (take("_key").and_then(text), &end.find) {
            (Some(key), _) => key,
            (None, MatchStrategy::Key(template, _)) => {
                let data = example.row.clone()?;
                let row = RowFrame::document(FrameContent::Data(&data), 0);
                let shared = self.shared();
                let env = ExprEnvironment::of_row(&shared, &row, None);
                let env = from.map_or(env, |from| env.with(PathRoot::From, from));
                name(template, &env, NameKind::Key).ok()?
            }
            // The example gives an entity, and an entity needs some key.
            (None, _) if given.is_some() => "example".to_owned(),
            (None, _) => return None,
        };
        Some(EndCandidate {
            id: ObjectId::new(ObjectKind::Entity, &scope, &key),
            scope: scope.into(),
            key,
            type_name: if type_name.is_empty() { "entity".into() } else { type_name.into() },
            classes,
            properties: properties.into_iter().map(|(n, v)| (Arc::from(n), v)).collect(),
        })
    }

    fn verdict(
        &self,
        example: &MappingExample,
        ends: &EndLookup<'_>,
        run: &ResolverOutput,
        row: &RowFrame<'_>,
    ) -> Option<Diagnostic> {
        let called = match &example.name {
            Some(name) => format!("example {} (\"{name}\")", example.number),
            None => format!("example {}", example.number),
        };
        let fault = |words: String| {
            Diagnostic::error("M0308", &self.source, format!("{called}: {words}"))
                .at(example.span.clone(), "")
        };
        let edge = run.edges.iter().find(|edge| edge.kept);
        match (edge, example.links) {
            (None, false) => None,
            (None, true) => {
                let told = self.failed_alternatives(ends, row);
                let words = match (run.count.of(RowOutcome::Filtered) > 0, told.split_first()) {
                    (true, _) => "expected these to match; `where` leaves the row out".to_owned(),
                    (_, Some((first, _))) => format!("expected these to match; {first}"),
                    (_, None) => match run.unmatched.first() {
                        Some(row) => format!("expected these to match; {}", row.reason),
                        None => "expected these to match".to_owned(),
                    },
                };
                let rest = told.into_iter().skip(1);
                Some(rest.fold(fault(words), |fault, words| fault.note(words)))
            }
            (Some(edge), false) => {
                let key = &edge.draft.key;
                Some(fault(format!("expected these not to match; they make the edge `{key}`")))
            }
            (Some(edge), true) => {
                let draft = &edge.draft;
                if let Some(key) = example.key.as_ref().filter(|key| **key != draft.key) {
                    return Some(fault(format!("expected the key `{key}`, got `{}`", draft.key)));
                }
                let wrong = example.properties.iter().find_map(|(name, expected)| {
                    let got = draft.properties.iter().find(|(n, _)| n == name).map(|(_, v)| v);
                    (got != Some(expected)).then(|| {
                        let got = got.map_or("nothing".to_owned(), display_value);
                        format!("expected `{name}` to be {}, got {got}", display_value(expected))
                    })
                });
                wrong.map(fault)
            }
        }
    }

    /// The two values that do not meet, for each alternative that fails.
    fn failed_alternatives(&self, ends: &EndLookup<'_>, row: &RowFrame<'_>) -> Vec<String> {
        let shared = self.shared();
        let env = ExprEnvironment::of_row(&shared, row, None);
        let first = |root| ends.side(root).candidates.first();
        let mut told = Vec::new();
        for root in [PathRoot::From, PathRoot::To] {
            let Some(candidate) = first(root) else { continue };
            let mut env = env.with(root, candidate);
            if let (PathRoot::To, Some(from)) = (root, first(PathRoot::From)) {
                env = env.with(PathRoot::From, from);
            }
            let alternatives = self.alternatives(root);
            // One alternative that holds is enough, so the others explain nothing.
            if alternatives.iter().any(|a| holds(&a.when, &env)) {
                continue;
            }
            for (i, alternative) in alternatives.iter().enumerate() {
                let value = |side: &MappingExpr| {
                    eval(side, &env).map_or("undefined".to_owned(), |value| display_value(&value))
                };
                let Some((left, right)) = first_failing_comparison(&alternative.when, &env) else {
                    continue;
                };
                let (left, right) = (value(left), value(right));
                told.push(format!("alternative {} gives {left} and {right}", i + 1));
            }
        }
        told
    }
}

/// The sides of the first comparison that fails.
fn first_failing_comparison<'e>(
    expr: &'e MappingExpr,
    env: &ExprEnvironment<'_>,
) -> Option<(&'e MappingExpr, &'e MappingExpr)> {
    match &expr.kind {
        MappingExprKind::Compare(left, _, right) => (!holds(expr, env)).then_some((left, right)),
        MappingExprKind::And(parts) | MappingExprKind::Or(parts) => {
            parts.iter().find_map(|part| first_failing_comparison(part, env))
        }
        _ => None,
    }
}
