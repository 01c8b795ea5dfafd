//! The values of a property, counted and described for a note.

use super::ComparisonLeaf;
use crate::graph::Value;
use crate::lang::closest;
use crate::query::CellValue;
use crate::query::date;
use crate::query::mismatch::RECENT;
use crate::query::resolved::{PredicateOperand, ScalarExpr};
use crate::query::syntax::ComparisonOp;
use crate::query::version::ParsedVersion;
use std::collections::{BTreeMap, HashMap};

/// Most different values that are counted.
const DISTINCT: usize = 1000;
/// Most values that a note lists.
const TOLD: usize = 6;
/// Most characters of a value in a note.
const LONG: usize = 60;
/// Most characters of a text that are kept: a question may meet thousands of long texts.
const KEPT: usize = 1 << 10;
/// Most values of a list in the query for which a similar value is looked for.
const WANTED: usize = 20;

/// Statistics of the values of a property.
#[derive(Default)]
pub(super) struct ValueDistribution {
    /// The number of objects that have it.
    pub present: usize,
    /// Values by kind; each item of a list counts.
    pub families: BTreeMap<&'static str, usize>,
    /// Different values with their counts; at most [`DISTINCT`].
    pub values: HashMap<String, (Value<'static>, usize)>,
    many: bool,
    least: Option<CellValue>,
    greatest: Option<CellValue>,
    /// True if a text is the spelling of a number, or looks like a version.
    pub numbers_in_texts: bool,
    pub versions_in_texts: bool,
    /// The first and the last time among the values, and true if a text is a time.
    pub times: Option<(i64, i64)>,
    pub dates_in_texts: bool,
}

impl ValueDistribution {
    pub fn add(&mut self, cell: &CellValue) {
        let Some(value) = cell.value() else { return };
        self.present += 1;
        let items = match value {
            Value::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items.iter().filter(|item| !matches!(item, Value::Null)) {
            *self.families.entry(family(item)).or_default() += 1;
            if let Value::Text(text) = item {
                let number = Value::number(text).and_then(|number| number.spelling());
                self.numbers_in_texts |= number.as_deref() == Some(text);
                self.versions_in_texts |= ParsedVersion::parse(text).is_some();
            }
            if let Some(time) = date::epoch_of_value(item) {
                let (first, last) = self.times.unwrap_or((time, time));
                self.times = Some((first.min(time), last.max(time)));
                self.dates_in_texts |= item.as_str().is_some();
            }
            // Kinds and times were taken from the whole text above; only its beginning is kept.
            let item = &beginning(item);
            let cell = CellValue::Value(item.clone());
            let extreme = |known: &Option<CellValue>, order| {
                known.as_ref().is_none_or(|known| cell.order(known) == order)
            };
            if extreme(&self.least, std::cmp::Ordering::Less) {
                self.least = Some(cell.clone());
            }
            if extreme(&self.greatest, std::cmp::Ordering::Greater) {
                self.greatest = Some(cell.clone());
            }
            let room = self.values.len() < DISTINCT;
            match self.values.get_mut(&item.to_string()) {
                Some((_, count)) => *count += 1,
                None if room => {
                    self.values.insert(item.to_string(), (item.clone(), 1));
                }
                None => self.many = true,
            }
        }
    }

    /// `a boolean`, `a text or a number`.
    pub fn kinds(&self) -> String {
        self.families.keys().map(|family| format!("a {family}")).collect::<Vec<_>>().join(" or ")
    }

    /// The year or date, as text or number, that a comparison probably means where times are numbers.
    pub fn day_meant(&self, wanted: &[Value<'static>]) -> Option<String> {
        let only_numbers = self.families.len() == 1 && self.families.contains_key("number");
        let [wanted] = wanted else { return None };
        let text = wanted.as_str().map(str::to_owned).or_else(|| wanted.spelling())?;
        let (first, last) = self.times?;
        let times = [first, last, date::parse(&text)?];
        (only_numbers && times.iter().all(|time| RECENT.contains(time))).then_some(text)
    }

    /// Describes the values: the values themselves, or their range.
    pub fn describe_values(&self, name: &str, leaf: &ComparisonLeaf<'_>) -> String {
        let wanted = literals(leaf.right);
        if compared_kind(leaf) == Some("date")
            && let Some((first, last)) = self.times
        {
            let (first, last) = (date::shown(first), date::shown(last));
            return match first == last {
                true => format!("`{name}` is {first} where it is a date"),
                false => format!("`{name}` goes from {first} to {last}"),
            };
        }
        if let Some(day) = self.day_meant(&wanted) {
            let (first, last) = self.times.unwrap_or_default();
            let (first, last) = (date::shown(first), date::shown(last));
            return format!(
                "`{name}` is a number: as a time it goes from {first} to {last}; write `date({day})`"
            );
        }
        if leaf.op.orders()
            && let (Some(least), Some(greatest)) = (&self.least, &self.greatest)
        {
            let (least, greatest) = (cell_text(least), cell_text(greatest));
            return match least == greatest {
                true if self.present == 1 => format!("`{name}` is {least}"),
                true => format!("`{name}` is {least} in all {}", self.present),
                false => format!("`{name}` goes from {least} to {greatest}"),
            };
        }
        let mut all: Vec<&(Value<'static>, usize)> = self.values.values().collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.to_string().cmp(&b.0.to_string())));
        let each = |few: usize| {
            let each = all.iter().take(few).map(|(value, n)| format!("{} ({n})", literal(value)));
            each.collect::<Vec<_>>().join(", ")
        };
        if all.is_empty() {
            return format!("`{name}` is an empty list wherever it is there");
        }
        let texts = || all.iter().filter_map(|(value, _)| value.as_str());
        // Comparing names is slow for long lists, so only the first values are looked up.
        let near = wanted.iter().take(WANTED).find_map(|wanted| match wanted {
            Value::Text(wanted) => closest(wanted, texts().filter(|known| known != wanted))
                .or_else(|| with_parts(wanted, texts())),
            number => texts().find(|text| {
                Value::number(text).is_some_and(|known| known.spelling() == number.spelling())
            }),
        });
        match near.filter(|_| leaf.op == ComparisonOp::Equal) {
            Some(near) => format!("did you mean {}? `{name}` is {}", quoted(near), each(TOLD)),
            None if all.len() <= TOLD => format!("`{name}` is {}", each(TOLD)),
            None => {
                let more = if self.many { "more than " } else { "" };
                format!("`{name}` has {more}{} values, such as {}", all.len(), each(3))
            }
        }
    }
}

fn family(value: &Value<'_>) -> &'static str {
    match value.family() {
        "string" => "text",
        other => other,
    }
}

/// A value, or the beginning of a long text.
fn beginning(value: &Value<'static>) -> Value<'static> {
    match value {
        Value::Text(text) if text.len() > KEPT => {
            Value::Text(text.chars().take(KEPT).collect::<String>().into())
        }
        value => value.clone(),
    }
}

/// The shortest text that has all words of `wanted` in the same order: `eu-west-1` for `eu-1`.
fn with_parts<'t>(wanted: &str, texts: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    let parts = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let wanted = parts(wanted);
    let fits = |text: &&str| {
        let own = parts(text);
        let mut left = own.iter();
        own.len() > wanted.len() && wanted.iter().all(|word| left.any(|own| own == word))
    };
    texts.filter(|_| wanted.len() > 1).filter(fits).min_by_key(|text| (text.len(), *text))
}

pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(LONG).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("'{short}{dots}'")
}

/// A value as it is written in a query.
pub(in crate::query) fn literal(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => quoted(text),
        other => other.to_string(),
    }
}

fn cell_text(cell: &CellValue) -> String {
    cell.value().map_or_else(String::new, literal)
}

/// The fixed values on the right side of a comparison.
pub(super) fn literals(right: &PredicateOperand) -> Vec<Value<'static>> {
    match right {
        PredicateOperand::Or(all) | PredicateOperand::And(all) => {
            all.iter().flat_map(literals).collect()
        }
        PredicateOperand::Term(ScalarExpr::Value(value) | ScalarExpr::Written(value, _)) => {
            vec![value.clone()]
        }
        _ => Vec::new(),
    }
}

/// The kind of the value that a property is compared with; `None` if that is not fixed.
pub(super) fn compared_kind(leaf: &ComparisonLeaf<'_>) -> Option<&'static str> {
    fn kind(right: &PredicateOperand) -> Option<&'static str> {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                let first = all.first().and_then(kind)?;
                all.iter().all(|one| kind(one) == Some(first)).then_some(first)
            }
            PredicateOperand::Pattern(_) => Some("pattern"),
            PredicateOperand::Term(ScalarExpr::Time(_)) => Some("date"),
            PredicateOperand::Term(ScalarExpr::Value(value) | ScalarExpr::Written(value, _)) => {
                Some(family(value))
            }
            PredicateOperand::Term(_) | PredicateOperand::Query(_) => None,
        }
    }
    match leaf.left {
        ScalarExpr::Time(_) => Some("date"),
        _ => kind(leaf.right),
    }
}
