//! The properties of an item: named ones, those of a spread map, and the rest that no property can
//! hold, which becomes raw data. Nothing is copied that can be borrowed from the row.

use super::model::PropertyRule;
use super::values::SourceNames;
use crate::graph::Value;
use crate::lang::{ExprValue, NestedValue, eval_nested, render_nested};
use crate::mapping::expression::{MappingExprKind, PathRoot};
use crate::mapping::model::PropertyAssignment;
use crate::mapping::resolve::ExprEnvironment;
use crate::mapping::rows::{FrameContent, RowFrame};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// The properties of one item.
#[derive(Clone, Debug, Default)]
pub(super) struct MadeProperties<'r> {
    /// Numbers of names with their values; each name once. Null stands for one that must stay undefined.
    pub values: Vec<(u32, Value<'r>)>,
    /// What no property can hold, by name.
    pub rest: Vec<(String, Cow<'r, NestedValue>)>,
}

/// What becomes of a value with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameUse {
    /// The number of the property.
    Property(u32),
    /// No property may have the name, so the value is raw data.
    Leave,
    /// `except` leaves it out.
    Excepted,
}

impl NameUse {
    /// The use of a name in a rule with these exceptions.
    pub(super) fn of(name: &str, except: &[String], names: &SourceNames) -> NameUse {
        // An exception names a property, or a map that it is in.
        let excepted = except.iter().any(|except| {
            let rest = name.strip_prefix(except.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        match excepted {
            true => NameUse::Excepted,
            false => names.property(name).map_or(NameUse::Leave, NameUse::Property),
        }
    }
}

/// The uses of names that one rule has met. Rows mostly have the same names in the same order, so a guess
/// saves a search.
#[derive(Debug, Default)]
pub(super) struct NameUses {
    uses: Vec<(Box<str>, NameUse)>,
    by_name: FxHashMap<Box<str>, usize>,
    guesses: Vec<usize>,
    next: usize,
    /// The columns of cells, in order.
    columns: Option<Vec<(usize, usize)>>,
}

impl NameUses {
    fn of(&mut self, name: &str, except: &[String], names: &SourceNames) -> usize {
        let position = self.next;
        self.next += 1;
        if let Some(&guess) = self.guesses.get(position)
            && *self.uses[guess].0 == *name
        {
            return guess;
        }
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => {
                let at = self.uses.len();
                self.uses.push((name.into(), NameUse::of(name, except, names)));
                self.by_name.insert(name.into(), at);
                at
            }
        };
        match self.guesses.get_mut(position) {
            Some(guess) => *guess = at,
            None => self.guesses.push(at),
        }
        at
    }
}

/// The properties that the item at hand has already, by their numbers.
#[derive(Debug, Default)]
pub(super) struct SeenProperties {
    seen: Vec<u32>,
    item: u32,
}

impl SeenProperties {
    fn begin(&mut self) {
        self.item = self.item.wrapping_add(1);
        if self.item == 0 {
            self.seen.clear();
            self.item = 1;
        }
    }

    /// Marks a property; false if the item had it before.
    fn mark(&mut self, number: u32) -> bool {
        let at = number as usize;
        if at >= self.seen.len() {
            self.seen.resize(at + 1, 0);
        }
        std::mem::replace(&mut self.seen[at], self.item) != self.item
    }
}

/// What makes the properties of one item.
pub(super) struct PropertyMaker<'m, 'r> {
    pub names: &'m SourceNames,
    pub except: &'m [String],
    /// For each rule what becomes of the name that it says.
    pub uses: &'m [NameUse],
    /// The names that spread maps have.
    pub spread: &'m mut NameUses,
    pub seen: &'m mut SeenProperties,
    /// For each rule whether it has given a value, so that a rule that never does can be told.
    pub defined: &'m mut [bool],
    pub made: MadeProperties<'r>,
}

impl<'r> PropertyMaker<'_, 'r> {
    /// Works out the rules for an item. What comes first wins: names come before spreads.
    pub(super) fn make(
        mut self,
        rules: &'r [PropertyRule],
        env: &ExprEnvironment<'r>,
        row: &RowFrame<'r>,
    ) -> MadeProperties<'r> {
        self.made.values.reserve(rules.len() + self.spread.guesses.len());
        self.spread.next = 0;
        self.seen.begin();
        for (at, rule) in rules.iter().enumerate() {
            let value = match rule {
                PropertyRule::Assign(_, PropertyAssignment::Literal(value)) => {
                    Some(ExprValue::Plain(value.borrowed()))
                }
                PropertyRule::Assign(_, PropertyAssignment::Template(template)) => {
                    render_nested(template, env).ok()
                }
                PropertyRule::Path(_, expr) => eval_nested(expr, env),
                PropertyRule::Spread(expr) => {
                    self.defined[at] |= match (&expr.kind, row.content) {
                        (
                            MappingExprKind::Path(PathRoot::Row, steps),
                            FrameContent::Cells(cells, columns),
                        ) if steps.is_empty() => {
                            self.spread_cells(cells, columns);
                            true
                        }
                        _ => self.spread_value(eval_nested(expr, env)),
                    };
                    continue;
                }
            };
            let (PropertyRule::Assign(name, _) | PropertyRule::Path(name, _)) = rule else {
                continue;
            };
            match value {
                Some(value) => {
                    self.defined[at] = true;
                    self.put_named(name, self.uses[at], value);
                }
                None => {
                    // A name that the file says must not get the value that the row has for it: a
                    // serial number that is filler stays undefined.
                    if let (PropertyRule::Assign(..), NameUse::Property(number)) =
                        (rule, self.uses[at])
                        && self.seen.mark(number)
                    {
                        self.made.values.push((number, Value::Null));
                    }
                }
            }
        }
        self.made
    }

    fn put_named(&mut self, name: &str, used: NameUse, value: ExprValue<'r>) {
        match value {
            ExprValue::Plain(value) => self.put(name, used, value),
            ExprValue::Nested(Cow::Borrowed(data)) => {
                self.put_nested(&mut name.to_owned(), used, data, &|data| Cow::Borrowed(data));
            }
            ExprValue::Nested(Cow::Owned(data)) => {
                self.put_nested(&mut name.to_owned(), used, &data, &|data| {
                    Cow::Owned(data.clone())
                });
            }
        }
    }

    /// Spreads the value of an expression; false if it has none.
    fn spread_value(&mut self, value: Option<ExprValue<'r>>) -> bool {
        let mut path = String::new();
        match &value {
            Some(ExprValue::Nested(Cow::Borrowed(data))) => {
                self.spread(&mut path, data, &|data| Cow::Borrowed(data));
            }
            Some(ExprValue::Nested(Cow::Owned(data))) => {
                self.spread(&mut path, data, &|data| Cow::Owned(data.clone()));
            }
            _ => {}
        }
        value.is_some()
    }

    fn spread_cells(
        &mut self,
        cells: &'r csv::StringRecord,
        columns: &'r crate::mapping::rows::ColumnPositions,
    ) {
        // All rows of a batch have the same columns.
        let order = self.spread.columns.take().unwrap_or_else(|| {
            let mut names: Vec<(&String, &usize)> = columns.iter().collect();
            names.sort_by_key(|(_, at)| **at);
            let used = |(name, at): (&String, &usize)| {
                (*at, self.spread.of(name, self.except, self.names))
            };
            names.into_iter().map(used).collect()
        });
        for (position, used) in &order {
            let Some(cell) = cells.get(*position).filter(|cell| !cell.is_empty()) else { continue };
            let value = Value::Text(Cow::Borrowed(cell));
            match self.spread.uses[*used].1 {
                NameUse::Leave => {
                    let name = self.spread.uses[*used].0.to_string();
                    self.put(&name, NameUse::Leave, value);
                }
                plain => self.put("", plain, value),
            }
        }
        self.spread.columns = Some(order);
    }

    /// Each member of a map; those of maps inside it with dots. `keep` makes values of data: borrowed, or
    /// copied from what is gone soon.
    fn spread<'d>(
        &mut self,
        path: &mut String,
        data: &'d NestedValue,
        keep: &dyn Fn(&'d NestedValue) -> Cow<'r, NestedValue>,
    ) {
        let NestedValue::Object(object) = data else { return };
        let len = path.len();
        for (name, value) in &object.members {
            // Such names are metadata of whoever wrote the row, never properties.
            if name.starts_with('_') {
                continue;
            }
            if len > 0 {
                path.push('.');
            }
            path.push_str(name);
            match value {
                NestedValue::Object(_) => self.spread(path, value, keep),
                NestedValue::Null => {}
                value => {
                    let used = self.spread.of(path, self.except, self.names);
                    let used = self.spread.uses[used].1;
                    self.put_nested(path, used, value, keep);
                }
            }
            path.truncate(len);
        }
    }

    fn put_nested<'d>(
        &mut self,
        path: &mut String,
        used: NameUse,
        data: &'d NestedValue,
        keep: &dyn Fn(&'d NestedValue) -> Cow<'r, NestedValue>,
    ) {
        if let NestedValue::Object(_) = data {
            return self.spread(path, data, keep);
        }
        match keep(data) {
            Cow::Borrowed(data) => match ExprValue::of(data) {
                Some(ExprValue::Plain(value)) => self.put(path, used, value),
                Some(ExprValue::Nested(data)) => self.leave(path, used, data),
                None => {}
            },
            Cow::Owned(data) => match ExprValue::owning(data) {
                Some(ExprValue::Plain(value)) => self.put(path, used, value),
                Some(ExprValue::Nested(data)) => self.leave(path, used, data),
                None => {}
            },
        }
    }

    fn put(&mut self, name: &str, used: NameUse, value: Value<'r>) {
        // A list in the graph has items of one kind.
        let mixed = match &value {
            Value::List(items) => items.windows(2).any(|pair| !pair[0].same_family(&pair[1])),
            _ => false,
        };
        match used {
            NameUse::Excepted => {}
            NameUse::Property(number) if !mixed => {
                if self.seen.mark(number) {
                    self.made.values.push((number, value));
                }
            }
            _ => {
                let data = NestedValue::from_value(value.into_owned());
                self.leave(name, used, Cow::Owned(data));
            }
        }
    }

    fn leave(&mut self, name: &str, used: NameUse, data: Cow<'r, NestedValue>) {
        let known = self.made.rest.iter().any(|(known, _)| known == name);
        if used != NameUse::Excepted && !known {
            self.made.rest.push((name.to_owned(), data));
        }
    }
}
