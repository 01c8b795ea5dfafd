//! Names and types as numbers: many records share few names.

use crate::graph::{NameKind, check_name};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A list of texts, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct TextTable {
    texts: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, u32>,
}

impl TextTable {
    /// The number of a text.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// The text of a number.
    pub(super) fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }
}

/// The names of properties, and which of them may be one.
#[derive(Clone, Debug, Default)]
pub(super) struct PropertyNames {
    names: TextTable,
    allowed: Vec<bool>,
}

impl PropertyNames {
    /// The number of a name; `None` if no property may have it.
    pub(super) fn number(&mut self, name: &str) -> Option<u32> {
        let number = self.names.number(name);
        if number as usize == self.allowed.len() {
            self.allowed.push(check_name(NameKind::Property, name).is_ok());
        }
        self.allowed[number as usize].then_some(number)
    }

    /// The name of a number.
    pub(super) fn name(&self, number: u32) -> &Arc<str> {
        self.names.text(number)
    }
}
