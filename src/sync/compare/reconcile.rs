//! The heart of finalize: a scope as stored against the same scope as uploaded.
//!
//! Pure, without disk or clock, so that a case is one line of test.

use crate::graph::IdHash;
use crate::store::IdentityEntry;

/// The decision on one object. Indices point into the staged objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileDecision {
    /// Only in the upload, never seen before.
    Create(usize),
    /// In the upload, and a tombstone in the graph.
    Revive(usize, IdentityEntry),
    /// In both, written in another way: perhaps with different contents.
    Change(usize, IdentityEntry),
    /// In both, with equal contents.
    Same(usize, IdentityEntry),
    /// Live in the graph and not in the upload.
    Absent(IdentityEntry),
}

/// Compares both sides in one pass over each. Both are in strictly ascending order of id. A staged
/// object is given by its id and its spelling.
pub fn reconcile(
    stored: impl Iterator<Item = IdentityEntry>,
    staged: impl Iterator<Item = (IdHash, u64)>,
    mut decide: impl FnMut(ReconcileDecision),
) {
    let mut stored = stored.peekable();
    for (i, (id, spelling)) in staged.enumerate() {
        while let Some(before) = stored.next_if(|s| s.id < id) {
            // A tombstone that is not uploaded stays a tombstone.
            if before.live {
                decide(ReconcileDecision::Absent(before));
            }
        }
        decide(match stored.next_if(|s| s.id == id) {
            None => ReconcileDecision::Create(i),
            Some(known) if !known.live => ReconcileDecision::Revive(i, known),
            Some(known) if known.digest != spelling => ReconcileDecision::Change(i, known),
            Some(known) => ReconcileDecision::Same(i, known),
        });
    }
    stored.filter(|s| s.live).for_each(|s| decide(ReconcileDecision::Absent(s)));
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
            .map(|(n, digest, live)| IdentityEntry { id: id(n), digest, number: n.into(), live });
        let staged = [(0, 0), (2, 20), (3, 31), (4, 40), (9, 9)].map(|(n, digest)| (id(n), digest));
        let mut decisions = Vec::new();
        reconcile(stored.into_iter(), staged.into_iter(), |d| decisions.push(d));
        assert_eq!(
            decisions,
            [
                ReconcileDecision::Create(0),
                ReconcileDecision::Absent(stored[0]),
                ReconcileDecision::Same(1, stored[1]),
                ReconcileDecision::Change(2, stored[2]),
                ReconcileDecision::Revive(3, stored[3]),
                ReconcileDecision::Create(4),
            ]
        );
    }
}
