//! What was promised and whether it holds: questions, tests, guards and files, side by side.
//!
//! A face writes this report in the form that a machine of CI reads. A baseline tells the offenders
//! that are known; they are marked, and only new ones fail.

use super::offender_baseline::{BaselineName, OffenderBaseline};
use super::{
    AnswerError, MappingFileSet, MappingOutcome, MappingRunAnswer, MappingState, SourceRunOutcome,
};
use crate::lang::{Diagnostic, DiagnosticSeverity};
use crate::mapping::{TestOffender, TestOutcome};
use crate::sync::JobStatus;
use std::collections::BTreeSet;

/// The kind of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PromiseKind {
    /// A file: it can be read, and its rows and the graph allow it.
    File,
    /// The guards of a file.
    Guards,
    /// A test of a file.
    Test,
    /// A saved question.
    Question,
}

impl PromiseKind {
    /// Its word: `question`.
    pub fn word(self) -> &'static str {
        match self {
            PromiseKind::File => "file",
            PromiseKind::Guards => "guards",
            PromiseKind::Test => "test",
            PromiseKind::Question => "question",
        }
    }
}

/// The verdict about a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PromiseVerdict {
    /// It is kept.
    Holds,
    /// It is not asked, since its file is disabled.
    Skipped,
    /// Only the baseline knows it.
    Vanished,
    /// It is broken by offenders that the baseline knows, and by no others.
    Known,
    /// It is broken, which stops nothing.
    Warns,
    /// It is broken.
    Fails,
    /// It could not be asked.
    Unreadable,
}

/// An entity or a row that breaks a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseOffender {
    /// `SCOPE::KEY`, or the values of a row.
    pub name: String,
    /// True if the baseline knows it.
    pub known: bool,
}

/// One promise, and how it came out.
#[derive(Clone, Debug)]
pub struct PromiseCheck {
    /// Its kind.
    pub kind: PromiseKind,
    /// The file of questions, or the scope of a mapping or source file.
    pub group: String,
    /// Its name inside the group.
    pub name: String,
    /// The file that says it, with line and column.
    pub place: (String, usize, usize),
    /// The verdict.
    pub verdict: PromiseVerdict,
    /// The objection, or that all is as promised, in a sentence without its name.
    pub message: String,
    /// Those who break it, in the order of names.
    pub offenders: Vec<PromiseOffender>,
    /// Offenders that the baseline knows and that are gone.
    pub gone: Vec<String>,
    /// The faults behind the message.
    pub faults: Vec<Diagnostic>,
}

impl PromiseCheck {
    /// A promise that is kept.
    pub fn new(kind: PromiseKind, group: &str, name: &str, file: &str) -> PromiseCheck {
        PromiseCheck {
            kind,
            group: group.to_owned(),
            name: name.to_owned(),
            place: (file.to_owned(), 1, 1),
            verdict: PromiseVerdict::Holds,
            message: String::new(),
            offenders: Vec::new(),
            gone: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Makes offenders of names, none of them known.
    pub fn offended_by(mut self, names: impl IntoIterator<Item = String>) -> PromiseCheck {
        let names: BTreeSet<String> = names.into_iter().collect();
        self.offenders =
            names.into_iter().map(|name| PromiseOffender { name, known: false }).collect();
        self
    }

    /// Returns the number of offenders that are new.
    pub fn new_offenders(&self) -> usize {
        self.offenders.iter().filter(|offender| !offender.known).count()
    }

    /// Returns the name under which a baseline knows it.
    pub fn baseline_name(&self) -> Option<BaselineName> {
        match self.kind {
            PromiseKind::Question => Some(BaselineName::Question(self.name.clone())),
            PromiseKind::Test => Some(BaselineName::Test(self.group.clone(), self.name.clone())),
            PromiseKind::File | PromiseKind::Guards => None,
        }
    }

    /// Puts faults to it. The first error, or else the first fault, becomes its message.
    fn with_faults(mut self, faults: Vec<Diagnostic>) -> PromiseCheck {
        let error = |fault: &&Diagnostic| fault.severity == DiagnosticSeverity::Error;
        let Some(first) = faults.iter().find(error).or(faults.first()) else { return self };
        let (line, column) = first.place();
        self.place = (first.source.file.clone(), line, column);
        self.message = first.message.clone();
        self.verdict = match first.severity {
            DiagnosticSeverity::Error => PromiseVerdict::Fails,
            DiagnosticSeverity::Warning => PromiseVerdict::Warns,
        };
        self.faults = faults;
        self
    }
}

/// All promises of a check, each with its verdict.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Each promise.
    pub checks: Vec<PromiseCheck>,
    /// True if a baseline was laid beside it.
    pub compared: bool,
}

impl CheckReport {
    /// Reports files that were read but not run.
    pub fn of_files(loaded: &MappingFileSet) -> CheckReport {
        let mappings = loaded.mappings.iter().map(|m| (m.scope.as_str(), &m.file));
        let sources = loaded.sources.iter().map(|s| (s.scope.as_str(), &s.file));
        let mut faults = loaded.faults.clone();
        let mut checks = Vec::new();
        for (scope, file) in sources.chain(mappings) {
            let file = file.display().to_string();
            let own = take_faults(&mut faults, |fault| fault.source.file == file);
            checks.push(PromiseCheck::new(PromiseKind::File, scope, &file, &file).with_faults(own));
        }
        // Files with an error have no scope, and data files have faults of their own.
        while let Some(file) = faults.first().map(|fault| fault.source.file.clone()) {
            let own = take_faults(&mut faults, |fault| fault.source.file == file);
            checks.push(PromiseCheck::new(PromiseKind::File, &file, &file, &file).with_faults(own));
        }
        CheckReport { checks, compared: false }
    }

    /// Reports a run of sources and mappings. Faults of files that did not run stand in `loaded`.
    pub fn of_run(run: &MappingRunAnswer, loaded: &[Diagnostic]) -> CheckReport {
        let mut checks = Vec::new();
        for outcome in &run.sources {
            checks.extend(source_checks(outcome));
        }
        for outcome in &run.outcomes {
            checks.extend(mapping_checks(outcome));
        }
        for file in &run.broken {
            let own = loaded.iter().filter(|fault| fault.source.file == *file).cloned().collect();
            let check = PromiseCheck::new(PromiseKind::File, file, file, file).with_faults(own);
            checks.push(PromiseCheck { verdict: PromiseVerdict::Unreadable, ..check });
        }
        CheckReport { checks, compared: false }
    }

    /// Lays a baseline beside the report: tells new offenders from known ones, and who is gone.
    /// A promise with an offender that is new fails as before.
    pub fn compare(&mut self, baseline: &OffenderBaseline) {
        self.compared = true;
        for check in &mut self.checks {
            // Of a promise that could not be asked nobody knows who is gone.
            if matches!(check.verdict, PromiseVerdict::Unreadable | PromiseVerdict::Skipped) {
                continue;
            }
            let Some(known) = check.baseline_name().and_then(|name| baseline.offenders(&name))
            else {
                continue;
            };
            let now: BTreeSet<&str> = check.offenders.iter().map(|o| o.name.as_str()).collect();
            check.gone =
                known.iter().filter(|name| !now.contains(name.as_str())).cloned().collect();
            check.offenders.iter_mut().for_each(|o| o.known = known.contains(&o.name));
            if !check.offenders.is_empty() && check.offenders.iter().all(|o| o.known) {
                check.verdict = PromiseVerdict::Known;
            }
        }
        self.checks.extend(self.vanished(baseline));
    }

    /// Returns what the baseline knows of questions and tests that are no more, of the groups that
    /// were checked.
    fn vanished(&self, baseline: &OffenderBaseline) -> Vec<PromiseCheck> {
        let asked = |kind| self.checks.iter().filter(move |check| check.kind == kind);
        let known: BTreeSet<BaselineName> =
            self.checks.iter().filter_map(PromiseCheck::baseline_name).collect();
        let mut names: Vec<(BaselineName, String)> = Vec::new();
        if let Some(check) = asked(PromiseKind::Question).next() {
            names.extend(baseline.questions().map(|name| (name, check.place.0.clone())));
        }
        // Only a file whose promises were asked tells that one of them is no more.
        let ran = asked(PromiseKind::Guards).filter(|c| c.verdict != PromiseVerdict::Skipped);
        for check in ran {
            let tests = baseline.tests_of(&check.group);
            names.extend(tests.into_iter().map(|name| (name, check.place.0.clone())));
        }
        names.retain(|(name, _)| !known.contains(name));
        let vanished = names.into_iter().map(|(name, file)| {
            let gone = baseline.offenders(&name).into_iter().flatten().cloned().collect();
            let check = match &name {
                BaselineName::Question(name) => {
                    PromiseCheck::new(PromiseKind::Question, &file, name, &file)
                }
                BaselineName::Test(scope, name) => {
                    PromiseCheck::new(PromiseKind::Test, scope, name, &file)
                }
            };
            let message = "only the baseline knows it".to_owned();
            PromiseCheck { gone, message, verdict: PromiseVerdict::Vanished, ..check }
        });
        vanished.collect()
    }

    /// Makes the offenders of this report the known ones of a baseline. What was not asked stays.
    pub fn renew(&self, baseline: &mut OffenderBaseline) {
        for check in &self.checks {
            if matches!(check.verdict, PromiseVerdict::Unreadable | PromiseVerdict::Skipped) {
                continue;
            }
            if let Some(name) = check.baseline_name() {
                let offenders = check.offenders.iter().map(|o| o.name.clone()).collect();
                baseline.set(name, offenders);
            }
        }
    }

    /// Returns the number of promises with this verdict.
    pub fn count(&self, verdict: PromiseVerdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// True if a promise is broken that has to hold.
    pub fn fails(&self) -> bool {
        self.checks.iter().any(|check| check.verdict >= PromiseVerdict::Fails)
    }
}

fn take_faults(faults: &mut Vec<Diagnostic>, is: impl Fn(&Diagnostic) -> bool) -> Vec<Diagnostic> {
    let (own, rest) = std::mem::take(faults).into_iter().partition(is);
    *faults = rest;
    own
}

/// True for a refusal of a guard: of its rows, its scopes, or what it would change.
fn is_refusal(fault: &Diagnostic) -> bool {
    fault.severity == DiagnosticSeverity::Error
        && (fault.code.starts_with("M06") || fault.code == "M0405")
}

/// The state of one file, as its promises are reported.
struct FileFindings<'a> {
    scope: &'a str,
    file: String,
    state: &'a MappingState,
    faults: Vec<Diagnostic>,
}

impl FileFindings<'_> {
    fn check(&self, kind: PromiseKind, name: &str) -> PromiseCheck {
        PromiseCheck::new(kind, self.scope, name, &self.file)
    }

    /// The promises of the file itself and of its guards; those of its tests come from `tests`.
    fn checks(mut self, tests: impl FnOnce(&Self) -> Vec<PromiseCheck>) -> Vec<PromiseCheck> {
        let skipped = |check: PromiseCheck, message: &str| PromiseCheck {
            verdict: PromiseVerdict::Skipped,
            message: message.to_owned(),
            ..check
        };
        match self.state {
            MappingState::Disabled => {
                let check = self.check(PromiseKind::File, "can be planned");
                return vec![skipped(check, "the file is disabled")];
            }
            MappingState::Broken(error) => {
                let check = self.check(PromiseKind::File, "can be planned");
                return vec![unreadable(check, error)];
            }
            _ => {}
        }
        // Tests tell their own faults, with their offenders.
        self.faults.retain(|fault| fault.code != "M0701" && fault.code != "W07");
        let refusals = take_faults(&mut self.faults, is_refusal);
        let others = std::mem::take(&mut self.faults);
        let file = self.check(PromiseKind::File, "can be planned").with_faults(others);
        let failed = matches!(self.state, MappingState::Failed);
        let guards = self.check(PromiseKind::Guards, "guards").with_faults(refusals);
        if failed {
            let guards = skipped(guards, "the file cannot be planned");
            return vec![PromiseCheck { verdict: PromiseVerdict::Unreadable, ..file }, guards];
        }
        let mut all = vec![file, guards];
        all.extend(tests(&self));
        all
    }

    /// The promise of one test. Its verdict and its place stand in its fault.
    fn test(&self, name: &str, kept: &TestOutcome, fault: Option<Diagnostic>) -> PromiseCheck {
        let check = self.check(PromiseKind::Test, name);
        let check = check.with_faults(fault.into_iter().collect());
        match kept {
            TestOutcome::Yes => check,
            TestOutcome::But(words) => PromiseCheck { message: words.clone(), ..check },
            TestOutcome::No(words, offenders) => {
                let names = offenders.iter().map(TestOffender::full_name);
                PromiseCheck { message: words.clone(), ..check }.offended_by(names)
            }
        }
    }
}

fn unreadable(check: PromiseCheck, error: &AnswerError) -> PromiseCheck {
    PromiseCheck {
        verdict: PromiseVerdict::Unreadable,
        message: error.message().to_owned(),
        faults: error.diagnostics().to_vec(),
        ..check
    }
}

fn mapping_checks(outcome: &MappingOutcome) -> Vec<PromiseCheck> {
    let mapping = &outcome.mapping;
    let findings = FileFindings {
        scope: &mapping.scope,
        file: mapping.file.display().to_string(),
        state: &outcome.state,
        faults: outcome.faults.clone(),
    };
    findings.checks(|findings| {
        let tests = mapping.promises.iter().zip(&outcome.resolved.promises);
        let check = |(test, kept)| {
            let test: &crate::mapping::MappingTest = test;
            findings.test(&test.name, kept, mapping.test_diagnostic(test, kept))
        };
        tests.map(check).collect()
    })
}

fn source_checks(outcome: &SourceRunOutcome) -> Vec<PromiseCheck> {
    let source = &outcome.source;
    let findings = FileFindings {
        scope: &source.scope,
        file: source.file.display().to_string(),
        state: &outcome.state,
        faults: outcome.faults.clone(),
    };
    let mut checks = findings.checks(|findings| {
        let tests = source.promises.iter().zip(&outcome.resolved.promises);
        let check = |(test, kept)| {
            let test: &crate::mapping::SourceTest = test;
            findings.test(&test.name, kept, source.test_diagnostic(test, kept))
        };
        tests.map(check).collect()
    });
    // A hold is a state of the job, not a fault of the file.
    if outcome.report().is_some_and(|report| report.status == JobStatus::Held) {
        let guards = checks.iter_mut().find(|check| check.kind == PromiseKind::Guards);
        if let Some(guards) = guards.filter(|check| check.verdict == PromiseVerdict::Holds) {
            guards.verdict = PromiseVerdict::Fails;
            guards.message =
                "the job would be HELD: it deletes more than its guard lets pass".into();
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, offenders: &[&str]) -> PromiseCheck {
        let check = PromiseCheck::new(PromiseKind::Question, "queries.toml", name, "queries.toml");
        let verdict = match offenders.is_empty() {
            true => PromiseVerdict::Holds,
            false => PromiseVerdict::Fails,
        };
        PromiseCheck { verdict, ..check }.offended_by(offenders.iter().map(|o| (*o).to_owned()))
    }

    fn report(checks: &[(&str, &[&str])]) -> CheckReport {
        let checks = checks.iter().map(|(name, offenders)| question(name, offenders)).collect();
        CheckReport { checks, compared: false }
    }

    #[test]
    fn known_offenders_are_marked_new_ones_fail_and_those_gone_are_told() {
        let mut baseline = OffenderBaseline::default();
        report(&[("owned", &["a::1", "a::2"]), ("old", &["a::9"])]).renew(&mut baseline);
        let mut same = report(&[("owned", &["a::2", "a::1"])]);
        same.compare(&baseline);
        assert_eq!(same.checks[0].verdict, PromiseVerdict::Known);
        assert!(!same.fails());
        let vanished = &same.checks[1];
        assert_eq!(
            (vanished.name.as_str(), vanished.gone.as_slice()),
            ("old", &["a::9".into()][..])
        );
        let mut worse = report(&[("owned", &["a::2", "a::3"]), ("old", &[])]);
        worse.compare(&baseline);
        let owned = &worse.checks[0];
        assert_eq!((owned.verdict, owned.new_offenders()), (PromiseVerdict::Fails, 1));
        assert_eq!(owned.gone, ["a::1"]);
        assert_eq!(worse.checks[1].gone, ["a::9"]);
        assert!(worse.fails());
    }

    #[test]
    fn a_promise_that_could_not_be_asked_keeps_its_baseline() {
        let mut baseline = OffenderBaseline::default();
        report(&[("owned", &["a::1"])]).renew(&mut baseline);
        let before = baseline.clone();
        let mut unread = report(&[("owned", &[])]);
        unread.checks[0].verdict = PromiseVerdict::Unreadable;
        unread.compare(&baseline);
        assert!(unread.checks[0].gone.is_empty() && unread.fails());
        unread.renew(&mut baseline);
        assert_eq!(baseline, before);
    }
}
