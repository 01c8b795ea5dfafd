//! Names and types as numbers: many records share few names. All threads of a run share one table, so a
//! name has one number, whoever met it first.

use crate::graph::{NameKind, check_name};
use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A list of things, each once.
#[derive(Debug)]
struct NumberedList<T> {
    all: Vec<T>,
    numbers: FxHashMap<T, u32>,
}

impl<T> Default for NumberedList<T> {
    fn default() -> NumberedList<T> {
        NumberedList { all: Vec::new(), numbers: FxHashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> NumberedList<T> {
    fn add(&mut self, new: T) -> u32 {
        // Another thread may have been quicker.
        if let Some(number) = self.numbers.get(&new) {
            return *number;
        }
        let number = self.all.len() as u32;
        self.all.push(new.clone());
        self.numbers.insert(new, number);
        number
    }
}

/// The names of properties, the types of both kinds with the classes of edges, and the sets of classes of
/// entities.
#[derive(Debug, Default)]
pub(super) struct SourceNames {
    properties: RwLock<NumberedList<Arc<str>>>,
    types: RwLock<NumberedList<Arc<str>>>,
    classes: RwLock<NumberedList<Arc<[Arc<str>]>>>,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    // A list is whole after each change of it, so a panic elsewhere leaves it sound.
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn number(lock: &RwLock<NumberedList<Arc<str>>>, text: &str) -> u32 {
    let known = read(lock).numbers.get(text).copied();
    known.unwrap_or_else(|| write(lock).add(text.into()))
}

impl SourceNames {
    /// The number of the name of a property; `None` if no property may have it.
    pub(super) fn property(&self, name: &str) -> Option<u32> {
        let known = read(&self.properties).numbers.get(name).copied();
        known.or_else(|| {
            check_name(NameKind::Property, name).ok()?;
            Some(write(&self.properties).add(name.into()))
        })
    }

    /// The name of a property.
    pub(super) fn property_name(&self, number: u32) -> Arc<str> {
        Arc::clone(&read(&self.properties).all[number as usize])
    }

    /// The names of all properties, by their numbers.
    pub(super) fn property_names(&self) -> Vec<Arc<str>> {
        read(&self.properties).all.clone()
    }

    /// The number of a type or of the class of an edge.
    pub(super) fn type_number(&self, text: &str) -> u32 {
        number(&self.types, text)
    }

    /// The type of a number.
    pub(super) fn type_name(&self, number: u32) -> Arc<str> {
        Arc::clone(&read(&self.types).all[number as usize])
    }

    /// All types, by their numbers.
    pub(super) fn type_names(&self) -> Vec<Arc<str>> {
        read(&self.types).all.clone()
    }

    /// The number of a set of classes.
    pub(super) fn class_set(&self, classes: &[Arc<str>]) -> u32 {
        let known = read(&self.classes).numbers.get(classes).copied();
        known.unwrap_or_else(|| write(&self.classes).add(classes.into()))
    }

    /// All sets of classes, by their numbers.
    pub(super) fn class_sets(&self) -> Vec<Arc<[Arc<str>]>> {
        read(&self.classes).all.clone()
    }
}
