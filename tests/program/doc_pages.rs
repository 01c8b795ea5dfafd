//! Pages of `docs/` whose commands are run as they stand there.
//!
//! All `console` blocks of a page run one after the other in one folder, by a shell. A line that begins with
//! `$ ` is a command; the lines below it are what it prints, where `…` stands for anything.

use crate::cli::{Said, World, said};
use std::path::Path;
use std::process::{Command, Stdio};

/// A command of a page, the lines that it prints there, and the number of its line.
struct PageCommand {
    line: usize,
    command: String,
    prints: Vec<String>,
}

fn commands(page: &str) -> Vec<PageCommand> {
    let mut commands: Vec<PageCommand> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(page.lines()) {
        match (inside, line.strip_prefix("$ ")) {
            (false, _) => inside = line == "```console",
            (true, _) if line == "```" => inside = false,
            (true, Some(command)) => {
                let command = command.to_owned();
                commands.push(PageCommand { line: number, command, prints: Vec::new() });
            }
            (true, None) => {
                let last = commands.last_mut().expect("a block begins with a command");
                last.prints.push(line.to_owned());
            }
        }
    }
    commands
}

/// True if a line is as the page has it.
fn fits(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for part in parts {
        open = true;
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || open && pattern.ends_with('…')
}

/// Runs one script, in which an `exit` or `cd` lasts.
fn shell(world: &World, folder: &Path, script: &str) -> Said {
    let program = Path::new(env!("CARGO_BIN_EXE_tombolo")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("HOME", world.folder.path())
        .env("NO_COLOR", "1")
        .env_remove("TOMBOLO_DB")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output();
    said(output.expect("a shell starts"))
}

/// Runs every command of a page. Each goes on in the folder and with the variables of those before it.
#[track_caller]
fn run_page(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let world = World::new();
    let commands = commands(&page);
    assert!(commands.len() > 2, "{name} has {} commands", commands.len());
    // What a shell keeps between two commands is handed on in a file that the next one reads.
    let state = world.path("state.sh");
    std::fs::write(&state, "").expect("the folder can be written");
    for PageCommand { line, command, prints } in commands {
        let script = format!(
            ". {state}\n{command}\ncode=$?\n{{ echo \"cd '$PWD'\"; [ -z \"$id\" ] || echo \"id='$id'\"; }} \
             > {state}\nexit $code",
            state = state.display()
        );
        let said = shell(&world, world.folder.path(), &script);
        let place = format!("docs/{name}:{line}: {command}");
        // A page that shows a refusal shows its error.
        let text = format!("{}{}", said.out, said.err);
        let refused = prints.iter().any(|line| line.starts_with("error:"));
        assert_eq!(said.code != 0, refused, "{place}\n{said:?}");
        let mut lines = text.lines();
        for pattern in &prints {
            let found = lines.any(|line| fits(line, pattern));
            assert!(found, "{place}\nprints no `{pattern}`, but\n{text}");
        }
    }
}

#[test]
fn pictures() {
    run_page("pictures.md");
}

#[test]
fn history() {
    run_page("history.md");
}

#[test]
fn recover() {
    run_page("recover.md");
}

#[test]
fn install() {
    run_page("install.md");
}

#[test]
fn a_pattern_stands_for_what_varies() {
    assert!(fits("a job 12ab done", "a job … done") && fits("abc", "a…") && fits("abc", "abc"));
    assert!(!fits("abc", "ab") && !fits("a job 12ab done!", "a job … done") && !fits("xa", "a…"));
}
