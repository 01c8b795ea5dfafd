//! The values of expressions and templates for one row.
//!
//! `None` is undefined: a missing or empty value. It equals nothing, not even itself; only
//! `x = undefined` and `x != undefined`, written literally, ask for it (`''`, the empty value, is
//! the same literal). `a != b` is `not a = b`, so it holds when a side is undefined. Comparing
//! values of different kinds is false: the text `5` is not the number 5. A list on either side of
//! a comparison means "any of". An object is no value and counts as undefined.

use super::candidates::{Candidate, property_name};
use super::data::{Data, Row};
use super::expr::{Expr, ExprKind, Operator, Root, Step};
use super::forms::{address, network};
use super::function::{Function, call};
use super::rows::{Columns, RowAt};
use super::template::{Part, Template};
use crate::graph::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

/// One lookup table: keys as text, and their values.
pub(super) type Table = HashMap<String, Value<'static>>;

/// The lookup tables of a mapping by name.
pub(super) type Tables = HashMap<String, Table>;

/// Data that all expressions of a mapping can ask for, whatever the row.
#[derive(Clone, Copy)]
pub(super) struct Shared<'r> {
    pub tables: &'r Tables,
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
pub(super) struct Matched {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// The row of an environment.
#[derive(Clone, Copy)]
struct RowEnv<'r> {
    row: &'r Row,
    parent: Option<&'r Data>,
    doc: Option<&'r Data>,
    columns: Option<&'r Columns>,
    file: Option<&'r FileFacts>,
    line: u32,
}

/// Everything that an expression can ask for in its place.
#[derive(Clone, Copy)]
pub(super) struct Env<'r> {
    shared: Shared<'r>,
    row: Option<RowEnv<'r>>,
    from: Option<&'r Candidate>,
    to: Option<&'r Candidate>,
    matched: Option<&'r Matched>,
}

impl<'r> Env<'r> {
    /// An environment in which only an entity is known.
    pub(super) fn of_end(shared: &Shared<'r>, root: Root, candidate: &'r Candidate) -> Env<'r> {
        Env { shared: *shared, row: None, from: None, to: None, matched: None }
            .with(root, candidate)
    }

    /// An environment for a row of a file.
    pub(super) fn of_row(
        shared: &Shared<'r>,
        row: &'r RowAt,
        columns: &'r Columns,
        file: &'r FileFacts,
    ) -> Env<'r> {
        let row = RowEnv {
            row: &row.row,
            parent: row.parent.as_deref(),
            doc: row.doc.as_deref(),
            columns: Some(columns),
            file: Some(file),
            line: row.line,
        };
        Env { shared: *shared, row: Some(row), from: None, to: None, matched: None }
    }

    /// An environment for a row that stands in no file.
    pub(super) fn of_data(shared: &Shared<'r>, row: &'r Row) -> Env<'r> {
        let row = RowEnv { row, parent: None, doc: None, columns: None, file: None, line: 0 };
        Env { shared: *shared, row: Some(row), from: None, to: None, matched: None }
    }

    /// The same, with the entity of an end known.
    pub(super) fn with<'s>(&self, root: Root, candidate: &'s Candidate) -> Env<'s>
    where
        'r: 's,
    {
        match root {
            Root::From => Env { from: Some(candidate), ..*self },
            _ => Env { to: Some(candidate), ..*self },
        }
    }

    /// The same, with the alternatives known.
    pub(super) fn matched<'s>(&self, matched: &'s Matched) -> Env<'s>
    where
        'r: 's,
    {
        Env { matched: Some(matched), ..*self }
    }
}

/// True if the condition yields `true`. Any other value counts as false.
pub(super) fn holds(expr: &Expr, env: &Env<'_>) -> bool {
    eval(expr, env) == Some(Value::Bool(true))
}

/// The value of an expression.
pub(super) fn eval<'r>(expr: &'r Expr, env: &Env<'r>) -> Option<Value<'r>> {
    match &expr.kind {
        ExprKind::Path(root, steps) => path(*root, steps, env),
        ExprKind::Call(Function::Lookup, arguments, _) => lookup(arguments, env),
        ExprKind::Call(function, arguments, pattern) => {
            let arguments: Vec<Option<Value<'r>>> =
                arguments.iter().map(|argument| self::argument(argument, env)).collect();
            let pattern = pattern.as_ref().map(|pattern| &*pattern.0);
            defined(call(*function, arguments, pattern, env.shared.junk)?)
        }
        ExprKind::Literal(value) => defined(value.clone()),
        ExprKind::Undefined | ExprKind::Faulty => None,
        ExprKind::List(items) => list(items.iter().filter_map(|i| eval(i, env))),
        ExprKind::Not(inner) => Some(Value::Bool(!holds(inner, env))),
        ExprKind::And(parts) => Some(Value::Bool(parts.iter().all(|p| holds(p, env)))),
        ExprKind::Or(parts) => Some(Value::Bool(parts.iter().any(|p| holds(p, env)))),
        ExprKind::Compare(left, operator, right) => {
            Some(Value::Bool(compare(left, *operator, right, env)))
        }
    }
}

/// The value of an argument of a function. An empty text, written literally, stays a text here and
/// is not undefined: `replace` puts it in the place of a match.
fn argument<'r>(expr: &'r Expr, env: &Env<'r>) -> Option<Value<'r>> {
    match &expr.kind {
        ExprKind::Literal(value @ Value::Text(_)) => Some(value.borrowed()),
        _ => eval(expr, env),
    }
}

fn lookup<'r>(arguments: &'r [Expr], env: &Env<'r>) -> Option<Value<'r>> {
    let ExprKind::Literal(Value::Text(table)) = &arguments[0].kind else { return None };
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

fn path<'r>(root: Root, steps: &'r [Step], env: &Env<'r>) -> Option<Value<'r>> {
    match root {
        Root::Row => {
            let RowEnv { row, columns, .. } = env.row?;
            match row {
                Row::Cells(cells) => match steps {
                    [Step::Name(name)] => text(cells.get(*columns?.get(name)?)?),
                    _ => None,
                },
                Row::Data(data) => value(steps.iter().try_fold(data, step)?),
            }
        }
        Root::Parent => value(steps.iter().try_fold(env.row?.parent?, step)?),
        Root::Doc => value(steps.iter().try_fold(env.row?.doc?, step)?),
        Root::File => {
            let RowEnv { file, line, .. } = env.row?;
            match one_name(steps)? {
                "path" => text(&file?.path),
                "stem" => text(&file?.stem),
                "line" => Some(Value::Int(line.into())),
                _ => None,
            }
        }
        Root::From => property(env.from?, steps),
        Root::To => property(env.to?, steps),
        Root::Match => {
            let Matched { from, to } = env.matched?;
            match one_name(steps)? {
                "from" => text(from.as_deref()?),
                "to" => text(to.as_deref()?),
                "name" => text(to.as_deref().or(from.as_deref())?),
                _ => None,
            }
        }
    }
}

fn one_name(steps: &[Step]) -> Option<&str> {
    match steps {
        [Step::Name(name)] => Some(name),
        _ => None,
    }
}

fn property<'r>(candidate: &'r Candidate, steps: &[Step]) -> Option<Value<'r>> {
    defined(match steps {
        [Step::Name(name)] => candidate.value(name)?,
        [Step::Name(name), Step::Index(index)] => match candidate.value(name)? {
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

fn step<'r>(data: &'r Data, step: &Step) -> Option<&'r Data> {
    match (step, data) {
        (Step::Name(name), _) => data.member(name),
        (Step::Index(index), Data::List(items)) => items.get(*index),
        _ => None,
    }
}

fn value(data: &Data) -> Option<Value<'_>> {
    match data {
        Data::Null | Data::Object(_) => None,
        Data::Bool(b) => Some(Value::Bool(*b)),
        Data::Number(number) => Some(number.clone()),
        Data::Text(t) => text(t),
        Data::List(items) => list(items.iter().filter_map(value)),
    }
}

fn compare<'r>(left: &'r Expr, operator: Operator, right: &'r Expr, env: &Env<'r>) -> bool {
    // A literal `undefined` asks about the other side; between two of them there is nothing to ask.
    let asked = match (left.asks_undefined(), right.asks_undefined()) {
        (_, true) => Some(left),
        (true, false) => Some(right),
        (false, false) => None,
    };
    match (asked, operator) {
        (Some(side), Operator::Equal) if !side.asks_undefined() => eval(side, env).is_none(),
        (Some(side), Operator::NotEqual) if !side.asks_undefined() => eval(side, env).is_some(),
        (_, Operator::In) if right.is_call_of(Function::Cidr) => {
            any(eval(left, env), eval(right, env), inside)
        }
        // The negation of `=` over all pairs: with lists, no pair may be equal.
        (_, Operator::NotEqual) => !any(eval(left, env), eval(right, env), equal),
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
pub(super) enum Rank {
    Undefined,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Rank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Rank) -> Ordering {
        let kind = |rank: &Rank| match rank {
            Rank::Undefined => 0,
            Rank::Bool(_) => 1,
            Rank::Number(_) => 2,
            Rank::Text(_) => 3,
        };
        match (self, other) {
            (Rank::Bool(a), Rank::Bool(b)) => a.cmp(b),
            (Rank::Number(a), Rank::Number(b)) => a.total_cmp(b),
            (Rank::Text(a), Rank::Text(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }
}

/// The rank of an expression; the greatest item of a list counts.
pub(super) fn rank(expr: &Expr, env: &Env<'_>) -> Rank {
    let one = |value: &Value<'_>| match value {
        Value::Null | Value::List(_) => Rank::Undefined,
        Value::Bool(b) => Rank::Bool(*b),
        Value::Text(text) => Rank::Text(text.to_string()),
        number => Rank::Number(float(number).unwrap_or(0.0)),
    };
    let value = eval(expr, env);
    value.as_ref().and_then(|v| items(v).iter().map(one).max()).unwrap_or(Rank::Undefined)
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

fn one(a: &Value<'_>, operator: Operator, b: &Value<'_>) -> bool {
    let texts = a.as_str().zip(b.as_str());
    match operator {
        Operator::Equal | Operator::In => equal(a, b),
        Operator::NotEqual => !equal(a, b),
        Operator::Starts => texts.is_some_and(|(a, b)| a.starts_with(b)),
        Operator::Ends => texts.is_some_and(|(a, b)| a.ends_with(b)),
        Operator::Contains => texts.is_some_and(|(a, b)| a.contains(b)),
        Operator::Greater => order(a, b).is_some_and(Ordering::is_gt),
        Operator::GreaterEqual => order(a, b).is_some_and(Ordering::is_ge),
        Operator::Less => order(a, b).is_some_and(Ordering::is_lt),
        Operator::LessEqual => order(a, b).is_some_and(Ordering::is_le),
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
pub(super) fn render<'r>(template: &'r Template, env: &Env<'r>) -> Result<Value<'r>, &'r str> {
    if let [Part::Expr(expr, text)] = template.parts.as_slice() {
        return eval(expr, env).ok_or(text);
    }
    let mut out = String::new();
    for part in &template.parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Expr(expr, text) => match eval(expr, env) {
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

    fn with_env<T>(f: impl FnOnce(&Env<'_>) -> T) -> T {
        let json = r#"{"name": "Alice", "n": 5, "text": "5", "empty": "", "null": null,
            "tags": ["a", "b"], "on": true, "deep": {"x": [{"y": "z"}]}, "none": []}"#;
        let row = Row::Data(Data::from_json(serde_json::from_str(json).unwrap()).unwrap());
        let row = RowAt { row, parent: None, doc: None, file: 0, line: 7 };
        let file = FileFacts {
            shown: "mappings/data/a.json".into(),
            path: "data/a.json".into(),
            stem: "a".into(),
        };
        let (tables, columns) = (Tables::new(), Columns::default());
        f(&Env::of_row(&Shared { tables: &tables, junk: &[] }, &row, &columns, &file))
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
