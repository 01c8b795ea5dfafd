//! Pictures as files to keep: SVG, and a page that needs nothing else. The command line prints them and the
//! server sends them, so both know this module; it knows neither.

mod page;

use page::PicturePage;
use tombolo::answers::{
    AnswerAdvice, AnswerError, BlastRadiusAnswer, BlastRadiusRequest, CountFormat, CyclesAnswer,
    CyclesRequest, OwnersAnswer, OwnersRequest, PathAnswer, PathRequest, ScopesAnswer, clean,
    rfc3339_text,
};
use tombolo::picture::{NoLinks, PictureGraph, SvgOptions};
use tombolo::store::Snapshot;

/// The two forms of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// The picture alone.
    Svg,
    /// A page with the picture, its table and the command.
    Html,
}

/// A question whose answer can be drawn.
pub trait DrawnQuestion {
    /// Its answer.
    type Answer;

    /// The answer as a graph to draw.
    fn graph(answer: &Self::Answer) -> PictureGraph<'_>;

    /// Facts that the answer does not show by itself.
    fn notes(answer: &Self::Answer) -> &[String];

    /// The command that asks the same.
    fn command(&self) -> String;

    /// J1QL that asks the same, if there is any.
    fn j1ql(&self, answer: &Self::Answer) -> Option<String>;
}

impl DrawnQuestion for BlastRadiusRequest {
    type Answer = BlastRadiusAnswer;

    fn graph(answer: &BlastRadiusAnswer) -> PictureGraph<'_> {
        PictureGraph::of_blast_radius(answer)
    }

    fn notes(answer: &BlastRadiusAnswer) -> &[String] {
        &answer.notes
    }

    fn command(&self) -> String {
        BlastRadiusRequest::command(self)
    }

    fn j1ql(&self, answer: &BlastRadiusAnswer) -> Option<String> {
        BlastRadiusRequest::j1ql(self, answer)
    }
}

impl DrawnQuestion for OwnersRequest {
    type Answer = OwnersAnswer;

    fn graph(answer: &OwnersAnswer) -> PictureGraph<'_> {
        PictureGraph::of_owners(answer)
    }

    fn notes(answer: &OwnersAnswer) -> &[String] {
        &answer.notes
    }

    fn command(&self) -> String {
        OwnersRequest::command(self)
    }

    fn j1ql(&self, answer: &OwnersAnswer) -> Option<String> {
        OwnersRequest::j1ql(self, answer)
    }
}

impl DrawnQuestion for PathRequest {
    type Answer = PathAnswer;

    fn graph(answer: &PathAnswer) -> PictureGraph<'_> {
        PictureGraph::of_paths(answer)
    }

    fn notes(answer: &PathAnswer) -> &[String] {
        &answer.notes
    }

    fn command(&self) -> String {
        PathRequest::command(self)
    }

    fn j1ql(&self, answer: &PathAnswer) -> Option<String> {
        PathRequest::j1ql(self, answer)
    }
}

impl DrawnQuestion for CyclesRequest {
    type Answer = CyclesAnswer;

    fn graph(answer: &CyclesAnswer) -> PictureGraph<'_> {
        PictureGraph::of_cycles(answer)
    }

    fn notes(_: &CyclesAnswer) -> &[String] {
        &[]
    }

    fn command(&self) -> String {
        CyclesRequest::command(self)
    }

    fn j1ql(&self, _: &CyclesAnswer) -> Option<String> {
        None
    }
}

/// An answer as a picture to keep.
pub struct PictureFile<'a> {
    graph: PictureGraph<'a>,
    notes: &'a [String],
    command: String,
    j1ql: Option<String>,
    opened: &'a [String],
}

impl<'a> PictureFile<'a> {
    /// A picture of an answer. `opened` are groups, of which 25 entities are drawn for each time that one
    /// stands there.
    pub fn new<Q: DrawnQuestion>(
        question: &Q,
        answer: &'a Q::Answer,
        opened: &'a [String],
    ) -> PictureFile<'a> {
        PictureFile {
            graph: Q::graph(answer),
            notes: Q::notes(answer),
            command: question.command(),
            j1ql: question.j1ql(answer),
            opened,
        }
    }

    /// The same of a state of the past: it says which one, and so do the command and the J1QL in it.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn of_past(mut self, state: &Snapshot) -> Result<PictureFile<'a>, AnswerError> {
        let revision = state.meta().revision;
        let time = state.revision(revision)?.map(|record| rfc3339_text(record.time));
        let time = time.map(|time| format!(" of {time}")).unwrap_or_default();
        self.graph.facts.push(format!("as of revision {revision}{time}"));
        self.command = format!("{} --at {revision}", self.command);
        self.j1ql = self.j1ql.map(|text| format!("{text} AT '{revision}'"));
        Ok(self)
    }

    /// The file.
    ///
    /// # Errors
    ///
    /// A group that the picture has not, or any error of reading.
    pub fn text(&self, snapshot: &Snapshot, format: PictureFormat) -> Result<String, AnswerError> {
        let picture = self.graph.layout(self.opened);
        if let Some(unknown) = self.opened.iter().find(|id| !picture.groups.contains(id)) {
            return Err(no_group(unknown, &picture.groups));
        }
        // Scopes that hold no entities are left out: they would only use up the colours.
        let scopes = ScopesAnswer::read(snapshot)?.scopes.into_iter();
        let scopes = scopes.filter(|scope| scope.entities > 0).map(|scope| scope.scope);
        let scopes: Vec<String> = scopes.collect();
        Ok(match format {
            PictureFormat::Svg => {
                let options = SvgOptions { scopes: &scopes, selected: None };
                picture.to_svg_file(&NoLinks, &options)
            }
            PictureFormat::Html => {
                let page = PicturePage {
                    picture: &picture,
                    notes: self.notes,
                    command: self.opened_command(),
                    j1ql: self.j1ql.as_deref(),
                    scopes: &scopes,
                };
                page.to_html()
            }
        })
    }

    /// The command with the groups that it opened.
    fn opened_command(&self) -> String {
        match self.opened {
            [] => self.command.clone(),
            opened => format!("{} --open {}", self.command, opened.join(",")),
        }
    }
}

fn no_group(unknown: &str, groups: &[String]) -> AnswerError {
    let message = format!("the picture has no group `{}`", clean(unknown));
    let hint = match groups {
        [] => "no group is in it: all its entities are drawn one by one".to_owned(),
        groups => {
            let count = CountFormat::Grouped.counted(groups.len() as u64, "group", "groups");
            let first: Vec<&str> = groups.iter().take(10).map(String::as_str).collect();
            let more = if groups.len() > first.len() { ", …" } else { "" };
            format!(
                "it has {count}: {}{more}; the title of a group's card in the SVG has its id",
                first.join(", ")
            )
        }
    };
    AnswerError::invalid(message).advise(AnswerAdvice::Words(hint))
}
