//! `plan --impact` for people: how the blast radius and the owners of some entities would change if a
//! plan were applied.

use super::failure::CommandError;
use super::naming;
use super::output::{AnswerWriter, counted, thousands};
use std::io::Write;
use tombolo::answers::{EntityImpactChange, ImpactComparison};
use tombolo::graph::EntityHead;

/// Entities that are told one by one.
const TOLD: usize = 25;
/// Names of reached entities or owners that are listed.
const NAMED: usize = 5;

/// Prints the comparison for people.
pub fn print(compared: &ImpactComparison, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
    let asked = counted(compared.asked as u64, "entity", "entities");
    let [lose, gain, change] = compared.owner_changes();
    writeln!(out, "\nimpact on {asked}")?;
    let mut parts = vec![
        format!("+{} reached", counted(compared.gained as u64, "entity", "entities")),
        format!("-{} no longer reached", thousands(compared.lost as u64)),
    ];
    for (n, one, many) in [
        (lose, "loses its owner", "lose their owner"),
        (gain, "gains an owner", "gain an owner"),
        (change, "changes owner", "change owner"),
    ] {
        if n > 0 {
            parts.push(format!("{} {}", thousands(n as u64), if n == 1 { one } else { many }));
        }
    }
    let (before, after) = compared.reached;
    writeln!(
        out,
        "  {}   (blast radius {} -> {})",
        parts.join(", "),
        thousands(before as u64),
        thousands(after as u64)
    )?;
    for change in compared.changes.iter().take(TOLD) {
        print_change(change, out)?;
    }
    match compared.changes.len().saturating_sub(TOLD) {
        0 => Ok(()),
        more => Ok(writeln!(out, "  … {} more (-o json lists all)", thousands(more as u64))?),
    }
}

fn names(out: &AnswerWriter<'_>, heads: &[EntityHead]) -> String {
    let mut names: Vec<String> =
        heads.iter().take(NAMED).map(|head| naming::shown(out, head)).collect();
    match heads.len().saturating_sub(NAMED) {
        0 => {}
        more => names.push(format!("… {} more", thousands(more as u64))),
    }
    names.join(", ")
}

fn print_change(
    change: &EntityImpactChange,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    let heading = naming::heading(out, &change.entity);
    let (was, is) = (change.reached.0 as u64, change.reached.1 as u64);
    writeln!(out, "  {heading}   reaches {} -> {}", thousands(was), thousands(is))?;
    for (sign, heads) in [('+', &change.gained), ('-', &change.lost)] {
        if !heads.is_empty() {
            let names = names(out, heads);
            let text = format!("{} {} {names}", out.sign(sign), thousands(heads.len() as u64));
            out.line("    ", &text, "        ")?;
        }
    }
    for turned in change.turned.iter().take(NAMED) {
        let (before, now) = (turned.before.word(), turned.now.word());
        let name = naming::shown(out, &turned.entity);
        let text = format!("{} {name}: {before} -> {now}", out.sign('~'));
        out.line("    ", &text, "        ")?;
    }
    if let Some(more) = change.turned.len().checked_sub(NAMED).filter(|more| *more > 0) {
        writeln!(out, "    ~ … {} more change their state", thousands(more as u64))?;
    }
    let (before, after) = &change.owners;
    if before != after {
        let nobody = |text: String| if text.is_empty() { "nobody".to_owned() } else { text };
        let (before, after) = (nobody(names(out, before)), nobody(names(out, after)));
        writeln!(out, "    owner: {before} -> {after}")?;
    }
    Ok(())
}
