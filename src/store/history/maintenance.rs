//! Care of the history: letting go of what is old, following bodies that move, and finding what
//! names the past still uses.

use super::keys::{HistoryKey, HistorySpace};
use super::past::{damaged, for_each_row, groups};
use super::record::{HeadsRow, RecordedHead, decode_optional, encode_heads, encode_optional};
use crate::graph::ObjectKind;
use crate::store::codec::{seal, unseal};
use crate::store::edges::read_changes;
use crate::store::heads::NO_BODY;
use crate::store::rows::ScopeRow;
use crate::store::tables;
use crate::store::{GraphWriter, Snapshot, StoreError};
use redb::ReadableTable;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// The history that was let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForgottenHistory {
    /// States that can no longer be asked.
    pub states: u64,
    /// Bodies that nothing names any more, by scope and kind.
    dead: BTreeMap<(u32, u8), u64>,
}

impl GraphWriter {
    /// Lets go of every state before that of the revision `oldest`. `snapshot` is the state that the
    /// writer begins with.
    pub fn forget_history(
        &mut self,
        snapshot: &Snapshot,
        oldest: u64,
    ) -> Result<ForgottenHistory, StoreError> {
        let mut forgotten = ForgottenHistory::default();
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let space = HistorySpace::heads(kind);
            for group in groups(&snapshot.history_table()?, space, 0..oldest + 1)? {
                count_dead(snapshot, kind, group, oldest, &mut forgotten)?;
            }
        }
        let mut table = self.table(tables::HISTORY)?;
        for space in HistorySpace::ALL {
            if space == HistorySpace::Revisions {
                continue;
            }
            for group in groups(&snapshot.history_table()?, space, 0..oldest + 1)? {
                let from = HistoryKey::first(space, group, 0).bytes();
                let to = HistoryKey { revision: oldest, ..HistoryKey::last(space, group) }.bytes();
                table.retain_in::<&[u8], _>(&from[..]..=&to[..], |_, _| false)?;
            }
        }
        let [from, to] = [0, oldest]
            .map(|revision| HistoryKey::first(HistorySpace::Revisions, 0, revision).bytes());
        let mut states = 0;
        table.retain_in::<&[u8], _>(&from[..]..&to[..], |_, _| {
            states += 1;
            false
        })?;
        drop(table);
        forgotten.states = states;
        for (&(scope, kind), &dead) in &forgotten.dead {
            self.scope(scope)?.dead[usize::from(kind)] += dead;
        }
        Ok(forgotten)
    }

    /// Writes other places into the recorded heads of a kind in a scope, whose bodies moved.
    pub fn move_recorded_bodies(
        &mut self,
        snapshot: &Snapshot,
        kind: ObjectKind,
        scope: u32,
        moved: impl Fn((u32, u32)) -> Option<(u32, u32)>,
    ) -> Result<(), StoreError> {
        let space = HistorySpace::heads(kind);
        let mut table = self.table(tables::HISTORY)?;
        for group in groups(&snapshot.history_table()?, space, 0..u64::MAX)? {
            let mut rewritten: Vec<([u8; 17], Vec<u8>)> = Vec::new();
            let [from, to] = [HistoryKey::first(space, group, 0), HistoryKey::last(space, group)];
            let mut lost = false;
            for_each_row(&snapshot.history_table()?, from, to, |key, payload| {
                let mut records = HeadsRow::parse(group, payload)?.all()?;
                let mut any = false;
                for RecordedHead { head, .. } in &mut records {
                    if head.scope == scope && head.block != NO_BODY {
                        any = true;
                        match moved((head.block, head.slot)) {
                            Some(place) => (head.block, head.slot) = place,
                            None => lost = true,
                        }
                    }
                }
                if any {
                    rewritten.push((key.bytes(), encode_heads(&records)));
                }
                Some(ControlFlow::Continue(()))
            })?;
            if lost {
                return Err(damaged(&from.bytes()));
            }
            for (key, payload) in rewritten {
                table.insert(&key[..], &seal("history", &key, payload)[..])?;
            }
        }
        Ok(())
    }

    /// Takes tombstones that are purged out of the counts of the states before, all of which had
    /// them.
    pub fn purge_from_history(
        &mut self,
        scope: u32,
        kind: ObjectKind,
        purged: u64,
    ) -> Result<(), StoreError> {
        self.edit_recorded_scope(scope, |row| {
            let deleted = &mut row.counts[kind as usize].deleted;
            *deleted = deleted.saturating_sub(purged);
        })
    }

    fn edit_recorded_scope(
        &mut self,
        scope: u32,
        edit: impl Fn(&mut ScopeRow),
    ) -> Result<(), StoreError> {
        let mut table = self.table(tables::HISTORY)?;
        let [from, to] = [
            HistoryKey::first(HistorySpace::Scopes, scope, 0).bytes(),
            HistoryKey::last(HistorySpace::Scopes, scope).bytes(),
        ];
        let mut rewritten = Vec::new();
        for row in table.range::<&[u8]>(&from[..]..=&to[..])? {
            let (key, sealed) = row?;
            let key = key.value();
            let payload = unseal("history", key, sealed.value())?;
            let Some(stored) = decode_optional(payload).ok_or_else(|| damaged(key))? else {
                continue;
            };
            let mut row = ScopeRow::decode(stored).ok_or_else(|| damaged(key))?;
            edit(&mut row);
            rewritten.push((key.to_vec(), encode_optional(Some(&row.encode()))));
        }
        for (key, payload) in rewritten {
            table.insert(&key[..], &seal("history", &key, payload)[..])?;
        }
        Ok(())
    }

    /// Removes the recorded rows of a scope that holds nothing in any state that is kept.
    pub(in crate::store) fn drop_recorded_scope(&self, scope: u32) -> Result<(), StoreError> {
        let mut table = self.table(tables::HISTORY)?;
        for space in [HistorySpace::Scopes, HistorySpace::Pins] {
            let from = HistoryKey::first(space, scope, 0).bytes();
            let to = HistoryKey::last(space, scope).bytes();
            table.retain_in::<&[u8], _>(&from[..]..=&to[..], |_, _| false)?;
        }
        Ok(())
    }
}

/// Counts the bodies that nothing will name once the states before `oldest` are gone.
fn count_dead(
    snapshot: &Snapshot,
    kind: ObjectKind,
    group: u32,
    oldest: u64,
    forgotten: &mut ForgottenHistory,
) -> Result<(), StoreError> {
    /// Revision, and scope, block and slot of the body.
    type Place = (u64, (u32, u32, u32));
    let space = HistorySpace::heads(kind);
    let mut places: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    let [from, to] = [HistoryKey::first(space, group, 0), HistoryKey::last(space, group)];
    for_each_row(&snapshot.history_table()?, from, to, |key, payload| {
        for RecordedHead { number, head, .. } in HeadsRow::parse(group, payload)?.all()? {
            let place = (head.scope, head.block, head.slot);
            places.entry(number).or_default().push((key.revision, place));
        }
        Some(ControlFlow::Continue(()))
    })?;
    for (number, places) in places {
        if places.first().is_none_or(|(revision, _)| *revision > oldest) {
            continue;
        }
        let now = snapshot.head(kind, number)?.map(|head| (head.scope, head.block, head.slot));
        let after = places[1..].iter().map(|(_, place)| Some(*place)).chain([now]);
        for ((revision, place), after) in places.iter().zip(after) {
            if *revision <= oldest && place.1 != NO_BODY && after != Some(*place) {
                *forgotten.dead.entry((place.0, kind as u8)).or_default() += 1;
            }
        }
    }
    Ok(())
}

impl Snapshot {
    /// The name numbers of scopes that held something in a state that can be asked.
    pub(in crate::store) fn scopes_with_history(&self) -> Result<BTreeSet<u32>, StoreError> {
        let mut scopes = BTreeSet::new();
        let from = HistoryKey::first(HistorySpace::Scopes, 0, 0);
        let to = HistoryKey::last(HistorySpace::Scopes, u32::MAX);
        for_each_row(&self.history_table()?, from, to, |key, payload| {
            if let Some(row) = decode_optional(payload)?
                && !ScopeRow::decode(row)?.is_bare()
            {
                scopes.insert(key.group);
            }
            Some(ControlFlow::Continue(()))
        })?;
        Ok(scopes)
    }

    /// Calls `word` with the name numbers that the history uses as words, `name` with those of
    /// properties, and `label` with labels of edges.
    pub(in crate::store) fn names_of_history(
        &self,
        mut word: impl FnMut(u32),
        mut name: impl FnMut(u32),
        mut label: impl FnMut(u32),
    ) -> Result<(), StoreError> {
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let mut places = Vec::new();
            self.for_each_recorded_head(kind, |_, RecordedHead { head, .. }| {
                [head.scope, head.type_name, head.class].into_iter().for_each(&mut word);
                if head.block != NO_BODY {
                    places.push((head.scope, head.block, head.slot));
                }
            })?;
            // In the order of the blocks, so that each is unpacked once.
            places.sort_unstable();
            places.dedup();
            for place in places {
                self.for_each_property_name(kind, place, &mut name)?;
            }
        }
        let from = HistoryKey::first(HistorySpace::OutEdges, 0, 0);
        let to = HistoryKey::last(HistorySpace::Scopes, u32::MAX);
        for_each_row(&self.history_table()?, from, to, |key, payload| {
            if key.space == HistorySpace::Scopes {
                word(key.group);
                if let Some(row) = decode_optional(payload)? {
                    ScopeRow::decode(row)?.words().for_each(&mut word);
                }
            } else {
                read_changes(payload)?.iter().for_each(|((_, edge), _)| label(edge.label));
            }
            Some(ControlFlow::Continue(()))
        })
    }
}
