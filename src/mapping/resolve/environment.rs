//! The data that expressions see for one row: the row and what is around it, the entities of both ends,
//! named templates and the lookup tables. How expressions are evaluated over it is known to
//! [`crate::lang`] alone.

use super::mapping_graph::{EndCandidate, property_name};
use crate::graph::Value;
use crate::lang::{
    AccessStep, ExprValue, NestedValue, ValueSource, defined, eval_nested, follow, holds,
    render_nested,
};
use crate::mapping::expression::{MappingExpr, PathRoot, PathStep, Template};
use crate::mapping::model::LookupTables;
use crate::mapping::rows::{FileFacts, ItemContext, RowFrame};

/// Data that all expressions of a file can ask for, whatever the row.
#[derive(Clone, Copy)]
pub(in crate::mapping) struct MappingConstants<'r> {
    pub tables: &'r LookupTables,
    /// Texts that are filler in this organisation.
    pub junk: &'r [String],
    /// Templates with names.
    pub lets: &'r [(String, Template)],
}

/// The alternatives that found the entities: the members of `match`.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct MatchedAlternatives {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// A row in its place.
#[derive(Clone, Copy)]
struct RowPlace<'r> {
    row: &'r RowFrame<'r>,
    /// The row of the entity that the row belongs to.
    own: &'r RowFrame<'r>,
    file: Option<&'r FileFacts>,
}

/// Everything that an expression can ask for in its place.
#[derive(Clone, Copy)]
pub(in crate::mapping) struct ExprEnvironment<'r> {
    shared: MappingConstants<'r>,
    row: Option<RowPlace<'r>>,
    it: Option<&'r NestedValue>,
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
        ExprEnvironment::of_file(shared).with(root, candidate)
    }

    /// An environment in which only the file with the expressions is known.
    fn of_file(shared: &MappingConstants<'r>) -> ExprEnvironment<'r> {
        let shared = *shared;
        ExprEnvironment { shared, row: None, it: None, from: None, to: None, matched: None }
    }

    /// An environment for a row; without a file it stands in none.
    pub(in crate::mapping) fn of_row(
        shared: &MappingConstants<'r>,
        row: &'r RowFrame<'r>,
        file: Option<&'r FileFacts>,
    ) -> ExprEnvironment<'r> {
        let row = Some(RowPlace { row, own: row, file });
        ExprEnvironment { row, ..ExprEnvironment::of_file(shared) }
    }

    /// The same for another row that belongs to the same entity.
    pub(in crate::mapping) fn at<'s>(&self, row: &'s RowFrame<'s>) -> ExprEnvironment<'s>
    where
        'r: 's,
    {
        let place = self.row.map(|place| RowPlace { row, ..place });
        ExprEnvironment { row: place, ..*self }
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

    /// The value that steps lead to from a frame.
    fn value_in(&self, frame: &RowFrame<'r>, steps: &[PathStep]) -> Option<ExprValue<'r>> {
        frame.follow(steps, &|condition, element| ValueSource::keeps(self, condition, element))
    }

    /// The value of a template with a name, and of what steps lead to from there.
    fn named_template(&self, steps: &'r [PathStep]) -> Option<ExprValue<'r>> {
        let (AccessStep::Name(name), rest) = steps.split_first()? else { return None };
        let (_, template) = self.shared.lets.iter().find(|(known, _)| known == name)?;
        let value = render_nested(template, self).ok()?;
        match rest.is_empty() {
            true => Some(value),
            false => value
                .follow(rest, &|condition, element| ValueSource::keeps(self, condition, element)),
        }
    }

    /// The frame that `parents[1]` names, and the steps behind it.
    fn outer<'s>(&self, steps: &'s [PathStep]) -> Option<(&'r RowFrame<'r>, &'s [PathStep])> {
        let (AccessStep::Index(at), rest) = steps.split_first()? else { return None };
        Some((self.row?.row.above(*at)?, rest))
    }
}

impl<'r> ValueSource<'r, PathRoot> for ExprEnvironment<'r> {
    fn path(&self, root: PathRoot, steps: &'r [PathStep]) -> Option<ExprValue<'r>> {
        let key = |frame: &RowFrame<'r>, steps: &[PathStep]| match steps {
            [] => frame.key().map(ExprValue::Plain),
            _ => None,
        };
        match root {
            PathRoot::Row => self.value_in(self.row?.row, steps),
            PathRoot::RowKey => key(self.row?.row, steps),
            PathRoot::RowPath => {
                let path = defined(Value::List(self.row?.row.path())).map(ExprValue::Plain)?;
                path.follow(steps, &|condition, element| {
                    ValueSource::keeps(self, condition, element)
                })
            }
            PathRoot::Parent => self.value_in(self.row?.row.above(0)?, steps),
            PathRoot::ParentKey => key(self.row?.row.above(0)?, steps),
            PathRoot::Parents => {
                let (frame, rest) = self.outer(steps)?;
                self.value_in(frame, rest)
            }
            PathRoot::ParentKeys => {
                let (frame, rest) = self.outer(steps)?;
                key(frame, rest)
            }
            PathRoot::SelfRow => self.value_in(self.row?.own, steps),
            PathRoot::Doc => self.value_in(&self.row?.row.root(), steps),
            PathRoot::Let => self.named_template(steps),
            PathRoot::It => follow(self.it?, steps, &|condition, element| {
                ValueSource::keeps(self, condition, element)
            }),
            PathRoot::File => {
                let RowPlace { row, file, .. } = self.row?;
                match one_name(steps)? {
                    "path" => ExprValue::text(file?.path.as_str()),
                    "stem" => ExprValue::text(file?.stem.as_str()),
                    "line" => Some(ExprValue::Plain(Value::Int(row.line.into()))),
                    _ => None,
                }
            }
            PathRoot::From => self.property(self.from?, steps),
            PathRoot::To => self.property(self.to?, steps),
            PathRoot::Match => {
                let MatchedAlternatives { from, to } = self.matched?;
                let name = match one_name(steps)? {
                    "from" => from.as_deref()?,
                    "to" => to.as_deref()?,
                    "name" => to.as_deref().or(from.as_deref())?,
                    _ => return None,
                };
                ExprValue::text(name)
            }
        }
    }

    fn keeps(&self, condition: &MappingExpr, element: &NestedValue) -> bool {
        holds(condition, &ExprEnvironment { it: Some(element), ..*self })
    }

    fn lookup(&self, table: &str, key: &str) -> Option<Value<'r>> {
        self.shared.tables.get(table)?.get(key).cloned()
    }

    fn junk(&self) -> &'r [String] {
        self.shared.junk
    }
}

impl<'r> ExprEnvironment<'r> {
    /// The value of a property of an entity. Names with dots are one property, e.g. `tag.env`.
    fn property(&self, candidate: &'r EndCandidate, steps: &[PathStep]) -> Option<ExprValue<'r>> {
        let names = steps.iter().take_while(|step| matches!(step, AccessStep::Name(_))).count();
        let value = candidate.value(&property_name(&steps[..names])?)?;
        let value = ExprValue::Plain(defined(value)?);
        match names == steps.len() {
            true => Some(value),
            false => value.follow(&steps[names..], &|condition, element| {
                ValueSource::keeps(self, condition, element)
            }),
        }
    }
}

impl ItemContext for ExprEnvironment<'_> {
    fn keeps(&self, condition: &MappingExpr, from: &RowFrame<'_>, element: &NestedValue) -> bool {
        ValueSource::keeps(&self.at(from), condition, element)
    }

    fn call(&self, call: &MappingExpr, from: &RowFrame<'_>) -> Option<NestedValue> {
        eval_nested(call, &self.at(from)).map(ExprValue::into_data)
    }
}

/// The context of paths to rows where nothing but the file with the expressions is known.
pub(in crate::mapping) struct DocumentContext<'r> {
    pub shared: MappingConstants<'r>,
    pub file: Option<&'r FileFacts>,
}

impl ItemContext for DocumentContext<'_> {
    fn keeps(&self, condition: &MappingExpr, from: &RowFrame<'_>, element: &NestedValue) -> bool {
        let env = ExprEnvironment::of_row(&self.shared, from, self.file);
        ValueSource::keeps(&env, condition, element)
    }

    fn call(&self, call: &MappingExpr, from: &RowFrame<'_>) -> Option<NestedValue> {
        let env = ExprEnvironment::of_row(&self.shared, from, self.file);
        eval_nested(call, &env).map(ExprValue::into_data)
    }
}

fn one_name(steps: &[PathStep]) -> Option<&str> {
    match steps {
        [AccessStep::Name(name)] => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{holds, parse_condition, parse_template, render};
    use crate::mapping::rows::FrameContent;

    fn with_env<T>(f: impl FnOnce(&ExprEnvironment<'_>) -> T) -> T {
        let json = r#"{"name": "Alice", "n": 5, "text": "5", "empty": "", "null": null,
            "tags": ["a", "b"], "on": true, "deep": {"x": [{"y": "z"}]}, "none": []}"#;
        let data = NestedValue::parse_json(json).unwrap();
        let row = RowFrame::document(FrameContent::Data(&data), 7);
        let file = FileFacts {
            shown: "mappings/data/a.json".into(),
            path: "data/a.json".into(),
            stem: "a".into(),
        };
        let tables = LookupTables::new();
        let shared = MappingConstants { tables: &tables, junk: &[], lets: &[] };
        f(&ExprEnvironment::of_row(&shared, &row, Some(&file)))
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
        for name in ["missing", "empty", "null", "none"] {
            check(&format!("row.{name} = undefined"), true);
            check(&format!("undefined != row.{name}"), false);
        }
        // Nested data is no value of a property, and it is there.
        check("row.name != undefined and row.deep != undefined", true);
        check("row.deep = row.deep", false);
        check("row.empty = ''", true);
        check("undefined = undefined", false);
        check("row.missing = (undefined, 'x')", false);
        check("row.missing > undefined", false);
        check("replace(row.name, 'A', '') = 'lice'", true);
        // A text written in the file is a text, even an empty one.
        check("default(row.missing, '') = row.missing", false);
        check("concat('x', default(row.missing, '')) = 'x'", true);
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
        // A number equals the text that is its own spelling.
        check("row.text = 5 and row.n = '5' and row.n = row.text", true);
        check("row.n = '05' or row.n = '5.0x'", false);
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
