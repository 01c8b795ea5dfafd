//! First mapping files: `new` writes one from flags or answers, `init` the project around it,
//! `schema` what editors complete them with.

use super::CommandContext;
use super::args::{DiagnosticFormat, NewMappingArgs, SchemaArgs};
use super::diagnostics;
use super::failure::CommandError;
use super::output::clean;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use tombolo::answers::{MappableScope, MappingFileSet, MappingSelection, mappable_scopes};

/// `tombolo schema`.
pub fn schema(context: &mut CommandContext<'_>, args: &SchemaArgs) -> Result<u8, CommandError> {
    let text = match args.source {
        true => tombolo::mapping::source_schema(),
        false => tombolo::mapping::schema(),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(0)
}

/// A question to the user, and the flag that answers it beforehand.
struct PromptQuestion {
    flag: &'static str,
    text: &'static str,
    example: &'static str,
}

const FROM: PromptQuestion = PromptQuestion {
    flag: "--from",
    text: "scope of the entities where edges start",
    example: "okta-instance-id or @okta",
};
const TO: PromptQuestion = PromptQuestion {
    flag: "--to",
    text: "scope of the entities where edges end",
    example: "jamf-instance-id or @jamf",
};
const CLASS: PromptQuestion =
    PromptQuestion { flag: "--class", text: "class of the edges", example: "OWNS" };
const ROWS: PromptQuestion = PromptQuestion {
    flag: "--rows",
    text: "file or pattern that says which belong together, seen from the mapping's folder",
    example: "data/inventory.csv",
};
const FROM_KEY: PromptQuestion = PromptQuestion {
    flag: "--from-key",
    text: "_key of the entity where an edge starts, from a row",
    example: "okta-user:{row.login}",
};
const TO_KEY: PromptQuestion = PromptQuestion {
    flag: "--to-key",
    text: "_key of the entity where an edge ends, from a row",
    example: "jamf-device:{row.device}",
};
const JOIN: PromptQuestion = PromptQuestion {
    flag: "--join",
    text: "condition between both entities",
    example: "email(from.email) = email(to.owner)",
};
const KIND: PromptQuestion = PromptQuestion {
    flag: "--rows",
    text: "what says which belong together: `rows` of a file, or a `join` of properties",
    example: "rows",
};

/// Where questions are shown and answers are read.
struct Console<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Console<'_> {
    /// The answer to a question, which is not empty.
    fn ask(&mut self, question: &PromptQuestion) -> Result<String, CommandError> {
        loop {
            write!(self.output, "{} (e.g. {}): ", question.text, question.example)?;
            self.output.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Err(CommandError::mistake("no answer, so nothing was written"));
            }
            if !line.trim().is_empty() {
                return Ok(line.trim().to_owned());
            }
        }
    }

    /// A scope, by its name or by its number in the list.
    fn ask_scope(
        &mut self,
        question: &PromptQuestion,
        known: &[MappableScope],
    ) -> Result<String, CommandError> {
        for (scope, number) in known.iter().zip(1..) {
            writeln!(self.output, "  {number}  {}", clean(&scope_line(scope)))?;
        }
        let answer = self.ask(question)?;
        let chosen = answer.parse::<usize>().ok().and_then(|at| known.get(at.checked_sub(1)?));
        Ok(chosen.map_or(answer, |scope| scope.scope.clone()))
    }
}

/// A scope and its types, for people.
fn scope_line(scope: &MappableScope) -> String {
    let types: Vec<String> =
        scope.types.iter().take(LISTED).map(|(name, count)| format!("{name} ({count})")).collect();
    let more = if scope.types.len() > LISTED { ", ..." } else { "" };
    format!("{}: {}{more}", scope.scope, types.join(", "))
}

/// The types and properties that are listed of a scope.
const LISTED: usize = 12;

/// The properties and a key of the entities of a scope, as a join and a key template would name them.
fn end_line(end: &str, scope: &str, known: &[MappableScope]) -> Option<String> {
    let known = known.iter().find(|known| known.scope == scope)?;
    let names: Vec<String> =
        known.properties.iter().take(LISTED).map(|name| format!("{end}.{name}")).collect();
    let more = if known.properties.len() > LISTED { ", ..." } else { "" };
    let key = known.key.as_ref().map_or_else(String::new, |key| format!("; a key: {key}"));
    Some(format!("  {end}: {}{more}{key}", names.join(", ")))
}

/// Collects answers: from flags, or from the user if there is a console.
struct PromptAnswers<'a> {
    console: Option<Console<'a>>,
    known: &'a [MappableScope],
    missing: Vec<&'static PromptQuestion>,
}

impl PromptAnswers<'_> {
    fn take(
        &mut self,
        given: Option<&String>,
        question: &'static PromptQuestion,
    ) -> Result<String, CommandError> {
        match (given, &mut self.console) {
            (Some(given), _) => Ok(given.clone()),
            (None, Some(console)) if matches!(question.flag, "--from" | "--to") => {
                console.ask_scope(question, self.known)
            }
            (None, Some(console)) => console.ask(question),
            (None, None) => {
                // All missing flags are collected, so that one error names them together.
                self.missing.push(question);
                Ok(String::new())
            }
        }
    }

    /// True if the user wants a join instead of rows.
    fn wants_join(&mut self) -> Result<bool, CommandError> {
        let Some(console) = &mut self.console else { return Ok(false) };
        loop {
            match console.ask(&KIND)?.to_lowercase().as_str() {
                "rows" | "r" => return Ok(false),
                "join" | "j" => return Ok(true),
                _ => writeln!(console.output, "  `rows` or `join`")?,
            }
        }
    }

    /// Shows what the entities of both ends have.
    fn show_ends(&mut self, from: &str, to: &str) -> Result<(), CommandError> {
        let Some(console) = &mut self.console else { return Ok(()) };
        let ends = [end_line("from", from, self.known), end_line("to", to, self.known)];
        for line in ends.into_iter().flatten() {
            writeln!(console.output, "{}", clean(&line))?;
        }
        Ok(())
    }
}

/// `tombolo new`.
pub fn run(context: &mut CommandContext<'_>, args: &NewMappingArgs) -> Result<u8, CommandError> {
    let path = args.folder.join(format!("{}.toml", args.scope));
    // A scope with a `/` would name a file in another folder.
    if path.file_stem().is_none_or(|stem| stem != args.scope.as_str()) {
        let message = format!("the scope `{}` cannot be the name of a file", args.scope);
        return Err(CommandError::mistake(message).hint("give a scope without `/`"));
    }
    if path.exists() {
        return Err(CommandError::mistake(format!("`{}` exists already", path.display()))
            .hint("nothing was changed; edit it, or choose another scope"));
    }
    let text = match args.source.is_empty() {
        true => {
            let mut stderr = std::io::stderr();
            let mut stdin = std::io::stdin().lock();
            let asks = std::io::stdin().is_terminal();
            let known = if asks { known_scopes(context)? } else { Vec::new() };
            let console = Console { input: &mut stdin, output: &mut stderr };
            mapping_text(args, asks.then_some(console), &known)?
        }
        false => match source_text(args) {
            Ok(text) => text,
            Err(faults) => {
                diagnostics::tell(context, &faults, DiagnosticFormat::Human)?;
                return Err(CommandError::mistake("nothing was written"));
            }
        },
    };
    put(&path, &text)?;
    writeln!(context.out, "+ created {}", clean(&path.display().to_string()))?;
    context.out.flush()?;
    let loaded =
        MappingFileSet::load(&MappingSelection { paths: vec![path.clone()], labels: Vec::new() });
    diagnostics::tell(context, &loaded.faults, DiagnosticFormat::Human)?;
    match args.source.is_empty() {
        true => context.out.next("tombolo check")?,
        false => {
            let path = super::sync::quoted(&path.display().to_string());
            context.out.next(&format!("tombolo{} plan {path}", context.db_flag()))?;
        }
    }
    Ok(0)
}

/// The scopes of the database, if there is one.
fn known_scopes(context: &CommandContext<'_>) -> Result<Vec<MappableScope>, CommandError> {
    if !context.path().exists() {
        return Ok(Vec::new());
    }
    let (_database, snapshot) = context.look()?;
    Ok(mappable_scopes(&snapshot)?)
}

/// A source file for exports, guessed from their rows.
fn source_text(args: &NewMappingArgs) -> Result<String, Vec<tombolo::lang::Diagnostic>> {
    let text = tombolo::mapping::guess_source(&args.scope, &args.folder, &args.source)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // What is said by flags follows the scope.
    let after = lines.iter().position(|line| line.starts_with("scope = ")).map_or(0, |at| at + 1);
    for (key, value) in [("owner", &args.owner), ("description", &args.description)] {
        if let Some(value) = value {
            lines.insert(after, format!("{key} = {}", string(value)));
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn mapping_text<'a>(
    args: &NewMappingArgs,
    console: Option<Console<'a>>,
    known: &'a [MappableScope],
) -> Result<String, CommandError> {
    let mut answers = PromptAnswers { console, known, missing: Vec::new() };
    let class = answers.take(args.class.as_ref(), &CLASS)?;
    let from = answers.take(args.from.as_ref(), &FROM)?;
    let to = answers.take(args.to.as_ref(), &TO)?;
    let mut join = args.join.clone();
    let has_rows = [&args.rows, &args.from_key, &args.to_key].iter().any(|given| given.is_some());
    if join.is_none() && !has_rows && answers.wants_join()? {
        answers.show_ends(&from, &to)?;
        join = Some(answers.take(None, &JOIN)?);
    }
    let mut rows = None;
    if join.is_none() {
        let file = answers.take(args.rows.as_ref(), &ROWS)?;
        if args.from_key.is_none() || args.to_key.is_none() {
            answers.show_ends(&from, &to)?;
        }
        let from_key = answers.take(args.from_key.as_ref(), &FROM_KEY)?;
        rows = Some((file, from_key, answers.take(args.to_key.as_ref(), &TO_KEY)?));
    }
    if !answers.missing.is_empty() {
        let flags: Vec<&str> = answers.missing.iter().map(|question| question.flag).collect();
        let examples: Vec<String> = answers
            .missing
            .iter()
            .map(|question| format!("{} {}", question.flag, super::sync::quoted(question.example)))
            .collect();
        return Err(CommandError::mistake(format!("missing {}", flags.join(", ")))
            .hint(format!("e.g. {}", examples.join(" "))));
    }
    let mut lines = vec![format!("scope = {}", string(&args.scope))];
    for (key, value) in [("description", &args.description), ("owner", &args.owner)] {
        lines.extend(value.as_ref().map(|value| format!("{key} = {}", string(value))));
    }
    match (&join, &rows) {
        (Some(join), _) => lines.push(format!("join = {}", string(join))),
        (None, Some((file, ..))) => {
            let key = if file.contains(['*', '?', '[', '{']) { "files" } else { "file" };
            lines.push(format!("rows = {{ {key} = {} }}", string(file)));
        }
        (None, None) => {}
    }
    lines.push(format!("\n[relationship]\nclass = {}", string(&class)));
    let keys = rows.as_ref().map(|(_, from, to)| [from, to]);
    for (i, (table, scope)) in [("from", &from), ("to", &to)].into_iter().enumerate() {
        lines.push(format!("\n[{table}]\nscope = {}", string(scope)));
        lines.extend(keys.map(|keys| format!("key = {}", string(keys[i]))));
    }
    Ok(lines.join("\n") + "\n")
}

/// Returns `text` as a TOML string.
fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn put(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed = |e: std::io::Error| CommandError::file(path, "write", &e);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // `create_new` fails if somebody else has made the file in the meantime, so nothing is
    // overwritten.
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

const PROJECT: &str = r#"# The project: its root is this folder, and mappings may read files below it.

# Names for scopes, used as "@okta", so that one mapping serves every environment.
[scopes]
okta = "okta"
jamf = "jamf"

# Texts that stand for "unknown" here, beside those that everybody knows, e.g. "SPARE".
[filler]
texts = []
"#;

const MAPPING: &str = r##"#:schema ./mapping.schema.json
scope       = "okta-jamf-ownership"
description = "Who is assigned which laptop, from the asset inventory"
owner       = "it-assets@example.com"
rows        = { file = "data/inventory.csv" }

[relationship]
class = "OWNS"
type  = "user_owns_device"

[from]
scope = "@okta"
key   = "okta-user:{row.login}"

[to]
scope = "@jamf"
key   = "jamf-device:{row.device}"

[[example]]
row = { login = "alice", device = "laptop-001" }
key = "okta-user:alice|owns|jamf-device:laptop-001"
"##;

const INVENTORY: &str = "login,device\nalice,laptop-001\nbob,laptop-002\n";

/// Writes the files of a new project, unless there is one.
pub fn project(context: &mut CommandContext<'_>) -> Result<bool, CommandError> {
    if Path::new("tombolo.toml").exists() || Path::new("mappings").exists() {
        return Ok(false);
    }
    let schema = tombolo::mapping::schema();
    let source_schema = tombolo::mapping::source_schema();
    for (path, text, about) in [
        ("tombolo.toml", PROJECT, "names of scopes"),
        ("mappings/okta-jamf-ownership.toml.example", MAPPING, "an example: laptops by owner"),
        ("mappings/data/inventory.csv", INVENTORY, "its rows"),
        ("mappings/mapping.schema.json", schema.as_str(), "for your editor"),
        ("mappings/source.schema.json", source_schema.as_str(), "for your editor"),
    ] {
        put(Path::new(path), text)?;
        writeln!(context.out, "+ created {path:<42} {about}")?;
    }
    Ok(true)
}

/// What lies beside a database and belongs into no repository.
const BESIDE: [&str; 3] = ["", ".jobs/", ".index/"];

/// Names the database and what lies beside it in `.gitignore`, if it lies in this folder. True if
/// anything was written.
pub fn ignore_files(
    context: &mut CommandContext<'_>,
    database: &Path,
) -> Result<bool, CommandError> {
    let file = Path::new(".gitignore");
    let here = database.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let Some(name) = database.file_name().and_then(|name| name.to_str()).filter(|_| here) else {
        return Ok(false);
    };
    let failed = |e: std::io::Error| CommandError::file(file, "write", &e);
    let before = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(CommandError::file(file, "read", &e)),
    };
    let known = |line: &String| before.lines().any(|known| known.trim() == line);
    let lines: Vec<String> = BESIDE
        .iter()
        .map(|ending| format!("/{name}{ending}"))
        .filter(|line| !known(line))
        .collect();
    if lines.is_empty() {
        return Ok(false);
    }
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    std::fs::write(file, format!("{before}{gap}{}\n", lines.join("\n"))).map_err(failed)?;
    let (verb, about) = match before.is_empty() {
        true => ("created", "keeps the database out of git"),
        false => ("added to", "the database stays out of git"),
    };
    writeln!(context.out, "+ {verb} {:<42} {about}", file.display())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn args() -> NewMappingArgs {
        NewMappingArgs {
            scope: "owners".to_owned(),
            source: Vec::new(),
            rows: None,
            join: None,
            class: None,
            from: None,
            from_key: None,
            to: None,
            to_key: None,
            owner: None,
            description: None,
            folder: PathBuf::from("mappings"),
        }
    }

    /// What was asked for answers, and the file.
    fn form(answers: &str) -> (String, String) {
        let scope = |scope: &str, type_name: &str, properties: &[&str]| MappableScope {
            scope: scope.to_owned(),
            types: vec![(type_name.to_owned(), 40)],
            properties: properties.iter().map(|name| (*name).to_owned()).collect(),
            key: Some(format!("{scope}:1")),
        };
        let known = [scope("jamf", "laptop", &["owner"]), scope("okta", "okta_user", &["email"])];
        let mut shown = Vec::new();
        let console = Console { input: &mut answers.as_bytes(), output: &mut shown };
        let Ok(text) = mapping_text(&args(), Some(console), &known) else {
            panic!("{}", String::from_utf8_lossy(&shown))
        };
        (String::from_utf8(shown).unwrap(), text)
    }

    #[test]
    fn the_form_shows_what_is_there_and_offers_a_join() {
        let (shown, text) = form("OWNS\n2\njamf\njoin\nfrom.email = to.owner\n");
        assert!(shown.contains("  1  jamf: laptop (40)\n  2  okta: okta_user (40)\n"), "{shown}");
        assert!(shown.contains("  from: from.email; a key: okta:1\n  to: to.owner"), "{shown}");
        assert_eq!(
            text,
            "scope = \"owners\"\njoin = \"from.email = to.owner\"\n\n[relationship]\n\
             class = \"OWNS\"\n\n[from]\nscope = \"okta\"\n\n[to]\nscope = \"jamf\"\n"
        );
    }

    #[test]
    fn a_pattern_of_rows_is_files() {
        let (_, text) = form("OWNS\n2\n1\nrows\ndeploy/*.yaml\nu:{row.a}\nd:{row.b}\n");
        assert!(text.contains("rows = { files = \"deploy/*.yaml\" }"), "{text}");
        let (_, text) = form("OWNS\n2\n1\nr\ndata/a.csv\nu:{row.a}\nd:{row.b}\n");
        assert!(text.contains("rows = { file = \"data/a.csv\" }"), "{text}");
        assert!(text.contains("[to]\nscope = \"jamf\"\nkey = \"d:{row.b}\""), "{text}");
    }
}
