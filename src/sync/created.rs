//! The entities that a plan brings to life, by the hash of their id.
//!
//! A load looks up both ends of every relationship here, at random places of a table that is larger
//! than any cache: what such a look costs is the way to memory. Hashes are keyed and spread evenly,
//! so the first bits of one are its place, filling the table in the order of hashes goes through
//! memory in order, and a look is one access, which can be begun ahead of time.

use crate::graph::IdHash;

/// Numbers of entities by the hashes of their ids: open addressing, at most half full.
#[derive(Default)]
pub struct Created {
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    id: IdHash,
    number: u32,
}

/// No entity has this number.
const FREE: u32 = u32::MAX;

impl Created {
    /// Adds entities, whose hashes ascend. False if two have the same hash.
    #[must_use]
    pub fn extend(&mut self, entities: impl Iterator<Item = (IdHash, u32)> + Clone) -> bool {
        let count = entities.clone().count();
        self.len += count;
        if self.len * 2 > self.slots.len() {
            let free = Slot { id: IdHash(0), number: FREE };
            let slots = vec![free; (self.len * 2).next_power_of_two().max(16)];
            let before = std::mem::replace(&mut self.slots, slots);
            let taken = before.into_iter().filter(|slot| slot.number != FREE);
            taken.for_each(|slot| {
                self.insert(slot);
            });
        }
        entities.fold(true, |apart, (id, number)| self.insert(Slot { id, number }) && apart)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn place(&self, id: IdHash) -> usize {
        (id.0 >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    fn insert(&mut self, slot: Slot) -> bool {
        let mut at = self.place(slot.id);
        let mut apart = true;
        while self.slots[at].number != FREE {
            apart &= self.slots[at].id != slot.id;
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
        apart
    }

    /// Reads where an entity would be, for no other use than to have it near for [`Created::get`].
    /// There must be some.
    pub fn touch(&self, id: IdHash) -> u64 {
        self.slots[self.place(id)].id.0
    }

    /// The number of an entity.
    pub fn get(&self, id: IdHash) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.place(id);
        while self.slots[at].number != FREE {
            if self.slots[at].id == id {
                return Some(self.slots[at].number);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_that_was_added_is_found_and_nothing_else(
            parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..40), 0..6),
            crowded: bool,
        ) {
            let mut created = Created::default();
            let mut known = std::collections::BTreeMap::new();
            for part in parts {
                let mut ids: Vec<u64> =
                    part.into_iter().map(|id| if crowded { u64::MAX - id % 99 } else { id }).collect();
                ids.sort_unstable();
                ids.dedup();
                ids.retain(|id| !known.contains_key(id));
                let first = known.len() as u32;
                let numbered = ids.iter().map(|id| IdHash(*id)).zip(first..);
                prop_assert!(created.extend(numbered.clone()));
                known.extend(numbered.map(|(id, number)| (id.0, number)));
            }
            for (id, number) in &known {
                prop_assert_eq!(created.get(IdHash(*id)), Some(*number));
                let next = id.wrapping_add(1);
                prop_assert_eq!(created.get(IdHash(next)), known.get(&next).copied());
                prop_assert!(!created.extend(std::iter::once((IdHash(*id), 7))));
            }
        }
    }
}
