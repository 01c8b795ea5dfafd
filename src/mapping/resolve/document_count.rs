//! The documents that were read and the rows that were found in them: paths that lead nowhere are
//! mistakes more often than intended.

use crate::graph::InputLocation;
use crate::lang::{Diagnostic, NestedValue};
use crate::mapping::rows::{RowContent, RowDocument, RowSource};

/// Documents and rows, and the names in the first document.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct DocumentCount {
    pub rows: u64,
    documents: u64,
    keys: Vec<String>,
    place: InputLocation,
}

impl DocumentCount {
    /// Counts a document.
    pub(in crate::mapping) fn document(&mut self, document: &RowDocument) {
        if self.documents == 0 {
            self.place = InputLocation { input: document.file as u32, line: document.line };
            if let RowContent::Data(data) = &document.content {
                self.keys = keys_of(data);
            }
        }
        self.documents += 1;
    }

    /// Adds the documents behind these.
    pub(in crate::mapping) fn add(&mut self, more: DocumentCount) {
        if self.documents == 0 {
            (self.keys, self.place) = (more.keys, more.place);
        }
        self.rows += more.rows;
        self.documents += more.documents;
    }

    /// The fault of paths that found nothing in any document.
    pub(in crate::mapping) fn nothing_found(&self, rows: &RowSource) -> Option<Diagnostic> {
        if self.rows > 0 || self.documents == 0 || rows.items().is_empty() {
            return None;
        }
        let words = "`items` leads nowhere in this document".to_owned();
        let fault = rows.fault("M0404", words, self.place);
        Some(match self.keys.as_slice() {
            [] => fault,
            keys => fault.help(format!("keys there: {}", keys.join(", "))),
        })
    }
}

/// The names of an object, or of the objects of a list.
pub(in crate::mapping) fn keys_of(data: &NestedValue) -> Vec<String> {
    match data {
        NestedValue::Object(object) => {
            object.members.iter().take(20).map(|(name, _)| name.clone()).collect()
        }
        NestedValue::List(list) => list.items.first().map(keys_of).unwrap_or_default(),
        _ => Vec::new(),
    }
}
