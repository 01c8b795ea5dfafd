//! The one rule of spelling for verbs and classes: case and the separators `_`, `-` and blank do not
//! count, so `MemberOf`, `MEMBER_OF` and `member-of` are one verb.
//!
//! Names are stored and shown as they came; only comparing them goes through here. Keys, scopes,
//! types and property names are compared letter by letter.

/// The folded form that `name` has in common with all its other spellings.
///
/// A name of separators alone has no other spelling and is left as it is.
pub fn fold_name(name: &str) -> String {
    let folded: String = folded_chars(name).collect();
    if folded.is_empty() { name.to_owned() } else { folded }
}

/// The folded form that `verb` has in common with all its other spellings. A verb may be a pair of
/// words for the two readings of one arrow, such as `Runs on::Runs`; the first word is then the
/// verb.
pub fn fold_verb(verb: &str) -> String {
    match verb.split_once("::") {
        Some((first, _)) if !first.is_empty() => fold_name(first),
        _ => fold_name(verb),
    }
}

/// True if two names of classes, or two words, are spellings of one.
pub fn same_name(a: &str, b: &str) -> bool {
    // Names of separators alone fold to nothing and are equal only letter by letter.
    a == b || (folded_chars(a).eq(folded_chars(b)) && folded_chars(a).next().is_some())
}

/// True if two verbs are spellings of one.
pub fn same_verb(a: &str, b: &str) -> bool {
    a == b || fold_verb(a) == fold_verb(b)
}

/// Folds to capitals first, so that letters with one capital become one: `ß` and `SS`, `σ` and `ς`.
fn folded_chars(name: &str) -> impl Iterator<Item = char> {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_separators_do_not_count() {
        for spelling in
            ["MEMBER_OF", "MemberOf", "memberOf", "member-of", "Member of", "_MEMBER_OF"]
        {
            assert_eq!(fold_name(spelling), "memberof", "{spelling}");
            assert!(same_name(spelling, "MEMBEROF") && same_verb("MEMBEROF", spelling));
        }
        assert!(!same_name("MEMBER_OF", "MEMBERS_OF"));
        assert!(same_name("Straße", "STRASSE") && same_name("ΟΔΟΣ", "οδος"));
    }

    #[test]
    fn of_two_words_for_one_arrow_the_first_counts() {
        assert_eq!(fold_verb("Runs on::Runs"), fold_verb("RUNS_ON"));
        assert!(same_verb("Used by::Uses", "used by"));
        assert_eq!(fold_verb("::Runs"), "::runs");
        assert_eq!(fold_name("a::b"), "a::b");
    }

    #[test]
    fn separators_alone_are_a_name_of_their_own() {
        assert_eq!(fold_name("__"), "__");
        assert!(same_name("_", "_") && !same_name("_", "-") && !same_name("_", ""));
        assert!(!same_verb("_", "-"));
    }
}
