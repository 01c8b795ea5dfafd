//! Values of placeholders as people write them.

use crate::graph::Value;
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// A value that is given for a placeholder, and its numbers as written: compared with a number,
/// `2.10` is 2.1; compared with a text, it is the version 2.10.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryParameter {
    /// The value.
    pub value: Value<'static>,
    /// The text as written: for a list each item, else one text, or none if it adds nothing to the value.
    pub written: Vec<String>,
}

impl QueryParameter {
    /// Reads a value: JSON as the value that it means, anything else as a text.
    pub fn read(text: &str) -> QueryParameter {
        let own = || (Value::Text(text.to_owned().into()), Vec::new());
        let (value, written) =
            number(text).or_else(|| list(text)).or_else(|| plain(text)).unwrap_or_else(own);
        QueryParameter { value, written }
    }
}

/// A number that 64 bits hold exactly; a longer one stays a text, so that none is rounded.
fn number(text: &str) -> Option<(Value<'static>, Vec<String>)> {
    let Ok(Json::Number(_)) = serde_json::from_str(text) else { return None };
    let text = text.trim();
    Some((Value::number(text)?, vec![text.to_owned()]))
}

fn list(text: &str) -> Option<(Value<'static>, Vec<String>)> {
    let items: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
    let written: Vec<String> = items.iter().map(|raw| raw.get().to_owned()).collect();
    let item = |text: &String| number(text).or_else(|| plain(text)).map(|(value, _)| value);
    let values = written.iter().map(item).collect::<Option<Vec<_>>>()?;
    Some((Value::List(values), written))
}

fn plain(text: &str) -> Option<(Value<'static>, Vec<String>)> {
    let value = match serde_json::from_str(text).ok()? {
        Json::Bool(flag) => Value::Bool(flag),
        Json::String(text) => Value::Text(text.into()),
        _ => return None,
    };
    Some((value, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_how_it_is_written_and_is_never_rounded() {
        let read = |text| {
            let QueryParameter { value, written } = QueryParameter::read(text);
            format!("{value} {written:?}")
        };
        assert_eq!(read("2.10"), "2.1 [\"2.10\"]");
        assert_eq!(read("[2.10, \"a\"]"), "[2.1,\"a\"] [\"2.10\", \"\\\"a\\\"\"]");
        assert_eq!(read("\"2.10\""), "\"2.10\" []");
        assert_eq!(read("true"), "true []");
        assert_eq!(read("18446744073709551616"), "\"18446744073709551616\" []");
        assert_eq!(read("2.14.1"), "\"2.14.1\" []");
        assert_eq!(read("null"), "\"null\" []");
        assert_eq!(read("{}"), "\"{}\" []");
    }
}
