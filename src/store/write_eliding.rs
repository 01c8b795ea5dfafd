//! Storage that leaves out the writes that change nothing.
//!
//! A transaction that does not fit the engine's memory writes pages out before its end. To commit,
//! the engine reads these pages again for their checksums, and then writes each of them once more.
//! Leaves have not changed by then: in a large load they are nearly all of the file, and the disk
//! has to be waited for twice. So this storage compares a page that was read since its last write
//! with the file, and writes it only if it differs. No answer depends on what is remembered here:
//! it only suggests which pages are worth comparing, and the comparison is of the bytes.
//!
//! A write that is left out is as durable as any other. The same bytes were written before through
//! the same open file. So they are on disk, or the next sync takes them there, or that sync reports
//! that it cannot, even if the error was reported to another caller first.

use redb::StorageBackend;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Pages that are remembered at a time: more than the engine holds before it writes them.
const SLOTS: usize = if cfg!(test) { 16 } else { 1 << 15 };

/// Bytes of the smallest page.
const PAGE: u64 = 4096;

/// Storage that leaves out writes which change nothing.
#[derive(Debug)]
pub struct WriteElidingBackend<B> {
    inner: B,
    /// Offsets, plus one, that were read and not written since; each place has one slot. Zeros at
    /// first, so that a small job touches little of this memory.
    read: Mutex<Vec<u64>>,
}

impl<B> WriteElidingBackend<B> {
    /// Wraps other storage, which nobody else may change meanwhile.
    pub fn new(inner: B) -> WriteElidingBackend<B> {
        WriteElidingBackend { inner, read: Mutex::new(vec![0; SLOTS]) }
    }

    /// Remembers that the page at `offset` was `read` now, or written. Returns true if it was read
    /// before and not written since.
    fn note_access(&self, offset: u64, read: bool) -> bool {
        let mut slots = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut slots[(offset / PAGE) as usize % SLOTS];
        std::mem::replace(slot, if read { offset + 1 } else { 0 }) == offset + 1
    }
}

impl<B: StorageBackend> StorageBackend for WriteElidingBackend<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note_access(offset, true);
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.note_access(offset, false) {
            let mut stored = vec![0; data.len()];
            // If the read fails, the write is done: it is the one that has to report errors.
            if self.inner.read(offset, &mut stored).is_ok() && stored == data {
                return Ok(());
            }
        }
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    super::locks_of!(inner);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Memory that counts how often it is written to.
    #[derive(Debug, Default)]
    struct Counted {
        memory: InMemoryBackend,
        writes: AtomicUsize,
    }

    impl StorageBackend for Counted {
        fn len(&self) -> io::Result<u64> {
            self.memory.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.memory.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.memory.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.memory.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.memory.write(offset, data)
        }
    }

    fn page(value: u8, pages: usize) -> Vec<u8> {
        vec![value; pages * PAGE as usize]
    }

    #[test]
    fn what_was_read_and_is_written_as_it_is_is_left_out() {
        let storage = WriteElidingBackend::new(Counted::default());
        storage.set_len(8 * PAGE).unwrap();
        let writes = || storage.inner.writes.load(Ordering::Relaxed);
        let read = |offset| storage.read(offset, &mut page(0, 2)).unwrap();
        storage.write(PAGE, &page(1, 2)).unwrap();
        read(PAGE);
        storage.write(PAGE, &page(1, 2)).unwrap();
        assert_eq!(writes(), 1);
        read(PAGE);
        storage.write(PAGE, &page(2, 2)).unwrap();
        assert_eq!(writes(), 2);
        // A page that was not read is written without a comparison.
        storage.write(PAGE, &page(2, 2)).unwrap();
        assert_eq!(writes(), 3);
    }

    proptest! {
        /// Places that share a slot, pages of several sizes over each other, cut and grown.
        #[test]
        fn storage_holds_what_was_written(
            steps in prop::collection::vec((0usize..12, 1usize..4, 0u8..2, 0u8..8), 1..200)
        ) {
            const NEAR: u64 = 4;
            let storage = WriteElidingBackend::new(InMemoryBackend::new());
            let plain = InMemoryBackend::new();
            let long = (SLOTS as u64 + 2 * NEAR) * PAGE;
            for each in [&storage as &dyn StorageBackend, &plain] {
                each.set_len(long).unwrap();
            }
            for (place, pages, value, step) in steps {
                // The first places, and those that have the same slots.
                let place = place as u64;
                let at = (place % NEAR + if place < NEAR { 0 } else { SLOTS as u64 }) * PAGE;
                let mut found = [page(0, pages), page(0, pages)];
                for (each, found) in [&storage as &dyn StorageBackend, &plain].iter().zip(&mut found) {
                    match step {
                        0 => {
                            each.set_len(long - NEAR * PAGE).unwrap();
                            each.set_len(long).unwrap();
                        }
                        1..4 => each.write(at, &page(value, pages)).unwrap(),
                        _ => each.read(at, found).unwrap(),
                    }
                }
                prop_assert_eq!(&found[0], &found[1]);
            }
            let mut found = [vec![0; long as usize], vec![0; long as usize]];
            storage.read(0, &mut found[0]).unwrap();
            plain.read(0, &mut found[1]).unwrap();
            prop_assert!(found[0] == found[1]);
        }
    }
}
