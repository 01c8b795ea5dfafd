//! Batches: drafts checked against the mode of their job and packed for staging.
//!
//! This module makes all checks of a draft that need no graph. Checks that need the graph (does an
//! end exist?) wait for finalize, because batches come in any order.

use super::fast_path::ObjectLayout;
use super::known::{KnownObjects, source_digest};
use super::mode::SyncMode;
use super::parse::{DraftObject, InputDiagnostic, OBJECT_MAX, parse_members};
use super::scan::ObjectScanner;
use crate::graph::{
    CLASS_SEPARATOR, DraftEnd, DraftEntity, DraftRelationship, IdHash, InputLocation, NameKind,
    ORIGIN, ObjectId, ObjectKind, RelationshipOrigin, Value, check_name, default_relationship_key,
};
use crate::store::staging::{ObjectBatch, StagedEnd, StagedObject, StagedRelationship};
use crate::store::{ByteCursor, put_bytes, put_value, put_varint, skip_value};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The rules that a batch must agree with.
#[derive(Clone, Debug)]
pub struct BatchRules {
    /// Mode of the job.
    pub mode: SyncMode,
    /// Scope of the job; `None` to take each row's own `_scope`.
    pub scope: Option<String>,
    /// True if both ends of a CROSS_SCOPE relationship must not lie in one scope.
    pub same_scope_reject: bool,
    /// Seed of content digests.
    pub digest_seed: u64,
    /// The objects that the scope holds already; unchanged lines of them are passed over.
    pub known: Option<Arc<KnownObjects>>,
}

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

/// The numbers of the names of a batch while it is made.
#[derive(Default)]
pub(super) struct NameNumbers(FxHashMap<String, u32>);

impl NameNumbers {
    /// The number of a name, which the batch gets if it is new.
    pub(super) fn of(&mut self, name: &str, batch: &mut ObjectBatch) -> u32 {
        if let Some(&number) = self.0.get(name) {
            return number;
        }
        let number = batch.names.len() as u32;
        batch.names.push(name.to_owned());
        self.0.insert(name.to_owned(), number);
        number
    }
}

/// Begins a record and returns where it begins.
pub(super) fn begin_record(records: &mut Vec<u8>, place: InputLocation) -> usize {
    let offset = records.len();
    put_varint(records, place.input.into());
    put_varint(records, place.line.into());
    offset
}

/// Puts the key, type and class set of an entity; properties and raw data follow.
pub(super) fn put_entity_head(records: &mut Vec<u8>, key: &str, type_name: u32, class: u32) {
    put_bytes(records, key.as_bytes());
    put_varint(records, type_name.into());
    put_varint(records, class.into());
}

/// Slots of the cache of checked names; a power of two.
const RECENT: usize = 256;

type DiagnosticMessage = String;

impl BatchRules {
    /// See [`spelling`].
    pub fn spelling(&self, text: &[u8]) -> u64 {
        source_digest(text, self.mode, self.digest_seed)
    }

    /// The hash by which the store finds an `_id`.
    pub fn hashed(&self, id: ObjectId) -> IdHash {
        id.hashed(self.digest_seed)
    }
}

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

    /// Checks and packs the object that is `text`; see [`parse_members`].
    ///
    /// # Errors
    ///
    /// The fault with place and key, when the text is no object that this mode takes.
    pub fn push_text(
        &mut self,
        text: &str,
        place: InputLocation,
        expected: Option<ObjectKind>,
    ) -> Result<(), InputDiagnostic> {
        self.push_digested(text, self.rules.spelling(text.as_bytes()), place, expected)
    }

    /// The same for a text whose spelling is known.
    pub fn push_digested(
        &mut self,
        text: &str,
        spelling: u64,
        place: InputLocation,
        expected: Option<ObjectKind>,
    ) -> Result<(), InputDiagnostic> {
        let scanned = text.len() <= OBJECT_MAX && self.scanner.scan(text);
        if scanned && self.pack_direct(text, spelling, place, expected).is_some() {
            return Ok(());
        }
        let members = scanned.then(|| self.scanner.members(text));
        match parse_members(text, members, place, expected)? {
            DraftObject::Entity(draft) => self.push_entity(&draft, Some(spelling)),
            DraftObject::Relationship(draft) => self.push_relationship(&draft, Some(spelling)),
        }
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

    /// The scope of the job that a row belongs to.
    fn scope<'s>(&self, row: Option<&'s str>) -> Result<&'s str, DiagnosticMessage>
    where
        'r: 's,
    {
        match (self.rules.scope.as_deref(), row) {
            (Some(job), Some(row)) if job != row => Err(format!(
                "`_scope` is `{row}`, but the job writes the scope `{job}`; a row cannot change it"
            )),
            (Some(scope), _) | (None, Some(scope)) => Ok(scope),
            (None, None) => Err("the row has no `_scope` and no scope was given".into()),
        }
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
        let scope = self.scope(draft.scope.as_deref())?;
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
        let scope = self.scope(draft.scope.as_deref())?;
        if mode == SyncMode::CrossScope {
            self.check_cross_scope(draft, scope)?;
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

    /// Checks the rules of the CROSS_SCOPE page that need no graph.
    fn check_cross_scope(
        &self,
        draft: &DraftRelationship<'_>,
        job: &str,
    ) -> Result<(), DiagnosticMessage> {
        for (name, end) in [("_fromEntityScope", &draft.from), ("_toEntityScope", &draft.to)] {
            match end.scope.as_deref() {
                None => return Err(format!("CROSS_SCOPE relationships need `{name}`")),
                Some(scope) if scope == job => {
                    return Err(format!(
                        "`{name}` equals the sync job's scope `{job}`; the related entities must \
                         live outside it: write this relationship from the sync job that owns \
                         the scope"
                    ));
                }
                Some(_) => {}
            }
        }
        if self.rules.same_scope_reject && draft.from.scope == draft.to.scope {
            let scope = draft.from.scope.as_deref().unwrap_or("");
            return Err(format!(
                "Same-scope relationships rejected: both ends lie in `{scope}`; use the owning \
                 scope's sync job for these edges"
            ));
        }
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

/// The text by which a record names an end: its key or, if only the id is known, a NUL and the id.
/// No key has a NUL.
fn end_text<'a>(end: &'a DraftEnd<'_>) -> Cow<'a, str> {
    match (end.key.as_deref(), end.id) {
        (Some(key), _) => Cow::Borrowed(key),
        (None, Some(id)) => Cow::Owned(format!("\0{id}")),
        (None, None) => Cow::Borrowed(""),
    }
}

/// True if a key is the default key of these ends, without building the default key.
fn is_default_key(key: &str, from: &str, class: &str, to: &str) -> bool {
    if !class.is_ascii() {
        // Letters outside ASCII may change their length in lower case.
        return key == default_relationship_key(from, class, to);
    }
    // The text between the ends must be the verb, to the last byte.
    let Some(rest) = key.strip_prefix(from).and_then(|k| k.strip_prefix('|')) else { return false };
    let Some(verb) = rest.strip_suffix(to).and_then(|k| k.strip_suffix('|')) else { return false };
    verb.bytes().eq(class.bytes().map(|b| b.to_ascii_lowercase()))
}

fn check_list(name: &str, value: &Value<'_>) -> Result<(), DiagnosticMessage> {
    let Value::List(items) = value else { return Ok(()) };
    let flat =
        items.iter().all(|item| item.same_family(&items[0]) && !matches!(item, Value::List(_)));
    if flat { Ok(()) } else { Err(format!("`{name}` is a list of values of different kinds")) }
}

fn begin_content(content: &mut Vec<u8>, type_name: &str, class: &str, ends: &[IdHash]) {
    put_bytes(content, type_name.as_bytes());
    put_bytes(content, class.as_bytes());
    ends.iter().for_each(|id| content.extend_from_slice(&id.0.to_le_bytes()));
}

fn end_content(content: &mut Vec<u8>, raw_data: &str, seed: u64) -> u64 {
    content.push(0xFF);
    content.extend_from_slice(raw_data.as_bytes());
    xxh3_64_with_seed(content, seed)
}

/// The digest of the content of an object.
///
/// It is equal to the digest that a [`BatchBuilder`] gives the same content if it has no text.
/// `properties` ascend by name and carry their encoded values.
pub fn content_digest<'a>(
    seed: u64,
    type_name: &str,
    class: &str,
    ends: &[IdHash],
    properties: impl Iterator<Item = (&'a str, &'a [u8])>,
    raw_data: Option<&str>,
) -> u64 {
    let mut content = Vec::new();
    begin_content(&mut content, type_name, class, ends);
    for (name, value) in properties {
        put_bytes(&mut content, name.as_bytes());
        content.extend_from_slice(value);
    }
    end_content(&mut content, raw_data.unwrap_or(""), seed)
}

/// A staged record, read back. Names are indices into the names of its batch.
pub struct StagedRecord<'a> {
    /// Place in the input.
    pub place: InputLocation,
    /// `_key`; empty if it is given by id, or made from the ends.
    pub key: &'a str,
    /// `_type`.
    pub type_name: u32,
    /// Class set, or verb.
    pub class: u32,
    ends: [&'a [u8]; 2],
    /// Number of properties.
    pub count: usize,
    rest: ByteCursor<'a>,
}

impl<'a> StagedRecord<'a> {
    /// Reads the record at (offset, length). `None` if it is damaged.
    pub fn read(kind: ObjectKind, records: &'a [u8], at: (u32, u32)) -> Option<StagedRecord<'a>> {
        let (start, len) = (at.0 as usize, at.1 as usize);
        let mut c = ByteCursor(records.get(start..start + len)?);
        let place = InputLocation { input: c.varint32()?, line: c.varint32()? };
        let key = c.text()?;
        let (type_name, class) = (c.varint32()?, c.varint32()?);
        let ends = match kind {
            ObjectKind::Entity => [&[][..], &[][..]],
            ObjectKind::Relationship => [c.bytes()?, c.bytes()?],
        };
        let count = c.varint()? as usize;
        Some(StagedRecord { place, key, type_name, class, ends, count, rest: c })
    }

    /// Keys of the ends, or a NUL and the id where only that is known; empty for an entity.
    pub fn ends(&self) -> [Cow<'a, str>; 2] {
        self.ends.map(String::from_utf8_lossy)
    }

    /// Properties as (name index, encoded value), then the raw data.
    pub fn properties(&self) -> Option<(Vec<(u32, &'a [u8])>, Option<&'a str>)> {
        let mut c = self.rest;
        let mut properties = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            properties.push((c.varint32()?, skip_value(&mut c)?));
        }
        let raw = std::str::from_utf8(c.0).ok()?;
        Some((properties, (!raw.is_empty()).then_some(raw)))
    }

    /// Visits each property as (name index, encoded value); returns the raw data, empty if there is
    /// none. `None` if the record is damaged.
    pub fn for_each_property(&self, mut visit: impl FnMut(u32, &'a [u8])) -> Option<&'a str> {
        let mut c = self.rest;
        for _ in 0..self.count {
            visit(c.varint32()?, skip_value(&mut c)?);
        }
        std::str::from_utf8(c.0).ok()
    }

    /// The full key. A relationship without a key of its own has the default key of its ends; an
    /// entity that is named by its id alone has an empty one. `names` are those of the batch.
    pub fn full_key(&self, kind: ObjectKind, names: &[String]) -> String {
        if kind == ObjectKind::Relationship && self.key.is_empty() {
            let class = &names[self.class as usize];
            let [from, to] = self.ends();
            return default_relationship_key(&from, class, &to);
        }
        self.key.to_owned()
    }
}
