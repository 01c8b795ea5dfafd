//! The data that the expressions of a mapping see for one row: the row, the entities of both ends, and
//! the lookup tables. How expressions are evaluated over it is known to [`crate::lang`] alone.

use super::mapping_graph::{EndCandidate, property_name};
use crate::graph::Value;
use crate::lang::{AccessStep, ValueSource, defined, list};
use crate::mapping::data::{NestedValue, RowContent};
use crate::mapping::expression::PathRoot;
use crate::mapping::model::LookupTables;
use crate::mapping::rows::{ColumnPositions, FileFacts, LocatedRow};
use std::borrow::Cow;

/// Data that all expressions of a mapping can ask for, whatever the row.
#[derive(Clone, Copy)]
pub(in crate::mapping) struct MappingConstants<'r> {
    pub tables: &'r LookupTables,
    /// Serial numbers that are filler in this organisation.
    pub junk: &'r [String],
}

/// The alternatives that found the entities: the members of `match`.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct MatchedAlternatives {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// The row of an environment.
#[derive(Clone, Copy)]
struct RowEnv<'r> {
    row: &'r RowContent,
    parent: Option<&'r NestedValue>,
    doc: Option<&'r NestedValue>,
    columns: Option<&'r ColumnPositions>,
    file: Option<&'r FileFacts>,
    line: u32,
}

/// Everything that an expression can ask for in its place.
#[derive(Clone, Copy)]
pub(in crate::mapping) struct ExprEnvironment<'r> {
    shared: MappingConstants<'r>,
    row: Option<RowEnv<'r>>,
    from: Option<&'r EndCandidate>,
    to: Option<&'r EndCandidate>,
    matched: Option<&'r MatchedAlternatives>,
}

impl<'r> ExprEnvironment<'r> {
    /// An environment in which only an entity is known.
    pub(in crate::mapping) fn of_end(
        shared: &MappingConstants<'r>,
        root: PathRoot,
        candidate: &'r EndCandidate,
    ) -> ExprEnvironment<'r> {
        ExprEnvironment { shared: *shared, row: None, from: None, to: None, matched: None }
            .with(root, candidate)
    }

    /// An environment for a row of a file.
    pub(in crate::mapping) fn of_row(
        shared: &MappingConstants<'r>,
        row: &'r LocatedRow,
        columns: &'r ColumnPositions,
        file: &'r FileFacts,
    ) -> ExprEnvironment<'r> {
        let row = RowEnv {
            row: &row.row,
            parent: row.parent.as_deref(),
            doc: row.doc.as_deref(),
            columns: Some(columns),
            file: Some(file),
            line: row.line,
        };
        ExprEnvironment { shared: *shared, row: Some(row), from: None, to: None, matched: None }
    }

    /// An environment for a row that stands in no file.
    pub(in crate::mapping) fn of_data(
        shared: &MappingConstants<'r>,
        row: &'r RowContent,
    ) -> ExprEnvironment<'r> {
        let row = RowEnv { row, parent: None, doc: None, columns: None, file: None, line: 0 };
        ExprEnvironment { shared: *shared, row: Some(row), from: None, to: None, matched: None }
    }

    /// The same, with the entity of an end known.
    pub(in crate::mapping) fn with<'s>(
        &self,
        root: PathRoot,
        candidate: &'s EndCandidate,
    ) -> ExprEnvironment<'s>
    where
        'r: 's,
    {
        match root {
            PathRoot::From => ExprEnvironment { from: Some(candidate), ..*self },
            _ => ExprEnvironment { to: Some(candidate), ..*self },
        }
    }

    /// The same, with the alternatives known.
    pub(in crate::mapping) fn matched<'s>(
        &self,
        matched: &'s MatchedAlternatives,
    ) -> ExprEnvironment<'s>
    where
        'r: 's,
    {
        ExprEnvironment { matched: Some(matched), ..*self }
    }
}

impl<'r> ValueSource<'r, PathRoot> for ExprEnvironment<'r> {
    fn path(&self, root: PathRoot, steps: &'r [AccessStep]) -> Option<Value<'r>> {
        match root {
            PathRoot::Row => {
                let RowEnv { row, columns, .. } = self.row?;
                match row {
                    RowContent::Cells(cells) => match steps {
                        [AccessStep::Name(name)] => text(cells.get(*columns?.get(name)?)?),
                        _ => None,
                    },
                    RowContent::Data(data) => value(steps.iter().try_fold(data, step)?),
                }
            }
            PathRoot::Parent => value(steps.iter().try_fold(self.row?.parent?, step)?),
            PathRoot::Doc => value(steps.iter().try_fold(self.row?.doc?, step)?),
            PathRoot::File => {
                let RowEnv { file, line, .. } = self.row?;
                match one_name(steps)? {
                    "path" => text(&file?.path),
                    "stem" => text(&file?.stem),
                    "line" => Some(Value::Int(line.into())),
                    _ => None,
                }
            }
            PathRoot::From => property(self.from?, steps),
            PathRoot::To => property(self.to?, steps),
            PathRoot::Match => {
                let MatchedAlternatives { from, to } = self.matched?;
                match one_name(steps)? {
                    "from" => text(from.as_deref()?),
                    "to" => text(to.as_deref()?),
                    "name" => text(to.as_deref().or(from.as_deref())?),
                    _ => None,
                }
            }
        }
    }

    fn lookup(&self, table: &str, key: &str) -> Option<Value<'r>> {
        self.shared.tables.get(table)?.get(key).cloned()
    }

    fn junk(&self) -> &'r [String] {
        self.shared.junk
    }
}

fn one_name(steps: &[AccessStep]) -> Option<&str> {
    match steps {
        [AccessStep::Name(name)] => Some(name),
        _ => None,
    }
}

fn property<'r>(candidate: &'r EndCandidate, steps: &[AccessStep]) -> Option<Value<'r>> {
    defined(match steps {
        [AccessStep::Name(name)] => candidate.value(name)?,
        [AccessStep::Name(name), AccessStep::Index(index)] => match candidate.value(name)? {
            Value::List(items) => items.into_iter().nth(*index)?,
            _ => return None,
        },
        // Any other steps are a property with dots in its name, e.g. `tag.env`.
        steps => candidate.value(&property_name(steps)?)?,
    })
}

fn text(text: &str) -> Option<Value<'_>> {
    defined(Value::Text(Cow::Borrowed(text)))
}

fn step<'r>(data: &'r NestedValue, step: &AccessStep) -> Option<&'r NestedValue> {
    match (step, data) {
        (AccessStep::Name(name), _) => data.member(name),
        (AccessStep::Index(index), NestedValue::List(items)) => items.get(*index),
        _ => None,
    }
}

fn value(data: &NestedValue) -> Option<Value<'_>> {
    match data {
        NestedValue::Null | NestedValue::Object(_) => None,
        NestedValue::Bool(b) => Some(Value::Bool(*b)),
        NestedValue::Number(number) => Some(number.clone()),
        NestedValue::Text(t) => text(t),
        NestedValue::List(items) => list(items.iter().filter_map(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{holds, parse_condition, parse_template, render};

    fn with_env<T>(f: impl FnOnce(&ExprEnvironment<'_>) -> T) -> T {
        let json = r#"{"name": "Alice", "n": 5, "text": "5", "empty": "", "null": null,
            "tags": ["a", "b"], "on": true, "deep": {"x": [{"y": "z"}]}, "none": []}"#;
        let row =
            RowContent::Data(NestedValue::from_json(serde_json::from_str(json).unwrap()).unwrap());
        let row = LocatedRow { row, parent: None, doc: None, file: 0, line: 7 };
        let file = FileFacts {
            shown: "mappings/data/a.json".into(),
            path: "data/a.json".into(),
            stem: "a".into(),
        };
        let (tables, columns) = (LookupTables::new(), ColumnPositions::default());
        f(&ExprEnvironment::of_row(
            &MappingConstants { tables: &tables, junk: &[] },
            &row,
            &columns,
            &file,
        ))
    }

    fn check(text: &str, expected: bool) {
        let (expr, faults) = parse_condition(text);
        assert_eq!(faults, [], "{text}");
        assert_eq!(with_env(|env| holds(&expr, env)), expected, "{text}");
    }

    #[test]
    fn undefined_equals_nothing_unless_asked_literally() {
        check("row.missing = row.missing", false);
        check("row.empty = row.null", false);
        check("row.missing != row.missing", true);
        check("row.missing != 'x'", true);
        for name in ["missing", "empty", "null", "none", "deep"] {
            check(&format!("row.{name} = undefined"), true);
            check(&format!("undefined != row.{name}"), false);
        }
        check("row.name != undefined", true);
        check("row.empty = ''", true);
        check("undefined = undefined", false);
        check("row.missing = (undefined, 'x')", false);
        check("row.missing > undefined", false);
        check("replace(row.name, 'A', '') = 'lice'", true);
        check("default(row.missing, '') = undefined", true);
        check("concat('', '') = undefined", true);
    }

    #[test]
    fn a_list_means_any_of() {
        check("row.name = ('Bob', 'Alice')", true);
        check("row.tags = 'b'", true);
        check("'b' in row.tags", true);
        check("row.tags = ('x', 'y')", false);
        check("row.name != ('Bob', 'Alice')", false);
        check("lower(row.name) in ('alice')", true);
    }

    #[test]
    fn kinds_are_not_guessed() {
        check("row.text = 5", false);
        check("row.text = '5'", true);
        check("row.n = 5.0", true);
        check("row.n > 4 and row.n >= 5 and row.n < 6 and row.n <= 5", true);
        check("row.text > 4", false);
        check("row.name > 'A'", true);
    }

    #[test]
    fn texts_compare_by_start_end_and_middle() {
        check("row.name ^= 'Al' and row.name $= 'ice' and row.name ~= 'lic'", true);
        check("not row.name ^= 'al'", true);
        check("row.on", true);
        check("row.name", false);
        check("row.deep.x[0].y = 'z' and row['deep']['x'][1] = undefined", true);
        check("file.line = 7 and file.stem = 'a' and file.path $= '.json'", true);
    }

    #[test]
    fn templates_with_an_undefined_part_are_undefined() {
        let check = |text: &str, expected: Result<Value<'static>, &str>| {
            let (template, faults) = parse_template(text);
            assert_eq!(faults, [], "{text}");
            let got = with_env(|env| {
                render(&template, env).map(Value::into_owned).map_err(str::to_owned)
            });
            assert_eq!(got, expected.map_err(str::to_owned), "{text}");
        };
        check("u:{row.name}-{row.n}", Ok(Value::Text("u:Alice-5".into())));
        check("{row.n}", Ok(Value::Int(5)));
        check("{row.name = 'Alice'}", Ok(Value::Bool(true)));
        check("u:{row.empty}", Err("row.empty"));
        check("{ row.missing }", Err("row.missing"));
        check("u:{row.tags}", Err("row.tags"));
    }
}
