//! Selectors and steps in the words of the query, for plans and notes that people read.

use super::resolved::{EntityTest, ExpandStep, SelectorKind};
use super::syntax::StepDirection;

/// The verbs and the way of a step in the words of the query.
pub(super) fn hop_words(hop: &ExpandStep) -> String {
    let verbs = match &hop.verbs {
        Some(verbs) => verbs.iter().map(|verb| verb.name.as_str()).collect::<Vec<_>>().join("|"),
        None => "RELATES TO".to_owned(),
    };
    let repeat = hop.repeat.map_or(String::new(), |(least, most)| format!("{{{least},{most}}}"));
    match hop.arrow {
        StepDirection::Out => format!("{verbs}{repeat} >>"),
        StepDirection::In => format!("{verbs}{repeat} <<"),
        StepDirection::Both => format!("{verbs}{repeat}"),
    }
}

/// A selector in the words of the query.
pub(super) fn words(test: &EntityTest) -> String {
    let name = |kind: &SelectorKind| match kind {
        SelectorKind::Any => "*".to_owned(),
        SelectorKind::Class(name) | SelectorKind::Type(name) => name.clone(),
        SelectorKind::Words(words) => format!("'{}'", words.join(" ")),
        SelectorKind::All(tests) => tests.iter().map(words).collect::<Vec<_>>().join(" "),
    };
    let names = test.any.iter().map(name).collect::<Vec<_>>().join("|");
    let scope = test.scope.as_ref().map_or(String::new(), |scope| format!(" IN SCOPE '{scope}'"));
    let with = if test.with.is_some() { " WITH ..." } else { "" };
    format!("{names}{scope}{with}")
}

/// The kinds that a scan is made for.
pub(super) fn kind_words(test: &EntityTest) -> String {
    let name = |kind: &SelectorKind| match kind {
        SelectorKind::Class(name) => format!("class {name}"),
        SelectorKind::Type(name) => format!("type {name}"),
        _ => "all entities".to_owned(),
    };
    let mut names: Vec<String> = test.any.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}
