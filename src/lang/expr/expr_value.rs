//! Values on their way through an expression: what a property can hold, or nested data that further
//! steps lead into.

use super::eval::{defined, list};
use super::tree::{AccessStep, ExprNode};
use crate::graph::Value;
use crate::lang::{NestedList, NestedObject, NestedValue};
use std::borrow::Cow;

/// The value of an expression. It is defined: neither null nor empty, unless the file says `''`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExprValue<'r> {
    /// A scalar or a list of scalars.
    Plain(Value<'r>),
    /// An object, or a list in which there are objects or lists.
    Nested(Cow<'r, NestedValue>),
}

/// Decides whether a condition of `[?...]` holds for an element.
pub(crate) type KeepElement<'k, R> = &'k dyn Fn(&ExprNode<R>, &NestedValue) -> bool;

impl<'r> ExprValue<'r> {
    /// Data as a value; `None` if it is null or empty.
    pub(crate) fn of(data: &'r NestedValue) -> Option<ExprValue<'r>> {
        match data {
            NestedValue::Object(object) if object.members.is_empty() => None,
            NestedValue::List(NestedList { items, .. }) if items.iter().any(is_nested) => {
                Some(ExprValue::Nested(Cow::Borrowed(data)))
            }
            NestedValue::Object(_) => Some(ExprValue::Nested(Cow::Borrowed(data))),
            NestedValue::List(NestedList { items, .. }) => {
                list(items.iter().filter_map(plain)).map(ExprValue::Plain)
            }
            scalar => plain(scalar).map(ExprValue::Plain),
        }
    }

    /// Data that the value takes over.
    pub(crate) fn owning(data: NestedValue) -> Option<ExprValue<'r>> {
        match ExprValue::of(&data)? {
            ExprValue::Plain(value) => Some(ExprValue::Plain(value.into_owned())),
            ExprValue::Nested(_) => Some(ExprValue::Nested(Cow::Owned(data))),
        }
    }

    /// A text; `None` if it is empty.
    pub(crate) fn text(text: impl Into<Cow<'r, str>>) -> Option<ExprValue<'r>> {
        defined(Value::Text(text.into())).map(ExprValue::Plain)
    }

    /// The value as a property can hold it: the scalars of a list; `None` for an object.
    pub(crate) fn into_value(self) -> Option<Value<'r>> {
        match self {
            ExprValue::Plain(value) => Some(value),
            ExprValue::Nested(Cow::Borrowed(data)) => scalars(data),
            ExprValue::Nested(Cow::Owned(data)) => scalars(&data).map(Value::into_owned),
        }
    }

    /// The value as data.
    pub(crate) fn into_data(self) -> NestedValue {
        match self {
            ExprValue::Plain(value) => NestedValue::from_value(value.into_owned()),
            ExprValue::Nested(data) => data.into_owned(),
        }
    }

    /// The same without what it borrows.
    pub(crate) fn into_owned(self) -> ExprValue<'static> {
        match self {
            ExprValue::Plain(value) => ExprValue::Plain(value.into_owned()),
            ExprValue::Nested(data) => ExprValue::Nested(Cow::Owned(data.into_owned())),
        }
    }

    /// The value that steps lead to from here.
    pub(crate) fn follow<R>(
        self,
        steps: &[AccessStep<R>],
        keeps: KeepElement<'_, R>,
    ) -> Option<ExprValue<'r>> {
        match self {
            ExprValue::Nested(Cow::Borrowed(data)) => follow(data, steps, keeps),
            other => {
                let data = other.into_data();
                follow(&data, steps, keeps).map(ExprValue::into_owned)
            }
        }
    }
}

/// The value that steps lead to from data. Behind a step that may lead to several places it is a
/// list of them.
pub(crate) fn follow<'r, R>(
    data: &'r NestedValue,
    steps: &[AccessStep<R>],
    keeps: KeepElement<'_, R>,
) -> Option<ExprValue<'r>> {
    let plain = steps.iter().take_while(|step| !step.opens()).count();
    let start = steps[..plain].iter().try_fold(data, step)?;
    if plain == steps.len() {
        return ExprValue::of(start);
    }
    let mut places = vec![start];
    for step in &steps[plain..] {
        let mut next = Vec::new();
        for place in places {
            open_step(place, step, keeps, &mut |_, found| next.push(found));
        }
        places = next;
    }
    if places.iter().any(|place| is_nested(place)) {
        let items: Vec<NestedValue> = places.into_iter().cloned().collect();
        return Some(ExprValue::Nested(Cow::Owned(NestedValue::List(items.into()))));
    }
    list(places.into_iter().filter_map(self::plain)).map(ExprValue::Plain)
}

/// The name or the position of a place in what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceKey<'r> {
    Name(&'r str),
    Position(usize),
}

/// Calls `visit` for each place that one step leads to, with its key.
pub(crate) fn open_step<'r, R>(
    data: &'r NestedValue,
    step: &AccessStep<R>,
    keeps: KeepElement<'_, R>,
    visit: &mut dyn FnMut(PlaceKey<'r>, &'r NestedValue),
) {
    match step {
        AccessStep::Name(_) | AccessStep::Index(_) => {
            if let Some(found) = self::step(data, step) {
                let key = match (data, step) {
                    (NestedValue::Object(object), AccessStep::Name(name)) => object
                        .members
                        .iter()
                        .find(|(known, _)| known == name)
                        .map_or(PlaceKey::Position(0), |(known, _)| PlaceKey::Name(known)),
                    (_, AccessStep::Index(index)) => PlaceKey::Position(*index),
                    _ => PlaceKey::Position(0),
                };
                visit(key, found);
            }
        }
        AccessStep::Each => elements(data, visit),
        AccessStep::Filter(condition) => elements(data, &mut |key, element| {
            if keeps(condition, element) {
                visit(key, element);
            }
        }),
        AccessStep::Values => {
            if let NestedValue::Object(NestedObject { members, .. }) = data {
                members.iter().for_each(|(name, value)| visit(PlaceKey::Name(name), value));
            }
        }
        AccessStep::Descend(name) => descend(data, &mut |object| {
            let field = object.members.iter().find(|(known, _)| known == name);
            if let Some((name, value)) = field.filter(|(_, v)| *v != NestedValue::Null) {
                visit(PlaceKey::Name(name), value);
            }
        }),
    }
}

/// Calls `visit` for each element of a list but its nulls; any other value is a list of one.
pub(crate) fn elements<'r>(
    data: &'r NestedValue,
    visit: &mut dyn FnMut(PlaceKey<'r>, &'r NestedValue),
) {
    match data {
        NestedValue::Null => {}
        NestedValue::List(list) => {
            for (at, element) in list.items.iter().enumerate() {
                if *element != NestedValue::Null {
                    visit(PlaceKey::Position(at), element);
                }
            }
        }
        single => visit(PlaceKey::Position(0), single),
    }
}

/// Calls `visit` for each object in the data, itself included; one that is inside of another comes
/// after it.
fn descend<'r>(data: &'r NestedValue, visit: &mut dyn FnMut(&'r NestedObject)) {
    match data {
        NestedValue::Object(object) => {
            visit(object);
            object.members.iter().for_each(|(_, value)| descend(value, visit));
        }
        NestedValue::List(list) => list.items.iter().for_each(|item| descend(item, visit)),
        _ => {}
    }
}

/// The one place that a name or a position leads to.
fn step<'r, R>(data: &'r NestedValue, step: &AccessStep<R>) -> Option<&'r NestedValue> {
    match (step, data) {
        (AccessStep::Name(name), _) => data.member(name),
        (AccessStep::Index(index), NestedValue::List(list)) => list.items.get(*index),
        _ => None,
    }
}

fn is_nested(data: &NestedValue) -> bool {
    matches!(data, NestedValue::List(_) | NestedValue::Object(_))
}

/// The value of a scalar.
fn plain(data: &NestedValue) -> Option<Value<'_>> {
    match data {
        NestedValue::Bool(b) => Some(Value::Bool(*b)),
        NestedValue::Number(number) => Some(number.clone()),
        NestedValue::Text(text) if !text.is_empty() => Some(Value::Text(Cow::Borrowed(text))),
        _ => None,
    }
}

/// The scalars of data, those of lists in lists too; an object has none.
fn scalars(data: &NestedValue) -> Option<Value<'_>> {
    match data {
        NestedValue::List(NestedList { items, .. }) => list(items.iter().filter_map(scalars)),
        other => plain(other),
    }
}
