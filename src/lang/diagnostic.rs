//! Faults: the mistakes in a text that people wrote, each with its place and a remedy.
//!
//! A fault is a value, so a run collects all faults before it prints any. People read it in the form
//! that rustc made familiar; programs read one line of JSON. The code of a fault never changes; its
//! words may.

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Patch as Edit, Renderer, Snippet,
};
use std::ops::Range;
use std::sync::Arc;

/// A text that faults point into: a whole file, or one line of a data file with its place in that
/// file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceText {
    /// The path as people gave it.
    pub file: String,
    /// The text. Ranges of labels and patches are bytes of it.
    pub text: String,
    /// The line of the file that `text` begins with, counted from 1.
    pub first_line: usize,
    /// The byte of the file that `text` begins with.
    pub first_byte: usize,
}

impl SourceText {
    /// A file in full.
    pub fn whole(file: impl Into<String>, text: impl Into<String>) -> Arc<SourceText> {
        Arc::new(SourceText { file: file.into(), text: text.into(), first_line: 1, first_byte: 0 })
    }

    /// A line of a file that is too large to carry along.
    pub fn line(file: impl Into<String>, text: impl Into<String>, line: usize) -> Arc<SourceText> {
        Arc::new(SourceText {
            file: file.into(),
            text: text.into(),
            first_line: line,
            first_byte: 0,
        })
    }

    /// Line and column of a byte, both counted from 1; columns count characters.
    pub fn place(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..floor_boundary(&self.text, byte)];
        let line = before.bytes().filter(|&b| b == b'\n').count();
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        (self.first_line + line, before[start..].chars().count() + 1)
    }

    /// `range`, cut to whole characters inside the text.
    fn fit(&self, range: &Range<usize>) -> Range<usize> {
        let start = floor_boundary(&self.text, range.start);
        let end = floor_boundary(&self.text, range.end).max(start);
        start..end
    }
}

/// The last character boundary of `text` that is not after `byte`.
fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// A marked range with a few words. The primary label marks the fault; the others give context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosticLabel {
    /// Bytes of the source.
    pub range: Range<usize>,
    /// A few words about the range; may be empty.
    pub text: String,
    /// True if the fault is here.
    pub primary: bool,
}

/// The one edit that fixes a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedEdit {
    /// The purpose of the edit, in words.
    pub title: String,
    /// Bytes of the source to replace.
    pub range: Range<usize>,
    /// The text to write there.
    pub replacement: String,
}

/// The severity of a fault: an error stops the mapping or query, a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiagnosticSeverity {
    /// Worth a look; the mapping can run.
    Warning,
    /// The mapping cannot run.
    Error,
}

/// One fault. See the module for its two printed forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code for programs, e.g. `M0203`; lints begin with `W`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: DiagnosticSeverity,
    /// The fault and the value, lower case, without a full stop.
    pub message: String,
    /// The text that the labels point into.
    pub source: Arc<SourceText>,
    /// Marked ranges; the first primary one gives line and column.
    pub labels: Vec<DiagnosticLabel>,
    /// Facts that explain.
    pub notes: Vec<String>,
    /// Remedies.
    pub helps: Vec<String>,
    /// The edit that fixes it, where one does.
    pub patch: Option<SuggestedEdit>,
}

impl Diagnostic {
    /// An error without labels.
    pub fn error(
        code: &'static str,
        source: &Arc<SourceText>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code,
            severity: DiagnosticSeverity::Error,
            message: message.into(),
            source: Arc::clone(source),
            labels: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
            patch: None,
        }
    }

    /// A lint without labels.
    pub fn warning(
        code: &'static str,
        source: &Arc<SourceText>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity: DiagnosticSeverity::Warning,
            ..Diagnostic::error(code, source, message)
        }
    }

    /// Marks the place of the fault.
    pub fn at(self, range: Range<usize>, text: impl Into<String>) -> Diagnostic {
        self.label(range, text, true)
    }

    /// Marks a place that explains the fault.
    pub fn context(self, range: Range<usize>, text: impl Into<String>) -> Diagnostic {
        self.label(range, text, false)
    }

    fn label(mut self, range: Range<usize>, text: impl Into<String>, primary: bool) -> Diagnostic {
        self.labels.push(DiagnosticLabel { range, text: text.into(), primary });
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds a remedy.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.helps.push(text.into());
        self
    }

    /// Adds the edit that fixes it.
    pub fn patch(
        mut self,
        title: impl Into<String>,
        range: Range<usize>,
        replacement: impl Into<String>,
    ) -> Diagnostic {
        self.patch =
            Some(SuggestedEdit { title: title.into(), range, replacement: replacement.into() });
        self
    }

    fn primary(&self) -> Option<&DiagnosticLabel> {
        self.labels.iter().find(|l| l.primary).or_else(|| self.labels.first())
    }

    /// Line and column of the fault, both counted from 1.
    pub fn place(&self) -> (usize, usize) {
        self.source.place(self.primary().map_or(0, |l| l.range.start))
    }

    /// The fault as people read it, without colour; ends with a line feed.
    pub fn plain(&self) -> String {
        self.render(&Renderer::plain())
    }

    /// The same with terminal colours.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            DiagnosticSeverity::Error => Level::ERROR,
            DiagnosticSeverity::Warning => Level::WARNING,
        };
        let file = clean(&self.source.file);
        let mut group = Group::with_title(level.primary_title(clean(&self.message)).id(self.code));
        group = match self.labels.is_empty() {
            true => group.element(Origin::path(file.clone())),
            false => group.element(self.snippet().path(file.clone()).annotations(self.marks())),
        };
        group = group.elements(self.notes.iter().map(|n| Level::NOTE.message(clean(n))));
        group = group.elements(self.helps.iter().map(|h| Level::HELP.message(clean(h))));
        let mut report = vec![group];
        if let Some(patch) = &self.patch {
            let edit = Edit::new(self.source.fit(&patch.range), clean(&patch.replacement));
            let title = Level::HELP.secondary_title(clean(&patch.title));
            report.push(title.element(self.snippet().path(file).patch(edit)));
        }
        renderer.render(&report) + "\n"
    }

    fn snippet<T: Clone>(&self) -> Snippet<'_, T> {
        Snippet::source(self.source.text.as_str()).line_start(self.source.first_line)
    }

    fn marks(&self) -> impl Iterator<Item = Annotation<'_>> {
        self.labels.iter().map(|label| {
            let kind = match label.primary {
                true => AnnotationKind::Primary,
                false => AnnotationKind::Context,
            };
            let text = (!label.text.is_empty()).then(|| clean(&label.text));
            kind.span(self.source.fit(&label.range)).label(text)
        })
    }

    /// The fault as one line of JSON, without a line feed.
    pub fn json(&self) -> String {
        let (line, column) = self.place();
        // Programs get the edit as one more help, so that the line keeps one shape.
        let range = self.primary().map_or(0..0, |l| l.range.clone());
        let edit = self.patch.as_ref().map(|p| format!("{}: `{}`", p.title, p.replacement));
        let helps: Vec<String> = self.helps.iter().cloned().chain(edit).collect();
        serde_json::json!({
            "severity": match self.severity {
                DiagnosticSeverity::Error => "error",
                DiagnosticSeverity::Warning => "warning",
            },
            "code": self.code,
            "message": self.message,
            "file": self.source.file,
            "line": line,
            "column": column,
            "byte_start": self.source.first_byte + range.start,
            "byte_end": self.source.first_byte + range.end,
            "help": (!helps.is_empty()).then(|| helps.join("\n")),
        })
        .to_string()
    }
}

/// `text` on one line and without control characters, which terminals would obey.
fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
        out
    })
}

/// Longest name in bytes that is compared with others: comparing two takes as many steps as the
/// product of their lengths.
const NAME_LONGEST: usize = 256;

/// The candidate most similar to `name`; `None` if none is similar enough.
pub(crate) fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > NAME_LONGEST {
        return None;
    }
    // A short name with more errors than a third of it is like too many others.
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NAME_LONGEST)
        .map(|c| (strsim::damerau_levenshtein(&name.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, c)| c)
}
