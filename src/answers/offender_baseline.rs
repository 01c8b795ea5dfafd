//! A baseline: the offenders of questions and tests that a team knows about and has not mended yet.
//!
//! The file is TOML with one offender on a line, in the order of names, so that a diff shows who came
//! and who went. Nothing but the offenders is in it: numbers and times would change by themselves.

use super::AnswerError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

/// Known offenders by the name of a promise.
type OffenderSets = BTreeMap<String, BTreeSet<String>>;

/// The offenders that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffenderBaseline {
    /// Offenders by question.
    #[serde(default)]
    questions: OffenderSets,
    /// Offenders by scope and test.
    #[serde(default)]
    tests: BTreeMap<String, OffenderSets>,
}

/// The name of a promise that a baseline knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BaselineName {
    /// A saved question.
    Question(String),
    /// A test of the file of a scope.
    Test(String, String),
}

const HEAD: &str = "\
# Offenders that are known: they are told, and fail nothing. New ones fail.
# Written by --write-baseline; a line may go once its offender is mended.
";

impl OffenderBaseline {
    /// Reads a baseline.
    ///
    /// # Errors
    ///
    /// The error of reading, or the first fault of the file with its place.
    pub fn load(path: &Path) -> Result<OffenderBaseline, AnswerError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|e| AnswerError::unreadable_file(path, &e))?;
        toml::from_str(&text).map_err(|e| {
            let source = crate::lang::SourceText::whole(path.display().to_string(), text.as_str());
            let (line, column) = source.place(e.span().map_or(0, |span| span.start));
            AnswerError::invalid(format!("{}:{line}:{column}: {}", path.display(), e.message()))
        })
    }

    /// Reads a baseline that is about to be written, and so need not be there.
    ///
    /// # Errors
    ///
    /// Those of [`OffenderBaseline::load`], but for a missing file.
    pub fn load_or_default(path: &Path) -> Result<OffenderBaseline, AnswerError> {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(OffenderBaseline::default()),
            _ => OffenderBaseline::load(path),
        }
    }

    /// Returns the known offenders of a promise.
    pub fn offenders(&self, name: &BaselineName) -> Option<&BTreeSet<String>> {
        match name {
            BaselineName::Question(name) => self.questions.get(name),
            BaselineName::Test(scope, name) => self.tests.get(scope)?.get(name),
        }
    }

    /// Makes `offenders` the known ones of a promise.
    pub fn set(&mut self, name: BaselineName, offenders: BTreeSet<String>) {
        let (all, name) = match name {
            BaselineName::Question(name) => (&mut self.questions, name),
            BaselineName::Test(scope, name) => (self.tests.entry(scope).or_default(), name),
        };
        match offenders.is_empty() {
            true => all.remove(&name),
            false => all.insert(name, offenders),
        };
        self.tests.retain(|_, tests| !tests.is_empty());
    }

    /// Returns the questions that it knows.
    pub fn questions(&self) -> impl Iterator<Item = BaselineName> + '_ {
        self.questions.keys().cloned().map(BaselineName::Question)
    }

    /// Returns the tests that it knows of a scope.
    pub fn tests_of(&self, scope: &str) -> Vec<BaselineName> {
        let tests = self.tests.get(scope).into_iter().flatten();
        tests.map(|(name, _)| BaselineName::Test(scope.to_owned(), name.clone())).collect()
    }

    /// Returns the text of the file.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        put_table(&mut text, "questions", &self.questions);
        for (scope, tests) in &self.tests {
            put_table(&mut text, &format!("tests.{}", quoted(scope)), tests);
        }
        text
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, self.text())
    }
}

fn put_table(text: &mut String, name: &str, sets: &OffenderSets) {
    if sets.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "\n[{name}]\n");
    for (promise, offenders) in sets {
        let _ = writeln!(text, "{} = [", quoted(promise));
        for offender in offenders {
            let _ = writeln!(text, "  {},", quoted(offender));
        }
        text.push_str("]\n");
    }
}

/// Writes a text between quotes, on one line whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written_and_in_one_order() {
        let mut baseline = OffenderBaseline::default();
        let test = |name: &str| BaselineName::Test("lap \"tops\"".into(), name.into());
        baseline.set(test("each\nline"), set(&["jamf::b", "jamf::a\u{7}"]));
        baseline.set(BaselineName::Question("orphans".into()), set(&["aws::z", "aws::a\\b"]));
        let text = baseline.text();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "",
                "[questions]",
                "\"orphans\" = [",
                "  \"aws::a\\\\b\",",
                "  \"aws::z\",",
                "]",
                "",
                "[tests.\"lap \\\"tops\\\"\"]",
                "\"each\\U0000000Aline\" = [",
                "  \"jamf::a\\U00000007\",",
                "  \"jamf::b\",",
                "]",
            ]
        );
        assert_eq!(toml::from_str::<OffenderBaseline>(&text).ok(), Some(baseline.clone()));
        assert_eq!(baseline.tests_of("lap \"tops\"").len(), 1);
        baseline.set(test("each\nline"), set(&[]));
        assert!(baseline.tests_of("lap \"tops\"").is_empty(), "an empty set leaves nothing behind");
    }
}
