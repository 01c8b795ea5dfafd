//! The rules as text for people: the page in the documentation, and TOML to copy.

use super::RuleTable;
use super::written::{
    CompromiseFlow, FlowDirection, GroupMembership, ImpactEffect, RelationshipEnd, WrittenRule,
    WrittenRules,
};
use std::fmt::Write;

/// The compromise and the failure that a rule passes on, in a few words each: an arrow, or which end is
/// the group and its limits.
pub fn impact_words(impact: ImpactEffect) -> (String, &'static str) {
    let arrow = |flow| match flow {
        FlowDirection::Forward => "→",
        FlowDirection::Reverse => "←",
        FlowDirection::Both => "↔",
        FlowDirection::None => "–",
    };
    let compromise = match impact.compromise {
        CompromiseFlow::Flow(flow) => arrow(flow).to_owned(),
        CompromiseFlow::Membership(GroupMembership { group, up, down }) => {
            let limits = match (up, down) {
                (true, true) => "",
                (true, false) => ", up only",
                (false, true) => ", down only",
                (false, false) => ", neither way",
            };
            let group = if group == RelationshipEnd::From { "from" } else { "to" };
            format!("`{group}` is the group{limits}")
        }
    };
    (compromise, arrow(impact.failure))
}

fn names(list: &[String]) -> String {
    match list.is_empty() {
        true => "any".to_owned(),
        false => list.join(", "),
    }
}

/// The documentation page of the built-in rules.
pub fn page() -> String {
    let written = RuleTable::default().written();
    let mut out = String::from(HEAD);
    out.push_str("\n## Sets of classes\n\n| set | classes |\n| --- | --- |\n");
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for (name, classes) in &written.sets {
        line(format!("| `@{name}` | {} |", classes.join(", ")));
    }
    line("\n## Impact\n".into());
    line("| verb | from | to | taken | fails | why | source |".into());
    line("| --- | --- | --- | --- | --- | --- | --- |".into());
    for rule in &written.impact {
        let (compromise, failure) = impact_words(rule.meaning);
        let mark = if rule.decided.is_empty() { "" } else { " *" };
        let verbs = rule.verbs.join(", ");
        let (from, to) = (names(&rule.from), names(&rule.to));
        line(format!(
            "| {verbs} | {from} | {to} | {compromise} | {failure} | {}{mark} | {} |",
            cell(&rule.reason),
            cell(&rule.source)
        ));
    }
    line("\n## Decided\n".into());
    line(
        "Sensible people read these relationships in another way. What was taken, and why:\n"
            .into(),
    );
    line("| verb | from | to | the other reading | why not |".into());
    line("| --- | --- | --- | --- | --- |".into());
    let rows = written.impact.iter().map(decided).chain(written.ownership.iter().map(decided));
    rows.flatten().for_each(&mut line);
    line("\n## Ownership\n".into());
    line("| kind | verb | from (the holder) | to | why | source |".into());
    line("| --- | --- | --- | --- | --- | --- |".into());
    for rule in &written.ownership {
        line(format!(
            "| {} | {} | {} | {} | {} | {} |",
            rule.meaning.word(),
            rule.verbs.join(", "),
            names(&rule.from),
            names(&rule.to),
            cell(&rule.reason),
            cell(&rule.source)
        ));
    }
    line(format!("\nWho can be an owner: {}.", written.owners.join(", ")));
    line("\n## Words for one arrow\n".into());
    line("| verb | the same arrow | turned round |\n| --- | --- | --- |".into());
    for family in &written.families {
        let (same, inverse) = (family.same.join(", "), family.inverse.join(", "));
        line(format!("| {} | {same} | {inverse} |", family.verb));
    }
    line("\n## Known, and passing nothing\n".into());
    line("| verbs | why |\n| --- | --- |".into());
    for silent in &written.silent {
        line(format!("| {} | {} |", silent.verbs.join(", "), cell(&silent.reason)));
    }
    out
}

fn decided<M>(rule: &WrittenRule<M>) -> Option<String> {
    let (verbs, from, to) = (rule.verbs.join(", "), names(&rule.from), names(&rule.to));
    let (other, why) = (cell(&rule.alternative), cell(&rule.decided));
    (!why.is_empty()).then(|| format!("| {verbs} | {from} | {to} | {other} | {why} |"))
}

/// Escapes text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The text of the page before its tables.
const HEAD: &str = include_str!("page.md");

/// The rules in force as the text of a rules file that says the same.
pub fn listed_toml(written: &WrittenRules) -> String {
    let mut out = String::from("[classes]\n");
    for (name, classes) in &written.sets {
        put(&mut out, &key(name), classes);
    }
    for rule in &written.impact {
        out.push_str("\n[[impact]]\n");
        rule_lines(&mut out, rule);
        match rule.meaning.compromise {
            CompromiseFlow::Flow(flow) => text(&mut out, "compromise", flow.word()),
            CompromiseFlow::Membership(GroupMembership { group, up, down }) => {
                text(&mut out, "compromise", "membership");
                text(&mut out, "group", group.word());
                // A flag that a file leaves out is true.
                for (name, yes) in [("up", up), ("down", down)] {
                    if !yes {
                        let _ = writeln!(out, "{name} = false");
                    }
                }
            }
        }
        text(&mut out, "failure", rule.meaning.failure.word());
        about(&mut out, rule);
    }
    for rule in &written.ownership {
        out.push_str("\n[[ownership]]\n");
        text(&mut out, "kind", rule.meaning.word());
        rule_lines(&mut out, rule);
        about(&mut out, rule);
    }
    for family in &written.families {
        out.push_str("\n[[inverse]]\n");
        text(&mut out, "verb", &family.verb);
        put(&mut out, "same", &family.same);
        put(&mut out, "inverse", &family.inverse);
    }
    for silent in &written.silent {
        out.push_str("\n[[not_followed]]\n");
        put(&mut out, "verb", &silent.verbs);
        text(&mut out, "reason", &silent.reason);
    }
    out.push_str("\n[owners]\n");
    put(&mut out, "classes", &written.owners);
    out
}

fn rule_lines<M>(out: &mut String, rule: &WrittenRule<M>) {
    put(out, "verb", &rule.verbs);
    put(out, "from", &rule.from);
    put(out, "to", &rule.to);
}

fn about<M>(out: &mut String, rule: &WrittenRule<M>) {
    for (name, words) in [
        ("reason", &rule.reason),
        ("source", &rule.source),
        ("alternative", &rule.alternative),
        ("decided", &rule.decided),
    ] {
        if !words.is_empty() {
            text(out, name, words);
        }
    }
}

fn key(name: &str) -> String {
    // TOML takes a bare key of these characters only.
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

fn text(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "{name} = {}", quoted(value));
}

/// A list; an empty one is left out.
fn put(out: &mut String, name: &str, values: &[String]) {
    match values {
        [] => {}
        [one] => text(out, name, one),
        all => {
            let all: Vec<String> = all.iter().map(|value| quoted(value)).collect();
            let _ = writeln!(out, "{name} = [{}]", all.join(", "));
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
