//! First mapping files: `new` writes one from flags or answers, `init` the project around it,
//! `schema` what editors complete them with.

use super::CommandContext;
use super::args::{DiagnosticFormat, NewMappingArgs, SchemaArgs};
use super::diagnostics;
use super::failure::CommandError;
use super::output::clean;
use std::io::{IsTerminal, Write};
use std::path::Path;
use tombolo::answers::{MappingFileSet, MappingSelection};

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
    text: "file that says which belong together, seen from the mapping's folder",
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

/// Collects answers: from flags, or from the user if standard input is a terminal.
struct PromptAnswers {
    asks: bool,
    missing: Vec<&'static PromptQuestion>,
}

impl PromptAnswers {
    fn take(
        &mut self,
        given: Option<&String>,
        question: &'static PromptQuestion,
    ) -> Result<String, CommandError> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        if !self.asks {
            // All missing flags are collected, so that one error names them together.
            self.missing.push(question);
            return Ok(String::new());
        }
        loop {
            eprint!("{} (e.g. {}): ", question.text, question.example);
            let mut line = String::new();
            if std::io::stdin().read_line(&mut line)? == 0 {
                return Err(CommandError::mistake("no answer, so nothing was written"));
            }
            if !line.trim().is_empty() {
                return Ok(line.trim().to_owned());
            }
        }
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
    let text = text(args)?;
    put(&path, &text)?;
    writeln!(context.out, "+ created {}", clean(&path.display().to_string()))?;
    context.out.flush()?;
    let loaded = MappingFileSet::load(&MappingSelection { paths: vec![path], labels: Vec::new() });
    diagnostics::tell(context, &loaded.faults, DiagnosticFormat::Human)?;
    context.out.next("tombolo check")?;
    Ok(0)
}

fn text(args: &NewMappingArgs) -> Result<String, CommandError> {
    let mut answers = PromptAnswers { asks: std::io::stdin().is_terminal(), missing: Vec::new() };
    let class = answers.take(args.class.as_ref(), &CLASS)?;
    let from = answers.take(args.from.as_ref(), &FROM)?;
    let to = answers.take(args.to.as_ref(), &TO)?;
    let mut rows = None;
    if args.join.is_none() {
        rows = Some((
            answers.take(args.rows.as_ref(), &ROWS)?,
            answers.take(args.from_key.as_ref(), &FROM_KEY)?,
            answers.take(args.to_key.as_ref(), &TO_KEY)?,
        ));
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
    match (&args.join, &rows) {
        (Some(join), _) => lines.push(format!("join = {}", string(join))),
        (None, Some((file, ..))) => lines.push(format!("rows = {{ file = {} }}", string(file))),
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
