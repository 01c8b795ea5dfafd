//! The entities that a plan brings to life in one part of the space of hashes, by the hash of their
//! id.
//!
//! A load looks up both ends of every relationship here. Hashes are keyed and spread evenly, so the
//! last bits of a hash choose its slot; the first bits are the same in all of a part.

use crate::graph::IdHash;

/// Numbers of entities by the hashes of their ids: open addressing, at most half full.
pub struct EntityHashTable {
    slots: Vec<EntitySlot>,
}

#[derive(Clone, Copy)]
struct EntitySlot {
    id: IdHash,
    number: u32,
}

/// Marks a free slot: no entity has this number.
const FREE: u32 = u32::MAX;

impl EntityHashTable {
    /// A table of entities. `None` if two have the same hash.
    pub fn new(entities: impl ExactSizeIterator<Item = (IdHash, u32)>) -> Option<EntityHashTable> {
        let free = EntitySlot { id: IdHash(0), number: FREE };
        let count = (entities.len() * 2 + 1).next_power_of_two();
        let mut created = EntityHashTable { slots: vec![free; count] };
        for (id, number) in entities {
            let at = created.find(id);
            if created.slots[at].number != FREE {
                return None;
            }
            created.slots[at] = EntitySlot { id, number };
        }
        Some(created)
    }

    /// The slot of an entity, or the one where it would be.
    #[inline]
    fn find(&self, id: IdHash) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = id.0 as usize & mask;
        // This ends because at least half of the slots are free.
        while self.slots[at].number != FREE && self.slots[at].id != id {
            at = (at + 1) & mask;
        }
        at
    }

    /// The number of an entity.
    #[inline]
    pub fn get(&self, id: IdHash) -> Option<u32> {
        let slot = self.slots[self.find(id)];
        (slot.number != FREE).then_some(slot.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_that_was_added_is_found_and_nothing_else(
            ids in prop::collection::btree_set(any::<u64>(), 0..200),
            crowded: bool,
        ) {
            let ids: Vec<u64> =
                ids.into_iter().map(|id| if crowded { id << 32 } else { id }).collect();
            let mut known = std::collections::BTreeMap::new();
            for (id, number) in ids.into_iter().zip(0..) {
                known.entry(id).or_insert(number);
            }
            let entities: Vec<(IdHash, u32)> =
                known.iter().map(|(id, number)| (IdHash(*id), *number)).collect();
            let created = EntityHashTable::new(entities.iter().copied()).expect("all differ");
            for (id, number) in &known {
                prop_assert_eq!(created.get(IdHash(*id)), Some(*number));
                let next = id.wrapping_add(1);
                prop_assert_eq!(created.get(IdHash(next)), known.get(&next).copied());
                let again: Vec<_> =
                    entities.iter().copied().chain([(IdHash(*id), 7)]).collect();
                prop_assert!(EntityHashTable::new(again.into_iter()).is_none());
            }
        }
    }
}
