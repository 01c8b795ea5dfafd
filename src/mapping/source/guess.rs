//! A first source file, guessed from rows.
//!
//! [`guess_source`] reads the beginning of files into [`RowTable`]s, and [`guess`] makes the text of
//! a source file of them: row sets, types, keys that are unique and filled, names, dates, e-mail
//! addresses, and references from one row set to another. What the rows do not show for sure stands
//! in a comment with the word *guess*. Only rows are looked at, never a database.

use super::guess_words::{
    GuessedVerb, class_of, noun_of, singular, up_to_noun, verb_between, words_of,
};
use crate::lang::{Diagnostic, NestedValue, SourceText, date};
use crate::mapping::rows::{
    FrameContent, ReadOptions, RowContent, RowFile, RowFileSet, RowFrame, RowReader, RowSource,
    normalize_path,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The rows of a file that are looked at.
const ROWS_MAX: usize = 10_000;
/// The columns of a row set that are looked at.
const COLUMNS_MAX: usize = 500;
/// How deep columns are looked for inside of a row, and row sets inside of a document.
const DEPTH_MAX: usize = 4;
/// The longest text that is taken for a key.
const KEY_LENGTH_MAX: usize = 200;

/// How rows that have no key are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowPosition {
    /// By the line that each begins on.
    Line,
    /// By the position in a list.
    Position,
    /// The file is one row.
    File,
}

/// Rows of one shape and where they come from.
#[derive(Clone, Debug)]
struct RowTable {
    /// The name of the row set.
    name: String,
    /// What a row is, in words, the last of them the noun: `okta`, `user`.
    words: Vec<String>,
    files: Vec<String>,
    items: Option<String>,
    position: RowPosition,
    rows: Vec<NestedValue>,
}

/// Writes a first source file for files of rows. `folder` is where it will lie.
///
/// # Errors
///
/// The faults of the files, the first of each.
pub fn guess_source(
    scope: &str,
    folder: &Path,
    files: &[PathBuf],
) -> Result<String, Vec<Diagnostic>> {
    let mut tables: Vec<RowTable> = Vec::new();
    let mut faults = Vec::new();
    for path in files {
        match look_at(path, &name_from(folder, path)) {
            Ok(found) => found.into_iter().for_each(|table| add(&mut tables, table)),
            Err(fault) => faults.push(*fault),
        }
    }
    if tables.is_empty() && faults.is_empty() {
        let shown = files.first().map_or_else(String::new, |path| path.display().to_string());
        let source = SourceText::line(shown, "", 1);
        faults.push(Diagnostic::error("M0404", &source, "there is no row").at(0..0, ""));
    }
    match faults.is_empty() {
        true => Ok(guess(scope, tables)),
        false => Err(faults),
    }
}

/// The path of a file as a source file in `folder` names it.
fn name_from(folder: &Path, path: &Path) -> String {
    let whole = |path: &Path| {
        normalize_path(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    };
    let (folder, path) = (whole(folder), whole(path));
    let parts = |path: &Path| -> Vec<String> {
        path.components()
            .filter(|part| !matches!(part, Component::RootDir))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    let (folder, path) = (parts(&folder), parts(&path));
    let shared = folder.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", folder.len() - shared);
    let names: Vec<&str> = up.chain(path[shared..].iter().map(String::as_str)).collect();
    names.join("/")
}

/// Reads the beginning of a file.
fn look_at(path: &Path, name: &str) -> Result<Vec<RowTable>, Box<Diagnostic>> {
    let file = RowFile::new(path.to_owned(), name.to_owned(), None).map_err(|words| {
        let source = SourceText::line(path.display().to_string(), "", 1);
        Box::new(Diagnostic::error("M0104", &source, words).at(0..0, ""))
    })?;
    let set = RowFileSet { files: vec![file], ..RowFileSet::default() };
    let stem = RowSource::Files(set.clone()).files().remove(0).stem;
    let documents = read(&RowSource::Files(set))?;
    let mut table = RowTable {
        name: String::new(),
        words: up_to_noun(words_of(&stem)),
        files: vec![name.to_owned()],
        items: None,
        position: documents.position,
        rows: documents.rows,
    };
    // A document around lists of objects holds the rows, unless it says by a key that it is one itself.
    if table.position == RowPosition::File {
        let mut lists = Vec::new();
        if let Some(document) = table.rows.first() {
            lists_inside(document, &mut Vec::new(), &mut lists);
        }
        if !lists.is_empty() {
            let inner = lists.into_iter().map(|(path, rows)| {
                let words = match path.last().filter(|last| !noun_of(&words_of(last)).is_empty()) {
                    Some(last) => up_to_noun(words_of(last)),
                    None => table.words.clone(),
                };
                let items = Some(format!("{}[*]", path.join(".")));
                RowTable { words, items, rows, position: RowPosition::Position, ..table.clone() }
            });
            return Ok(inner.filter(|table| !table.rows.is_empty()).collect());
        }
    }
    table.rows.retain(|row| matches!(row, NestedValue::Object(_)));
    Ok(if table.rows.is_empty() { Vec::new() } else { vec![table] })
}

/// What was read of a file.
struct LookedRows {
    rows: Vec<NestedValue>,
    position: RowPosition,
}

fn read(source: &RowSource) -> Result<LookedRows, Box<Diagnostic>> {
    let options = ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: false };
    let mut reader = RowReader::open(source, &options);
    let mut found = LookedRows { rows: Vec::new(), position: RowPosition::Line };
    while let Some(document) = reader.next() {
        let document = document?;
        let row = match document.content {
            RowContent::Cells(cells) => {
                let content = FrameContent::Cells(&cells, reader.columns());
                RowFrame::document(content, document.line).data().into_owned()
            }
            RowContent::Data(NestedValue::List(list)) => {
                found.position = RowPosition::Position;
                found.rows.extend(list.items);
                NestedValue::Null
            }
            RowContent::Data(data) => {
                if document.position.is_some() {
                    found.position = RowPosition::Position;
                }
                data
            }
        };
        if row != NestedValue::Null {
            found.rows.push(row);
        }
        if found.rows.len() >= ROWS_MAX {
            break;
        }
    }
    let cells = !reader.columns().is_empty();
    if found.position == RowPosition::Line && found.rows.len() == 1 && !cells {
        found.position = RowPosition::File;
    }
    Ok(found)
}

/// The lists of objects inside of a document that plain names lead to.
fn lists_inside(
    document: &NestedValue,
    path: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, Vec<NestedValue>)>,
) {
    let NestedValue::Object(object) = document else { return };
    let is_row = ["id", "_key", "arn", "uuid", "key"].iter().any(|name| {
        matches!(object.get(name), Some(NestedValue::Text(_) | NestedValue::Number(_)))
    });
    if is_row || path.len() >= DEPTH_MAX {
        return;
    }
    for (name, value) in &object.members {
        if !is_plain(name) {
            continue;
        }
        path.push(name.clone());
        match value {
            NestedValue::List(list)
                if !list.items.is_empty()
                    && list.items.iter().all(|item| matches!(item, NestedValue::Object(_))) =>
            {
                let rows = list.items.iter().take(ROWS_MAX).cloned().collect();
                found.push((path.clone(), rows));
            }
            NestedValue::Object(_) => lists_inside(value, path, found),
            _ => {}
        }
        path.pop();
    }
}

/// Adds rows to the row set of their shape, or as a new one.
fn add(tables: &mut Vec<RowTable>, table: RowTable) {
    let columns = top_columns(&table);
    let same = tables.iter_mut().find(|known| {
        let there = top_columns(known);
        let shared = there.intersection(&columns).count();
        let alike = shared * 5 >= there.union(&columns).count() * 4;
        alike
            && (&known.items, known.position) == (&table.items, table.position)
            && noun_of(&known.words) == noun_of(&table.words)
    });
    match same {
        Some(known) => {
            known.files.extend(table.files);
            known.rows.extend(table.rows);
        }
        None => tables.push(table),
    }
}

fn top_columns(table: &RowTable) -> BTreeSet<String> {
    let objects = table.rows.iter().take(100).filter_map(|row| match row {
        NestedValue::Object(object) => Some(&object.members),
        _ => None,
    });
    objects.flatten().map(|(name, _)| name.clone()).collect()
}

/// The texts that rows have in one place.
#[derive(Clone, Debug)]
struct Column {
    /// The names from the row down.
    steps: Vec<String>,
    /// Names inside of the elements, if the place is a list.
    inner: Option<Vec<String>>,
    /// Each text with the number of its row.
    values: Vec<(usize, String)>,
    only_texts: bool,
}

/// True if a name can stand in a path without quotes.
fn is_plain(name: &str) -> bool {
    let word = matches!(name, "and" | "or" | "not" | "in" | "like" | "is" | "undefined" | "true");
    !word
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// True if a name can stand in a path of a template at all.
fn can_stand(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\'', '{', '}', '\\', '"'])
        && !name.contains(char::is_control)
}

fn path_of(root: &str, steps: &[String]) -> String {
    let mut path = root.to_owned();
    for step in steps {
        match is_plain(step) {
            true => path.extend([".", step]),
            false => path.extend(["['", step, "']"]),
        }
    }
    path
}

impl Column {
    /// The path to the value in an expression, seen from its row or its element.
    fn path(&self) -> String {
        path_of("row", self.inner.as_ref().unwrap_or(&self.steps))
    }

    /// The path to its elements; `None` if it is no list or cannot be written as `items`.
    fn items(&self) -> Option<String> {
        self.inner.as_ref()?;
        let plain = self.steps.iter().all(|step| is_plain(step));
        plain.then(|| format!("{}[*]", self.steps.join(".")))
    }

    /// The name of the property that `"*"` makes of it.
    fn property(&self) -> String {
        self.steps.join(".")
    }

    /// The words of its name.
    fn words(&self) -> Vec<String> {
        let inner = self.inner.iter().flatten();
        self.steps.iter().chain(inner).flat_map(|step| words_of(step)).collect()
    }

    /// Its name without anything but letters and digits, in lower case.
    fn squeezed(&self) -> String {
        let name = self.steps.last().map_or("", String::as_str).trim_start_matches('_');
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    }

    fn is_list(&self) -> bool {
        self.inner.is_some()
    }

    /// True if each of so many rows has a value that no other has.
    fn is_unique(&self, rows: usize) -> bool {
        let mut seen = HashSet::new();
        !self.is_list()
            && self.values.len() == rows
            && self.values.iter().all(|(_, text)| {
                text.len() <= KEY_LENGTH_MAX
                    && text != "true"
                    && text != "false"
                    && seen.insert(text)
            })
    }

    fn all(&self, holds: impl Fn(&str) -> bool) -> bool {
        !self.values.is_empty() && self.values.iter().all(|(_, text)| holds(text))
    }

    /// True if it may be what people call a row: it differs from row to row, and is the row's own.
    fn names_rows(&self, rows: usize) -> bool {
        let own = match self.steps.len() {
            1 => true,
            2 => OWN.contains(&self.steps[0].to_lowercase().as_str()),
            _ => false,
        };
        let distinct: HashSet<&str> = self.values.iter().map(|(_, text)| text.as_str()).collect();
        own && !self.is_list()
            && self.values.len() * 2 > rows
            && distinct.len() * 2 > self.values.len()
    }

    fn is_email(&self) -> bool {
        self.only_texts && self.all(is_email)
    }

    fn is_date(&self) -> bool {
        self.only_texts
            && self
                .all(|text| text.len() >= 10 && text.contains('-') && date::strict(text).is_some())
    }

    /// True if its values are numbers so small that others have them by chance.
    fn is_common(&self) -> bool {
        self.all(|text| text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()))
    }
}

/// Objects that hold what a row itself is.
const OWN: [&str; 9] = [
    "profile",
    "metadata",
    "properties",
    "general",
    "attributes",
    "fields",
    "info",
    "spec",
    "details",
];

fn is_email(text: &str) -> bool {
    let Some((user, domain)) = text.split_once('@') else { return false };
    !user.is_empty()
        && domain.contains('.')
        && !text.contains([' ', '/', ':', ',', ';'])
        && !domain.contains('@')
}

/// The columns of rows, in the order in which they occur.
fn columns(rows: &[NestedValue]) -> Vec<Column> {
    type Place = (Vec<String>, Option<Vec<String>>);
    struct Collector {
        columns: Vec<Column>,
        places: HashMap<Place, usize>,
    }
    impl Collector {
        fn text(&mut self, place: Place, row: usize, text: &str, is_text: bool) {
            let text = text.trim();
            if text.is_empty() {
                return;
            }
            let at = match self.places.get(&place) {
                Some(at) => *at,
                None if self.columns.len() >= COLUMNS_MAX => return,
                None => {
                    let (steps, inner) = place.clone();
                    self.columns.push(Column {
                        steps,
                        inner,
                        values: Vec::new(),
                        only_texts: true,
                    });
                    self.places.insert(place, self.columns.len() - 1);
                    self.columns.len() - 1
                }
            };
            self.columns[at].values.push((row, text.to_owned()));
            self.columns[at].only_texts &= is_text;
        }

        fn value(&mut self, place: Place, row: usize, value: &NestedValue) {
            match value {
                NestedValue::Null => {}
                NestedValue::Bool(b) => self.text(place, row, &b.to_string(), false),
                NestedValue::Number(number) => self.text(place, row, &number.to_string(), false),
                NestedValue::Text(text) => self.text(place, row, text, true),
                NestedValue::List(list) if place.1.is_none() => {
                    for item in &list.items {
                        self.value((place.0.clone(), Some(Vec::new())), row, item);
                    }
                }
                NestedValue::List(_) => {}
                NestedValue::Object(object) => {
                    let depth = place.0.len() + place.1.as_ref().map_or(0, Vec::len);
                    if depth >= DEPTH_MAX {
                        return;
                    }
                    for (name, value) in &object.members {
                        if !can_stand(name) {
                            continue;
                        }
                        let mut place = place.clone();
                        place.1.as_mut().unwrap_or(&mut place.0).push(name.clone());
                        self.value(place, row, value);
                    }
                }
            }
        }
    }
    let mut found = Collector { columns: Vec::new(), places: HashMap::new() };
    for (number, row) in rows.iter().enumerate() {
        found.value((Vec::new(), None), number, row);
    }
    found.columns
}

/// A row set with what was guessed of it.
struct GuessedSet {
    table: RowTable,
    columns: Vec<Column>,
    type_name: String,
    class: Option<&'static str>,
    /// The column of its key, by position.
    key: Option<usize>,
    /// What stands before the value in a key.
    prefix: String,
}

impl GuessedSet {
    /// The key of the entity that a value names.
    fn key_of(&self, path: &str) -> String {
        format!("{}{{{path}}}", self.prefix)
    }

    fn keys(&self) -> HashSet<&str> {
        let column = self.key.map(|at| &self.columns[at]);
        column.into_iter().flat_map(|c| &c.values).map(|(_, text)| text.as_str()).collect()
    }

    fn noun(&self) -> &str {
        noun_of(&self.table.words)
    }

    fn class_name(&self) -> &'static str {
        self.class.unwrap_or("Record")
    }
}

/// Names of columns that are keys, the best first.
const KEYS: [&str; 26] = [
    "key",
    "id",
    "objectidentifier",
    "identifier",
    "arn",
    "uuid",
    "guid",
    "uid",
    "objectid",
    "resourceid",
    "selflink",
    "serialnumber",
    "serial",
    "assettag",
    "instanceid",
    "employeeid",
    "login",
    "username",
    "userprincipalname",
    "samaccountname",
    "email",
    "mail",
    "hostname",
    "fqdn",
    "slug",
    "name",
];

/// The best column to tell rows by.
fn best_key(columns: &[Column], rows: usize, noun: &str) -> (Option<usize>, Vec<usize>) {
    let mut unique: Vec<usize> = (0..columns.len())
        .filter(|at| columns[*at].is_unique(rows) && !columns[*at].is_date())
        .collect();
    let noun_id = [format!("{noun}id"), format!("{noun}key"), format!("{noun}uuid")];
    unique.sort_by_key(|at| {
        let column = &columns[*at];
        let name = column.squeezed();
        let known = KEYS.iter().position(|known| *known == name);
        let known = known.or_else(|| noun_id.contains(&name).then_some(2));
        let ends = name.ends_with("id") || name.ends_with("arn") || name.ends_with("key");
        // A key inside of another object is often that of another thing.
        let rank = known.unwrap_or(if ends { KEYS.len() } else { KEYS.len() + 1 });
        (column.steps.len() > 1 && rank > 0, rank, *at)
    });
    (unique.first().copied(), unique)
}

/// The text of a source file for row sets.
fn guess(scope: &str, tables: Vec<RowTable>) -> String {
    let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
    let files: HashSet<String> = tables.iter().flat_map(|table| table.files.clone()).collect();
    let sets = named_sets(scope, tables);
    let mut text = format!(
        "# Guessed by `tombolo new --source` from {rows} row{} of {} file{}; comments with \"guess\" say what is not sure.\n\
         scope = {}\n",
        if rows == 1 { "" } else { "s" },
        files.len(),
        if files.len() == 1 { "" } else { "s" },
        string(scope),
    );
    for set in &sets {
        text.push_str(&rows_table(&set.table));
    }
    for (at, set) in sets.iter().enumerate() {
        text.push('\n');
        text.push_str(&match join_table(&sets, at) {
            Some(relationship) => relationship,
            None => entity(&sets, at, set),
        });
    }
    text
}

fn named_sets(scope: &str, tables: Vec<RowTable>) -> Vec<GuessedSet> {
    let scope_words = words_of(scope);
    let mut names = HashSet::new();
    let mut sets = Vec::new();
    for mut table in tables {
        // The name of the scope in the name of a file says nothing of its rows.
        if table.words.len() > 1 && table.words[..1] == scope_words[..1] {
            table.words.remove(0);
        }
        if noun_of(&table.words).is_empty() {
            table.words = vec!["record".to_owned()];
        }
        let noun = singular(noun_of(&table.words));
        let plain = |words: &[String]| words.join("_");
        let wanted = plain(&table.words);
        let mut name = wanted.clone();
        let mut number = 2;
        while !names.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        let mut type_words = scope_words.clone();
        let (_, before) = table.words.split_last().expect("a noun was found or given");
        type_words.extend(before.iter().filter(|word| !scope_words.contains(word)).cloned());
        type_words.push(noun.clone());
        type_words.dedup();
        let again = if number > 2 { format!("_{}", number - 1) } else { String::new() };
        let type_name = plain(&type_words) + &again;
        table.name = name;
        let columns = columns(&table.rows);
        let (key, _) = best_key(&columns, table.rows.len(), &noun);
        let whole = key.is_some_and(|at| {
            let name = columns[at].squeezed();
            name == "arn" || name == "selflink" || columns[at].steps == ["_key"]
        });
        let prefix = match whole {
            true => String::new(),
            false => format!("{}:", type_name.replace('_', "-")),
        };
        let class = class_of(&table.words).or_else(|| class_by_columns(&columns));
        sets.push(GuessedSet { table, columns, type_name, class, key, prefix });
    }
    sets
}

/// The class of rows that have the columns of one.
fn class_by_columns(columns: &[Column]) -> Option<&'static str> {
    let names: HashSet<String> = columns.iter().map(Column::squeezed).collect();
    let has = |some: &[&str]| some.iter().any(|name| names.contains(*name));
    if has(&["serialnumber", "serial", "macaddress"]) {
        return Some("Device");
    }
    if has(&["email", "mail", "emailaddress"])
        && has(&["login", "username", "firstname", "givenname", "displayname", "fullname"])
    {
        return Some("User");
    }
    has(&["hostname", "ipaddress", "privateipaddress"]).then_some("Host")
}

/// Returns `text` as a TOML string.
fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The pattern that matches just this name.
fn literal(name: &str) -> String {
    let mut pattern = String::new();
    for c in name.chars() {
        match c {
            '*' | '?' | '[' | '{' => pattern.extend(['[', c, ']']),
            c => pattern.push(c),
        }
    }
    pattern
}

fn rows_table(table: &RowTable) -> String {
    let mut text = format!("\n[rows.{}]\n", table.name);
    match table.files.as_slice() {
        [file] => text += &format!("file = {}\n", string(file)),
        files => {
            let names: Vec<String> = files.iter().map(|file| string(&literal(file))).collect();
            text += &format!("files = [{}]\n", names.join(", "));
        }
    }
    if let Some(items) = &table.items {
        text += &format!("items = {}\n", string(items));
    }
    text
}

/// A reference from a column to the entities of a row set.
struct Reference {
    target: usize,
    column: usize,
    verb: GuessedVerb,
    /// Values that name an entity, and values.
    hits: (usize, usize),
    is_sure: bool,
    /// The column of the target that has the values, if it is not that of its key.
    by: Option<usize>,
}

/// The references that the columns of a row set are.
fn references(sets: &[GuessedSet], at: usize) -> Vec<Reference> {
    let set = &sets[at];
    let mut all = Vec::new();
    for (number, column) in set.columns.iter().enumerate() {
        // The list of a path that cannot be written as `items` stays a property.
        let unreachable = column.is_list() && column.items().is_none();
        if Some(number) == set.key || column.values.is_empty() || unreachable {
            continue;
        }
        let best = (0..sets.len()).filter_map(|to| reference(sets, (at, number), to));
        all.extend(best.max_by_key(|r| (r.is_sure, r.by.is_none(), r.hits.0)));
    }
    // Several columns of one list may say the same, e.g. `id` and `login` of a member.
    let mut seen = HashSet::new();
    all.sort_by_key(|r: &Reference| !r.is_sure);
    all.retain(|r| {
        let column = &set.columns[r.column];
        !column.is_list() || seen.insert((column.steps.clone(), r.target))
    });
    all
}

/// The reference from a column to a row set, if its values are there.
fn reference(sets: &[GuessedSet], (at, number): (usize, usize), to: usize) -> Option<Reference> {
    let (set, target) = (&sets[at], &sets[to]);
    let column = &set.columns[number];
    let words = column.words();
    let noun = singular(target.noun());
    let mentions = words.iter().any(|word| singular(word) == noun);
    let verb =
        verb_between(&words, (set.class_name(), target.class_name()), column.is_list(), at == to);
    let said = mentions || verb.is_named;
    let count = |known: &HashSet<String>| {
        column.values.iter().filter(|(_, text)| known.contains(&text.to_lowercase())).count()
    };
    // A column that says again who the row is, such as a login that is the e-mail address.
    let says_itself = |known: &Column| {
        let own: HashMap<usize, &String> =
            known.values.iter().map(|(row, text)| (*row, text)).collect();
        let mut values = column.values.iter();
        at == to
            && values.all(|(row, text)| own.get(row).is_some_and(|t| t.eq_ignore_ascii_case(text)))
    };
    if target.key.is_some_and(|key| says_itself(&target.columns[key])) {
        return None;
    }
    let all = column.values.len();
    let distinct = column.values.iter().map(|(_, text)| text).collect::<HashSet<_>>().len();
    let keys = target.keys();
    let hits = column.values.iter().filter(|(_, text)| keys.contains(text.as_str())).count();
    if hits * 2 > all {
        // Small numbers are in each row set, so they say nothing unless the column names it.
        if column.is_common() && !said {
            return None;
        }
        let is_sure = hits == all && (said || distinct > 1 && !column.is_common());
        let hits = (hits, all);
        return Some(Reference { target: to, column: number, verb, hits, is_sure, by: None });
    }
    if !column.is_email() || target.key.is_none() {
        return None;
    }
    let emails = (0..target.columns.len())
        .filter(|by| (to, *by) != (at, number) && Some(*by) != target.key)
        .find(|by| {
            let column = &target.columns[*by];
            // A column such as `owner` names somebody else than its row.
            let own =
                column.squeezed().contains("mail") || KEYS.contains(&column.squeezed().as_str());
            own && column.is_email() && column.is_unique(target.table.rows.len())
        })?;
    if says_itself(&target.columns[emails]) {
        return None;
    }
    let known: HashSet<String> =
        target.columns[emails].values.iter().map(|(_, text)| text.to_lowercase()).collect();
    let hits = count(&known);
    let is_sure = hits == all && verb.is_named;
    let by = Some(emails);
    (hits * 2 > all).then_some(Reference {
        target: to,
        column: number,
        verb,
        hits: (hits, all),
        is_sure,
        by,
    })
}

impl Reference {
    /// The end that is not the entity with the column.
    fn end(&self, sets: &[GuessedSet], at: usize) -> String {
        let target = &sets[self.target];
        let path = sets[at].columns[self.column].path();
        let root = if self.verb.from_own { "to" } else { "from" };
        match self.by {
            None => string(&target.key_of(&path)),
            Some(by) => {
                let property = path_of(root, &target.columns[by].steps);
                let condition = format!("email({property}) = email({path})");
                format!(
                    "{{ type = {}, match = {}, ambiguous = \"skip\" }}",
                    string(&target.type_name),
                    string(&condition)
                )
            }
        }
    }

    /// The relationship as a table inside of an entity.
    fn table(&self, sets: &[GuessedSet], at: usize) -> String {
        let items = sets[at].columns[self.column].items();
        let items = items.map_or_else(String::new, |i| format!("items = {}, ", string(&i)));
        let root = if self.verb.from_own { "to" } else { "from" };
        let end = self.end(sets, at);
        format!("{{ class = {}, {items}{root} = {end} }}", string(self.verb.class))
    }

    /// What it was guessed from.
    fn reason(&self, sets: &[GuessedSet], at: usize) -> String {
        let column = &sets[at].columns[self.column];
        let target = &sets[self.target];
        let (hits, all) = self.hits;
        let what = match self.by {
            None => format!("keys of {}", target.table.name),
            Some(by) => format!("{} of {}", target.columns[by].property(), target.table.name),
        };
        format!("{hits} of {all} values of {} are {what}", column.property())
    }
}

/// Rows that are told by no column, and that two columns name entities in, are edges.
fn join_table(sets: &[GuessedSet], at: usize) -> Option<String> {
    let set = &sets[at];
    if set.key.is_some() && set.columns.iter().any(|c| c.squeezed() == "id") {
        return None;
    }
    let sure = references(sets, at).into_iter();
    let mut sure: Vec<Reference> = sure
        .filter(|r| r.is_sure && r.by.is_none() && r.target != at)
        .filter(|r| !set.columns[r.column].is_list())
        .collect();
    sure.sort_by_key(|r| r.column);
    let [one, two] = sure.try_into().ok()?;
    // Something else that is unique in each row makes the row a thing of its own.
    if one.target == two.target
        || set.key.is_some_and(|key| ![one.column, two.column].contains(&key))
    {
        return None;
    }
    let holds =
        |r: &Reference| matches!(sets[r.target].class_name(), "UserGroup" | "Team" | "Group");
    let (from, to) = if holds(&two) { (two, one) } else { (one, two) };
    let lines = [
        "[[relationship]]".to_owned(),
        format!("rows  = {}", string(&set.table.name)),
        "class = \"HAS\"  # guess".to_owned(),
        format!("from  = {}  # {}", from.end(sets, at), from.reason(sets, at)),
        format!("to    = {}  # {}", to.end(sets, at), to.reason(sets, at)),
    ];
    Some(lines.join("\n") + "\n")
}

/// The table of an entity.
fn entity(sets: &[GuessedSet], at: usize, set: &GuessedSet) -> String {
    let mut lines = vec!["[[entity]]".to_owned()];
    let mut put = |key: &str, value: &str, comment: &str| {
        let comment = if comment.is_empty() { String::new() } else { format!("  # {comment}") };
        lines.push(format!("{key:<10} = {value}{comment}"));
    };
    put("rows", &string(&set.table.name), "");
    put("type", &string(&set.type_name), "");
    match set.class {
        Some(class) => put("class", &string(class), ""),
        None => put("class", "\"Record\"", "guess"),
    }
    let (key, why) = key(set);
    put("key", &string(&key), &why);
    if let Some(name) = name(set) {
        put("name", &string(&name), "");
    }
    let (properties, doubts) = properties(set);
    put("properties", &properties, "");
    lines.extend(near_key(set));
    lines.extend(doubts);
    let found = references(sets, at);
    let is_open = found.iter().any(|r| r.is_sure);
    if is_open {
        lines.push("relationship = [".to_owned());
    } else if !found.is_empty() {
        lines.push("# guess: relationship = [".to_owned());
    }
    for reference in &found {
        let (table, why) = (reference.table(sets, at), reference.reason(sets, at));
        lines.push(match reference.is_sure {
            true => format!("  {table},  # {why}"),
            false if is_open => format!("  # guess: {table},  # {why}"),
            false => format!("#   {table},  # {why}"),
        });
    }
    if is_open {
        lines.push("]".to_owned());
    } else if !found.is_empty() {
        lines.push("# ]".to_owned());
    }
    lines.join("\n") + "\n"
}

/// The template of the key, and why.
fn key(set: &GuessedSet) -> (String, String) {
    let rows = set.table.rows.len();
    let (best, unique) = best_key(&set.columns, rows, &singular(set.noun()));
    if let Some(best) = best {
        let column = &set.columns[best];
        let others: Vec<String> =
            unique[1..].iter().take(3).map(|at| set.columns[*at].property()).collect();
        let known = KEYS.contains(&column.squeezed().as_str()) || column.squeezed().ends_with("id");
        let mut why = match rows {
            1 => "the only row has it".to_owned(),
            _ => format!("unique in {rows} rows"),
        };
        if !known || rows == 1 {
            why = format!("guess: {why}");
        }
        if !others.is_empty() {
            why += &format!("; so is {}", others.join(", "));
        }
        return (set.key_of(&column.path()), why);
    }
    // Two columns may be unique together.
    let filled: Vec<&Column> =
        set.columns.iter().filter(|c| !c.is_list() && c.values.len() == rows).take(8).collect();
    for (i, one) in filled.iter().enumerate() {
        for two in &filled[i + 1..] {
            let pairs = one.values.iter().zip(&two.values).map(|((_, a), (_, b))| (a, b));
            if pairs.collect::<HashSet<_>>().len() == rows {
                let key = format!("{}{{{}}}|{{{}}}", set.prefix, one.path(), two.path());
                return (key, format!("guess: unique together in {rows} rows"));
            }
        }
    }
    let place = match set.table.position {
        RowPosition::Line => "{file.path}:{file.line}",
        RowPosition::Position => "{file.path}:{row_key}",
        RowPosition::File => "{file.path}",
    };
    (format!("{}{place}", set.prefix), "guess: no column is unique and filled".to_owned())
}

/// A comment on a column that is named like a key and that few rows share.
fn near_key(set: &GuessedSet) -> Option<String> {
    let rows = set.table.rows.len();
    let near = set.columns.iter().filter(|c| !c.is_list() && c.steps.len() == 1);
    let near = near.filter(|c| c.values.len() == rows && KEYS.contains(&c.squeezed().as_str()));
    let column = near.min_by_key(|c| KEYS.iter().position(|known| *known == c.squeezed()));
    let (None, Some(column)) = (set.key, column) else { return None };
    let distinct: HashSet<&str> = column.values.iter().map(|(_, text)| text.as_str()).collect();
    (distinct.len() * 2 > rows).then(|| {
        format!(
            "# guess: key = {}, merge = \"first\": {} rows have {} values of it",
            string(&set.key_of(&column.path())),
            rows,
            distinct.len()
        )
    })
}

/// Names of columns that name a thing for people, the best first.
const NAMES: [&str; 14] = [
    "displayname",
    "fullname",
    "name",
    "devicename",
    "computername",
    "title",
    "label",
    "hostname",
    "login",
    "username",
    "userprincipalname",
    "email",
    "mail",
    "slug",
];

fn name(set: &GuessedSet) -> Option<String> {
    let rows = set.table.rows.len();
    let tags = set.columns.iter().filter(|c| c.names_rows(rows));
    let named = |wanted: &str| {
        tags.clone().filter(|c| c.squeezed() == wanted).min_by_key(|column| column.steps.len())
    };
    let noun = format!("{}name", singular(set.noun()));
    let wanted = NAMES[..3].iter().copied().chain([noun.as_str()]);
    if let Some(column) = wanted.filter_map(named).next() {
        return Some(format!("{{{}}}", column.path()));
    }
    for (first, last) in
        [("firstname", "lastname"), ("givenname", "familyname"), ("givenname", "surname")]
    {
        if let (Some(first), Some(last)) = (named(first), named(last)) {
            return Some(format!("{{{}}} {{{}}}", first.path(), last.path()));
        }
    }
    let column = NAMES.iter().copied().filter_map(named).next()?;
    Some(format!("{{{}}}", column.path()))
}

/// The value of `properties`, and comments on what is not sure.
fn properties(set: &GuessedSet) -> (String, Vec<String>) {
    let mut assigned = Vec::new();
    let mut doubts = Vec::new();
    if set.columns.len() >= COLUMNS_MAX {
        // A row with a map of many things would be an entity with too many properties.
        let names = set.columns.iter().filter(|c| !c.is_list() && c.steps.len() == 1);
        let names =
            names.map(|c| &c.steps[0]).filter(|name| is_plain(name) && !name.starts_with('_'));
        let names: Vec<String> = names.take(100).map(|name| string(name)).collect();
        let doubt =
            format!("# guess: there are more than {COLUMNS_MAX} places with values below a row");
        return (format!("[{}]", names.join(", ")), vec![doubt]);
    }
    // Such names are metadata, which no row may set.
    let plain = set.columns.iter().filter(|c| !c.is_list() && !c.steps[0].starts_with('_'));
    for column in plain {
        let function = match (column.is_email(), column.is_date()) {
            (true, _) => "email",
            (_, true) => "date",
            _ => {
                doubts.extend(unread_date(column));
                continue;
            }
        };
        let name = column.property();
        let key = if is_plain(&name) { name } else { string(&name) };
        assigned.push(format!("{key} = \"{{{function}({})}}\"", column.path()));
    }
    let value = match assigned.is_empty() {
        true => "\"*\"".to_owned(),
        false => format!("{{ \"*\" = \"row\", {} }}", assigned.join(", ")),
    };
    (value, doubts)
}

/// A comment on a column that is named like a date and is none that can be read.
fn unread_date(column: &Column) -> Option<String> {
    let words = column.words();
    let named = words
        .iter()
        .any(|word| matches!(word.as_str(), "date" | "created" | "updated" | "expires"));
    let (_, first) = column.values.first()?;
    let digits = first.bytes().any(|b| b.is_ascii_digit());
    let numbers = first.bytes().all(|b| b.is_ascii_digit());
    (named && digits && !numbers && column.only_texts).then(|| {
        let shown: String = first.chars().take(40).filter(|c| !c.is_control()).collect();
        format!("# guess: {} is a date that date() cannot read, e.g. `{shown}`", column.property())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(words: &str, json: &str) -> RowTable {
        let NestedValue::List(list) = NestedValue::parse_json(json).unwrap() else { panic!() };
        RowTable {
            name: String::new(),
            words: words_of(words),
            files: vec![format!("{words}.json")],
            items: None,
            position: RowPosition::Position,
            rows: list.items,
        }
    }

    fn check(tables: &[(&str, &str)], lines: &[&str]) {
        let tables = tables.iter().map(|(words, json)| table(words, json)).collect();
        let text = guess("acme", tables);
        for line in lines {
            assert!(text.lines().any(|l| l.trim_start().starts_with(line)), "{line}\n{text}");
        }
    }

    #[test]
    fn keys_are_unique_filled_and_known_names_first() {
        check(
            &[(
                "users",
                r#"[{"login": "a", "n": 1, "id": "x"}, {"login": "b", "n": 1, "id": "y"}]"#,
            )],
            &[
                r#"type       = "acme_user""#,
                r#"class      = "User""#,
                r#"key        = "acme-user:{row.id}"  # unique in 2 rows; so is login"#,
                r#"name       = "{row.login}""#,
                r#"properties = "*""#,
            ],
        );
        // Neither a column with gaps nor one with equal values is a key.
        check(
            &[(
                "thing",
                r#"[{"id": 1, "a": "x", "b": 1}, {"a": "x", "b": 2}, {"id": 3, "a": "y", "b": 1}]"#,
            )],
            &[
                r#"class      = "Record"  # guess"#,
                r#"key        = "acme-thing:{row.a}|{row.b}"  # guess: unique together"#,
            ],
        );
        check(
            &[("thing", r#"[{"a": "x"}, {"a": "x"}]"#)],
            &[r#"key        = "acme-thing:{file.path}:{row_key}"  # guess: no column"#],
        );
    }

    #[test]
    fn dates_emails_and_odd_names_are_seen() {
        check(
            &[(
                "people",
                r#"[{"Serial No": "s", "made": "2024-01-02T03:04:05Z", "mail": "a@b.co", "hire date": "1/15/2024"}]"#,
            )],
            &[
                r#"type       = "acme_person""#,
                r#"properties = { "*" = "row", made = "{date(row.made)}", mail = "{email(row.mail)}" }"#,
                "# guess: hire date is a date that date() cannot read, e.g. `1/15/2024`",
            ],
        );
    }

    #[test]
    fn references_are_guessed_by_value_and_in_doubt_they_are_comments() {
        let users = r#"[{"id": "u1", "manager": "u2", "team_id": 1}, {"id": "u2", "team_id": 2}]"#;
        let teams = r#"[{"id": 1, "members": [{"id": "u1"}, {"id": "u2"}], "lead": "u1"},
            {"id": 2, "members": [], "lead": "gone"}, {"id": 3, "lead": "u2"}]"#;
        check(
            &[("users", users), ("teams", teams)],
            &[
                r#"{ class = "MANAGES", from = "acme-user:{row.manager}" },  # 1 of 1 values"#,
                r#"{ class = "HAS", from = "acme-team:{row.team_id}" },  # 2 of 2 values of team_id are keys of teams"#,
                r#"{ class = "HAS", items = "members[*]", to = "acme-user:{row.id}" },"#,
                r#"# guess: { class = "#,
            ],
        );
    }

    #[test]
    fn a_row_does_not_refer_to_itself_and_is_called_by_what_is_its_own() {
        let users = r#"[
            {"id": "1", "login": "a@x.co", "resourceId": "1", "provider": {"name": "OKTA"},
             "profile": {"email": "a@x.co", "firstName": "Ann", "lastName": "A"}},
            {"id": "2", "login": "b@x.co", "resourceId": "2", "provider": {"name": "OKTA"},
             "profile": {"email": "b@x.co", "firstName": "Bob", "lastName": "B"}}]"#;
        let text = guess("acme", vec![table("users", users)]);
        assert!(!text.contains("relationship"), "{text}");
        let name = r#"name       = "{row.profile.firstName} {row.profile.lastName}""#;
        assert!(text.contains(name), "{text}");
    }

    #[test]
    fn a_key_that_some_rows_share_is_told() {
        let rows = r#"[{"id": "1"}, {"id": "2"}, {"id": "1"}]"#;
        let told =
            r#"# guess: key = "acme-group:{row.id}", merge = "first": 3 rows have 2 values of it"#;
        check(&[("groups", rows)], &[told]);
    }

    #[test]
    fn rows_that_only_name_two_entities_are_edges() {
        check(
            &[
                ("users", r#"[{"id": "u1"}, {"id": "u2"}]"#),
                ("groups", r#"[{"id": "g1"}, {"id": "g2"}]"#),
                (
                    "memberships",
                    r#"[{"user": "u1", "group": "g1"}, {"user": "u2", "group": "g1"}, {"user": "u2", "group": "g2"}]"#,
                ),
            ],
            &[
                "[[relationship]]",
                r#"from  = "acme-group:{row.group}"  # 3 of 3"#,
                r#"to    = "acme-user:{row.user}"  # 3 of 3"#,
            ],
        );
    }

    #[test]
    fn lists_inside_of_a_document_are_row_sets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.json");
        std::fs::write(&path, r#"{"@odata.context": "x", "value": [{"id": 1}, {"id": 2}]}"#)
            .unwrap();
        let text = guess_source("entra", &folder.path().join("mappings"), &[path]).unwrap();
        assert!(text.contains("file = \"../page.json\"\nitems = \"value[*]\"\n"), "{text}");
        assert!(text.contains("type       = \"entra_record\""), "{text}");
    }
}
