//! Upgrade: a file of the format before becomes one of this format.
//!
//! The new file is written beside the old one, verified and put on the disk before it takes the
//! name, so a crash leaves either of them. Writers are kept out meanwhile.
//!
//! Formats 5 and 6 differ in the history, which begins with the upgrade, in blocks of bodies, which
//! lie by property since, and in the mark of each value.

use super::body;
use super::codec::{self, ByteCursor, FORMAT};
use super::history::first_revision;
use super::partial_file::{self, PartialFile};
use super::tables::{self, ByteTableDefinition};
use super::write_eliding::WriteElidingBackend;
use super::{
    CACHE_BYTES_BRIEF, DatabaseFile, StoreError, VerifyingBackend, builder, check_path, guarded,
    opening,
};
use crate::store::rows::DatabaseMeta;
use redb::backends::FileBackend;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableHandle, WriteTransaction,
};
use std::path::Path;

/// The format that can be upgraded.
const BEFORE: u8 = 5;

impl DatabaseFile {
    /// Brings a file to this format; returns the format that it had, or `None` if it is up to date.
    /// The file as it was stays under the name `keep`, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherFormat`] for a format that cannot be upgraded, [`StoreError::Corrupt`] if
    /// the old file is damaged. After any error the file is as it was.
    pub fn upgrade(path: &Path, keep: Option<&Path>) -> Result<Option<u8>, StoreError> {
        check_path(path)?;
        match guarded(|| found_format(path))? {
            FORMAT => return Ok(None),
            BEFORE => {}
            found => return Err(StoreError::OtherFormat { found, known: FORMAT }),
        }
        if let Some(keep) = keep
            && keep.symlink_metadata().is_ok()
        {
            let what = format!("`{}` exists already", keep.display());
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, what).into());
        }
        partial_file::sweep(path)?;
        let file = std::fs::File::options().read(true).write(true).open(path)?;
        let mode = file.metadata()?.permissions();
        // Opened for writing, so that nobody else writes until the new file has the name.
        let old = guarded(|| {
            FileBackend::new(file)
                .and_then(|file| {
                    builder()
                        .create_with_backend(VerifyingBackend::new(WriteElidingBackend::new(file)))
                })
                .map_err(|e| opening(path, e))
        })?;
        let partial = PartialFile::beside(path)?;
        guarded(|| write_new(&old, &partial, path))?;
        let problems = guarded(|| {
            // Read as it was written, since the lock of the unfinished file is ours.
            let storage = partial.storage().map_err(|e| opening(path, e))?;
            let new = builder()
                .open_read_only_with_backend(VerifyingBackend::new(storage))
                .map_err(|e| opening(path, e))?;
            Ok(DatabaseFile::Reader(new).snapshot()?.verify())
        })?;
        if let Some(problem) = problems.first() {
            return Err(StoreError::engine_damaged(format!(
                "the file was not upgraded: {problem}"
            )));
        }
        std::fs::set_permissions(partial.path(), mode)?;
        if let Some(keep) = keep {
            std::fs::hard_link(path, keep).or_else(|_| std::fs::copy(path, keep).map(drop))?;
        }
        partial.replace(path)?;
        drop(old);
        Ok(Some(BEFORE))
    }
}

/// The format of a file, as the seal of its counters has it.
fn found_format(path: &Path) -> Result<u8, StoreError> {
    let file = DatabaseFile::open_as_it_is(path, CACHE_BYTES_BRIEF)?;
    match file.check() {
        Ok(()) => Ok(FORMAT),
        Err(StoreError::OtherFormat { found, .. }) => Ok(found),
        Err(e) => Err(e.at(path)),
    }
}

fn write_new(old: &Database, partial: &PartialFile, path: &Path) -> Result<(), StoreError> {
    let storage = partial.storage().map_err(|e| opening(path, e))?;
    let mut new = builder().create_with_backend(storage).map_err(|e| opening(path, e))?;
    let from = old.begin_read()?;
    let mut to = new.begin_write()?;
    to.set_quick_repair(true);
    for definition in tables::ALL {
        to.open_table(definition)?;
        if definition.name() != tables::HISTORY.name() {
            copy_table(&from, &to, definition, tables::name(definition))?;
        }
    }
    let has_access = from.list_tables()?.any(|table| table.name() == tables::ACCESS.name());
    if has_access {
        copy_table(&from, &to, tables::ACCESS, "access")?;
    }
    begin_history(&to)?;
    to.commit()?;
    new.compact()?;
    Ok(())
}

/// Copies all rows of a table, each under a seal of this format.
fn copy_table(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: ByteTableDefinition,
    name: &'static str,
) -> Result<(), StoreError> {
    let mut table = to.open_table(definition)?;
    for row in from.open_table(definition)?.iter()? {
        let (key, sealed) = row?;
        let (key, sealed) = (key.value(), sealed.value());
        // Room in a new file has no seal, and is given away with the first commit.
        if name == "meta" && key == tables::ROOM_KEY {
            continue;
        }
        let mut payload = codec::unseal_as(BEFORE, name, key, sealed)?.to_vec();
        if name == "bodies" {
            payload = column_block(&payload)
                .ok_or_else(|| StoreError::corrupt(name, key, "contents make no sense"))?;
        }
        table.insert(key, &codec::seal(name, key, payload)[..])?;
    }
    Ok(())
}

/// A block of bodies as this format has it, of one whose records lay one after the other:
///
/// ```text
///   raw length u32 | zstd of n * (length varint, record)
/// ```
///
/// Each record keeps its slot, so heads stay as they are.
fn column_block(block: &[u8]) -> Option<Vec<u8>> {
    let (len, packed) = block.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    if !codec::declares_unpacked_len(packed, len) {
        return None;
    }
    let records = zstd::bulk::decompress(packed, len).ok()?;
    let mut cursor = ByteCursor(&records);
    while !cursor.0.is_empty() {
        body::read(cursor.bytes()?)?;
    }
    Some(body::encode(&records))
}

/// The state of the upgrade is the oldest that can be asked.
fn begin_history(to: &WriteTransaction) -> Result<(), StoreError> {
    let meta = {
        let table = to.open_table(tables::META)?;
        let damaged = || StoreError::corrupt("meta", tables::META_KEY, "contents make no sense");
        let sealed = table.get(tables::META_KEY)?.ok_or_else(damaged)?;
        let payload = codec::unseal("meta", tables::META_KEY, sealed.value())?;
        DatabaseMeta::decode(payload).ok_or_else(damaged)?
    };
    let (key, row) = first_revision(&meta, jiff::Timestamp::now().as_millisecond());
    to.open_table(tables::HISTORY)?.insert(&key[..], &codec::seal("history", &key, row)[..])?;
    Ok(())
}
