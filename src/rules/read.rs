//! Reads a rules file: yields its rules, or every fault in it, each with its place.

use super::written::{
    CompromiseFlow, FlowDirection, GroupMembership, ImpactEffect, OwnershipKind, RelationshipEnd,
    SilentVerbs, VerbFamily, WrittenRule, WrittenRules,
};
use crate::graph::{fold_name, fold_verb};
use crate::lang::{Diagnostic, SourceText, closest};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The tables of a rules file.
const TABLES: [&str; 6] = ["classes", "impact", "ownership", "inverse", "not_followed", "owners"];
/// Tables of a project file that belong to other parts of the program.
const FOREIGN: [&str; 4] = ["scopes", "filler", "serial", "history"];

pub(super) const ABOUT: [&str; 4] = ["reason", "source", "alternative", "decided"];
pub(super) const IMPACT: [&str; 8] =
    ["verb", "from", "to", "compromise", "group", "up", "down", "failure"];
pub(super) const OWNERSHIP: [&str; 4] = ["kind", "verb", "from", "to"];
pub(super) const INVERSE: [&str; 3] = ["verb", "same", "inverse"];

/// The most rules of one file. The index numbers rules in 16 bits.
const RULES_MAX: usize = 5_000;

type SpannedValue<'a> = Spanned<DeValue<'a>>;

/// Reads a rules file. Returns its rules, and true if it says anything about rules.
pub(super) fn read(
    source: &Arc<SourceText>,
    built_in: bool,
) -> Result<(WrittenRules, bool), Vec<Diagnostic>> {
    let table = match DeTable::parse(&source.text) {
        Ok(table) => table,
        Err(error) => {
            let message = error.message().replace('\n', ", ");
            let fault = Diagnostic::error("R0101", source, message);
            return Err(vec![fault.at(error.span().unwrap_or(0..0), "")]);
        }
    };
    let mut reader = RulesReader { source, built_in, faults: Vec::new(), sets: Vec::new() };
    let written = reader.file(table.get_ref());
    if reader.faults.iter().any(|fault| fault.severity == crate::lang::DiagnosticSeverity::Error) {
        // Tables are read kind by kind, so the faults are put into the order of the text.
        reader.faults.sort_by_key(Diagnostic::place);
        return Err(reader.faults);
    }
    let says = written != WrittenRules::default();
    Ok((written, says))
}

struct RulesReader<'s> {
    source: &'s Arc<SourceText>,
    built_in: bool,
    faults: Vec<Diagnostic>,
    /// Names of sets, of this file and of the program.
    sets: Vec<String>,
}

/// A table of the file: its place in the text, and its members.
struct SpannedTable<'a> {
    span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> SpannedTable<'a> {
    fn get(&self, key: &str) -> Option<&'a SpannedValue<'a>> {
        self.table.iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| value)
    }
}

/// The table, verb and ends of a rule, to find two rules that speak of the same.
type RuleSignature = (&'static str, String, Vec<String>, Vec<String>);

impl<'s> RulesReader<'s> {
    fn fault(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
    ) -> &mut Diagnostic {
        self.faults.push(Diagnostic::error(code, self.source, message).at(span, ""));
        self.faults.last_mut().expect("BUG: one was pushed")
    }

    fn file(&mut self, table: &DeTable<'_>) -> WrittenRules {
        for (key, _) in table.iter() {
            let name = key.get_ref().as_ref();
            if !TABLES.contains(&name) && (self.built_in || !FOREIGN.contains(&name)) {
                self.unknown("table", name, key.span(), &[&TABLES[..], &FOREIGN[..]].concat());
            }
        }
        let top = SpannedTable { span: 0..0, table };
        let mut written = WrittenRules::default();
        // A project may name the sets of the program.
        if !self.built_in {
            self.sets = super::built_in().sets.into_iter().map(|(name, _)| name).collect();
        }
        written.sets = self.classes(&top);
        written.owners = self.owners(&top);
        let mut said: HashMap<RuleSignature, Range<usize>> = HashMap::new();
        for entry in self.tables(&top, "impact") {
            self.keys("[[impact]]", &entry, &[&IMPACT[..], &ABOUT[..]].concat());
            let meaning = self.impact(&entry);
            let rule = self.rule(&entry, meaning);
            self.check_unique("impact", &entry, &rule, &mut said);
            written.impact.push(rule);
        }
        for entry in self.tables(&top, "ownership") {
            self.keys("[[ownership]]", &entry, &[&OWNERSHIP[..], &ABOUT[..]].concat());
            let meaning = self.owning(&entry);
            let rule = self.rule(&entry, meaning);
            self.check_unique("ownership", &entry, &rule, &mut said);
            written.ownership.push(rule);
        }
        for entry in self.tables(&top, "inverse") {
            self.keys("[[inverse]]", &entry, &INVERSE);
            written.families.push(self.family(&entry));
        }
        for entry in self.tables(&top, "not_followed") {
            self.keys("[[not_followed]]", &entry, &["verb", "reason"]);
            let verbs = self.names(&entry, "verb", true);
            let reason = self.text(&entry, "reason").map(|(text, _)| text).unwrap_or_default();
            written.silent.push(SilentVerbs { verbs, reason });
        }
        if written.impact.len() + written.ownership.len() > RULES_MAX {
            let message = format!("the file has more than {RULES_MAX} rules");
            self.fault("R0110", 0..0, message);
        }
        written
    }

    fn classes(&mut self, top: &SpannedTable<'_>) -> Vec<(String, Vec<String>)> {
        let Some(value) = top.get("classes") else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_kind("a table of lists", value);
            return Vec::new();
        };
        let names: Vec<String> = table.iter().map(|(key, _)| key.get_ref().to_string()).collect();
        // All names first, since rules may name a set of the same file.
        self.sets.extend(names.iter().cloned());
        let entry = SpannedTable { span: value.span(), table };
        names.into_iter().map(|name| (name.clone(), self.names(&entry, &name, false))).collect()
    }

    fn owners(&mut self, top: &SpannedTable<'_>) -> Vec<String> {
        let Some(value) = top.get("owners") else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_kind("a table", value);
            return Vec::new();
        };
        let entry = SpannedTable { span: value.span(), table };
        self.keys("[owners]", &entry, &["classes"]);
        if entry.get("classes").is_none() {
            self.fault("R0104", value.span(), "`[owners]` has no `classes`".into());
        }
        self.names(&entry, "classes", false)
    }

    /// The tables of an array of tables.
    fn tables<'a>(&mut self, top: &SpannedTable<'a>, name: &str) -> Vec<SpannedTable<'a>> {
        let Some(value) = top.get(name) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_kind(&format!("an array of tables, `[[{name}]]`"), value);
            return Vec::new();
        };
        let mut entries = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => entries.push(SpannedTable { span: item.span(), table }),
                None => self.wrong_kind("a table", item),
            }
        }
        entries
    }

    fn keys(&mut self, of: &str, entry: &SpannedTable<'_>, known: &[&str]) {
        for (key, _) in entry.table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                self.unknown(&format!("key of `{of}`"), name, key.span(), known);
            }
        }
    }

    fn unknown(&mut self, noun: &str, name: &str, span: Range<usize>, known: &[&str]) {
        let help = match closest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", list(known)),
        };
        self.fault("R0102", span, format!("unknown {noun}: `{name}`")).helps.push(help);
    }

    fn wrong_kind(&mut self, expected: &str, value: &SpannedValue<'_>) {
        let kind = value.get_ref().type_str();
        let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("expected {expected}, found {article} {kind}");
        self.fault("R0103", value.span(), message);
    }

    /// A text that may be absent.
    fn text(&mut self, entry: &SpannedTable<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = entry.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), value.span())),
            None => {
                self.wrong_kind("a string", value);
                None
            }
        }
    }

    /// Reads a name or a list of names. A list must have at least one.
    fn names(&mut self, entry: &SpannedTable<'_>, key: &str, needed: bool) -> Vec<String> {
        let Some(value) = entry.get(key) else {
            if needed {
                self.fault("R0104", entry.span.clone(), format!("a rule needs `{key}`"));
            }
            return Vec::new();
        };
        let items: Vec<&SpannedValue<'_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() {
            let message = format!("`{key}` is an empty list");
            let fault = self.fault("R0107", value.span(), message);
            fault.helps.push("leave it out to mean anything".into());
        }
        let mut names = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                None => self.wrong_kind("a name", item),
                Some(name) => match crate::graph::check_name(crate::graph::NameKind::Class, name) {
                    Ok(()) => names.push(name.to_owned()),
                    Err(e) => {
                        self.fault("R0107", item.span(), e.to_string());
                    }
                },
            }
        }
        names
    }

    /// Reads the classes of an end. Each `@set` must be known.
    fn end(&mut self, entry: &SpannedTable<'_>, key: &str) -> Vec<String> {
        let names = self.names(entry, key, false);
        for name in &names {
            let Some(set) = name.strip_prefix('@') else { continue };
            if self.sets.iter().any(|known| known == set) {
                continue;
            }
            let span = entry.get(key).map_or(entry.span.clone(), |value| place_of(value, name));
            let known: Vec<String> = self.sets.iter().map(|set| format!("@{set}")).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            self.unknown("set of classes", name, span, &known);
        }
        names
    }

    /// Reads one of a few words; `default` if the key is absent.
    fn word<T: Copy>(
        &mut self,
        entry: &SpannedTable<'_>,
        key: &str,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let Some((word, span)) = self.text(entry, key) else { return default };
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, meaning)) => *meaning,
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let help = match closest(&word, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", list(&known)),
                };
                let message = format!("`{key}` cannot be `{word}`");
                self.fault("R0105", span, message).helps.push(help);
                default
            }
        }
    }

    fn flag(&mut self, entry: &SpannedTable<'_>, key: &str) -> bool {
        let Some(value) = entry.get(key) else { return true };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong_kind("true or false", value);
            true
        })
    }

    fn rule<M>(&mut self, entry: &SpannedTable<'_>, meaning: M) -> WrittenRule<M> {
        let mut about = |key| self.text(entry, key).map(|(text, _)| text).unwrap_or_default();
        let [reason, source, alternative, decided] = ABOUT.map(&mut about);
        // The page in the documentation prints both; a project may leave them out.
        if self.built_in && (reason.is_empty() || source.is_empty()) {
            let message = "a built-in rule needs a reason and a source";
            self.fault("R0104", entry.span.clone(), message.into());
        }
        WrittenRule {
            verbs: self.names(entry, "verb", true),
            from: self.end(entry, "from"),
            to: self.end(entry, "to"),
            meaning,
            reason,
            source,
            alternative,
            decided,
            built_in: self.built_in,
            line: self.source.place(entry.span.start).0,
        }
    }

    fn impact(&mut self, entry: &SpannedTable<'_>) -> ImpactEffect {
        let flows = FlowDirection::ALL.map(|flow| (flow.word(), Some(flow)));
        let mut words = flows.to_vec();
        words.push(("membership", None));
        let compromise = match self.word(entry, "compromise", &words, Some(FlowDirection::None)) {
            Some(flow) => {
                // A flow has no group, so these keys would be ignored without a word.
                for key in ["group", "up", "down"] {
                    if let Some(value) = entry.get(key) {
                        let message = format!("`{key}` goes with `compromise = \"membership\"`");
                        self.fault("R0108", value.span(), message);
                    }
                }
                CompromiseFlow::Flow(flow)
            }
            None => {
                if entry.get("group").is_none() {
                    let message = "a membership needs `group`: which end is the group";
                    let span =
                        entry.get("compromise").map_or(entry.span.clone(), SpannedValue::span);
                    let fault = self.fault("R0104", span, message.into());
                    fault.helps.push("write `group = \"from\"` or `group = \"to\"`".into());
                }
                let sides =
                    [RelationshipEnd::From, RelationshipEnd::To].map(|side| (side.word(), side));
                CompromiseFlow::Membership(GroupMembership {
                    group: self.word(entry, "group", &sides, RelationshipEnd::From),
                    up: self.flag(entry, "up"),
                    down: self.flag(entry, "down"),
                })
            }
        };
        let flows = FlowDirection::ALL.map(|flow| (flow.word(), flow));
        ImpactEffect {
            compromise,
            failure: self.word(entry, "failure", &flows, FlowDirection::None),
        }
    }

    fn owning(&mut self, entry: &SpannedTable<'_>) -> OwnershipKind {
        if entry.get("kind").is_none() {
            self.fault("R0104", entry.span.clone(), "a rule of ownership needs `kind`".into());
        }
        let kinds = OwnershipKind::ALL.map(|kind| (kind.word(), kind));
        self.word(entry, "kind", &kinds, OwnershipKind::None)
    }

    fn family(&mut self, entry: &SpannedTable<'_>) -> VerbFamily {
        let verb = match self.text(entry, "verb") {
            Some((verb, _)) => verb,
            None => {
                if entry.get("verb").is_none() {
                    let message = "a family of verbs needs `verb`".to_owned();
                    self.fault("R0104", entry.span.clone(), message);
                }
                // The fault is noted; the rest of the family is checked all the same.
                String::new()
            }
        };
        let (same, inverse) =
            (self.names(entry, "same", false), self.names(entry, "inverse", false));
        if same.is_empty() && inverse.is_empty() {
            let message = "a family has `same` or `inverse` words beside its verb".to_owned();
            self.fault("R0104", entry.span.clone(), message);
        }
        let head = fold_verb(&verb);
        if let Some(word) = inverse.iter().find(|word| fold_verb(word) == head) {
            let message = format!("`{word}` cannot be its own inverse");
            let span = entry.get("inverse").map_or(entry.span.clone(), |v| place_of(v, word));
            let fault = self.fault("R0108", span, message);
            fault.helps.push("a rule whose flow is `both` passes either way".into());
        }
        VerbFamily { verb, same, inverse, built_in: self.built_in }
    }

    /// Reports a second rule for the same verb and ends: they contradict each other, or one is useless.
    fn check_unique<M>(
        &mut self,
        table: &'static str,
        entry: &SpannedTable<'_>,
        rule: &WrittenRule<M>,
        said: &mut HashMap<RuleSignature, Range<usize>>,
    ) {
        // Names are compared as the index compares them: folded, and in any order.
        let folded = |names: &[String]| {
            let mut folded: Vec<String> = names.iter().map(|name| fold_name(name)).collect();
            folded.sort();
            folded
        };
        for verb in &rule.verbs {
            let saying = (table, fold_verb(verb), folded(&rule.from), folded(&rule.to));
            let span = entry.get("verb").map_or(entry.span.clone(), |value| place_of(value, verb));
            if let Some(first) = said.insert(saying, span.clone()) {
                let message = format!("`{verb}` has a rule for these ends already");
                let fault = Diagnostic::error("R0109", self.source, message).at(span, "again");
                self.faults.push(fault.context(first, "here first"));
            }
        }
    }
}

/// The place of one name in a value that may be a list.
fn place_of(value: &SpannedValue<'_>, name: &str) -> Range<usize> {
    let items = value.get_ref().as_array().into_iter().flat_map(|items| items.iter());
    let mut items = items.filter(|item| item.get_ref().as_str() == Some(name));
    items.next().map_or(value.span(), SpannedValue::span)
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
