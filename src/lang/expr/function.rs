//! The functions of expressions: their names, how many arguments they take, and what they yield.

use super::canonical_forms;
use crate::graph::Value;
use crate::lang::date;
use regex::Regex;

/// A function of the expression language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExprFunction {
    After,
    ArnAccount,
    ArnName,
    ArnRegion,
    ArnService,
    Before,
    Bool,
    Cidr,
    Concat,
    Date,
    Default,
    Domain,
    Email,
    Extract,
    Fqdn,
    Hostname,
    Ip,
    Key,
    Lookup,
    Lower,
    Mac,
    Nfkc,
    Number,
    PrefixLen,
    Replace,
    Repo,
    Serial,
    Split,
    Trim,
    Upper,
    Username,
}

use ExprFunction::*;

impl ExprFunction {
    /// Name, function, and how many arguments it takes at least and at most.
    pub(crate) const ALL: [(&'static str, ExprFunction, usize, usize); 31] = [
        ("after", After, 2, 2),
        ("arn_account", ArnAccount, 1, 1),
        ("arn_name", ArnName, 1, 1),
        ("arn_region", ArnRegion, 1, 1),
        ("arn_service", ArnService, 1, 1),
        ("before", Before, 2, 2),
        ("bool", Bool, 1, 1),
        ("cidr", Cidr, 1, 1),
        ("concat", Concat, 1, usize::MAX),
        ("date", Date, 1, 1),
        ("default", Default, 2, 2),
        ("domain", Domain, 1, 1),
        ("email", Email, 1, 1),
        ("extract", Extract, 2, 2),
        ("fqdn", Fqdn, 1, 1),
        ("hostname", Hostname, 1, 1),
        ("ip", Ip, 1, 1),
        ("key", Key, 1, 1),
        ("lookup", Lookup, 2, 3),
        ("lower", Lower, 1, 1),
        ("mac", Mac, 1, 1),
        ("nfkc", Nfkc, 1, 1),
        ("number", Number, 1, 1),
        ("prefix_len", PrefixLen, 1, 1),
        ("replace", Replace, 3, 3),
        ("repo", Repo, 1, 1),
        ("serial", Serial, 1, 1),
        ("split", Split, 2, 2),
        ("trim", Trim, 1, 1),
        ("upper", Upper, 1, 1),
        ("username", Username, 1, 1),
    ];

    /// The function of this name.
    pub(crate) fn named(name: &str) -> Option<ExprFunction> {
        ExprFunction::ALL.iter().find(|(n, ..)| *n == name).map(|(_, function, ..)| *function)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        ExprFunction::ALL.iter().find(|(_, f, ..)| *f == self).map_or("", |(name, ..)| name)
    }

    /// The number of arguments it takes, in words; `None` if `count` is allowed.
    pub(crate) fn arity_mismatch(self, count: usize) -> Option<String> {
        let (.., min, max) = ExprFunction::ALL.iter().find(|(_, f, ..)| *f == self)?;
        if (*min..=*max).contains(&count) {
            return None;
        }
        let noun = if *max == 1 { "argument" } else { "arguments" };
        Some(match (*min, *max) {
            (min, usize::MAX) => format!("at least {min} argument"),
            (min, max) if min == max => format!("{min} {noun}"),
            (min, max) => format!("{min} or {max} {noun}"),
        })
    }

    /// True if it brings an identifier into its one spelling, so that both sides of a comparison need
    /// it.
    pub(crate) fn is_canonicalizing(self) -> bool {
        matches!(
            self,
            Domain
                | Email
                | Fqdn
                | Hostname
                | Ip
                | Lower
                | Mac
                | Nfkc
                | Repo
                | Serial
                | Trim
                | Upper
                | Username
        )
    }

    /// True if its second argument is a regular expression.
    pub(crate) fn takes_pattern(self) -> bool {
        matches!(self, Extract | Replace)
    }
}

/// The value of a call; undefined arguments are `None`. With a list as the first argument it is the
/// list of the values for each item. `pattern` is the compiled second argument of `extract` and
/// `replace`. `lookup` is not answered here: it needs the tables of a mapping.
pub(crate) fn call<'r>(
    function: ExprFunction,
    arguments: Vec<Option<Value<'r>>>,
    pattern: Option<&Regex>,
    junk: &[String],
) -> Option<Value<'r>> {
    let mut arguments = arguments.into_iter();
    let first = arguments.next()?;
    // Only `default` accepts an undefined argument. `concat` does not go over the items of a list.
    match function {
        Default => return first.or_else(|| arguments.next()?),
        Concat => {
            let mut text = as_text(&first?)?.into_owned();
            for part in arguments {
                text.push_str(&as_text(&part?)?);
            }
            return Some(Value::Text(text.into()));
        }
        _ => {}
    }
    let rest: Vec<Value<'r>> = arguments.collect::<Option<_>>()?;
    let texts: Option<Vec<String>> =
        rest.iter().map(|value| Some(as_text(value)?.into_owned())).collect();
    let texts = texts?;
    match first? {
        Value::List(items) => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                // An item without a value drops out, so one bad item does not spoil the list.
                match one(function, item, &texts, pattern, junk) {
                    Some(Value::List(parts)) => all.extend(parts),
                    Some(value) => all.push(value),
                    None => {}
                }
            }
            (!all.is_empty()).then_some(Value::List(all))
        }
        single => one(function, single, &texts, pattern, junk),
    }
}

/// A scalar as text.
fn as_text<'v>(value: &'v Value<'_>) -> Option<std::borrow::Cow<'v, str>> {
    match value {
        Value::Text(text) => Some(text.as_ref().into()),
        Value::List(_) | Value::Null => None,
        other => Some(other.to_string().into()),
    }
}

fn one<'r>(
    function: ExprFunction,
    value: Value<'r>,
    rest: &[String],
    pattern: Option<&Regex>,
    junk: &[String],
) -> Option<Value<'r>> {
    // Only text has case and blanks. A number or boolean stays as it is.
    match (function, &value) {
        (Lower | Upper | Trim | Nfkc, Value::Text(_)) => {}
        (Lower | Upper | Trim | Nfkc, _) => return Some(value),
        (Number, Value::Int(_) | Value::UInt(_) | Value::Float(_)) => return Some(value),
        (Bool, Value::Bool(_)) => return Some(value),
        // A number is a date already: epoch milliseconds, or seconds where it is small.
        (Date, Value::Int(_)) => {}
        _ => {}
    }
    let text = as_text(&value)?;
    let text = text.as_ref();
    let argument = rest.first().map_or("", String::as_str);
    let found: Option<String> = match function {
        Lower => Some(text.to_lowercase()),
        Upper => Some(text.to_uppercase()),
        Trim => Some(text.trim().to_owned()),
        Nfkc => Some(canonical_forms::nfkc(text)),
        Before => text.split_once(argument).map(|(before, _)| before.to_owned()),
        After => text.split_once(argument).map(|(_, after)| after.to_owned()),
        Extract => {
            let groups = pattern?.captures(text)?;
            let group = groups.get(1).or_else(|| groups.get(0))?;
            Some(group.as_str().to_owned())
        }
        Replace => {
            let with = rest.get(1).map_or("", String::as_str);
            Some(pattern?.replace_all(text, with).into_owned())
        }
        Split => {
            let parts = text.split(argument).map(str::trim).filter(|part| !part.is_empty());
            let parts: Vec<Value<'r>> = parts.map(|p| Value::Text(p.to_owned().into())).collect();
            return (!argument.is_empty() && !parts.is_empty()).then_some(Value::List(parts));
        }
        PrefixLen => return canonical_forms::prefix_len(text).map(Value::Int),
        Date => return date::strict(text).map(Value::Int),
        Number => return Value::number(text.trim()),
        Bool => return canonical_forms::boolean(text).map(Value::Bool),
        other => canonical_form(other, text, junk),
    };
    found.filter(|text| !text.is_empty()).map(|text| Value::Text(text.into()))
}

/// The one spelling of an identifier, or a part of it.
fn canonical_form(function: ExprFunction, text: &str, junk: &[String]) -> Option<String> {
    match function {
        Email => canonical_forms::email(text),
        Username => canonical_forms::username(text),
        Hostname => canonical_forms::hostname(text),
        Fqdn => canonical_forms::fqdn(text),
        Serial => canonical_forms::serial(text, junk),
        Mac => canonical_forms::mac(text),
        Ip => canonical_forms::ip(text),
        Cidr => canonical_forms::cidr(text),
        ArnAccount => canonical_forms::arn(text, "account"),
        ArnRegion => canonical_forms::arn(text, "region"),
        ArnService => canonical_forms::arn(text, "service"),
        ArnName => canonical_forms::arn(text, "name"),
        Repo => canonical_forms::repo(text),
        Domain => canonical_forms::domain(text),
        Key => Some(canonical_forms::key(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Option<Value<'static>> {
        Some(Value::Text(text.to_owned().into()))
    }

    fn run(function: ExprFunction, arguments: &[&str]) -> Option<Value<'static>> {
        let pattern = function.takes_pattern().then(|| Regex::new(arguments[1]).unwrap());
        call(function, arguments.iter().map(|a| text(a)).collect(), pattern.as_ref(), &[])
    }

    #[test]
    fn text_functions_cut_and_replace() {
        assert_eq!(run(Before, &["a/b/c", "/"]), text("a"));
        assert_eq!(run(After, &["a/b/c", "/"]), text("b/c"));
        assert_eq!(run(After, &["abc", "/"]), None);
        assert_eq!(run(Extract, &["see repo:api-x now", "repo:([a-z-]+)"]), text("api-x"));
        assert_eq!(run(Extract, &["abc", "b."]), text("bc"));
        assert_eq!(run(Extract, &["abc", "x"]), None);
        assert_eq!(run(Replace, &["a-b-c", "-", "_"]), text("a_b_c"));
        assert_eq!(
            run(Split, &["a, b,,c", ","]),
            Some(Value::List(["a", "b", "c"].map(|t| Value::Text(t.into())).into()))
        );
        assert_eq!(run(Concat, &["a", "b", "c"]), text("abc"));
    }

    #[test]
    fn default_stands_in_for_what_is_undefined() {
        assert_eq!(call(Default, vec![None, text("x")], None, &[]), text("x"));
        assert_eq!(call(Default, vec![text("y"), text("x")], None, &[]), text("y"));
        assert_eq!(call(Concat, vec![text("y"), None], None, &[]), None);
    }

    #[test]
    fn lists_are_taken_item_by_item_and_junk_drops_out() {
        let list = |items: &[&str]| {
            Some(Value::List(items.iter().map(|i| Value::Text((*i).to_owned().into())).collect()))
        };
        assert_eq!(call(Serial, vec![list(&["c1-2", "N/A"])], None, &[]), list(&["C12"]));
        assert_eq!(call(Email, vec![list(&["x", "y"])], None, &[]), None);
    }

    #[test]
    fn values_get_their_kind() {
        assert_eq!(run(Number, &["12"]), Some(Value::Int(12)));
        assert_eq!(run(Number, &["1e"]), None);
        assert_eq!(run(Bool, &["Yes"]), Some(Value::Bool(true)));
        assert_eq!(run(Date, &["2026-03-01"]), Some(Value::Int(1_772_323_200_000)));
        assert_eq!(call(Lower, vec![Some(Value::Int(5))], None, &[]), Some(Value::Int(5)));
        assert_eq!(call(Key, vec![Some(Value::Int(5))], None, &[]), text("5"));
    }

    proptest! {
        #[test]
        fn no_call_panics(a: String, b: String, c: String) {
            let pattern = Regex::new(&regex::escape(&b)).unwrap();
            for (_, function, min, max) in ExprFunction::ALL {
                for count in min..=max.min(3) {
                    let arguments = [&a, &b, &c][..count].iter().map(|t| text(t)).collect();
                    let _ = call(function, arguments, Some(&pattern), &["x".to_owned()]);
                }
            }
        }
    }
}
