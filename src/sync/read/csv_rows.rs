//! CSV uploads: a header, then one object a row.
//!
//! A cell becomes a number or boolean where it reads as one, a list where it is a JSON list, a
//! string otherwise; an empty cell says nothing. `_key`, `_type` and the like stay text.
//!
//! Source: wire contract, section 2 (`text/csv` uploads).

use super::{InputDiagnostic, InputSource, ReadRow};
use crate::graph::{InputLocation, Value};
use crate::sync::SyncError;

/// Reads the rows of one input and hands each over, or the fault that ends the reading.
///
/// # Errors
///
/// [`SyncError::Read`] if the input cannot be read, and errors of `visit`.
pub fn read_csv(
    input: &mut InputSource<'_>,
    number: u32,
    visit: &mut dyn FnMut(Result<ReadRow<'_>, InputDiagnostic>) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(&mut input.reader);
    let fault = |line: u64, message: String| InputDiagnostic {
        place: InputLocation { input: number, line: line as u32 },
        column: 0,
        path: String::new(),
        key: None,
        message,
    };
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(e) => {
            let line = e.position().map_or(1, csv::Position::line);
            return visit(Err(fault(line, e.to_string())));
        }
    };
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(e) if e.is_io_error() => return Err(SyncError::read(&input.name, e.into())),
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                return visit(Err(fault(line, e.to_string())));
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let place = InputLocation { input: number, line: line as u32 };
        visit(Ok(ReadRow::alone(&object(&headers, &row), place)))?;
    }
    Ok(())
}

/// The row as a JSON object, so that one reader checks uploads of every format.
fn object(headers: &csv::StringRecord, row: &csv::StringRecord) -> String {
    let mut out = String::from("{");
    for (name, cell) in headers.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
        if out.len() > 1 {
            out.push(',');
        }
        out += &Value::Text(name.into()).to_string();
        out.push(':');
        out += &json_cell(name, cell);
    }
    out.push('}');
    out
}

fn json_cell(name: &str, cell: &str) -> String {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let text = || Value::Text(cell.into()).to_string();
    match name {
        "_class" if cell.starts_with('[') && is_json(cell) => cell.to_owned(),
        // A key such as `7` must stay a text.
        _ if name.starts_with('_') && name != "_rawData" && name != "_deleted" => text(),
        _ if matches!(cell, "true" | "false") => cell.to_owned(),
        _ if cell.starts_with('[') && is_json(cell) => cell.to_owned(),
        _ if is_json(cell) && Value::number(cell).is_some() => cell.to_owned(),
        _ => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_what_they_read_as() {
        let headers = csv::StringRecord::from(vec!["_key", "n", "zip", "on", "list", "gone", "t"]);
        let row = csv::StringRecord::from(vec!["7", "2.5", "007", "true", "[1,2]", "", "a\"b"]);
        assert_eq!(
            object(&headers, &row),
            r#"{"_key":"7","n":2.5,"zip":"007","on":true,"list":[1,2],"t":"a\"b"}"#
        );
    }
}
