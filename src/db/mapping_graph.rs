//! A snapshot as the graph that a mapping asks.

use crate::graph::{NameLookup, ObjectId, ObjectKind, Value, same_name};
use crate::mapping::{
    EndCandidate, EntityPresence, EntitySelection, MappingGraph, PropertyProjection,
};
use crate::query::{Query, QueryRow, QuestionError, QuestionLimits};
use crate::store::{ObjectHead, Snapshot, StoreError, read_body, split_classes};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The system metadata that a mapping can name beside the own properties of an entity.
const METADATA: [&str; 3] = ["_createdOn", "_beginOn", "_version"];

/// Names that many entities share, each kept once.
struct NameInterner<'s> {
    snapshot: &'s Snapshot,
    names: FxHashMap<u32, Arc<str>>,
    properties: FxHashMap<u32, Arc<str>>,
    classes: FxHashMap<u32, Arc<[String]>>,
}

impl NameInterner<'_> {
    fn name(&mut self, number: u32) -> Arc<str> {
        let snapshot = self.snapshot;
        Arc::clone(self.names.entry(number).or_insert_with(|| snapshot.name(number).into()))
    }

    /// The name of a property.
    fn property(&mut self, number: u32) -> Result<Arc<str>, StoreError> {
        if let Some(known) = self.properties.get(&number) {
            return Ok(Arc::clone(known));
        }
        let name: Arc<str> = self.snapshot.with_name(number, |name| name.into())?;
        self.properties.insert(number, Arc::clone(&name));
        Ok(name)
    }

    fn classes(&mut self, number: u32) -> Arc<[String]> {
        let snapshot = self.snapshot;
        let split = || split_classes(snapshot.name(number)).into();
        Arc::clone(self.classes.entry(number).or_insert_with(split))
    }
}

/// The properties that a mapping asked for, as the store numbers them.
struct ProjectedProperties<'s> {
    snapshot: &'s Snapshot,
    /// Own properties; `None` for all.
    own: Option<FxHashSet<u32>>,
    display: bool,
    metadata: Vec<&'static str>,
}

impl<'s> ProjectedProperties<'s> {
    fn new(
        snapshot: &'s Snapshot,
        wanted: &PropertyProjection,
    ) -> Result<ProjectedProperties<'s>, StoreError> {
        let has = |name: &str| match wanted {
            PropertyProjection::All => true,
            PropertyProjection::Only(names) => names.contains(name),
        };
        let own = match wanted {
            PropertyProjection::All => None,
            PropertyProjection::Only(names) => {
                let mut numbers = FxHashSet::default();
                for name in names {
                    numbers.extend(snapshot.property_number(name)?);
                }
                Some(numbers)
            }
        };
        let metadata = METADATA.into_iter().filter(|name| has(name)).collect();
        Ok(ProjectedProperties { snapshot, own, display: has("displayName"), metadata })
    }

    fn properties(
        &self,
        head: &ObjectHead,
        shared: &mut NameInterner<'_>,
    ) -> Result<Vec<(Arc<str>, Value<'static>)>, StoreError> {
        let mut all = Vec::new();
        if let (true, Some(display)) = (self.display, &head.display) {
            all.push(("displayName".into(), Value::Text(display.to_string().into())));
        }
        for name in &self.metadata {
            let value = match *name {
                "_createdOn" => head.created,
                "_beginOn" => head.begin,
                _ => head.version.into(),
            };
            all.push(((*name).into(), Value::Int(value)));
        }
        // Bodies are compressed blocks: whoever asks for nothing in them does not wait for them.
        if self.own.as_ref().is_some_and(FxHashSet::is_empty) {
            return Ok(all);
        }
        let record = self.snapshot.body_record(ObjectKind::Entity, head)?;
        let (properties, _) = read_body(&record)
            .ok_or_else(|| StoreError::corrupt("bodies", &[], "record makes no sense"))?;
        for (name, value) in properties {
            if self.own.as_ref().is_none_or(|own| own.contains(&name)) {
                all.push((shared.property(name)?, value.into_owned()));
            }
        }
        Ok(all)
    }
}

impl MappingGraph for Snapshot {
    type Error = StoreError;

    fn entities(
        &self,
        select: &EntitySelection,
        wanted: &PropertyProjection,
        visit: &mut dyn FnMut(EndCandidate),
    ) -> Result<(), StoreError> {
        let numbers = |names: &[String]| -> FxHashSet<u32> {
            names.iter().filter_map(|name| self.name_number(name)).collect()
        };
        let (scopes, types) = (numbers(&select.scopes), numbers(&select.types));
        let mut shared = NameInterner {
            snapshot: self,
            names: FxHashMap::default(),
            properties: FxHashMap::default(),
            classes: FxHashMap::default(),
        };
        // Entities share few sets of classes, so each set is judged once.
        let mut fits: FxHashMap<u32, bool> = FxHashMap::default();
        let mut heads: Vec<ObjectHead> = Vec::new();
        let mut damaged = None;
        self.for_each_live(ObjectKind::Entity, |number, chunk, row| {
            if !scopes.contains(&chunk.scope(row))
                || (!select.types.is_empty() && !types.contains(&chunk.type_name(row)))
            {
                return;
            }
            let class = chunk.class(row);
            let fits = select.classes.is_empty()
                || *fits.entry(class).or_insert_with(|| {
                    let classes = shared.classes(class);
                    select
                        .classes
                        .iter()
                        .any(|asked| classes.iter().any(|class| same_name(class, asked)))
                });
            match chunk.get(row) {
                _ if !fits => {}
                Some(head) => heads.push(head),
                None => damaged = Some(number),
            }
        })?;
        if let Some(number) = damaged {
            return Err(StoreError::corrupt(
                "heads",
                &number.to_be_bytes(),
                "a row makes no sense",
            ));
        }
        let asked = ProjectedProperties::new(self, wanted)?;
        heads.into_iter().try_for_each(|head| {
            let scope = shared.name(head.scope);
            let properties = asked.properties(&head, &mut shared)?;
            visit(EndCandidate {
                id: ObjectId::new(ObjectKind::Entity, &scope, &head.key),
                scope,
                type_name: shared.name(head.type_name),
                classes: shared.classes(head.class),
                key: head.key.into(),
                properties,
            });
            Ok(())
        })
    }

    fn ask(&self, query: &Query) -> Result<Result<Vec<QueryRow>, String>, StoreError> {
        match query.rows(self, QuestionLimits::default()) {
            Ok(rows) => Ok(Ok(rows)),
            Err(QuestionError::Limit(what)) => Ok(Err(what.to_string())),
            Err(QuestionError::Read(e)) => Err(e),
        }
    }

    fn whereabouts(&self, scope: &str, key: &str) -> Result<EntityPresence, StoreError> {
        let mut found = EntityPresence::default();
        // There is no index of bare keys: the id follows from scope and key, so each scope is asked.
        for number in self.scope_numbers()? {
            let name = self.name(number);
            let id = ObjectId::new(ObjectKind::Entity, name, key);
            let Some(identity) = self.find(ObjectKind::Entity, number, id)? else { continue };
            match (name == scope, identity.live) {
                (true, true) => found.live = true,
                (true, false) => {
                    let head = self.head(ObjectKind::Entity, identity.number)?;
                    found.deleted_on = head.map(|head| head.end);
                }
                (false, true) => found.elsewhere.push(name.to_owned()),
                (false, false) => {}
            }
        }
        found.elsewhere.sort();
        Ok(found)
    }

    fn types(&self, scope: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let Some(number) = self.name_number(scope) else { return Ok(Vec::new()) };
        let row = self.scope_row(number)?.unwrap_or_default();
        let types = &row.count(ObjectKind::Entity).types;
        let mut types: Vec<_> =
            types.iter().map(|(name, count)| (self.name(*name).to_owned(), *count)).collect();
        types.sort();
        Ok(types)
    }

    fn classes(&self, scope: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let Some(number) = self.name_number(scope) else { return Ok(Vec::new()) };
        let row = self.scope_row(number)?.unwrap_or_default();
        let mut classes: BTreeMap<String, u64> = BTreeMap::new();
        for (&set, count) in &row.count(ObjectKind::Entity).classes {
            for class in split_classes(self.name(set)) {
                *classes.entry(class).or_default() += count;
            }
        }
        Ok(classes.into_iter().collect())
    }

    fn scopes(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.scope_rows()?;
        let holds = |row: &crate::store::ScopeRow| row.count(ObjectKind::Entity).live > 0;
        let mut scopes: Vec<String> = rows
            .into_iter()
            .filter(|(_, row)| holds(row))
            .map(|(number, _)| self.name(number).to_owned())
            .collect();
        scopes.sort();
        Ok(scopes)
    }
}
