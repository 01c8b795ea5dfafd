//! The heart of finalize: a scope as stored against the same scope as uploaded.
//!
//! Pure, without disk or clock, so that a case is one line of test.

use crate::graph::IdHash;
use crate::store::Identity;

/// The decision on one object. Indices point into the staged objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Only in the upload, never seen before.
    Create(usize),
    /// In the upload, and a tombstone in the graph.
    Revive(usize, Identity),
    /// In both, written in another way: perhaps with different contents.
    Change(usize, Identity),
    /// In both, with equal contents.
    Same(usize, Identity),
    /// Live in the graph and not in the upload.
    Absent(Identity),
}

/// Compares both sides in one pass over each. Both are in strictly ascending order of id. A staged
/// object is given by its id and its spelling.
pub fn reconcile(
    stored: impl Iterator<Item = Identity>,
    staged: impl Iterator<Item = (IdHash, u64)>,
    mut decide: impl FnMut(Decision),
) {
    let mut stored = stored.peekable();
    for (i, (id, spelling)) in staged.enumerate() {
        while let Some(before) = stored.next_if(|s| s.id < id) {
            // A tombstone that is not uploaded stays a tombstone.
            if before.live {
                decide(Decision::Absent(before));
            }
        }
        decide(match stored.next_if(|s| s.id == id) {
            None => Decision::Create(i),
            Some(known) if !known.live => Decision::Revive(i, known),
            Some(known) if known.digest != spelling => Decision::Change(i, known),
            Some(known) => Decision::Same(i, known),
        });
    }
    stored.filter(|s| s.live).for_each(|s| decide(Decision::Absent(s)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> IdHash {
        IdHash(n.into())
    }

    #[test]
    fn each_column_of_the_table_has_its_decision() {
        let stored = [(1, 10, true), (2, 20, true), (3, 30, true), (4, 40, false), (6, 60, false)]
            .map(|(n, digest, live)| Identity { id: id(n), digest, number: n.into(), live });
        let staged = [(0, 0), (2, 20), (3, 31), (4, 40), (9, 9)].map(|(n, digest)| (id(n), digest));
        let mut decisions = Vec::new();
        reconcile(stored.into_iter(), staged.into_iter(), |d| decisions.push(d));
        assert_eq!(
            decisions,
            [
                Decision::Create(0),
                Decision::Absent(stored[0]),
                Decision::Same(1, stored[1]),
                Decision::Change(2, stored[2]),
                Decision::Revive(3, stored[3]),
                Decision::Create(4),
            ]
        );
    }
}
