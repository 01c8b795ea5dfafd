//! The mapping as written: TOML values with the bytes they stand on.
//!
//! Reading goes on after a fault, so that one run reports every unknown key and every value of the
//! wrong kind. What is written wrongly is told apart from what is absent ([`Field`]), so that one
//! fault does not bring a second one about a missing key.

use crate::lang::{Fault, Source, closest};
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value of a key, if it could be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<T> {
    Absent,
    /// Given, but faulty; the fault is reported.
    Wrong,
    Given(T),
}

impl<T> Field<T> {
    pub(super) fn given(self) -> Option<T> {
        match self {
            Field::Given(value) => Some(value),
            Field::Absent | Field::Wrong => None,
        }
    }
}

/// A string of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub value: String,
    /// With its quotes.
    pub span: Range<usize>,
    /// Where the value itself begins, if it stands in the file exactly so, without escapes.
    pub inner: Option<usize>,
}

impl Text {
    pub(super) fn new(source: &Source, value: &str, span: Range<usize>) -> Text {
        let raw = source.text.get(span.clone()).unwrap_or_default();
        let multiline = raw.starts_with("\"\"\"") || raw.starts_with("'''");
        let skipped = match multiline {
            true => 3 + raw[3..].len() - raw[3..].trim_start_matches(['\r', '\n']).len(),
            false => 1,
        };
        let exact = raw.get(skipped..).is_some_and(|r| r.starts_with(value));
        Text { value: value.to_owned(), inner: exact.then_some(span.start + skipped), span }
    }

    /// The place of a part of the value in the file: the whole string if it has escapes.
    pub(super) fn place(&self, part: &Range<usize>) -> Range<usize> {
        self.inner.map_or(self.span.clone(), |i| i + part.start..i + part.end)
    }
}

/// A table that is being read.
pub(super) struct Table<'a, 'i> {
    /// `rows`, `from`, ...; empty for the top level.
    pub name: &'static str,
    pub span: Range<usize>,
    pub table: &'a DeTable<'i>,
    pub source: &'a Arc<Source>,
}

impl<'a, 'i> Table<'a, 'i> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, value)| value)
    }

    /// The string of a key.
    pub(super) fn text(&self, key: &str, faults: &mut Vec<Fault>) -> Field<Text> {
        self.read(key, "a string", faults, |value| {
            let text = value.get_ref().as_str()?;
            Some(Text::new(self.source, text, value.span()))
        })
    }

    /// The value of a key as `take` reads it; `expected` names its kind.
    pub(super) fn read<T>(
        &self,
        key: &str,
        expected: &str,
        faults: &mut Vec<Fault>,
        take: impl FnOnce(&'a Spanned<DeValue<'i>>) -> Option<T>,
    ) -> Field<T> {
        let Some(value) = self.get(key) else { return Field::Absent };
        match take(value) {
            Some(taken) => Field::Given(taken),
            None => {
                faults.push(wrong_kind(self.source, expected, value));
                Field::Wrong
            }
        }
    }

    /// Reports each key that is neither in `allowed` nor known; keys in `later` belong to the full
    /// format and are refused by name rather than ignored.
    pub(super) fn refuse_unknown(&self, allowed: &[&str], later: &[&str], faults: &mut Vec<Fault>) {
        let place = match self.name {
            "" => "at the top level".to_owned(),
            name => format!("in `[{name}]`"),
        };
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if allowed.contains(&name) {
                continue;
            }
            let message = format!("unknown key `{name}` {place}");
            let fault = Fault::error("M0102", self.source, message);
            let all = format!("keys allowed here: {}", allowed.join(", "));
            let similar = closest(name, allowed.iter().copied());
            faults.push(if later.contains(&name) {
                fault.at(key.span(), "not supported by this version").help(all)
            } else if let Some(similar) = similar {
                let fault = fault.at(key.span(), "not a key of this table").help(all);
                fault.patch(format!("did you mean `{similar}`?"), key.span(), similar)
            } else {
                fault.at(key.span(), "not a key of this table").help(all)
            });
        }
    }
}

/// TOML's own fault.
pub(super) fn toml_fault(source: &Arc<Source>, error: &toml::de::Error) -> Fault {
    let message = error.message().replace('\n', ", ");
    Fault::error("M0101", source, message).at(error.span().unwrap_or(0..0), "")
}

/// A value of the wrong kind.
pub(super) fn wrong_kind(
    source: &Arc<Source>,
    expected: &str,
    value: &Spanned<DeValue<'_>>,
) -> Fault {
    let kind = value.get_ref().type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    let message = format!("expected {expected}, found {article} {kind}");
    Fault::error("M0104", source, message).at(value.span(), "")
}
