//! The expectations about pages that a reader gathers on its way down, in few bytes.
//!
//! What a page is proven with, and by which page, is in `page_verification.rs`.

use rustc_hash::FxHashMap;

/// The expectation about one page: a question that reads a branch learns of a hundred pages and reads
/// one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedPage {
    /// Half of the checksum, low part first. It is there to find damage, not forgery.
    pub sum: [u32; 2],
    /// Place of its kind of tree in the list of kinds.
    pub tree: u16,
    /// Length, as a power of two of the least page.
    pub order: u8,
    /// True if the pages below it are expected already.
    pub expanded: bool,
}

/// Expected pages by their place, in pages from the start of the file.
#[derive(Debug, Default)]
pub(super) struct ExpectationTable {
    /// Places of the newest expectations, oldest first; [`REMOVED`] for those that were taken back.
    recent_places: Vec<u32>,
    recent: Vec<ExpectedPage>,
    older: FxHashMap<u32, ExpectedPage>,
    /// True from the first write on.
    writing: bool,
}

/// So many expectations are kept in the order in which they came. A short question stays below it.
const RECENT_MAX: usize = 8_192;
/// No page has this place: the file would be longer than any can be.
const REMOVED: u32 = u32::MAX;
/// Places that are compared together, which the compiler turns into a few instructions.
const GROUP: usize = 32;

impl ExpectationTable {
    /// Expects `page` at `place`, whatever was expected there before.
    pub fn insert(&mut self, place: u32, page: ExpectedPage) {
        if self.writing {
            self.older.insert(place, page);
            return;
        }
        if self.recent.len() >= RECENT_MAX {
            self.spill();
        }
        self.recent_places.push(place);
        self.recent.push(page);
    }

    /// The newest expectation about the page at `place`.
    pub fn get(&self, place: u32) -> Option<&ExpectedPage> {
        match self.position(place) {
            Some(at) => self.recent.get(at),
            None => self.older.get(&place),
        }
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, place: u32) -> Option<&mut ExpectedPage> {
        match self.position(place) {
            Some(at) => self.recent.get_mut(at),
            None => self.older.get_mut(&place),
        }
    }

    /// Expects nothing of the page at `place` any more.
    pub fn remove(&mut self, place: u32) {
        for known in &mut self.recent_places {
            if *known == place {
                *known = REMOVED;
            }
        }
        self.older.remove(&place);
    }

    /// Takes back what was expected of a page that is written now. A writer removes as many as it
    /// writes, so from here on each is found by its place at once.
    pub fn remove_written(&mut self, place: u32) {
        if !self.writing {
            self.spill();
            self.writing = true;
        }
        self.older.remove(&place);
    }

    /// True if pages may have changed since they were expected.
    pub fn is_writing(&self) -> bool {
        self.writing
    }

    fn spill(&mut self) {
        // In the order in which they came, so that of two for one page the newer one stays.
        for (place, page) in self.recent_places.drain(..).zip(self.recent.drain(..)) {
            if place != REMOVED {
                self.older.insert(place, page);
            }
        }
    }

    /// The position of the newest of the recent expectations about `place`. Most often it is among
    /// the last, since a page is read right after the one above it.
    fn position(&self, place: u32) -> Option<usize> {
        let mut end = self.recent_places.len();
        for group in self.recent_places.rchunks(GROUP) {
            // No early exit, so that the whole group is compared at once.
            if group.iter().fold(false, |found, known| found | (*known == place)) {
                let at = group.iter().rposition(|known| *known == place)?;
                return Some(end - group.len() + at);
            }
            end -= group.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn page(n: u32) -> ExpectedPage {
        ExpectedPage { sum: [n, n], tree: 0, order: 0, expanded: false }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u32..4, 0u32..600, 1usize..600), 1..200)) {
            let (mut table, mut model) = (ExpectationTable::default(), HashMap::new());
            for (number, (kind, place, count)) in (0u32..).zip(steps) {
                match kind {
                    0 | 1 => for place in place..place + count as u32 {
                        table.insert(place, page(number));
                        model.insert(place, number);
                    },
                    2 => {
                        table.remove(place);
                        model.remove(&place);
                    }
                    // Late and seldom: it changes how the table keeps what comes after.
                    _ if number % 40 == 39 => {
                        table.remove_written(place);
                        model.remove(&place);
                    }
                    _ => {}
                }
            }
            for place in 0..1_300 {
                prop_assert_eq!(table.get(place).map(|page| page.sum[0]), model.get(&place).copied());
            }
        }
    }
}
