//! Functions for fuzz targets: each reads arbitrary bytes as one kind of stored value, to its end.
//!
//! None may panic, or take much more memory than the bytes it was given. The size of a tile limits
//! its rows, a chunk has a limit of rows, and the length that a block claims is checked. The
//! targets are in `fuzz/`. The tests below do the same on any compiler, with whole values that are
//! changed a little.

use super::body::{self, ColumnBlock};
use super::codec::{ByteCursor, skip_value, take_value, unseal};
use super::column::EncodedColumn;
use super::heads::HeadChunk;
use super::identity::IdentityRow;
use super::labels::LabelTable;
use super::names::{NameChunk, WordDictionary};
use super::rows::{DatabaseMeta, JobRow, ScopeRow};
use super::segment::EdgeSegment;
use super::{job_lock, job_stage};
use crate::graph::IdHash;
use std::hint::black_box;
use uuid::Uuid;

/// A reader of arbitrary bytes.
pub type FuzzTarget = fn(&[u8]);

/// All readers, by name.
pub const READERS: [(&str, FuzzTarget); 8] = [
    ("heads", heads),
    ("tiles", tiles),
    ("columns", columns),
    ("bodies", bodies),
    ("rows", rows),
    ("pages", pages),
    ("stages", stages),
    ("history", history),
];

/// A chunk of heads.
pub fn heads(bytes: &[u8]) {
    let Some(chunk) = HeadChunk::parse(bytes) else { return };
    for row in 0..chunk.len() {
        black_box((chunk.get(row), chunk.key(row), chunk.display(row), chunk.live(row)));
        black_box((chunk.ends(row), chunk.body(row), chunk.job(row), chunk.end(row)));
    }
    black_box(chunk.facts().count());
}

/// The contents of tiles: identities, and edges of a base or a delta.
pub fn tiles(bytes: &[u8]) {
    if let Some(row) = IdentityRow::parse(bytes) {
        black_box((row.iter().last(), row.find(IdHash(1 << 40))));
    }
    if let Some(segment) = EdgeSegment::parse(bytes) {
        black_box((segment.last(), segment.of(3..900).last()));
        black_box(segment.for_each(&mut Default::default(), |entity, edge| {
            black_box((entity, edge));
        }));
    }
}

/// Rows of the history: heads, edges, scopes, pins and revisions.
pub fn history(bytes: &[u8]) {
    black_box(super::history::read_any(bytes));
}

/// A column. The first byte is the number of its rows.
pub fn columns(bytes: &[u8]) {
    let Some((&rows, bytes)) = bytes.split_first() else { return };
    let rows = usize::from(rows);
    let Some(column) = EncodedColumn::take(&mut ByteCursor(bytes), rows) else { return };
    for row in 0..rows {
        black_box(column.get(row));
    }
    let (mut all, mut low) = (Vec::new(), Vec::new());
    column.unpack(rows, &mut all);
    column.unpack32(rows, &mut low);
    assert_eq!((all.len(), low.len()), (rows, rows));
    black_box(column.first_from(rows, 1 << 20));
}

/// A block of bodies, a record, and a value.
pub fn bodies(bytes: &[u8]) {
    if let Some(block) = ColumnBlock::open(bytes) {
        for row in 0..block.rows() as u32 {
            block.record(row).iter().for_each(|found| record(found));
            black_box((block.value(7, row), block.code_at(0, row)));
            let named = block.for_each_name(row, |name| {
                black_box(name);
            });
            black_box(named);
        }
    }
    record(bytes);
    let cut = |after: ByteCursor<'_>| bytes.len() - after.0.len();
    let (mut stepped, mut read) = (ByteCursor(bytes), ByteCursor(bytes));
    let (step, value) = (skip_value(&mut stepped), take_value(&mut read));
    // Stepping looks at no text.
    if value.is_some() {
        assert_eq!(step.map(<[u8]>::len), Some(cut(read)));
    }
}

fn record(record: &[u8]) {
    black_box(body::read(record));
}

/// The small rows, and seals.
pub fn rows(bytes: &[u8]) {
    black_box((DatabaseMeta::decode(bytes), ScopeRow::decode(bytes), JobRow::decode(bytes)));
    black_box(LabelTable::default().extend(bytes));
    black_box(WordDictionary::default().extend(bytes));
    if let Some(chunk) = NameChunk::parse(bytes) {
        black_box((chunk.iter().count(), chunk.text(255)));
    }
    black_box(unseal("meta", b"meta", bytes).is_ok());
}

/// A whole file, page by page.
pub fn pages(bytes: &[u8]) {
    let read = |offset: u64, out: &mut [u8]| {
        let there = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..out.len()));
        match there {
            Some(there) => {
                out.copy_from_slice(there);
                Ok(())
            }
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let found = |page| {
        black_box(page);
    };
    let _ = black_box(super::page_verification::walk(bytes.len() as u64, read, found));
}

/// The payload of a frame in the stage of a job, and the file of its lock.
pub fn stages(bytes: &[u8]) {
    job_stage::parts_of(bytes).for_each(|part| drop(black_box(part)));
    let _ = black_box(job_lock::record_in(bytes, Uuid::nil()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Value;
    use crate::store::heads::{ObjectHead, rewrite};
    use crate::store::identity::IdentityEntry;
    use crate::store::labels::RelationshipLabel;
    use crate::store::segment::{AdjacencyEntry, StoredEdge};
    use crate::store::tiles::TileEntry;
    use crate::store::{BodyPacker, ObjectCounts, names, put_value};
    use proptest::prelude::*;
    use std::sync::atomic::AtomicU32;

    fn texts() -> impl Iterator<Item = String> {
        (0..40).map(|i| format!("name {}", i * 7919 % 613))
    }

    /// Heads and tiles that are whole.
    fn whole_tiles() -> Vec<(FuzzTarget, Vec<u8>)> {
        let head = |i: u32| ObjectHead {
            scope: i % 3,
            type_name: 900 - i,
            from: i * i,
            begin: 1_700_000_000_000 + i64::from(i),
            key: format!("key:{i}").into(),
            display: i.is_multiple_of(2).then(|| format!("display {i}").into()),
            ..ObjectHead::default()
        };
        let some: Vec<ObjectHead> = (0..60).map(head).collect();
        let edits: Vec<_> = some.iter().map(Some).enumerate().collect();
        let mut all: Vec<(FuzzTarget, Vec<u8>)> = vec![(heads, rewrite(None, &edits).unwrap())];
        let identity = |i: u32| IdentityEntry {
            id: IdHash(u64::from(i) << 32),
            digest: u64::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            number: i * 3,
            live: !i.is_multiple_of(5),
        };
        let mut bytes = Vec::new();
        IdentityEntry::encode(&(0..90).map(identity).collect::<Vec<_>>(), &mut bytes);
        all.push((tiles, std::mem::take(&mut bytes)));
        let edge =
            |i: u32| (i / 4, StoredEdge { other: i * 77 % 1000, label: i % 4, relationship: i });
        let edges: Vec<AdjacencyEntry> = (0..200).map(edge).collect();
        AdjacencyEntry::encode(&edges, &mut bytes);
        all.push((tiles, std::mem::take(&mut bytes)));
        for values in [vec![7; 100], (0..100).collect(), (0..100u64).map(|i| i * i).collect()] {
            bytes.push(100);
            crate::store::column::put_column(&mut bytes, &values);
            all.push((columns, std::mem::take(&mut bytes)));
        }
        all
    }

    /// A body record that is whole, and bodies.
    fn whole_bodies() -> (Vec<u8>, Vec<(FuzzTarget, Vec<u8>)>) {
        let value =
            Value::List(vec![Value::Int(-7), Value::Text("text".into()), Value::Float(0.5)]);
        let mut bytes = Vec::new();
        put_value(&mut bytes, &value);
        let mut all: Vec<(FuzzTarget, Vec<u8>)> = vec![(bodies, bytes.clone())];
        let mut record = Vec::new();
        body::write(&mut record, 2, [(3, &bytes[..]), (700, &bytes[..])].into_iter(), Some("{}"));
        all.push((bodies, record.clone()));
        let (mut packer, next) = (BodyPacker::default(), AtomicU32::new(0));
        (0..50).for_each(|_| drop(packer.push(1, &record, &next)));
        all.extend(packer.close().into_iter().map(|(_, (_, block))| (bodies as FuzzTarget, block)));
        (record, all)
    }

    /// Rows of names, labels, scopes and jobs that are whole.
    fn whole_rows() -> Vec<(FuzzTarget, Vec<u8>)> {
        let mut counts = ObjectCounts::default();
        (0..30).for_each(|i| counts.shift(i, 99 - i, 1));
        let row =
            ScopeRow { counts: [counts.clone(), counts], last_job: Some(7), ..ScopeRow::default() };
        let mut all: Vec<(FuzzTarget, Vec<u8>)> = vec![(rows, row.encode())];
        let job = JobRow { id: uuid::Uuid::nil(), source: "api".into(), report: vec![b'x'; 900] };
        all.push((rows, job.encode()));
        let mut labels = LabelTable::default();
        for i in 1..300 {
            labels.intern(RelationshipLabel {
                scope: i,
                type_name: i * 2,
                verb: 4,
                derived_key: i.is_multiple_of(2),
            });
        }
        all.extend(labels.changed_rows().map(|(_, row)| (rows as FuzzTarget, row)));
        let texts: Vec<String> = texts().collect();
        all.push((rows, names::encode_chunk(texts.iter().map(String::as_str))));
        let mut sorted: Vec<&str> = texts.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let words = WordDictionary::new(sorted.into_iter().zip(1..));
        all.extend(words.rows().into_iter().map(|r| (rows as FuzzTarget, r)));
        all
    }

    /// Whole values of every kind.
    fn whole() -> Vec<(FuzzTarget, Vec<u8>)> {
        let (record, bodies) = whole_bodies();
        let mut all = whole_tiles();
        all.extend(bodies);
        all.extend(whole_rows());
        let mut batch = crate::store::staging::ObjectBatch::new();
        batch.names.push("okta".into());
        batch.records = record;
        let upload = job_stage::UploadParts {
            batches: &[batch],
            mapped: b"{}\n",
            mapped_count: 1,
            deletes: &[(crate::graph::ObjectKind::Entity, crate::graph::ObjectId([7; 16]))],
        };
        all.push((stages, job_stage::payload(&upload)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.redb");
        crate::store::DatabaseFile::create(&path, 1).unwrap();
        all.push((pages, std::fs::read(path).unwrap()));
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn whole_values_that_were_changed_a_bit_are_read_without_a_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..6u8, any::<u8>()), 1..6),
        ) {
            for (read, mut bytes) in whole() {
                read(&bytes);
                for (at, how, byte) in &edits {
                    if bytes.is_empty() {
                        break;
                    }
                    let at = at.index(bytes.len());
                    match how {
                        0 => bytes[at] = *byte,
                        1 => bytes[at] ^= 1 << (byte % 8),
                        2 => bytes.truncate(at),
                        3 => bytes.insert(at, *byte),
                        4 => bytes[at] = 0xFF,
                        _ => bytes[at..].iter_mut().take(9).for_each(|b| *b = *byte),
                    }
                }
                read(&bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            READERS.iter().for_each(|(_, read)| read(&bytes));
        }
    }

    #[test]
    fn lists_in_lists_without_end_are_no_value() {
        for deep in [[7, 1].repeat(1 << 20), vec![7; 1 << 20]] {
            READERS.iter().for_each(|(_, read)| read(&deep));
        }
    }

    #[test]
    fn what_claims_to_become_long_takes_no_memory() {
        let small = zstd::bulk::compress(b"short", 1).unwrap();
        let job = [&[0; 16][..], &[0], &u32::MAX.to_le_bytes(), &small].concat();
        assert_eq!(JobRow::decode(&job), None);
    }
}
