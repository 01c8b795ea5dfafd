//! Rows of one shape, printed as a table, JSON, NDJSON or CSV.
//!
//! The machine formats are exact: no digit is grouped, no text is changed. A table that a program
//! reads is plain and the same on every machine. A table on a terminal keeps to the width: the
//! widest cells are cut first, numbers never, and columns without room are named below.

use super::args::RowFormat;
use super::failure::CommandError;
use super::layout::{cut, padded, width};
use super::output::{AnswerWriter, KEY, clean, thousands};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::io::Write;

/// Columns between two columns of a table.
const GAP: usize = 2;
/// The least width to which a column of texts is cut.
const NARROW: usize = 10;

/// One column.
struct ListingColumn {
    /// Name in JSON and CSV.
    name: Cow<'static, str>,
    /// Title in the table.
    title: Cow<'static, str>,
    /// True if its numbers count something.
    counts: bool,
    /// True if it holds keys that stand beside names.
    keys: bool,
}

/// Rows of one shape. The same rows become a table, JSON, NDJSON or CSV.
pub struct RowListing {
    columns: Vec<ListingColumn>,
    rows: Vec<Vec<Value>>,
}

struct ListingRow<'a>(&'a RowListing, &'a [Value]);

impl Serialize for ListingRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.1.len()))?;
        for (column, value) in self.0.columns.iter().zip(self.1) {
            map.serialize_entry(&column.name, value)?;
        }
        map.end()
    }
}

impl RowListing {
    /// Makes a listing without rows; each column has a name and a title.
    pub fn new(columns: &'static [(&'static str, &'static str)]) -> RowListing {
        let column = |(name, title): &(&'static str, &'static str)| ListingColumn {
            name: (*name).into(),
            title: (*title).into(),
            counts: false,
            keys: false,
        };
        RowListing { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Makes a listing without rows; the names of its columns are also their titles.
    pub fn named(columns: &[String]) -> RowListing {
        let column = |name: &String| ListingColumn {
            name: name.clone().into(),
            title: name.clone().into(),
            counts: false,
            keys: false,
        };
        RowListing { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Declares that the numbers of these columns count something.
    pub fn counting(mut self, names: &[&str]) -> RowListing {
        self.columns.iter_mut().for_each(|column| column.counts |= names.contains(&&*column.name));
        self
    }

    /// Declares that these columns hold keys that stand beside names.
    pub fn keys(mut self, names: &[&str]) -> RowListing {
        self.columns.iter_mut().for_each(|column| column.keys |= names.contains(&&*column.name));
        self
    }

    /// Adds a row with a value for each column.
    pub fn row(&mut self, values: impl Into<Vec<Value>>) {
        let values = values.into();
        debug_assert_eq!(values.len(), self.columns.len());
        self.rows.push(values);
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the rows as JSON objects, for use inside a larger document.
    pub fn objects(&self) -> impl Serialize + '_ {
        self.rows.iter().map(|row| ListingRow(self, row)).collect::<Vec<_>>()
    }

    /// Writes the rows in `format`.
    pub fn print(&self, out: &mut AnswerWriter<'_>, format: RowFormat) -> Result<(), CommandError> {
        match format {
            RowFormat::Table => self.table(out),
            RowFormat::Json => out.json(&self.objects()),
            RowFormat::Ndjson => {
                self.rows.iter().try_for_each(|row| out.ndjson(&ListingRow(self, row)))
            }
            RowFormat::Csv => self.csv(out),
        }
    }

    /// Writes a table. Columns of numbers stand right, all others left; two blanks are between
    /// them.
    fn table(&self, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().zip(&self.columns).map(|(v, c)| text(v, c.counts)).collect())
            .collect();
        let titles: Vec<Cow<'_, str>> = self.columns.iter().map(|c| clean(&c.title)).collect();
        let shapes: Vec<ColumnWidth> = (0..self.columns.len())
            .map(|i| {
                let cells = rows.iter().map(|row| width(&row[i])).fold(0, usize::max);
                let number = |row: &Vec<Value>| row[i].is_number() || row[i].is_null();
                let right = !rows.is_empty() && self.rows.iter().all(number);
                ColumnWidth { wanted: cells.max(width(&titles[i])), right }
            })
            .collect();
        // `COLUMNS` alone does not cut a table: a program may read it.
        let limit = out.width.filter(|_| out.terminal).unwrap_or(usize::MAX);
        let widths = fit(&shapes, limit);
        let line = |cells: &mut dyn Iterator<Item = &str>, out: &AnswerWriter<'_>, bold: bool| {
            let mut line = String::new();
            for (i, cell) in cells.take(widths.len()).enumerate() {
                let padded = padded(&cut(cell, widths[i]), widths[i], shapes[i].right);
                let blanks = if i == 0 { 0 } else { GAP };
                line.push_str(&" ".repeat(blanks));
                line.push_str(&match self.columns[i].keys && !bold {
                    // Blanks stay outside the style, so that the end of the line can still be
                    // trimmed.
                    true => out.paint(KEY, padded.trim_end()) + &trailing(&padded),
                    false => padded,
                });
            }
            line.truncate(line.trim_end().len());
            if bold { out.bold(&line) } else { line }
        };
        let head = line(&mut titles.iter().map(|title| &**title), out, true);
        writeln!(out, "{head}")?;
        for row in &rows {
            let row = line(&mut row.iter().map(String::as_str), out, false);
            writeln!(out, "{row}")?;
        }
        if let more @ [_, ..] = &titles[widths.len()..] {
            let names = more.join(", ");
            out.line("", &format!("… no room for {names} (-o csv or json shows all)"), "  ")?;
        }
        Ok(())
    }

    /// Writes CSV by RFC 4180: values are as they are, quoted where they must be.
    fn csv(&self, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
        let safe = out.spreadsheet_safe;
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(self.columns.iter().map(|column| &*column.name))?;
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns).map(|(value, column)| {
                let text = csv_value(value, &column.name);
                match safe && !value.is_number() {
                    true => harmless(text),
                    false => text,
                }
            });
            writer.write_record(cells)?;
        }
        Ok(writer.flush()?)
    }
}

/// Returns the blanks at the end of a padded cell.
fn trailing(cell: &str) -> String {
    " ".repeat(cell.len() - cell.trim_end().len())
}

/// The width that a column wants.
struct ColumnWidth {
    /// Columns of its widest cell, the title included.
    wanted: usize,
    /// True if it holds numbers, which are never cut.
    right: bool,
}

/// Returns the widths of as many columns as fit, from the left.
fn fit(shapes: &[ColumnWidth], limit: usize) -> Vec<usize> {
    let floor = |shape: &ColumnWidth| match shape.right {
        true => shape.wanted,
        false => shape.wanted.min(NARROW),
    };
    let total = |widths: &mut dyn Iterator<Item = usize>| -> usize {
        widths.map(|width| width.saturating_add(GAP)).sum::<usize>().saturating_sub(GAP)
    };
    let mut shown = shapes.len();
    while shown > 1 && total(&mut shapes[..shown].iter().map(floor)) > limit {
        shown -= 1;
    }
    let shapes = &shapes[..shown];
    let capped = |cap: usize| shapes.iter().map(move |s| s.wanted.min(cap.max(floor(s))));
    // A binary search for the largest cap that lets all columns fit: only the widest columns are
    // cut.
    let (mut low, mut high) = (1, shapes.iter().map(|s| s.wanted).max().unwrap_or(0).max(1));
    while low < high {
        let middle = (low + high).div_ceil(2);
        match total(&mut capped(middle)) <= limit {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    let mut widths: Vec<usize> = capped(low).collect();
    // Columns left over by the cap go, one each, to the first columns that were cut.
    let mut left = limit.saturating_sub(total(&mut widths.iter().copied()));
    for (width, shape) in widths.iter_mut().zip(shapes) {
        if left > 0 && *width < shape.wanted {
            *width += 1;
            left -= 1;
        }
    }
    // The first column always stays, so it alone may be cut below its floor.
    if let [only] = widths.as_mut_slice() {
        *only = (*only).min(limit);
    }
    widths
}

/// Returns a value as people read it. Numbers are data unless they count something.
fn text(value: &Value, counts: bool) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => clean(text).into_owned(),
        Value::Array(items) => {
            items.iter().map(|item| text(item, false)).collect::<Vec<_>>().join(", ")
        }
        Value::Number(n) if counts => n.as_u64().map_or_else(|| n.to_string(), thousands),
        other => clean(&other.to_string()).into_owned(),
    }
}

/// Returns a value as a cell of CSV, in the form that `sync` reads. A list is JSON, except for a
/// single class.
fn csv_value(value: &Value, column: &str) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => match items.as_slice() {
            [Value::String(class)] if column == "_class" => class.clone(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// Returns `text` as a cell of CSV that no spreadsheet takes for a formula.
fn harmless(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn printed(
        listing: &RowListing,
        format: RowFormat,
        with: impl FnOnce(&mut AnswerWriter<'_>),
    ) -> String {
        let mut bytes = Vec::new();
        let mut out = AnswerWriter::plain(&mut bytes);
        with(&mut out);
        listing.print(&mut out, format).expect("memory takes every byte");
        drop(out);
        String::from_utf8(bytes).expect("text")
    }

    fn plain(listing: &RowListing, format: RowFormat) -> String {
        printed(listing, format, |_| {})
    }

    fn on_terminal(listing: &RowListing, columns: usize) -> String {
        printed(listing, RowFormat::Table, |out| {
            out.terminal = true;
            out.width = Some(columns);
        })
    }

    fn sample() -> RowListing {
        let mut listing = RowListing::new(&[("key", "KEY"), ("n", "COUNT")]);
        listing.row([json!("a"), json!(1012)]);
        listing.row([json!("=SUM(A1)\u{1b}[2J"), json!(null)]);
        listing
    }

    #[test]
    fn tables_put_numbers_right_and_names_left() {
        assert_eq!(
            plain(&sample(), RowFormat::Table),
            "KEY                COUNT\n\
             a                   1012\n\
             =SUM(A1)\\u{1b}[2J      -\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_titles() {
        let listing = RowListing::new(&[("key", "KEY"), ("n", "COUNT")]);
        assert_eq!(plain(&listing, RowFormat::Table), "KEY  COUNT\n");
        assert_eq!(on_terminal(&listing, 24), "KEY  COUNT\n");
    }

    #[test]
    fn json_keeps_the_order_of_columns() {
        assert_eq!(
            plain(&sample(), RowFormat::Ndjson),
            "{\"key\":\"a\",\"n\":1012}\n{\"key\":\"=SUM(A1)\\u001b[2J\",\"n\":null}\n"
        );
        assert!(plain(&sample(), RowFormat::Json).starts_with("[{\"key\":\"a\","));
    }

    #[test]
    fn csv_has_every_value_as_it_is() {
        let mut listing = RowListing::new(&[("a", "A"), ("_class", "B")]);
        for (a, b) in [
            (json!(-1_234_567), json!(["User"])),
            (json!("-1234567"), json!(["User", "Person"])),
            (json!("@babel/polyfill"), json!([])),
            (json!("=x"), json!(null)),
            (json!("a,\"b\"\nc"), json!(9_007_199_254_740_993u64)),
        ] {
            listing.row([a, b]);
        }
        assert_eq!(
            plain(&listing, RowFormat::Csv),
            "a,_class\n-1234567,User\n-1234567,\"[\"\"User\"\",\"\"Person\"\"]\"\n\
             @babel/polyfill,[]\n=x,\n\"a,\"\"b\"\"\nc\",9007199254740993\n"
        );
        let safe = printed(&listing, RowFormat::Csv, |out| out.spreadsheet_safe = true);
        assert!(safe.contains("\n-1234567,User\n'-1234567,"), "a number is no formula: {safe}");
        assert!(safe.contains("\n'@babel/polyfill,") && safe.contains("\n'=x,"), "{safe}");
    }

    #[test]
    fn no_text_of_a_safe_cell_is_a_formula() {
        for text in ["=1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(harmless(text.into()), format!("'{text}"));
        }
        assert_eq!(harmless("a=1".into()), "a=1");
    }

    #[test]
    fn numbers_of_data_are_never_grouped() {
        assert_eq!(text(&json!(123_456_789_012u64), false), "123456789012");
        assert_eq!(text(&json!([8080, 2024]), false), "8080, 2024");
        assert_eq!(text(&json!(2024.5), true), "2024.5");
    }

    #[test]
    fn the_widest_cells_are_cut_first_and_numbers_never() {
        let mut listing =
            RowListing::new(&[("key", "KEY"), ("type", "TYPE"), ("n", "N"), ("about", "ABOUT")]);
        listing.row([
            json!("arn:aws:iam::123456789012:role/billing-writer"),
            json!("aws_iam_role"),
            json!(1_234_567_890_123u64),
            json!("writes what is billed, once a month, to the ledger"),
        ]);
        insta::assert_snapshot!("table_80", on_terminal(&listing, 80));
        insta::assert_snapshot!("table_40", on_terminal(&listing, 40));
        let whole = plain(&listing, RowFormat::Table);
        assert!(whole.contains("writes what is billed, once a month, to the ledger"), "{whole}");
    }

    proptest! {
        #[test]
        fn a_table_on_a_terminal_is_never_wider(
            rows in prop::collection::vec(prop::collection::vec("[a-z漢 :/]{0,50}", 5), 0..6),
            columns in 24usize..130,
        ) {
            let mut listing = RowListing::new(&[
                ("a", "FIRST"), ("b", "SECOND"), ("c", "THIRD ONE"), ("d", "D"), ("e", "FIFTH"),
            ]);
            for row in &rows {
                listing.row(row.iter().map(|cell| json!(cell)).collect::<Vec<_>>());
            }
            let table = on_terminal(&listing, columns);
            for line in table.lines() {
                prop_assert!(width(line) <= columns, "{line}");
            }
            prop_assert!(table.lines().count() > rows.len());
        }
    }
}
