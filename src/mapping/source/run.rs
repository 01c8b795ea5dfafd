//! The run over the rows: every item of an entity and of an edge, the bucket it ends in, and what it
//! makes.
//!
//! Entities come first, then those that ends make, then edges, so the order in the file never matters.
//! Edges whose ends are keys are kept while the rows are read. Edges that look for an end, or read its
//! properties, need all entities, so the rows are read a second time for them.

use super::account::{SourceCount, SourceOutcome, UnmatchedItem};
use super::entities::{AddedEntity, EntityConflict, EntityRecord, EntityTable};
use super::explanation::ItemExplanation;
use super::model::{
    EndRule, EntityContent, EntityRule, PropertyRule, RelationshipRule, SourceFile,
};
use super::own_entities::OwnEntities;
use super::properties::{MadeProperties, PropertyMaker};
use super::relationships::{
    AddedRelationship, PendingEnd, PendingRelationship, RelationshipRecord, RelationshipTable,
};
use super::values::{PropertyNames, TextTable};
use crate::graph::{
    DraftEnd, DraftEntity, DraftRelationship, InputLocation, NameKind, Value, check_name,
    default_relationship_key,
};
use crate::lang::{Diagnostic, ExprValue, NestedValue, holds, render};
use crate::mapping::expression::{PathRoot, Template};
use crate::mapping::model::{AmbiguityPolicy, TestOutcome};
use crate::mapping::resolve::{
    CappedDiagnostics, DocumentContext, DocumentCount, ExprEnvironment, MappingConstants, keys_of,
    name,
};
use crate::mapping::rows::{
    FileFacts, FrameContent, ReadOptions, RowFrame, RowReader, each_item, each_row,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

/// The number of items that are listed with their reason; the rest is counted.
const UNMATCHED_LISTED: usize = 10_000;

/// What the rows of a source make.
#[derive(Debug, Default)]
pub struct ResolvedSource {
    /// The number of items in each bucket.
    pub count: SourceCount,
    /// Items that made nothing, the first 10,000 of them.
    pub unmatched: Vec<UnmatchedItem>,
    /// The files that places refer to by position.
    pub inputs: Vec<String>,
    /// The files that were read, each with the digest of its bytes.
    pub digests: Vec<(String, String)>,
    /// What is more often a mistake than intended.
    pub warnings: Vec<Diagnostic>,
    /// The outcome of each promise of the file; that of a query is not known here.
    pub promises: Vec<TestOutcome>,
    entities: EntityTable,
    relationships: RelationshipTable,
    names: PropertyNames,
    /// Types of both kinds, and classes of edges.
    types: TextTable,
    class_sets: Vec<Vec<Arc<str>>>,
}

impl ResolvedSource {
    /// The number of entities.
    pub fn entity_count(&self) -> usize {
        self.entities.records.len()
    }

    /// The number of relationships.
    pub fn relationship_count(&self) -> usize {
        self.relationships.records.len()
    }

    pub(super) fn entity_record(&self, at: usize) -> &EntityRecord {
        &self.entities.records[at]
    }

    pub(super) fn property_name(&self, number: u32) -> &Arc<str> {
        self.names.name(number)
    }

    pub(super) fn type_name(&self, number: u32) -> &Arc<str> {
        self.types.text(number)
    }

    pub(super) fn classes(&self, number: u32) -> &[Arc<str>] {
        &self.class_sets[number as usize]
    }

    pub(super) fn entity_keyed(&self, key: &str) -> Option<u32> {
        self.entities.with_key(key)
    }

    /// The edges between two entities by their keys.
    pub(super) fn edges_between<'r>(
        &'r self,
        from: &str,
        to: &str,
    ) -> impl Iterator<Item = &'r RelationshipRecord> + use<'r> {
        let ends = self.entity_keyed(from).zip(self.entity_keyed(to));
        ends.into_iter().flat_map(|(from, to)| self.relationships.between(from, to))
    }

    /// How many entities each type has, in the order of the names.
    pub fn entity_types(&self) -> Vec<(String, u64)> {
        self.counted(self.entities.records.iter().map(|record| record.type_name))
    }

    /// How many relationships each verb has, in the order of the names.
    pub fn relationship_classes(&self) -> Vec<(String, u64)> {
        self.counted(self.relationships.records.iter().map(|record| record.class))
    }

    fn counted(&self, numbers: impl Iterator<Item = u32>) -> Vec<(String, u64)> {
        let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
        numbers.for_each(|number| *counts.entry(number).or_default() += 1);
        let named = counts.into_iter().map(|(n, count)| (self.types.text(n).to_string(), count));
        let mut named: Vec<(String, u64)> = named.collect();
        named.sort();
        named
    }

    /// The properties of a record by ascending name.
    fn sorted<'r>(&'r self, values: &'r [(u32, Value<'static>)]) -> Vec<(Cow<'r, str>, Value<'r>)> {
        let named = values
            .iter()
            .map(|(name, value)| (Cow::Borrowed(&**self.names.name(*name)), value.borrowed()));
        let mut sorted: Vec<(Cow<'r, str>, Value<'r>)> = named.collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted
    }

    /// Calls `visit` for each entity, as a draft.
    ///
    /// # Errors
    ///
    /// The first error of `visit`.
    pub fn try_for_each_entity<E>(
        &self,
        mut visit: impl FnMut(&DraftEntity<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.entities.records.iter().try_for_each(|record| visit(&self.entity_draft(record)))
    }

    pub(super) fn entity_draft<'r>(&'r self, record: &'r EntityRecord) -> DraftEntity<'r> {
        let mut properties = self.sorted(&record.properties);
        let shown = "displayName";
        match (properties.binary_search_by(|(name, _)| (**name).cmp(shown)), &record.name) {
            (Ok(at), Some(name)) => properties[at].1 = (&**name).into(),
            (Ok(_), None) => {}
            (Err(at), name) => {
                let text = name.as_deref().unwrap_or(&record.key);
                properties.insert(at, (shown.into(), text.into()));
            }
        }
        DraftEntity {
            key: Some(Cow::Borrowed(&record.key)),
            type_name: Some(Cow::Borrowed(self.types.text(record.type_name))),
            classes: self.classes(record.classes).iter().map(|c| Cow::Borrowed(&**c)).collect(),
            properties,
            raw_data: record.raw.as_deref().map(Cow::Borrowed),
            place: record.place,
            ..DraftEntity::default()
        }
    }

    /// Calls `visit` for each relationship, as a draft.
    ///
    /// # Errors
    ///
    /// The first error of `visit`.
    pub fn try_for_each_relationship<E>(
        &self,
        mut visit: impl FnMut(&DraftRelationship<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for record in &self.relationships.records {
            visit(&self.relationship_draft(record))?;
        }
        Ok(())
    }

    pub(super) fn relationship_draft<'r>(
        &'r self,
        record: &'r RelationshipRecord,
    ) -> DraftRelationship<'r> {
        let end = |entity: u32| DraftEnd {
            key: Some(Cow::Borrowed(&*self.entities.records[entity as usize].key)),
            ..DraftEnd::default()
        };
        DraftRelationship {
            key: Cow::Borrowed(&record.key),
            type_name: Cow::Borrowed(self.types.text(record.type_name)),
            class: Cow::Borrowed(self.types.text(record.class)),
            from: end(record.from),
            to: end(record.to),
            properties: self.sorted(&record.properties),
            raw_data: record.raw.as_deref().map(Cow::Borrowed),
            place: record.place,
            ..DraftRelationship::default()
        }
    }

    pub(super) fn relationship_records(&self) -> &[RelationshipRecord] {
        &self.relationships.records
    }
}

impl SourceFile {
    /// Takes the rows through the file.
    ///
    /// # Errors
    ///
    /// All faults of the rows and of what they say.
    pub fn resolve(&self, now: SystemTime) -> Result<ResolvedSource, Vec<Diagnostic>> {
        let mut run = SourceRun::new(self);
        run.all_rows(now);
        run.finish()
    }
}

/// One run over the rows.
pub(super) struct SourceRun<'s> {
    source: &'s SourceFile,
    shared: MappingConstants<'s>,
    pub out: ResolvedSource,
    /// The files of each row set, and the number of the first among all.
    files: Vec<(Arc<Vec<FileFacts>>, u32)>,
    creates: Vec<EntityRecord>,
    pending: Vec<PendingRelationship>,
    faults: CappedDiagnostics,
    /// For each rule, how often it was tried, and how often each of its paths led to an item.
    hits: Vec<(u64, Vec<u64>, Vec<String>)>,
    /// For each rule, which of its properties had a value.
    defined: Vec<Vec<bool>>,
    /// The classes that rows gave to their types.
    class_of_type: FxHashMap<u32, u32>,
    class_numbers: FxHashMap<Vec<Arc<str>>, u32>,
    classless: FxHashSet<u32>,
    /// Rules of edges by their number.
    rules: FxHashMap<u32, &'s RelationshipRule>,
    own: Option<OwnEntities<'s>>,
    stopped: bool,
    /// The line whose items are to be explained.
    pub watched: Option<InputLocation>,
    pub told: Vec<ItemExplanation>,
}

/// An item where it stands.
#[derive(Clone, Copy)]
pub(super) struct Item<'r> {
    pub row: &'r RowFrame<'r>,
    pub place: InputLocation,
    /// True in the second pass.
    pub late: bool,
}

impl<'s> SourceRun<'s> {
    pub(super) fn new(source: &'s SourceFile) -> SourceRun<'s> {
        let shared =
            MappingConstants { tables: &source.tables, junk: &source.junk, lets: &source.lets };
        let mut files = Vec::new();
        let mut inputs: Vec<String> = Vec::new();
        for set in &source.rows {
            let facts = set.rows.files();
            let first = inputs.len() as u32;
            inputs.extend(facts.iter().map(|file| file.shown.clone()));
            files.push((Arc::new(facts), first));
        }
        let rules = source.rule_count;
        SourceRun {
            source,
            shared,
            out: ResolvedSource { inputs, ..ResolvedSource::default() },
            files,
            creates: Vec::new(),
            pending: Vec::new(),
            faults: CappedDiagnostics::default(),
            hits: vec![(0, Vec::new(), Vec::new()); rules],
            defined: vec![Vec::new(); rules],
            class_of_type: FxHashMap::default(),
            class_numbers: FxHashMap::default(),
            classless: FxHashSet::default(),
            rules: source.relationship_rules().map(|rule| (rule.number, rule)).collect(),
            own: None,
            stopped: false,
            watched: None,
            told: Vec::new(),
        }
    }

    /// Reads all rows as often as the file needs.
    pub(super) fn all_rows(&mut self, now: SystemTime) {
        self.pass(now, false);
        if self.settle_entities() {
            self.pass(now, true);
        }
    }

    /// Makes what the rows of the first pass lead to; true if a second pass is needed.
    pub(super) fn settle_entities(&mut self) -> bool {
        self.make_created();
        self.settle_pending();
        // A fault may have left an entity without a class, which an edge could ask for.
        let sound = self.goes_on() && self.faults.list.is_empty();
        if !sound || !self.source.relationship_rules().any(|rule| rule.late) {
            return false;
        }
        self.own = Some(OwnEntities::new(self.source, &self.out, &self.shared));
        true
    }

    fn goes_on(&self) -> bool {
        !self.stopped && self.faults.list.len() <= 100
    }

    fn fault(&mut self, fault: Diagnostic) {
        if self.faults.admits_another(fault.code) {
            self.faults.list.push(fault);
        }
    }

    /// A fault in a row.
    fn row_fault(&mut self, code: &'static str, words: String, place: InputLocation, help: &str) {
        let at = self.files.iter().rposition(|(_, first)| *first <= place.input).unwrap_or(0);
        let local = InputLocation { input: place.input - self.files[at].1, ..place };
        let fault = self.source.rows[at].rows.fault(code, words, local);
        self.fault(if help.is_empty() { fault } else { fault.help(help) });
    }

    pub(super) fn place_text(&self, place: InputLocation) -> String {
        let file = self.out.inputs.get(place.input as usize).map_or("row", String::as_str);
        format!("{file}:{}", place.line)
    }

    /// Counts an item, and keeps what became of it if its line is to be explained.
    fn tell(&mut self, bucket: SourceOutcome, place: InputLocation, key: &str, reason: &str) {
        self.out.count.add(bucket);
        if self.watched == Some(place) {
            let place = self.place_text(place);
            let (key, reason) = (key.to_owned(), reason.to_owned());
            self.told.push(ItemExplanation { place, bucket, key, reason });
        }
    }

    fn unmatched(&mut self, bucket: SourceOutcome, place: InputLocation, reason: String) {
        self.tell(bucket, place, "", &reason);
        if self.out.unmatched.len() < UNMATCHED_LISTED {
            let place = self.place_text(place);
            self.out.unmatched.push(UnmatchedItem { place, bucket, reason });
        }
    }

    /// Reads all rows once.
    fn pass(&mut self, now: SystemTime, late: bool) {
        for (at, set) in self.source.rows.iter().enumerate() {
            if late && !self.source.reads_late(at) {
                continue;
            }
            let options = ReadOptions {
                max_age: self.source.guard.max_age.or(set.max_age),
                now,
                around: self.source.around,
            };
            let mut reader = RowReader::open(&set.rows, &options);
            let (files, first) = (Arc::clone(&self.files[at].0), self.files[at].1);
            let mut seen = DocumentCount::default();
            while let Some(document) = reader.next() {
                let document = match document {
                    Ok(document) => document,
                    Err(fault) => {
                        self.fault(fault);
                        if !self.goes_on() {
                            break;
                        }
                        continue;
                    }
                };
                let facts = files.get(document.file);
                let input = first + document.file as u32;
                let context = DocumentContext { shared: self.shared, file: facts };
                let frame = document.frame(reader.columns());
                each_row(&frame, set.rows.items(), &context, &mut |row| {
                    seen.rows += 1;
                    if self.goes_on() {
                        self.row(at, row, facts, input, late);
                    }
                });
                seen.document(&document);
                if !self.goes_on() {
                    break;
                }
            }
            if late {
                continue;
            }
            if let Some(fault) = seen.nothing_found(&set.rows) {
                self.fault(fault);
            }
            let skipped = reader.passed_over().clone();
            if skipped.lines > 0 {
                let words = match skipped.lines {
                    1 => format!("1 line does not fit `pattern`: {}", skipped.first),
                    n => format!("{n} lines do not fit `pattern`, the first is {}", skipped.first),
                };
                let fault = Diagnostic::warning("M0406", &self.source.source, words);
                self.out.warnings.push(fault.at(set.span.clone(), ""));
            }
            self.out.digests.extend(reader.digests());
        }
    }

    /// Takes one row of a row set.
    pub(super) fn row(
        &mut self,
        set: usize,
        row: &RowFrame<'_>,
        facts: Option<&FileFacts>,
        input: u32,
        late: bool,
    ) {
        let env = ExprEnvironment::of_row(&self.shared, row, facts);
        if !late {
            self.out.count.rows += 1;
        }
        if self.source.rows[set].filter.as_ref().is_some_and(|filter| !holds(filter, &env)) {
            self.out.count.filtered_rows += u64::from(!late);
            return;
        }
        let source = self.source;
        for rule in source.entities.iter().filter(|rule| rule.rows.contains(&set)) {
            if late && !rule.relationships.iter().any(|rule| rule.late) {
                continue;
            }
            self.each(rule.content.number, &rule.items, row, &env, late, &mut |run, inner| {
                let place = InputLocation { input, line: inner.line };
                run.entity_item(rule, facts, Item { row: inner, place, late });
            });
        }
        for rule in source.relationships.iter().filter(|rule| rule.rows.contains(&set)) {
            if !rule.runs(late) {
                continue;
            }
            self.each(rule.number, &rule.items, row, &env, late, &mut |run, inner| {
                let place = InputLocation { input, line: inner.line };
                let env = ExprEnvironment::of_row(&run.shared, inner, facts);
                run.relationship_item(rule, &env, None, Item { row: inner, place, late });
            });
        }
    }

    /// Calls `visit` for the items of a rule in a row, and counts which paths lead anywhere.
    fn each(
        &mut self,
        rule: u32,
        items: &'s [crate::mapping::expression::MappingExpr],
        row: &RowFrame<'_>,
        env: &ExprEnvironment<'_>,
        late: bool,
        visit: &mut dyn FnMut(&mut Self, &RowFrame<'_>),
    ) {
        if items.is_empty() {
            return visit(self, row);
        }
        let hits = &mut self.hits[rule as usize];
        hits.0 += u64::from(!late);
        if hits.1.is_empty() {
            hits.1 = vec![0; items.len()];
            hits.2 = keys_of(&row.data());
        }
        for (at, item) in items.iter().enumerate() {
            let mut found = 0;
            each_item(std::slice::from_ref(item), row, env, &mut |inner| {
                found += 1;
                if self.goes_on() {
                    visit(self, inner);
                }
            });
            self.hits[rule as usize].1[at] += found;
        }
    }

    fn entity_item(&mut self, rule: &'s EntityRule, facts: Option<&FileFacts>, item: Item<'_>) {
        let Item { row, place, late } = item;
        let env = ExprEnvironment::of_row(&self.shared, row, facts);
        if rule.filter.as_ref().is_some_and(|filter| !holds(filter, &env)) {
            if !late {
                self.tell(SourceOutcome::Filtered, place, "", "`where` leaves it out");
            }
            return;
        }
        let record = match late {
            false => self.entity_record(&rule.content, rule.raw, &env, item).map(Some),
            true => Ok(None),
        };
        let key = match record {
            Err(reason) => return self.unmatched(SourceOutcome::UndefinedKey, place, reason),
            Ok(None) => match name(&rule.content.key, &env, NameKind::Key) {
                Ok(key) if self.out.entity_keyed(&key).is_some() => key,
                _ => return,
            },
            Ok(Some((record, own_class))) => {
                let key = record.key.to_string();
                if own_class {
                    self.class_of_type.insert(record.type_name, record.classes);
                }
                if !self.add_entity(record, &rule.content) {
                    return;
                }
                key
            }
        };
        for inner in rule.relationships.iter().filter(|rule| rule.runs(late)) {
            self.each(inner.number, &inner.items, row, &env, late, &mut |run, below| {
                let place = InputLocation { line: below.line, ..place };
                run.relationship_item(
                    inner,
                    &env.at(below),
                    Some(&key),
                    Item { row: below, place, late },
                );
            });
        }
    }

    /// The entity of an item, and whether its rule gave it a class of its own.
    fn entity_record(
        &mut self,
        content: &'s EntityContent,
        raw: bool,
        env: &ExprEnvironment<'_>,
        item: Item<'_>,
    ) -> Result<(EntityRecord, bool), String> {
        let key = name(&content.key, env, NameKind::Key)?;
        let type_name = name(&content.type_name, env, NameKind::Type)?;
        let type_number = self.out.types.number(&type_name);
        let (classes, own_class) = self.classes_of(content, env, type_number, &type_name, false)?;
        let made = self.properties(content.number, &content.properties, &content.except, env, item);
        let shown = content.name.as_ref().and_then(|name| text(name, env));
        let shown = shown.or_else(|| row_name(item.row));
        let record = EntityRecord {
            key: key.into(),
            type_name: type_number,
            classes,
            name: shown.map(Into::into),
            properties: made.values,
            raw: raw_text(raw, item.row, made.rest),
            place: item.place,
            created: false,
        };
        Ok((record, own_class))
    }

    fn properties(
        &mut self,
        rule: u32,
        rules: &'s [PropertyRule],
        except: &[String],
        env: &ExprEnvironment<'_>,
        item: Item<'_>,
    ) -> MadeProperties {
        let defined = &mut self.defined[rule as usize];
        if defined.len() < rules.len() {
            defined.resize(rules.len(), false);
        }
        let names = &mut self.out.names;
        let made = MadeProperties::default();
        PropertyMaker { names, except, defined, made }.make(rules, env, item.row)
    }

    /// The classes of a type, and whether the rule itself gives them. With `wait`, a type without any is
    /// left for later.
    fn classes_of(
        &mut self,
        content: &'s EntityContent,
        env: &ExprEnvironment<'_>,
        type_number: u32,
        type_name: &str,
        wait: bool,
    ) -> Result<(u32, bool), String> {
        if !content.classes.is_empty() {
            let mut classes: Vec<Arc<str>> = Vec::new();
            for template in &content.classes {
                let value =
                    render(template, env).map_err(|part| format!("`{part}` is undefined"))?;
                for class in crate::lang::items(&value) {
                    let class = crate::lang::text_of(class);
                    check_name(NameKind::Class, &class).map_err(|e| e.to_string())?;
                    if !classes.iter().any(|known| **known == *class) {
                        classes.push(class.as_str().into());
                    }
                }
            }
            return Ok((self.class_set(classes), true));
        }
        if let Some(classes) = self.known_classes(type_number, type_name) {
            return Ok((classes, false));
        }
        if wait {
            return Ok((u32::MAX, false));
        }
        self.classless.insert(type_number);
        Ok((u32::MAX, false))
    }

    /// The classes that the file gives to a type.
    fn known_classes(&mut self, type_number: u32, type_name: &str) -> Option<u32> {
        if let Some(classes) = self.class_of_type.get(&type_number) {
            return Some(*classes);
        }
        let literal = |template: &Template| template.literal().is_some_and(|t| t == type_name);
        let source = self.source;
        let ruled = source.entities.iter().find(|rule| {
            literal(&rule.content.type_name)
                && !rule.content.classes.is_empty()
                && rule.content.classes.iter().all(|class| class.literal().is_some())
        });
        let named: Option<Vec<Arc<str>>> = match ruled {
            Some(rule) => Some(
                rule.content.classes.iter().filter_map(Template::literal).map(Arc::from).collect(),
            ),
            None => {
                let listed = source.classes.iter().find(|(of, _)| of == type_name);
                let listed = listed.or_else(|| source.classes.iter().find(|(of, _)| of == "*"));
                listed.map(|(_, classes)| classes.iter().map(|c| Arc::from(c.as_str())).collect())
            }
        };
        let number = self.class_set(named?);
        self.class_of_type.insert(type_number, number);
        Some(number)
    }

    fn class_set(&mut self, classes: Vec<Arc<str>>) -> u32 {
        if let Some(number) = self.class_numbers.get(&classes) {
            return *number;
        }
        let number = self.out.class_sets.len() as u32;
        self.out.class_sets.push(classes.clone());
        self.class_numbers.insert(classes, number);
        number
    }

    /// Takes an entity of a row; false if it contradicts another.
    fn add_entity(&mut self, record: EntityRecord, content: &EntityContent) -> bool {
        let (place, key) = (record.place, record.key.clone());
        let type_name = record.type_name;
        let names = &self.out.names;
        let name_of = |number: u32| names.name(number).to_string();
        match self.out.entities.add(record, &content.merge, name_of) {
            AddedEntity::Made => self.tell(SourceOutcome::Made, place, &key, ""),
            AddedEntity::Folded => self.tell(SourceOutcome::Folded, place, &key, ""),
            AddedEntity::Conflict(conflict, first) => {
                self.entity_conflict(&key, conflict, type_name, place, first);
                return false;
            }
        }
        let objects = self.out.entities.records.len() + self.pending.len();
        if objects as u64 > self.source.guard.max_objects {
            let most = self.source.guard.max_objects;
            let words = format!("the rows make more than {most} objects");
            let help = "raise `max_objects` in `[guard]` if this is meant";
            self.row_fault("M0507", words, place, help);
            self.stopped = true;
        }
        true
    }

    fn entity_conflict(
        &mut self,
        key: &str,
        conflict: EntityConflict,
        type_name: u32,
        place: InputLocation,
        first: InputLocation,
    ) {
        let other = self.place_text(first);
        let (code, what, help) = match conflict {
            EntityConflict::Type(old) => {
                let (old, new) = (self.out.types.text(old), self.out.types.text(type_name));
                let what = format!("the type `{old}` there and `{new}` here");
                ("M0702", what, "a key has one type: put the type into the key")
            }
            EntityConflict::Class => {
                ("M0702", "other classes there and here".to_owned(), "give both rules one `class`")
            }
            EntityConflict::Name(old, new) => (
                "M0703",
                format!("displayName `{old}` there and `{new}` here"),
                "say with `merge` which one counts: \"first\" or \"last\"",
            ),
            EntityConflict::Property(name, old, new) => (
                "M0703",
                format!("`{}` {old} there and {new} here", self.out.names.name(name)),
                "say with `merge` what counts: \"first\", \"last\" or \"union\"",
            ),
        };
        let words = format!("`{key}` was made by {other} already, with {what}");
        self.row_fault(code, words, place, help);
    }

    /// Takes an item of an edge.
    fn relationship_item(
        &mut self,
        rule: &'s RelationshipRule,
        env: &ExprEnvironment<'_>,
        own: Option<&str>,
        item: Item<'_>,
    ) {
        let counts = rule.late == item.late;
        if rule.filter.as_ref().is_some_and(|filter| !holds(filter, env)) {
            if counts {
                let words = "`where` leaves it out";
                self.tell(SourceOutcome::FilteredEdge, item.place, "", words);
            }
            return;
        }
        if !item.late {
            // Ends are made in the first pass, so that the second one finds them.
            for end in [&rule.from, &rule.to] {
                if let EndRule::Create(content) = end {
                    self.create_end(content, env, item);
                }
            }
        }
        if !counts {
            return;
        }
        let class = match name(&rule.class, env, NameKind::Class) {
            Ok(class) => self.out.types.number(&class),
            Err(reason) => {
                let reason = format!("class: {reason}");
                return self.unmatched(SourceOutcome::NoReference, item.place, reason);
            }
        };
        if rule.late {
            return self.late_relationship(rule, class, env, own, item);
        }
        let ends = [(&rule.from, "from"), (&rule.to, "to")].map(|(end, word)| {
            self.pending_end(end, env, own).map_err(|reason| format!("{word}: {reason}"))
        });
        let (from, to) = match ends {
            [Ok(from), Ok(to)] => (from, to),
            [Err(reason), _] | [_, Err(reason)] => {
                return self.unmatched(SourceOutcome::NoReference, item.place, reason);
            }
        };
        let candidates = [&from, &to].map(|end| match end {
            PendingEnd::Key(key) if rule.names_ends => {
                Some(bare_candidate(&self.source.scope, key))
            }
            _ => None,
        });
        let env = match &candidates {
            [Some(from), Some(to)] => env.with(PathRoot::From, from).with(PathRoot::To, to),
            _ => *env,
        };
        let made = self.properties(rule.number, &rule.properties, &rule.except, &env, item);
        let key = rule.key.as_ref().map(|key| name(key, &env, NameKind::Key)).transpose();
        let type_name = rule.type_name.as_ref().map(|t| name(t, &env, NameKind::Type)).transpose();
        match (key, type_name) {
            (Ok(key), Ok(type_name)) => {
                let type_name = type_name.map(|type_name| self.out.types.number(&type_name));
                self.pending.push(PendingRelationship {
                    rule: rule.number,
                    class,
                    type_name,
                    key: key.map(Into::into),
                    from,
                    to,
                    properties: made.values,
                    raw: raw_text(false, item.row, made.rest),
                    place: item.place,
                });
            }
            (Err(reason), _) | (_, Err(reason)) => {
                self.unmatched(SourceOutcome::NoReference, item.place, reason);
            }
        }
    }

    fn create_end(
        &mut self,
        content: &'s EntityContent,
        env: &ExprEnvironment<'_>,
        item: Item<'_>,
    ) {
        // An end without a key refers to nothing, which the edge is told for.
        let Ok(key) = name(&content.key, env, NameKind::Key) else { return };
        let Ok(type_name) = name(&content.type_name, env, NameKind::Type) else { return };
        let type_number = self.out.types.number(&type_name);
        let classes = match self.classes_of(content, env, type_number, &type_name, true) {
            Ok((classes, _)) => classes,
            Err(reason) => {
                let words = format!("`{key}`: class: {reason}");
                return self.row_fault("M0705", words, item.place, "");
            }
        };
        let made = self.properties(content.number, &content.properties, &content.except, env, item);
        let shown = content.name.as_ref().and_then(|name| text(name, env));
        self.creates.push(EntityRecord {
            key: key.into(),
            type_name: type_number,
            classes,
            name: shown.map(Into::into),
            properties: made.values,
            raw: raw_text(false, item.row, made.rest),
            place: item.place,
            created: true,
        });
    }

    /// An end that is a key, or several.
    fn pending_end(
        &mut self,
        end: &EndRule,
        env: &ExprEnvironment<'_>,
        own: Option<&str>,
    ) -> Result<PendingEnd, String> {
        match end {
            EndRule::Own => own
                .map(|key| PendingEnd::Key(key.into()))
                .ok_or_else(|| "there is no entity here".to_owned()),
            EndRule::Keys(templates) => {
                if let [template] = templates.as_slice() {
                    return Ok(PendingEnd::Key(name(template, env, NameKind::Key)?.into()));
                }
                let mut keys: Vec<Box<str>> = Vec::new();
                let mut reason = String::new();
                for template in templates {
                    match name(template, env, NameKind::Key) {
                        Ok(key) => keys.push(key.into()),
                        Err(words) => reason = words,
                    }
                }
                match keys.is_empty() {
                    true => Err(reason),
                    false => Ok(PendingEnd::Keys(keys.into())),
                }
            }
            EndRule::Create(content) => {
                name(&content.type_name, env, NameKind::Type)?;
                Ok(PendingEnd::Key(name(&content.key, env, NameKind::Key)?.into()))
            }
            EndRule::Match { .. } => Err("an end that is looked for has no key".to_owned()),
        }
    }

    /// An edge of the second pass, in which all entities are known.
    fn late_relationship(
        &mut self,
        rule: &'s RelationshipRule,
        class: u32,
        env: &ExprEnvironment<'_>,
        own: Option<&str>,
        item: Item<'_>,
    ) {
        let Some(entities) = self.own.take() else { return };
        let from = self.late_end(&entities, rule, PathRoot::From, env, own, item.place);
        let to = match from {
            Some(_) => self.late_end(&entities, rule, PathRoot::To, env, own, item.place),
            None => None,
        };
        for (from, to) in
            from.iter().flatten().flat_map(|f| to.iter().flatten().map(move |t| (*f, *t)))
        {
            let env = env
                .with(PathRoot::From, &entities.candidates[from as usize])
                .with(PathRoot::To, &entities.candidates[to as usize]);
            let made = self.properties(rule.number, &rule.properties, &rule.except, &env, item);
            let key = rule.key.as_ref().map(|key| name(key, &env, NameKind::Key)).transpose();
            let type_name =
                rule.type_name.as_ref().map(|t| name(t, &env, NameKind::Type)).transpose();
            match (key, type_name) {
                (Ok(key), Ok(type_name)) => {
                    let type_name = type_name.map(|type_name| self.out.types.number(&type_name));
                    self.add_relationship(PendingRelationship {
                        rule: rule.number,
                        class,
                        type_name,
                        key: key.map(Into::into),
                        from: PendingEnd::Entity(from),
                        to: PendingEnd::Entity(to),
                        properties: made.values,
                        raw: raw_text(false, item.row, made.rest),
                        place: item.place,
                    });
                }
                (Err(reason), _) | (_, Err(reason)) => {
                    self.unmatched(SourceOutcome::NoReference, item.place, reason);
                }
            }
        }
        self.own = Some(entities);
    }

    /// The entities of an end in the second pass; `None` if the item is told already.
    fn late_end(
        &mut self,
        entities: &OwnEntities<'s>,
        rule: &'s RelationshipRule,
        root: PathRoot,
        env: &ExprEnvironment<'_>,
        own: Option<&str>,
        place: InputLocation,
    ) -> Option<Vec<u32>> {
        let (end, word) = match root {
            PathRoot::From => (&rule.from, "from"),
            _ => (&rule.to, "to"),
        };
        let EndRule::Match { types, alternatives, ambiguous } = end else {
            return match self.pending_end(end, env, own) {
                Ok(pending) => match self.entity_of(&pending) {
                    Ok(entity) => Some(vec![entity]),
                    Err(reason) => {
                        let reason = format!("{word}: {reason}");
                        self.unmatched(SourceOutcome::Dangling, place, reason);
                        None
                    }
                },
                Err(reason) => {
                    let reason = format!("{word}: {reason}");
                    self.unmatched(SourceOutcome::NoReference, place, reason);
                    None
                }
            };
        };
        let found =
            entities.find(rule.number, root, (types.as_slice(), alternatives.as_slice()), env);
        let listed = || -> String {
            let keys = found.entities.iter().take(5);
            let keys: Vec<&str> =
                keys.map(|e| entities.candidates[*e as usize].key.as_str()).collect();
            keys.join(", ")
        };
        match (found.entities.len(), ambiguous) {
            (0, _) if found.undefined => {
                let reason = format!("{word}: what is looked for is undefined");
                self.unmatched(SourceOutcome::NoReference, place, reason);
                None
            }
            (0, _) => {
                let tried: Vec<&str> = alternatives.iter().map(|a| a.text.as_str()).collect();
                let reason = format!("{word}: `{}` holds for no entity", tried.join("`, `"));
                self.unmatched(SourceOutcome::Dangling, place, reason);
                None
            }
            (1, _) | (_, AmbiguityPolicy::All) => Some(found.entities),
            (count, AmbiguityPolicy::Skip) => {
                let reason = format!("{word}: {count} entities fit: {}", listed());
                self.unmatched(SourceOutcome::Ambiguous, place, reason);
                None
            }
            (count, AmbiguityPolicy::Error) => {
                let words = format!("`{word}` fits {count} entities: {}", listed());
                let help = "add a condition that tells them apart, or set `ambiguous`";
                self.row_fault("M0503", words, place, help);
                self.tell(SourceOutcome::Ambiguous, place, "", "");
                None
            }
        }
    }

    /// The entity of an end; `Err` says why there is none.
    fn entity_of(&self, end: &PendingEnd) -> Result<u32, String> {
        match end {
            PendingEnd::Entity(entity) => Ok(*entity),
            PendingEnd::Key(key) => {
                let found = self.out.entities.with_key(key);
                found.ok_or_else(|| format!("no entity `{key}`"))
            }
            PendingEnd::Keys(keys) => {
                let found = keys.iter().find_map(|key| self.out.entities.with_key(key));
                found.ok_or_else(|| format!("no entity `{}`", keys.join("`, `")))
            }
        }
    }

    /// Makes the entities of ends that no row made.
    fn make_created(&mut self) {
        for mut record in std::mem::take(&mut self.creates) {
            if record.classes == u32::MAX {
                let type_name = self.out.types.text(record.type_name).to_string();
                match self.known_classes(record.type_name, &type_name) {
                    Some(classes) => record.classes = classes,
                    None => {
                        self.classless.insert(record.type_name);
                        continue;
                    }
                }
            }
            let (key, type_name, place) = (record.key.clone(), record.type_name, record.place);
            match self.out.entities.create(record) {
                Ok(made) => self.out.count.created += u64::from(made),
                Err((_, first)) => {
                    let old = self.out.entities.with_key(&key);
                    let old = old.map_or(0, |at| self.out.entities.records[at as usize].type_name);
                    let conflict = EntityConflict::Type(old);
                    self.entity_conflict(&key, conflict, type_name, place, first);
                }
            }
        }
        let mut classless: Vec<String> =
            self.classless.iter().map(|number| self.out.types.text(*number).to_string()).collect();
        classless.sort();
        for type_name in classless {
            let words = format!("type `{type_name}` has no class");
            let fault = Diagnostic::error("M0705", &self.source.source, words);
            let fault = fault.at(self.source.scope_span.clone(), "");
            self.fault(fault.help(format!(
                "add `{type_name} = \"...\"` to `[class]`, or `\"*\" = \"...\"` for all other types"
            )));
        }
    }

    /// Makes the edges whose ends are keys.
    fn settle_pending(&mut self) {
        if !self.faults.list.is_empty() {
            return;
        }
        for pending in std::mem::take(&mut self.pending) {
            self.add_relationship(pending);
        }
    }

    fn add_relationship(&mut self, pending: PendingRelationship) {
        let place = pending.place;
        let ends = (self.entity_of(&pending.from), self.entity_of(&pending.to));
        let (from, to) = match ends {
            (Ok(from), Ok(to)) => (from, to),
            (Err(reason), _) => {
                return self.unmatched(SourceOutcome::Dangling, place, format!("from: {reason}"));
            }
            (_, Err(reason)) => {
                return self.unmatched(SourceOutcome::Dangling, place, format!("to: {reason}"));
            }
        };
        let records = &self.out.entities.records;
        let class = Arc::clone(self.out.types.text(pending.class));
        let key = pending.key.unwrap_or_else(|| {
            let (from, to) = (&records[from as usize].key, &records[to as usize].key);
            default_relationship_key(from, &class, to).into()
        });
        if let Err(error) = check_name(NameKind::Key, &key) {
            return self.unmatched(SourceOutcome::NoReference, place, error.to_string());
        }
        let type_name = pending.type_name.unwrap_or_else(|| {
            let name = |entity: u32| {
                Arc::clone(
                    self.out.types.text(self.out.entities.records[entity as usize].type_name),
                )
            };
            let text = format!("{}_{}_{}", name(from), class.to_lowercase(), name(to));
            self.out.types.number(&text)
        });
        let rule = self.rules[&pending.rule];
        let record = RelationshipRecord {
            key: key.clone(),
            class: pending.class,
            type_name,
            from,
            to,
            properties: pending.properties,
            raw: pending.raw,
            place,
        };
        let names = &self.out.names;
        let name_of = |number: u32| names.name(number).to_string();
        match self.out.relationships.add(record, &rule.merge, name_of) {
            AddedRelationship::Linked => self.tell(SourceOutcome::Linked, place, &key, ""),
            AddedRelationship::Duplicate => self.tell(SourceOutcome::Duplicate, place, &key, ""),
            AddedRelationship::Conflict(differs, first) => {
                let other = self.place_text(first);
                self.tell(SourceOutcome::Conflict, place, &key, "");
                let (what, help) = match differs {
                    Some((name, old, new)) => (
                        format!("`{}` {old} there and {new} here", self.out.names.name(name)),
                        "say with `merge` what counts: \"first\", \"last\" or \"union\"; or give edges that are to stand side by side a `key`",
                    ),
                    None => ("other ends or another type".to_owned(), "a `key` names one edge"),
                };
                let words = format!("the edge `{key}` was made by {other} already, with {what}");
                self.row_fault("M0704", words, place, help);
            }
        }
    }

    /// The result, with warnings about what led nowhere.
    pub(super) fn finish(mut self) -> Result<ResolvedSource, Vec<Diagnostic>> {
        if !self.faults.list.is_empty() {
            return Err(self.faults.finish());
        }
        if !self.source.is_built_in {
            self.warn_about_paths();
        }
        self.out.promises =
            self.source.promises.iter().map(|promise| promise.outcome(&self.out)).collect();
        Ok(self.out)
    }

    fn warn_about_paths(&mut self) {
        let source = self.source;
        let mut warn = |number: u32, span: std::ops::Range<usize>, what: &str| {
            let (tried, hits, keys) = &self.hits[number as usize];
            for (at, _) in hits.iter().enumerate().filter(|(_, hits)| **hits == 0 && *tried > 0) {
                let words = match hits.len() {
                    1 => format!("`items` of this {what} leads nowhere in any of {tried} rows"),
                    _ => format!(
                        "path {} in `items` of this {what} leads nowhere in any of {tried} rows",
                        at + 1
                    ),
                };
                let fault = Diagnostic::warning("W09", &source.source, words).at(span.clone(), "");
                self.out.warnings.push(match keys.is_empty() {
                    true => fault,
                    false => fault.help(format!("keys there: {}", keys.join(", "))),
                });
            }
        };
        for rule in &source.entities {
            warn(rule.content.number, rule.span.clone(), "entity");
        }
        for rule in source.relationship_rules() {
            warn(rule.number, rule.span.clone(), "relationship");
        }
        for rule in &source.entities {
            let defined = &self.defined[rule.content.number as usize];
            for (property, defined) in rule.content.properties.iter().zip(defined) {
                let (PropertyRule::Assign(name, _) | PropertyRule::Path(name, _)) = property else {
                    continue;
                };
                if !defined {
                    let words = format!("property `{name}` is undefined in every row");
                    let fault = Diagnostic::warning("W10", &source.source, words);
                    self.out.warnings.push(fault.at(rule.span.clone(), ""));
                }
            }
        }
    }
}

impl RelationshipRule {
    /// True if a pass has to look at it: its own pass, and the first one for the ends that it makes.
    fn runs(&self, late: bool) -> bool {
        let creates = |end: &EndRule| matches!(end, EndRule::Create(_));
        self.late == late || !late && (creates(&self.from) || creates(&self.to))
    }
}

impl SourceFile {
    /// True if the second pass needs a row set.
    fn reads_late(&self, set: usize) -> bool {
        let inner = self.entities.iter().filter(|rule| rule.rows.contains(&set));
        inner.flat_map(|rule| &rule.relationships).any(|rule| rule.late)
            || self.relationships.iter().any(|rule| rule.late && rule.rows.contains(&set))
    }
}

/// An entity of which only the key is known.
fn bare_candidate(scope: &str, key: &str) -> crate::mapping::resolve::EndCandidate {
    crate::mapping::resolve::EndCandidate {
        id: crate::graph::ObjectId::new(crate::graph::ObjectKind::Entity, scope, key),
        scope: scope.into(),
        key: key.to_owned(),
        type_name: "".into(),
        classes: Arc::new([]),
        properties: Vec::new(),
    }
}

/// The value of a template as text; a list or nothing is none.
fn text(template: &Template, env: &ExprEnvironment<'_>) -> Option<String> {
    match render(template, env).ok()? {
        Value::List(_) | Value::Null => None,
        value => Some(crate::lang::text_of(&value)).filter(|text| !text.is_empty()),
    }
}

/// The `displayName` or `name` of a row.
fn row_name(row: &RowFrame<'_>) -> Option<String> {
    ["displayName", "name"].iter().find_map(|member| match row.content {
        FrameContent::Data(data) => match ExprValue::of(data.member(member)?)? {
            ExprValue::Plain(Value::Text(text)) => Some(text.into_owned()),
            _ => None,
        },
        FrameContent::Cells(cells, columns) => {
            let cell = cells.get(*columns.get(*member)?)?;
            (!cell.is_empty()).then(|| cell.to_owned())
        }
    })
}

/// The raw data of an item: the whole row, or what no property can hold.
fn raw_text(whole: bool, row: &RowFrame<'_>, rest: Vec<(String, NestedValue)>) -> Option<Box<str>> {
    if whole {
        return Some(row.data().to_json().to_string().into());
    }
    match rest.is_empty() {
        true => None,
        false => Some(NestedValue::Object(rest.into()).to_json().to_string().into()),
    }
}
