//! Reading a file as a killed writer left it: what a repair would find, without the repair.
//!
//! A writer that dies leaves a mark in the file, and the engine refuses to read a marked file before
//! it is repaired: half a dozen waits for the disk, though for a file whose last commit was made in
//! two phases, as ours are, there is nothing to do but to take the mark away. Here it is taken away
//! from what is read. The file stays as it is until somebody writes.

use redb::StorageBackend;
use std::io;

/// Where the engine keeps its flags: <https://github.com/cberner/redb/blob/master/docs/design.md>,
/// "god byte".
pub(super) const FLAGS_AT: u64 = 9;
/// Which slot of the header holds the newest commit.
pub(super) const PRIMARY: u8 = 1;
/// A writer has the file open, or died.
pub(super) const RECOVERY_REQUIRED: u8 = 2;
/// The newest commit was durable before it was named the newest, so it is whole.
const TWO_PHASE_COMMIT: u8 = 4;
/// That it was named the newest may not be durable.
const PRIMARY_UNFLUSHED: u8 = 8;

/// A file that no living writer has open, for reading. It takes and respects locks as any reader:
/// a writer that comes keeps what is being read.
#[derive(Debug)]
pub struct Unrepaired<B> {
    file: B,
    /// Nothing is answered from it, so it need not be durable, nor the newest.
    at_any_rate: bool,
}

impl<B: StorageBackend> Unrepaired<B> {
    /// Of a file that is open for reading.
    pub fn new(file: B) -> Unrepaired<B> {
        Unrepaired { file, at_any_rate: false }
    }

    /// To see what kind of file it is before it is repaired.
    pub fn at_any_rate(file: B) -> Unrepaired<B> {
        Unrepaired { file, at_any_rate: true }
    }

    /// The flags as they are after a repair; as they stand if it takes more than to change them.
    fn repaired(&self, flags: u8) -> io::Result<u8> {
        if flags & TWO_PHASE_COMMIT == 0 && !self.at_any_rate {
            return Ok(flags);
        }
        if flags & PRIMARY_UNFLUSHED != 0 && !self.at_any_rate {
            // An acknowledged commit may still have this flag after a power cut, so it has to be
            // answered from; and what is answered from must not go with the next power cut.
            self.file.sync_data()?;
        }
        Ok(flags & !(RECOVERY_REQUIRED | PRIMARY_UNFLUSHED))
    }
}

impl<B: StorageBackend> StorageBackend for Unrepaired<B> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)?;
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
