//! Rows inside of documents: what was opened on the way to a row, and the row itself.
//!
//! ```text
//! { "jobs": { "build": { "steps": [ { "uses": "a@v1" } ] } } }     items = "jobs.*.steps[*]"
//!             ^ parent_key = 'build', parent = its value  ^ row, row_key = 0     parents[1] = doc
//! ```
//!
//! A frame is a value that a step opened: an element of a list, a value of an object, an object that
//! has a field. Plain names open nothing. The row is a frame too.

use super::ColumnPositions;
use crate::graph::Value;
use crate::lang::{AccessStep, ExprValue, KeepElement, NestedValue, PlaceKey, elements, follow};
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot, PathStep};
use std::borrow::Cow;

/// The contents of a frame.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) enum FrameContent<'a> {
    /// The cells of a row and the positions of their columns.
    Cells(&'a csv::StringRecord, &'a ColumnPositions),
    Data(&'a NestedValue),
}

/// A value that a step opened, and those opened before it.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) struct RowFrame<'a> {
    pub content: FrameContent<'a>,
    /// Its name or position in what is around it; a document has none.
    pub key: Option<PlaceKey<'a>>,
    /// The frame that was opened before it.
    pub parent: Option<&'a RowFrame<'a>>,
    /// The line that it begins on, or that of the frame around it; 0 if it is not known.
    pub line: u32,
}

impl<'a> RowFrame<'a> {
    /// The frame of a document, which nothing is around.
    pub(in crate::mapping) fn document(content: FrameContent<'a>, line: u32) -> RowFrame<'a> {
        RowFrame { content, key: None, parent: None, line }
    }

    /// The value that steps lead to.
    pub(in crate::mapping) fn follow(
        &self,
        steps: &[PathStep],
        keeps: KeepElement<'_, PathRoot>,
    ) -> Option<ExprValue<'a>> {
        match self.content {
            FrameContent::Data(data) => follow(data, steps, keeps),
            FrameContent::Cells(cells, columns) => match steps {
                [AccessStep::Name(name)] => {
                    ExprValue::text(Cow::Borrowed(cells.get(*columns.get(name)?)?))
                }
                steps => ExprValue::owning(self.data().into_owned())?.follow(steps, keeps),
            },
        }
    }

    /// The contents as data: cells become an object of texts.
    pub(in crate::mapping) fn data(&self) -> Cow<'a, NestedValue> {
        match self.content {
            FrameContent::Data(data) => Cow::Borrowed(data),
            FrameContent::Cells(cells, columns) => {
                let mut names: Vec<(&String, &usize)> = columns.iter().collect();
                names.sort_by_key(|(_, at)| **at);
                let member = |(name, at): (&String, &usize)| {
                    let cell = cells.get(*at).unwrap_or_default();
                    (name.clone(), NestedValue::Text(cell.to_owned()))
                };
                Cow::Owned(NestedValue::Object(
                    names.into_iter().map(member).collect::<Vec<_>>().into(),
                ))
            }
        }
    }

    /// The frame so many frames above: 0 is its parent.
    pub(in crate::mapping) fn above(&self, count: usize) -> Option<&'a RowFrame<'a>> {
        let mut frame = self.parent?;
        for _ in 0..count {
            frame = frame.parent?;
        }
        Some(frame)
    }

    /// The frame of the document.
    pub(in crate::mapping) fn root(&self) -> RowFrame<'a> {
        let mut frame = *self;
        while let Some(parent) = frame.parent {
            frame = *parent;
        }
        frame
    }

    /// Its key as a value; the empty name is undefined.
    pub(in crate::mapping) fn key(&self) -> Option<Value<'a>> {
        match self.key? {
            PlaceKey::Name("") => None,
            PlaceKey::Name(name) => Some(Value::Text(Cow::Borrowed(name))),
            PlaceKey::Position(at) => Some(Value::Int(at as i64)),
        }
    }

    /// The keys from the document down to this frame, as texts.
    pub(in crate::mapping) fn path(&self) -> Vec<Value<'a>> {
        let mut keys: Vec<Value<'a>> = Vec::new();
        let mut frame = Some(self);
        while let Some(at) = frame {
            keys.extend(at.key().map(|key| match key {
                Value::Int(at) => Value::Text(at.to_string().into()),
                key => key,
            }));
            frame = at.parent;
        }
        keys.reverse();
        keys
    }
}

/// What the search for rows asks of an environment: conditions and calls in a path need values.
pub(in crate::mapping) trait ItemContext {
    /// True if a condition holds for an element, asked in the frame that the path begins in.
    fn keeps(&self, condition: &MappingExpr, from: &RowFrame<'_>, element: &NestedValue) -> bool;

    /// The value of a call at the beginning of a path.
    fn call(&self, call: &MappingExpr, from: &RowFrame<'_>) -> Option<NestedValue>;
}

/// Calls `visit` for each row that paths lead to from a frame, path after path.
pub(in crate::mapping) fn each_item(
    items: &[MappingExpr],
    from: &RowFrame<'_>,
    context: &dyn ItemContext,
    visit: &mut dyn FnMut(&RowFrame<'_>),
) {
    if items.is_empty() {
        return visit(from);
    }
    for item in items {
        let (call, steps): (_, &[PathStep]) = match &item.kind {
            MappingExprKind::Path(_, steps) => (None, steps),
            MappingExprKind::Steps(call, steps) => (Some(&**call), steps),
            _ => (Some(item), &[]),
        };
        let walk = ItemWalk { from, context };
        match (call, from.content) {
            (Some(call), _) => {
                if let Some(value) = context.call(call, from) {
                    let cursor = Cursor { at: &value, key: None, line: from.line, moved: true };
                    walk.walk(from, cursor, steps, visit);
                }
            }
            (None, _) if steps.is_empty() => visit(from),
            (None, FrameContent::Data(at)) => {
                let cursor = Cursor { at, key: None, line: from.line, moved: false };
                walk.walk(from, cursor, steps, visit);
            }
            (None, FrameContent::Cells(..)) => {
                let data = from.data();
                let cursor = Cursor { at: &data, key: None, line: from.line, moved: false };
                walk.walk(from, cursor, steps, visit);
            }
        }
    }
}

/// Calls `visit` for each row of a document: of a list its elements, of any other document itself,
/// and below them what `items` lead to.
pub(in crate::mapping) fn each_row(
    document: &RowFrame<'_>,
    items: &[MappingExpr],
    context: &dyn ItemContext,
    visit: &mut dyn FnMut(&RowFrame<'_>),
) {
    match document.content {
        FrameContent::Data(data @ NestedValue::List(_)) => {
            elements(data, &mut |key, element| {
                let line = line_below(data, key, element, document.line);
                let content = FrameContent::Data(element);
                let frame = RowFrame { content, key: Some(key), parent: Some(document), line };
                each_item(items, &frame, context, visit);
            });
        }
        _ => each_item(items, document, context, visit),
    }
}

/// A place on the way of a path: the value, and whether plain names led to it since the last frame.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    at: &'a NestedValue,
    key: Option<PlaceKey<'a>>,
    line: u32,
    moved: bool,
}

/// The search for the rows of one path.
struct ItemWalk<'c> {
    from: &'c RowFrame<'c>,
    context: &'c dyn ItemContext,
}

impl ItemWalk<'_> {
    fn walk(
        &self,
        opened: &RowFrame<'_>,
        cursor: Cursor<'_>,
        steps: &[PathStep],
        visit: &mut dyn FnMut(&RowFrame<'_>),
    ) {
        let Some((step, rest)) = steps.split_first() else {
            return match cursor.moved {
                // A name without a value leads nowhere; an element or a value that a step opened may be
                // null, since its key says enough.
                true if *cursor.at == NestedValue::Null => {}
                true => visit(&RowFrame {
                    content: FrameContent::Data(cursor.at),
                    key: cursor.key,
                    parent: Some(opened),
                    line: cursor.line,
                }),
                false => visit(opened),
            };
        };
        if let AccessStep::Descend(name) = step {
            return self.descend(opened, cursor, name, rest, visit);
        }
        let keeps = |condition: &MappingExpr, element: &NestedValue| {
            self.context.keeps(condition, self.from, element)
        };
        let mut found = Vec::new();
        crate::lang::open_step(cursor.at, step, &keeps, &mut |key, value| found.push((key, value)));
        for (key, at) in found {
            let line = line_below(cursor.at, key, at, cursor.line);
            if !step.opens() {
                let cursor = Cursor { at, key: Some(key), line, moved: true };
                self.walk(opened, cursor, rest, visit);
                continue;
            }
            let content = FrameContent::Data(at);
            let frame = RowFrame { content, key: Some(key), parent: Some(opened), line };
            self.walk(&frame, Cursor { at, key: None, line, moved: false }, rest, visit);
        }
    }

    /// Goes to every field of a name, at any depth; the object that has it is a frame.
    fn descend(
        &self,
        opened: &RowFrame<'_>,
        cursor: Cursor<'_>,
        name: &str,
        rest: &[PathStep],
        visit: &mut dyn FnMut(&RowFrame<'_>),
    ) {
        let enter = |frame: &RowFrame<'_>, visit: &mut dyn FnMut(&RowFrame<'_>)| {
            let NestedValue::Object(object) = cursor.at else { return };
            let field = object.members.iter().find(|(known, _)| known == name);
            if let Some((name, at)) = field.filter(|(_, at)| *at != NestedValue::Null) {
                let key = PlaceKey::Name(name);
                let line = line_below(cursor.at, key, at, cursor.line);
                self.walk(frame, Cursor { at, key: Some(key), line, moved: true }, rest, visit);
            }
        };
        // The value where the path stands is a frame already, unless plain names led to it.
        let here = RowFrame {
            content: FrameContent::Data(cursor.at),
            key: cursor.key,
            parent: Some(opened),
            line: cursor.line,
        };
        let frame = if cursor.moved { &here } else { opened };
        enter(frame, visit);
        let mut below = |key, at: &NestedValue| {
            let line = line_below(cursor.at, key, at, cursor.line);
            let cursor = Cursor { at, key: Some(key), line, moved: true };
            self.descend(frame, cursor, name, rest, visit);
        };
        match cursor.at {
            NestedValue::Object(object) => {
                object.members.iter().for_each(|(name, at)| below(PlaceKey::Name(name), at));
            }
            NestedValue::List(list) => {
                list.items.iter().enumerate().for_each(|(i, at)| below(PlaceKey::Position(i), at));
            }
            _ => {}
        }
    }
}

/// The line of a value: its own, else that of its place in the list around it, else the line there.
fn line_below(around: &NestedValue, key: PlaceKey<'_>, value: &NestedValue, line: u32) -> u32 {
    if let NestedValue::Object(object) = value
        && object.line > 0
    {
        return object.line;
    }
    match (around, key) {
        (NestedValue::List(list), PlaceKey::Position(at)) => {
            list.lines.get(at).copied().unwrap_or(line)
        }
        _ => line,
    }
}
