//! `items`: the path to the rows inside a document, e.g. `applications[*].iamRoles[*]`.

use crate::lang::ExprDiagnostic;
use crate::mapping::data::NestedValue;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
enum ItemStep {
    Name(String),
    Each,
}

/// A path that ends in `[*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct ItemPath {
    steps: Vec<ItemStep>,
}

/// A place in a document that knows its line.
pub(super) trait DocumentTree: Copy {
    /// The line that it begins on, counted from 1.
    fn line(self) -> u32;

    /// Opens it: its items or members, one level deep.
    ///
    /// # Errors
    ///
    /// Words about what is wrong with it.
    fn open(self) -> Result<NodeContent<Self>, String>;

    /// Copies all of it.
    ///
    /// # Errors
    ///
    /// Words about what is wrong with it.
    fn data(self) -> Result<NestedValue, String>;
}

/// The contents of a place of a document, one level deep.
pub(super) enum NodeContent<T> {
    Plain,
    List(Vec<T>),
    Object(Vec<(String, T)>),
}

/// An item, and the object around its list where that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SelectedItem {
    pub row: NestedValue,
    pub line: u32,
    pub parent: Option<Arc<NestedValue>>,
}

/// The reason why a document gives no items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ItemPathError {
    NoList(MissingList),
    /// Words about what is wrong on a line.
    Broken(u32, String),
}

/// The place where a document has no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct MissingList {
    /// The part of the path that found none.
    pub path: String,
    /// Names in the object where the path broke off.
    pub keys: Vec<String>,
    /// Its line.
    pub line: u32,
}

/// Reads a path.
///
/// # Errors
///
/// The fault, with the bytes of `text` that it is about.
pub(in crate::mapping) fn parse_items(text: &str) -> Result<ItemPath, ExprDiagnostic> {
    let fault = |words: &str, place| ExprDiagnostic::new("M0201", words.to_owned(), place);
    let mut steps = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("[*]") {
            steps.push(ItemStep::Each);
            at += 3;
        } else if let Some(quoted) = rest.strip_prefix("['") {
            let Some(end) = quoted.find("']") else {
                return Err(fault("expected `']` after the name", at..text.len()));
            };
            steps.push(ItemStep::Name(quoted[..end].to_owned()));
            at += end + 4;
        } else {
            // A dot stands before each name but the first.
            let dot = usize::from(!steps.is_empty());
            let name = &rest[usize::from(rest.starts_with('.'))..];
            let end = name.find(['.', '[', ']', '*', '\'', ' ']).unwrap_or(name.len());
            if rest.starts_with('.') != (dot == 1) || end == 0 {
                return Err(fault("expected a name, `['name']` or `[*]`", at..text.len()));
            }
            steps.push(ItemStep::Name(name[..end].to_owned()));
            at += dot + end;
        }
    }
    match steps.last() {
        Some(ItemStep::Each) => Ok(ItemPath { steps }),
        _ => Err(fault("expected `[*]` at the end, for each row", 0..text.len())),
    }
}

impl ItemPath {
    /// The items of a document that is a list itself.
    pub(super) fn top() -> ItemPath {
        ItemPath { steps: vec![ItemStep::Each] }
    }

    /// The items of `document` in their order. O(items) copies.
    pub(super) fn select<T: DocumentTree>(
        &self,
        document: T,
        parents: bool,
    ) -> Result<Vec<SelectedItem>, ItemPathError> {
        let mut found = Vec::new();
        self.walk(document, None, 0, parents, &mut found)?;
        Ok(found)
    }

    fn walk<T: DocumentTree>(
        &self,
        here: T,
        around: Option<T>,
        at: usize,
        parents: bool,
        found: &mut Vec<SelectedItem>,
    ) -> Result<(), ItemPathError> {
        let broken = |words| ItemPathError::Broken(here.line(), words);
        let last = at + 1 == self.steps.len();
        match (&self.steps[at], here.open().map_err(broken)?) {
            (ItemStep::Name(name), NodeContent::Object(members)) => {
                match members.iter().find(|(n, _)| n == name) {
                    // The last step is `[*]`, so there is one after a name.
                    Some((_, inner)) => self.walk(*inner, Some(here), at + 1, parents, found),
                    None => Err(self.none(at, here, members)),
                }
            }
            (ItemStep::Each, NodeContent::List(list)) if last => {
                // One copy for all items of the list.
                let parent = match around.filter(|_| parents) {
                    Some(around) => Some(Arc::new(around.data().map_err(broken)?)),
                    None => None,
                };
                for item in list {
                    let row =
                        item.data().map_err(|words| ItemPathError::Broken(item.line(), words))?;
                    found.push(SelectedItem { row, line: item.line(), parent: parent.clone() });
                }
                Ok(())
            }
            (ItemStep::Each, NodeContent::List(list)) => list
                .into_iter()
                .try_for_each(|item| self.walk(item, around, at + 1, parents, found)),
            (_, NodeContent::Object(members)) => Err(self.none(at, here, members)),
            _ => Err(self.none(at, here, Vec::new())),
        }
    }

    fn none<T: DocumentTree>(
        &self,
        at: usize,
        here: T,
        members: Vec<(String, T)>,
    ) -> ItemPathError {
        let keys = members.into_iter().map(|(name, _)| name).collect();
        // The path is told up to its next `[*]`, which needs the list.
        let each = (at..self.steps.len()).find(|&i| self.steps[i] == ItemStep::Each).unwrap_or(at);
        let mut path = String::new();
        for step in &self.steps[..=each] {
            match step {
                ItemStep::Each => path.push_str("[*]"),
                ItemStep::Name(name) if name.contains(['.', '[', ']', '*', '\'', ' ']) => {
                    path.push_str(&format!("['{name}']"));
                }
                ItemStep::Name(name) if path.is_empty() => path.push_str(name),
                ItemStep::Name(name) => path.push_str(&format!(".{name}")),
            }
        }
        ItemPathError::NoList(MissingList { path, keys, line: here.line() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(path: &str, text: &str) -> Result<Vec<SelectedItem>, ItemPathError> {
        let json = crate::mapping::rows::json::JsonDocument::parse(text).unwrap();
        parse_items(path).unwrap().select(json.root(), true)
    }

    #[test]
    fn rows_know_the_object_around_them_and_their_line() {
        let text =
            "{\"apps\":[\n{\"n\":\"x\",\"roles\":[\"a\",\n\"b\"]},{\"n\":\"y\",\"roles\":[]}]}";
        let rows = items("apps[*].roles[*]", text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[1].row, rows[1].line), (&NestedValue::Text("b".to_owned()), 3));
        assert_eq!(
            rows[1].parent.as_ref().unwrap().member("n"),
            Some(&NestedValue::Text("x".to_owned()))
        );
    }

    #[test]
    fn a_missing_list_names_the_keys_there() {
        let none = items("['a b'].c[*]", "{\"d\":1,\"e\":2}");
        let keys = vec!["d".to_owned(), "e".to_owned()];
        let path = "['a b'].c[*]".to_owned();
        assert_eq!(none, Err(ItemPathError::NoList(MissingList { path, keys, line: 1 })));
    }

    #[test]
    fn paths_end_in_each() {
        assert!(parse_items("[*]").is_ok() && parse_items("a.b[*]").is_ok());
        for wrong in ["", "a", ".a[*]", "a..b[*]", "a[*]b[*]", "a['x[*]", "a[0]"] {
            assert!(parse_items(wrong).is_err(), "{wrong}");
        }
    }
}
