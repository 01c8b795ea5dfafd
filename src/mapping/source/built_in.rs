//! Source files that ship with the program, and how the format of an export is recognised.

use crate::lang::{AccessStep, NestedValue, holds, parse_condition};
use crate::mapping::expression::{MappingExprKind, PathRoot};
use crate::mapping::model::LookupTables;
use crate::mapping::resolve::{ExprEnvironment, MappingConstants};
use crate::mapping::rows::{
    FrameContent, ReadOptions, RowContent, RowFile, RowFileSet, RowFrame, RowReader, RowSource,
    archive_kind, archive_members, columns_of,
};
use std::path::Path;
use std::time::SystemTime;
use toml::de::{DeTable, DeValue};

/// A source file that ships with the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltInSource {
    /// Its name, as `tombolo import` takes it.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(BuiltInSource {
            name: $name,
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/mappings/sources/", $name, ".toml"
            )),
        }),*]
    };
}

/// All of them, in the order in which they are listed.
pub const BUILT_IN_SOURCES: &[BuiltInSource] = built_in![
    "jupiterone",
    "aws-iam",
    "aws-ec2",
    "aws-s3",
    "okta",
    "okta-csv",
    "jamf",
    "intune-csv",
    "entra",
    "github",
    "codeowners",
    "github-actions",
    "terraform",
    "kubernetes",
    "cyclonedx",
    "spdx",
    "backstage",
    "opengraph",
    "sharphound",
    "osquery",
    "steampipe",
    "prowler-ocsf",
    "trivy",
    "nmap",
    "package-lock",
    "cargo-lock",
    "neo4j",
    "tombolo",
];

/// The built-in source of this name.
pub fn built_in_source(name: &str) -> Option<&'static BuiltInSource> {
    BUILT_IN_SOURCES.iter().find(|source| source.name == name)
}

impl BuiltInSource {
    /// Its description, for people.
    pub fn description(&self) -> String {
        let document = DeTable::parse(self.text).ok();
        let text = document.as_ref().and_then(|d| d.get_ref().get("description"));
        text.and_then(|text| text.get_ref().as_str()).unwrap_or_default().to_owned()
    }

    /// True if a file is what the source reads.
    fn recognizes(&self, file: &ExportFacts) -> bool {
        let Ok(document) = DeTable::parse(self.text) else { return false };
        let tables: Vec<&DeTable<'_>> =
            match document.get_ref().get("recognize").map(|r| r.get_ref()) {
                Some(DeValue::Table(table)) => vec![table],
                Some(DeValue::Array(items)) => {
                    items.iter().filter_map(|item| item.get_ref().as_table()).collect()
                }
                _ => return false,
            };
        tables.into_iter().any(|table| file.fits(table))
    }
}

impl ExportFacts {
    /// True if a file is as a table says.
    fn fits(&self, table: &DeTable<'_>) -> bool {
        let file = self;
        let texts = |key: &str| -> Option<Vec<String>> {
            let value = table.get(key)?.get_ref();
            let items = match value {
                DeValue::Array(items) => items.iter().map(|item| item.get_ref()).collect(),
                single => vec![single],
            };
            Some(items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
        };
        let names = texts("name").is_none_or(|patterns| {
            patterns.iter().any(|pattern| {
                globset::Glob::new(pattern)
                    .is_ok_and(|glob| glob.compile_matcher().is_match(&file.name))
            })
        });
        let keys = texts("keys").is_none_or(|keys| keys.iter().all(|key| file.has_path(key)));
        let columns = texts("columns").is_none_or(|columns| {
            file.columns.as_ref().is_some_and(|known| columns.iter().all(|c| known.contains(c)))
        });
        let holds = texts("where").is_none_or(|texts| texts.iter().all(|text| file.holds(text)));
        names && keys && columns && holds
    }

    fn holds(&self, condition: &str) -> bool {
        let Some(first) = &self.first else { return false };
        let (condition, faults) = parse_condition(condition);
        let frame = RowFrame::document(FrameContent::Data(first), 1);
        let tables = LookupTables::new();
        let shared = MappingConstants { tables: &tables, junk: &[], lets: &[] };
        faults.is_empty() && holds(&condition, &ExprEnvironment::of_row(&shared, &frame, None))
    }
}

/// What is looked at of a file to tell what wrote it.
struct ExportFacts {
    name: String,
    columns: Option<Vec<String>>,
    /// The first row or document.
    first: Option<NestedValue>,
}

impl ExportFacts {
    fn read(path: &Path, format: Option<&str>) -> Option<ExportFacts> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let Ok(file) = RowFile::new(path.to_owned(), name.clone(), format) else {
            return Some(ExportFacts { name, columns: None, first: None });
        };
        Some(ExportFacts::of(name, file))
    }

    fn of(name: String, file: RowFile) -> ExportFacts {
        let files = vec![file];
        let rows = RowSource::Files(RowFileSet { files, ..RowFileSet::default() });
        let columns = columns_of(&rows);
        let options = ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: false };
        let first = match RowReader::open(&rows, &options).next() {
            Some(Ok(document)) => match document.content {
                RowContent::Data(data) => first_row(data),
                RowContent::Cells(_) => None,
            },
            _ => None,
        };
        ExportFacts { name, columns, first }
    }

    fn has_path(&self, path: &str) -> bool {
        let Some(first) = &self.first else { return false };
        // Names of data may have dots.
        if first.member(path).is_some() {
            return true;
        }
        let (expr, faults) = crate::lang::parse_items(path, PathRoot::Row);
        let MappingExprKind::Path(_, steps) = &expr.kind else { return false };
        let frame = RowFrame::document(FrameContent::Data(first), 0);
        // Null is there too: a key without a value tells a format as well as one with a value.
        let named = || {
            steps.iter().try_fold(first, |data, step| match step {
                AccessStep::Name(name) => data.member(name),
                _ => None,
            })
        };
        faults.is_empty() && (frame.follow(steps, &|_, _| true).is_some() || named().is_some())
    }
}

/// The first row of a document: of a list its first element, and so on inside of it.
fn first_row(data: NestedValue) -> Option<NestedValue> {
    match data {
        NestedValue::List(list) => first_row(list.items.into_iter().next()?),
        data => Some(data),
    }
}

/// The names of the built-in sources that read a file, in the order of their list.
pub fn recognized_sources(path: &Path) -> Vec<&'static str> {
    if archive_kind(path).is_some() {
        return recognized_archive(path);
    }
    let formats = [None, Some("json"), Some("toml"), Some("xml")];
    let known = RowFile::new(path.to_owned(), String::new(), None).is_ok();
    let facts: Vec<ExportFacts> = formats
        .into_iter()
        .filter(|format| known == format.is_none() || format.is_none())
        .filter_map(|format| ExportFacts::read(path, format))
        .collect();
    let found =
        BUILT_IN_SOURCES.iter().filter(|source| facts.iter().any(|facts| source.recognizes(facts)));
    let mut names: Vec<&'static str> = found.map(|source| source.name).collect();
    names.dedup();
    names
}

/// The names of the sources that read the files of an archive, by the first of them.
fn recognized_archive(path: &Path) -> Vec<&'static str> {
    let members = archive_members(path).unwrap_or_default();
    let archived = |member: &String| {
        let file = RowFile::in_archive(path.to_owned(), "", member.clone(), None).ok()?;
        let name = member.rsplit('/').next().unwrap_or(member).to_owned();
        Some(ExportFacts::of(name, file))
    };
    let Some(facts) = members.iter().find_map(archived) else { return Vec::new() };
    let found = BUILT_IN_SOURCES.iter().filter(|source| source.recognizes(&facts));
    found.map(|source| source.name).collect()
}
