//! The rules of impact and ownership in force, each with its place.

use super::AnswerDocument;
use crate::graph::same_verb;
use crate::rules::{CompromiseFlow, RuleTable, WrittenRule, WrittenRules};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// A question for the rules in force.
#[derive(Clone, Debug, Default)]
pub struct ImpactRulesRequest {
    /// The only verbs that rules speak of; all if none is named.
    pub verbs: Vec<String>,
}

impl ImpactRulesRequest {
    /// Answers the question.
    pub fn ask(&self, rules: &RuleTable) -> ImpactRulesAnswer {
        let mut written = rules.written();
        if !self.verbs.is_empty() {
            narrow(&mut written, &self.verbs);
        }
        ImpactRulesAnswer { written, file: rules.file().unwrap_or_default().to_owned() }
    }
}

/// The rules as they were written.
pub struct ImpactRulesAnswer {
    /// The rules.
    pub written: WrittenRules,
    /// The file that changes the built-in ones; empty if none does.
    pub file: String,
}

impl Serialize for ImpactRulesAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_json(&self.written, &self.file).serialize(serializer)
    }
}

impl AnswerDocument for ImpactRulesAnswer {}

/// Keeps only the rules about some verbs. A verb is also found by another spelling, by a verb that
/// means the same, or by its inverse.
fn narrow(written: &mut WrittenRules, verbs: &[String]) {
    let mut asked: Vec<String> = verbs.to_vec();
    for family in &written.families {
        let words = family.same.iter().chain(&family.inverse);
        let mut words = words.chain([&family.verb]);
        if words.any(|word| verbs.iter().any(|verb| same_verb(word, verb))) {
            // A rule may name the verb of the family instead of the word that was asked for.
            asked.push(family.verb.clone());
        }
    }
    let speaks = |known: &[String]| {
        known.iter().any(|known| asked.iter().any(|verb| same_verb(known, verb)))
    };
    written.impact.retain(|rule| speaks(&rule.verbs));
    written.ownership.retain(|rule| speaks(&rule.verbs));
    written.silent.retain(|silent| speaks(&silent.verbs));
    written.families.retain(|family| speaks(std::slice::from_ref(&family.verb)));
}

/// The place of a rule: `built-in`, or the line of a file.
pub fn rule_origin<M>(rule: &WrittenRule<M>, file: &str) -> String {
    match rule.built_in {
        true => "built-in".to_owned(),
        false => format!("{file}:{}", rule.line),
    }
}

fn as_json(written: &WrittenRules, file: &str) -> Value {
    let about = |rule: &mut Value, words: [(&str, &String); 4]| {
        for (name, words) in words {
            if !words.is_empty() {
                rule[name] = json!(words);
            }
        }
    };
    let impact = written.impact.iter().map(|rule| {
        let mut json = json!({
            "verb": rule.verbs, "from": rule.from, "to": rule.to,
            "failure": rule.meaning.failure.word(), "origin": rule_origin(rule, file),
        });
        match rule.meaning.compromise {
            CompromiseFlow::Flow(flow) => json["compromise"] = json!(flow.word()),
            CompromiseFlow::Membership(membership) => {
                json["compromise"] = json!("membership");
                json["group"] = json!(membership.group.word());
                json["up"] = json!(membership.up);
                json["down"] = json!(membership.down);
            }
        }
        about(&mut json, rule_sources(rule));
        json
    });
    let ownership = written.ownership.iter().map(|rule| {
        let mut json = json!({
            "kind": rule.meaning.word(), "verb": rule.verbs, "from": rule.from, "to": rule.to,
            "origin": rule_origin(rule, file),
        });
        about(&mut json, rule_sources(rule));
        json
    });
    let families = written.families.iter().map(|family| {
        let origin = if family.built_in { "built-in" } else { file };
        json!({ "verb": family.verb, "same": family.same, "inverse": family.inverse,
                "origin": origin })
    });
    let silent = written
        .silent
        .iter()
        .map(|silent| json!({ "verb": silent.verbs, "reason": silent.reason }));
    json!({
        "impact": impact.collect::<Vec<_>>(),
        "ownership": ownership.collect::<Vec<_>>(),
        "inverse": families.collect::<Vec<_>>(),
        "notFollowed": silent.collect::<Vec<_>>(),
        "classes": written.sets.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "owners": written.owners,
    })
}

fn rule_sources<M>(rule: &WrittenRule<M>) -> [(&'static str, &String); 4] {
    [
        ("reason", &rule.reason),
        ("source", &rule.source),
        ("alternative", &rule.alternative),
        ("decided", &rule.decided),
    ]
}
