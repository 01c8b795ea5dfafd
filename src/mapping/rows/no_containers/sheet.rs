//! Sheets of workbooks, in a build that reads none.

use super::RowFile;

/// A row of a sheet: its number, counted from 1, and its cells as texts.
pub(super) type SheetRow = (u32, Vec<String>);

/// Says that this build reads no workbooks.
pub(super) fn read_sheet(_: &RowFile, _: Option<&str>) -> Result<Vec<SheetRow>, String> {
    Err("this build reads no workbooks: it lacks the feature `containers`".to_owned())
}
