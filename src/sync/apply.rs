//! Applying: a plan becomes heads, identities, edges and blocks in one write transaction.
//!
//! Nothing is decided here. Objects are taken scope by scope and, inside a scope, in the order of
//! the stage, so that each batch is read once and memory holds the heads of one scope at most.

use super::SyncError;
use super::batch::Record;
use super::plan::{Action, Change, Content, JobPlan, Merged, Plan};
use crate::graph::{Kind, ObjectId};
use crate::store::staging::Stage;
use crate::store::{
    BodyPacker, Cursor, EdgeEdit, Head, Identity, JobRow, NO_BODY, Snapshot, StoreError, Writer,
    take_value, write_body,
};
use std::collections::BTreeMap;

/// Stores a plan: graph, reports and counts change together at the commit of `writer`.
///
/// `snapshot` is the state that the plan was made for; `now` is epoch milliseconds.
pub fn apply(
    plan: &Plan,
    stage: &Stage,
    snapshot: &Snapshot,
    writer: &mut Writer,
    now: i64,
) -> Result<(), SyncError> {
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
    for kind in [Kind::Entity, Kind::Relationship] {
        for (job, &sequence) in plan.jobs.iter().zip(&sequences) {
            let changes = match kind {
                Kind::Entity => &job.entities,
                Kind::Relationship => &job.relationships,
            };
            let scope = writer.names.intern(&job.spec.scope);
            writer.scope(scope)?.last_job = Some(sequence);
            let mut step = Step { stage, snapshot, writer, kind, scope, sequence, now };
            let deleted = step.store(changes)?;
            deletions.entry((sequence, kind)).or_default().extend(deleted);
        }
    }
    for (&scope, changes) in &plan.foreign {
        let sequence = foreign_culprit(plan, &sequences);
        let kind = Kind::Relationship;
        let mut step = Step { stage, snapshot, writer, kind, scope, sequence, now };
        let deleted = step.store(changes)?;
        deletions.entry((sequence, kind)).or_default().extend(deleted);
    }
    for ((sequence, kind), mut numbers) in deletions {
        numbers.sort_unstable();
        writer.put_deletions(sequence, kind, &numbers)?;
    }
    for job in &plan.jobs {
        for (id, pin) in &job.pins {
            writer.put_pins(*id, pin.clone())?;
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

/// Heads that are in memory at a time.
const HEADS_AT_ONCE: usize = 64 << 10;

struct Step<'s> {
    stage: &'s Stage,
    snapshot: &'s Snapshot,
    writer: &'s mut Writer,
    kind: Kind,
    scope: u32,
    sequence: u32,
    now: i64,
}

/// The new facts of an object before they are joined with what was stored.
struct Facts {
    key: Box<str>,
    type_name: u32,
    class: u32,
    display: Option<Box<str>>,
    block: u32,
    slot: u32,
}

impl Step<'_> {
    /// Stores the changes of one kind in one scope; returns the numbers that were deleted.
    fn store(&mut self, changes: &[Change]) -> Result<Vec<u32>, SyncError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.writer.scope(self.scope)?.generation += 1;
        let creates = changes.iter().filter(|c| matches!(c.action, Action::Create(_))).count();
        self.writer.take_numbers(self.kind, creates)?;
        let mut facts = self.bodies(changes)?;
        let mut order: Vec<u32> = (0..changes.len() as u32).collect();
        order.sort_unstable_by_key(|&i| changes[i as usize].number);
        let mut edges = Vec::new();
        let mut deleted = Vec::new();
        for piece in order.chunks(HEADS_AT_ONCE) {
            let mut heads = Vec::with_capacity(piece.len());
            for &i in piece {
                let change = &changes[i as usize];
                let before = match change.action {
                    Action::Create(_) => None,
                    _ => Some(self.stored_head(change.number)?),
                };
                let head = self.head(change, facts[i as usize].take(), before.as_ref());
                self.count(change, before.as_ref(), &head)?;
                if self.kind == Kind::Relationship {
                    edge_edits(change, before.as_ref(), &head, &mut edges);
                }
                if change.action == Action::Delete {
                    deleted.push(change.number);
                }
                heads.push(Ok((change.number, Some(head))));
            }
            self.writer.edit_heads(self.kind, heads.into_iter())?;
        }
        drop(facts);
        self.identities(changes)?;
        if self.kind == Kind::Relationship {
            self.writer.edit_adjacency(self.scope, &edges)?;
        }
        Ok(deleted)
    }

    fn stored_head(&self, number: u32) -> Result<Head, StoreError> {
        self.snapshot.head(self.kind, number)?.ok_or_else(|| {
            StoreError::corrupt("heads", &number.to_be_bytes(), "an object of the plan is missing")
        })
    }

    /// Packs the new contents, in the order of the stage; returns the facts by change.
    fn bodies(&mut self, changes: &[Change]) -> Result<Vec<Option<Facts>>, SyncError> {
        let mut order: Vec<(u32, u32, usize)> = Vec::with_capacity(changes.len());
        for (i, change) in changes.iter().enumerate() {
            match &change.action {
                Action::Delete => {}
                Action::Create(content) | Action::Revive(content) | Action::Update(content) => {
                    let (frame, offset) = match content {
                        Content::Staged { frame, offset, .. } => (*frame, *offset),
                        Content::Merged(_) => (u32::MAX, 0),
                    };
                    order.push((frame, offset, i));
                }
            }
        }
        order.sort_unstable();
        let first = self.writer.scope(self.scope)?.next_block[self.kind as usize];
        let mut packer = BodyPacker::new(first);
        let mut facts: Vec<Option<Facts>> = Vec::new();
        facts.resize_with(changes.len(), || None);
        let mut full = Vec::new();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let frame = group[0].0;
            if frame == u32::MAX {
                for &(_, _, i) in group {
                    let content = content_of(&changes[i]);
                    if let Content::Merged(merged) = content {
                        facts[i] = Some(self.merged(merged, &mut packer, &mut full));
                    }
                }
            } else {
                self.frame(frame, group, changes, &mut packer, &mut full, &mut facts)?;
            }
        }
        let (last, next) = packer.finish();
        full.extend(last);
        self.writer.put_bodies(self.kind, self.scope, full)?;
        self.writer.scope(self.scope)?.next_block[self.kind as usize] = next;
        Ok(facts)
    }

    fn frame(
        &mut self,
        frame: u32,
        group: &[(u32, u32, usize)],
        changes: &[Change],
        packer: &mut BodyPacker,
        full: &mut Vec<(u32, Vec<u8>)>,
        facts: &mut [Option<Facts>],
    ) -> Result<(), SyncError> {
        let records = self.stage.records(frame)?;
        let names = self.stage.names(frame);
        let numbers: Vec<u32> = names.iter().map(|name| self.writer.names.intern(name)).collect();
        let display = names.iter().position(|name| name == "displayName");
        for &(_, _, i) in group {
            let Content::Staged { offset, len, .. } = *content_of(&changes[i]) else { continue };
            let record = Record::read(self.kind, &records, (offset, len))
                .ok_or(SyncError::damaged_stage())?;
            let (properties, raw) = record.properties().ok_or(SyncError::damaged_stage())?;
            let (shown, rest) = split_display(&properties, display.map(|d| d as u32));
            let rest = rest.map(|(name, value)| (numbers[*name as usize], *value));
            let (block, slot) = push_body(packer, full, rest.collect(), raw);
            let fact = Facts {
                key: record.key.into(),
                type_name: numbers[record.type_name as usize],
                class: numbers[record.class as usize],
                display: shown,
                block,
                slot,
            };
            facts[i] = Some(fact);
        }
        // Blocks are handed on as they fill, so that memory holds only a few.
        self.writer.put_bodies(self.kind, self.scope, full.drain(..))?;
        Ok(())
    }

    fn merged(
        &mut self,
        merged: &Merged,
        packer: &mut BodyPacker,
        full: &mut Vec<(u32, Vec<u8>)>,
    ) -> Facts {
        let properties: Vec<(u32, &[u8])> = merged
            .properties
            .iter()
            .map(|(name, value)| (self.writer.names.intern(name), value.as_slice()))
            .collect();
        let display = self.writer.names.number("displayName");
        let (shown, rest) = split_display(&properties, display);
        let rest: Vec<(u32, &[u8])> = rest.copied().collect();
        let (block, slot) = push_body(packer, full, rest, merged.raw_data.as_deref());
        Facts {
            key: merged.key.as_str().into(),
            type_name: self.writer.names.intern(&merged.type_name),
            class: self.writer.names.intern(&merged.class),
            display: shown,
            block,
            slot,
        }
    }

    /// The head after a change.
    fn head(&self, change: &Change, facts: Option<Facts>, before: Option<&Head>) -> Head {
        let (sequence, now) = (self.sequence, self.now);
        match (facts, before) {
            (Some(facts), before) => Head {
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
                    Some(before) if facts.key.is_empty() && self.kind == Kind::Entity => {
                        before.key.clone()
                    }
                    _ => facts.key,
                },
                display: facts.display,
            },
            (None, before) => {
                let before = before.expect("BUG: what has no contents was stored before");
                Head { end: now, job: sequence, ..before.clone() }
            }
        }
    }

    /// Keeps the counts of the scope and of its dead records.
    fn count(
        &mut self,
        change: &Change,
        before: Option<&Head>,
        after: &Head,
    ) -> Result<(), StoreError> {
        let kind = self.kind as usize;
        let row = self.writer.scope(self.scope)?;
        if let Some(before) = before {
            if before.end == 0 {
                row.counts[kind].shift(before.type_name, before.class, -1);
            } else {
                row.counts[kind].deleted -= 1;
            }
            if before.block != NO_BODY && change.action != Action::Delete {
                row.dead[kind] += 1;
            }
        }
        if after.end == 0 {
            row.counts[kind].shift(after.type_name, after.class, 1);
        } else {
            row.counts[kind].deleted += 1;
        }
        Ok(())
    }

    fn identities(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let edits: Vec<(ObjectId, Option<Identity>)> = changes
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

fn content_of(change: &Change) -> &Content {
    match &change.action {
        Action::Create(content) | Action::Revive(content) | Action::Update(content) => content,
        Action::Delete => unreachable!("BUG: a deletion has no contents"),
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
fn edge_edits(change: &Change, before: Option<&Head>, after: &Head, edits: &mut Vec<EdgeEdit>) {
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
