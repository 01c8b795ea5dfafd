//! Pictures that a command prints: `-o svg` and `-o html`.

use super::args::{DrawingArgs, GraphFormat, PastArgs};
use super::failure::CommandError;
use super::output::AnswerWriter;
use crate::picture_file::{DrawnQuestion, PictureFile, PictureFormat};
use std::io::Write;
use tombolo::store::Snapshot;

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

    /// Prints the picture of an answer.
    pub fn print_picture<Q: DrawnQuestion>(
        &self,
        out: &mut AnswerWriter<'_>,
        snapshot: &Snapshot,
        (question, answer): (&Q, &Q::Answer),
        past: &PastArgs,
    ) -> Result<(), CommandError> {
        let format = match self.output {
            GraphFormat::Html => PictureFormat::Html,
            _ => PictureFormat::Svg,
        };
        let file = PictureFile::new(question, answer, &self.open);
        let file = if past.at.is_some() { file.of_past(snapshot)? } else { file };
        Ok(out.write_all(file.text(snapshot, format)?.as_bytes())?)
    }
}
