//! Staging: uploads on their way into the graph, kept apart from the database file.
//!
//! A write transaction blocks every other writer for its whole length, so uploads never touch the
//! database: they go to a stage, batch by batch, and finalize reads them from there. A *spool*
//! holds the batches that one command reads, and vanishes with the process. The stage of a job that
//! takes uploads over several calls is a file of its own (`job_stage`).
//!
//! ```text
//!   batch   names | entities | relationships | length of the records u64 | records
//! ```

use super::StoreError;
use super::codec::{ByteCursor, put_bytes, put_varint};
use super::spill::OverflowFile;
use crate::graph::{IdHash, ObjectKind};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A spool stays in memory up to this size.
const MEMORY_MAX: usize = 8 << 20;

/// One staged object: the part that reconciling needs, and the place of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedObject {
    /// Hash of the `_id`, which comes from the scope of the job and the key.
    pub id: IdHash,
    /// Digest of the text that the object was read from, or of its content if there was none.
    pub spelling: u64,
    /// Scope of the job, as an index into the names of the batch.
    pub scope: u32,
    /// `_type`, likewise; 0 if the upload does not say it.
    pub type_name: u32,
    /// Batch, counted from 0.
    pub frame: u32,
    /// Start of the record among the records of the batch.
    pub offset: u32,
    /// Length of the record.
    pub len: u32,
}

/// One end of a staged relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedEnd {
    /// Scope as an index into the names of the batch; 0 if only the id is known.
    pub scope: u32,
    /// Hash of the `_id` of the entity.
    pub id: IdHash,
}

/// A staged relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedRelationship {
    /// The object itself.
    pub object: StagedObject,
    /// The end that it starts from.
    pub from: StagedEnd,
    /// The end that it leads to.
    pub to: StagedEnd,
}

impl AsRef<StagedObject> for StagedObject {
    fn as_ref(&self) -> &StagedObject {
        self
    }
}

impl AsRef<StagedObject> for StagedRelationship {
    fn as_ref(&self) -> &StagedObject {
        &self.object
    }
}

/// A batch of checked drafts, packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectBatch {
    /// Names that the records use by index; index 0 is the empty text.
    pub names: Vec<String>,
    /// Entities.
    pub entities: Vec<StagedObject>,
    /// Relationships.
    pub relationships: Vec<StagedRelationship>,
    /// The records, one after the other.
    pub records: Vec<u8>,
}

impl ObjectBatch {
    /// An empty batch.
    pub fn new() -> ObjectBatch {
        ObjectBatch { names: vec![String::new()], ..ObjectBatch::default() }
    }

    /// Bytes that it takes in the stage of a job, about.
    pub(super) fn bytes(&self) -> usize {
        let names = self.names.iter().map(|name| name.len() + 2).sum::<usize>();
        let objects = self.entities.len() * ENTITY + self.relationships.len() * RELATIONSHIP;
        names + objects + self.records.len()
    }

    /// Appends the batch as it lies in the stage of a job.
    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        let objects = self.entities.len() * ENTITY + self.relationships.len() * RELATIONSHIP;
        out.reserve(self.records.len() + objects + 4096);
        put_varint(out, self.names.len() as u64);
        self.names.iter().for_each(|name| put_bytes(out, name.as_bytes()));
        put_varint(out, self.entities.len() as u64);
        self.entities.iter().for_each(|entity| put_staged(out, entity));
        put_varint(out, self.relationships.len() as u64);
        self.relationships.iter().for_each(|one| put_relationship(out, one));
        out.extend_from_slice(&(self.records.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.records);
    }

    /// Reads a batch that [`ObjectBatch::encode_into`] wrote. `None` if the bytes are something else, or
    /// refer to names or records that the batch does not hold.
    pub(super) fn decode(payload: &[u8], frame: u32) -> Option<ObjectBatch> {
        let mut c = ByteCursor(payload);
        let mut batch = ObjectBatch::default();
        for _ in 0..c.varint()? {
            batch.names.push(c.text()?.to_owned());
        }
        for _ in 0..c.varint()? {
            batch.entities.push(take_staged(&mut c, frame)?);
        }
        for _ in 0..c.varint()? {
            batch.relationships.push(take_relationship(&mut c, frame)?);
        }
        let len = c.u64()?;
        batch.records = c.take(usize::try_from(len).ok()?)?.to_vec();
        // Later code indexes without checks, so every reference is checked here.
        (c.0.is_empty() && batch.names_what_it_holds()).then_some(batch)
    }

    fn names_what_it_holds(&self) -> bool {
        let (names, records) = (self.names.len(), self.records.len() as u64);
        let object = |staged: &StagedObject| {
            (staged.scope as usize) < names
                && (staged.type_name as usize) < names
                && u64::from(staged.offset) + u64::from(staged.len) <= records
        };
        let end = |end: StagedEnd| (end.scope as usize) < names;
        self.entities.iter().all(object)
            && self
                .relationships
                .iter()
                .all(|one| object(&one.object) && end(one.from) && end(one.to))
    }
}

/// Bytes of a staged entity.
const ENTITY: usize = 32;
/// Bytes of a staged relationship.
const RELATIONSHIP: usize = ENTITY + 2 * END;
/// Bytes of an end.
const END: usize = 12;

fn put_relationship(out: &mut Vec<u8>, relationship: &StagedRelationship) {
    let mut bytes = [0; RELATIONSHIP];
    let (object, ends) = bytes.split_at_mut(ENTITY);
    object.copy_from_slice(&packed(&relationship.object));
    for (bytes, end) in ends.chunks_exact_mut(END).zip([relationship.from, relationship.to]) {
        bytes[..4].copy_from_slice(&end.scope.to_le_bytes());
        bytes[4..].copy_from_slice(&end.id.0.to_le_bytes());
    }
    out.extend_from_slice(&bytes);
}

fn take_relationship(c: &mut ByteCursor<'_>, frame: u32) -> Option<StagedRelationship> {
    let object = take_staged(c, frame)?;
    let mut end = || Some(StagedEnd { scope: c.u32()?, id: IdHash(c.u64()?) });
    let (from, to) = (end()?, end()?);
    Some(StagedRelationship { object, from, to })
}

fn put_staged(out: &mut Vec<u8>, staged: &StagedObject) {
    out.extend_from_slice(&packed(staged));
}

/// An object as it is stored in a stage, copied in one piece: there are millions.
fn packed(staged: &StagedObject) -> [u8; ENTITY] {
    let mut bytes = [0; ENTITY];
    bytes[..8].copy_from_slice(&staged.id.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&staged.spelling.to_le_bytes());
    let rest = [staged.scope, staged.type_name, staged.offset, staged.len];
    for (bytes, n) in bytes[16..].as_chunks_mut().0.iter_mut().zip(rest) {
        *bytes = n.to_le_bytes();
    }
    bytes
}

fn take_staged(c: &mut ByteCursor<'_>, frame: u32) -> Option<StagedObject> {
    Some(StagedObject {
        id: IdHash(c.u64()?),
        spelling: c.u64()?,
        scope: c.u32()?,
        type_name: c.u32()?,
        frame,
        offset: c.u32()?,
        len: c.u32()?,
    })
}

/// Bytes of a spool.
enum SpooledBytes {
    Memory(Arc<Vec<u8>>),
    File { start: u64, len: usize },
}

struct SpooledBatch {
    names: Vec<String>,
    /// Numbers of entities and relationships.
    counts: [u32; 2],
    /// The staged entities, then the staged relationships.
    objects: SpooledBytes,
    records: SpooledBytes,
}

/// The batches of one upload.
pub struct UploadStage {
    overflow: OverflowFile,
    in_memory: usize,
    frames: Vec<SpooledBatch>,
    // Records of the last batch that was read from the file: readers go through a stage batch by
    // batch.
    last: Mutex<Option<(u32, Arc<Vec<u8>>)>>,
}

impl UploadStage {
    /// An empty spool that spills into `folder` when it grows.
    pub fn spool(folder: &Path) -> UploadStage {
        UploadStage {
            overflow: OverflowFile::new(folder),
            in_memory: 0,
            frames: Vec::new(),
            last: Mutex::new(None),
        }
    }

    /// Adds a batch.
    pub fn append(&mut self, batch: ObjectBatch) -> Result<(), StoreError> {
        let ObjectBatch { names, entities, relationships, records } = batch;
        let len = entities.len() * ENTITY + relationships.len() * RELATIONSHIP;
        let mut objects = Vec::with_capacity(len);
        entities.iter().for_each(|entity| put_staged(&mut objects, entity));
        relationships.iter().for_each(|one| put_relationship(&mut objects, one));
        let counts = [entities.len() as u32, relationships.len() as u32];
        let (objects, records) = (self.keep(objects)?, self.keep(records)?);
        self.frames.push(SpooledBatch { names, counts, objects, records });
        Ok(())
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<SpooledBytes, StoreError> {
        if self.in_memory + bytes.len() <= MEMORY_MAX {
            self.in_memory += bytes.len();
            return Ok(SpooledBytes::Memory(Arc::new(bytes)));
        }
        let start = self.overflow.append(std::iter::once(&bytes[..]))?;
        Ok(SpooledBytes::File { start, len: bytes.len() })
    }

    /// Some of the bytes that were kept.
    fn read(&self, bytes: &SpooledBytes, range: Range<usize>) -> Result<Vec<u8>, StoreError> {
        match bytes {
            SpooledBytes::Memory(bytes) => Ok(bytes[range].to_vec()),
            SpooledBytes::File { start, .. } => {
                self.overflow.read(start + range.start as u64, range.len())
            }
        }
    }

    /// The names of a batch.
    pub fn names(&self, frame: u32) -> &[String] {
        &self.frames[frame as usize].names
    }

    /// The number of objects of a kind in a batch.
    pub fn count(&self, kind: ObjectKind, frame: u32) -> u32 {
        self.frames[frame as usize].counts[kind as usize]
    }

    /// The entities of a batch, in the order of the upload.
    pub fn entities(&self, frame: u32) -> Result<Vec<StagedObject>, StoreError> {
        let [entities, _] = self.frames[frame as usize].counts.map(|count| count as usize);
        let bytes = self.read(&self.frames[frame as usize].objects, 0..entities * ENTITY)?;
        let mut c = ByteCursor(&bytes);
        Ok((0..entities).map_while(|_| take_staged(&mut c, frame)).collect())
    }

    /// The relationships of a batch, in the order of the upload.
    pub fn relationships(&self, frame: u32) -> Result<Vec<StagedRelationship>, StoreError> {
        let [entities, relationships] =
            self.frames[frame as usize].counts.map(|count| count as usize);
        let start = entities * ENTITY;
        let range = start..start + relationships * RELATIONSHIP;
        let bytes = self.read(&self.frames[frame as usize].objects, range)?;
        let mut c = ByteCursor(&bytes);
        Ok((0..relationships).map_while(|_| take_relationship(&mut c, frame)).collect())
    }

    /// One entity of a batch, counted from 0.
    pub fn entity(&self, frame: u32, i: u32) -> Result<StagedObject, StoreError> {
        let start = i as usize * ENTITY;
        let bytes = self.read(&self.frames[frame as usize].objects, start..start + ENTITY)?;
        Ok(take_staged(&mut ByteCursor(&bytes), frame).expect("BUG: as long as an entity"))
    }

    /// One relationship of a batch, counted from 0.
    pub fn relationship(&self, frame: u32, i: u32) -> Result<StagedRelationship, StoreError> {
        let entities = self.count(ObjectKind::Entity, frame) as usize * ENTITY;
        let start = entities + i as usize * RELATIONSHIP;
        let bytes = self.read(&self.frames[frame as usize].objects, start..start + RELATIONSHIP)?;
        Ok(take_relationship(&mut ByteCursor(&bytes), frame)
            .expect("BUG: as long as a relationship"))
    }

    /// The records of a batch.
    pub fn records(&self, frame: u32) -> Result<Arc<Vec<u8>>, StoreError> {
        let records = &self.frames[frame as usize].records;
        let len = match records {
            SpooledBytes::Memory(records) => return Ok(Arc::clone(records)),
            SpooledBytes::File { len, .. } => *len,
        };
        // The lock is not held while the file is read, so other threads can go on.
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, records)) = &*last()
            && *known == frame
        {
            return Ok(Arc::clone(records));
        }
        let records = Arc::new(self.read(records, 0..len)?);
        *last() = Some((frame, Arc::clone(&records)));
        Ok(records)
    }

    /// The record of one object. Nothing around it is read.
    pub fn record(&self, staged: &StagedObject) -> Result<Vec<u8>, StoreError> {
        let start = staged.offset as usize;
        self.read(&self.frames[staged.frame as usize].records, start..start + staged.len as usize)
    }

    /// A whole batch.
    pub fn batch(&self, frame: u32) -> Result<ObjectBatch, StoreError> {
        Ok(ObjectBatch {
            names: self.names(frame).to_vec(),
            entities: self.entities(frame)?,
            relationships: self.relationships(frame)?,
            records: self.records(frame)?.to_vec(),
        })
    }

    /// The number of batches.
    pub fn frames(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Frees the file. Nothing is read any more.
    pub fn free(&self) {
        self.overflow.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(n: u8) -> ObjectBatch {
        let staged = StagedObject {
            id: IdHash(n.into()),
            spelling: 8,
            scope: 1,
            type_name: 0,
            frame: 0,
            offset: 0,
            len: u32::from(n),
        };
        let end = StagedEnd { scope: 1, id: IdHash(9) };
        ObjectBatch {
            names: vec![String::new(), "okta".into()],
            entities: vec![staged],
            relationships: vec![StagedRelationship { object: staged, from: end, to: end }],
            records: vec![n; n.into()],
        }
    }

    #[test]
    fn a_batch_comes_back_or_is_refused() {
        let mut bytes = Vec::new();
        batch(3).encode_into(&mut bytes);
        assert_eq!(ObjectBatch::decode(&bytes, 0), Some(batch(3)));
        for cut in 0..bytes.len() {
            assert_eq!(ObjectBatch::decode(&bytes[..cut], 0), None);
        }
        assert_eq!(ObjectBatch::decode(&[&bytes[..], &[0]].concat(), 0), None);
        let strays: [fn(&mut ObjectBatch); 4] = [
            |batch| batch.entities[0].scope = 2,
            |batch| batch.entities[0].type_name = 9,
            |batch| batch.relationships[0].object.len = 4,
            |batch| batch.relationships[0].to.scope = u32::MAX,
        ];
        for stray in strays {
            let (mut wrong, mut bytes) = (batch(3), Vec::new());
            stray(&mut wrong);
            wrong.encode_into(&mut bytes);
            assert_eq!(ObjectBatch::decode(&bytes, 0), None);
        }
    }

    #[test]
    fn a_spool_gives_back_its_records_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = UploadStage::spool(folder.path());
        for n in 0..5u8 {
            let entities = vec![batch(n).entities[0]; 3];
            let records = vec![n; 10 << 20];
            let relationships = batch(n).relationships;
            stage.append(ObjectBatch { entities, relationships, records, names: vec![] }).unwrap();
        }
        assert!(!stage.overflow.is_empty());
        for n in 0..5u32 {
            let whole = stage.batch(n).unwrap();
            assert!(whole.records.iter().all(|&b| u32::from(b) == n));
            assert_eq!((whole.entities.len(), whole.relationships.len()), (3, 1));
            assert!(whole.entities.iter().all(|entity| entity.frame == n));
            assert_eq!(stage.entity(n, 2).unwrap(), whole.entities[2]);
            assert_eq!(stage.relationship(n, 0).unwrap(), whole.relationships[0]);
            assert_eq!(stage.record(&whole.entities[0]).unwrap(), vec![n as u8; n as usize]);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the spool has no name");
    }
}
