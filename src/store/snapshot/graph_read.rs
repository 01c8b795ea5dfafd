//! A snapshot as the graph that questions read.

use super::heads::entity_facts;
use super::{Snapshot, missing};
use crate::graph::{
    CLASS_SEPARATOR, Entity, EntityFacts, EntityHead, GraphRead, ORIGIN, ObjectId, ObjectKind,
    PropertyCell, Relationship, RelationshipOrigin, ScopeCounts, Value, same_name,
};
use crate::store::StoreError;
use crate::store::heads::{CHUNK, ObjectHead};
use crate::store::index;
use crate::store::rows::{ScopeRow, split_classes};
use crate::store::tables;
use rustc_hash::FxHashMap;
use std::ops::ControlFlow;

impl Snapshot {
    /// The head of an entity, with names in place of numbers.
    pub(super) fn named(&self, number: u32, head: ObjectHead) -> EntityHead {
        let scope = self.words.text(head.scope).to_owned();
        EntityHead {
            number,
            id: ObjectId::new(ObjectKind::Entity, &scope, &head.key),
            scope,
            key: head.key.into(),
            type_name: self.words.text(head.type_name).to_owned(),
            classes: split_classes(self.words.text(head.class)),
            display_name: head.display.map(String::from),
            deleted: head.end != 0,
        }
    }
}

fn owned(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

impl GraphRead for Snapshot {
    fn entity(&self, number: u32) -> Result<Option<Entity>, StoreError> {
        let Some(head) = self.head(ObjectKind::Entity, number)? else { return Ok(None) };
        let (properties, raw_data) = self.properties(ObjectKind::Entity, &head)?;
        let metadata = self.metadata(&head)?;
        let EntityHead { id, scope, key, type_name, classes, .. } = self.named(number, head);
        Ok(Some(Entity {
            number,
            id,
            scope,
            key,
            type_name,
            classes,
            properties,
            raw_data,
            metadata,
        }))
    }

    fn entity_facts(&self, number: u32) -> Result<Option<EntityFacts>, StoreError> {
        Ok(self.facts(ObjectKind::Entity, number)?.as_ref().map(entity_facts))
    }

    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, StoreError> {
        Ok(self.head(ObjectKind::Entity, number)?.map(|head| self.named(number, head)))
    }

    fn number_of(&self, kind: ObjectKind, id: ObjectId) -> Result<Option<u32>, StoreError> {
        for scope in self.scope_numbers()? {
            if let Some(found) = self.find(kind, scope, id)? {
                return Ok(Some(found.number));
            }
        }
        Ok(None)
    }

    fn relationship(&self, number: u32) -> Result<Option<Relationship>, StoreError> {
        let Some(head) = self.head(ObjectKind::Relationship, number)? else { return Ok(None) };
        let (mut properties, raw_data) = self.properties(ObjectKind::Relationship, &head)?;
        let origin = properties.iter().position(|(name, _)| name == ORIGIN).and_then(|at| {
            let (_, value) = properties.remove(at);
            RelationshipOrigin::from_text(value.as_str()?)
        });
        let scope = self.words.text(head.scope).to_owned();
        let key = self.relationship_key(&head)?;
        let end = |number: u32| -> Result<EntityHead, StoreError> {
            let key = tables::head_key(ObjectKind::Entity, number / CHUNK);
            self.entity_head(number)?.ok_or_else(|| missing("heads", &key))
        };
        Ok(Some(Relationship {
            number,
            id: ObjectId::new(ObjectKind::Relationship, &scope, &key),
            scope,
            key,
            type_name: self.words.text(head.type_name).to_owned(),
            class: self.words.text(head.class).to_owned(),
            from: end(head.from)?,
            to: end(head.to)?,
            properties,
            origin,
            raw_data,
            metadata: self.metadata(&head)?,
        }))
    }

    fn entities_with(
        &self,
        type_name: Option<&str>,
        class: Option<&str>,
    ) -> Result<Vec<u32>, StoreError> {
        // 0 names nothing, so an unknown type finds no entity.
        let type_number = type_name.map(|t| self.words.number(t).unwrap_or(0));
        let mut has_class: FxHashMap<u32, bool> = FxHashMap::default();
        let mut found = Vec::new();
        self.for_each_live(ObjectKind::Entity, |number, chunk, row| {
            if type_number.is_some_and(|t| t != chunk.type_name(row)) {
                return;
            }
            let Some(class) = class else { return found.push(number) };
            let set = chunk.class(row);
            let names = &self.words;
            if *has_class.entry(set).or_insert_with(|| {
                names.text(set).split(CLASS_SEPARATOR).any(|c| same_name(c, class))
            }) {
                found.push(number);
            }
        })?;
        Ok(found)
    }

    fn may_have_property(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.property_number(name)?.is_some())
    }

    fn scopes(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.scope_rows()?;
        let mut scopes: Vec<String> =
            rows.into_iter().map(|(n, _)| self.words.text(n).to_owned()).collect();
        scopes.sort();
        Ok(scopes)
    }

    fn scan<S: From<StoreError>>(
        &self,
        mut visit: impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), S> {
        let result = (0..self.meta.bound(ObjectKind::Entity).div_ceil(CHUNK))
            .try_for_each(|chunk| self.scan_chunk(chunk, &mut visit));
        // The chunk of the scan must not outlive it: it lies outside the budget of the caches.
        *self.passing.borrow_mut() = None;
        match result {
            Err(Some(stop)) => Err(stop),
            Ok(()) | Err(None) => Ok(()),
        }
    }

    fn scan_stretch(
        &self,
        first: u32,
        mut may: impl FnMut(EntityFacts) -> bool,
        mut visit: impl FnMut(u32, EntityFacts),
    ) -> Result<Option<u32>, StoreError> {
        let chunk = first / CHUNK;
        if first >= self.meta.bound(ObjectKind::Entity) {
            // The chunk of the scan must not outlive it, see `scan`. Of a scan that is left, one stays.
            *self.passing.borrow_mut() = None;
            return Ok(None);
        }
        // Of a chunk whose entities share their names, `may` is asked once.
        let shared = self.shared_facts(chunk)?;
        if shared.is_some_and(|facts| !may(facts)) {
            return Ok(Some((chunk + 1) * CHUNK));
        }
        let mut visit = |number, facts| -> Result<ControlFlow<()>, StoreError> {
            if number >= first && (shared.is_some() || may(facts)) {
                visit(number, facts);
            }
            Ok(ControlFlow::Continue(()))
        };
        match self.scan_chunk(chunk, &mut visit) {
            Err(Some(e)) => Err(e),
            Ok(()) | Err(None) => Ok(Some((chunk + 1) * CHUNK)),
        }
    }

    fn counts(&self) -> Result<Vec<ScopeCounts>, StoreError> {
        let counts = |(scope, row): &(u32, ScopeRow)| {
            let [entities, relationships] = &row.counts;
            ScopeCounts {
                scope: *scope,
                entities: entities.live,
                types: entities.types.clone(),
                classes: entities.classes.clone(),
                verbs: relationships.classes.clone(),
            }
        };
        Ok(self.known_scopes()?.iter().map(counts).collect())
    }

    fn entity_value(&self, number: u32, name: &str) -> Result<Option<Value<'static>>, StoreError> {
        const KIND: ObjectKind = ObjectKind::Entity;
        if number >= self.meta.bound(KIND) {
            return Ok(None);
        }
        if name.starts_with('_') {
            if matches!(name, "_type" | "_class" | "_scope") {
                return Ok(self.facts(KIND, number)?.map(|facts| match name {
                    "_type" => owned(self.words.text(facts.type_name)),
                    "_scope" => owned(self.words.text(facts.scope)),
                    _ => {
                        let classes = split_classes(self.words.text(facts.class));
                        Value::List(classes.into_iter().map(|c| Value::Text(c.into())).collect())
                    }
                }));
            }
            if name == "_key" {
                let key = self.head_text(KIND, number, |chunk, row| chunk.key(row))?;
                return Ok(key.map(|key| Value::Text(key.into())));
            }
            if name == "_id" {
                let head = self.entity_head(number)?;
                return Ok(head.map(|head| owned(&head.id.to_string())));
            }
            let Some(head) = self.head(KIND, number)? else { return Ok(None) };
            return self.system_value(&head, name);
        }
        if name == "displayName"
            && let Some(Some(text)) =
                self.head_text(KIND, number, |chunk, row| chunk.display(row))?
        {
            return Ok(Some(Value::Text(text.into())));
        }
        match self.placed(KIND, number)? {
            Some(placed) => self.own_value(KIND, &placed, name),
            None => Ok(None),
        }
    }

    fn relationship_value(
        &self,
        number: u32,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        const KIND: ObjectKind = ObjectKind::Relationship;
        let Some(placed) = self.placed(KIND, number)? else { return Ok(None) };
        let (from, to) = placed.facts.ends;
        Ok(match name {
            "_type" => Some(owned(self.words.text(placed.facts.type_name))),
            "_class" => Some(owned(self.words.text(placed.facts.class))),
            "_scope" => Some(owned(self.words.text(placed.facts.scope))),
            "_fromEntityKey" => self.entity_value(from, "_key")?,
            "_toEntityKey" => self.entity_value(to, "_key")?,
            "_fromEntityId" => self.entity_value(from, "_id")?,
            "_toEntityId" => self.entity_value(to, "_id")?,
            "_fromEntityScope" => self.entity_value(from, "_scope")?,
            "_toEntityScope" => self.entity_value(to, "_scope")?,
            _ if name.starts_with('_') => {
                let Some(head) = self.head(KIND, number)? else { return Ok(None) };
                if !matches!(name, "_key" | "_id") {
                    return self.system_value(&head, name);
                }
                let key = self.relationship_key(&head)?;
                Some(match name {
                    "_key" => Value::Text(key.into()),
                    _ => {
                        let id = ObjectId::new(KIND, self.words.text(head.scope), &key);
                        owned(&id.to_string())
                    }
                })
            }
            "displayName" => match self.head_text(KIND, number, |chunk, row| chunk.display(row))? {
                Some(Some(text)) => Some(Value::Text(text.into())),
                _ => self.own_value(KIND, &placed, name)?,
            },
            _ => self.own_value(KIND, &placed, name)?,
        })
    }

    fn entity_keyed(&self, scope: &str, key: &str) -> Result<Option<u32>, StoreError> {
        let Some(number) = self.words.number(scope) else { return Ok(None) };
        let id = ObjectId::new(ObjectKind::Entity, scope, key);
        Ok(self.find(ObjectKind::Entity, number, id)?.map(|found| found.number))
    }

    fn property_cells(
        &self,
        kind: ObjectKind,
        numbers: &[u32],
        name: &str,
        cells: &mut Vec<PropertyCell>,
    ) -> Result<(), StoreError> {
        // A property of the system is no property of a body, and a `displayName` may be in the head.
        if name.starts_with('_') || name == "displayName" {
            cells.extend(numbers.iter().map(|_| PropertyCell::Unread));
            return Ok(());
        }
        self.body_cells(kind, numbers, name, cells)
    }

    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, StoreError> {
        index::find(self, name, hashes)
    }
}
