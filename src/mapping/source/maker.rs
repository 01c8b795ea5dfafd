//! What rows make, worked out apart from everything that other rows make: any thread can do it for any
//! rows. What depends on other rows, such as folding, is left to [`super::run`], which takes the batches
//! in the order of the rows.

use super::account::{SourceCount, SourceOutcome};
use super::entities::EntityTable;
use super::model::{EndRule, EntityContent, EntityRule, PropertyRule, RelationshipRule};
use super::own_entities::OwnEntities;
use super::properties::{MadeProperties, NameUses, PropertyMaker, SeenProperties};
use super::record::{CLASSES_OF_TYPE, EndKeys, EntityRecord, KeyDigest, RelationshipRecord};
use super::run_context::RunContext;
use crate::graph::{InputLocation, NameKind, Value, check_name};
use crate::lang::{Diagnostic, ExprValue, NestedValue, holds, render};
use crate::mapping::expression::{MappingExpr, PathRoot, Template};
use crate::mapping::model::AmbiguityPolicy;
use crate::mapping::resolve::{DocumentCount, EndCandidate, ExprEnvironment, keys_of, name};
use crate::mapping::rows::{DocumentFault, FileFacts, FrameContent, RowFrame, each_item};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// What the rows need to know in the second pass, in which all entities are known.
pub(super) struct LateContext<'c, 's> {
    pub entities: &'c EntityTable,
    pub own: &'c OwnEntities<'s>,
}

/// What some rows make.
#[derive(Default)]
pub(super) struct MadeBatch {
    pub count: SourceCount,
    pub documents: DocumentCount,
    /// What becomes of items, in their order.
    pub events: Vec<MadeEvent>,
    /// Records of entities.
    pub entities: Vec<u8>,
    /// Records of edges.
    pub edges: Vec<u8>,
    pub edge_count: u64,
    /// Records of the entities of ends: where each begins, and the hash of all that it says.
    pub creates: Vec<u8>,
    pub created: Vec<(usize, KeyDigest)>,
    pub trials: Vec<RuleTrials>,
}

/// How often a rule was tried, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleTrials {
    pub tried: u64,
    /// How often each of its paths led to an item.
    pub hits: Vec<u64>,
    /// Names in the first row that it was tried on.
    pub keys: Vec<String>,
    /// Which of its properties had a value.
    pub defined: Vec<bool>,
}

impl RuleTrials {
    /// Adds what came of it behind that.
    pub(super) fn add(&mut self, more: RuleTrials) {
        if self.hits.is_empty() {
            (self.hits, self.keys) = (more.hits, more.keys);
        } else {
            self.hits.iter_mut().zip(more.hits).for_each(|(hits, more)| *hits += more);
        }
        self.tried += more.tried;
        if self.defined.is_empty() {
            self.defined = more.defined;
        } else {
            self.defined.iter_mut().zip(more.defined).for_each(|(defined, more)| *defined |= more);
        }
    }
}

/// What becomes of an item, as far as it is known without the others.
pub(super) enum MadeEvent {
    Entity(MadeEntity),
    /// It made nothing, or nothing new, and the reason.
    Outcome(SourceOutcome, InputLocation, String),
    Fault(MadeFault),
}

/// A fault of the rows. It is told in full only if few of its kind are before it.
pub(super) enum MadeFault {
    /// Code, words, place and help.
    Row(&'static str, String, InputLocation, &'static str),
    /// The row set and the fault.
    Document(usize, DocumentFault),
    Told(Diagnostic),
}

/// An entity that an item made: its record in the batch.
pub(super) struct MadeEntity {
    pub key: KeyDigest,
    pub start: usize,
    pub end: usize,
    pub hash: u64,
    pub type_name: u32,
    /// [`CLASSES_OF_TYPE`] if its type decides.
    pub classes: u32,
    /// The number of its rule.
    pub rule: u32,
    pub place: InputLocation,
    /// The edges of the batch before it.
    pub edges_before: u64,
}

/// Takes rows through the file.
pub(super) struct RowMaker<'c, 's> {
    context: &'c RunContext<'s>,
    late: Option<&'c LateContext<'c, 's>>,
    pub made: MadeBatch,
    /// Takes what was made as soon as there is much of it.
    pieces: Option<Box<dyn FnMut(MadeBatch) -> bool + 'c>>,
    /// True if nobody wants more.
    pub stopped: bool,
    spread: Vec<NameUses>,
    seen: SeenProperties,
    /// The numbers of types, and of the classes of edges.
    types: FxHashMap<String, u32>,
    verbs: FxHashMap<String, u32>,
}

/// An item where it stands.
#[derive(Clone, Copy)]
struct Item<'r> {
    row: &'r RowFrame<'r>,
    place: InputLocation,
}

/// Bytes of records after which a piece is handed over.
const PIECE: usize = 1 << 20;
/// The same of events.
const EVENTS: usize = 10_000;

impl<'c, 's> RowMaker<'c, 's> {
    /// Takes rows of the first pass, or with `late` of the second one.
    pub(super) fn new(
        context: &'c RunContext<'s>,
        late: Option<&'c LateContext<'c, 's>>,
    ) -> RowMaker<'c, 's> {
        let rules = context.uses.len();
        let made = MadeBatch { trials: vec![RuleTrials::default(); rules], ..MadeBatch::default() };
        let mut spread = Vec::new();
        spread.resize_with(rules, NameUses::default);
        let (types, verbs) = (FxHashMap::default(), FxHashMap::default());
        let seen = SeenProperties::default();
        let (pieces, stopped) = (None, false);
        RowMaker { context, late, made, pieces, stopped, spread, seen, types, verbs }
    }

    /// The same for rows that make much: `take` gets it in pieces, until it returns false.
    pub(super) fn in_pieces(
        context: &'c RunContext<'s>,
        late: Option<&'c LateContext<'c, 's>>,
        take: impl FnMut(MadeBatch) -> bool + 'c,
    ) -> RowMaker<'c, 's> {
        RowMaker { pieces: Some(Box::new(take)), ..RowMaker::new(context, late) }
    }

    /// Gives what was made last.
    pub(super) fn finish(self) -> MadeBatch {
        self.made
    }

    /// Hands over what was made if there is much of it.
    fn hand_over(&mut self) {
        let MadeBatch { entities, edges, creates, events, trials, .. } = &self.made;
        let much = entities.len() + edges.len() + creates.len() > PIECE || events.len() > EVENTS;
        let Some(take) = self.pieces.as_mut().filter(|_| much) else { return };
        let trials = vec![RuleTrials::default(); trials.len()];
        let fresh = MadeBatch { trials, ..MadeBatch::default() };
        self.stopped |= !take(std::mem::replace(&mut self.made, fresh));
    }

    fn is_late(&self) -> bool {
        self.late.is_some()
    }

    fn row_fault(
        &mut self,
        code: &'static str,
        words: String,
        place: InputLocation,
        help: &'static str,
    ) {
        self.made.events.push(MadeEvent::Fault(MadeFault::Row(code, words, place, help)));
    }

    /// Puts down that an item made nothing.
    fn unmatched(&mut self, bucket: SourceOutcome, place: InputLocation, reason: String) {
        self.made.events.push(MadeEvent::Outcome(bucket, place, reason));
    }

    /// Counts an item that `where` leaves out. A reason is kept only for who asks for it.
    fn filtered(&mut self, bucket: SourceOutcome, place: InputLocation) {
        match self.context.watched == Some(place) {
            true => self.unmatched(bucket, place, "`where` leaves it out".to_owned()),
            false => self.made.count.add(bucket),
        }
    }

    /// Takes one row of a row set.
    pub(super) fn row(
        &mut self,
        set: usize,
        row: &RowFrame<'_>,
        facts: Option<&FileFacts>,
        input: u32,
    ) {
        let (source, late) = (self.context.source, self.is_late());
        let shared = self.context.shared;
        let env = ExprEnvironment::of_row(&shared, row, facts);
        self.made.count.rows += u64::from(!late);
        if source.rows[set].filter.as_ref().is_some_and(|filter| !holds(filter, &env)) {
            self.made.count.filtered_rows += u64::from(!late);
            return;
        }
        for rule in source.entities.iter().filter(|rule| rule.rows.contains(&set)) {
            if late && !rule.relationships.iter().any(|rule| rule.late) {
                continue;
            }
            self.each(rule.content.number, &rule.items, row, &env, &mut |maker, inner| {
                let place = InputLocation { input, line: inner.line };
                maker.entity_item(rule, facts, Item { row: inner, place });
            });
        }
        for rule in source.relationships.iter().filter(|rule| rule.rows.contains(&set)) {
            if !rule.runs(late) {
                continue;
            }
            self.each(rule.number, &rule.items, row, &env, &mut |maker, inner| {
                let place = InputLocation { input, line: inner.line };
                let env = ExprEnvironment::of_row(&shared, inner, facts);
                maker.relationship_item(rule, &env, None, Item { row: inner, place });
            });
        }
    }

    /// Calls `visit` for the items of a rule in a row, and counts which paths lead anywhere.
    fn each(
        &mut self,
        rule: u32,
        items: &'s [MappingExpr],
        row: &RowFrame<'_>,
        env: &ExprEnvironment<'_>,
        visit: &mut dyn FnMut(&mut Self, &RowFrame<'_>),
    ) {
        if items.is_empty() {
            return visit(self, row);
        }
        let late = self.is_late();
        let trials = &mut self.made.trials[rule as usize];
        trials.tried += u64::from(!late);
        if trials.hits.is_empty() {
            trials.hits = vec![0; items.len()];
            trials.keys = keys_of(&row.data());
        }
        for (at, item) in items.iter().enumerate() {
            let mut found = 0;
            each_item(std::slice::from_ref(item), row, env, &mut |inner| {
                found += 1;
                if !self.stopped {
                    visit(self, inner);
                    self.hand_over();
                }
            });
            let hits = &mut self.made.trials[rule as usize].hits;
            hits.resize(items.len(), 0);
            hits[at] += found;
        }
    }

    fn entity_item(&mut self, rule: &'s EntityRule, facts: Option<&FileFacts>, item: Item<'_>) {
        let Item { row, place } = item;
        let shared = self.context.shared;
        let env = ExprEnvironment::of_row(&shared, row, facts);
        if rule.filter.as_ref().is_some_and(|filter| !holds(filter, &env)) {
            if !self.is_late() {
                self.filtered(SourceOutcome::Filtered, place);
            }
            return;
        }
        let key = match self.late {
            Some(late) => match name(&rule.content.key, &env, NameKind::Key) {
                Ok(key) if late.entities.with_key(&key).is_some() => key,
                _ => return,
            },
            None => match self.entity(&rule.content, rule.raw, &env, item) {
                Ok(key) => key,
                Err(reason) => return self.unmatched(SourceOutcome::UndefinedKey, place, reason),
            },
        };
        let late = self.is_late();
        for inner in rule.relationships.iter().filter(|rule| rule.runs(late)) {
            self.each(inner.number, &inner.items, row, &env, &mut |maker, below| {
                let place = InputLocation { line: below.line, ..place };
                let item = Item { row: below, place };
                maker.relationship_item(inner, &env.at(below), Some(&key), item);
            });
        }
    }

    /// Makes the entity of an item, and returns its key.
    fn entity(
        &mut self,
        content: &'s EntityContent,
        raw: bool,
        env: &ExprEnvironment<'_>,
        item: Item<'_>,
    ) -> Result<String, String> {
        let key = name(&content.key, env, NameKind::Key)?;
        let type_name = self.number(&content.type_name, env, NameKind::Type)?;
        let classes = self.classes_of(content, env)?;
        let rules = (content.number, content.properties.as_slice(), content.except.as_slice());
        let made = self.properties(rules, env, item.row);
        let shown = content.name.as_ref().and_then(|name| text(name, env));
        let record = EntityRecord {
            key: key.as_str().into(),
            type_name,
            classes,
            name: shown.or_else(|| row_name(item.row)),
            properties: made.values,
            raw: raw_text(raw, item.row, made.rest),
            place: item.place,
        };
        let start = self.made.entities.len();
        let hash = record.put(&mut self.made.entities);
        self.made.events.push(MadeEvent::Entity(MadeEntity {
            key: KeyDigest::of(&key),
            start,
            end: self.made.entities.len(),
            hash,
            type_name,
            classes,
            rule: content.number,
            place: item.place,
            edges_before: self.made.edge_count,
        }));
        Ok(key)
    }

    /// The number of the type or of the verb that a template names.
    fn number(
        &mut self,
        template: &'s Template,
        env: &ExprEnvironment<'_>,
        kind: NameKind,
    ) -> Result<u32, String> {
        let known = match kind {
            NameKind::Class => &mut self.verbs,
            _ => &mut self.types,
        };
        // Most of them are written out, and nothing has to be made of them.
        let literal = template.literal().and_then(|text| known.get(text));
        if let Some(number) = literal {
            return Ok(*number);
        }
        let text = name(template, env, kind)?;
        if let Some(number) = known.get(&text) {
            return Ok(*number);
        }
        let number = self.context.names.type_number(&text);
        known.insert(text, number);
        Ok(number)
    }

    fn properties<'r>(
        &mut self,
        (rule, rules, except): (u32, &'r [PropertyRule], &'s [String]),
        env: &ExprEnvironment<'r>,
        row: &RowFrame<'r>,
    ) -> MadeProperties<'r> {
        let defined = &mut self.made.trials[rule as usize].defined;
        if defined.len() < rules.len() {
            defined.resize(rules.len(), false);
        }
        let maker = PropertyMaker {
            names: &self.context.names,
            except,
            uses: &self.context.uses[rule as usize],
            spread: &mut self.spread[rule as usize],
            seen: &mut self.seen,
            defined,
            made: MadeProperties::default(),
        };
        maker.make(rules, env, row)
    }

    /// The classes that a rule gives to an item itself.
    fn classes_of(
        &self,
        content: &'s EntityContent,
        env: &ExprEnvironment<'_>,
    ) -> Result<u32, String> {
        if content.classes.is_empty() {
            return Ok(CLASSES_OF_TYPE);
        }
        if let Some(classes) = self.context.written[content.number as usize] {
            return Ok(classes);
        }
        let mut classes: Vec<Arc<str>> = Vec::new();
        for template in &content.classes {
            let value = render(template, env).map_err(|part| format!("`{part}` is undefined"))?;
            for class in crate::lang::items(&value) {
                let class = crate::lang::text_of(class);
                check_name(NameKind::Class, &class).map_err(|e| e.to_string())?;
                if !classes.iter().any(|known| **known == *class) {
                    classes.push(class.as_str().into());
                }
            }
        }
        Ok(self.context.names.class_set(&classes))
    }

    /// Takes an item of an edge.
    fn relationship_item(
        &mut self,
        rule: &'s RelationshipRule,
        env: &ExprEnvironment<'_>,
        own: Option<&str>,
        item: Item<'_>,
    ) {
        let counts = rule.late == self.is_late();
        if rule.filter.as_ref().is_some_and(|filter| !holds(filter, env)) {
            if counts {
                self.filtered(SourceOutcome::FilteredEdge, item.place);
            }
            return;
        }
        if !self.is_late() {
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
        let class = match self.number(&rule.class, env, NameKind::Class) {
            Ok(class) => class,
            Err(reason) => {
                let reason = format!("class: {reason}");
                return self.unmatched(SourceOutcome::NoReference, item.place, reason);
            }
        };
        if let Some(late) = self.late {
            return self.late_relationship(late, rule, class, env, own, item);
        }
        let ends = [(&rule.from, "from"), (&rule.to, "to")].map(|(end, word)| {
            end_keys(end, env, own).map_err(|reason| format!("{word}: {reason}"))
        });
        let (from, to) = match ends {
            [Ok(from), Ok(to)] => (from, to),
            [Err(reason), _] | [_, Err(reason)] => {
                return self.unmatched(SourceOutcome::NoReference, item.place, reason);
            }
        };
        let scope = &self.context.source.scope;
        let candidates = [&from, &to].map(|end| {
            let known = rule.names_ends && end.others.is_empty();
            known.then(|| bare_candidate(scope, &end.first))
        });
        let env = match &candidates {
            [Some(from), Some(to)] => env.with(PathRoot::From, from).with(PathRoot::To, to),
            _ => *env,
        };
        self.put_relationship(rule, class, (from, to), &env, item);
    }

    /// Makes an edge whose ends have keys.
    fn put_relationship(
        &mut self,
        rule: &'s RelationshipRule,
        class: u32,
        (from, to): (EndKeys<'_>, EndKeys<'_>),
        env: &ExprEnvironment<'_>,
        item: Item<'_>,
    ) {
        let rules = (rule.number, rule.properties.as_slice(), rule.except.as_slice());
        let made = self.properties(rules, env, item.row);
        let key = rule.key.as_ref().map(|key| name(key, env, NameKind::Key)).transpose();
        let of = rule.type_name.as_ref();
        let type_name = of.map(|of| self.number(of, env, NameKind::Type)).transpose();
        match (key, type_name) {
            (Ok(key), Ok(type_name)) => {
                let record = RelationshipRecord {
                    rule: rule.number,
                    class,
                    type_name,
                    key: key.map(Cow::Owned),
                    from,
                    to,
                    properties: made.values,
                    raw: raw_text(false, item.row, made.rest),
                    place: item.place,
                };
                record.put(&mut self.made.edges);
                self.made.edge_count += 1;
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
        let Ok(type_name) = self.number(&content.type_name, env, NameKind::Type) else { return };
        let classes = match self.classes_of(content, env) {
            Ok(classes) => classes,
            Err(reason) => {
                let words = format!("`{key}`: class: {reason}");
                return self.row_fault("M0705", words, item.place, "");
            }
        };
        let rules = (content.number, content.properties.as_slice(), content.except.as_slice());
        let made = self.properties(rules, env, item.row);
        let record = EntityRecord {
            key: key.as_str().into(),
            type_name,
            classes,
            name: content.name.as_ref().and_then(|name| text(name, env)),
            properties: made.values,
            raw: raw_text(false, item.row, made.rest),
            place: item.place,
        };
        let start = self.made.creates.len();
        let hash = record.put(&mut self.made.creates);
        // Of two ends that say the same of one key the second adds nothing.
        let said = format!("{hash:x} {type_name} {classes} {key}");
        self.made.created.push((start, KeyDigest::of(&said)));
    }

    /// An edge of the second pass, in which all entities are known.
    fn late_relationship(
        &mut self,
        late: &'c LateContext<'c, 's>,
        rule: &'s RelationshipRule,
        class: u32,
        env: &ExprEnvironment<'_>,
        own: Option<&str>,
        item: Item<'_>,
    ) {
        let from = self.late_end(late, rule, PathRoot::From, env, own, item.place);
        let to = match from {
            Some(_) => self.late_end(late, rule, PathRoot::To, env, own, item.place),
            None => None,
        };
        let candidates = &late.own.candidates;
        for (from, to) in
            from.iter().flatten().flat_map(|f| to.iter().flatten().map(move |t| (*f, *t)))
        {
            let (from, to) = (&candidates[from as usize], &candidates[to as usize]);
            let env = env.with(PathRoot::From, from).with(PathRoot::To, to);
            let ends = (EndKeys::one(from.key.as_str()), EndKeys::one(to.key.as_str()));
            self.put_relationship(rule, class, ends, &env, item);
        }
    }

    /// The entities of an end in the second pass; `None` if the item is told already.
    fn late_end(
        &mut self,
        late: &'c LateContext<'c, 's>,
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
            let found = end_keys(end, env, own)
                .map_err(|reason| (SourceOutcome::NoReference, reason))
                .and_then(|keys| {
                    entity_of(late.entities, &keys)
                        .map_err(|reason| (SourceOutcome::Dangling, reason))
                });
            return match found {
                Ok(entity) => Some(vec![entity]),
                Err((bucket, reason)) => {
                    self.unmatched(bucket, place, format!("{word}: {reason}"));
                    None
                }
            };
        };
        let wanted = (types.as_slice(), alternatives.as_slice());
        let found = late.own.find(rule.number, root, wanted, env);
        let listed = || -> String {
            let keys = found.entities.iter().take(5);
            let keys: Vec<&str> =
                keys.map(|e| late.own.candidates[*e as usize].key.as_str()).collect();
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
                self.made.count.add(SourceOutcome::Ambiguous);
                None
            }
        }
    }
}

/// The entity of an end; `Err` says why there is none.
pub(super) fn entity_of(entities: &EntityTable, keys: &EndKeys<'_>) -> Result<u32, String> {
    let found = keys.iter().find_map(|key| entities.with_key(key));
    found.ok_or_else(|| {
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        format!("no entity `{}`", keys.join("`, `"))
    })
}

/// The keys of an end that is not looked for.
fn end_keys<'e>(
    end: &EndRule,
    env: &ExprEnvironment<'_>,
    own: Option<&'e str>,
) -> Result<EndKeys<'e>, String> {
    match end {
        EndRule::Own => own.map(EndKeys::one).ok_or_else(|| "there is no entity here".to_owned()),
        EndRule::Keys(templates) => {
            if let [template] = templates.as_slice() {
                return Ok(EndKeys::one(name(template, env, NameKind::Key)?));
            }
            let mut keys: Vec<Cow<'e, str>> = Vec::new();
            let mut reason = String::new();
            for template in templates {
                match name(template, env, NameKind::Key) {
                    Ok(key) => keys.push(key.into()),
                    Err(words) => reason = words,
                }
            }
            match keys.is_empty() {
                true => Err(reason),
                false => Ok(EndKeys { first: keys.remove(0), others: keys }),
            }
        }
        EndRule::Create(content) => {
            name(&content.type_name, env, NameKind::Type)?;
            Ok(EndKeys::one(name(&content.key, env, NameKind::Key)?))
        }
        EndRule::Match { .. } => Err("an end that is looked for has no key".to_owned()),
    }
}

impl RelationshipRule {
    /// True if a pass has to look at it: its own pass, and the first one for the ends that it makes.
    fn runs(&self, late: bool) -> bool {
        let creates = |end: &EndRule| matches!(end, EndRule::Create(_));
        self.late == late || !late && (creates(&self.from) || creates(&self.to))
    }
}

/// An entity of which only the key is known.
fn bare_candidate(scope: &str, key: &str) -> EndCandidate {
    EndCandidate {
        id: crate::graph::ObjectId::new(crate::graph::ObjectKind::Entity, scope, key),
        scope: scope.into(),
        key: key.to_owned(),
        type_name: "".into(),
        classes: Arc::new([]),
        properties: Vec::new(),
    }
}

/// The value of a template as text; a list or nothing is none.
fn text<'r>(template: &'r Template, env: &ExprEnvironment<'r>) -> Option<Cow<'r, str>> {
    let text = match render(template, env).ok()? {
        Value::List(_) | Value::Null => return None,
        Value::Text(text) => text,
        value => Cow::Owned(crate::lang::text_of(&value)),
    };
    (!text.is_empty()).then_some(text)
}

/// The `displayName` or `name` of a row.
fn row_name<'r>(row: &RowFrame<'r>) -> Option<Cow<'r, str>> {
    ["displayName", "name"].iter().find_map(|member| match row.content {
        FrameContent::Data(data) => match ExprValue::of(data.member(member)?)? {
            ExprValue::Plain(Value::Text(text)) => Some(text),
            _ => None,
        },
        FrameContent::Cells(cells, columns) => {
            let cell = cells.get(*columns.get(*member)?)?;
            (!cell.is_empty()).then_some(Cow::Borrowed(cell))
        }
    })
}

/// The raw data of an item: the whole row, or what no property can hold.
fn raw_text<'r>(
    whole: bool,
    row: &RowFrame<'_>,
    rest: Vec<(String, Cow<'_, NestedValue>)>,
) -> Option<Cow<'r, str>> {
    if whole {
        return Some(row.data().to_json().to_string().into());
    }
    if rest.is_empty() {
        return None;
    }
    let members = rest.into_iter().map(|(name, data)| (name, data.to_json()));
    Some(serde_json::Value::Object(members.collect()).to_string().into())
}
