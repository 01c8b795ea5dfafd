//! Pictures as files: SVG, and a page that needs nothing else.

use super::args::{DrawingArgs, GraphFormat};
use super::failure::CommandError;
use super::output::{AnswerWriter, clean, counted};
use super::picture_page::PicturePage;
use std::io::Write;
use tombolo::answers::ScopesAnswer;
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

impl DrawingArgs {
    /// Asserts that groups are opened only in a picture.
    ///
    /// # Errors
    ///
    /// A group to open where nothing is drawn.
    pub fn check(&self) -> Result<(), CommandError> {
        if self.open.is_empty() || matches!(self.output, GraphFormat::Svg | GraphFormat::Html) {
            return Ok(());
        }
        let message = "`--open` opens a group of a picture, and this output is none";
        Err(CommandError::mistake(message).hint("add `-o svg` or `-o html`"))
    }
}

/// An answer that is printed as a picture.
pub struct PictureFile<'a> {
    /// What is drawn.
    pub graph: PictureGraph<'a>,
    /// Facts that the answer does not show by itself.
    pub notes: &'a [String],
    /// The command that asks the same.
    pub command: String,
    /// J1QL that asks the same, if there is any.
    pub j1ql: Option<String>,
    /// Groups that are opened, 25 entities for each time that one stands there.
    pub opened: &'a [String],
}

impl PictureFile<'_> {
    /// Prints the picture.
    pub fn print(
        &self,
        out: &mut AnswerWriter<'_>,
        snapshot: &Snapshot,
        format: PictureFormat,
    ) -> Result<(), CommandError> {
        let picture = self.graph.layout(self.opened);
        if let Some(unknown) = self.opened.iter().find(|id| !picture.groups.contains(id)) {
            return Err(no_group(unknown, &picture.groups));
        }
        // Scopes that hold no entities are left out: they would only use up the colours.
        let scopes = ScopesAnswer::read(snapshot)?.scopes.into_iter();
        let scopes = scopes.filter(|scope| scope.entities > 0).map(|scope| scope.scope);
        let scopes: Vec<String> = scopes.collect();
        let text = match format {
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
        };
        Ok(out.write_all(text.as_bytes())?)
    }

    /// The command with the groups that it opened.
    fn opened_command(&self) -> String {
        match self.opened {
            [] => self.command.clone(),
            opened => format!("{} --open {}", self.command, opened.join(",")),
        }
    }
}

fn no_group(unknown: &str, groups: &[String]) -> CommandError {
    let message = format!("the picture has no group `{}`", clean(unknown));
    let hint = match groups {
        [] => "no group is in it: all its entities are drawn one by one".to_owned(),
        groups => {
            let count = counted(groups.len() as u64, "group", "groups");
            let first: Vec<&str> = groups.iter().take(10).map(String::as_str).collect();
            let more = if groups.len() > first.len() { ", …" } else { "" };
            format!(
                "it has {count}: {}{more}; the title of a group's card in the SVG has its id",
                first.join(", ")
            )
        }
    };
    CommandError::mistake(message).hint(hint)
}
