//! The properties of an item: named ones, those of a spread map, and the rest that no property can
//! hold, which becomes raw data.

use super::model::PropertyRule;
use super::values::PropertyNames;
use crate::graph::Value;
use crate::lang::{ExprValue, NestedValue, eval_nested, render_nested};
use crate::mapping::expression::{MappingExprKind, PathRoot};
use crate::mapping::model::PropertyAssignment;
use crate::mapping::resolve::ExprEnvironment;
use crate::mapping::rows::{FrameContent, RowFrame};

/// The properties of one item.
#[derive(Clone, Debug, Default)]
pub(super) struct MadeProperties {
    /// Numbers of names with their values; each name once.
    pub values: Vec<(u32, Value<'static>)>,
    /// What no property can hold, by name.
    pub rest: Vec<(String, NestedValue)>,
}

/// What makes the properties of one item.
pub(super) struct PropertyMaker<'m> {
    pub names: &'m mut PropertyNames,
    pub except: &'m [String],
    /// For each rule whether it has given a value, so that a rule that never does can be told.
    pub defined: &'m mut [bool],
    pub made: MadeProperties,
}

impl PropertyMaker<'_> {
    /// Works out the rules for an item. What comes first wins: names come before spreads.
    pub(super) fn make(
        mut self,
        rules: &[PropertyRule],
        env: &ExprEnvironment<'_>,
        row: &RowFrame<'_>,
    ) -> MadeProperties {
        for (at, rule) in rules.iter().enumerate() {
            let value = match rule {
                PropertyRule::Assign(name, PropertyAssignment::Literal(value)) => {
                    self.put(name, value.clone());
                    self.defined[at] = true;
                    continue;
                }
                PropertyRule::Assign(name, PropertyAssignment::Template(template)) => {
                    render_nested(template, env).ok().map(|value| (name.as_str(), value))
                }
                PropertyRule::Path(name, expr) => {
                    eval_nested(expr, env).map(|value| (name.as_str(), value))
                }
                PropertyRule::Spread(expr) => {
                    if let (MappingExprKind::Path(PathRoot::Row, steps), FrameContent::Cells(..)) =
                        (&expr.kind, row.content)
                        && steps.is_empty()
                    {
                        self.spread_cells(row);
                        self.defined[at] = true;
                        continue;
                    }
                    let value = eval_nested(expr, env);
                    self.defined[at] |= value.is_some();
                    if let Some(ExprValue::Nested(data)) = value {
                        self.spread("", &data);
                    }
                    continue;
                }
            };
            match value {
                Some((name, value)) => {
                    self.defined[at] = true;
                    match value {
                        ExprValue::Plain(value) => self.put(name, value.into_owned()),
                        ExprValue::Nested(data) => self.put_nested(name, &data),
                    }
                }
                None => {
                    // A name that the file says must not get the value that the row has for it: a
                    // serial number that is filler stays undefined.
                    if let PropertyRule::Assign(name, _) = rule
                        && let Some(number) = self.names.number(name)
                    {
                        self.made.values.push((number, Value::Null));
                    }
                }
            }
        }
        self.made.values.retain(|(_, value)| *value != Value::Null);
        self.made
    }

    fn spread_cells(&mut self, row: &RowFrame<'_>) {
        let FrameContent::Cells(cells, columns) = row.content else { return };
        let mut names: Vec<(&String, &usize)> = columns.iter().collect();
        names.sort_by_key(|(_, at)| **at);
        for (name, at) in names {
            if let Some(cell) = cells.get(*at).filter(|cell| !cell.is_empty()) {
                self.put(name, Value::Text(cell.to_owned().into()));
            }
        }
    }

    /// Each member of a map; those of maps inside it with dots.
    fn spread(&mut self, prefix: &str, data: &NestedValue) {
        let NestedValue::Object(object) = data else { return };
        for (name, value) in &object.members {
            // Such names are metadata of whoever wrote the row, never properties.
            if name.starts_with('_') {
                continue;
            }
            match prefix {
                "" => self.put_nested(name, value),
                prefix => self.put_nested(&format!("{prefix}.{name}"), value),
            }
        }
    }

    fn put_nested(&mut self, name: &str, data: &NestedValue) {
        match data {
            NestedValue::Object(_) => self.spread(name, data),
            data => match ExprValue::of(data) {
                Some(ExprValue::Plain(value)) => self.put(name, value.into_owned()),
                Some(ExprValue::Nested(_)) => self.leave(name, data.clone()),
                None => {}
            },
        }
    }

    fn put(&mut self, name: &str, value: Value<'static>) {
        if self.is_excepted(name) {
            return;
        }
        // A list in the graph has items of one kind.
        let mixed = match &value {
            Value::List(items) => items.windows(2).any(|pair| !pair[0].same_family(&pair[1])),
            _ => false,
        };
        match self.names.number(name).filter(|_| !mixed) {
            None => self.leave(name, NestedValue::from_value(value)),
            Some(number) => {
                if !self.made.values.iter().any(|(known, _)| *known == number) {
                    self.made.values.push((number, value));
                }
            }
        }
    }

    fn leave(&mut self, name: &str, data: NestedValue) {
        if !self.is_excepted(name) && !self.made.rest.iter().any(|(known, _)| known == name) {
            self.made.rest.push((name.to_owned(), data));
        }
    }

    /// True if `except` names a property, or a map that it is in.
    fn is_excepted(&self, name: &str) -> bool {
        self.except.iter().any(|except| {
            let rest = name.strip_prefix(except.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
