//! JSON as a tree with lines, which is parsed only where a path goes.

use super::items::{DocumentTree, NodeContent};
use crate::mapping::data::{NestedValue, json_items, json_members};
use serde_json::value::RawValue;

/// A JSON text that is whole.
pub(super) struct JsonDocument<'t> {
    text: &'t str,
    root: &'t RawValue,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl<'t> JsonDocument<'t> {
    /// Takes a text.
    ///
    /// # Errors
    ///
    /// The parser's own words, with its line and column.
    pub(super) fn parse(text: &'t str) -> Result<JsonDocument<'t>, serde_json::Error> {
        let root = serde_json::from_str(text)?;
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Ok(JsonDocument { text, root, lines: std::iter::once(0).chain(breaks).collect() })
    }

    /// The whole document.
    pub(super) fn root(&self) -> JsonNode<'_> {
        JsonNode { document: self, value: self.root }
    }
}

/// A value of a document.
#[derive(Clone, Copy)]
pub(super) struct JsonNode<'d> {
    document: &'d JsonDocument<'d>,
    value: &'d RawValue,
}

impl DocumentTree for JsonNode<'_> {
    fn line(self) -> u32 {
        // The value borrows from the text, so the distance of the pointers is its offset.
        let at = self.value.get().as_ptr() as usize - self.document.text.as_ptr() as usize;
        self.document.lines.partition_point(|&start| start <= at) as u32
    }

    fn open(self) -> Result<NodeContent<Self>, String> {
        let text = self.value.get();
        let place = |value| JsonNode { value, ..self };
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members = json_members(text).map_err(|e| plain_words(&e))?;
                NodeContent::Object(members.into_iter().map(|(n, v)| (n, place(v))).collect())
            }
            Some(b'[') => {
                let items = json_items(text).map_err(|e| plain_words(&e))?;
                NodeContent::List(items.into_iter().map(place).collect())
            }
            _ => NodeContent::Plain,
        })
    }

    fn data(self) -> Result<NestedValue, String> {
        NestedValue::from_json(self.value).map_err(|e| plain_words(&e))
    }
}

/// The words of an error without its place, which may count from a value inside the file.
pub(super) fn plain_words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rfind(" at line ").map_or(words.clone(), |i| words[..i].to_owned())
}
