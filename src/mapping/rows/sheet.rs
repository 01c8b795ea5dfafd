//! Sheets of workbooks as rows of cells. A cell is the value that was saved: formulas are not worked
//! out, and one without a saved value is a fault.

use super::RowFile;
use super::files::{open, read_whole};
use calamine::{Data, Range, Reader, Xlsx};
use std::io::{Cursor, Read};

/// A row of a sheet: its number, counted from 1, and its cells as texts.
pub(super) type SheetRow = (u32, Vec<String>);

/// Reads the rows of a sheet: of the one with this name, else of the first.
///
/// # Errors
///
/// Words about a workbook that cannot be read, a sheet that is not there, or a formula without a
/// value.
pub(super) fn read_sheet(file: &RowFile, sheet: Option<&str>) -> Result<Vec<SheetRow>, String> {
    let bytes = read_whole(open(file).map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    check_size(&bytes)?;
    let mut book: Xlsx<_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|e| format!("no workbook: {e}"))?;
    let names = book.sheet_names();
    let name = match sheet {
        Some(name) if names.iter().any(|known| known == name) => name.to_owned(),
        Some(name) => {
            return Err(format!("there is no sheet `{name}`; there are {}", names.join(", ")));
        }
        None => names.first().cloned().ok_or("the workbook has no sheet")?,
    };
    let range = book.worksheet_range(&name).map_err(|e| e.to_string())?;
    let formulas = book.worksheet_formula(&name).map_err(|e| e.to_string())?;
    check_formulas(&range, &formulas)?;
    let first = range.start().map_or(0, |(row, _)| row);
    let rows = range
        .rows()
        .enumerate()
        .map(|(at, cells)| (first + at as u32 + 1, cells.iter().map(cell_text).collect()));
    // Rows without a value are how a sheet ends, or how people part blocks.
    Ok(rows.filter(|(_, cells): &SheetRow| cells.iter().any(|cell| !cell.is_empty())).collect())
}

/// The most bytes that the parts of a workbook may unpack to, taken together.
const UNPACKED_MAX: u64 = 1 << 30;

/// Unpacks the parts once and counts: the reader of workbooks takes all of a part into memory.
fn check_size(bytes: &[u8]) -> Result<(), String> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("no workbook: {e}"))?;
    let mut left = UNPACKED_MAX;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|e| format!("no workbook: {e}"))?;
        let read = std::io::copy(&mut part.take(left + 1), &mut std::io::sink())
            .map_err(|e| format!("no workbook: {e}"))?;
        left = left.checked_sub(read).ok_or("the workbook is larger than 1 GiB")?;
    }
    Ok(())
}

fn check_formulas(values: &Range<Data>, formulas: &Range<String>) -> Result<(), String> {
    let start = formulas.start().unwrap_or_default();
    for (row, column, formula) in formulas.used_cells() {
        let (row, column) = (start.0 + row as u32, start.1 + column as u32);
        let saved = values.get_value((row, column)).is_some_and(|value| *value != Data::Empty);
        if !formula.is_empty() && !saved {
            return Err(format!(
                "cell {}{} holds a formula and no value; save the workbook in a program that works it out",
                column_name(column),
                row + 1
            ));
        }
    }
    Ok(())
}

/// The letters of a column: 0 is `A`, 26 is `AA`.
fn column_name(mut column: u32) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + (column % 26) as u8));
        match column / 26 {
            0 => break,
            more => column = more - 1,
        }
    }
    letters.iter().rev().collect()
}

fn cell_text(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        // Whole numbers are kept as floats in workbooks, and people see them without a point.
        Data::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
            format!("{}", *float as i64)
        }
        Data::Float(float) => float.to_string(),
        Data::Int(int) => int.to_string(),
        Data::Bool(b) => b.to_string(),
        Data::DateTime(date) if date.is_duration() => date.as_f64().to_string(),
        Data::DateTime(date) => match date.to_ymd_hms_milli() {
            (year, month, day, 0, 0, 0, _) => format!("{year:04}-{month:02}-{day:02}"),
            (year, month, day, hour, minute, second, _) => {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
            }
        },
        // What a spreadsheet shows as #N/A is no value.
        Data::Error(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        let names: Vec<String> = [0, 25, 26, 51, 52, 701, 702].map(column_name).into();
        assert_eq!(names, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}
