//! What the pages of blast radius, owners and paths share: filters, chains, and what is behind an answer.

use super::address::{self, PageParameters};
use super::page::{PageFrame, PageTask};
use super::parts;
use maud::{Markup, html};
use tombolo::answers::{AnswerError, NamedChainStep, StatsAnswer, clean, shell_word};
use tombolo::graph::EntityHead;

/// Names that a field offers.
const OFFERED: usize = 300;

/// The values of a field, separated by commas.
pub fn names(parameters: &PageParameters, name: &str) -> Vec<String> {
    let given = parameters.get(name).unwrap_or_default();
    let each = given.split(',').map(str::trim).filter(|one| !one.is_empty());
    each.map(str::to_owned).collect()
}

/// The names that fields offer: classes, verbs and scopes of this database.
pub struct OfferedNames {
    classes: Vec<String>,
    verbs: Vec<String>,
    scopes: Vec<String>,
}

impl OfferedNames {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn read(task: &PageTask<'_>) -> Result<OfferedNames, AnswerError> {
        let stats = StatsAnswer::read(task.database(), &task.snapshot)?;
        let of = |kind: &str| {
            let own = stats.classes.iter().filter(|class| class.kind == kind && class.live > 0);
            own.map(|class| class.class.clone()).take(OFFERED).collect()
        };
        let scopes = task.frame.scopes.scopes.iter().filter(|scope| scope.entities > 0);
        Ok(OfferedNames {
            classes: of("entities"),
            verbs: of("relationships"),
            scopes: scopes.map(|scope| scope.scope.clone()).take(OFFERED).collect(),
        })
    }

    /// The lists that fields refer to.
    pub fn lists(&self) -> Markup {
        let all = [("l-class", &self.classes), ("l-verb", &self.verbs), ("l-scope", &self.scopes)];
        html! {
            @for (id, names) in all {
                datalist id=(id) { @for name in names { option value=(name) {} } }
            }
        }
    }
}

/// A field of a form that filters.
pub fn field(
    label: &str,
    name: &str,
    value: &str,
    list: Option<&str>,
    placeholder: &str,
) -> Markup {
    html! {
        div class="f" {
            label for={ "f-" (name) } { (label) }
            input id={ "f-" (name) } name=(name) value=(value) list=[list] placeholder=(placeholder)
                autocomplete="off" autocapitalize="off" spellcheck="false";
        }
    }
}

/// A choice between a few words, as a row of buttons.
pub fn choice(label: &str, name: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        fieldset class="wide" {
            legend class="lab" { (label) }
            div class="seg" {
                @for (value, word) in options {
                    label {
                        input type="radio" name=(name) value=(value) checked[*value == chosen];
                        (word)
                    }
                }
            }
        }
    }
}

/// The hops of the form: `all` is as far as it goes.
pub const HOPS: [(&str, &str); 7] =
    [("1", "1"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5"), ("6", "6"), ("", "all")];

/// The number of hops that is asked for.
///
/// # Errors
///
/// A number that is none.
pub fn hops(parameters: &PageParameters) -> Result<Option<u32>, AnswerError> {
    let Some(text) = parameters.get("hops") else { return Ok(None) };
    if text == "all" {
        return Ok(None);
    }
    let number = text.parse::<u32>().ok().filter(|hops| *hops > 0);
    match number {
        Some(hops) => Ok(Some(hops)),
        None => Err(AnswerError::invalid(format!("hops are a number from 1 on, not `{text}`"))),
    }
}

/// A chain as running text: `Payments → OWNS billing → ALLOWS invoices`.
pub fn chain(frame: &PageFrame, first: &EntityHead, steps: &[NamedChainStep]) -> Markup {
    html! {
        span class="chain" {
            (parts::link(frame, first))
            @for step in steps {
                " " (parts::verb(&step.relationship.class, step.direction == "out")) " "
                (parts::link(frame, &step.entity))
            }
        }
    }
}

/// The scopes that say what a chain says, each once.
pub fn said_by(steps: &[NamedChainStep]) -> String {
    let mut scopes: Vec<&str> = Vec::new();
    for step in steps {
        if !scopes.contains(&step.relationship.scope.as_str()) {
            scopes.push(&step.relationship.scope);
        }
    }
    clean(&scopes.join(", ")).into_owned()
}

/// A fault of the question above the form that asked it.
pub fn fault_note(fault: &AnswerError) -> Markup {
    html! {
        div class="notes" role="alert" {
            (parts::note("fail", &html! {
                (parts::sentence(fault.message()))
                @if let Some(advice) = fault.advice() { ". " (parts::sentence(&advice.to_string())) }
            }))
        }
    }
}

/// The command and the query that give the same answer elsewhere, the query made to ask the same state.
pub fn behind(task: &PageTask<'_>, command: &str, j1ql: Option<String>) -> Markup {
    let j1ql = j1ql.map(|text| match task.frame.at() {
        "" => text,
        at => format!("{text} AT {}", j1ql_text(at)),
    });
    parts::panel(
        "h-b",
        "Behind this answer",
        &html! {},
        &html! {
            div class="body" {
                span class="lab" { "Command" }
                (parts::code("command", command))
                @if let Some(j1ql) = &j1ql {
                    span class="lab" { "J1QL" }
                    (parts::code("query", j1ql))
                    p class="sub" { a href=(address::query(j1ql)) { "Ask it" } }
                }
            }
        },
    )
}

/// A command under construction.
pub struct ShellCommand(String);

impl ShellCommand {
    /// `tombolo` with a command.
    pub fn new(command: &str) -> ShellCommand {
        ShellCommand(format!("tombolo {command}"))
    }

    /// The same with a word.
    pub fn word(mut self, text: &str) -> ShellCommand {
        self.0.push(' ');
        self.0.push_str(&shell_word(text));
        self
    }

    /// The same with a flag and its value, if there is one.
    pub fn flag(mut self, name: &str, value: &str) -> ShellCommand {
        if !value.is_empty() {
            self.0.push_str(&format!(" --{name} {}", shell_word(value)));
        }
        self
    }

    /// The same with a flag that takes no value.
    pub fn switch(mut self, name: &str, on: bool) -> ShellCommand {
        if on {
            self.0.push_str(&format!(" --{name}"));
        }
        self
    }

    /// The same with a text that may have several lines.
    pub fn lines(mut self, text: &str) -> ShellCommand {
        let lines: Vec<String> = text.lines().map(|line| clean(line).into_owned()).collect();
        self.0.push_str(&format!(" '{}'", lines.join("\n").replace('\'', "'\\''")));
        self
    }

    /// The command as text.
    pub fn text(self) -> String {
        self.0
    }
}

/// A text of J1QL in quotes.
pub fn j1ql_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_whatever_its_words_hold() {
        let command = ShellCommand::new("blast-radius")
            .word("okta::it's; rm -rf $HOME")
            .flag("class", "Device,User")
            .flag("verb", "")
            .switch("people", true);
        let text =
            "tombolo blast-radius 'okta::it'\\''s; rm -rf $HOME' --class Device,User --people";
        assert_eq!(command.text(), text);
    }
}
