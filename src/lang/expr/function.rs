//! The functions of expressions: their names, how many arguments they take, and what they yield.

use super::canonical_forms;
use crate::graph::Value;
use crate::lang::date;
use regex::Regex;

/// A function of the expression language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExprFunction {
    After,
    AfterLast,
    ArnAccount,
    ArnName,
    ArnRegion,
    ArnService,
    At,
    Before,
    BeforeLast,
    Bool,
    Cidr,
    Concat,
    Count,
    Date,
    Default,
    Domain,
    Email,
    Extract,
    First,
    Fqdn,
    Hostname,
    If,
    Ip,
    Join,
    Key,
    Keys,
    Last,
    Lookup,
    Lower,
    Mac,
    Nfkc,
    Number,
    ParseJson,
    Pick,
    PrefixLen,
    Replace,
    Repo,
    RepoUrl,
    Serial,
    Snake,
    Split,
    Tags,
    Trim,
    Upper,
    Username,
    Values,
}

use ExprFunction::*;

impl ExprFunction {
    /// Name, function, and how many arguments it takes at least and at most.
    pub(crate) const ALL: [(&'static str, ExprFunction, usize, usize); 46] = [
        ("after", After, 2, 2),
        ("after_last", AfterLast, 2, 2),
        ("arn_account", ArnAccount, 1, 1),
        ("arn_name", ArnName, 1, 1),
        ("arn_region", ArnRegion, 1, 1),
        ("arn_service", ArnService, 1, 1),
        ("at", At, 2, 2),
        ("before", Before, 2, 2),
        ("before_last", BeforeLast, 2, 2),
        ("bool", Bool, 1, 1),
        ("cidr", Cidr, 1, 1),
        ("concat", Concat, 1, usize::MAX),
        ("count", Count, 1, 1),
        ("date", Date, 1, 2),
        ("default", Default, 2, usize::MAX),
        ("domain", Domain, 1, 1),
        ("email", Email, 1, 1),
        ("extract", Extract, 2, 2),
        ("first", First, 1, 1),
        ("fqdn", Fqdn, 1, 1),
        ("hostname", Hostname, 1, 1),
        ("if", If, 2, 3),
        ("ip", Ip, 1, 1),
        ("join", Join, 2, usize::MAX),
        ("key", Key, 1, 1),
        ("keys", Keys, 1, 1),
        ("last", Last, 1, 1),
        ("lookup", Lookup, 2, 3),
        ("lower", Lower, 1, 1),
        ("mac", Mac, 1, 1),
        ("nfkc", Nfkc, 1, 1),
        ("number", Number, 1, 1),
        ("parse_json", ParseJson, 1, 1),
        ("pick", Pick, 4, 4),
        ("prefix_len", PrefixLen, 1, 1),
        ("replace", Replace, 3, 3),
        ("repo", Repo, 1, 1),
        ("repo_url", RepoUrl, 1, 1),
        ("serial", Serial, 1, 1),
        ("snake", Snake, 1, 1),
        ("split", Split, 1, 2),
        ("tags", Tags, 1, 1),
        ("trim", Trim, 1, 1),
        ("upper", Upper, 1, 1),
        ("username", Username, 1, 1),
        ("values", Values, 1, 1),
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
            (1, usize::MAX) => "at least 1 argument".to_owned(),
            (min, usize::MAX) => format!("at least {min} arguments"),
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
                | RepoUrl
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

/// The value of a function that takes a value: with a list as the first argument, the list of the
/// values for each item. `pattern` is the compiled second argument of `extract` and `replace`.
pub(super) fn apply<'r>(
    function: ExprFunction,
    first: Value<'r>,
    rest: &[String],
    pattern: Option<&Regex>,
    junk: &[String],
) -> Option<Value<'r>> {
    let Value::List(items) = first else { return one(function, first, rest, pattern, junk) };
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        // An item without a value drops out, so one bad item does not spoil the list.
        match one(function, item, rest, pattern, junk) {
            Some(Value::List(parts)) => all.extend(parts),
            Some(value) => all.push(value),
            None => {}
        }
    }
    (!all.is_empty()).then_some(Value::List(all))
}

/// A scalar as text.
pub(super) fn as_text<'v>(value: &'v Value<'_>) -> Option<std::borrow::Cow<'v, str>> {
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
    match (function, &value) {
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
        BeforeLast => text.rsplit_once(argument).map(|(before, _)| before.to_owned()),
        AfterLast => text.rsplit_once(argument).map(|(_, after)| after.to_owned()),
        Snake => Some(snake(text)),
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
            let parts: Vec<&str> = match argument {
                "" => text.split_whitespace().collect(),
                argument => text.split(argument).map(str::trim).filter(|p| !p.is_empty()).collect(),
            };
            let parts: Vec<Value<'r>> =
                parts.into_iter().map(|part| Value::Text(part.to_owned().into())).collect();
            return (!parts.is_empty()).then_some(Value::List(parts));
        }
        PrefixLen => return canonical_forms::prefix_len(text).map(Value::Int),
        Date if rest.is_empty() => return date::strict(text).map(Value::Int),
        Date => return date::written(text, argument).map(Value::Int),
        Number => return Value::number(text.trim()),
        Bool => return canonical_forms::boolean(text).map(Value::Bool),
        other => canonical_form(other, text, junk),
    };
    found.filter(|text| !text.is_empty()).map(|text| Value::Text(text.into()))
}

/// The one spelling of an identifier, or a part of it.
fn canonical_form(function: ExprFunction, text: &str, junk: &[String]) -> Option<String> {
    match function {
        Email => canonical_forms::email(text, junk),
        Username => canonical_forms::username(text, junk),
        Hostname => canonical_forms::hostname(text, junk),
        Fqdn => canonical_forms::fqdn(text, junk),
        Serial => canonical_forms::serial(text, junk),
        Mac => canonical_forms::mac(text),
        Ip => canonical_forms::ip(text),
        Cidr => canonical_forms::cidr(text),
        ArnAccount => canonical_forms::arn(text, "account"),
        ArnRegion => canonical_forms::arn(text, "region"),
        ArnService => canonical_forms::arn(text, "service"),
        ArnName => canonical_forms::arn(text, "name"),
        Repo => canonical_forms::repo(text),
        RepoUrl => canonical_forms::repo_url(text),
        Domain => canonical_forms::domain(text, junk),
        Key => Some(canonical_forms::key(text)),
        _ => None,
    }
}

/// The words of a name in lower case with `_` between them: `ReplicaSet` is `replica_set`.
fn snake(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 4);
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            // Runs of blanks, dashes and dots are one border.
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(at + 1);
        // `aB` begins a word, and so does the last capital of `HTTPServer` before `erver`.
        let begins = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_numeric()
                    || b.is_uppercase() && after.is_some_and(|a| a.is_lowercase())
            });
        if begins && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out.trim_end_matches('_').to_owned()
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
        let rest: Vec<String> = arguments[1..].iter().map(|a| (*a).to_owned()).collect();
        apply(function, text(arguments[0])?, &rest, pattern.as_ref(), &[])
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
        assert_eq!(run(BeforeLast, &["a/b/c", "/"]), text("a/b"));
        assert_eq!(run(AfterLast, &["a/b/c", "/"]), text("c"));
        assert_eq!(
            run(Split, &[" a  b\tc "]),
            Some(Value::List(["a", "b", "c"].map(|t| Value::Text(t.into())).into()))
        );
    }

    #[test]
    fn snake_finds_the_words_of_a_name() {
        for (name, words) in [
            ("ReplicaSet", "replica_set"),
            ("GenericAll", "generic_all"),
            ("HTTPServer", "http_server"),
            ("S3Bucket", "s3_bucket"),
            ("GPLink", "gp_link"),
            ("Member-Of  x.y", "member_of_x_y"),
            ("already_snake", "already_snake"),
            ("ID", "id"),
        ] {
            assert_eq!(run(Snake, &[name]), text(words), "{name}");
        }
    }

    #[test]
    fn lists_are_taken_item_by_item_and_junk_drops_out() {
        let list = |items: &[&str]| {
            Some(Value::List(items.iter().map(|i| Value::Text((*i).to_owned().into())).collect()))
        };
        assert_eq!(apply(Serial, list(&["c1-2", "N/A"]).unwrap(), &[], None, &[]), list(&["C12"]));
        assert_eq!(apply(Email, list(&["x", "y"]).unwrap(), &[], None, &[]), None);
    }

    #[test]
    fn values_get_their_kind() {
        assert_eq!(run(Number, &["12"]), Some(Value::Int(12)));
        assert_eq!(run(Number, &["1e"]), None);
        assert_eq!(run(Bool, &["Yes"]), Some(Value::Bool(true)));
        assert_eq!(run(Date, &["2026-03-01"]), Some(Value::Int(1_772_323_200_000)));
        assert_eq!(apply(Lower, Value::Int(5), &[], None, &[]), text("5"));
        assert_eq!(apply(Key, Value::Int(5), &[], None, &[]), text("5"));
    }

    proptest! {
        #[test]
        fn no_call_panics(a: String, b: String, c: String) {
            let pattern = Regex::new(&regex::escape(&b)).unwrap();
            for (_, function, min, max) in ExprFunction::ALL {
                for count in min..=max.min(3) {
                    let rest: Vec<String> = [&b, &c][..count - 1].iter().map(|t| (*t).clone()).collect();
                    let first = Value::Text(a.clone().into());
                    let _ = apply(function, first, &rest, Some(&pattern), &["x".to_owned()]);
                }
            }
        }
    }
}
