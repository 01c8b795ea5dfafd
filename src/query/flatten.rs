//! `a.*` as columns: one for each property that any row has.

use super::CellValue;
use super::resolved::{ScalarExpr, TableOutput};
use rustc_hash::FxHashMap;

/// The columns and rows of a table, where each `a.*` is replaced by a column for each property.
/// `room` refuses more cells than may be held.
pub(super) fn flattened<E>(
    table: &TableOutput,
    rows: Vec<Vec<CellValue>>,
    room: impl Fn(usize) -> Result<(), E>,
) -> Result<(Vec<String>, Vec<Vec<CellValue>>), E> {
    let shown = &table.columns[..table.names.len()];
    let wide = |term: &ScalarExpr| matches!(term, ScalarExpr::All(_));
    if !shown.iter().any(wide) || rows.is_empty() {
        return Ok((table.names.clone(), rows));
    }
    // A property with a column of its own is not shown twice.
    let plain = table.names.iter().zip(shown).filter(|(_, term)| !wide(term));
    let mut taken: FxHashMap<String, usize> = plain.map(|(name, _)| (name.clone(), 0)).collect();
    let mut columns: Vec<String> = Vec::new();
    let mut places: Vec<FxHashMap<String, usize>> = Vec::new();
    for (at, (name, term)) in table.names.iter().zip(shown).enumerate() {
        let mut place = FxHashMap::default();
        if !wide(term) {
            place.insert(String::new(), columns.len());
            columns.push(name.clone());
            places.push(place);
            continue;
        }
        let before = name.strip_suffix('*').unwrap_or(name);
        let before = if before.ends_with('.') { before.to_owned() } else { format!("{name}.") };
        for row in &rows {
            let CellValue::Object(members) = &row[at] else { continue };
            for (member, _) in members {
                let column = format!("{before}{member}");
                if !place.contains_key(member) && !taken.contains_key(&column) {
                    taken.insert(column.clone(), columns.len());
                    place.insert(member.clone(), columns.len());
                    columns.push(column);
                }
            }
        }
        places.push(place);
    }
    // Wide rows may hold many times the cells of the rows that were counted so far.
    room(rows.len().saturating_mul(columns.len()) / table.names.len().max(1))?;
    let width = columns.len();
    let rows = rows.into_iter().map(|row| widened(row, &places, width)).collect();
    Ok((columns, rows))
}

/// A row with a cell for each of the `width` columns. `places` say by member where the cells of each
/// column go.
fn widened(
    row: Vec<CellValue>,
    places: &[FxHashMap<String, usize>],
    width: usize,
) -> Vec<CellValue> {
    let mut cells = vec![CellValue::Undefined; width];
    for (cell, place) in row.into_iter().zip(places) {
        match cell {
            CellValue::Object(members) => {
                for (member, value) in members {
                    if let Some(&at) = place.get(&member) {
                        cells[at] = CellValue::Value(value);
                    }
                }
            }
            cell => {
                if let Some(&at) = place.get("") {
                    cells[at] = cell;
                }
            }
        }
    }
    cells
}
