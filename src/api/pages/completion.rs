//! Words that fit where a person types a query: classes, verbs, properties, words of the language.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::page::{PageTask, PageVisit, json};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use tombolo::answers::{StatsAnswer, mappable_scopes};

/// Words that are offered at once.
const OFFERED: usize = 10;

/// The words of the language that may follow a whole step.
const WORDS: [&str; 14] = [
    "THAT", "WITH", "WHERE", "RETURN", "AS", "IN SCOPE", "AND", "OR", "ORDER BY", "LIMIT", "SKIP",
    "UNIQUE", "TREE", "COUNT",
];

/// Sets of verbs that follow the rules.
const RULED: [&str; 3] = ["#Impact", "#Owning", "#Containing"];

/// What is offered.
#[derive(Serialize)]
struct QueryCompletion {
    /// The length of the word that is begun, in UTF-16 units as scripts count them.
    begun: usize,
    /// The words that go on with it.
    words: Vec<String>,
}

/// The kind of word that fits at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WordPlace {
    /// After FIND, or at the end of a step.
    Class,
    /// After THAT.
    Verb,
    /// In a condition, or in RETURN.
    Property,
    /// Anywhere else.
    Language,
}

/// Answers with the words that go on with the text before the cursor.
pub async fn answer(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    json(&app, visit, |task| {
        let before = task.visit.parameters.get("q").unwrap_or_default();
        complete(task, before)
    })
    .await
}

fn complete(task: &PageTask<'_>, before: &str) -> Result<QueryCompletion, ApiError> {
    let word = begun(before);
    // What stands before a dot is the name of a step.
    let typed = word.rsplit_once('.').map_or(word, |(_, property)| property);
    let place = place(before, word);
    let known = match place {
        WordPlace::Property => properties(task)?,
        WordPlace::Class => named(task, "entities")?,
        WordPlace::Verb => {
            let ruled = RULED.iter().map(|word| (*word).to_owned());
            named(task, "relationships")?.into_iter().chain(ruled).collect()
        }
        WordPlace::Language => Vec::new(),
    };
    let language = WORDS.iter().map(|word| (*word).to_owned());
    let small = typed.to_lowercase();
    let fits = |known: &String| {
        let begins = known.to_lowercase().starts_with(&small);
        // A word that is whole already needs no completion.
        begins && known.len() > typed.len() && (!small.is_empty() || place != WordPlace::Language)
    };
    let mut words: Vec<String> = Vec::new();
    for known in known.into_iter().chain(language).filter(fits) {
        if !words.contains(&known) && words.len() < OFFERED {
            words.push(known);
        }
    }
    Ok(QueryCompletion { begun: typed.encode_utf16().count(), words })
}

/// The word that ends at the cursor; may be empty.
fn begun(before: &str) -> &str {
    let letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '#' | '.' | '-');
    let start = before
        .rfind(|c| !letter(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    &before[start..]
}

/// The kind of word that fits behind what stands before it.
fn place(before: &str, word: &str) -> WordPlace {
    if word.contains('.') {
        return WordPlace::Property;
    }
    let rest = before[..before.len() - word.len()].trim_end();
    let split = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
    let last = rest.rsplit(split).find(|word| !word.is_empty()).unwrap_or_default();
    let earlier: Vec<String> = rest.split_whitespace().map(str::to_uppercase).collect();
    let clause = earlier
        .iter()
        .rev()
        .find(|word| matches!(word.as_str(), "FIND" | "THAT" | "WITH" | "WHERE" | "RETURN" | "BY"));
    match (last.to_uppercase().as_str(), clause.map(String::as_str)) {
        ("FIND" | "UNIQUE" | ">>" | "<<", _) => WordPlace::Class,
        ("THAT" | "THAT!" | "!", _) => WordPlace::Verb,
        ("WITH" | "WHERE" | "RETURN" | "BY" | "AND" | "OR", _) => WordPlace::Property,
        (last, Some("RETURN")) if last.ends_with(',') => WordPlace::Property,
        // After the verb of a step comes what it leads to.
        (last, Some("THAT")) if follows_verb(&earlier, last) => WordPlace::Class,
        _ => WordPlace::Language,
    }
}

/// True if the last word is the only one since THAT.
fn follows_verb(earlier: &[String], last: &str) -> bool {
    let mut back = earlier.iter().rev();
    back.next().is_some_and(|word| word.trim_matches(['(', ')']) == last)
        && back.next().is_some_and(|word| word == "THAT")
}

/// The classes and types of entities, or the verbs; the most frequent first.
fn named(task: &PageTask<'_>, kind: &str) -> Result<Vec<String>, ApiError> {
    let stats = StatsAnswer::read(task.database(), &task.snapshot)?;
    let own = stats.classes.iter().filter(|class| class.kind == kind && class.live > 0);
    let mut all: Vec<(u64, String)> = own.map(|class| (class.live, class.class.clone())).collect();
    if kind == "entities" {
        let types = stats.types.iter().filter(|one| one.kind == kind && one.live > 0);
        all.extend(types.map(|one| (0, one.type_name.clone())));
    }
    all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    Ok(all.into_iter().map(|(_, name)| name).collect())
}

/// The properties that entities have, the most frequent of each scope first.
fn properties(task: &PageTask<'_>) -> Result<Vec<String>, ApiError> {
    let mut all: Vec<String> = Vec::new();
    for scope in mappable_scopes(&task.snapshot)? {
        for name in scope.properties {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    let system = ["_key", "_scope", "_type", "_class", "_id", "_createdOn", "_beginOn"];
    all.extend(system.map(str::to_owned));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_says_which_words_fit() {
        let at = |text: &str| place(text, begun(text));
        for (text, expected) in [
            ("", WordPlace::Language),
            ("FIND ", WordPlace::Class),
            ("find Us", WordPlace::Class),
            ("FIND User ", WordPlace::Language),
            ("FIND User WITH ", WordPlace::Property),
            ("FIND User WITH act", WordPlace::Property),
            ("FIND User AS u THAT ", WordPlace::Verb),
            ("FIND User THAT OW", WordPlace::Verb),
            ("FIND User THAT OWNS ", WordPlace::Class),
            ("FIND User THAT OWNS De", WordPlace::Class),
            ("FIND User AS u RETURN u.em", WordPlace::Property),
            ("FIND User AS u RETURN u.email, ", WordPlace::Property),
            ("FIND User THAT (OWNS|HAS) << ", WordPlace::Class),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
        assert_eq!(begun("FIND Usér"), "Usér");
        assert_eq!(begun("a ü"), "ü");
        assert_eq!(begun("x ("), "");
    }
}
