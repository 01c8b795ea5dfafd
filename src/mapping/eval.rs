//! The values of expressions and templates for one row.
//!
//! `None` is undefined: a missing or empty value. It equals nothing, not even itself; only
//! `x = undefined` and `x != undefined`, written literally, ask for it (`''`, the empty value, is
//! the same literal). `a != b` is `not a = b`, so it holds when a side is undefined. Comparing
//! values of different kinds is false: the text `5` is not the number 5. A list on either side of
//! a comparison means "any of". An object is no value and counts as undefined.

use super::candidates::{EndCandidate, property_name};
use super::canonical_forms::{address, network};
use super::data::{NestedValue, RowContent};
use super::expr::{AccessStep, ComparisonOperator, MappingExpr, MappingExprKind, PathRoot};
use super::function::{ExprFunction, call};
use super::rows::{ColumnPositions, LocatedRow};
use super::template::{Template, TemplatePart};
use crate::graph::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

/// One lookup table: keys as text, and their values.
pub(super) type LookupTable = HashMap<String, Value<'static>>;

/// The lookup tables of a mapping by name.
pub(super) type LookupTables = HashMap<String, LookupTable>;

/// Data that all expressions of a mapping can ask for, whatever the row.
#[derive(Clone, Copy)]
pub(super) struct MappingConstants<'r> {
    pub tables: &'r LookupTables,
    /// Serial numbers that are filler in this organisation.
    pub junk: &'r [String],
}

/// The members of `file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// The path, for people.
    pub shown: String,
    /// The path as expressions see it: relative to the mapping file.
    pub path: String,
    /// The name without folder and extensions.
    pub stem: String,
}

/// The alternatives that found the entities: the members of `match`.
#[derive(Clone, Debug, Default)]
pub(super) struct MatchedAlternatives {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// The row of an environment.
#[derive(Clone, Copy)]
struct RowEnv<'r> {
    row: &'r RowContent,
    parent: Option<&'r NestedValue>,
    doc: Option<&'r NestedValue>,
    columns: Option<&'r ColumnPositions>,
    file: Option<&'r FileFacts>,
    line: u32,
}

/// Everything that an expression can ask for in its place.
#[derive(Clone, Copy)]
pub(super) struct ExprEnvironment<'r> {
    shared: MappingConstants<'r>,
    row: Option<RowEnv<'r>>,
    from: Option<&'r EndCandidate>,
    to: Option<&'r EndCandidate>,
    matched: Option<&'r MatchedAlternatives>,
}

impl<'r> ExprEnvironment<'r> {
    /// An environment in which only an entity is known.
    pub(super) fn of_end(
        shared: &MappingConstants<'r>,
        root: PathRoot,
        candidate: &'r EndCandidate,
    ) -> ExprEnvironment<'r> {
        ExprEnvironment { shared: *shared, row: None, from: None, to: None, matched: None }
            .with(root, candidate)
    }

    /// An environment for a row of a file.
    pub(super) fn of_row(
        shared: &MappingConstants<'r>,
        row: &'r LocatedRow,
        columns: &'r ColumnPositions,
        file: &'r FileFacts,
    ) -> ExprEnvironment<'r> {
        let row = RowEnv {
            row: &row.row,
            parent: row.parent.as_deref(),
            doc: row.doc.as_deref(),
            columns: Some(columns),
            file: Some(file),
            line: row.line,
        };
        ExprEnvironment { shared: *shared, row: Some(row), from: None, to: None, matched: None }
    }

    /// An environment for a row that stands in no file.
    pub(super) fn of_data(
        shared: &MappingConstants<'r>,
        row: &'r RowContent,
    ) -> ExprEnvironment<'r> {
        let row = RowEnv { row, parent: None, doc: None, columns: None, file: None, line: 0 };
        ExprEnvironment { shared: *shared, row: Some(row), from: None, to: None, matched: None }
    }

    /// The same, with the entity of an end known.
    pub(super) fn with<'s>(
        &self,
        root: PathRoot,
        candidate: &'s EndCandidate,
    ) -> ExprEnvironment<'s>
    where
        'r: 's,
    {
        match root {
            PathRoot::From => ExprEnvironment { from: Some(candidate), ..*self },
            _ => ExprEnvironment { to: Some(candidate), ..*self },
        }
    }

    /// The same, with the alternatives known.
    pub(super) fn matched<'s>(&self, matched: &'s MatchedAlternatives) -> ExprEnvironment<'s>
    where
        'r: 's,
    {
        ExprEnvironment { matched: Some(matched), ..*self }
    }
}

/// True if the condition yields `true`. Any other value counts as false.
pub(super) fn holds(expr: &MappingExpr, env: &ExprEnvironment<'_>) -> bool {
    eval(expr, env) == Some(Value::Bool(true))
}

/// The value of an expression.
pub(super) fn eval<'r>(expr: &'r MappingExpr, env: &ExprEnvironment<'r>) -> Option<Value<'r>> {
    match &expr.kind {
        MappingExprKind::Path(root, steps) => path(*root, steps, env),
        MappingExprKind::Call(ExprFunction::Lookup, arguments, _) => lookup(arguments, env),
        MappingExprKind::Call(function, arguments, pattern) => {
            let arguments: Vec<Option<Value<'r>>> =
                arguments.iter().map(|argument| self::argument(argument, env)).collect();
            let pattern = pattern.as_ref().map(|pattern| &*pattern.0);
            defined(call(*function, arguments, pattern, env.shared.junk)?)
        }
        MappingExprKind::Literal(value) => defined(value.clone()),
        MappingExprKind::Undefined | MappingExprKind::Faulty => None,
        MappingExprKind::List(items) => list(items.iter().filter_map(|i| eval(i, env))),
        MappingExprKind::Not(inner) => Some(Value::Bool(!holds(inner, env))),
        MappingExprKind::And(parts) => Some(Value::Bool(parts.iter().all(|p| holds(p, env)))),
        MappingExprKind::Or(parts) => Some(Value::Bool(parts.iter().any(|p| holds(p, env)))),
        MappingExprKind::Compare(left, operator, right) => {
            Some(Value::Bool(compare(left, *operator, right, env)))
        }
    }
}

/// The value of an argument of a function. An empty text, written literally, stays a text here and
/// is not undefined: `replace` puts it in the place of a match.
fn argument<'r>(expr: &'r MappingExpr, env: &ExprEnvironment<'r>) -> Option<Value<'r>> {
    match &expr.kind {
        MappingExprKind::Literal(value @ Value::Text(_)) => Some(value.borrowed()),
        _ => eval(expr, env),
    }
}

fn lookup<'r>(arguments: &'r [MappingExpr], env: &ExprEnvironment<'r>) -> Option<Value<'r>> {
    let MappingExprKind::Literal(Value::Text(table)) = &arguments[0].kind else { return None };
    let table = env.shared.tables.get(table.as_ref())?;
    let key = eval(&arguments[1], env);
    let found = key.and_then(|key| table.get(&text_of(&key))).cloned();
    found.or_else(|| eval(arguments.get(2)?, env))
}

/// A value as the text that stands for it in keys.
pub(super) fn text_of(value: &Value<'_>) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A list without nesting; without items it is undefined.
fn list<'r>(items: impl Iterator<Item = Value<'r>>) -> Option<Value<'r>> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Value::List(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    defined(Value::List(flat))
}

/// Empty values are undefined.
fn defined(value: Value<'_>) -> Option<Value<'_>> {
    match &value {
        Value::Null => None,
        Value::Text(text) if text.is_empty() => None,
        Value::List(items) if items.is_empty() => None,
        _ => Some(value),
    }
}

fn path<'r>(
    root: PathRoot,
    steps: &'r [AccessStep],
    env: &ExprEnvironment<'r>,
) -> Option<Value<'r>> {
    match root {
        PathRoot::Row => {
            let RowEnv { row, columns, .. } = env.row?;
            match row {
                RowContent::Cells(cells) => match steps {
                    [AccessStep::Name(name)] => text(cells.get(*columns?.get(name)?)?),
                    _ => None,
                },
                RowContent::Data(data) => value(steps.iter().try_fold(data, step)?),
            }
        }
        PathRoot::Parent => value(steps.iter().try_fold(env.row?.parent?, step)?),
        PathRoot::Doc => value(steps.iter().try_fold(env.row?.doc?, step)?),
        PathRoot::File => {
            let RowEnv { file, line, .. } = env.row?;
            match one_name(steps)? {
                "path" => text(&file?.path),
                "stem" => text(&file?.stem),
                "line" => Some(Value::Int(line.into())),
                _ => None,
            }
        }
        PathRoot::From => property(env.from?, steps),
        PathRoot::To => property(env.to?, steps),
        PathRoot::Match => {
            let MatchedAlternatives { from, to } = env.matched?;
            match one_name(steps)? {
                "from" => text(from.as_deref()?),
                "to" => text(to.as_deref()?),
                "name" => text(to.as_deref().or(from.as_deref())?),
                _ => None,
            }
        }
    }
}

fn one_name(steps: &[AccessStep]) -> Option<&str> {
    match steps {
        [AccessStep::Name(name)] => Some(name),
        _ => None,
    }
}

fn property<'r>(candidate: &'r EndCandidate, steps: &[AccessStep]) -> Option<Value<'r>> {
    defined(match steps {
        [AccessStep::Name(name)] => candidate.value(name)?,
        [AccessStep::Name(name), AccessStep::Index(index)] => match candidate.value(name)? {
            Value::List(items) => items.into_iter().nth(*index)?,
            _ => return None,
        },
        // Any other steps are a property with dots in its name, e.g. `tag.env`.
        steps => candidate.value(&property_name(steps)?)?,
    })
}

fn text(text: &str) -> Option<Value<'_>> {
    defined(Value::Text(Cow::Borrowed(text)))
}

fn step<'r>(data: &'r NestedValue, step: &AccessStep) -> Option<&'r NestedValue> {
    match (step, data) {
        (AccessStep::Name(name), _) => data.member(name),
        (AccessStep::Index(index), NestedValue::List(items)) => items.get(*index),
        _ => None,
    }
}

fn value(data: &NestedValue) -> Option<Value<'_>> {
    match data {
        NestedValue::Null | NestedValue::Object(_) => None,
        NestedValue::Bool(b) => Some(Value::Bool(*b)),
        NestedValue::Number(number) => Some(number.clone()),
        NestedValue::Text(t) => text(t),
        NestedValue::List(items) => list(items.iter().filter_map(value)),
    }
}

fn compare<'r>(
    left: &'r MappingExpr,
    operator: ComparisonOperator,
    right: &'r MappingExpr,
    env: &ExprEnvironment<'r>,
) -> bool {
    // A literal `undefined` asks about the other side; between two of them there is nothing to ask.
    let asked = match (left.is_undefined_literal(), right.is_undefined_literal()) {
        (_, true) => Some(left),
        (true, false) => Some(right),
        (false, false) => None,
    };
    match (asked, operator) {
        (Some(side), ComparisonOperator::Equal) if !side.is_undefined_literal() => {
            eval(side, env).is_none()
        }
        (Some(side), ComparisonOperator::NotEqual) if !side.is_undefined_literal() => {
            eval(side, env).is_some()
        }
        (_, ComparisonOperator::In) if right.is_call_of(ExprFunction::Cidr) => {
            any(eval(left, env), eval(right, env), inside)
        }
        // The negation of `=` over all pairs: with lists, no pair may be equal.
        (_, ComparisonOperator::NotEqual) => !any(eval(left, env), eval(right, env), equal),
        (_, operator) => any(eval(left, env), eval(right, env), |a, b| one(a, operator, b)),
    }
}

/// True if any item of `left` meets any item of `right`.
fn any(
    left: Option<Value<'_>>,
    right: Option<Value<'_>>,
    meet: impl Fn(&Value<'_>, &Value<'_>) -> bool,
) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    items(&left).iter().any(|a| items(&right).iter().any(|b| meet(a, b)))
}

/// True if the address or network `a` lies in the network `b`.
fn inside(a: &Value<'_>, b: &Value<'_>) -> bool {
    let Some((v6, first, len)) = b.as_str().and_then(network) else { return false };
    let own = a.as_str().and_then(|a| {
        let single = address(a).map(|(v6, bits)| (v6, bits, if v6 { 128 } else { 32 }));
        single.or_else(|| network(a))
    });
    own.is_some_and(|(own_v6, bits, own_len)| {
        let host = if v6 { 128 } else { 32 } - u32::from(len);
        // A shift by all 128 bits would overflow.
        let masked = if host >= 128 { 0 } else { bits >> host << host };
        own_v6 == v6 && own_len >= len && masked == first
    })
}

/// Calls `visit` for a value, or for each item of a list.
pub(super) fn each_item(value: &Value<'_>, mut visit: impl FnMut(&Value<'_>)) {
    items(value).iter().for_each(&mut visit);
}

/// A value of `prefer`, in an order that all values share: undefined, booleans, numbers, texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PreferenceRank {
    Undefined,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Eq for PreferenceRank {}

impl PartialOrd for PreferenceRank {
    fn partial_cmp(&self, other: &PreferenceRank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PreferenceRank {
    fn cmp(&self, other: &PreferenceRank) -> Ordering {
        let kind = |rank: &PreferenceRank| match rank {
            PreferenceRank::Undefined => 0,
            PreferenceRank::Bool(_) => 1,
            PreferenceRank::Number(_) => 2,
            PreferenceRank::Text(_) => 3,
        };
        match (self, other) {
            (PreferenceRank::Bool(a), PreferenceRank::Bool(b)) => a.cmp(b),
            (PreferenceRank::Number(a), PreferenceRank::Number(b)) => a.total_cmp(b),
            (PreferenceRank::Text(a), PreferenceRank::Text(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }
}

/// The rank of an expression; the greatest item of a list counts.
pub(super) fn rank(expr: &MappingExpr, env: &ExprEnvironment<'_>) -> PreferenceRank {
    let one = |value: &Value<'_>| match value {
        Value::Null | Value::List(_) => PreferenceRank::Undefined,
        Value::Bool(b) => PreferenceRank::Bool(*b),
        Value::Text(text) => PreferenceRank::Text(text.to_string()),
        number => PreferenceRank::Number(float(number).unwrap_or(0.0)),
    };
    let value = eval(expr, env);
    value.as_ref().and_then(|v| items(v).iter().map(one).max()).unwrap_or(PreferenceRank::Undefined)
}

fn items<'v, 'r>(value: &'v Value<'r>) -> &'v [Value<'r>] {
    match value {
        Value::List(items) => items,
        single => std::slice::from_ref(single),
    }
}

fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    order(a, b) == Some(Ordering::Equal) || a == b
}

fn one(a: &Value<'_>, operator: ComparisonOperator, b: &Value<'_>) -> bool {
    let texts = a.as_str().zip(b.as_str());
    match operator {
        ComparisonOperator::Equal | ComparisonOperator::In => equal(a, b),
        ComparisonOperator::NotEqual => !equal(a, b),
        ComparisonOperator::Starts => texts.is_some_and(|(a, b)| a.starts_with(b)),
        ComparisonOperator::Ends => texts.is_some_and(|(a, b)| a.ends_with(b)),
        ComparisonOperator::Contains => texts.is_some_and(|(a, b)| a.contains(b)),
        ComparisonOperator::Greater => order(a, b).is_some_and(Ordering::is_gt),
        ComparisonOperator::GreaterEqual => order(a, b).is_some_and(Ordering::is_ge),
        ComparisonOperator::Less => order(a, b).is_some_and(Ordering::is_lt),
        ComparisonOperator::LessEqual => order(a, b).is_some_and(Ordering::is_le),
    }
}

/// Order of two texts (by bytes) or two numbers; other pairs have none.
fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    if let Some((a, b)) = a.as_str().zip(b.as_str()) {
        return Some(a.cmp(b));
    }
    if let Some((a, b)) = integer(a).zip(integer(b)) {
        return Some(a.cmp(&b));
    }
    // A float with a whole value compares as the integer it is, so that no digit is lost.
    if let Some((a, b)) = whole(a).zip(whole(b)) {
        return Some(a.cmp(&b));
    }
    float(a)?.partial_cmp(&float(b)?)
}

fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Float(x) => (x.fract() == 0.0 && x.abs() < 1e20).then_some(*x as i128),
        other => integer(other),
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(i) => Some((*i).into()),
        Value::UInt(u) => Some((*u).into()),
        _ => None,
    }
}

fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        other => integer(other).map(|i| i as f64),
    }
}

/// The value of a template, or the text of the placeholder that is undefined. One placeholder
/// alone keeps the kind of its value.
pub(super) fn render<'r>(
    template: &'r Template,
    env: &ExprEnvironment<'r>,
) -> Result<Value<'r>, &'r str> {
    if let [TemplatePart::Expr(expr, text)] = template.parts.as_slice() {
        return eval(expr, env).ok_or(text);
    }
    let mut out = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Expr(expr, text) => match eval(expr, env) {
                Some(Value::Text(value)) => out.push_str(&value),
                // A list has no single text that could stand inside another text.
                None | Some(Value::List(_) | Value::Null) => return Err(text),
                Some(other) => out.push_str(&other.to_string()),
            },
        }
    }
    Ok(Value::Text(out.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::expr::parse_condition;
    use crate::mapping::template::parse_template;

    fn with_env<T>(f: impl FnOnce(&ExprEnvironment<'_>) -> T) -> T {
        let json = r#"{"name": "Alice", "n": 5, "text": "5", "empty": "", "null": null,
            "tags": ["a", "b"], "on": true, "deep": {"x": [{"y": "z"}]}, "none": []}"#;
        let row =
            RowContent::Data(NestedValue::from_json(serde_json::from_str(json).unwrap()).unwrap());
        let row = LocatedRow { row, parent: None, doc: None, file: 0, line: 7 };
        let file = FileFacts {
            shown: "mappings/data/a.json".into(),
            path: "data/a.json".into(),
            stem: "a".into(),
        };
        let (tables, columns) = (LookupTables::new(), ColumnPositions::default());
        f(&ExprEnvironment::of_row(
            &MappingConstants { tables: &tables, junk: &[] },
            &row,
            &columns,
            &file,
        ))
    }

    fn check(text: &str, expected: bool) {
        let (expr, faults) = parse_condition(text);
        assert_eq!(faults, [], "{text}");
        assert_eq!(with_env(|env| holds(&expr, env)), expected, "{text}");
    }

    #[test]
    fn undefined_equals_nothing_unless_asked_literally() {
        check("row.missing = row.missing", false);
        check("row.empty = row.null", false);
        check("row.missing != row.missing", true);
        check("row.missing != 'x'", true);
        for name in ["missing", "empty", "null", "none", "deep"] {
            check(&format!("row.{name} = undefined"), true);
            check(&format!("undefined != row.{name}"), false);
        }
        check("row.name != undefined", true);
        check("row.empty = ''", true);
        check("undefined = undefined", false);
        check("row.missing = (undefined, 'x')", false);
        check("row.missing > undefined", false);
        check("replace(row.name, 'A', '') = 'lice'", true);
        check("default(row.missing, '') = undefined", true);
        check("concat('', '') = undefined", true);
    }

    #[test]
    fn a_list_means_any_of() {
        check("row.name = ('Bob', 'Alice')", true);
        check("row.tags = 'b'", true);
        check("'b' in row.tags", true);
        check("row.tags = ('x', 'y')", false);
        check("row.name != ('Bob', 'Alice')", false);
        check("lower(row.name) in ('alice')", true);
    }

    #[test]
    fn kinds_are_not_guessed() {
        check("row.text = 5", false);
        check("row.text = '5'", true);
        check("row.n = 5.0", true);
        check("row.n > 4 and row.n >= 5 and row.n < 6 and row.n <= 5", true);
        check("row.text > 4", false);
        check("row.name > 'A'", true);
    }

    #[test]
    fn texts_compare_by_start_end_and_middle() {
        check("row.name ^= 'Al' and row.name $= 'ice' and row.name ~= 'lic'", true);
        check("not row.name ^= 'al'", true);
        check("row.on", true);
        check("row.name", false);
        check("row.deep.x[0].y = 'z' and row['deep']['x'][1] = undefined", true);
        check("file.line = 7 and file.stem = 'a' and file.path $= '.json'", true);
    }

    #[test]
    fn templates_with_an_undefined_part_are_undefined() {
        let check = |text: &str, expected: Result<Value<'static>, &str>| {
            let (template, faults) = parse_template(text);
            assert_eq!(faults, [], "{text}");
            let got = with_env(|env| {
                render(&template, env).map(Value::into_owned).map_err(str::to_owned)
            });
            assert_eq!(got, expected.map_err(str::to_owned), "{text}");
        };
        check("u:{row.name}-{row.n}", Ok(Value::Text("u:Alice-5".into())));
        check("{row.n}", Ok(Value::Int(5)));
        check("{row.name = 'Alice'}", Ok(Value::Bool(true)));
        check("u:{row.empty}", Err("row.empty"));
        check("{ row.missing }", Err("row.missing"));
        check("u:{row.tags}", Err("row.tags"));
    }
}
