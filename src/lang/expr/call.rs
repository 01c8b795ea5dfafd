//! Calls: which arguments a function evaluates, and what it does with those that are undefined.
//!
//! Functions of one value lie in [`super::function`], functions of lists and objects in
//! [`super::nested_function`].

use super::eval::{ValueSource, defined, eval, eval_nested, holds, text_of};
use super::expr_value::ExprValue;
use super::function::{ExprFunction, apply, as_text};
use super::nested_function;
use super::tree::{CompiledPattern, ExprNode, ExprNodeKind, PathDialect};
use crate::graph::Value;
use crate::lang::items;

/// The value of a call.
pub(super) fn call<'r, R: PathDialect, S: ValueSource<'r, R>>(
    function: ExprFunction,
    arguments: &'r [ExprNode<R>],
    pattern: Option<&CompiledPattern>,
    env: &S,
) -> Option<ExprValue<'r>> {
    use ExprFunction as F;
    let nested = |at: usize| eval_nested(arguments.get(at)?, env);
    let plain = |at: usize| eval(arguments.get(at)?, env);
    let text = |at: usize| plain(at).and_then(|value| Some(as_text(&value)?.into_owned()));
    match function {
        F::If => match holds(&arguments[0], env) {
            true => nested(1),
            false => nested(2),
        },
        F::Default => (0..arguments.len()).find_map(nested),
        F::Lookup => lookup(arguments, env),
        F::Concat => {
            let mut joined = String::new();
            for argument in arguments {
                joined.push_str(&as_text(&eval(argument, env)?)?);
            }
            ExprValue::text(joined)
        }
        F::Join => {
            let between = text(0)?;
            let mut parts = Vec::new();
            for argument in &arguments[1..] {
                if let Some(value) = eval(argument, env) {
                    parts.extend(items(&value).iter().map(text_of).filter(|p| !p.is_empty()));
                }
            }
            ExprValue::text(parts.join(&between))
        }
        F::At => nested_function::at(nested(0)?, &plain(1)?),
        F::Pick => nested_function::pick(nested(0)?, &text(1)?, &plain(2)?, &text(3)?),
        F::First => nested_function::first(nested(0)?),
        F::Last => nested_function::last(nested(0)?),
        F::Count => {
            let count = nested(0).map_or(0, |value| nested_function::count(&value));
            Some(ExprValue::Plain(Value::Int(count)))
        }
        F::Keys => nested_function::keys(nested(0)?),
        F::Values => nested_function::values(nested(0)?),
        F::Tags => nested_function::tags(nested(0)?),
        F::ParseJson => nested_function::parse_json(nested(0)?),
        function => {
            let first = plain(0)?;
            let rest: Option<Vec<String>> = (1..arguments.len()).map(text).collect();
            let pattern = pattern.map(|pattern| &*pattern.0);
            let value = apply(function, first, &rest?, pattern, env.junk())?;
            defined(value).map(ExprValue::Plain)
        }
    }
}

/// The entry of a table; of a list of keys, the entries.
fn lookup<'r, R: PathDialect, S: ValueSource<'r, R>>(
    arguments: &'r [ExprNode<R>],
    env: &S,
) -> Option<ExprValue<'r>> {
    let ExprNodeKind::Literal(Value::Text(table)) = &arguments[0].kind else { return None };
    let found = match eval(&arguments[1], env) {
        Some(Value::List(keys)) => {
            super::eval::list(keys.iter().filter_map(|key| env.lookup(table, &text_of(key))))
        }
        Some(key) => env.lookup(table, &text_of(&key)),
        None => None,
    };
    match found {
        Some(value) => Some(ExprValue::Plain(value)),
        None => eval_nested(arguments.get(2)?, env),
    }
}
