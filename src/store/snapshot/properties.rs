//! Properties: bodies, block by block, and the values in them.

use super::caches::{LocatedFacts, StoredBlock, VerifiedValue};
use super::{Snapshot, missing};
use crate::graph::{ObjectKind, ObjectMetadata, Value};
use crate::store::StoreError;
use crate::store::body;
use crate::store::codec::proven;
use crate::store::heads::{HeadChunk, NO_BODY, ObjectHead};
use crate::store::tables;
use std::rc::Rc;

/// The fault of a block whose rows cannot be read.
fn senseless(kind: ObjectKind, scope: u32, block: u32) -> StoreError {
    StoreError::corrupt("bodies", &tables::body_key(kind, scope, block), "record makes no sense")
}

impl Snapshot {
    /// Calls `visit` with each text or number that an entity has, alone or in a list, under one of
    /// these name numbers. A number is given as it is written.
    pub fn for_each_text(
        &self,
        chunk: &HeadChunk<'_>,
        row: usize,
        names: &[u32],
        mut visit: impl FnMut(u32, &str),
    ) -> Result<(), StoreError> {
        let (block, slot) = chunk.body(row);
        if block == NO_BODY {
            return Ok(());
        }
        let place = (chunk.scope(row), block, slot);
        for &name in names {
            self.visit_property(ObjectKind::Entity, place, name, |value| {
                let mut tell = |value: &Value<'_>| match value.as_str() {
                    Some(text) => visit(name, text),
                    None => value.spelling().into_iter().for_each(|text| visit(name, &text)),
                };
                match value {
                    Value::List(items) => items.iter().for_each(tell),
                    one => tell(&one),
                }
            })?;
        }
        Ok(())
    }

    /// The body record of an object, as bytes that [`body::read`] understands.
    pub fn body_record(&self, kind: ObjectKind, head: &ObjectHead) -> Result<Vec<u8>, StoreError> {
        if head.block == NO_BODY {
            let mut empty = Vec::new();
            body::write(&mut empty, 0, std::iter::empty(), None);
            return Ok(empty);
        }
        let found = self.block(kind, head.scope, head.block)?;
        found.record(head.slot).ok_or_else(|| senseless(kind, head.scope, head.block))
    }

    /// A block of bodies, as it lies in its page.
    pub(in crate::store) fn block(
        &self,
        kind: ObjectKind,
        scope: u32,
        block: u32,
    ) -> Result<Rc<StoredBlock>, StoreError> {
        let at = (kind as u8, scope, block);
        if let Some((last, block)) = &*self.last_block.borrow()
            && *last == at
        {
            return Ok(Rc::clone(block));
        }
        let mut kept = self.bodies_kept.borrow_mut();
        let found = match kept.get(&at) {
            Some(found) => Rc::clone(found),
            None => {
                let found = Rc::new(self.stored_block(kind, scope, block)?);
                kept.make_room(&at, found.bytes(), |_, _| {});
                kept.insert(at, Rc::clone(&found), found.bytes());
                found
            }
        };
        *self.last_block.borrow_mut() = Some((at, Rc::clone(&found)));
        Ok(found)
    }

    /// A block of bodies that is kept by nobody.
    pub(in crate::store) fn stored_block(
        &self,
        kind: ObjectKind,
        scope: u32,
        block: u32,
    ) -> Result<StoredBlock, StoreError> {
        let key = tables::body_key(kind, scope, block);
        let guard = self.bodies.get(&key[..])?.ok_or_else(|| missing("bodies", &key))?;
        proven("bodies", &key, guard.value())?;
        StoredBlock::open(VerifiedValue::Stored(guard))
            .ok_or_else(|| StoreError::corrupt("bodies", &key, "contents make no sense"))
    }

    /// Calls `visit` with the name numbers of the properties of the body at (scope, block, slot).
    pub(in crate::store) fn for_each_property_name(
        &self,
        kind: ObjectKind,
        (scope, block, slot): (u32, u32, u32),
        visit: impl FnMut(u32),
    ) -> Result<(), StoreError> {
        let found = self.block(kind, scope, block)?;
        found.for_each_name(slot, visit).ok_or_else(|| senseless(kind, scope, block))
    }

    /// Reads one property of a body, by its name number, and none of the others. `visit` is not
    /// called if the body has no such property.
    pub(in crate::store) fn visit_property(
        &self,
        kind: ObjectKind,
        (scope, block, slot): (u32, u32, u32),
        name: u32,
        visit: impl FnOnce(Value<'_>),
    ) -> Result<(), StoreError> {
        if block == NO_BODY {
            return Ok(());
        }
        let found = self.block(kind, scope, block)?;
        let value = found.value(name, slot).ok_or_else(|| senseless(kind, scope, block))?;
        if let Some(value) = value {
            visit(value);
        }
        Ok(())
    }

    pub(super) fn own_value(
        &self,
        kind: ObjectKind,
        placed: &LocatedFacts,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        let Some(name) = self.property_number(name)? else { return Ok(None) };
        let place = (placed.facts.scope, placed.block, placed.slot);
        let mut found = None;
        self.visit_property(kind, place, name, |value| found = Some(value.into_owned()))?;
        Ok(found)
    }

    /// The properties of an object (with `displayName`, by ascending name) and its raw data.
    pub(super) fn properties(
        &self,
        kind: ObjectKind,
        head: &ObjectHead,
    ) -> Result<(Vec<(String, Value<'static>)>, Option<String>), StoreError> {
        let record = self.body_record(kind, head)?;
        let (properties, raw) =
            body::read(&record).ok_or_else(|| senseless(kind, head.scope, head.block))?;
        let mut all: Vec<(String, Value<'static>)> = Vec::with_capacity(properties.len() + 1);
        for (name, value) in properties {
            all.push((self.with_name(name, str::to_owned)?, value.into_owned()));
        }
        if let Some(display) = &head.display {
            all.push(("displayName".into(), Value::Text(display.to_string().into())));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok((all, raw.map(str::to_owned)))
    }

    /// One property of an object as a head has it, whichever state the head is of.
    pub fn property_of(
        &self,
        kind: ObjectKind,
        head: &ObjectHead,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        let Some(name) = self.property_number(name)? else { return Ok(None) };
        let mut found = None;
        let place = (head.scope, head.block, head.slot);
        self.visit_property(kind, place, name, |value| found = Some(value.into_owned()))?;
        Ok(found)
    }

    pub(super) fn metadata(&self, head: &ObjectHead) -> Result<ObjectMetadata, StoreError> {
        let (job_id, source) = self.job_name(head.job)?;
        Ok(ObjectMetadata {
            created_on: head.created,
            begin_on: head.begin,
            end_on: (head.end != 0).then_some(head.end),
            version: head.version,
            job_id,
            source,
        })
    }

    /// A property of the system that is made from the head.
    pub(super) fn system_value(
        &self,
        head: &ObjectHead,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        Ok(match name {
            "_createdOn" => Some(Value::Int(head.created)),
            "_beginOn" => Some(Value::Int(head.begin)),
            "_endOn" => (head.end != 0).then_some(Value::Int(head.end)),
            "_version" => Some(Value::Int(head.version.into())),
            "_deleted" => Some(Value::Bool(head.end != 0)),
            "_source" | "_jobId" => self.metadata(head)?.value(name),
            _ => None,
        })
    }
}
