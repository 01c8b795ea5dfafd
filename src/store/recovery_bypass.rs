//! Storage that reads a file as a killed writer left it: the state that a repair would find,
//! without the repair.
//!
//! A writer that dies leaves a mark in the file, and the engine does not read a marked file before
//! it is repaired. A repair waits for the disk half a dozen times. But our commits are made in two
//! phases, and after such a commit the only thing to repair is the mark. So this storage removes
//! the mark from the bytes that are read. The file stays as it is until somebody writes.

use redb::StorageBackend;
use std::io;

/// Offset of the flags of the engine: <https://github.com/cberner/redb/blob/master/docs/design.md>,
/// "god byte".
pub(super) const FLAGS_AT: u64 = 9;
/// Flag: the slot of the header that holds the newest commit.
pub(super) const PRIMARY: u8 = 1;
/// Flag: a writer has the file open, or died.
pub(super) const RECOVERY_REQUIRED: u8 = 2;
/// Flag: the newest commit was durable before it was named the newest, so it is whole.
const TWO_PHASE_COMMIT: u8 = 4;
/// Flag: the header that names it the newest may not be durable.
const PRIMARY_UNFLUSHED: u8 = 8;

/// A file that no living writer has open, for reading. It takes and respects locks as any reader
/// does: a writer that comes later keeps the pages that are being read.
#[derive(Debug)]
pub struct RecoveryBypassBackend<B> {
    file: B,
    /// True if no answer comes from it, so the commit need not be durable, nor the newest.
    at_any_rate: bool,
}

impl<B: StorageBackend> RecoveryBypassBackend<B> {
    /// Wraps a file that is open for reading.
    pub fn new(file: B) -> RecoveryBypassBackend<B> {
        RecoveryBypassBackend { file, at_any_rate: false }
    }

    /// Wraps a file only to see what kind of file it is, before it is repaired.
    pub fn without_durability_check(file: B) -> RecoveryBypassBackend<B> {
        RecoveryBypassBackend { file, at_any_rate: true }
    }

    /// The flags as they are after a repair. Unchanged if a repair has to do more than change them.
    fn repaired(&self, flags: u8) -> io::Result<u8> {
        // Without two phases the newest commit may be torn: the engine keeps the mark and refuses
        // the file.
        if flags & TWO_PHASE_COMMIT == 0 && !self.at_any_rate {
            return Ok(flags);
        }
        if flags & PRIMARY_UNFLUSHED != 0 && !self.at_any_rate {
            // An acknowledged commit may still have this flag after a power cut, so answers must
            // come from it. It is synced first: an answer must not come from a commit that the next
            // power cut removes.
            self.file.sync_data()?;
        }
        Ok(flags & !(RECOVERY_REQUIRED | PRIMARY_UNFLUSHED))
    }
}

impl<B: StorageBackend> StorageBackend for RecoveryBypassBackend<B> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)?;
        // Only a read of the header has the flags in it.
        let at = FLAGS_AT.checked_sub(offset).and_then(|at| out.get_mut(usize::try_from(at).ok()?));
        if let Some(flags) = at {
            *flags = self.repaired(*flags)?;
        }
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    super::locks_of!(file);
}
