//! The run over the rows: each item of an entity and of an edge ends in one bucket.
//!
//! [`super::maker`] works out what rows make, on all cores; here it is put together in the order of the
//! rows, so that a run tells the same on any machine. Entities come first, then those that ends make,
//! then edges, so the order in the file never matters. Edges whose ends are keys wait in a log until all
//! entities are known. Edges that look for an end, or read its properties, need all entities before they
//! can be worked out, so the rows are read a second time for them.

use super::account::{SourceOutcome, UnmatchedItem};
use super::entities::{AddedEntity, EntityConflict, EntityTable, LoggedEntity};
use super::explanation::ItemExplanation;
use super::in_order::in_order;
use super::maker::{
    LateContext, MadeBatch, MadeEntity, MadeEvent, MadeFault, RowMaker, RuleTrials,
};
use super::model::{EntityContent, PropertyRule, RelationshipRule, SourceFile};
use super::own_entities::OwnEntities;
use super::record::{CLASSES_OF_TYPE, EntityRecord, KeyDigest, RelationshipRecord, records};
use super::record_log::RecordLog;
use super::relationships::{AddedRelationship, LoggedRelationship};
use super::resolved::ResolvedSource;
use super::run_context::RunContext;
use super::settle::{EdgeSettler, SettledEdge};
use crate::graph::{InputLocation, default_relationship_key};
use crate::lang::Diagnostic;
use crate::mapping::expression::Template;
use crate::mapping::resolve::{CappedDiagnostics, DocumentContext, DocumentCount};
use crate::mapping::rows::{
    ColumnPositions, FileFacts, RawDocument, ReadOptions, RowFrame, RowReader, each_row,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

/// The number of items that are listed with their reason; the rest is counted.
const UNMATCHED_LISTED: usize = 10_000;

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
    context: Arc<RunContext<'s>>,
    pub out: ResolvedSource,
    /// Entities that ends make, and the digests of what they say.
    creates: RecordLog,
    created: FxHashSet<KeyDigest>,
    faults: CappedDiagnostics,
    trials: Vec<RuleTrials>,
    /// The classes that rows gave to their types.
    class_of_type: FxHashMap<u32, u32>,
    classless: FxHashSet<u32>,
    /// Rules of edges and contents of entities by their number.
    rules: FxHashMap<u32, &'s RelationshipRule>,
    contents: FxHashMap<u32, &'s EntityContent>,
    /// Edges in the log whose ends nobody has looked for yet: how many, and where they begin.
    pending: u64,
    settled: u64,
    stopped: bool,
    pub told: Vec<ItemExplanation>,
}

/// Documents of one file that are worked on together.
struct RowGroup {
    documents: Vec<Result<RawDocument, Diagnostic>>,
    columns: Arc<ColumnPositions>,
    weight: usize,
}

/// What became of a group.
enum MadeGroup {
    Batch(Box<MadeBatch>),
    /// A document so large that what it makes must not be held as a whole.
    Large(RowGroup),
}

/// Bytes of the documents of a group.
const GROUP_BYTES: usize = 256 << 10;
/// Documents of a group.
const GROUP_DOCUMENTS: usize = 2_048;
/// Bytes of a document from which on it is taken here, piece by piece.
const LARGE: usize = 4 << 20;

impl<'s> SourceRun<'s> {
    pub(super) fn new(source: &'s SourceFile) -> SourceRun<'s> {
        let context = RunContext::new(source);
        let inputs = context.files.iter().flat_map(|(files, _)| files.iter());
        let inputs = inputs.map(|file| file.shown.clone()).collect();
        let names = Arc::clone(&context.names);
        let mut contents: FxHashMap<u32, &EntityContent> = FxHashMap::default();
        contents.extend(source.entities.iter().map(|rule| (rule.content.number, &rule.content)));
        SourceRun {
            source,
            context: Arc::new(context),
            out: ResolvedSource { inputs, names, ..ResolvedSource::default() },
            creates: RecordLog::default(),
            created: FxHashSet::default(),
            faults: CappedDiagnostics::default(),
            trials: vec![RuleTrials::default(); source.rule_count],
            class_of_type: FxHashMap::default(),
            classless: FxHashSet::default(),
            rules: source.relationship_rules().map(|rule| (rule.number, rule)).collect(),
            contents,
            pending: 0,
            settled: 0,
            stopped: false,
            told: Vec::new(),
        }
    }

    /// A run that keeps what becomes of the items that begin on a line.
    pub(super) fn watching(source: &'s SourceFile, place: InputLocation) -> SourceRun<'s> {
        let mut run = SourceRun::new(source);
        run.context = Arc::new(RunContext::new(source).watching(place));
        run.out.names = Arc::clone(&run.context.names);
        run
    }

    /// Reads all rows as often as the file needs.
    pub(super) fn all_rows(&mut self, now: SystemTime) {
        let done = self.pass(now, None).and_then(|()| self.settle_entities()).and_then(|own| {
            let Some(own) = own else { return Ok(()) };
            // All entities are made, so whoever looks for one needs no leave to change them.
            let entities = std::mem::take(&mut self.out.entities);
            let done = self.pass(now, Some(&LateContext { entities: &entities, own: &own }));
            self.out.entities = entities;
            done.and_then(|()| self.settle_edges())
        });
        self.note(done);
    }

    /// Takes one row, for examples.
    pub(super) fn one_row(&mut self, set: usize, row: &RowFrame<'_>, facts: &FileFacts) {
        let once = |context: &RunContext<'s>, late: Option<&LateContext<'_, 's>>| {
            let mut maker = RowMaker::new(context, late);
            maker.row(set, row, Some(facts), 0);
            maker.finish()
        };
        let made = once(&self.context, None);
        let done = self.put(made).and_then(|()| self.settle_entities()).and_then(|own| {
            let Some(own) = own else { return Ok(()) };
            let late = LateContext { entities: &self.out.entities, own: &own };
            let made = once(&self.context, Some(&late));
            self.put(made).and_then(|()| self.settle_edges())
        });
        self.note(done);
    }

    /// Notes an error of the temporary files.
    fn note(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            let words = format!("what the rows make cannot be kept in a temporary file: {error}");
            let fault = Diagnostic::error("M0403", &self.source.source, words);
            let fault = fault.at(self.source.scope_span.clone(), "");
            self.fault(fault.help("TMPDIR says where such files lie"));
            self.stopped = true;
        }
    }

    /// Makes what the rows of the first pass lead to. `Some` if a second pass is needed.
    fn settle_entities(&mut self) -> io::Result<Option<OwnEntities<'s>>> {
        self.make_created()?;
        if self.faults.list.is_empty() {
            self.settle_edges()?;
        }
        // A fault may have left an entity without a class, which an edge could ask for.
        let sound = self.goes_on() && self.faults.list.is_empty();
        if !sound || !self.source.relationship_rules().any(|rule| rule.late) {
            return Ok(None);
        }
        OwnEntities::new(self.source, &self.out, &self.context.shared).map(Some)
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
        // The line is read once more for it, so those that nobody sees are not made.
        if !self.faults.admits_another(code) {
            return;
        }
        let files = &self.context.files;
        let at = files.iter().rposition(|(_, first)| *first <= place.input).unwrap_or(0);
        let local = InputLocation { input: place.input - files[at].1, ..place };
        let fault = self.source.rows[at].rows.fault(code, words, local);
        self.faults.list.push(if help.is_empty() { fault } else { fault.help(help) });
    }

    fn made_fault(&mut self, fault: MadeFault) {
        match fault {
            MadeFault::Row(code, words, place, help) => self.row_fault(code, words, place, help),
            MadeFault::Told(fault) => self.fault(fault),
            MadeFault::Document(set, fault) => {
                if self.faults.admits_another(fault.code()) {
                    self.faults.list.push(fault.diagnostic(&self.source.rows[set].rows));
                }
            }
        }
    }

    pub(super) fn place_text(&self, place: InputLocation) -> String {
        let file = self.out.inputs.get(place.input as usize).map_or("row", String::as_str);
        format!("{file}:{}", place.line)
    }

    /// Counts an item, and keeps what became of it if its line is to be explained.
    fn tell(
        &mut self,
        bucket: SourceOutcome,
        place: InputLocation,
        key: impl FnOnce(&Self) -> String,
        reason: &str,
    ) {
        self.out.count.add(bucket);
        if self.context.watched == Some(place) {
            let (place, key) = (self.place_text(place), key(self));
            let reason = reason.to_owned();
            self.told.push(ItemExplanation { place, bucket, key, reason });
        }
    }

    /// Counts an item that made nothing.
    fn outcome(&mut self, bucket: SourceOutcome, place: InputLocation, reason: String) {
        self.tell(bucket, place, |_| String::new(), &reason);
        let filtered = matches!(bucket, SourceOutcome::Filtered | SourceOutcome::FilteredEdge);
        if !filtered && self.out.unmatched.len() < UNMATCHED_LISTED {
            let place = self.place_text(place);
            self.out.unmatched.push(UnmatchedItem { place, bucket, reason });
        }
    }

    /// Reads all rows once.
    fn pass(&mut self, now: SystemTime, late: Option<&LateContext<'_, 's>>) -> io::Result<()> {
        for (at, set) in self.source.rows.iter().enumerate() {
            if late.is_some() && !self.source.reads_late(at) {
                continue;
            }
            let options = ReadOptions {
                max_age: self.source.guard.max_age.or(set.max_age),
                now,
                around: self.source.around,
            };
            let mut reader = RowReader::open(&set.rows, &options);
            let mut seen = DocumentCount::default();
            self.read_set(at, &mut reader, late, &mut seen)?;
            if late.is_some() {
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
        Ok(())
    }

    /// Takes the rows of one set: made on all cores, put down in their order.
    fn read_set(
        &mut self,
        set: usize,
        reader: &mut RowReader<'s>,
        late: Option<&LateContext<'_, 's>>,
        seen: &mut DocumentCount,
    ) -> io::Result<()> {
        let context = Arc::clone(&self.context);
        let mut ahead = None;
        let mut outcome = Ok(());
        in_order(
            || next_group(reader, &mut ahead),
            |group| match group.weight > LARGE {
                true => MadeGroup::Large(group),
                false => {
                    let mut maker = RowMaker::new(&context, late);
                    take_group(&context, set, group, &mut maker);
                    MadeGroup::Batch(Box::new(maker.finish()))
                }
            },
            |made| {
                let mut put = |batch: MadeBatch| -> bool {
                    seen.add(batch.documents.clone());
                    outcome = self.put(batch);
                    outcome.is_ok() && self.goes_on()
                };
                match made {
                    MadeGroup::Batch(batch) => put(*batch),
                    MadeGroup::Large(group) => {
                        let mut maker = RowMaker::in_pieces(&context, late, &mut put);
                        let going = take_group(&context, set, group, &mut maker);
                        let last = maker.finish();
                        going && put(last)
                    }
                }
            },
        );
        outcome
    }

    /// Puts down what some rows made.
    fn put(&mut self, batch: MadeBatch) -> io::Result<()> {
        let MadeBatch { count, events, entities, edges, edge_count, creates, created, .. } = batch;
        self.out.count.add_all(&count);
        for (trials, more) in self.trials.iter_mut().zip(batch.trials) {
            trials.add(more);
        }
        let base = match entities.is_empty() {
            true => 0,
            false => self.out.entities.append(&entities)?,
        };
        self.out.relationships.log.append(&edges)?;
        for (start, said) in created {
            if self.created.insert(said)
                && let Some((_, record)) = records(&creates[start..]).next()
            {
                let len = size_of::<u32>() + record.len();
                self.creates.append(&creates[start..start + len])?;
            }
        }
        for event in events {
            if !self.goes_on() {
                return Ok(());
            }
            match event {
                MadeEvent::Entity(entity) => self.add_entity(base, entity)?,
                MadeEvent::Outcome(bucket, place, reason) => self.outcome(bucket, place, reason),
                MadeEvent::Fault(fault) => self.made_fault(fault),
            }
        }
        self.pending += edge_count;
        Ok(())
    }

    /// Takes an entity of a row.
    fn add_entity(&mut self, base: u64, entity: MadeEntity) -> io::Result<()> {
        let MadeEntity { type_name, classes, place, rule, .. } = entity;
        let classes = match classes {
            CLASSES_OF_TYPE => self.known_classes(type_name).unwrap_or_else(|| {
                self.classless.insert(type_name);
                CLASSES_OF_TYPE
            }),
            own => {
                self.class_of_type.insert(type_name, own);
                own
            }
        };
        let (start, end) = (base + entity.start as u64, base + entity.end as u64);
        let logged =
            LoggedEntity { key: entity.key, start, end, hash: entity.hash, type_name, classes };
        let key_of = |run: &Self| run.out.entities.logged_key(&logged);
        let names = Arc::clone(&self.out.names);
        let name_of = |number: u32| names.property_name(number).to_string();
        let merge = &self.contents[&rule].merge;
        match self.out.entities.add(logged, merge, name_of)? {
            AddedEntity::Made => self.tell(SourceOutcome::Made, place, key_of, ""),
            AddedEntity::Folded => self.tell(SourceOutcome::Folded, place, key_of, ""),
            AddedEntity::Conflict(conflict, first) => {
                let key = key_of(self);
                self.entity_conflict(&key, conflict, type_name, place, first);
                return Ok(());
            }
        }
        let objects = self.out.entities.len() as u64 + self.pending + entity.edges_before;
        self.check_size(objects, place);
        Ok(())
    }

    /// Stops a run that makes too much.
    fn check_size(&mut self, objects: u64, place: InputLocation) {
        let most = self.source.guard.max_objects;
        if objects > most && !self.stopped {
            let words = format!("the rows make more than {most} objects");
            let help = "raise `max_objects` in `[guard]` if this is meant";
            self.row_fault("M0507", words, place, help);
            self.stopped = true;
        }
    }

    /// The classes that the file gives to a type.
    fn known_classes(&mut self, type_number: u32) -> Option<u32> {
        if let Some(classes) = self.class_of_type.get(&type_number) {
            return Some(*classes);
        }
        let type_name = self.out.names.type_name(type_number);
        let literal = |template: &Template| template.literal().is_some_and(|t| *t == *type_name);
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
                let listed = source.classes.iter().find(|(of, _)| **of == *type_name);
                let listed = listed.or_else(|| source.classes.iter().find(|(of, _)| of == "*"));
                listed.map(|(_, classes)| classes.iter().map(|c| Arc::from(c.as_str())).collect())
            }
        };
        let number = self.out.names.class_set(&named?);
        self.class_of_type.insert(type_number, number);
        Some(number)
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
        let names = &self.out.names;
        let (code, what, help) = match conflict {
            EntityConflict::Type(old) => {
                let (old, new) = (names.type_name(old), names.type_name(type_name));
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
                format!("`{}` {old} there and {new} here", names.property_name(name)),
                "say with `merge` what counts: \"first\", \"last\" or \"union\"",
            ),
        };
        let words = format!("`{key}` was made by {other} already, with {what}");
        self.row_fault(code, words, place, help);
    }

    /// Makes the entities of ends that no row made.
    fn make_created(&mut self) -> io::Result<()> {
        let creates = std::mem::take(&mut self.creates);
        for piece in creates.pieces_from(0) {
            let bytes = creates.read(piece)?;
            for record in records(&bytes).filter_map(|(_, bytes)| EntityRecord::take(bytes)) {
                self.create(record)?;
            }
        }
        let mut classless: Vec<String> = self
            .classless
            .iter()
            .map(|number| self.out.names.type_name(*number).to_string())
            .collect();
        classless.sort();
        for type_name in classless {
            let words = format!("type `{type_name}` has no class");
            let fault = Diagnostic::error("M0705", &self.source.source, words);
            let fault = fault.at(self.source.scope_span.clone(), "");
            self.fault(fault.help(format!(
                "add `{type_name} = \"...\"` to `[class]`, or `\"*\" = \"...\"` for all other types"
            )));
        }
        Ok(())
    }

    fn create(&mut self, mut record: EntityRecord<'_>) -> io::Result<()> {
        if record.classes == CLASSES_OF_TYPE {
            let Some(classes) = self.known_classes(record.type_name) else {
                self.classless.insert(record.type_name);
                return Ok(());
            };
            record.classes = classes;
        }
        let (key, type_name, place) = (record.key.clone(), record.type_name, record.place);
        match self.out.entities.create(record)? {
            Ok(made) => {
                self.out.count.created += u64::from(made);
                self.check_size(self.out.entities.len() as u64 + self.pending, place);
            }
            Err((old, first)) => {
                self.entity_conflict(&key, EntityConflict::Type(old), type_name, place, first);
            }
        }
        Ok(())
    }

    /// Makes the edges that wait in the log.
    fn settle_edges(&mut self) -> io::Result<()> {
        let end = self.out.relationships.log.len();
        let mut pieces = self.out.relationships.log.pieces_from(self.settled).into_iter();
        (self.settled, self.pending) = (end, 0);
        // Taken out of `self`, of which all else changes while others look for more ends.
        let entities = std::mem::take(&mut self.out.entities);
        let names = Arc::clone(&self.out.names);
        let log = std::mem::take(&mut self.out.relationships.log);
        let mut outcome = Ok(());
        in_order(
            || pieces.next(),
            |piece| Ok(EdgeSettler::new(&entities, &names).piece(piece.start, &log.read(piece)?)),
            |settled: io::Result<Vec<SettledEdge>>| {
                outcome = settled.and_then(|edges| {
                    edges.into_iter().try_for_each(|edge| self.add_edge(&entities, &log, edge))
                });
                outcome.is_ok() && self.goes_on()
            },
        );
        self.out.entities = entities;
        self.out.relationships.log = log;
        outcome
    }

    fn add_edge(
        &mut self,
        entities: &EntityTable,
        log: &RecordLog,
        edge: SettledEdge,
    ) -> io::Result<()> {
        let SettledEdge { place, rule, outcome } = edge;
        let logged = match outcome {
            Ok(logged) => logged,
            Err((bucket, reason)) => {
                self.outcome(bucket, place, reason);
                return Ok(());
            }
        };
        let names = Arc::clone(&self.out.names);
        let name_of = |number: u32| names.property_name(number).to_string();
        let merge = &self.rules[&rule].merge;
        let key_of = |run: &Self| run.edge_key(log, &logged);
        match self.out.relationships.add(log, logged, merge, name_of)? {
            AddedRelationship::Linked => {
                self.tell(SourceOutcome::Linked, place, key_of, "");
                let objects = entities.len() + self.out.relationships.len();
                self.check_size(objects as u64, place);
            }
            AddedRelationship::Duplicate => self.tell(SourceOutcome::Duplicate, place, key_of, ""),
            AddedRelationship::Conflict(differs, first) => {
                let (other, key) = (self.place_text(first), key_of(self));
                self.tell(SourceOutcome::Conflict, place, |_| key.clone(), "");
                let (what, help) = match differs {
                    Some((name, old, new)) => (
                        format!("`{}` {old} there and {new} here", names.property_name(name)),
                        "say with `merge` what counts: \"first\", \"last\" or \"union\"; or give edges that are to stand side by side a `key`",
                    ),
                    None => ("other ends or another type".to_owned(), "a `key` names one edge"),
                };
                let words = format!("the edge `{key}` was made by {other} already, with {what}");
                self.row_fault("M0704", words, place, help);
            }
        }
        Ok(())
    }

    /// The key of an edge, for people.
    fn edge_key(&self, log: &RecordLog, edge: &LoggedRelationship) -> String {
        let bytes = log.read(edge.start..edge.end).unwrap_or_default();
        let record = records(&bytes).next().and_then(|(_, bytes)| RelationshipRecord::take(bytes));
        let Some((record, _)) = record else { return String::new() };
        match record.key {
            Some(key) => key.into_owned(),
            None => {
                let class = self.out.names.type_name(record.class);
                // Of several keys of an end the right one can be told only by the table of entities,
                // which is not here; the first is near enough for people.
                default_relationship_key(&record.from.first, &class, &record.to.first)
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
            let RuleTrials { tried, hits, keys, .. } = &self.trials[number as usize];
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
            let defined = &self.trials[rule.content.number as usize].defined;
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

/// The next documents that are worked on together.
fn next_group(
    reader: &mut RowReader<'_>,
    ahead: &mut Option<Result<RawDocument, Diagnostic>>,
) -> Option<RowGroup> {
    let first = ahead.take().or_else(|| reader.next_raw())?;
    // The columns are those of the file of the last document, so a group is of one file.
    let file = |document: &Result<RawDocument, Diagnostic>| document.as_ref().ok().map(|d| d.file);
    let weight_of =
        |document: &Result<RawDocument, Diagnostic>| document.as_ref().map_or(0, |d| d.weight);
    let (of, mut weight) = (file(&first), weight_of(&first));
    let columns = reader.shared_columns();
    let mut documents = vec![first];
    while weight < GROUP_BYTES && documents.len() < GROUP_DOCUMENTS {
        let Some(next) = reader.next_raw() else { break };
        if file(&next) != of || weight_of(&next) > LARGE {
            *ahead = Some(next);
            break;
        }
        weight += weight_of(&next);
        documents.push(next);
    }
    Some(RowGroup { documents, columns, weight })
}

/// Takes the documents of a group through the file; false if nobody wants what else they make.
fn take_group(
    context: &RunContext<'_>,
    set: usize,
    group: RowGroup,
    maker: &mut RowMaker<'_, '_>,
) -> bool {
    let rows = &context.source.rows[set].rows;
    let (files, first) = &context.files[set];
    for document in group.documents {
        let document = match document {
            Err(fault) => {
                maker.made.events.push(MadeEvent::Fault(MadeFault::Told(fault)));
                continue;
            }
            Ok(document) => document.read(rows),
        };
        let document = match document {
            None => continue,
            Some(Err(fault)) => {
                maker.made.events.push(MadeEvent::Fault(MadeFault::Document(set, fault)));
                continue;
            }
            Some(Ok(document)) => document,
        };
        let facts = files.get(document.file);
        let input = first + document.file as u32;
        let documents = DocumentContext { shared: context.shared, file: facts };
        let frame = document.frame(&group.columns);
        let mut found = 0;
        each_row(&frame, rows.items(), &documents, &mut |row| {
            found += 1;
            maker.row(set, row, facts, input);
        });
        maker.made.documents.rows += found;
        maker.made.documents.document(&document);
        if maker.stopped {
            break;
        }
    }
    !maker.stopped
}

impl SourceFile {
    /// True if the second pass needs a row set.
    fn reads_late(&self, set: usize) -> bool {
        let inner = self.entities.iter().filter(|rule| rule.rows.contains(&set));
        inner.flat_map(|rule| &rule.relationships).any(|rule| rule.late)
            || self.relationships.iter().any(|rule| rule.late && rule.rows.contains(&set))
    }
}
