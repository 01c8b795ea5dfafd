//! Values that a query may not have taken as its author meant: compared with another kind, as a
//! version or as a number, or left out of a sum.
//!
//! They are collected while the query runs, so that none is missed, however many entities there are.

use super::cell;
use super::date;
use super::notes::AnswerNote;
use super::notes::literal;
use super::resolved::ScalarExpr;
use super::version::ParsedVersion;
use super::{CellValue, number::NumericValue};
use crate::graph::Value;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// Most comparisons, and most functions of properties, that are told apart.
const MOST: usize = 100;

/// Numbers are taken for times from 1990 to 2100.
pub(super) const RECENT: Range<i64> = 631_152_000_000..4_102_444_800_000;

/// The values met so far.
#[derive(Default)]
pub(super) struct MismatchLog {
    /// Values of the comparison at hand; in a box, since nearly all comparisons meet none.
    fresh: RefCell<Option<Box<MismatchSamples>>>,
    compared: RefCell<Vec<(Arc<str>, String, MismatchSamples)>>,
    /// Values that are no numbers, by the name of the property and the function that asks it.
    computed: RefCell<Vec<MismatchExample>>,
    /// A text beside numbers of which the least or greatest is asked for.
    mixed: RefCell<Vec<MismatchExample>>,
}

/// The name of a property, the function that asks it, and one value.
type MismatchExample = (String, &'static str, Value<'static>);

/// Examples of what one comparison met.
#[derive(Clone, Debug, Default)]
struct MismatchSamples {
    /// A value that does not compare at all, and the kind that it was compared with.
    apart: Option<(Value<'static>, &'static str)>,
    /// A text that compares as a version; compared as a number, the order would be the opposite.
    as_version: Option<Value<'static>>,
    /// A number that compares as a number; compared as a version, the order would be the opposite.
    as_number: Option<Value<'static>>,
    /// A time in epoch milliseconds that is compared with a year, and the year.
    year: Option<(i64, String)>,
    /// A version that is no number.
    version: Option<Value<'static>>,
    /// The number of the query, as it is written.
    written: Option<String>,
}

impl MismatchSamples {
    fn merge(&mut self, other: MismatchSamples) {
        self.apart = self.apart.take().or(other.apart);
        self.as_version = self.as_version.take().or(other.as_version);
        self.as_number = self.as_number.take().or(other.as_number);
        self.year = self.year.take().or(other.year);
        self.version = self.version.take().or(other.version);
        self.written = self.written.take().or(other.written);
    }
}

/// The order of a text to the spelling of a number, if both look like versions.
fn as_versions(number: &str, text: &str) -> Option<Ordering> {
    Some(ParsedVersion::parse(text)?.order(&ParsedVersion::parse(number)?))
}

fn fractional(value: &Value<'_>) -> bool {
    matches!(value, Value::Float(float) if float.fract() != 0.0)
}

impl MismatchLog {
    fn fresh(&self, change: impl FnOnce(&mut MismatchSamples)) {
        change(self.fresh.borrow_mut().get_or_insert_default());
    }

    /// Meets a value that is compared as less or greater than another one. `written` is the text of that
    /// other one, if it is a number of the query.
    pub fn ordered(&self, left: &Value<'static>, right: &Value<'static>, written: Option<&str>) {
        match (left, right) {
            (Value::Text(_), Value::Text(_)) | (Value::Null, _) | (_, Value::Null) => {}
            (Value::Text(text), number) if is_number(number) => {
                self.text_and_number(left, text, number, written);
            }
            (number, Value::Text(text)) if is_number(number) => {
                // A text such as `2024` beside a number of milliseconds is probably meant as a year.
                if let Some(time) =
                    date::epoch_of_value(number).filter(|time| RECENT.contains(time))
                    && text.len() == 4
                    && date::parse(text).is_some_and(|year| RECENT.contains(&year))
                {
                    self.fresh(|met| met.year = Some((time, text.to_string())));
                }
                if as_versions(&number.spelling().unwrap_or_default(), text).is_none()
                    && cell::spelled_number(text).is_none()
                {
                    self.fresh(|met| met.apart = Some((left.clone(), "text")));
                }
            }
            (a, b) if is_number(a) && is_number(b) => self.numbers(a, b, written),
            (left, right) => {
                self.fresh(|met| met.apart = Some((left.clone(), family(right))));
            }
        }
    }

    fn text_and_number(
        &self,
        left: &Value<'static>,
        text: &str,
        number: &Value<'static>,
        written: Option<&str>,
    ) {
        let own = number.spelling().unwrap_or_default();
        let written = written.unwrap_or(&own);
        let read = Value::number(text);
        let told = || written.to_owned();
        match (as_versions(written, text), &read) {
            // The text is a version and no number, so there is no other reading.
            (Some(_), None) => self.fresh(|met| {
                met.version = Some(left.clone());
                met.written = Some(told());
            }),
            (Some(order), Some(read)) => {
                if cell::compare_numbers(read, number).is_some_and(|other| other != order) {
                    self.fresh(|met| {
                        met.as_version = Some(left.clone());
                        met.written = Some(told());
                    });
                }
            }
            (None, _) if cell::spelled_number(text).is_none() => {
                self.fresh(|met| met.apart = Some((left.clone(), "number")));
            }
            (None, _) => {}
        }
    }

    /// Two numbers come out the same as versions unless both have a fraction.
    fn numbers(&self, left: &Value<'static>, right: &Value<'static>, written: Option<&str>) {
        if !fractional(left) || !(fractional(right) || written.is_some()) {
            return;
        }
        let own = right.spelling().unwrap_or_default();
        let written = written.unwrap_or(&own);
        let version = as_versions(written, &left.spelling().unwrap_or_default());
        if version.is_some() && version != cell::compare_numbers(left, right) {
            self.fresh(|met| {
                met.as_number = Some(left.clone());
                met.written = Some(written.to_owned());
            });
        }
    }

    /// Meets a value that is compared with a date.
    pub fn dated(&self, value: &Value<'static>) {
        if !matches!(value, Value::Null) && date::epoch_of_value(value).is_none() {
            self.fresh(|met| met.apart = Some((value.clone(), "date")));
        }
    }

    /// Ends a comparison, and books the values that it met under its text.
    pub fn settle(&self, asked: &ScalarExpr, said: &Arc<str>) {
        let Some(met) = self.fresh.take() else { return };
        let mut all = self.compared.borrow_mut();
        // All tests of one comparison share its text, so the address tells comparisons apart.
        match all.iter().position(|(known, ..)| Arc::ptr_eq(known, said)) {
            Some(at) => all[at].2.merge(*met),
            None if all.len() < MOST => all.push((Arc::clone(said), name(asked, said), *met)),
            None => {}
        }
    }

    /// Meets a value that something is computed of.
    pub fn computed(&self, term: &ScalarExpr, cell: &CellValue, what: &'static str) {
        // A note names a property; other terms have no name to speak of.
        let (Some(value), ScalarExpr::Property(_, name)) = (cell.value(), term) else { return };
        if NumericValue::of(cell).is_some() {
            return;
        }
        let mut all = self.computed.borrow_mut();
        let known = all.iter().any(|(known, by, _)| known == name && *by == what);
        if !known && all.len() < MOST {
            all.push((name.clone(), what, value.clone()));
        }
    }

    /// Meets numbers and texts of which the least or greatest is asked for.
    pub fn mixed(&self, term: &ScalarExpr, one: &CellValue, other: &CellValue, what: &'static str) {
        let (Some(a), Some(b), ScalarExpr::Property(_, name)) = (one.value(), other.value(), term)
        else {
            return;
        };
        let (number, text) = if is_number(a) { (a, b) } else { (b, a) };
        let mut all = self.mixed.borrow_mut();
        let known = all.iter().any(|(known, by, _)| known == name && *by == what);
        if is_number(number) && text.as_str().is_some() && !known && all.len() < MOST {
            all.push((name.clone(), what, text.clone()));
        }
    }

    /// All of it as notes.
    pub fn notes(&self) -> Vec<AnswerNote> {
        let mut texts = Vec::new();
        for (said, name, met) in self.compared.borrow().iter() {
            describe_mismatches(said, name, met, &mut texts);
        }
        for (name, what, value) in self.computed.borrow().iter() {
            let (kind, such) = (family(value), literal(value));
            texts.push(match *what {
                "" => format!(
                    "`{name}` holds {kind}s such as {such} that are no numbers; nothing is computed of them"
                ),
                what => format!(
                    "`{name}` holds {kind}s such as {such} that are no numbers; `{what}` leaves them out"
                ),
            });
        }
        for (name, what, text) in self.mixed.borrow().iter() {
            texts.push(format!(
                "`{name}` holds numbers beside texts such as {}; `{what}` takes any text for greater \
                 than any number",
                literal(text)
            ));
        }
        texts.dedup();
        texts.into_iter().map(|text| AnswerNote { text, doubt: true }).collect()
    }
}

/// Describes the values that one comparison met.
fn describe_mismatches(said: &str, name: &str, met: &MismatchSamples, texts: &mut Vec<String>) {
    let said = super::notes::shortened(said);
    let written = met.written.as_deref().unwrap_or_default();
    if let Some((value, kind)) = &met.apart {
        let (own, such) = (family(value), literal(value));
        texts.push(format!(
            "`{name}` holds {own}s such as {such} that do not compare with a {kind}; `{said}` does \
             not hold for them"
        ));
    }
    if let Some((time, year)) = &met.year {
        texts.push(format!(
            "`{name}` holds numbers that are times, such as {}; `{said}` compares them with the number \
             {year}: write `date({year})`",
            date::shown(*time)
        ));
    }
    if let (Some(number), Some(version)) = (&met.as_number, &met.version) {
        let quoted = match said.strip_suffix(written) {
            Some(before) => format!("`{before}'{written}'`"),
            None => format!("'{written}'"),
        };
        texts.push(format!(
            "`{name}` holds numbers such as {number} beside versions such as {}; write {quoted} to \
             compare all of them as versions",
            literal(version)
        ));
    }
    // Beside a version that can be nothing else, the others are versions as well.
    if let (Some(text), None) = (&met.as_version, &met.version) {
        texts.push(format!(
            "`{name}` holds texts such as {}, which `{said}` compares as versions; as numbers the \
             order is another: load it as a number if it is one",
            literal(text)
        ));
    }
}

fn is_number(value: &Value<'_>) -> bool {
    value.family() == "number"
}

fn family(value: &Value<'_>) -> &'static str {
    match value.family() {
        "string" => "text",
        other => other,
    }
}

/// The name of the left side of a comparison.
fn name(asked: &ScalarExpr, said: &str) -> String {
    match asked {
        ScalarExpr::Property(_, name) => name.clone(),
        _ => {
            let end = said.find(['=', '<', '>', '!', '~', '^', '$']).unwrap_or(said.len());
            said[..end].trim().to_owned()
        }
    }
}
