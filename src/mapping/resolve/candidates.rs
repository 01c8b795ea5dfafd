//! The entities that an end may be, and what a mapping asks of a graph to get them.

use crate::graph::{ObjectId, Value};
use crate::lang::{AccessStep, holds};
use crate::mapping::data::NestedValue;
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot, Template};
use crate::mapping::model::{
    EndDefinition, EntitySelection, Mapping, MatchAlternative, MatchStrategy, PairSource,
    PropertyAssignment,
};
use crate::mapping::resolve::environment::{ExprEnvironment, MappingConstants};
use crate::query::{Query, QueryRow};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

/// A live entity, with the properties that the mapping names.
#[derive(Clone, Debug, PartialEq)]
pub struct EndCandidate {
    /// `_id`.
    pub id: ObjectId,
    /// `_scope`.
    pub scope: Arc<str>,
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: Arc<str>,
    /// `_class`, in the order given.
    pub classes: Arc<[String]>,
    /// Own and system properties that were asked for, where the entity has them.
    pub properties: Vec<(Arc<str>, Value<'static>)>,
}

impl EndCandidate {
    /// The entity as a row: its properties, and `_key` and its like.
    pub(in crate::mapping) fn into_data(self) -> NestedValue {
        let system = ["_id", "_key", "_scope", "_type", "_class"].map(|name| {
            let value = self.value(name).unwrap_or(Value::Null).into_owned();
            (name.to_owned(), NestedValue::from_value(value))
        });
        let own = self.properties.into_iter();
        let own = own.map(|(name, value)| (name.to_string(), NestedValue::from_value(value)));
        NestedValue::Object(system.into_iter().chain(own).collect())
    }

    /// The value of a property; `_key` and its like included.
    pub(in crate::mapping) fn value(&self, name: &str) -> Option<Value<'_>> {
        let text = |text: &'_ str| Some(Value::Text(text.to_owned().into()));
        match name {
            "_key" => Some(Value::Text(self.key.as_str().into())),
            "_scope" => Some(Value::Text((&*self.scope).into())),
            "_type" => Some(Value::Text((&*self.type_name).into())),
            "_id" => text(&self.id.to_string()),
            "_class" => Some(Value::List(
                self.classes.iter().map(|class| Value::Text(class.as_str().into())).collect(),
            )),
            name => {
                let found = self.properties.iter().find(|(n, _)| &**n == name);
                found.map(|(_, value)| value.borrowed())
            }
        }
    }
}

/// The properties of entities that a mapping reads, besides key, scope, type, class and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyProjection {
    /// All of them.
    All,
    /// These. System metadata such as `_createdOn` may be among them.
    Only(BTreeSet<String>),
}

/// The state of an entity that an end looked for and did not find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPresence {
    /// True if it is live in the scope, but not of the type, class or condition asked for.
    pub live: bool,
    /// The time of its soft deletion, in epoch milliseconds.
    pub deleted_on: Option<i64>,
    /// Other scopes that hold a live entity of this key.
    pub elsewhere: Vec<String>,
}

/// The questions that a mapping asks of a graph.
pub trait MappingGraph {
    /// The error of reading the graph.
    type Error: Display;

    /// Calls `visit` for each live entity of the selection, in one stable order.
    fn entities(
        &self,
        select: &EntitySelection,
        wanted: &PropertyProjection,
        visit: &mut dyn FnMut(EndCandidate),
    ) -> Result<(), Self::Error>;

    /// The state of the entity with this scope and key.
    fn whereabouts(&self, scope: &str, key: &str) -> Result<EntityPresence, Self::Error>;

    /// The types of the live entities of a scope and how many each has, in byte order.
    fn types(&self, scope: &str) -> Result<Vec<(String, u64)>, Self::Error>;

    /// The classes of the live entities of a scope and how many each has, in byte order.
    fn classes(&self, scope: &str) -> Result<Vec<(String, u64)>, Self::Error>;

    /// The rows of the answer to a query, each as names and values. The inner `Err` names the limit
    /// that the query reached.
    fn ask(&self, query: &Query) -> Result<Result<Vec<QueryRow>, String>, Self::Error>;

    /// All scopes that hold entities, in byte order.
    fn scopes(&self) -> Result<Vec<String>, Self::Error>;
}

/// The candidates of one end.
#[derive(Debug, Default)]
pub(in crate::mapping) struct CandidateSet {
    pub candidates: Vec<EndCandidate>,
    by_id: FxHashMap<ObjectId, u32>,
    /// The number of entities that the selection had before `where`.
    pub selected: u64,
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
        let mut side = CandidateSet::default();
        graph.entities(&end.select, &wanted, &mut |candidate| {
            side.selected += 1;
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

impl Mapping {
    pub(in crate::mapping) fn end(&self, root: PathRoot) -> &EndDefinition {
        if root == PathRoot::From { &self.from } else { &self.to }
    }

    pub(in crate::mapping) fn shared(&self) -> MappingConstants<'_> {
        MappingConstants { tables: &self.tables, junk: &self.junk }
    }

    /// The properties of an end that any expression of the file names.
    fn properties_of(&self, root: PathRoot) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.each_expression(&mut |expr| {
            expr.walk(&mut |expr| {
                if let MappingExprKind::Path(of, steps) = &expr.kind
                    && *of == root
                    && let Some(name) = property_name(steps)
                    // Every candidate has these five, so the graph need not be asked for them.
                    && !matches!(name.as_str(), "_key" | "_scope" | "_type" | "_id" | "_class")
                {
                    names.insert(name);
                }
            });
        });
        names
    }

    /// True if any expression names `doc` or `parent`.
    pub(in crate::mapping) fn mentions_enclosing_data(&self) -> bool {
        let mut asks = false;
        self.each_expression(&mut |expr| {
            asks |= expr.mentions(PathRoot::Doc) || expr.mentions(PathRoot::Parent);
        });
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

/// The property that the steps after `from` or `to` name: `from.tag.env` is the property `tag.env`.
/// With a position among the steps there is none.
pub(in crate::mapping) fn property_name(steps: &[AccessStep]) -> Option<String> {
    let names = steps.iter().map(|step| match step {
        AccessStep::Name(name) => Some(name.as_str()),
        AccessStep::Index(_) => None,
    });
    Some(names.collect::<Option<Vec<_>>>()?.join("."))
}
