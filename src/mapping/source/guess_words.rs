//! The words that a first source file is guessed by: what names say of classes and of verbs.

/// The words of a name: `okta_users-2024` and `OktaUsers` are `okta`, `users`. Numbers, ids, and words
/// that say nothing of the rows are left out.
pub(super) fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        let part = part.trim_end_matches(|c: char| c.is_ascii_digit() && part.len() > 3);
        if part.contains(|c: char| c.is_ascii_digit()) {
            // `k8s` and `ec2` are words, `00gs5to49` is an id, `2024` and `v4` say nothing.
            let is_word = (2..=3).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_alphabetic())
                && !part.starts_with(['v', 'V']);
            words.extend(is_word.then(|| part.to_ascii_lowercase()));
            continue;
        }
        let mut before = ' ';
        for c in part.chars() {
            let starts = before == ' ' || c.is_uppercase() && before.is_lowercase();
            before = c;
            match words.last_mut().filter(|_| !starts) {
                Some(word) => word.push(c.to_ascii_lowercase()),
                None => words.push(c.to_ascii_lowercase().to_string()),
            }
        }
    }
    words.retain(|word| !EMPTY.contains(&word.as_str()));
    words
}

/// The words up to the one that says what a row is: `devices` of `devices expand user`, `computers` of
/// `jamf computers inventory`.
pub(super) fn up_to_noun(mut words: Vec<String>) -> Vec<String> {
    let last = |is: &dyn Fn(&str) -> bool| words.iter().rposition(|word| is(word));
    let many = |word: &str| singular(word) != word;
    let known = |word: &str| class_of(&[word.to_owned()]).is_some();
    let noun =
        last(&|word| many(word) && known(word)).or_else(|| last(&known)).or_else(|| last(&many));
    if let Some(noun) = noun {
        words.truncate(noun + 1);
    }
    words
}

/// Words that say nothing of what a row is.
const EMPTY: [&str; 28] = [
    "value", "values", "result", "results", "item", "items", "data", "node", "entry", "entries",
    "record", "records", "list", "rows", "page", "pages", "export", "dump", "all", "response",
    "output", "report", "full", "latest", "json", "csv", "content", "elements",
];

/// The word that says what a row is; empty if none does.
pub(super) fn noun_of(words: &[String]) -> &str {
    words.last().map_or("", String::as_str)
}

/// One of what a word names.
pub(super) fn singular(word: &str) -> String {
    if word == "people" {
        return "person".to_owned();
    }
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    for ending in ["sses", "xes", "ches", "shes"] {
        if word.ends_with(ending) {
            return word[..word.len() - 2].to_owned();
        }
    }
    let keeps = ["ss", "us", "is"].iter().any(|ending| word.ends_with(ending));
    match word.strip_suffix('s').filter(|stem| stem.len() > 1 && !keeps) {
        Some(stem) => stem.to_owned(),
        None => word.to_owned(),
    }
}

/// Words and the class of what they name.
const CLASSES: [(&str, &str); 67] = [
    ("user", "User"),
    ("member", "User"),
    ("person", "Person"),
    ("employee", "Person"),
    ("staff", "Person"),
    ("contractor", "Person"),
    ("worker", "Person"),
    ("account", "Account"),
    ("tenant", "Account"),
    ("subscription", "Account"),
    ("device", "Device"),
    ("computer", "Device"),
    ("laptop", "Device"),
    ("phone", "Device"),
    ("mobile", "Device"),
    ("asset", "Device"),
    ("workstation", "Device"),
    ("printer", "Device"),
    ("host", "Host"),
    ("server", "Host"),
    ("instance", "Host"),
    ("vm", "Host"),
    ("machine", "Host"),
    ("group", "UserGroup"),
    ("team", "Team"),
    ("department", "Organization"),
    ("organization", "Organization"),
    ("org", "Organization"),
    ("role", "AccessRole"),
    ("policy", "AccessPolicy"),
    ("permission", "AccessPolicy"),
    ("key", "AccessKey"),
    ("application", "Application"),
    ("app", "Application"),
    ("software", "Application"),
    ("service", "Service"),
    ("api", "Service"),
    ("repo", "CodeRepo"),
    ("repository", "CodeRepo"),
    ("project", "Project"),
    ("package", "CodeModule"),
    ("module", "CodeModule"),
    ("image", "Image"),
    ("container", "Container"),
    ("cluster", "Cluster"),
    ("bucket", "DataStore"),
    ("database", "Database"),
    ("db", "Database"),
    ("disk", "Disk"),
    ("volume", "Disk"),
    ("queue", "Queue"),
    ("function", "Function"),
    ("network", "Network"),
    ("vpc", "Network"),
    ("subnet", "Network"),
    ("firewall", "Firewall"),
    ("domain", "Domain"),
    ("certificate", "Certificate"),
    ("cert", "Certificate"),
    ("secret", "Secret"),
    ("site", "Site"),
    ("location", "Site"),
    ("office", "Site"),
    ("vendor", "Vendor"),
    ("supplier", "Vendor"),
    ("finding", "Finding"),
    ("vulnerability", "Vulnerability"),
];

/// The class that the last known of some words names.
pub(super) fn class_of(words: &[String]) -> Option<&'static str> {
    words.iter().rev().find_map(|word| {
        let word = singular(word);
        CLASSES.iter().find(|(known, _)| *known == word).map(|(_, class)| *class)
    })
}

/// The verb of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GuessedVerb {
    pub class: &'static str,
    /// True if the edge starts at the entity that has the reference.
    pub from_own: bool,
    /// True if the name of the column says that it is a reference.
    pub is_named: bool,
}

/// The verb between an entity and one that a column of its row names.
pub(super) fn verb_between(
    column: &[String],
    (own, other): (&str, &str),
    is_list: bool,
    is_same: bool,
) -> GuessedVerb {
    let has = |some: &[&str]| column.iter().any(|word| some.contains(&singular(word).as_str()));
    let verb = |class, from_own, is_named| GuessedVerb { class, from_own, is_named };
    if has(&["owner", "owned"]) {
        return verb("OWNS", false, true);
    }
    if has(&["manager", "supervisor", "boss", "managed", "lead", "admin"]) {
        return verb("MANAGES", false, true);
    }
    if has(&["parent"]) {
        return verb("HAS", false, true);
    }
    let people = |class: &str| matches!(class, "User" | "Person" | "Account" | "Device" | "Host");
    let around = |class: &str| matches!(class, "UserGroup" | "Team" | "Organization" | "Site");
    if has(&["member", "child", "children"]) {
        return verb("HAS", true, true);
    }
    match other {
        "AccessRole" | "Application" | "AccessPolicy" if !around(other) && people(own) => {
            verb("ASSIGNED", true, false)
        }
        _ if around(other) && !around(own) => verb("HAS", false, false),
        // A list names what the entity has; one reference names what it belongs to.
        _ => verb("HAS", is_list && !is_same || around(own), has(&["assigned", "assignee"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_words_and_nouns() {
        let words = |name: &str| words_of(name).join(" ");
        assert_eq!(words("okta_users-2024"), "okta users");
        assert_eq!(words("OktaUserGroups.page2"), "okta user groups");
        assert_eq!(words("results"), "");
        assert_eq!(words("k8s-pods-list"), "k8s pods");
        assert_eq!(words("group-members.00gs5to49AhMBaJNU4x6"), "group members");
        let noun = |name: &str| up_to_noun(words_of(name)).join(" ");
        assert_eq!(noun("devices-expand-user"), "devices");
        assert_eq!(noun("jamf-computers-inventory"), "jamf computers");
        assert_eq!(noun("current-federal"), "current federal");
        let cases =
            ["policies policy", "boxes box", "users user", "status status", "people person"];
        for case in cases {
            let (many, one) = case.split_once(' ').unwrap();
            assert_eq!(singular(many), one);
        }
        let class = |name: &str| class_of(&words_of(name));
        assert_eq!(class("user-groups"), Some("UserGroup"));
        assert_eq!(class("github repos"), Some("CodeRepo"));
        assert_eq!(class("widgets"), None);
    }

    #[test]
    fn verbs_follow_the_column_and_both_classes() {
        let verb = |column: &str, own, other, list| {
            let verb = verb_between(&words_of(column), (own, other), list, false);
            format!("{} {}", verb.class, if verb.from_own { "own first" } else { "other first" })
        };
        assert_eq!(verb("owner_id", "Device", "User", false), "OWNS other first");
        assert_eq!(verb("members", "UserGroup", "User", true), "HAS own first");
        assert_eq!(verb("groups", "User", "UserGroup", true), "HAS other first");
        assert_eq!(verb("roles", "User", "AccessRole", true), "ASSIGNED own first");
        assert_eq!(verb("user", "Device", "User", false), "HAS other first");
    }
}
