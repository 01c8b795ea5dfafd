//! The mapping as written: TOML values with the bytes they stand on.
//!
//! Shapes are checked beforehand, all at once, by [`super::format`]; so reading here is lenient: a
//! value of the wrong kind reads as absent, since its fault is reported already.

use crate::graph::Value;
use crate::lang::toml_number;
use crate::lang::{Diagnostic, SourceText};
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A string of the file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::mapping) struct SpannedText {
    pub value: String,
    /// With its quotes.
    pub span: Range<usize>,
    /// The byte where the value itself begins, if the file has it exactly so, without escapes.
    pub inner: Option<usize>,
}

impl SpannedText {
    pub(in crate::mapping) fn new(
        source: &SourceText,
        value: &str,
        span: Range<usize>,
    ) -> SpannedText {
        let raw = source.text.get(span.clone()).unwrap_or_default();
        let multiline = raw.starts_with("\"\"\"") || raw.starts_with("'''");
        // TOML drops a line break right after the opening quotes.
        let skipped = match multiline {
            true => 3 + raw[3..].len() - raw[3..].trim_start_matches(['\r', '\n']).len(),
            false => 1,
        };
        let exact = raw.get(skipped..).is_some_and(|r| r.starts_with(value));
        SpannedText { value: value.to_owned(), inner: exact.then_some(span.start + skipped), span }
    }

    /// The place of a part of the value in the file: the whole string if it has escapes.
    pub(in crate::mapping) fn place(&self, part: &Range<usize>) -> Range<usize> {
        self.inner.map_or(self.span.clone(), |i| i + part.start..i + part.end)
    }
}

/// A table that is being read.
#[derive(Clone)]
pub(in crate::mapping) struct TomlTable<'a> {
    pub span: Range<usize>,
    pub table: &'a DeTable<'a>,
    pub source: &'a Arc<SourceText>,
}

impl<'a> TomlTable<'a> {
    /// The value of a key.
    pub(in crate::mapping) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, value)| value)
    }

    /// True if a key is there, whatever its value.
    pub(in crate::mapping) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A string that stands in `value`.
    pub(in crate::mapping) fn as_text(&self, value: &Spanned<DeValue<'_>>) -> Option<SpannedText> {
        Some(SpannedText::new(self.source, value.get_ref().as_str()?, value.span()))
    }

    /// The string of a key.
    pub(in crate::mapping) fn text(&self, key: &str) -> Option<SpannedText> {
        self.as_text(self.get(key)?)
    }

    /// The value of a string key.
    pub(in crate::mapping) fn plain(&self, key: &str) -> Option<String> {
        Some(self.get(key)?.get_ref().as_str()?.to_owned())
    }

    /// The string or strings of a key.
    pub(in crate::mapping) fn texts(&self, key: &str) -> Vec<SpannedText> {
        match self.get(key).map(|v| (v, v.get_ref())) {
            Some((_, DeValue::Array(items))) => {
                items.iter().filter_map(|item| self.as_text(item)).collect()
            }
            Some((value, _)) => self.as_text(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The boolean of a key.
    pub(in crate::mapping) fn boolean(&self, key: &str) -> Option<bool> {
        self.get(key)?.get_ref().as_bool()
    }

    /// The number of a key.
    pub(in crate::mapping) fn number(&self, key: &str) -> Option<Value<'static>> {
        toml_number(self.get(key)?.get_ref())
    }

    /// The whole number of a key.
    pub(in crate::mapping) fn whole(&self, key: &str) -> Option<u64> {
        match self.number(key)? {
            Value::Int(i) => u64::try_from(i).ok(),
            Value::UInt(u) => Some(u),
            _ => None,
        }
    }

    /// The table of a key.
    pub(in crate::mapping) fn table(&self, key: &str) -> Option<TomlTable<'a>> {
        self.as_table(self.get(key)?)
    }

    /// A table that stands in `value`.
    pub(in crate::mapping) fn as_table(
        &self,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Option<TomlTable<'a>> {
        let table = value.get_ref().as_table()?;
        Some(TomlTable { span: value.span(), table, source: self.source })
    }

    /// The tables of a key.
    pub(in crate::mapping) fn tables(&self, key: &str) -> Vec<TomlTable<'a>> {
        let items = self.get(key).and_then(|v| v.get_ref().as_array());
        items.into_iter().flat_map(|i| i.iter()).filter_map(|i| self.as_table(i)).collect()
    }

    /// The table of a key, or its tables.
    pub(in crate::mapping) fn one_or_tables(&self, key: &str) -> Vec<TomlTable<'a>> {
        match self.table(key) {
            Some(table) => vec![table],
            None => self.tables(key),
        }
    }

    /// Names and values, in the order written.
    pub(in crate::mapping) fn entries(
        &self,
    ) -> impl Iterator<Item = (SpannedText, &'a Spanned<DeValue<'a>>)> + use<'a> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                (SpannedText { value: name, span: key.span(), inner: None }, value)
            })
            .collect();
        // The parser does not keep the order of the file, which faults should follow.
        entries.sort_by_key(|(name, _)| name.span.start);
        entries.into_iter()
    }
}

/// A fault of the TOML parser.
pub(in crate::mapping) fn toml_fault(
    source: &Arc<SourceText>,
    error: &toml::de::Error,
) -> Diagnostic {
    let message = error.message().replace('\n', ", ");
    Diagnostic::error("M0101", source, message).at(error.span().unwrap_or(0..0), "")
}

/// A value of the wrong kind.
pub(in crate::mapping) fn wrong_kind(
    source: &Arc<SourceText>,
    expected: &str,
    value: &Spanned<DeValue<'_>>,
) -> Diagnostic {
    let kind = value.get_ref().type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    let message = format!("expected {expected}, found {article} {kind}");
    Diagnostic::error("M0104", source, message).at(value.span(), "")
}
