//! The stage of a job that takes uploads over several calls: an append-only file that survives a
//! crash. It never loses an acknowledged upload silently.
//!
//! ```text
//!   file    frames, one for each upload
//!   frame   magic u32 | crc32 u32 over the job id and the rest of the header
//!           | number u64 from 1 | length of the payload u64 | chain before u64 | chain after u64
//!           | entities u64 | relationships u64 | deletions u64, all up to and with this frame
//!           | payload
//!   payload parts: kind u8 | length u64 | contents
//!             1 a batch; 2 mapped relationships, JSON, one a line;
//!             3 deletions: kind u8 | id 16 B
//! ```
//!
//! The chain is XXH3 of the payload, seeded with the chain before it; it begins with the hash of
//! the job id. So a frame proves all frames before it, and the frames of another job prove nothing
//! here.
//!
//! A frame is on the disk before it is acknowledged, and the acknowledged end stands beside the
//! stage (`job_lock`). Anything up to that end that is not whole is damage. Behind that end there
//! may be whole frames whose acknowledgement was lost: they count. There may also be the beginning
//! of a frame that a crash cut short: it does not count, and no frame of the job follows it. Only
//! the holder of the lock of the job appends, or cuts such a beginning off.

use super::codec::ByteCursor;
use super::job_lock::{StageEnd, is_at};
use super::staging::ObjectBatch;
use super::{StoreError, private_files};
use crate::graph::{ObjectId, ObjectKind};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const MAGIC: u32 = 0x336c_6d54;
const HEADER: usize = 64;

const BATCH: u8 = 1;
const MAPPED: u8 = 2;
const DELETES: u8 = 3;
/// Bytes of a deletion.
const DELETE: usize = 17;
/// Bytes of a stage that are searched at once.
const WINDOW: u64 = 1 << 20;

/// One upload, which is written as one frame: whole or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadParts<'u> {
    /// Objects.
    pub batches: &'u [ObjectBatch],
    /// Mapped relationships: JSON documents, each with a line feed behind it.
    pub mapped: &'u [u8],
    /// The number of those documents.
    pub mapped_count: u64,
    /// The objects that are named for deletion.
    pub deletes: &'u [(ObjectKind, ObjectId)],
}

impl UploadParts<'_> {
    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        let objects = |batch: &ObjectBatch| batch.entities.len() + batch.relationships.len();
        self.batches.iter().all(|batch| objects(batch) == 0)
            && self.mapped.is_empty()
            && self.deletes.is_empty()
    }

    /// Bytes that it takes in the stage, about.
    pub fn bytes(&self) -> u64 {
        let batch = |batch: &ObjectBatch| batch.bytes() as u64;
        let batches = self.batches.iter().map(batch).sum::<u64>();
        HEADER as u64 + batches + (self.mapped.len() + self.deletes.len() * DELETE) as u64
    }
}

/// A part of an upload, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadPart {
    /// Objects.
    Batch(ObjectBatch),
    /// Mapped relationships, as they were given.
    Mapped(Vec<u8>),
    /// The objects that are named for deletion.
    Deletes(Vec<(ObjectKind, ObjectId)>),
}

/// The numbers of objects in a stage, repetitions included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// Entities.
    pub entities: u64,
    /// Relationships, mapped ones included.
    pub relationships: u64,
    /// Named deletions.
    pub deletes: u64,
}

#[derive(Clone, Copy, Debug)]
struct UploadHeader {
    number: u64,
    length: u64,
    before: u64,
    after: u64,
    counts: StageCounts,
}

impl UploadHeader {
    fn encode(&self, job: Uuid) -> [u8; HEADER] {
        let counts = self.counts;
        let numbers = [
            self.number,
            self.length,
            self.before,
            self.after,
            counts.entities,
            counts.relationships,
            counts.deletes,
        ];
        let mut bytes = [0; HEADER];
        for (place, n) in bytes[8..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&n.to_le_bytes());
        }
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        let crc = checksum(job, &bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER], job: Uuid) -> Option<UploadHeader> {
        let mut c = ByteCursor(bytes);
        let (magic, crc) = (c.u32()?, c.u32()?);
        let (number, length, before, after) = (c.u64()?, c.u64()?, c.u64()?, c.u64()?);
        let (entities, relationships, deletes) = (c.u64()?, c.u64()?, c.u64()?);
        let counts = StageCounts { entities, relationships, deletes };
        let whole = magic == MAGIC && crc == checksum(job, bytes);
        whole.then_some(UploadHeader { number, length, before, after, counts })
    }
}

/// The checksum of a header, without the bytes that hold the checksum itself.
fn checksum(job: Uuid, header: &[u8; HEADER]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(job.as_bytes());
    hasher.update(&header[..4]);
    hasher.update(&header[8..]);
    hasher.finalize()
}

/// The reason why no whole frame was read.
enum UploadReadError {
    Damaged(&'static str),
    Io(std::io::Error),
}

impl From<std::io::Error> for UploadReadError {
    fn from(e: std::io::Error) -> UploadReadError {
        UploadReadError::Io(e)
    }
}

/// The stage of a job, as far as it was read or written.
pub struct JobStage {
    path: PathBuf,
    job: Uuid,
    file: File,
    end: StageEnd,
    counts: StageCounts,
}

impl JobStage {
    /// Makes an empty stage.
    pub fn create(path: &Path, job: Uuid) -> Result<JobStage, StoreError> {
        Ok(JobStage::of(private_files::create_new(path)?, path, job))
    }

    /// Opens a stage. Nothing of it is read yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::DamagedFile`] if there is none.
    pub fn open(path: &Path, job: Uuid) -> Result<JobStage, StoreError> {
        // A link, a fifo or a device in this place is not ours, and opening it may block.
        let regular = |metadata: std::fs::Metadata| metadata.is_file();
        if path.symlink_metadata().is_ok_and(|metadata| !regular(metadata)) {
            return Err(StoreError::DamagedFile(path.to_owned(), "it is no file".to_owned()));
        }
        match File::options().read(true).write(true).open(path) {
            Ok(file) => Ok(JobStage::of(file, path, job)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let what = "it is missing, with all that was uploaded to the job".to_owned();
                Err(StoreError::DamagedFile(path.to_owned(), what))
            }
            Err(e) => Err(e.into()),
        }
    }

    fn of(file: File, path: &Path, job: Uuid) -> JobStage {
        let path = path.to_owned();
        let mut stage =
            JobStage { path, job, file, end: StageEnd::default(), counts: StageCounts::default() };
        stage.rewind();
        stage
    }

    fn rewind(&mut self) {
        self.end = StageEnd { frames: 0, length: 0, chain: xxh3_64(self.job.as_bytes()) };
        self.counts = StageCounts::default();
    }

    /// True if the path still names this very file.
    pub fn is_there(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// The end of what was read or written so far.
    pub fn end(&self) -> StageEnd {
        self.end
    }

    /// The counts of what lies before that end.
    pub fn counts(&self) -> StageCounts {
        self.counts
    }

    /// Reads on from that end, up to the last whole frame.
    ///
    /// # Errors
    ///
    /// [`StoreError::DamagedFile`] if anything that was acknowledged is missing.
    pub fn catch_up(&mut self, acknowledged: StageEnd) -> Result<(), StoreError> {
        self.scan_uploads(acknowledged, None, &mut |_| Ok(()))
    }

    /// Reads all of it, and hands over each part in the order of the uploads.
    ///
    /// # Errors
    ///
    /// [`StoreError::DamagedFile`] if anything that was acknowledged is missing.
    pub fn parts(
        &mut self,
        acknowledged: StageEnd,
        visit: &mut dyn FnMut(UploadPart) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.rewind();
        self.scan_uploads(acknowledged, None, visit)
    }

    /// [`JobStage::parts`] for a complete stage: nothing behind `end` was ever part of it.
    pub fn parts_to(
        &mut self,
        end: StageEnd,
        visit: &mut dyn FnMut(UploadPart) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.rewind();
        self.scan_uploads(end, Some(end.length), visit)
    }

    fn scan_uploads(
        &mut self,
        acknowledged: StageEnd,
        stop: Option<u64>,
        visit: &mut dyn FnMut(UploadPart) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let size = self.file.metadata()?.len();
        // Checked before reading: a short file means that an acknowledged upload was lost.
        if size < acknowledged.length {
            let (there, all) = (size, acknowledged.length);
            return Err(self.damaged(&format!("{there} of {all} acknowledged bytes are there")));
        }
        if size < self.end.length {
            // Another process took back an upload that was never acknowledged.
            self.rewind();
        }
        self.check_end(acknowledged)?;
        let mut reader = std::io::BufReader::with_capacity(1 << 16, &self.file);
        reader.seek(SeekFrom::Start(self.end.length))?;
        let mut payload = Vec::new();
        while self.end.length < stop.unwrap_or(size) {
            let header = match self.frame(&mut reader, size, &mut payload) {
                Ok(header) => header,
                Err(UploadReadError::Io(e)) => return Err(e.into()),
                Err(UploadReadError::Damaged(what)) => {
                    // Only the last frame may be torn. A later frame, or the acknowledgement,
                    // proves that this one was whole.
                    let told = self.end.length < acknowledged.length;
                    if !told && !self.has_later_upload(self.end.length + 1, size)? {
                        break;
                    }
                    let frame = self.end.frames + 1;
                    return Err(self.damaged(&format!("upload {frame}: {what}")));
                }
            };
            let next = StageEnd {
                frames: header.number,
                length: self.end.length + HEADER as u64 + header.length,
                chain: header.after,
            };
            // The end moves only after the visit, so a failed visit can be repeated.
            self.visit_payload(&payload, &header, visit)?;
            (self.end, self.counts) = (next, header.counts);
            self.check_end(acknowledged)?;
        }
        if self.end.frames < acknowledged.frames {
            let (there, all) = (self.end.frames, acknowledged.frames);
            return Err(self.damaged(&format!("{there} of {all} acknowledged uploads are there")));
        }
        Ok(())
    }

    /// Fails if the acknowledged number of frames is reached and the end is not the acknowledged
    /// one.
    fn check_end(&self, acknowledged: StageEnd) -> Result<(), StoreError> {
        let other = acknowledged.frames > 0
            && self.end.frames == acknowledged.frames
            && self.end != acknowledged;
        match other {
            true => Err(self.damaged("its uploads are not those that were acknowledged")),
            false => Ok(()),
        }
    }

    /// Reads the frame that begins at the known end.
    fn frame(
        &self,
        reader: &mut impl Read,
        size: u64,
        payload: &mut Vec<u8>,
    ) -> Result<UploadHeader, UploadReadError> {
        let room = (size - self.end.length).checked_sub(HEADER as u64);
        let room = room.ok_or(UploadReadError::Damaged("it is cut short"))?;
        let mut header = [0; HEADER];
        reader.read_exact(&mut header)?;
        // The header is checked before its length is believed.
        let header = UploadHeader::decode(&header, self.job)
            .ok_or(UploadReadError::Damaged("its header does not pass its checksum"))?;
        if header.number != self.end.frames + 1 || header.before != self.end.chain {
            return Err(UploadReadError::Damaged("it does not follow the one before it"));
        }
        if header.length > room {
            return Err(UploadReadError::Damaged("it is cut short"));
        }
        payload.clear();
        reader.take(header.length).read_to_end(payload)?;
        if payload.len() as u64 == header.length
            && xxh3_64_with_seed(payload, header.before) == header.after
        {
            return Ok(header);
        }
        Err(UploadReadError::Damaged("its contents do not pass their checksum"))
    }

    /// True if a frame of this job begins anywhere from `from` on. Then the frame before it was
    /// acknowledged, since a writer goes on only behind a whole frame.
    fn has_later_upload(&self, from: u64, size: u64) -> Result<bool, StoreError> {
        let mut reader = &self.file;
        reader.seek(SeekFrom::Start(from))?;
        let mut left = reader.take(size.saturating_sub(from));
        let mut window = Vec::new();
        loop {
            let read = (&mut left).take(WINDOW).read_to_end(&mut window)?;
            for at in memchr::memmem::find_iter(&window, &MAGIC.to_le_bytes()) {
                if let Some(header) = window[at..].first_chunk::<HEADER>()
                    && UploadHeader::decode(header, self.job).is_some()
                {
                    return Ok(true);
                }
            }
            if read == 0 {
                return Ok(false);
            }
            // A header may stand across the border.
            window.drain(..window.len().saturating_sub(HEADER - 1));
        }
    }

    fn visit_payload(
        &self,
        payload: &[u8],
        header: &UploadHeader,
        visit: &mut dyn FnMut(UploadPart) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for part in parts_of(payload) {
            let part = part.ok_or_else(|| {
                self.damaged(&format!("upload {}: its contents make no sense", header.number))
            })?;
            visit(part)?;
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::DamagedFile(self.path.clone(), what.to_owned())
    }

    /// Appends an upload behind the known end. When this returns, the upload is on disk; after a
    /// crash either all of it is there or nothing.
    ///
    /// The caller holds the lock of the job, and has called [`JobStage::catch_up`].
    pub fn append(&mut self, upload: &UploadParts<'_>) -> Result<(), StoreError> {
        let before = self.end;
        let written = self.write(upload).and_then(|()| Ok(self.file.sync_data()?));
        // The caller will report an error, so no part of this upload may count later.
        if written.is_err() {
            self.take_back(before);
        }
        written
    }

    /// Takes back everything that was appended behind `end` and never acknowledged.
    pub fn take_back(&mut self, end: StageEnd) {
        // If it stays, it is there whole, or is cut off by the next one who appends.
        let _ = self.file.set_len(end.length);
        self.rewind();
    }

    /// [`JobStage::append`] without waiting for the disk: [`JobStage::sync`] does that.
    pub fn write(&mut self, upload: &UploadParts<'_>) -> Result<(), StoreError> {
        // The header needs the hash of the payload, so its room is filled last and all is written
        // at once.
        let mut frame = vec![0; HEADER];
        put_parts(&mut frame, upload);
        let payload = &frame[HEADER..];
        let counts = StageCounts {
            entities: self.counts.entities
                + upload.batches.iter().map(|b| b.entities.len() as u64).sum::<u64>(),
            relationships: self.counts.relationships
                + upload.mapped_count
                + upload.batches.iter().map(|b| b.relationships.len() as u64).sum::<u64>(),
            deletes: self.counts.deletes + upload.deletes.len() as u64,
        };
        let header = UploadHeader {
            number: self.end.frames + 1,
            length: payload.len() as u64,
            before: self.end.chain,
            after: xxh3_64_with_seed(payload, self.end.chain),
            counts,
        };
        frame[..HEADER].copy_from_slice(&header.encode(self.job));
        if self.file.metadata()?.len() != self.end.length {
            // The beginning of a frame that nobody was told of.
            self.file.set_len(self.end.length)?;
        }
        self.file.seek(SeekFrom::Start(self.end.length))?;
        self.file.write_all(&frame)?;
        let length = self.end.length + frame.len() as u64;
        self.end = StageEnd { frames: header.number, length, chain: header.after };
        self.counts = counts;
        Ok(())
    }

    /// Waits until all that was written is on disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        Ok(self.file.sync_data()?)
    }
}

/// The payload of an upload.
#[cfg(test)]
pub(super) fn payload(upload: &UploadParts<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    put_parts(&mut payload, upload);
    payload
}

fn put_parts(out: &mut Vec<u8>, upload: &UploadParts<'_>) {
    let mut part = |kind: u8, put: &mut dyn FnMut(&mut Vec<u8>)| {
        out.push(kind);
        let at = out.len();
        out.extend_from_slice(&[0; 8]);
        put(out);
        let length = (out.len() - at - 8) as u64;
        out[at..at + 8].copy_from_slice(&length.to_le_bytes());
    };
    for batch in upload.batches {
        part(BATCH, &mut |out| batch.encode_into(out));
    }
    if !upload.mapped.is_empty() {
        part(MAPPED, &mut |out| out.extend_from_slice(upload.mapped));
    }
    if !upload.deletes.is_empty() {
        part(DELETES, &mut |out| {
            for (kind, id) in upload.deletes {
                out.push(*kind as u8);
                out.extend_from_slice(&id.0);
            }
        });
    }
}

/// The parts of an upload. `None` stands for a damaged part, and ends them.
pub(super) fn parts_of(payload: &[u8]) -> impl Iterator<Item = Option<UploadPart>> {
    let mut c = ByteCursor(payload);
    std::iter::from_fn(move || {
        if c.0.is_empty() {
            return None;
        }
        let part = take_part(&mut c);
        // After a damaged part nothing tells where the next one begins.
        if part.is_none() {
            c = ByteCursor(&[]);
        }
        Some(part)
    })
}

fn take_part(c: &mut ByteCursor<'_>) -> Option<UploadPart> {
    let kind = c.u8()?;
    let length = usize::try_from(c.u64()?).ok()?;
    let contents = c.take(length)?;
    Some(match kind {
        // The stage that it goes to numbers it.
        BATCH => UploadPart::Batch(ObjectBatch::decode(contents, 0)?),
        MAPPED => UploadPart::Mapped(contents.to_vec()),
        DELETES => {
            let (deletes, []) = contents.as_chunks::<DELETE>() else { return None };
            let one = |bytes: &[u8; DELETE]| {
                let kind = match bytes[0] {
                    0 => ObjectKind::Entity,
                    1 => ObjectKind::Relationship,
                    _ => return None,
                };
                Some((kind, ObjectId(bytes[1..].try_into().ok()?)))
            };
            UploadPart::Deletes(deletes.iter().map(one).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: Uuid = Uuid::from_u128(7);

    fn batch(n: u8) -> ObjectBatch {
        let mut batch = ObjectBatch::new();
        batch.names.push(format!("scope-{n}"));
        batch.records = vec![n; n.into()];
        batch
    }

    /// Three uploads; gives the file and the end after each.
    fn three(path: &Path) -> [StageEnd; 4] {
        let _ = std::fs::remove_file(path);
        let mut stage = JobStage::create(path, JOB).unwrap();
        let mut ends = [StageEnd::default(); 4];
        for n in 1..4u8 {
            let deletes = vec![(ObjectKind::Relationship, ObjectId([n; 16])); n.into()];
            let upload = UploadParts {
                batches: &[batch(n), batch(9)],
                mapped: b"{}\n",
                mapped_count: 1,
                deletes: &deletes,
            };
            stage.append(&upload).unwrap();
            ends[usize::from(n)] = stage.end();
        }
        assert_eq!((stage.counts().relationships, stage.counts().deletes), (3, 6));
        ends
    }

    /// Reads all; gives how many uploads there are.
    fn read(path: &Path, acknowledged: StageEnd) -> Result<u64, StoreError> {
        let mut stage = JobStage::open(path, JOB)?;
        let mut parts = Vec::new();
        stage.parts(acknowledged, &mut |part| {
            parts.push(part);
            Ok(())
        })?;
        assert_eq!(parts.len() as u64, stage.end().frames * 4, "whole uploads");
        for (part, n) in parts.iter().step_by(4).zip(1..) {
            assert_eq!(*part, UploadPart::Batch(batch(n)));
        }
        Ok(stage.end().frames)
    }

    #[test]
    fn a_stage_cut_anywhere_has_what_was_acknowledged_or_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.stage");
        let ends = three(&path);
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| end.length as usize <= cut).count() as u64 - 1;
            for acknowledged in ends {
                match read(&path, acknowledged) {
                    Ok(found) => assert!(found == whole && found >= acknowledged.frames),
                    Err(StoreError::DamagedFile(..)) => assert!(whole < acknowledged.frames),
                    Err(e) => panic!("{e}"),
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_wherever_it_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.stage");
        let ends = three(&path);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let before = ends.iter().filter(|end| end.length as usize <= at).count() as u64 - 1;
            for acknowledged in ends {
                // Without a word beside it, the last one may never have been acknowledged.
                let last = before == 2 && acknowledged.frames < 3;
                match read(&path, acknowledged) {
                    Ok(found) => assert!(found == before && last, "byte {at}"),
                    Err(StoreError::DamagedFile(..)) => assert!(!last, "byte {at}"),
                    Err(e) => panic!("{e}"),
                }
            }
        }
    }

    #[test]
    fn frames_of_other_jobs_and_other_times_prove_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.stage");
        let ends = three(&path);
        let whole = std::fs::read(&path).unwrap();
        let mut other = JobStage::open(&path, Uuid::from_u128(8)).unwrap();
        assert!(other.catch_up(ends[3]).is_err());
        other.catch_up(StageEnd::default()).unwrap();
        assert_eq!(other.end().frames, 0);
        // The same job, with other contents of the same length.
        let mut changed = JobStage::open(&path, JOB).unwrap();
        changed.take_back(ends[2]);
        changed.catch_up(ends[2]).unwrap();
        changed
            .append(&UploadParts { batches: &[batch(5), batch(7)], ..UploadParts::default() })
            .unwrap();
        assert!(JobStage::open(&path, JOB).unwrap().catch_up(ends[3]).is_err());
        // A frame that stands twice, or in another place.
        let second = &whole[ends[1].length as usize..ends[2].length as usize];
        let first = &whole[..ends[1].length as usize];
        for bytes in [[first, second, second].concat(), [second, first].concat()] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path, ends[3]).is_err());
        }
    }

    #[test]
    fn what_was_never_acknowledged_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.stage");
        let ends = three(&path);
        let bytes = std::fs::read(&path).unwrap();
        let torn = [&bytes[..], &bytes[..100]].concat();
        std::fs::write(&path, torn).unwrap();
        assert_eq!(read(&path, ends[3]).unwrap(), 3);
        let mut stage = JobStage::open(&path, JOB).unwrap();
        stage.catch_up(ends[3]).unwrap();
        stage.append(&UploadParts { batches: &[batch(2)], ..UploadParts::default() }).unwrap();
        let end = stage.end();
        let mut again = JobStage::open(&path, JOB).unwrap();
        again.catch_up(end).unwrap();
        assert_eq!(again.end(), end);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end.length);
    }
}
