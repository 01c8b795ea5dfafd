//! Batches: drafts checked against the mode of their job and packed for staging.
//!
//! This module makes all checks of a draft that need no graph. Checks that need the graph (does an
//! end exist?) wait for the plan, because batches come in any order.

use super::fast_path::ObjectLayout;
use super::record::{
    NameNumbers, begin_content, begin_record, end_content, end_text, is_default_key,
    put_entity_head,
};
use super::rules::{BatchRules, DiagnosticMessage, check_list};
use crate::graph::{
    CLASS_SEPARATOR, DraftEnd, DraftEntity, DraftRelationship, IdHash, InputLocation, NameKind,
    ORIGIN, ObjectId, ObjectKind, RelationshipOrigin, Value, check_name,
};
use crate::store::staging::{ObjectBatch, StagedEnd, StagedObject, StagedRelationship};
use crate::store::{put_bytes, put_value, put_varint};
use crate::sync::mode::SyncMode;
use crate::sync::read::{
    DraftObject, InputDiagnostic, OBJECT_MAX, ObjectScanner, PIECE, PINS, ReadRow, parse_members,
};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::rc::Rc;

/// Packs drafts into a batch.
pub struct BatchBuilder<'r> {
    rules: &'r BatchRules,
    pub(super) batch: ObjectBatch,
    pub(super) scanner: ObjectScanner,
    /// By shape of the scanner, which is valid for one epoch, and expected kind: the layout by
    /// which objects are packed. `None` if they go the long way.
    layouts: FxHashMap<(usize, Option<ObjectKind>), Option<Rc<ObjectLayout>>>,
    epoch: u64,
    numbers: NameNumbers,
    // Rows mostly have the same names at the same positions, so a guess saves a lookup.
    guesses: Vec<u32>,
    /// A cache of names that were checked for their position, in slots that their texts give.
    recent: [(usize, u32); RECENT],
    scratch: Vec<u8>,
    values: Vec<u8>,
}

/// Objects after which a batch is full.
const OBJECTS: usize = 20_000;

/// Slots of the cache of checked names; a power of two.
const RECENT: usize = 256;

impl<'r> BatchBuilder<'r> {
    /// Starts an empty batch.
    pub fn new(rules: &'r BatchRules) -> BatchBuilder<'r> {
        let batch = ObjectBatch::new();
        BatchBuilder {
            rules,
            batch,
            scanner: ObjectScanner::default(),
            layouts: FxHashMap::default(),
            epoch: 0,
            numbers: NameNumbers::default(),
            guesses: Vec::new(),
            recent: [(0, 0); RECENT],
            scratch: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The rules of the batch.
    pub fn rules(&self) -> &'r BatchRules {
        self.rules
    }

    /// Checks and packs the object that is `text`; see [`BatchBuilder::push_row`].
    pub fn push_text(
        &mut self,
        text: &str,
        place: InputLocation,
        expected: Option<ObjectKind>,
    ) -> Result<(), InputDiagnostic> {
        self.push_row(&ReadRow { expected, ..ReadRow::alone(text, place) })
    }

    /// Checks and packs a row that was read; see [`parse_members`].
    ///
    /// # Errors
    ///
    /// The fault with place and key, when the text is no object that this mode takes.
    pub fn push_row(&mut self, row: &ReadRow<'_>) -> Result<(), InputDiagnostic> {
        self.push_digested(row, self.rules.spelling(row.text.as_bytes()))
    }

    /// The same for a text whose spelling is known.
    pub fn push_digested(
        &mut self,
        row: &ReadRow<'_>,
        spelling: u64,
    ) -> Result<(), InputDiagnostic> {
        let ReadRow { text, place, expected, .. } = *row;
        let scanned = text.len() <= OBJECT_MAX && self.scanner.scan(text);
        if scanned && self.pack_direct(text, spelling, place, expected).is_some() {
            return Ok(());
        }
        let members = scanned.then(|| self.scanner.members(text));
        let pushed = match parse_members(text, members, place, expected) {
            Ok(DraftObject::Entity(draft)) => self.push_entity(&draft, Some(spelling)),
            Ok(DraftObject::Relationship(draft)) => self.push_relationship(&draft, Some(spelling)),
            Err(fault) => Err(fault),
        };
        pushed.map_err(|fault| row.in_document(fault))
    }

    /// The layout of the object that was scanned last, if it has one.
    pub(super) fn layout(&mut self, expected: Option<ObjectKind>) -> Option<Rc<ObjectLayout>> {
        let (_, shape, epoch) = self.scanner.shape();
        if epoch != self.epoch {
            self.layouts.clear();
            self.epoch = epoch;
        }
        if let Some(known) = self.layouts.get(&(shape, expected)) {
            return known.clone();
        }
        // The shape is borrowed from the scanner while names are interned beside it.
        let scanner = std::mem::take(&mut self.scanner);
        let made =
            ObjectLayout::of(scanner.shape().0, expected, |name| self.intern(name)).map(Rc::new);
        self.scanner = scanner;
        self.layouts.insert((shape, expected), made.clone());
        made
    }

    /// True if the batch is to be handed over and another one begun: it is as large as is handled
    /// well. Places of records are 32 bits wide, which rows alone do not bound.
    pub fn is_full(&self) -> bool {
        let ObjectBatch { entities, relationships, records, .. } = &self.batch;
        records.len() >= PIECE || entities.len() + relationships.len() >= OBJECTS
    }

    /// Gives the batch if it is full, and begins another one.
    pub fn take_full(&mut self) -> Option<ObjectBatch> {
        let rules = self.rules;
        self.is_full().then(|| std::mem::replace(self, BatchBuilder::new(rules)).finish())
    }

    /// The batch so far.
    pub fn finish(self) -> ObjectBatch {
        self.batch
    }

    fn number(&mut self, position: usize, name: &str) -> u32 {
        if let Some(&guess) = self.guesses.get(position)
            && self.batch.names[guess as usize] == name
        {
            return guess;
        }
        let number = self.intern(name);
        if self.guesses.len() <= position {
            self.guesses.resize(position + 1, 0);
        }
        self.guesses[position] = number;
        number
    }

    fn intern(&mut self, name: &str) -> u32 {
        self.numbers.of(name, &mut self.batch)
    }

    /// The number of a name after a check, which is left out if the name passed it at this position
    /// before. `None` if the name may not be there.
    pub(super) fn checked_name_number(
        &mut self,
        position: usize,
        kind: NameKind,
        name: &str,
    ) -> Option<u32> {
        let bytes = name.as_bytes();
        // Four bytes, the length and the position choose a slot: a hash of the whole name would
        // cost more.
        let some =
            [*bytes.first()?, *bytes.last()?, bytes[bytes.len() / 2], bytes[bytes.len() / 3]];
        let mixed = u32::from_le_bytes(some) ^ ((position * 64 + bytes.len()) as u32) << 5;
        let slot = mixed.wrapping_mul(0x9E37_79B1) as usize >> (u32::BITS - RECENT.ilog2());
        // Number 0 is the empty text, which is no name, so it marks a free slot.
        let (of, number) = self.recent[slot];
        if number != 0 && of == position && self.batch.names[number as usize] == name {
            return Some(number);
        }
        check_name(kind, name).ok()?;
        let number = self.intern(name);
        self.recent[slot] = (position, number);
        Some(number)
    }

    /// Checks and packs an entity.
    ///
    /// # Errors
    ///
    /// The fault with place and key, when the mode does not take this entity.
    pub fn push_entity(
        &mut self,
        draft: &DraftEntity<'_>,
        spelling: Option<u64>,
    ) -> Result<(), InputDiagnostic> {
        self.entity(draft, spelling)
            .map_err(|message| fault(draft.place, draft.key.as_deref(), message))
    }

    fn entity(
        &mut self,
        draft: &DraftEntity<'_>,
        spelling: Option<u64>,
    ) -> Result<(), DiagnosticMessage> {
        let mode = self.rules.mode;
        if mode == SyncMode::CrossScope {
            return Err("Entities cannot be uploaded in CROSS_SCOPE mode".into());
        }
        let scope = self.rules.scope_of(draft.scope.as_deref())?;
        let id = match (draft.key.as_deref(), draft.id) {
            (Some(key), given) => {
                let id = ObjectId::new(ObjectKind::Entity, scope, key);
                match given.filter(|given| *given != id) {
                    Some(given) => {
                        return Err(format!(
                            "`_id` is {given}, but scope `{scope}` and `_key` give {id}; \
                             leave `_id` out"
                        ));
                    }
                    None => id,
                }
            }
            // Other modes may name an existing entity by its id alone.
            (None, Some(id)) if mode != SyncMode::Diff => id,
            (None, _) => return Err("entity has no `_key`".into()),
        };
        if mode == SyncMode::Diff {
            if draft.type_name.is_none() {
                return Err("entity has no `_type`".into());
            }
            if draft.classes.is_empty() {
                return Err("entity has no `_class`".into());
            }
        }
        if mode == SyncMode::Override {
            let given = [
                ("_type", draft.type_name.is_some()),
                ("_class", !draft.classes.is_empty()),
                ("_rawData", draft.raw_data.is_some()),
            ];
            if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
                return Err(format!(
                    "OVERRIDE pins properties, and `{name}` is none; leave it out, or let the job \
                     that owns the entity change it"
                ));
            }
        }
        if mode != SyncMode::Diff && draft.properties.iter().any(|(name, _)| name == PINS) {
            return Err(format!(
                "`{PINS}` is taken by DIFF jobs, as an export has it; a job in the mode OVERRIDE \
                 pins properties"
            ));
        }
        let type_name = draft.type_name.as_deref().unwrap_or("");
        let classes = match draft.classes.as_slice() {
            [one] => Cow::Borrowed(one.as_ref()),
            many => Cow::Owned(many.join(&CLASS_SEPARATOR.to_string())),
        };
        // Guesses 0 to 4 are scope, type, class and the scopes of both ends; properties follow.
        let scope = self.number(0, scope);
        let type_number = self.number(1, type_name);
        let class_number = self.number(2, &classes);
        let offset = self.begin_record(draft.place);
        self.put_entity_head(draft.key.as_deref().unwrap_or(""), type_number, class_number);
        let spelling = self.put_rest(
            spelling,
            type_name,
            &classes,
            &[],
            &draft.properties,
            None,
            draft.raw_data.as_deref(),
        );
        let staged = self.staged(self.rules.hashed(id), spelling, (scope, type_number), offset);
        self.batch.entities.push(staged);
        Ok(())
    }

    /// Checks and packs a relationship.
    ///
    /// # Errors
    ///
    /// The fault with place and key, when the mode does not take this relationship.
    pub fn push_relationship(
        &mut self,
        draft: &DraftRelationship<'_>,
        spelling: Option<u64>,
    ) -> Result<(), InputDiagnostic> {
        self.relationship(draft, spelling)
            .map_err(|message| fault(draft.place, Some(&draft.key), message))
    }

    fn relationship(
        &mut self,
        draft: &DraftRelationship<'_>,
        spelling: Option<u64>,
    ) -> Result<(), DiagnosticMessage> {
        let mode = self.rules.mode;
        if !mode.takes_relationships() {
            return Err(format!("Relationships cannot be uploaded in {mode} mode"));
        }
        let scope = self.rules.scope_of(draft.scope.as_deref())?;
        if mode == SyncMode::CrossScope {
            self.rules.check_cross_scope(draft, scope)?;
        }
        // Drafts of a mapping did not pass the JSON reader, which refuses such lists.
        for (name, value) in &draft.properties {
            check_list(name, value)?;
        }
        let id = ObjectId::new(ObjectKind::Relationship, scope, &draft.key);
        if let Some(given) = draft.id.filter(|given| *given != id) {
            return Err(format!(
                "`_id` is {given}, but scope `{scope}` and `_key` give {id}; leave `_id` out"
            ));
        }
        let from = self.end("from", &draft.from, scope)?;
        let to = self.end("to", &draft.to, scope)?;
        let scope = self.number(0, scope);
        let type_number = self.number(1, &draft.type_name);
        let class_number = self.number(2, &draft.class);
        let offset = self.begin_record(draft.place);
        let ends = [&draft.from, &draft.to].map(end_text);
        let ends = ends.each_ref().map(AsRef::as_ref);
        self.put_relationship_head(&draft.key, &draft.class, type_number, class_number, ends);
        let spelling = self.put_rest(
            spelling,
            &draft.type_name,
            &draft.class,
            &[from.id, to.id],
            &draft.properties,
            draft.origin.as_ref(),
            draft.raw_data.as_deref(),
        );
        let object = self.staged(self.rules.hashed(id), spelling, (scope, type_number), offset);
        self.batch.relationships.push(StagedRelationship { object, from, to });
        Ok(())
    }

    fn end(
        &mut self,
        name: &str,
        end: &DraftEnd<'_>,
        job: &str,
    ) -> Result<StagedEnd, DiagnosticMessage> {
        let Some(key) = end.key.as_deref() else {
            let id = end.id.ok_or_else(|| format!("`{name}` end has neither key nor id"))?;
            // Name 0 is the empty text: no scope is given, so all scopes are searched.
            let scope = end.scope.as_deref().map_or(0, |scope| self.end_scope(name, scope));
            return Ok(StagedEnd { scope, id: self.rules.hashed(id) });
        };
        let scope = end.scope.as_deref().unwrap_or(job);
        let id = ObjectId::new(ObjectKind::Entity, scope, key);
        if let Some(given) = end.id.filter(|given| *given != id) {
            return Err(format!(
                "`_{name}EntityId` is {given}, but scope `{scope}` and key `{key}` give {id}; \
                 where both are given they must agree"
            ));
        }
        Ok(StagedEnd { scope: self.end_scope(name, scope), id: self.rules.hashed(id) })
    }

    fn end_scope(&mut self, name: &str, scope: &str) -> u32 {
        self.number(if name == "from" { 3 } else { 4 }, scope)
    }

    /// Begins a record and returns where it begins.
    pub(super) fn begin_record(&mut self, place: InputLocation) -> usize {
        begin_record(&mut self.batch.records, place)
    }

    /// Takes a record back that was begun at `offset`.
    pub(super) fn cut_record(&mut self, offset: usize) {
        self.batch.records.truncate(offset);
    }

    pub(super) fn put_entity_head(&mut self, key: &str, type_name: u32, class: u32) {
        put_entity_head(&mut self.batch.records, key, type_name, class);
    }

    /// Puts the key, type, verb and ends of a relationship. A key that can be made from the ends
    /// again is left out.
    pub(super) fn put_relationship_head(
        &mut self,
        key: &str,
        verb: &str,
        type_name: u32,
        class: u32,
        [from, to]: [&str; 2],
    ) {
        let derived = is_default_key(key, from, verb, to);
        let records = &mut self.batch.records;
        put_bytes(records, if derived { b"" } else { key.as_bytes() });
        put_varint(records, type_name.into());
        put_varint(records, class.into());
        put_bytes(records, from.as_bytes());
        put_bytes(records, to.as_bytes());
    }

    pub(super) fn put_count(&mut self, properties: usize) {
        put_varint(&mut self.batch.records, properties as u64);
    }

    pub(super) fn put_name(&mut self, name: u32) {
        put_varint(&mut self.batch.records, name.into());
    }

    pub(super) fn staged(
        &self,
        id: IdHash,
        spelling: u64,
        names: (u32, u32),
        offset: usize,
    ) -> StagedObject {
        let (scope, type_name) = names;
        let len = (self.batch.records.len() - offset) as u32;
        StagedObject { id, spelling, scope, type_name, frame: 0, offset: offset as u32, len }
    }

    /// Appends properties and raw data to the record. Returns the spelling or, if there is none,
    /// the digest of the content. The origin is no part of that digest: a row that moves to another
    /// line changes no relationship.
    #[allow(clippy::too_many_arguments)]
    fn put_rest(
        &mut self,
        spelling: Option<u64>,
        type_name: &str,
        class: &str,
        ends: &[IdHash],
        properties: &[(Cow<'_, str>, Value<'_>)],
        origin: Option<&RelationshipOrigin>,
        raw_data: Option<&str>,
    ) -> u64 {
        // Taken out of `self`, which is borrowed as a whole to number the names.
        let mut content = std::mem::take(&mut self.scratch);
        content.clear();
        begin_content(&mut content, type_name, class, ends);
        let count = properties.len() + usize::from(origin.is_some());
        self.put_count(count);
        for (position, (name, value)) in properties.iter().enumerate() {
            let number = self.number(5 + position, name);
            self.values.clear();
            put_value(&mut self.values, value);
            put_varint(&mut self.batch.records, number.into());
            self.batch.records.extend_from_slice(&self.values);
            put_bytes(&mut content, name.as_bytes());
            content.extend_from_slice(&self.values);
        }
        if let Some(origin) = origin {
            let number = self.number(5 + properties.len(), ORIGIN);
            put_varint(&mut self.batch.records, number.into());
            put_value(&mut self.batch.records, &Value::Text(origin.to_text().into()));
        }
        let raw_data = raw_data.unwrap_or("");
        self.batch.records.extend_from_slice(raw_data.as_bytes());
        let digest = || end_content(&mut content, raw_data, self.rules.digest_seed);
        let spelling = spelling.unwrap_or_else(digest);
        self.scratch = content;
        spelling
    }
}

fn fault(place: InputLocation, key: Option<&str>, message: String) -> InputDiagnostic {
    InputDiagnostic { place, column: 0, path: String::new(), key: key.map(str::to_owned), message }
}
