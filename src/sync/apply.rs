//! Applying: a plan becomes heads, identities, edges and blocks in one write transaction.
//!
//! Nothing is decided here. Objects are taken scope by scope and, inside a scope, in the order of
//! the stage, so that each batch is read once and memory holds the heads of one scope at most.

use super::SyncError;
use super::batch::Record;
use super::plan::{Action, Change, Content, JobPlan, Merged, Plan};
use crate::graph::{IdHash, Kind, Value};
use crate::store::staging::Stage;
use crate::store::{
    BodyPacker, Cursor, EdgeEdit, Head, Identity, JobRow, NO_BODY, ScopeRow, StoreError,
    StoredHeads, Writer, put_varint, take_value, write_body,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Stores a plan: graph, reports and counts change together at the commit of `writer`.
///
/// `writer` starts from the state that the plan was made for; `now` is epoch milliseconds.
pub fn apply(plan: &Plan, stage: &Stage, writer: &mut Writer, now: i64) -> Result<(), SyncError> {
    let mut sequences = Vec::with_capacity(plan.jobs.len());
    for job in &plan.jobs {
        let sequence = writer.meta.next_job;
        writer.meta.next_job += 1;
        sequences.push(sequence);
        let mut report = job.report.clone();
        report.end_timestamp = Some(now);
        writer.put_job(sequence, &job_row(&report))?;
    }
    let mut deletions: BTreeMap<(u32, Kind), Vec<u32>> = BTreeMap::new();
    // Segments hold the edges of all scopes, so those of all jobs are stored at once.
    let mut edges = Vec::new();
    for kind in [Kind::Entity, Kind::Relationship] {
        for (job, &sequence) in plan.jobs.iter().zip(&sequences) {
            let changes = match kind {
                Kind::Entity => &job.entities,
                Kind::Relationship => &job.relationships,
            };
            let scope = writer.names.intern(&job.spec.scope);
            writer.scope(scope)?.last_job = Some(sequence);
            let mut step = Step { stage, writer, kind, scope, sequence, now };
            let deleted = step.store(changes, &mut edges)?;
            deletions.entry((sequence, kind)).or_default().extend(deleted);
        }
    }
    for (&scope, changes) in &plan.foreign {
        let sequence = foreign_culprit(plan, &sequences);
        let kind = Kind::Relationship;
        let mut step = Step { stage, writer, kind, scope, sequence, now };
        let deleted = step.store(changes, &mut edges)?;
        deletions.entry((sequence, kind)).or_default().extend(deleted);
    }
    for ((sequence, kind), mut numbers) in deletions {
        numbers.sort_unstable();
        writer.put_deletions(sequence, kind, &numbers)?;
    }
    writer.edit_adjacency(&edges)?;
    for job in &plan.jobs {
        let scope = writer.names.intern(&job.spec.scope);
        for (id, pin) in &job.pins {
            writer.put_pins(scope, *id, pin.clone())?;
        }
    }
    Ok(())
}

/// The row under which a report is stored.
pub fn job_row(report: &super::JobReport) -> JobRow {
    JobRow {
        id: report.id,
        source: report.source.clone(),
        report: serde_json::to_vec(report).expect("BUG: a report is plain JSON"),
    }
}

/// The job to which foreign deletions are written down: the first that deletes entities.
fn foreign_culprit(plan: &Plan, sequences: &[u32]) -> u32 {
    let deletes = |job: &JobPlan| job.entities.iter().any(|c| c.action == Action::Delete);
    let at = plan.jobs.iter().position(deletes).unwrap_or(0);
    sequences[at]
}

struct Step<'s> {
    stage: &'s Stage,
    writer: &'s mut Writer,
    kind: Kind,
    scope: u32,
    sequence: u32,
    now: i64,
}

/// The new facts of an object before they are joined with what was stored.
#[derive(Clone, Copy, Default)]
struct Facts {
    type_name: u32,
    class: u32,
    block: u32,
    slot: u32,
    /// Position in the texts, counted from 1; 0 for neither key nor display name, as most
    /// relationships have it.
    texts: u32,
}

/// The key, empty where it is not to be stored, and the display name of an object.
type Texts = (Box<str>, Option<Box<str>>);

/// A change in the order of numbers, with all that storing most of them takes: the changes
/// themselves lie in another order, and to look there is what costs.
#[derive(Clone, Copy)]
struct Ordered {
    number: u32,
    /// Index of the change.
    change: u32,
    ends: (u32, u32),
    what: What,
    frame: u32,
    offset: u32,
    len: u32,
}

/// What a change does and where its new contents are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Create,
    /// Revive or update.
    Change,
    Delete,
}

impl Ordered {
    fn new(change: &Change, index: u32) -> Ordered {
        let what = match &change.action {
            Action::Create(_) => What::Create,
            Action::Revive(_) | Action::Update(_) => What::Change,
            Action::Delete => What::Delete,
        };
        let (frame, offset, len) = match content(change) {
            Some(Content::Staged { frame, offset, len }) => (*frame, *offset, *len),
            Some(Content::Merged(_)) | None => (NO_FRAME, 0, 0),
        };
        let (number, ends) = (change.number, change.ends);
        Ordered { number, change: index, ends, what, frame, offset, len }
    }
}

/// Stands for the frame of contents that are not staged.
const NO_FRAME: u32 = u32::MAX;

/// The new contents of all changes of a step.
struct Contents {
    /// By position in the order of numbers; nothing for a deletion.
    facts: Vec<Option<Facts>>,
    texts: Vec<Texts>,
}

impl Contents {
    fn put(&mut self, at: usize, mut facts: Facts, texts: Texts) {
        if !texts.0.is_empty() || texts.1.is_some() {
            self.texts.push(texts);
            facts.texts = self.texts.len() as u32;
        }
        self.facts[at] = Some(facts);
    }

    fn get(&self, at: usize) -> Option<(Facts, Texts)> {
        let facts = self.facts[at]?;
        let texts = match facts.texts {
            0 => Texts::default(),
            at => self.texts[at as usize - 1].clone(),
        };
        Some((facts, texts))
    }
}

/// What is equal in all heads of a step.
struct Heads {
    kind: Kind,
    scope: u32,
    sequence: u32,
    now: i64,
}

/// What the changes of one chunk of heads became, beside the heads.
#[derive(Default)]
struct Made {
    edges: Vec<EdgeEdit>,
    deleted: Vec<u32>,
    counts: Shifts,
}

impl Heads {
    /// Makes the heads of changes in the order of numbers, of which the first is at `start`.
    fn make(
        &self,
        start: usize,
        changes: &[Ordered],
        contents: &Contents,
        stored: &StoredHeads<'_>,
    ) -> Result<(Vec<Option<Head>>, Made), StoreError> {
        let mut heads = Vec::with_capacity(changes.len());
        let mut made = Made::default();
        for (change, at) in changes.iter().zip(start..) {
            let before = match change.what {
                What::Create => None,
                What::Change | What::Delete => {
                    Some(stored.get(change.number).ok_or_else(|| {
                        let number = change.number.to_be_bytes();
                        StoreError::corrupt("heads", &number, "an object of the plan is missing")
                    })?)
                }
            };
            let head = self.head(change, contents.get(at), before.as_ref());
            made.counts.count(change, before.as_ref(), &head);
            if self.kind == Kind::Relationship {
                edge_edits(change, before.as_ref(), &head, &mut made.edges);
            }
            if change.what == What::Delete {
                made.deleted.push(change.number);
            }
            heads.push(Some(head));
        }
        Ok((heads, made))
    }

    /// The head after a change.
    fn head(
        &self,
        change: &Ordered,
        content: Option<(Facts, Texts)>,
        before: Option<&Head>,
    ) -> Head {
        let (sequence, now) = (self.sequence, self.now);
        match (content, before) {
            (Some((facts, (key, display))), before) => Head {
                scope: self.scope,
                type_name: facts.type_name,
                class: facts.class,
                from: change.ends.0,
                to: change.ends.1,
                created: before.map_or(now, |b| b.created),
                begin: now,
                end: 0,
                version: before.map_or(1, |b| b.version.saturating_add(1)),
                job: sequence,
                block: facts.block,
                slot: facts.slot,
                // A patch may name an entity by its id.
                key: match before {
                    Some(before) if key.is_empty() && self.kind == Kind::Entity => {
                        before.key.clone()
                    }
                    _ => key,
                },
                display,
            },
            (None, before) => {
                let before = before.expect("BUG: what has no contents was stored before");
                Head { end: now, job: sequence, ..before.clone() }
            }
        }
    }
}

impl Step<'_> {
    /// Stores the changes of one kind in one scope; returns the numbers that were deleted, and adds
    /// what becomes of edges to `edges`.
    fn store(
        &mut self,
        changes: &[Change],
        edges: &mut Vec<EdgeEdit>,
    ) -> Result<Vec<u32>, SyncError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.writer.scope(self.scope)?.generation += 1;
        let creates = changes.iter().filter(|c| matches!(c.action, Action::Create(_))).count();
        self.writer.take_numbers(self.kind, creates)?;
        let mut ordered: Vec<Ordered> =
            changes.par_iter().enumerate().map(|(i, c)| Ordered::new(c, i as u32)).collect();
        ordered.par_sort_unstable_by_key(|change| change.number);
        let contents = self.contents(changes, &ordered)?;
        let step =
            Heads { kind: self.kind, scope: self.scope, sequence: self.sequence, now: self.now };
        let make = |start, part: &[Ordered], stored: &StoredHeads<'_>| {
            step.make(start, part, &contents, stored)
        };
        let made = self.writer.rewrite_heads(self.kind, &ordered, |change| change.number, make)?;
        let mut deleted = Vec::new();
        let mut counts = Shifts::default();
        for made in made {
            edges.extend(made.edges);
            deleted.extend(made.deleted);
            counts.add(made.counts);
        }
        drop((contents, ordered));
        counts.apply(self.writer.scope(self.scope)?, self.kind);
        self.identities(changes)?;
        Ok(deleted)
    }

    /// Packs the new contents, in the order of the stage.
    fn contents(&mut self, changes: &[Change], ordered: &[Ordered]) -> Result<Contents, SyncError> {
        let mut contents = Contents { facts: vec![None; ordered.len()], texts: Vec::new() };
        let mut frames: Vec<Vec<Place>> = vec![Vec::new(); self.stage.frames() as usize];
        let mut merged = Vec::new();
        for (change, at) in ordered.iter().zip(0..) {
            if change.frame != NO_FRAME {
                let Ordered { offset, len, .. } = *change;
                frames[change.frame as usize].push(Place { offset, len, at });
            } else if let Some(Content::Merged(merge)) = content(&changes[change.change as usize]) {
                merged.push((at as usize, merge));
            }
        }
        let work: Vec<FrameWork> = (0..)
            .zip(frames)
            .filter(|(_, order)| !order.is_empty())
            .map(|(frame, order)| {
                let names = self.stage.names(frame);
                let numbers = names.iter().map(|name| self.writer.names.intern(name)).collect();
                let display = names.iter().position(|name| name == "displayName");
                FrameWork { frame, order, numbers, display: display.map(|d| d as u32) }
            })
            .collect();
        let row = self.writer.scope(self.scope)?;
        let mut next = row.next_block[self.kind as usize];
        // Each core packs a run of frames; what is packed waits for no more than one round.
        let (stage, kind) = (self.stage, self.kind);
        for round in runs(work) {
            let packed: Vec<Result<Packed, SyncError>> =
                round.into_par_iter().map(|run| pack(stage, kind, run)).collect();
            for packed in packed {
                let Packed { facts, blocks } = packed?;
                for (at, mut fact, texts) in facts {
                    if fact.block != NO_BODY {
                        fact.block += next;
                    }
                    contents.put(at as usize, fact, texts);
                }
                let count = blocks.len() as u32;
                self.writer.put_bodies(self.kind, self.scope, (next..).zip(blocks))?;
                next += count;
            }
        }
        let mut packer = BodyPacker::new(next);
        let mut full = Vec::new();
        for (at, merged) in merged {
            let (facts, texts) = self.merged(merged, &mut packer, &mut full);
            contents.put(at, facts, texts);
        }
        let (last, next) = packer.finish();
        full.extend(last);
        self.writer.put_bodies(self.kind, self.scope, full)?;
        self.writer.scope(self.scope)?.next_block[self.kind as usize] = next;
        Ok(contents)
    }

    fn merged(
        &mut self,
        merged: &Merged,
        packer: &mut BodyPacker,
        full: &mut Vec<(u32, Vec<u8>)>,
    ) -> (Facts, Texts) {
        let properties: Vec<(u32, &[u8])> = merged
            .properties
            .iter()
            .map(|(name, value)| (self.writer.names.intern(name), value.as_slice()))
            .collect();
        let display = self.writer.names.number("displayName");
        let (shown, rest) = split_display(&properties, display);
        let rest: Vec<(u32, &[u8])> = rest.copied().collect();
        let (block, slot) = push_body(packer, full, rest, merged.raw_data.as_deref());
        let type_name = self.writer.names.intern(&merged.type_name);
        let class = self.writer.names.intern(&merged.class);
        (Facts { type_name, class, block, slot, texts: 0 }, (merged.key.as_str().into(), shown))
    }

    fn identities(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let edits: Vec<(IdHash, Option<Identity>)> = changes
            .iter()
            .map(|change| {
                let live = change.action != Action::Delete;
                let (id, digest, number) = (change.id, change.digest, change.number);
                (id, Some(Identity { id, digest, number, live }))
            })
            .collect();
        self.writer.edit_identity(self.kind, self.scope, &edits)
    }
}

/// The changes whose contents lie in one frame, and what its names are in the database.
struct FrameWork {
    frame: u32,
    order: Vec<Place>,
    numbers: Vec<u32>,
    display: Option<u32>,
}

/// Where contents lie in their frame, and the position of their change in the order of numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    offset: u32,
    len: u32,
    at: u32,
}

/// What a run of frames became: facts by position in the order of numbers, and blocks.
struct Packed {
    facts: Vec<(u32, Facts, Texts)>,
    blocks: Vec<Vec<u8>>,
}

/// Frames in one run: enough that a block which is not full at its end weighs little.
const FRAMES_IN_RUN: usize = 16;

/// Frames in rounds of as many runs as there are cores.
fn runs(work: Vec<FrameWork>) -> Vec<Vec<Vec<FrameWork>>> {
    let cores = rayon::current_num_threads();
    let len = work.len().div_ceil(cores).clamp(1, FRAMES_IN_RUN);
    let mut rounds: Vec<Vec<Vec<FrameWork>>> = Vec::new();
    for frame in work {
        let full = |run: &Vec<FrameWork>| run.len() == len;
        if rounds.last().is_none_or(|r| r.len() == cores && r.last().is_some_and(full)) {
            rounds.push(Vec::new());
        }
        let round = rounds.last_mut().expect("BUG: there is a round");
        if round.last().is_none_or(full) {
            round.push(Vec::new());
        }
        round.last_mut().expect("BUG: there is a run").push(frame);
    }
    rounds
}

/// Packs the contents of a run of frames into blocks numbered from 0.
fn pack(stage: &Stage, kind: Kind, run: Vec<FrameWork>) -> Result<Packed, SyncError> {
    let mut packer = BodyPacker::new(0);
    let mut full = Vec::new();
    let mut facts = Vec::with_capacity(run.iter().map(|work| work.order.len()).sum());
    let (mut properties, mut body) = (Vec::new(), Vec::new());
    for FrameWork { frame, mut order, numbers, display } in run {
        let records = stage.records(frame)?;
        order.sort_unstable();
        for Place { offset, len, at } in order {
            let record =
                Record::read(kind, &records, (offset, len)).ok_or(SyncError::damaged_stage())?;
            properties.clear();
            let (mut count, mut shown) = (0, None);
            let raw = record
                .for_each_property(|name, value| {
                    // A `displayName` that is text lives in the head, where lists of entities
                    // find it.
                    if Some(name) == display
                        && let Some(Value::Text(text)) = take_value(&mut Cursor(value))
                    {
                        shown = Some(Box::from(text.as_ref()));
                        return;
                    }
                    count += 1;
                    put_varint(&mut properties, numbers[name as usize].into());
                    properties.extend_from_slice(value);
                })
                .ok_or(SyncError::damaged_stage())?;
            let (mut block, mut slot) = (NO_BODY, 0);
            if count > 0 || !raw.is_empty() {
                body.clear();
                put_varint(&mut body, count);
                body.extend_from_slice(&properties);
                body.extend_from_slice(raw.as_bytes());
                let (place, closed) = packer.push(&body);
                (block, slot) = place;
                full.extend(closed);
            }
            let type_name = numbers[record.type_name as usize];
            let class = numbers[record.class as usize];
            facts.push((
                at,
                Facts { type_name, class, block, slot, texts: 0 },
                (record.key.into(), shown),
            ));
        }
    }
    full.extend(packer.finish().0);
    Ok(Packed { facts, blocks: full.into_iter().map(|(_, block)| block).collect() })
}

/// What changes in the counts of a scope, gathered by type and class: there are few of them and
/// many objects.
#[derive(Default)]
struct Shifts {
    live: FxHashMap<(u32, u32), i64>,
    deleted: i64,
    dead: u64,
}

impl Shifts {
    fn count(&mut self, change: &Ordered, before: Option<&Head>, after: &Head) {
        if let Some(before) = before {
            if before.end == 0 {
                *self.live.entry((before.type_name, before.class)).or_default() -= 1;
            } else {
                self.deleted -= 1;
            }
            self.dead += u64::from(before.block != NO_BODY && change.what != What::Delete);
        }
        if after.end == 0 {
            *self.live.entry((after.type_name, after.class)).or_default() += 1;
        } else {
            self.deleted += 1;
        }
    }

    fn add(&mut self, other: Shifts) {
        for (of, by) in other.live {
            *self.live.entry(of).or_default() += by;
        }
        self.deleted += other.deleted;
        self.dead += other.dead;
    }

    fn apply(self, row: &mut ScopeRow, kind: Kind) {
        let counts = &mut row.counts[kind as usize];
        for ((type_name, class), by) in self.live.into_iter().filter(|(_, by)| *by != 0) {
            counts.shift(type_name, class, by);
        }
        counts.deleted = counts.deleted.saturating_add_signed(self.deleted);
        row.dead[kind as usize] += self.dead;
    }
}

fn content(change: &Change) -> Option<&Content> {
    match &change.action {
        Action::Create(content) | Action::Revive(content) | Action::Update(content) => {
            Some(content)
        }
        Action::Delete => None,
    }
}

type Property<'a> = (u32, &'a [u8]);

/// Takes a `displayName` that is text out of the properties: it lives in the head, where lists of
/// entities find it.
fn split_display<'p, 'a>(
    properties: &'p [Property<'a>],
    display: Option<u32>,
) -> (Option<Box<str>>, impl Iterator<Item = &'p Property<'a>> + use<'p, 'a>) {
    let found = properties.iter().position(|(name, _)| Some(*name) == display).and_then(|at| {
        let value = take_value(&mut Cursor(properties[at].1))?;
        Some((at, Box::from(value.as_str()?)))
    });
    let (at, text) = match found {
        Some((at, text)) => (at, Some(text)),
        None => (usize::MAX, None),
    };
    let rest = properties.iter().enumerate().filter(move |(i, _)| *i != at).map(|(_, p)| p);
    (text, rest)
}

fn push_body(
    packer: &mut BodyPacker,
    full: &mut Vec<(u32, Vec<u8>)>,
    properties: Vec<Property<'_>>,
    raw: Option<&str>,
) -> (u32, u32) {
    if properties.is_empty() && raw.is_none() {
        return (NO_BODY, 0);
    }
    let mut record = Vec::with_capacity(128);
    write_body(&mut record, properties.len(), properties.into_iter(), raw);
    let (place, closed) = packer.push(&record);
    full.extend(closed);
    place
}

/// The edges that a change of a relationship takes away and adds.
fn edge_edits(change: &Ordered, before: Option<&Head>, after: &Head, edits: &mut Vec<EdgeEdit>) {
    let edit = |head: &Head, add| EdgeEdit {
        from: head.from,
        to: head.to,
        verb: head.class,
        relationship: change.number,
        add,
    };
    let before = before.filter(|b| b.end == 0).map(|b| edit(b, false));
    let after = (after.end == 0).then(|| edit(after, true));
    if let (Some(b), Some(a)) = (&before, &after)
        && (b.from, b.to, b.verb) == (a.from, a.to, a.verb)
    {
        return;
    }
    edits.extend(before);
    edits.extend(after);
}
