//! `tombolo man`: manual pages, made of the definitions that the command line is read by.

use super::CommandContext;
use super::args::{self, ManArgs};
use super::failure::CommandError;
use super::help;
use super::output::{clean, counted};
use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &ManArgs) -> Result<u8, CommandError> {
    let mut root = args::complete();
    // Names such as `tombolo-job-list` come about when the command is built.
    root.build();
    if let Some(folder) = &args.dir {
        fs::create_dir_all(folder).map_err(|e| CommandError::file(folder, "make", &e))?;
        let pages = write_pages(&root, "", folder)?;
        let pages = counted(pages, "page", "pages");
        let name = folder.display().to_string();
        writeln!(context.out, "+ {pages} in {}", clean(&name))?;
        return Ok(0);
    }
    let mut command = &root;
    for word in &args.command {
        command = command.find_subcommand(word).ok_or_else(|| no_command(command, word))?;
    }
    Ok(context.out.write_all(&page(command, &args.command.join(" "))?).map(|()| 0)?)
}

fn no_command(command: &Command, word: &str) -> CommandError {
    let message = format!("`{}` has no command `{}`", command.get_name(), clean(word));
    let known: Vec<&str> = shown(command).map(Command::get_name).collect();
    match known.is_empty() {
        true => CommandError::mistake(message).hint("leave it out"),
        false => CommandError::mistake(message).hint(format!("it has {}", known.join(", "))),
    }
}

/// The commands below one that have pages. Help is no command of its own here.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
}

/// Writes the page of a command and of all below it; returns their number.
fn write_pages(command: &Command, path: &str, folder: &Path) -> Result<u64, CommandError> {
    let file = folder.join(Man::new(command.clone()).get_filename());
    let text = page(command, path)?;
    fs::write(&file, text).map_err(|e| CommandError::file(&file, "write", &e))?;
    let mut pages = 1;
    for sub in shown(command) {
        let path = format!("{path} {}", sub.get_name());
        pages += write_pages(sub, path.trim_start(), folder)?;
    }
    Ok(pages)
}

/// The page of a command, whose words are `path`.
fn page(command: &Command, path: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let man = Man::new(command.clone()).source(format!("tombolo {}", env!("CARGO_PKG_VERSION")));
    man.manual("Tombolo").render(&mut text)?;
    let mut end = Roff::new();
    if let Some(examples) = help::examples(path) {
        end.control("SH", ["EXAMPLES"]);
        for (line, what) in examples {
            end.control("TP", []).text([bold(line)]).text([roman(what)]);
        }
    }
    if path.is_empty() {
        end.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in help::EXIT_CODES {
            end.control("TP", []).text([bold(code)]).text([roman(meaning)]);
        }
    }
    // A page is one document, so what begins one stands there already.
    text.extend_from_slice(end.to_roff().as_bytes());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        let text = page(command, path).expect("memory takes every byte");
        found.push((path.to_owned(), String::from_utf8(text).expect("a page is text")));
        for sub in shown(command) {
            pages(sub, format!("{path} {}", sub.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_flags_and_examples() {
        let mut root = args::complete();
        root.build();
        let mut found = Vec::new();
        pages(&root, "", &mut found);
        assert!(found.len() > 30, "{} pages", found.len());
        for (path, text) in &found {
            for section in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
                assert_eq!(text.matches(section).count(), 1, "{path}: {section}\n{text}");
            }
            assert_eq!(
                text.matches(".SH EXAMPLES").count(),
                usize::from(!path.is_empty()),
                "{path}"
            );
            assert_eq!(text.matches(".TH ").count(), 1, "{path}");
        }
        let of = |name: &str| &found.iter().find(|(path, _)| path == name).expect(name).1;
        assert!(of("blast-radius").contains("\\-\\-depth"), "{}", of("blast-radius"));
        assert!(of("").contains(".SH \"EXIT STATUS\""), "{}", of(""));
    }
}
