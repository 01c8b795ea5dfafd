//! Bits for each entity that a walk leaves as clear as it found them.

/// Words that hold the bits of `PER_WORD` entities each, and are all zero between two walks.
///
/// A walk wipes the words that it wrote and no others, so that its cost goes with what it reaches and
/// not with the size of the graph.
#[derive(Debug, Default)]
pub(super) struct ClearWords<const PER_WORD: usize> {
    pub(super) words: Vec<u64>,
    /// A walk began and did not get to clean up, because it panicked.
    dirty: bool,
}

impl<const PER_WORD: usize> ClearWords<PER_WORD> {
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

    /// Wipes what a walk from `roots` wrote that met these entities.
    pub(super) fn end(&mut self, roots: &[u32], met: impl ExactSizeIterator<Item = u32>) {
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
