//! Buckets: records on their way from one order to another, without all of them in memory.
//!
//! Records come in the order of an upload and are needed in the order of hashes, of batches or of
//! entities. They go into numbered buckets, each small enough to be sorted in memory when its turn
//! comes. Bytes beyond a set number go to a file that vanishes with the process; a small job never
//! touches it.

use super::StoreError;
use super::codec::ByteCursor;
use rayon::prelude::*;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A temporary file without a name for the bytes that do not stay in memory. It is made when it is
/// first needed, and vanishes with the process.
pub struct OverflowFile {
    folder: PathBuf,
    file: Mutex<Option<File>>,
    end: u64,
}

impl OverflowFile {
    /// No file yet; it will be in `folder`.
    pub fn new(folder: &Path) -> OverflowFile {
        OverflowFile { folder: folder.to_owned(), file: Mutex::new(None), end: 0 }
    }

    /// True if nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Appends bytes and returns the offset at which they begin.
    pub fn append<'b>(
        &mut self,
        pieces: impl Iterator<Item = &'b [u8]>,
    ) -> Result<u64, StoreError> {
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        let file = match file {
            Some(file) => file,
            None => file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        let start = self.end;
        file.seek(SeekFrom::Start(start))?;
        for piece in pieces {
            file.write_all(piece)?;
            self.end += piece.len() as u64;
        }
        Ok(start)
    }

    /// Reads `len` bytes from an offset that [`OverflowFile::append`] returned.
    pub fn read(&self, start: u64, len: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::with_capacity(len);
        // A panic elsewhere leaves the file as it was: each use of it seeks first.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let freed = || StoreError::Engine("a temporary file was freed before its end".into());
        let file = file.as_mut().ok_or_else(freed)?;
        file.seek(SeekFrom::Start(start))?;
        // Read where nothing was written before, not even zeros.
        match file.take(len as u64).read_to_end(&mut bytes)? {
            read if read == len => Ok(bytes),
            _ => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Gives the file back to the system on another thread, as that takes as long as reading it.
    /// Nothing can be read any more.
    pub fn free(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file {
            rayon::spawn(move || drop(file));
        }
    }
}

impl Drop for OverflowFile {
    fn drop(&mut self) {
        self.free();
    }
}

/// A record that can be put into buckets.
pub trait SpillRecord: Sized {
    /// Appends the record.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a record from the front. `None` if it is damaged.
    fn take(c: &mut ByteCursor<'_>) -> Option<Self>;
}

/// Bytes of the first run of records. Each run is twice as long as the one before it.
const FIRST_RUN: usize = 2 << 10;
/// Bytes of the longest run.
const RUN: usize = 64 << 10;
/// Bytes from which on a run is added as it is and not copied.
const LONG: usize = 8 << 10;
/// Bytes that most records fit.
const RECORD: usize = 128;

#[derive(Default)]
struct SpillBucket {
    /// Records in memory, in runs.
    runs: Vec<Vec<u8>>,
    /// Runs in the file: start and length, in order.
    spilled: Vec<(u64, usize)>,
    records: usize,
}

impl SpillBucket {
    /// Adds a run: a long one as it is. Short ones are copied into one, which leaves less room
    /// unused.
    fn append(&mut self, run: Vec<u8>) {
        if run.len() >= LONG {
            self.runs.push(run);
        } else {
            self.room(run.len()).extend_from_slice(&run);
        }
    }

    /// A run that has room for so many bytes. No record is moved to get it.
    #[inline]
    fn room(&mut self, bytes: usize) -> &mut Vec<u8> {
        if self.runs.last().is_none_or(|run| run.capacity() - run.len() < bytes) {
            let next = self.runs.last().map_or(FIRST_RUN, |run| (run.capacity() * 2).min(RUN));
            self.runs.push(Vec::with_capacity(next.max(bytes)));
        }
        self.runs.last_mut().expect("BUG: there is one")
    }

    fn held(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }
}

/// Records in numbered buckets, each bucket in the order of pushing.
pub struct SpillBuckets<T> {
    overflow: OverflowFile,
    buckets: Vec<SpillBucket>,
    /// Bytes in memory.
    held: usize,
    /// Bytes that may be held in memory before they are spilled.
    most: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: SpillRecord> SpillBuckets<T> {
    /// `count` empty buckets. At most `most` bytes stay in memory; more are spilled into `folder`.
    pub fn new(folder: &Path, count: usize, most: usize) -> SpillBuckets<T> {
        SpillBuckets {
            overflow: OverflowFile::new(folder),
            buckets: std::iter::repeat_with(SpillBucket::default).take(count).collect(),
            held: 0,
            most,
            of: PhantomData,
        }
    }

    /// The number of buckets.
    pub fn count(&self) -> usize {
        self.buckets.len()
    }

    /// The number of records in all buckets.
    pub fn records(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.records).sum()
    }

    /// Adds a record to a bucket.
    pub fn push(&mut self, bucket: usize, record: &T) -> Result<(), StoreError> {
        let bucket = &mut self.buckets[bucket];
        let run = bucket.room(RECORD);
        let before = run.len();
        record.put(run);
        self.held += run.len() - before;
        bucket.records += 1;
        // Spilling all buckets at once writes one long piece for each, not many short ones.
        if self.held > self.most {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        for bucket in self.buckets.iter_mut().filter(|bucket| !bucket.runs.is_empty()) {
            let runs = std::mem::take(&mut bucket.runs);
            let len = runs.iter().map(Vec::len).sum();
            let start = self.overflow.append(runs.iter().map(Vec::as_slice))?;
            bucket.spilled.push((start, len));
        }
        self.held = 0;
        Ok(())
    }

    /// The same buckets for many threads to fill.
    pub fn shared(self) -> SharedBuckets<T> {
        let share = self.most / SHARE;
        SharedBuckets { whole: Mutex::new(self), share, apart: Mutex::default() }
    }

    /// Empty buckets for a thread to fill by itself; see [`SpillBuckets::absorb`].
    pub fn new_worker_buckets(&self) -> SpillBuckets<T> {
        SpillBuckets::new(&self.overflow.folder, self.buckets.len(), usize::MAX)
    }

    /// Adds the records of other buckets behind those that are here, bucket by bucket.
    pub fn absorb(&mut self, others: SpillBuckets<T>) -> Result<(), StoreError> {
        debug_assert!(others.overflow.is_empty(), "buckets that are filled apart stay in memory");
        for (bucket, other) in self.buckets.iter_mut().zip(others.buckets) {
            other.runs.into_iter().for_each(|run| bucket.append(run));
            bucket.records += other.records;
        }
        self.held += others.held;
        if self.held > self.most {
            self.spill()?;
        }
        Ok(())
    }

    /// Takes all records out of a bucket, in the order in which they were pushed.
    pub fn take(&mut self, bucket: usize) -> Result<Vec<T>, StoreError> {
        let all = self.load(bucket)?;
        let bucket = std::mem::take(&mut self.buckets[bucket]);
        self.held -= bucket.held();
        Ok(all)
    }

    /// [`SpillBuckets::take`] for several buckets at the same time.
    pub fn take_all(&mut self, buckets: Range<usize>) -> Result<Vec<Vec<T>>, StoreError>
    where
        T: Send,
    {
        let this = &*self;
        let all = buckets.clone().into_par_iter().map(|bucket| this.load(bucket)).collect();
        for bucket in &mut self.buckets[buckets] {
            self.held -= std::mem::take(bucket).held();
        }
        all
    }

    /// The records of a bucket, in the order in which they were pushed.
    pub fn load(&self, bucket: usize) -> Result<Vec<T>, StoreError> {
        let bucket = &self.buckets[bucket];
        let mut all = Vec::with_capacity(bucket.records);
        let mut read = |bytes: &[u8]| {
            let mut c = ByteCursor(bytes);
            while !c.0.is_empty() {
                let record = T::take(&mut c);
                all.push(record.ok_or_else(|| {
                    StoreError::Engine("a record in a temporary file is damaged".into())
                })?);
            }
            Ok::<(), StoreError>(())
        };
        // Spilled records were pushed before those in memory.
        for &(start, len) in &bucket.spilled {
            read(&self.overflow.read(start, len)?)?;
        }
        bucket.runs.iter().try_for_each(|run| read(run))?;
        Ok(all)
    }
}

/// Buckets that many threads fill. Each thread fills buckets of its own and adds them to the whole
/// once they hold their share. So the order of records within a bucket is left open.
pub struct SharedBuckets<T> {
    whole: Mutex<SpillBuckets<T>>,
    /// Bytes that are held apart before they are added.
    share: usize,
    /// Partly filled buckets that no thread uses just now.
    apart: Mutex<Vec<SpillBuckets<T>>>,
}

/// Buckets of a thread are added to the whole once they hold this part of the bytes that may be
/// held.
const SHARE: usize = 8;

impl<T: SpillRecord> SharedBuckets<T> {
    /// Lets `fill` add records, beside other threads.
    pub fn fill<R, E: From<StoreError>>(
        &self,
        fill: impl FnOnce(&mut SpillBuckets<T>) -> Result<R, E>,
    ) -> Result<R, E> {
        let apart = || self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = || self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        // The whole is locked only to make new buckets or to add a share, so threads seldom wait.
        let known = apart().pop();
        let mut mine = known.unwrap_or_else(|| whole().new_worker_buckets());
        let done = fill(&mut mine)?;
        if mine.held < self.share {
            apart().push(mine);
        } else {
            whole().absorb(mine)?;
        }
        Ok(done)
    }

    /// All buckets, after the last record was added.
    pub fn whole(self) -> Result<SpillBuckets<T>, StoreError> {
        let mut whole = self.whole.into_inner().unwrap_or_else(PoisonError::into_inner);
        let apart = self.apart.into_inner().unwrap_or_else(PoisonError::into_inner);
        apart.into_iter().try_for_each(|apart| whole.absorb(apart))?;
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{put_bytes, put_varint};
    use super::*;
    use proptest::prelude::*;

    impl SpillRecord for (u32, Vec<u8>) {
        fn put(&self, out: &mut Vec<u8>) {
            put_varint(out, self.0.into());
            put_bytes(out, &self.1);
        }

        fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
            Some((c.varint32()?, c.bytes()?.to_vec()))
        }
    }

    proptest! {
        #[test]
        fn every_bucket_gives_back_what_it_got_in_order(
            records in prop::collection::vec((0..5usize, any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..200),
            most in 0..500usize,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut buckets = SpillBuckets::new(folder.path(), 5, most);
            for (i, records) in records.chunks(20).enumerate() {
                let mut apart = buckets.new_worker_buckets();
                for (bucket, number, bytes) in records {
                    let to = if i % 2 == 0 { &mut buckets } else { &mut apart };
                    to.push(*bucket, &(*number, bytes.clone())).expect("pushed");
                }
                buckets.absorb(apart).expect("absorbed");
            }
            prop_assert_eq!(buckets.records(), records.len());
            prop_assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
            for bucket in 0..5 {
                let known: Vec<(u32, Vec<u8>)> = records
                    .iter()
                    .filter(|(at, ..)| *at == bucket)
                    .map(|(_, number, bytes)| (*number, bytes.clone()))
                    .collect();
                prop_assert_eq!(&buckets.load(bucket).expect("loaded"), &known);
                if bucket == 4 {
                    prop_assert_eq!(buckets.take_all(4..5).expect("taken"), vec![known]);
                } else {
                    prop_assert_eq!(buckets.take(bucket).expect("taken"), known);
                }
                prop_assert_eq!(buckets.load(bucket).expect("loaded").len(), 0);
            }
        }

        #[test]
        fn many_threads_fill_what_one_would(
            records in prop::collection::vec((0..5usize, any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..400),
            most in 0..4000usize,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let shared = SpillBuckets::new(folder.path(), 5, most).shared();
            records
                .par_chunks(7)
                .try_for_each(|records| {
                    shared.fill(|buckets| {
                        let mut push = |(bucket, number, bytes): &(usize, u32, Vec<u8>)| {
                            buckets.push(*bucket, &(*number, bytes.clone()))
                        };
                        records.iter().try_for_each(&mut push)
                    })
                })
                .expect("filled");
            let buckets = shared.whole().expect("whole");
            prop_assert_eq!(buckets.records(), records.len());
            for bucket in 0..5 {
                let mut found = buckets.load(bucket).expect("loaded");
                let of_bucket = records.iter().filter(|(at, ..)| *at == bucket);
                let mut known: Vec<(u32, Vec<u8>)> =
                    of_bucket.map(|(_, number, bytes)| (*number, bytes.clone())).collect();
                found.sort_unstable();
                known.sort_unstable();
                prop_assert_eq!(found, known);
            }
        }
    }
}
