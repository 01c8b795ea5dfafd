//! Sheets of workbooks as rows of cells. A cell is the value that was saved: formulas are not worked
//! out, and one without a saved value is a fault.

use super::RowFile;
use super::files::{open, read_whole};
use calamine::{DataRef, Reader, Xlsx, XlsxError};
use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read};

/// A row of a sheet: its number, counted from 1, and its cells as texts, up to the last that is filled.
pub(super) type SheetRow = (u32, Vec<String>);

/// The most columns of a sheet, filled or not.
const COLUMNS_MAX: u32 = 16_384;

/// The most cells of a sheet, those before a filled one in its row included.
const CELLS_MAX: usize = 20_000_000;

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
    let (rows, filled) = values(&mut book, &name)?;
    check_formulas(&mut book, &name, &filled)?;
    // Rows without a value are how a sheet ends, or how people part blocks.
    Ok(rows.into_iter().filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())).collect())
}

type Book = Xlsx<Cursor<Vec<u8>>>;

/// The rows of a sheet by their numbers, and the places of cells that have a value. Cells are taken one
/// by one: a library that lays them out as a rectangle takes memory for all cells between two far ones.
fn values(
    book: &mut Book,
    name: &str,
) -> Result<(BTreeMap<u32, Vec<String>>, HashSet<(u32, u32)>), String> {
    let words = |e: XlsxError| e.to_string();
    let mut rows: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let (mut filled, mut cells) = (HashSet::new(), 0);
    let mut reader = book.worksheet_cells_reader(name).map_err(words)?;
    while let Some(cell) = reader.next_cell().map_err(words)? {
        let (row, column) = cell.get_position();
        let value = cell.get_value();
        if matches!(value, DataRef::Empty) {
            continue;
        }
        if column >= COLUMNS_MAX {
            return Err(format!("row {} has more than {COLUMNS_MAX} columns", row + 1));
        }
        filled.insert((row, column));
        let texts = rows.entry(row + 1).or_default();
        let at = column as usize;
        if texts.len() <= at {
            cells += at + 1 - texts.len();
            if cells > CELLS_MAX {
                return Err(format!("the sheet has more than {CELLS_MAX} cells"));
            }
            texts.resize(at + 1, String::new());
        }
        texts[at] = cell_text(value);
    }
    Ok((rows, filled))
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

/// A formula without a saved value is a fault: nothing here works it out.
fn check_formulas(book: &mut Book, name: &str, filled: &HashSet<(u32, u32)>) -> Result<(), String> {
    let words = |e: XlsxError| e.to_string();
    let mut reader = book.worksheet_cells_reader(name).map_err(words)?;
    while let Some(cell) = reader.next_formula().map_err(words)? {
        let (row, column) = cell.get_position();
        if !cell.get_value().is_empty() && !filled.contains(&(row, column)) {
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

fn cell_text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        // Whole numbers are kept as floats in workbooks, and people see them without a point.
        DataRef::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
            format!("{}", *float as i64)
        }
        DataRef::Float(float) => float.to_string(),
        DataRef::Int(int) => int.to_string(),
        DataRef::Bool(b) => b.to_string(),
        DataRef::DateTime(date) if date.is_duration() => date.as_f64().to_string(),
        DataRef::DateTime(date) => match date.to_ymd_hms_milli() {
            (year, month, day, 0, 0, 0, _) => format!("{year:04}-{month:02}-{day:02}"),
            (year, month, day, hour, minute, second, _) => {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
            }
        },
        // What a spreadsheet shows as #N/A is no value.
        DataRef::Error(_) => String::new(),
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

    /// The rows of a workbook whose sheet has these cells.
    fn read(cells: &str) -> Result<Vec<SheetRow>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.xlsx");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let parts = "http://schemas.openxmlformats.org/package/2006/relationships";
        let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let link = |kind: &str, target: &str| {
            format!(
                "<Relationships xmlns=\"{parts}\"><Relationship Id=\"r1\" Type=\"{office}/{kind}\" Target=\"{target}\"/></Relationships>"
            )
        };
        let book = format!(
            "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
        );
        let sheet =
            format!("<worksheet xmlns=\"{main}\"><sheetData>{cells}</sheetData></worksheet>");
        for (name, text) in [
            ("_rels/.rels", link("officeDocument", "xl/workbook.xml")),
            ("xl/_rels/workbook.xml.rels", link("worksheet", "worksheets/sheet1.xml")),
            ("xl/workbook.xml", book),
            ("xl/worksheets/sheet1.xml", sheet),
        ] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        read_sheet(&RowFile::new(path, "x.xlsx".to_owned(), None).unwrap(), None)
    }

    #[test]
    fn cells_far_apart_take_no_memory_for_those_between() {
        let cells = r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>"#;
        let rows = read(cells).unwrap();
        assert_eq!(rows[0], (1, vec!["1".to_owned()]));
        assert_eq!(
            (rows[1].0, rows[1].1.len(), rows[1].1[16_383].as_str()),
            (1_048_576, 16_384, "2")
        );
        let row = |at: u32| format!(r#"<row r="{at}"><c r="XFD{at}"><v>1</v></c></row>"#);
        let wide: String = (1..2_000).map(row).collect();
        assert_eq!(read(&wide).unwrap_err(), "the sheet has more than 20000000 cells");
    }

    #[test]
    fn a_formula_is_its_saved_value() {
        let cells = r#"<row r="2"><c r="B2"><f>1+2</f><v>3</v></c></row>"#;
        assert_eq!(read(cells).unwrap(), [(2, vec![String::new(), "3".to_owned()])]);
        let cells = r#"<row r="2"><c r="B2"><f>1+2</f></c></row>"#;
        assert!(read(cells).unwrap_err().starts_with("cell B2 holds a formula and no value"));
    }
}
