//! CSV uploads: a header, then one object a row.
//!
//! A cell is a text, to the letter; an empty cell says nothing. The header may say otherwise:
//! `port:number`, `active:bool`, `tags:list`. `_class`, `_deleted`, `_mapping` and `_rawData` have
//! meanings of their own.
//!
//! Source: wire contract, section 2 (`text/csv` uploads).

use super::table::{TableError, TableReader, TableRow};
use super::{InputDiagnostic, InputSource, ReadRow};
use crate::graph::{InputLocation, Value};
use crate::sync::SyncError;
use std::io::Read;

/// Delimiters that are tried where nobody names one.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Columns of which an upload has at least one.
const RESERVED: [&str; 10] = [
    "_key",
    "_id",
    "_type",
    "_class",
    "_scope",
    "_fromEntityKey",
    "_toEntityKey",
    "_fromEntityId",
    "_toEntityId",
    "_mapping",
];

/// Takes a row, or a fault.
type RowVisitor<'v> = dyn FnMut(Result<ReadRow<'_>, InputDiagnostic>) -> Result<(), SyncError> + 'v;

/// Reads the rows of one input and hands each over, or its fault.
///
/// # Errors
///
/// [`SyncError::Read`] if the input cannot be read, and errors of `visit`.
pub fn read_csv(
    input: &mut InputSource<'_>,
    number: u32,
    visit: &mut RowVisitor<'_>,
) -> Result<(), SyncError> {
    let delimiter = input.options.delimiter;
    let mut table = TableReader::new(&mut input.reader, delimiter.unwrap_or(b','));
    let place = |line: u64| InputLocation { input: number, line: line as u32 };
    let fault = |line: u64, message: String| InputDiagnostic {
        place: place(line),
        message,
        ..InputDiagnostic::default()
    };
    let found = match find_delimiter(&mut table, delimiter) {
        Ok(found) => found,
        Err(e) => return Err(SyncError::read(&input.name, e)),
    };
    let found = found.and_then(|()| read_header(&mut table));
    let columns = match found {
        Ok(columns) if columns.is_empty() => return Ok(()),
        Ok(columns) => columns,
        Err(TableError::Io(e)) => return Err(SyncError::read(&input.name, e)),
        Err(TableError::Fault(wrong)) => return visit(Err(fault(wrong.line, wrong.message))),
    };
    let (mut row, mut text) = (TableRow::default(), String::new());
    loop {
        match table.read(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(TableError::Io(e)) => return Err(SyncError::read(&input.name, e)),
            // Where the next row begins is unknown, so nothing more is read of this table.
            Err(TableError::Fault(wrong)) => return visit(Err(fault(wrong.line, wrong.message))),
        }
        match object(&columns, &row, &mut text) {
            Ok(()) => visit(Ok(ReadRow::alone(&text, place(row.line()))))?,
            Err((path, message)) => {
                let key = key_of(&columns, &row);
                visit(Err(InputDiagnostic { path, key, ..fault(row.line(), message) }))?;
            }
        }
    }
}

/// A column by its header.
struct Column {
    name: String,
    /// The name as JSON, with a colon.
    member: String,
    kind: ColumnKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnKind {
    Text,
    Number,
    Bool,
    List,
    /// JSON as it is.
    Json,
    /// A class, or a JSON list of them.
    Classes,
    /// No name, so no cell may stand below it.
    Nameless,
}

impl Column {
    fn of(header: &str) -> Result<Column, String> {
        let header = header.trim();
        let (name, kind) = match header.rsplit_once(':') {
            Some((name, "text")) => (name, ColumnKind::Text),
            Some((name, "number")) => (name, ColumnKind::Number),
            Some((name, "bool")) => (name, ColumnKind::Bool),
            Some((name, "list")) => (name, ColumnKind::List),
            Some((
                _,
                kind @ ("int" | "integer" | "float" | "double" | "num" | "boolean" | "string"
                | "str" | "array" | "date" | "json"),
            )) => {
                return Err(format!(
                    "column `{header}`: `{kind}` is no kind of column, expected number, bool, list \
                     or text; `{header}:text` is a text of that name"
                ));
            }
            _ => match header {
                "" => ("", ColumnKind::Nameless),
                "_class" => (header, ColumnKind::Classes),
                "_deleted" => (header, ColumnKind::Bool),
                "_rawData" | "_mapping" | "_pins" => (header, ColumnKind::Json),
                _ => (header, ColumnKind::Text),
            },
        };
        let member = format!("{}:", Value::Text(name.into()));
        Ok(Column { name: name.to_owned(), member, kind })
    }
}

/// Finds out how cells are separated: as the caller says, as a first line `sep=;` says, or by the
/// one delimiter with which the header names a column that uploads have.
fn find_delimiter<R: Read>(
    table: &mut TableReader<R>,
    named: Option<u8>,
) -> std::io::Result<Result<(), TableError>> {
    let (head, _) = table.peek()?;
    let end = memchr::memchr2(b'\n', b'\r', head).unwrap_or(head.len());
    let line = &head[..end];
    let line = line.strip_prefix(b"\"").and_then(|l| l.strip_suffix(b"\"")).unwrap_or(line);
    if let Some([delimiter]) = line.get(4..).filter(|_| line[..4].eq_ignore_ascii_case(b"sep=")) {
        let delimiter = *delimiter;
        let both = head[end..].starts_with(b"\r\n");
        let len = head.len().min(end + 1 + usize::from(both));
        table.skip_line(len);
        table.set_delimiter(named.unwrap_or(delimiter));
        return Ok(Ok(()));
    }
    if named.is_some() {
        return Ok(Ok(()));
    }
    let mut fitting = Vec::new();
    let mut row = TableRow::default();
    for delimiter in DELIMITERS {
        // A quote that is never closed is told when the table is read.
        if let Ok(true) = TableReader::new(head, delimiter).read(&mut row)
            && let Ok(mut cells) = row.cells()
            && cells.any(|cell| {
                let name = cell.trim();
                RESERVED.contains(&name.split_once(':').map_or(name, |(name, _)| name))
            })
        {
            fitting.push((row.len(), delimiter));
        }
    }
    match fitting[..] {
        // A table of one column has no delimiter that could be wrong.
        [] => {}
        [(_, delimiter)] => table.set_delimiter(delimiter),
        _ if fitting.iter().all(|(cells, _)| *cells == 1) => {}
        _ => {
            let words = "the header can be read with several delimiters; name the right one with \
                         --delimiter";
            let fault = super::table::TableFault { line: 1, message: words.into() };
            return Ok(Err(TableError::Fault(fault)));
        }
    }
    Ok(Ok(()))
}

/// Reads the header; an empty one stands for an empty table.
fn read_header<R: Read>(table: &mut TableReader<R>) -> Result<Vec<Column>, TableError> {
    let mut row = TableRow::default();
    if !table.read(&mut row)? {
        return Ok(Vec::new());
    }
    let fault =
        |message: String| TableError::Fault(super::table::TableFault { line: row.line(), message });
    let cells: Vec<&str> = match row.cells() {
        Ok(cells) => cells.collect(),
        Err(_) => return Err(fault("the header is not UTF-8; save the file as UTF-8".into())),
    };
    let columns: Vec<Column> =
        cells.iter().map(|cell| Column::of(cell)).collect::<Result<_, _>>().map_err(fault)?;
    let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    if !names.iter().any(|name| RESERVED.contains(name)) {
        let some: Vec<String> = cells.iter().take(5).map(|cell| format!("`{cell}`")).collect();
        let more = if cells.len() > 5 { ", …" } else { "" };
        return Err(fault(format!(
            "the header has no `_key`, `_type` or `_class`: {}{more}; --delimiter says how cells \
             are separated, and a table of another tool is read by a source file",
            some.join(", ")
        )));
    }
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1] && !pair[0].is_empty()) {
        return Err(fault(format!("the column `{}` stands twice in the header", pair[0])));
    }
    Ok(columns)
}

/// Puts the row as a JSON object into `out`, so that one reader checks uploads of every format. The
/// error is a path and a message.
fn object(columns: &[Column], row: &TableRow, out: &mut String) -> Result<(), (String, String)> {
    out.clear();
    let whole = |message: String| (String::new(), message);
    if row.len() != columns.len() {
        let (cells, expected) = (row.len(), columns.len());
        return Err(whole(format!("the row has {cells} cells, the header {expected}")));
    }
    if let Some(message) = swallowed(columns, row) {
        return Err(whole(message));
    }
    let cells = row.cells().map_err(|at| {
        whole(format!("the cell of column {} is not UTF-8; save the file as UTF-8", at + 1))
    })?;
    out.push('{');
    for (at, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if cell.is_empty() {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&column.member);
        put_cell(column, cell, out).map_err(|message| match column.kind {
            ColumnKind::Nameless => {
                whole(format!("`{cell}` stands in column {}, which has no name", at + 1))
            }
            _ => (super::values::member_path(&column.name), message),
        })?;
    }
    out.push('}');
    Ok(())
}

fn put_cell(column: &Column, cell: &str, out: &mut String) -> Result<(), String> {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let wrong = |what: &str| {
        let (name, kind) = (&column.name, format!("{:?}", column.kind).to_lowercase());
        format!("`{cell}` is no {what}; the header says `{name}:{kind}`")
    };
    match column.kind {
        ColumnKind::Text => put_text(cell, out),
        ColumnKind::Classes if cell.starts_with('[') && is_json(cell) => out.push_str(cell),
        ColumnKind::Classes => put_text(cell, out),
        ColumnKind::Number => {
            let number = cell.trim();
            if !is_json(number) || Value::number(number).is_none() {
                return Err(wrong("number that can be held exactly"));
            }
            out.push_str(number);
        }
        ColumnKind::Bool => match cell.trim() {
            value if value.eq_ignore_ascii_case("true") => out.push_str("true"),
            value if value.eq_ignore_ascii_case("false") => out.push_str("false"),
            _ => return Err(wrong("true or false")),
        },
        ColumnKind::List => put_list(cell.trim(), out),
        ColumnKind::Json if is_json(cell) => out.push_str(cell),
        ColumnKind::Json => return Err(format!("`{}` is no JSON", column.name)),
        ColumnKind::Nameless => return Err(String::new()),
    }
    Ok(())
}

/// A list: JSON, or texts with semicolons between them.
fn put_list(cell: &str, out: &mut String) {
    if cell.starts_with('[') && serde_json::from_str::<Vec<serde::de::IgnoredAny>>(cell).is_ok() {
        out.push_str(cell);
        return;
    }
    out.push('[');
    for (at, item) in cell.split(';').map(str::trim).filter(|item| !item.is_empty()).enumerate() {
        if at > 0 {
            out.push(',');
        }
        put_text(item, out);
    }
    out.push(']');
}

fn put_text(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::Text(text.into()).to_string());
    }
}

/// The `_key` of a row for messages.
fn key_of(columns: &[Column], row: &TableRow) -> Option<String> {
    let at = columns.iter().position(|column| column.name == "_key")?;
    row.cells().ok()?.nth(at).filter(|key| !key.is_empty()).map(str::to_owned)
}

/// The fault of a cell that holds whole rows: its quote was forgotten, and the next quote, rows
/// below, only seems to close it.
///
/// The first and the last line of such a cell complete the rows in which they stand. If both are
/// rows of the same type or class, they are no text that somebody wrote.
fn swallowed(columns: &[Column], row: &TableRow) -> Option<String> {
    let &(at, closed) = row.tall().first()?;
    let cells: Vec<&str> = row.cells().ok()?.collect();
    let lines: Vec<&str> = cells[at].split(['\n', '\r']).collect();
    // Only what a delimiter of the table could have separated is a row.
    DELIMITERS.into_iter().find_map(|delimiter| {
        let parts = |line: &'_ str| -> Vec<String> {
            line.split(char::from(delimiter)).map(|part| part.trim().to_owned()).collect()
        };
        let mut first: Vec<String> = cells[..at].iter().map(|cell| (*cell).to_owned()).collect();
        first.extend(parts(lines[0]));
        let mut last = parts(lines[lines.len() - 1]);
        last.extend(cells[at + 1..].iter().map(|cell| (*cell).to_owned()));
        let whole = first.len() == columns.len() && last.len() == columns.len();
        let alike = columns.iter().zip(first.iter().zip(&last)).any(|(column, (first, last))| {
            ["_type", "_class"].contains(&column.name.as_str())
                && !first.is_empty()
                && first == last
        });
        (whole && alike).then(|| {
            format!(
                "the quote opened in the row on line {} is closed on line {closed} only, and the \
                 cell holds whole rows",
                row.line()
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::read::{InputFormat, InputOptions};

    /// The rows of a table, and its faults as `line path message`.
    fn read_with(text: &str, delimiter: Option<u8>) -> Vec<String> {
        let mut input = InputSource {
            options: InputOptions { delimiter, ..InputOptions::default() },
            ..InputSource::new("a.csv", InputFormat::Csv, Box::new(text.as_bytes()))
        };
        let mut rows = Vec::new();
        read_csv(&mut input, 0, &mut |row| {
            rows.push(match row {
                Ok(row) => row.text.to_owned(),
                Err(fault) => format!("{} {} {}", fault.place.line, fault.path, fault.message),
            });
            Ok(())
        })
        .expect("it can be read");
        rows
    }

    fn read(text: &str) -> Vec<String> {
        read_with(text, None)
    }

    #[test]
    fn a_cell_is_text_to_the_letter() {
        for cell in ["5E10", "10.10", "1.10", "True", "false", "007", "[1,2]", "null", " x ", "-"] {
            let expected = format!("{{\"_key\":\"7\",\"a\":\"{cell}\"}}");
            assert_eq!(read(&format!("_key,a\n7,\"{cell}\"\n")), [expected]);
        }
        assert_eq!(read("_key,a\nk,\"a\"\"\\b\"\n"), [r#"{"_key":"k","a":"a\"\\b"}"#]);
        assert_eq!(read("_key,a\nk,\n"), [r#"{"_key":"k"}"#]);
    }

    #[test]
    fn the_header_says_what_is_no_text() {
        assert_eq!(
            read(
                "_key,p:number,on:bool,tags:list,urn:x,_class,_deleted\nk,8.50,TRUE,a; b;,1,\"[\"\"A\"\",\"\"B\"\"]\",False\n"
            ),
            [
                r#"{"_key":"k","p":8.50,"on":true,"tags":["a","b"],"urn:x":"1","_class":["A","B"],"_deleted":false}"#
            ]
        );
        assert_eq!(read("_key,l:list\nk,\"[1,2]\"\n"), [r#"{"_key":"k","l":[1,2]}"#]);
        assert_eq!(
            read("_key,p:number,on:bool\nk,12a,\nk,,yes\nk,1,true\n"),
            [
                "2 .p `12a` is no number that can be held exactly; the header says `p:number`",
                "3 .on `yes` is no true or false; the header says `on:bool`",
                r#"{"_key":"k","p":1,"on":true}"#,
            ]
        );
        assert!(read("_key,p:int\nk,1\n")[0].contains("`int` is no kind of column"));
    }

    #[test]
    fn the_delimiter_is_what_the_header_shows() {
        for delimiter in [";", "\t", "|", ","] {
            let text = ["_key", "a"].join(delimiter) + "\r\n" + &["k", "1"].join(delimiter);
            assert_eq!(read(&text), [r#"{"_key":"k","a":"1"}"#]);
        }
        assert_eq!(read("sep=;\r\n_key;a\r\nk;1,5\r\n"), [r#"{"_key":"k","a":"1,5"}"#]);
        assert_eq!(read("\"sep=^\"\n_key^a\nk^1\n"), [r#"{"_key":"k","a":"1"}"#]);
        assert_eq!(read("_key\nk\n"), [r#"{"_key":"k"}"#]);
        assert_eq!(read_with("_key:a\nk:1\n", Some(b':')), [r#"{"_key":"k","a":"1"}"#]);
        assert!(read("_key:a\nk:1\n")[0].contains("`_key:a`; --delimiter says"));
        assert!(read("a;b,_key\n1;2,k\n")[0].starts_with('{'));
        assert!(read("_key;x,_type\n")[0].contains("several delimiters"));
        assert!(read("id,name\n1,a\n")[0].contains("no `_key`, `_type` or `_class`: `id`, `name`"));
    }

    #[test]
    fn every_fault_has_its_line_and_the_rest_is_read() {
        assert_eq!(
            read("_key,a\r\nk\r\n\r\nl,1\r\nm,1,2\r\n"),
            [
                "2  the row has 1 cells, the header 2",
                r#"{"_key":"l","a":"1"}"#,
                "5  the row has 3 cells, the header 2",
            ]
        );
        assert!(read("_key,a,a\n")[0].contains("the column `a` stands twice"));
        assert!(read("_key,\nk,x\n")[0].contains("`x` stands in column 2, which has no name"));
        assert_eq!(read("_key,,\nk,,\n"), [r#"{"_key":"k"}"#]);
    }

    #[test]
    fn a_quote_that_only_seems_to_be_closed_is_a_fault() {
        let text = "_key,_type,_class,name\na,t,User,\"A\nb,t,User,B\nc,t,User,24\"\n";
        assert!(
            read(text)[0].contains("the quote opened in the row on line 2 is closed on line 4")
        );
        let first = "_key,name,_type,_class\na,\"A,t,User\nb,B,t,User\nc,24\",t,User\n";
        assert!(read(first)[0].contains("whole rows"));
        let honest = "_key,_type,_class,name\na,t,User,\"one, two, three,\nb, t, c, d\"\n";
        assert!(read(honest)[0].starts_with('{'));
    }
}
