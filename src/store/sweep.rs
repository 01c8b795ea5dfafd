//! Sweeping: names, labels and scopes that nothing uses any more are removed.
//!
//! A pass over all objects finds what is in use. Tombstones count, since an undo brings them back,
//! and so does the history, which can be asked.
//! The result is made of one snapshot, and holds for a writer that begins at its revision.

use super::heads::NO_BODY;
use super::labels::RelationshipLabel;
use super::names::{self, WordDictionary};
use super::tables;
use super::writer::put;
use super::{GraphWriter, Snapshot, StoreError};
use crate::graph::ObjectKind;
use redb::ReadableTable;
use rustc_hash::FxHashSet;

/// Numbers of what was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Names of scopes, types, classes, verbs and properties.
    pub names: u64,
    /// Combinations of scope, type and verb.
    pub labels: u64,
    /// Scopes that held nothing, and for which nothing was set.
    pub scopes: u64,
}

/// Names, words and labels that are in use, by number, and bare scopes.
pub struct NamesInUse {
    names: FxHashSet<u32>,
    words: FxHashSet<u32>,
    labels: FxHashSet<u32>,
    bare: Vec<u32>,
    /// Numbers of what sweeping would remove.
    unused: SweepCounts,
}

impl NamesInUse {
    /// True if there is nothing to sweep.
    pub fn is_all(&self) -> bool {
        self.unused == SweepCounts::default()
    }
}

impl Snapshot {
    /// Finds the names, labels and scopes that are in use.
    pub fn in_use(&self) -> Result<NamesInUse, StoreError> {
        let mut used = NamesInUse {
            names: FxHashSet::default(),
            words: FxHashSet::default(),
            labels: FxHashSet::default(),
            bare: Vec::new(),
            unused: SweepCounts::default(),
        };
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            self.add_used(kind, &mut used)?;
        }
        let NamesInUse { names, words, labels, .. } = &mut used;
        self.names_of_history(
            |word| _ = words.insert(word),
            |name| _ = names.insert(name),
            |label| _ = labels.insert(label),
        )?;
        let recorded = self.scopes_with_history()?;
        for (scope, row) in self.scope_rows()? {
            // A scope that held something in a state that can be asked is still needed.
            if row.is_bare() && !recorded.contains(&scope) {
                used.bare.push(scope);
            } else {
                used.words.insert(scope);
            }
        }
        used.names.extend(&used.words);
        let mut unused = 0;
        self.for_each_name(|number, _| unused += u64::from(!used.names.contains(&number)))?;
        used.unused = SweepCounts {
            names: unused,
            labels: (self.labels().in_use() - used.labels.len()) as u64,
            scopes: used.bare.len() as u64,
        };
        Ok(used)
    }

    fn add_used(&self, kind: ObjectKind, used: &mut NamesInUse) -> Result<(), StoreError> {
        let NamesInUse { names, words, labels, .. } = used;
        let mut last = None;
        self.for_each_stored(kind, None, |number, chunk, row| {
            let label = RelationshipLabel {
                scope: chunk.scope(row),
                type_name: chunk.type_name(row),
                verb: chunk.class(row),
                derived_key: chunk.key(row).is_some_and(|key| key.is_empty()),
            };
            let at = (label, chunk.live(row));
            // Objects that follow each other are mostly alike, so most lookups are spared.
            if last != Some(at) {
                last = Some(at);
                words.extend([label.scope, label.type_name, label.verb]);
                // Only live relationships stand in adjacency, so only they use labels.
                if kind == ObjectKind::Relationship && chunk.live(row) {
                    let missing = || {
                        let key = number.to_be_bytes();
                        StoreError::corrupt("labels", &key, "a relationship has no label")
                    };
                    labels.insert(self.labels().number(label).ok_or_else(missing)?);
                }
            }
            let (block, slot) = chunk.body(row);
            if block == NO_BODY {
                return Ok(());
            }
            self.for_each_property_name(kind, (label.scope, block, slot), |name| {
                names.insert(name);
            })
        })
    }
}

impl GraphWriter {
    /// Removes everything that is not in use. The writer begins at the revision of the snapshot
    /// that `used` was made of, and gives out no names.
    pub fn sweep(&mut self, used: &NamesInUse) -> Result<SweepCounts, StoreError> {
        debug_assert!(self.names.new_names().is_empty());
        let labels = self.labels.retain(|number| used.labels.contains(&number));
        if labels > 0 {
            // Removed edges in the delta may still have such a label; after the merge none has.
            self.merge_adjacency()?;
        }
        for &scope in &used.bare {
            self.drop_scope(scope)?;
        }
        let words = self.words.clone();
        let kept =
            WordDictionary::new(words.iter().filter(|(_, number)| used.words.contains(number)));
        if kept.count() < words.count() {
            self.replace_words(kept)?;
        }
        let names = self.drop_names(&used.names)?;
        self.meta.names -= names.len() as u32;
        Ok(SweepCounts { names: names.len() as u64, labels, scopes: used.bare.len() as u64 })
    }

    /// Rewrites the chunks of names without the unused names; returns these.
    fn drop_names(&self, used: &FxHashSet<u32>) -> Result<Vec<String>, StoreError> {
        let mut dropped = Vec::new();
        let mut table = self.table(tables::NAMES)?;
        let mut keys: Vec<[u8; 4]> = Vec::new();
        for row in table.iter()? {
            let (key, _) = row?;
            let damaged = || StoreError::corrupt("names", &[], "a key has another length");
            keys.push(key.value().try_into().map_err(|_| damaged())?);
        }
        drop(table);
        for key in keys {
            let Some(chunk) = self.name_chunk(&key)? else { continue };
            // A dropped name leaves an empty text, so the numbers behind it stay.
            let first = u32::from_be_bytes(key) * names::NAMES_CHUNK;
            let before = dropped.len();
            let mut any = false;
            let kept: Vec<&str> = (first..)
                .zip(chunk.iter())
                .map(|(number, name)| match used.contains(&number) {
                    true => {
                        any |= !name.is_empty();
                        name
                    }
                    false => {
                        dropped.extend((!name.is_empty()).then(|| name.to_owned()));
                        ""
                    }
                })
                .collect();
            if dropped.len() == before {
                continue;
            }
            table = self.table(tables::NAMES)?;
            if any {
                let payload = names::encode_chunk(kept.into_iter());
                put(&mut table, tables::NAMES, &key, payload)?;
            } else {
                table.remove(&key[..])?;
            }
            drop(table);
        }
        let mut numbers = self.table(tables::NAME_NUMBERS)?;
        for name in &dropped {
            numbers.remove(name.as_bytes())?;
        }
        drop(numbers);
        Ok(dropped)
    }
}
