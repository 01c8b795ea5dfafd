//! The reasons why a comparison does not hold, from the values of the property that it asks.

use super::suspicion::holds_for_nothing;
use super::{
    AnswerExplainer, AnswerNote, ComparisonLeaf, ConditionSample, ConditionSubject, NotesResult,
    leaves, test_of, words,
};
use crate::graph::{GraphRead, Value};
use crate::lang::closest;
use crate::query::CellValue;
use crate::query::date;
use crate::query::mismatch::RECENT;
use crate::query::resolved::*;
use crate::query::syntax::ComparisonOp;
use crate::query::version::ParsedVersion;
use std::collections::{BTreeMap, HashMap};

/// Properties that every object has or may have, whatever was uploaded.
pub(super) const SYSTEM: [&str; 17] = [
    "_id",
    "_key",
    "_scope",
    "_type",
    "_class",
    "_source",
    "_createdOn",
    "_beginOn",
    "_endOn",
    "_version",
    "_deleted",
    "_jobId",
    "_fromEntityKey",
    "_toEntityKey",
    "_fromEntityScope",
    "_toEntityScope",
    "displayName",
];
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
/// Most objects whose properties are looked through for a similar name.
pub(super) const NAMED: usize = 2000;

/// Statistics of the values of a property.
#[derive(Default)]
pub(super) struct ValueDistribution {
    /// The number of objects that have it.
    pub present: usize,
    /// Values by kind; each item of a list counts.
    pub families: BTreeMap<&'static str, usize>,
    /// Different values with their counts; at most [`DISTINCT`].
    values: HashMap<String, (Value<'static>, usize)>,
    many: bool,
    least: Option<CellValue>,
    greatest: Option<CellValue>,
    /// True if a text is the spelling of a number, or looks like a version.
    numbers_in_texts: bool,
    versions_in_texts: bool,
    /// The first and the last time among the values, and true if a text is a time.
    times: Option<(i64, i64)>,
    dates_in_texts: bool,
}

/// The reasons why a condition holds for nothing.
#[derive(Default)]
pub(super) struct ConditionReasons {
    /// Notes on parts that are wrong.
    pub doubts: Vec<AnswerNote>,
    /// A description of the values.
    pub told: Option<String>,
    /// Notes on parts that have no effect: they exclude nothing.
    pub idle: Vec<AnswerNote>,
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
    fn day_meant(&self, wanted: &[Value<'static>]) -> Option<String> {
        let only_numbers = self.families.len() == 1 && self.families.contains_key("number");
        let [wanted] = wanted else { return None };
        let text = wanted.as_str().map(str::to_owned).or_else(|| wanted.spelling())?;
        let (first, last) = self.times?;
        let times = [first, last, date::parse(&text)?];
        (only_numbers && times.iter().all(|time| RECENT.contains(time))).then_some(text)
    }

    /// Describes the values: the values themselves, or their range.
    fn describe_values(&self, name: &str, leaf: &ComparisonLeaf<'_>) -> String {
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

/// The properties that both sides of a comparison ask.
fn properties<'t>(leaf: &ComparisonLeaf<'t>) -> Vec<(PropertyOwner, &'t str)> {
    fn of_values<'t>(right: &'t PredicateOperand, found: &mut Vec<(PropertyOwner, &'t str)>) {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                all.iter().for_each(|one| of_values(one, found))
            }
            PredicateOperand::Term(ScalarExpr::Property(of, name)) => found.push((*of, name)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let ScalarExpr::Property(of, name) = leaf.left {
        found.push((*of, name.as_str()));
    }
    of_values(leaf.right, &mut found);
    found
}

impl<G: GraphRead> AnswerExplainer<'_, G> {
    /// The reasons why the comparisons of a condition hold for nothing of a sample: their mistakes, and a
    /// description of the values.
    pub(super) fn reasons(
        &mut self,
        test: &Predicate,
        sample: &ConditionSample,
        query: &ResolvedQuery,
    ) -> NotesResult<ConditionReasons, G> {
        let all = leaves(test);
        let ConditionReasons { mut doubts, mut told, mut idle } = ConditionReasons::default();
        for leaf in &all {
            if let PredicateOperand::Query(inner) = leaf.right
                && !leaf.negated
                && super::super::run::table_rows(&self.reader, inner)?.is_empty()
            {
                let text = format!("the query in brackets of `{}` finds nothing", leaf.said);
                doubts.push(AnswerNote { text, doubt: false });
                // The notes on the inner query are collected apart, to follow the doubt that they explain.
                let before = std::mem::take(&mut self.notes);
                self.empty(inner)?;
                doubts.append(&mut std::mem::replace(&mut self.notes, before));
                continue;
            }
            for (of, name) in properties(leaf) {
                let values = self.values(of, name, sample)?;
                let whose = self.whose(of, sample, query);
                let odd = match values.present {
                    0 => {
                        self.absent(of, name, &whose, sample)?.map(|text| text + &bare(leaf, name))
                    }
                    _ => never(leaf, name, &values),
                };
                match odd {
                    // A comparison that holds for all of them excludes none.
                    Some(text) if holds_for_nothing(leaf) => {
                        let text = format!("{text}; `{}` holds for all of them", leaf.words());
                        idle.push(AnswerNote { text, doubt: true });
                    }
                    Some(text) => doubts.push(AnswerNote { text, doubt: true }),
                    None if values.present > 0 => {
                        told = told.or_else(|| Some(values.describe_values(name, leaf)));
                    }
                    None => {}
                }
            }
            if let ScalarExpr::Column(at) = leaf.left {
                let mut values = ValueDistribution::default();
                for thing in &sample.things {
                    if let ConditionSubject::Columns(cells) = thing {
                        values.add(&cells[*at]);
                    }
                }
                let name = leaf.said.split(['=', '<', '>', '!', '~', '^', '$']).next();
                let name = name.unwrap_or_default().trim();
                // HAVING asks columns, whose values are in the rows themselves.
                told = told.or_else(|| Some(values.describe_values(name, leaf)));
            }
        }
        Ok(ConditionReasons { doubts, told, idle })
    }

    /// The values of a property in a sample.
    pub(super) fn values(
        &self,
        of: PropertyOwner,
        name: &str,
        sample: &ConditionSample,
    ) -> NotesResult<ValueDistribution, G> {
        let mut values = ValueDistribution::default();
        for thing in &sample.things {
            self.reader.work(1)?;
            values.add(&self.reader.property(of, name, &thing.sight())?);
        }
        Ok(values)
    }

    /// The name of the objects that have the property.
    fn whose(&self, of: PropertyOwner, sample: &ConditionSample, query: &ResolvedQuery) -> String {
        match of {
            PropertyOwner::Subject => sample.name.clone(),
            PropertyOwner::Entity(slot) => {
                test_of(query, slot).map_or_else(|| "*".to_owned(), words)
            }
            PropertyOwner::Relationship(_) => "relationship on the path".to_owned(),
        }
    }

    /// Words for a property that no object has, with a similar one that they have. `None` for a property
    /// of the system, which may be absent.
    pub(super) fn absent(
        &self,
        of: PropertyOwner,
        name: &str,
        whose: &str,
        sample: &ConditionSample,
    ) -> NotesResult<Option<String>, G> {
        if SYSTEM.contains(&name) {
            return Ok(None);
        }
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut seen = std::collections::HashSet::new();
        for thing in &sample.things {
            let whole = match self.reader.term(&ScalarExpr::Whole(of), &thing.sight())? {
                CellValue::Entity(number) if seen.insert(number) => CellValue::Entity(number),
                CellValue::Relationship(number) if seen.insert(number) => {
                    CellValue::Relationship(number)
                }
                _ => continue,
            };
            self.reader.work(1)?;
            let names: Vec<String> = match whole {
                CellValue::Entity(number) => self
                    .reader
                    .entity(number)?
                    .map(|entity| entity.properties.iter().map(|(name, _)| name.clone()).collect()),
                CellValue::Relationship(number) => self
                    .reader
                    .relationship(number)?
                    .map(|link| link.properties.iter().map(|(name, _)| name.clone()).collect()),
                _ => None,
            }
            .unwrap_or_default();
            for name in names {
                *known.entry(name).or_default() += 1;
            }
            if seen.len() >= NAMED {
                break;
            }
        }
        let none = if whose == "*" { "no entity".to_owned() } else { format!("no {whose}") };
        // Names of the system are candidates too: `_clas` means `_class`.
        let names = known.keys().map(String::as_str).chain(SYSTEM);
        if let Some(near) = closest(name, names).filter(|near| *near != name) {
            let on = match known.get(near) {
                Some(_) => {
                    let values = self.values(of, near, sample)?.present;
                    let least = if sample.whole { "" } else { "at least " };
                    format!("`{near}` is on {least}{values}")
                }
                None => format!("did you mean `{near}`?"),
            };
            return Ok(Some(format!("{none} has `{name}`; {on}")));
        }
        let mut all: Vec<(&String, &usize)> = known.iter().collect();
        all.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let some: Vec<String> = all.iter().take(8).map(|(name, _)| format!("`{name}`")).collect();
        let elsewhere = match self.reader.graph.may_have_property(name)? {
            true => "",
            false => ", and nothing else has",
        };
        Ok(Some(match some.is_empty() {
            true => format!("{none} has `{name}`{elsewhere}; they have no properties"),
            false => {
                let more = if all.len() > some.len() { ", ..." } else { "" };
                format!("{none} has `{name}`{elsewhere}; there are {}{more}", some.join(", "))
            }
        }))
    }
}

/// Words for a property that is never of a kind for which the comparison can hold; else `None`.
pub(super) fn never(
    leaf: &ComparisonLeaf<'_>,
    name: &str,
    values: &ValueDistribution,
) -> Option<String> {
    // Without any value there is no kind to compare with.
    if values.families.is_empty()
        || !matches!(leaf.left, ScalarExpr::Property(..) | ScalarExpr::Time(_))
    {
        return None;
    }
    let kind = compared_kind(leaf)?;
    let has = |family: &str| values.families.contains_key(family);
    let tag = name.starts_with("tag.");
    let spelled = literals(leaf.right).iter().any(|value| {
        let number = value.as_str().and_then(Value::number);
        let version = value.as_str().is_some_and(|text| ParsedVersion::parse(text).is_some());
        number.and_then(|number| number.spelling()).as_deref() == value.as_str()
            || leaf.op.orders() && version
    });
    let possible = match kind {
        "date" => values.times.is_some(),
        "pattern" => has("text"),
        _ if matches!(
            leaf.op,
            ComparisonOp::Contains | ComparisonOp::Begins | ComparisonOp::Ends
        ) =>
        {
            has("text") && kind == "text"
        }
        "boolean" => leaf.op == ComparisonOp::Equal && (has("boolean") || tag && has("text")),
        "number" => has("number") || values.numbers_in_texts || values.versions_in_texts,
        _ => has("text") || has("number") && spelled || tag && has("boolean"),
    };
    if possible {
        return None;
    }
    let all = match values.present {
        1 => "in the only one that has it".to_owned(),
        n => format!("in all {n}"),
    };
    let kinds = values.kinds();
    let with = match kind {
        "pattern" => "match it with a pattern".to_owned(),
        _ if matches!(
            leaf.op,
            ComparisonOp::Contains | ComparisonOp::Begins | ComparisonOp::Ends
        ) =>
        {
            "look for a part of it as if it were a text".to_owned()
        }
        _ if has("boolean") && leaf.op != ComparisonOp::Equal => {
            "ask which is less or greater".to_owned()
        }
        kind => format!("compare it with a {kind}"),
    };
    Some(format!("`{name}` is {kinds} {all}; you {with}{}", remedy(leaf, values)))
}

/// The kind of the value that a property is compared with; `None` if that is not fixed.
fn compared_kind(leaf: &ComparisonLeaf<'_>) -> Option<&'static str> {
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

/// Advice for a property that nothing has and that may be a text without quotes: `email = a@x.com`.
fn bare(leaf: &ComparisonLeaf<'_>, name: &str) -> String {
    match leaf.left {
        ScalarExpr::Property(_, left) if left == name => String::new(),
        _ => format!("; a text stands in quotes: {}", quoted(name)),
    }
}

/// Advice on another way to write the comparison; may be empty.
fn remedy(leaf: &ComparisonLeaf<'_>, values: &ValueDistribution) -> String {
    let only = |family: &str| values.families.len() == 1 && values.families.contains_key(family);
    let wanted: Vec<Value<'static>> = literals(leaf.right);
    let texts: Vec<&str> = wanted.iter().filter_map(Value::as_str).collect();
    let flag = |text: &&str| ["true", "false"].iter().any(|flag| text.eq_ignore_ascii_case(flag));
    if only("boolean") && !texts.is_empty() && texts.iter().all(flag) {
        let each: Vec<String> =
            texts.iter().map(|text| format!("`{}`", text.to_lowercase())).collect();
        return format!("; write {} without quotes", each.join(", "));
    }
    match wanted.as_slice() {
        [Value::Bool(flag)] if only("text") => {
            let known = values.values.values().filter_map(|(value, _)| value.as_str());
            let mut spelled = known.filter(|text| text.eq_ignore_ascii_case(&flag.to_string()));
            let write = |text| format!("; write {} in quotes", quoted(text));
            spelled.next().map_or_else(String::new, write)
        }
        [Value::Text(text)] if only("number") && date::parse(text).is_some() => {
            format!("; write `date({text})`")
        }
        [number] if only("text") && values.dates_in_texts && number.family() == "number" => {
            match date::epoch_of_value(number).filter(|time| RECENT.contains(time)) {
                Some(time) => format!("; write `date({})`", date::shown(time)),
                None => "; write `date(...)`".to_owned(),
            }
        }
        [number] if only("text") && number.family() == "number" => {
            "; write it in quotes".to_owned()
        }
        _ => String::new(),
    }
}
