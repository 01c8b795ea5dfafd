//! A cache with a budget in bytes, from which one thing goes at a time.
//!
//! The clock algorithm chooses the entry to evict: a hand passes over all entries, spares each once
//! that was used since it last passed, and takes the next. So a set that just does not fit loses
//! little of it, where a cache that starts anew when it is full would lose all of it again and
//! again.
//!
//! The cache begins with a part of its budget, and takes more when an evicted entry is asked for
//! again. A pass in order comes to each place once, and is quicker in little memory.

use rustc_hash::{FxHashMap, FxHashSet};
use std::hash::Hash;

/// Entries by key, limited by their bytes.
pub struct BudgetedCache<K, V> {
    budget: usize,
    /// Bytes that may be used now; never more than the budget.
    limit: usize,
    used: usize,
    places: FxHashMap<K, usize>,
    slots: Vec<Option<CacheSlot<K, V>>>,
    free: Vec<usize>,
    hand: usize,
    /// Keys of evicted entries, kept while the limit can still be raised.
    gone: FxHashSet<K>,
}

struct CacheSlot<K, V> {
    key: K,
    value: V,
    bytes: usize,
    asked: bool,
}

/// Bytes that an entry takes beside its value, about.
const AROUND: usize = 64;

/// Keys of evicted entries that are remembered.
const GONE_MAX: usize = 1 << 16;

impl<K: Copy + Eq + Hash, V> BudgetedCache<K, V> {
    /// An empty cache that uses `first` bytes, and up to `budget` where it pays.
    pub fn new(first: usize, budget: usize) -> BudgetedCache<K, V> {
        BudgetedCache {
            budget,
            limit: first.min(budget),
            used: 0,
            places: FxHashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            gone: FxHashSet::default(),
        }
    }

    /// The number of entries of `bytes` each that fit the budget.
    pub fn holds(&self, bytes: usize) -> usize {
        self.budget / (bytes + AROUND)
    }

    /// Bytes in use, about.
    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.used
    }

    /// The value under a key, if it is there.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let slot = self.slots[*self.places.get(key)?].as_mut()?;
        slot.asked = true;
        Some(&slot.value)
    }

    /// Makes room for a value of so many bytes under a key; `went` gets the entries that are
    /// evicted for it.
    pub fn make_room(&mut self, key: &K, bytes: usize, mut went: impl FnMut(K, V)) {
        // An evicted entry is wanted again: the limit is too low for this use.
        if self.limit < self.budget && self.gone.remove(key) {
            self.limit = (self.limit * 2).min(self.budget);
        }
        while self.used > 0 && self.used + bytes + AROUND > self.limit {
            let Some((key, value)) = self.evict() else { return };
            if self.limit < self.budget {
                // Forgetting all at once is cheap, and delays the growth of the limit only.
                if self.gone.len() == GONE_MAX {
                    self.gone.clear();
                }
                self.gone.insert(key);
            }
            went(key, value);
        }
    }

    /// Adds a value of so many bytes, for which [`BudgetedCache::make_room`] has made room.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        let bytes = bytes + AROUND;
        let slot = Some(CacheSlot { key, value, bytes, asked: false });
        self.used += bytes;
        let known = self.places.get(&key).copied();
        let at = match known.or_else(|| self.free.pop()) {
            Some(at) => {
                let old = std::mem::replace(&mut self.slots[at], slot);
                self.used -= old.map_or(0, |old| old.bytes);
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.places.insert(key, at);
    }

    /// Evicts the next entry that was not used since the hand passed it.
    fn evict(&mut self) -> Option<(K, V)> {
        // All may be marked as used; the first round unmarks them, the second finds one.
        for _ in 0..2 * self.slots.len() {
            let at = self.hand % self.slots.len();
            self.hand = at + 1;
            match &mut self.slots[at] {
                Some(slot) if slot.asked => slot.asked = false,
                Some(_) => {
                    let slot = self.slots[at].take()?;
                    self.used -= slot.bytes;
                    self.places.remove(&slot.key);
                    // The next entry takes this place, just behind the hand, so it is looked at
                    // last.
                    self.free.push(at);
                    return Some((slot.key, slot.value));
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(cache: &mut BudgetedCache<u32, u32>, key: u32, bytes: usize) -> bool {
        if let Some(&value) = cache.get(&key) {
            assert_eq!(value, key * 7);
            return true;
        }
        cache.make_room(&key, bytes, |key, value| assert_eq!(value, key * 7));
        cache.insert(key, key * 7, bytes);
        false
    }

    proptest! {
        #[test]
        fn it_keeps_within_its_budget_and_gives_what_was_put(
            budget in 1000..20_000usize,
            asked in prop::collection::vec((0..60u32, 1..900usize), 0..400),
        ) {
            let mut cache = BudgetedCache::new(budget / 4, budget);
            for (key, bytes) in asked {
                ask(&mut cache, key, bytes);
                prop_assert!(cache.used() <= budget.max(bytes + AROUND));
                prop_assert!(cache.get(&key).is_some(), "what was put last is there");
                let kept: usize = cache.slots.iter().flatten().map(|slot| slot.bytes).sum();
                prop_assert_eq!(kept, cache.used());
                prop_assert_eq!(cache.places.len(), cache.slots.iter().flatten().count());
            }
        }
    }

    #[test]
    fn a_set_that_fits_the_budget_is_kept_whole_after_some_rounds() {
        let mut cache = BudgetedCache::new(500, 100 * (100 + AROUND));
        for _ in 0..8 {
            (0..100).for_each(|key| {
                ask(&mut cache, key, 100);
            });
        }
        assert!((0..100).all(|key| ask(&mut cache, key, 100)));
    }

    #[test]
    fn as_many_as_it_holds_are_kept_whatever_the_order() {
        for budget in [3_000, 50_331_648 / 1000, 1 << 20] {
            let mut cache = BudgetedCache::new(budget / 16, budget);
            let holds = cache.holds(300) as u32;
            (0..6).for_each(|_| {
                (0..holds).for_each(|key| {
                    ask(&mut cache, key, 300);
                });
            });
            assert!((0..holds).rev().all(|key| ask(&mut cache, key, 300)), "{budget}");
        }
    }

    #[test]
    fn a_pass_in_order_stays_in_little_memory() {
        let mut cache = BudgetedCache::new(1000, 1 << 20);
        (0..10_000).for_each(|key| {
            ask(&mut cache, key, 100);
        });
        assert!(cache.used() <= 1000);
    }

    #[test]
    fn what_is_asked_for_often_outlives_what_is_passed_by() {
        let mut cache = BudgetedCache::new(10 * (100 + AROUND), 10 * (100 + AROUND));
        let mut missed = 0;
        for key in 10..1000 {
            ask(&mut cache, key, 100);
            missed += usize::from(!ask(&mut cache, 1, 100));
        }
        assert_eq!(missed, 1);
    }

    #[test]
    fn a_set_somewhat_too_large_loses_a_part_and_not_all() {
        // At random, as relationships come to the entities at their ends.
        let mut cache = BudgetedCache::new(1 << 20, 100 * (100 + AROUND));
        let (mut state, mut hits) = (1u64, 0);
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            hits += usize::from(ask(&mut cache, (state >> 33) as u32 % 125, 100));
        }
        assert!(hits > 14_000, "{hits} of 20,000");
    }
}
