//! What expressions and templates yield for one row.
//!
//! `None` is undefined: a missing or empty value. It equals nothing, not even itself; only
//! `x = undefined` and `x != undefined`, written literally, ask for it (`''`, the empty value, is
//! the same literal). `a != b` is `not a = b`, so it holds when a side is undefined. Comparing
//! values of different kinds is false: the text `5` is not the number 5. A list on either side of
//! a comparison means "any of". An object is no value and counts as undefined.

use super::data::{Columns, Data, Row};
use super::expr::{Expr, ExprKind, Function, Operator, Root, Step};
use super::template::{Part, Template};
use crate::graph::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// What is known of one end of the edge when its key is found.
pub(super) struct EndFacts {
    pub scope: String,
    pub key: String,
    pub type_name: Option<String>,
}

/// Everything an expression can ask for in one row.
#[derive(Clone, Copy)]
pub(super) struct Env<'r> {
    pub row: &'r Row,
    pub columns: &'r Columns,
    pub file_path: &'r str,
    pub file_stem: &'r str,
    pub line: u32,
    /// `from` and `to`, once their keys are known.
    pub ends: Option<(&'r EndFacts, &'r EndFacts)>,
}

/// Whether the condition holds: it yields `true`, nothing else will do.
pub(super) fn holds(expr: &Expr, env: &Env<'_>) -> bool {
    eval(expr, env) == Some(Value::Bool(true))
}

/// The value of an expression.
pub(super) fn eval<'r>(expr: &'r Expr, env: &Env<'r>) -> Option<Value<'r>> {
    match &expr.kind {
        ExprKind::Path(root, steps) => path(*root, steps, env),
        ExprKind::Call(function, arguments) => call(*function, eval(&arguments[0], env)?),
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
    match (root, steps) {
        (Root::Row, _) => match env.row {
            Row::Cells(cells) => match steps {
                [Step::Name(name)] => text(cells.get(*env.columns.get(name)?)?),
                _ => None,
            },
            Row::Data(data) => value(steps.iter().try_fold(data, step)?),
        },
        (Root::File, [Step::Name(name)]) => match name.as_str() {
            "path" => text(env.file_path),
            "stem" => text(env.file_stem),
            "line" => Some(Value::Int(env.line.into())),
            _ => None,
        },
        (Root::From, [Step::Name(name)]) => end(env.ends?.0, name),
        (Root::To, [Step::Name(name)]) => end(env.ends?.1, name),
        _ => None,
    }
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

fn end<'r>(facts: &'r EndFacts, name: &str) -> Option<Value<'r>> {
    match name {
        "_key" => text(&facts.key),
        "_scope" => text(&facts.scope),
        "_type" => text(facts.type_name.as_deref()?),
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

fn call(function: Function, argument: Value<'_>) -> Option<Value<'_>> {
    match argument {
        Value::Text(text) => defined(Value::Text(match function {
            Function::Lower => text.to_lowercase().into(),
            Function::Upper => text.to_uppercase().into(),
            Function::Trim => text.trim().to_owned().into(),
        })),
        Value::List(items) => list(items.into_iter().filter_map(|i| call(function, i))),
        // Only text has case and blanks.
        other => Some(other),
    }
}

fn asks_undefined(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Undefined)
        || matches!(&expr.kind, ExprKind::Literal(Value::Text(text)) if text.is_empty())
}

fn compare<'r>(left: &'r Expr, operator: Operator, right: &'r Expr, env: &Env<'r>) -> bool {
    let asked = match (asks_undefined(left), asks_undefined(right)) {
        (_, true) => Some(left),
        (true, false) => Some(right),
        (false, false) => None,
    };
    match (asked, operator) {
        (Some(side), Operator::Equal) if !(asks_undefined(side)) => eval(side, env).is_none(),
        (Some(side), Operator::NotEqual) if !(asks_undefined(side)) => eval(side, env).is_some(),
        (_, Operator::NotEqual) => !any(eval(left, env), eval(right, env), equal),
        (_, operator) => any(eval(left, env), eval(right, env), |a, b| one(a, operator, b)),
    }
}

/// Whether any item of `left` and any of `right` meet.
fn any(
    left: Option<Value<'_>>,
    right: Option<Value<'_>>,
    meet: impl Fn(&Value<'_>, &Value<'_>) -> bool,
) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    items(&left).iter().any(|a| items(&right).iter().any(|b| meet(a, b)))
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
        Operator::Equal => equal(a, b),
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
    float(a)?.partial_cmp(&float(b)?)
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
                // A list has no one text to stand inside another.
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
        let columns = Columns::new();
        f(&Env {
            row: &row,
            columns: &columns,
            file_path: "data/a.json",
            file_stem: "a",
            line: 7,
            ends: None,
        })
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
