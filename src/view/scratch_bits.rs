//! A few bits for each entity. A walk sets some and clears them at its end.

/// Words of 64 bits, each for `PER_WORD` entities. All of them are zero between two walks.
///
/// A walk wipes only the words that it wrote, so its cost grows with the entities that it reaches and
/// not with the size of the graph.
#[derive(Debug, Default)]
pub(super) struct ScratchBits<const PER_WORD: usize> {
    pub(super) words: Vec<u64>,
    /// True if a walk began and did not end. After a panic, it stays true.
    dirty: bool,
}

impl<const PER_WORD: usize> ScratchBits<PER_WORD> {
    /// Makes room for the entities below `bound`, for a walk that begins.
    pub(super) fn begin(&mut self, bound: u32) {
        let needed = (bound as usize).div_ceil(PER_WORD);
        if std::mem::replace(&mut self.dirty, true) {
            self.words.fill(0);
        }
        match self.words.len() {
            // Fresh zeroed memory is not touched before it is used.
            0 => self.words = vec![0; needed],
            len if len < needed => self.words.resize(needed, 0),
            _ => {}
        }
    }

    /// Wipes the words of the entities that a walk from `roots` met.
    pub(super) fn end(&mut self, roots: &[u32], met: impl ExactSizeIterator<Item = u32>) {
        // One pass over all words costs less than as many single writes.
        if met.len() >= self.words.len() {
            self.words.fill(0);
        } else {
            for entity in roots.iter().copied().chain(met) {
                if let Some(word) = self.words.get_mut(entity as usize / PER_WORD) {
                    *word = 0;
                }
            }
        }
        self.dirty = false;
    }
}
