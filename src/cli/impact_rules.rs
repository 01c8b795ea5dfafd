//! `tombolo impact-rules`: the rules of impact and ownership in force, each with its place.

use super::CommandContext;
use super::args::{ImpactRulesArgs, RuleFormat};
use super::failure::CommandError;
use super::output::{AnswerWriter, clean, counted};
use std::io::Write;
use tombolo::answers::rule_origin;
use tombolo::graph::same_verb;
use tombolo::rules::{CompromiseFlow, RuleTable, WrittenRules, impact_words, listed_toml};

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &ImpactRulesArgs) -> Result<u8, CommandError> {
    let rules = context.rules()?;
    let found = args.request().ask(&rules);
    let written = &found.written;
    let out = &mut context.out;
    match args.output {
        RuleFormat::Toml => write!(out, "{}", listed_toml(written))?,
        RuleFormat::Json => out.document(&found)?,
        RuleFormat::Table => {
            print(out, written, &found.file)?;
            for told in meanings(&rules, written, &args.verb) {
                writeln!(out, "{}", clean(&told))?;
            }
            summary(context, &rules, written)?;
        }
    }
    Ok(0)
}

fn any(list: &[String]) -> String {
    if list.is_empty() { "any".to_owned() } else { list.join(", ") }
}

/// Prints each rule on a line of its own: `@teams -HAS, CONTAINS-> @people   from is the group`.
fn print(
    out: &mut AnswerWriter<'_>,
    written: &WrittenRules,
    file: &str,
) -> Result<(), CommandError> {
    let arrow = |from: &[String], verbs: &[String], to: &[String]| {
        format!("{} -{}-> {}", any(from), verbs.join(", "), any(to))
    };
    for rule in &written.impact {
        let (compromise, failure) = impact_words(rule.meaning);
        let compromise = compromise.replace('`', "");
        let compromise = match rule.meaning.compromise {
            CompromiseFlow::Membership(_) => format!("membership, {compromise}"),
            // The dash stands for "passes nothing" in the words of both kinds of impact.
            CompromiseFlow::Flow(_) if compromise == "–" => compromise,
            CompromiseFlow::Flow(_) => format!("taken {compromise}"),
        };
        let passes = match (compromise.as_str(), failure) {
            ("–", "–") => "passes nothing".to_owned(),
            (compromise, "–") => compromise.to_owned(),
            ("–", failure) => format!("fails {failure}"),
            (compromise, failure) => format!("{compromise}, fails {failure}"),
        };
        let ends = clean(&arrow(&rule.from, &rule.verbs, &rule.to)).into_owned();
        out.line("", &format!("{ends}   {passes}   ({})", rule_origin(rule, file)), "    ")?;
    }
    for silent in &written.silent {
        let verbs = clean(&silent.verbs.join(", ")).into_owned();
        out.line("", &format!("{verbs}   not followed   (built-in)"), "    ")?;
    }
    for rule in &written.ownership {
        let ends = clean(&arrow(&rule.from, &rule.verbs, &rule.to)).into_owned();
        let kind = rule.meaning.word();
        out.line(
            "",
            &format!("{ends}   ownership: {kind}   ({})", rule_origin(rule, file)),
            "    ",
        )?;
    }
    Ok(())
}

/// Explains each verb that was asked for but stands in no rule itself.
fn meanings(rules: &RuleTable, written: &WrittenRules, asked: &[String]) -> Vec<String> {
    let speaks = |verbs: &[String], word: &str| verbs.iter().any(|verb| same_verb(verb, word));
    let ruled = |word: &str| {
        written.impact.iter().any(|rule| speaks(&rule.verbs, word))
            || written.ownership.iter().any(|rule| speaks(&rule.verbs, word))
            || written.silent.iter().any(|silent| speaks(&silent.verbs, word))
    };
    let mut told = Vec::new();
    for word in asked.iter().filter(|word| !ruled(word)) {
        let family = written.families.iter().find_map(|family| {
            let turned = speaks(&family.inverse, word);
            (turned || speaks(&family.same, word)).then_some((&family.verb, turned))
        });
        told.push(match family {
            Some((verb, true)) => format!("{word} is {verb} turned round"),
            Some((verb, false)) => format!("{word} means {verb}"),
            None if rules.knows_verb(word) => {
                format!("{word} is the other side of a verb with rules")
            }
            None => format!("no rule speaks of {word}: it is not followed, and answers say so"),
        });
    }
    told
}

fn summary(
    context: &mut CommandContext<'_>,
    rules: &RuleTable,
    written: &WrittenRules,
) -> Result<(), CommandError> {
    let own = written.impact.iter().filter(|rule| !rule.built_in).count()
        + written.ownership.iter().filter(|rule| !rule.built_in).count();
    let all = written.impact.len() + written.ownership.len();
    let out = &mut context.out;
    let all = counted(all as u64, "rule", "rules");
    match rules.file() {
        Some(file) => writeln!(out, "\n{all}, {own} of them in {}", clean(file))?,
        None => writeln!(out, "\n{all}, all built-in")?,
    }
    Ok(out.next("reasons and sources: tombolo impact-rules -o json, or docs/impact-rules.md")?)
}
