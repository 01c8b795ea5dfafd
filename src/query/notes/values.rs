//! The reasons why a comparison does not hold, from the values of the property that it asks.

use super::distribution::{ValueDistribution, compared_kind, literals, quoted};
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
use std::collections::BTreeMap;

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
/// Most objects whose properties are looked through for a similar name.
pub(super) const NAMED: usize = 2000;

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
                && super::super::execute::inner_rows(&self.reader, inner)?.is_empty()
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

    /// The names of the properties that the objects of a sample have, with their counts.
    fn known_properties(
        &self,
        of: PropertyOwner,
        sample: &ConditionSample,
    ) -> NotesResult<BTreeMap<String, usize>, G> {
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
        Ok(known)
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
        let known = self.known_properties(of, sample)?;
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
