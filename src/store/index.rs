//! Derived indexes: from the hash of a value of one property to the entities that have it.
//!
//! They lie beside the file, one for each scope and property. The second question that wants an
//! index makes it. Nothing depends on them: an index that is missing, damaged or of another state
//! is made anew, one that cannot be written is done without, and the caller checks every entity
//! that an index yields. So neither a crash nor a foreign file can change an answer.
//!
//! ```text
//!   <name>.idx    head length u32 | head, sealed with seed, scope and property | pages
//!   head          generation u64 | job sequence u32 | job id 16 B | entries u64
//!                 | for each page the hash it begins with, u64
//!   page          340 entries, fewer in the last one: hash u64 | number u32; crc32 u32
//!   <name>.asked  empty: somebody wanted an index of the property
//! ```
//!
//! Entries ascend by hash, then number. The job in the head is the one that had changed the scope
//! last. While the database still has this job, an old index is right about every entity that no
//! later job changed. If the database does not have it (another file was put in place, an older
//! copy was restored), the index is right about none.

use super::codec::{ByteCursor, seal, unseal};
use super::heads::HeadChunk;
use super::snapshot::Snapshot;
use super::{DatabaseMeta, ScopeRow, StoreError, private_files, split_classes};
use crate::graph::{NameLookup, ObjectKind, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Below this number of entities it is quick enough to look at each.
const WORTH: u64 = 4096;
/// The name in the seal of an index. It changes with the rule for hashes, so an index by another
/// rule does not open.
const SEALED: &str = "index of spellings";
const ENTRY: usize = 12;
const PAGE_ENTRIES: usize = 340;
const PAGE: usize = PAGE_ENTRIES * ENTRY + 4;
const HEAD_MAX: usize = 64 << 20;

type IndexEntry = (u64, u32);

/// The folder beside a database file.
pub struct IndexFolder(PathBuf);

/// The state of a scope that an index was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ScopeStamp {
    generation: u64,
    job: u32,
    job_id: Uuid,
}

/// An index whose head was found to be whole.
struct IndexFile {
    file: File,
    stamp: ScopeStamp,
    entries: usize,
    /// The hash that each page begins with.
    fences: Vec<u64>,
    /// Offset of the first page in the file.
    pages: u64,
}

impl IndexFolder {
    pub fn new(path: PathBuf) -> IndexFolder {
        IndexFolder(path)
    }

    fn file(&self, meta: DatabaseMeta, scope: &str, property: &str, ending: &str) -> PathBuf {
        let name = |text: &str| xxh3_64_with_seed(text.as_bytes(), meta.digest_seed);
        self.0.join(format!("{:016x}-{:016x}.{ending}", name(property), name(scope)))
    }

    /// True if an index of this property was wanted before. From now on it is true.
    fn asked(&self, meta: DatabaseMeta, property: &str) -> bool {
        let mark = self.file(meta, "", property, "asked");
        if mark.exists() {
            return true;
        }
        let _ = private_files::make_folder(&self.0).and_then(|()| private_files::create_new(&mark));
        false
    }

    fn open(&self, meta: DatabaseMeta, scope: &str, property: &str) -> Option<IndexFile> {
        IndexFile::open(&self.file(meta, scope, property, "idx"), meta, scope, property)
    }

    /// Writes an index under a temporary name, then moves it into place. Another process may do the
    /// same at this moment without harm.
    fn write(
        &self,
        meta: DatabaseMeta,
        (scope, property): (&str, &str),
        stamp: ScopeStamp,
        entries: &[IndexEntry],
    ) -> std::io::Result<()> {
        private_files::make_folder(&self.0)?;
        let mut head = Vec::with_capacity(48 + entries.len() / PAGE_ENTRIES * 8);
        head.extend_from_slice(&stamp.generation.to_le_bytes());
        head.extend_from_slice(&stamp.job.to_le_bytes());
        head.extend_from_slice(stamp.job_id.as_bytes());
        head.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        for page in entries.chunks(PAGE_ENTRIES) {
            head.extend_from_slice(&page[0].0.to_le_bytes());
        }
        let head = seal(SEALED, &seal_key(meta, scope, property), head);
        let temporary = self.0.join(format!("{}.new", Uuid::new_v4()));
        let written = put(&temporary, &head, entries)
            .and_then(|()| std::fs::rename(&temporary, self.file(meta, scope, property, "idx")));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }
}

fn put(path: &Path, head: &[u8], entries: &[IndexEntry]) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 18, private_files::create_new(path)?);
    out.write_all(&(head.len() as u32).to_le_bytes())?;
    out.write_all(head)?;
    for (number, page) in entries.chunks(PAGE_ENTRIES).enumerate() {
        let mut bytes = Vec::with_capacity(PAGE);
        for (hash, entity) in page {
            bytes.extend_from_slice(&hash.to_le_bytes());
            bytes.extend_from_slice(&entity.to_le_bytes());
        }
        bytes.extend_from_slice(&checksum(number, &bytes).to_le_bytes());
        out.write_all(&bytes)?;
    }
    out.flush()
}

fn seal_key(meta: DatabaseMeta, scope: &str, property: &str) -> Vec<u8> {
    let seed = meta.digest_seed.to_le_bytes();
    [&seed[..], scope.as_bytes(), &[0], property.as_bytes()].concat()
}

fn checksum(page: usize, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(page as u32).to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl IndexFile {
    /// Opens an index. `None` if there is none, or it is not whole.
    fn open(path: &Path, meta: DatabaseMeta, scope: &str, property: &str) -> Option<IndexFile> {
        let mut file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut len = [0; 4];
        file.read_exact(&mut len).ok()?;
        let len = u32::from_le_bytes(len) as usize;
        // A damaged length must not make room for gigabytes.
        if len > HEAD_MAX || len as u64 > size {
            return None;
        }
        let mut head = vec![0; len];
        file.read_exact(&mut head).ok()?;
        let mut cursor = ByteCursor(unseal(SEALED, &seal_key(meta, scope, property), &head).ok()?);
        let stamp = ScopeStamp {
            generation: cursor.u64()?,
            job: cursor.u32()?,
            job_id: Uuid::from_bytes(cursor.array()?),
        };
        let entries = usize::try_from(cursor.u64()?).ok()?;
        let mut fences = Vec::with_capacity(cursor.0.len() / 8);
        while !cursor.0.is_empty() {
            fences.push(cursor.u64()?);
        }
        let pages = 4 + len as u64;
        // The size proves that no page is missing, so pages can be read without a look at the end.
        let whole = fences.len() == entries.div_ceil(PAGE_ENTRIES)
            && size == pages + (entries * ENTRY + fences.len() * 4) as u64;
        whole.then_some(IndexFile { file, stamp, entries, fences, pages })
    }

    /// The entries of one page. `None` if it is damaged.
    fn page(&self, number: usize) -> Option<Vec<IndexEntry>> {
        let count = (self.entries - number * PAGE_ENTRIES).min(PAGE_ENTRIES);
        let mut bytes = vec![0; count * ENTRY + 4];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.pages + (number * PAGE) as u64)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        let (bytes, crc) = bytes.split_last_chunk::<4>()?;
        if checksum(number, bytes).to_le_bytes() != *crc {
            return None;
        }
        let mut cursor = ByteCursor(bytes);
        (0..count).map(|_| Some((cursor.u64()?, cursor.u32()?))).collect()
    }

    /// Adds the entities with a hash to `found`. `None` if a page is damaged.
    fn find(&self, hash: u64, found: &mut Vec<u32>) -> Option<()> {
        // Entries of the hash may begin inside the page before the first that begins with it.
        let first = self.fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        for number in first..self.fences.len() {
            if self.fences[number] > hash {
                break;
            }
            let page = self.page(number)?;
            let start = page.partition_point(|(known, _)| *known < hash);
            let fits = page[start..].iter().take_while(|(known, _)| *known == hash);
            found.extend(fits.map(|(_, entity)| *entity));
        }
        Some(())
    }

    fn all(&self) -> Option<Vec<IndexEntry>> {
        let mut all = Vec::with_capacity(self.entries);
        for number in 0..self.fences.len() {
            all.extend(self.page(number)?);
        }
        Some(all)
    }
}

/// A scope whose index is missing or old.
struct StaleIndex {
    scope: u32,
    stamp: ScopeStamp,
    /// The entries of an old index and the job that it knew last; they hold for entities that no
    /// later job changed.
    old: Option<(Vec<IndexEntry>, u32)>,
    /// Entries of entities that are read anew; `kept` has the entities whose old entries hold.
    new: Vec<IndexEntry>,
    kept: FxHashSet<u32>,
}

/// Answers [`crate::graph::GraphRead::entities_hashed`].
pub(super) fn find(
    snapshot: &Snapshot,
    property: &str,
    hashes: &[u64],
) -> Result<Option<Vec<u32>>, StoreError> {
    let Some(folder) = &snapshot.indexes else { return Ok(None) };
    if property.starts_with('_') && !matches!(property, "_type" | "_class") {
        return Ok(None);
    }
    let own = !property.starts_with('_') && property != "displayName";
    if own && snapshot.property_number(property)?.is_none() {
        return Ok(Some(Vec::new()));
    }
    let scopes = snapshot.scope_rows()?;
    let live = |row: &ScopeRow| row.count(ObjectKind::Entity).live;
    if scopes.iter().map(|(_, row)| live(row)).sum::<u64>() < WORTH {
        return Ok(None);
    }
    let meta = snapshot.meta();
    let (mut found, mut stale) = (Vec::new(), Vec::new());
    for (scope, row) in scopes.iter().filter(|(_, row)| live(row) > 0) {
        let Some(stamp) = stamp(snapshot, row)? else { return Ok(None) };
        let index = folder.open(meta, snapshot.name(*scope), property);
        stale.extend(find_fresh(snapshot, *scope, stamp, index, hashes, &mut found)?);
    }
    // An index is worth its price from the second question on; updating an old one is always worth
    // it.
    let never = stale.iter().all(|scope| scope.old.is_none());
    if !stale.is_empty() && never && !folder.asked(meta, property) {
        return Ok(None);
    }
    if !stale.is_empty() {
        read(snapshot, property, &mut stale)?;
    }
    for scope in stale {
        let (scope, stamp, entries) = scope.renewed();
        for hash in hashes {
            let start = entries.partition_point(|(known, _)| known < hash);
            let fits = entries[start..].iter().take_while(|(known, _)| known == hash);
            found.extend(fits.map(|(_, entity)| *entity));
        }
        // A full disk or a folder that nobody may write costs time, not the answer.
        let _ = folder.write(meta, (snapshot.name(scope), property), stamp, &entries);
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// Looks hashes up in the index of a scope. Returns the scope if its index has to be made or renewed
/// first; then nothing is added to `found`.
fn find_fresh(
    snapshot: &Snapshot,
    scope: u32,
    stamp: ScopeStamp,
    index: Option<IndexFile>,
    hashes: &[u64],
    found: &mut Vec<u32>,
) -> Result<Option<StaleIndex>, StoreError> {
    let before = found.len();
    let fresh = index.as_ref().filter(|index| index.stamp == stamp);
    if let Some(index) = fresh
        && hashes.iter().try_for_each(|hash| index.find(*hash, found)).is_some()
    {
        return Ok(None);
    }
    // A damaged page may have left a part of the entities.
    found.truncate(before);
    let old = match index {
        Some(index) if index.stamp != stamp && is_in_history(snapshot, index.stamp)? => {
            index.all().map(|entries| (entries, index.stamp.job))
        }
        _ => None,
    };
    let (new, kept) = (Vec::new(), FxHashSet::default());
    Ok(Some(StaleIndex { scope, stamp, old, new, kept }))
}

impl StaleIndex {
    /// The entries after what changed was read: scope, state and entries, sorted.
    fn renewed(self) -> (u32, ScopeStamp, Vec<IndexEntry>) {
        let StaleIndex { scope, stamp, old, new: mut entries, kept } = self;
        let old = old.into_iter().flat_map(|(entries, _)| entries);
        entries.extend(old.filter(|(_, entity)| kept.contains(entity)));
        entries.sort_unstable();
        entries.dedup();
        (scope, stamp, entries)
    }
}

/// Reads the current state of a scope. `None` if no job is known to have changed it: then nothing
/// tells its states apart.
fn stamp(snapshot: &Snapshot, row: &ScopeRow) -> Result<Option<ScopeStamp>, StoreError> {
    let Some(job) = row.last_job else { return Ok(None) };
    let found = snapshot.job_id(job)?;
    Ok(found.map(|job_id| ScopeStamp { generation: row.generation, job, job_id }))
}

/// True if the job that an index knew last is part of the history of this database.
fn is_in_history(snapshot: &Snapshot, stamp: ScopeStamp) -> Result<bool, StoreError> {
    Ok(snapshot.job_id(stamp.job)? == Some(stamp.job_id))
}

/// Reads the property of the changed entities of the stale scopes, in one pass over all heads, in
/// the order in which properties are stored.
fn read(snapshot: &Snapshot, property: &str, stale: &mut [StaleIndex]) -> Result<(), StoreError> {
    let places: FxHashMap<u32, usize> =
        stale.iter().enumerate().map(|(at, scope)| (scope.scope, at)).collect();
    let mut hashed = PropertyHasher { snapshot, property, names: FxHashMap::default() };
    snapshot.for_each_stored(ObjectKind::Entity, None, |number, chunk, row| {
        let Some(&at) = places.get(&chunk.scope(row)).filter(|_| chunk.live(row)) else {
            return Ok(());
        };
        let scope = &mut stale[at];
        // Sequence numbers of jobs ascend, so a lower one means that the old entries still hold.
        if scope.old.as_ref().is_some_and(|(_, job)| chunk.job(row) <= *job) {
            scope.kept.insert(number);
            return Ok(());
        }
        hashed.row(chunk, row, &mut |hash| scope.new.push((hash, number)))
    })
}

/// Hashes of one property of entities.
struct PropertyHasher<'s> {
    snapshot: &'s Snapshot,
    property: &'s str,
    /// Hashes of types and class sets, by name number.
    names: FxHashMap<u32, Vec<u64>>,
}

impl PropertyHasher<'_> {
    fn row(
        &mut self,
        chunk: &HeadChunk<'_>,
        row: usize,
        add: &mut impl FnMut(u64),
    ) -> Result<(), StoreError> {
        let name = match self.property {
            "_type" => chunk.type_name(row),
            "_class" => chunk.class(row),
            property => {
                if property == "displayName" {
                    let display = chunk
                        .display(row)
                        .ok_or_else(|| StoreError::corrupt("heads", &[], "text is damaged"))?;
                    if let Some(text) = display {
                        Value::Text(text.into()).equality_hashes(add);
                        return Ok(());
                    }
                }
                let Some(name) = self.snapshot.property_number(property)? else { return Ok(()) };
                let (block, slot) = chunk.body(row);
                let place = (chunk.scope(row), block, slot);
                let visit = |value: Value<'_>| value.equality_hashes(add);
                return self.snapshot.visit_property(ObjectKind::Entity, place, name, visit);
            }
        };
        let hashes = self.names.entry(name).or_insert_with(|| {
            let mut hashes = Vec::new();
            for text in split_classes(self.snapshot.name(name)) {
                Value::Text(text.into()).equality_hashes(&mut |hash| hashes.push(hash));
            }
            hashes
        });
        hashes.iter().for_each(|hash| add(*hash));
        Ok(())
    }
}
