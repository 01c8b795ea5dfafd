//! The ends of the help pages: a terminal leaves the eye there.
//!
//! A page ends with two examples that can be typed and the command to try next. A file that it names
//! is explained there in five lines. The flags that every command takes stand on the first page
//! alone.

use clap::Command;

/// The end of one page.
struct HelpEnding {
    /// The words of the command.
    command: &'static str,
    /// A note beside the flags; may be empty.
    note: &'static str,
    /// Two command lines and what each does.
    examples: [(&'static str, &'static str); 2],
    /// The command to try next, and what for.
    next: (&'static str, &'static str),
}

/// The widest line of a page, so that a terminal of 80 columns breaks none.
const WIDTH: usize = 78;

/// The exit codes, each with its meaning, for the manual page; `EVERYWHERE` has them in one sentence.
pub const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "done"),
    ("1", "failed"),
    ("2", "mistake in the call"),
    ("3", "changes are waiting (--exit-code)"),
    ("4", "refused for safety"),
    ("5", "database in use for too long"),
    ("6", "database or job damaged, or of a newer format"),
];

/// Every flag that every command takes.
pub const EVERYWHERE: &str = "\
Everywhere:
      --db PATH               Database file [env: TOMBOLO_DB, or tombolo.redb]
      --color WHEN            Colours: auto (on a terminal), always or never
      --wait TIME             How long to wait for other writers: 90s, 5m or 0
  -q, --quiet                 Print answers and errors only
  -v, --verbose               Print more: whole ids and exact times
      --memory SIZE           Memory for questions: 512M or 2G [default: 1G]
      --spreadsheet-safe      Guard texts of CSV that look like formulas
      --message-format FORM   Errors on standard error as human or json

Exit codes: 0 done, 1 failed, 2 mistake in the call, 3 changes are waiting
(--exit-code), 4 refused for safety, 5 database in use for too long,
6 database or job damaged, or of a newer format.";

const ENTITY: &str = "\
An ENTITY is SCOPE::KEY, a key, an _id or its last 8 characters, or else, in
any case of letters, its displayName, arn, email, hostname, name or
serialNumber. It must be the only live one of that name.";

const QUERIES: &str = "\
queries.toml keeps the questions of a team beside its mappings:
  [queries.unowned-buckets]
  about  = \"every bucket has an owner\"
  query  = \"FIND aws_s3_bucket THAT !OWNS << (Person|Team)\"
  expect = 0                   # or { min = 1, max = 20 }; --check asks all";

const RULES: &str = "\
tombolo.toml, here or in a folder above, holds a project's own rules:
  [[impact]]                   # docs/impact-rules.md tells all it can say
  verb       = \"REPLICATES_TO\"
  to         = \"Database\"      # classes, types or @sets; left out: anything
  compromise = \"forward\"       # forward, reverse, both, none or membership
  failure    = \"reverse\"       # forward, reverse, both or none";

const MAPPING: &str = "\
A MAPPING is a TOML file that makes the edges of one scope:
  scope = \"laptops\"
  rows = { file = \"data/inventory.csv\" }
  relationship = { class = \"OWNS\" }
  from = { scope = \"okta\", match = \"email(from.email) = email(row.who)\" }
  to = { scope = \"jamf\", match = \"serial(to.serial) = serial(row.serial)\" }";

const PAST: &str = "\
A WHEN is a time (2026-11-24T10:00Z, 2026-11-24, 3d, yesterday), the number
of a revision, or the id of a job: the state right after it. Times without
a zone are UTC. `gc` keeps states for 90 days, or as tombolo.toml says:
  [history]
  keep = \"90d\"               # or \"forever\", or \"none\"";

/// Every page, in the order of the commands.
const ENDINGS: [HelpEnding; 46] = [
    HelpEnding {
        command: "demo",
        note: "",
        examples: [
            ("tombolo demo", "in a temporary folder that is removed afterwards"),
            ("tombolo demo --dir ./demo", "in a folder to look around in"),
        ],
        next: ("tombolo blast-radius okta-user:alice", "in that folder"),
    },
    HelpEnding {
        command: "init",
        note: "",
        examples: [
            ("tombolo init", "tombolo.redb in this folder"),
            ("tombolo init --db /var/lib/tombolo/graph.redb", "another file"),
        ],
        next: ("tombolo sync --scope okta okta.json", "fills it"),
    },
    HelpEnding {
        command: "import",
        note: "",
        examples: [
            (
                "tombolo import aws-iam iam.json --scope aws",
                "users, roles and policies of an account",
            ),
            ("tombolo import bom.json --scope app --dry-run", "the format is recognised"),
        ],
        next: ("tombolo import --list", "the formats"),
    },
    HelpEnding {
        command: "sync",
        note: "",
        examples: [
            ("tombolo sync --scope okta okta.json", "replace what scope `okta` holds"),
            ("tombolo sync --scope okta --dry-run --details okta.json", "what would change"),
        ],
        next: ("tombolo stats", "what is in the graph now"),
    },
    HelpEnding {
        command: "job list",
        note: "",
        examples: [
            ("tombolo job list", "the last 20"),
            ("tombolo job list --scope okta --max 100", "more, of one scope"),
        ],
        next: ("tombolo job show 1a2b3c4d", "what one of them did"),
    },
    HelpEnding {
        command: "job show",
        note: "",
        examples: [
            ("tombolo job show 1a2b3c4d", "an id, or enough of its end"),
            ("tombolo job show 1a2b3c4d --changes", "what a held job would change"),
        ],
        next: ("tombolo job undo 1a2b3c4d", "brings back what it deleted"),
    },
    HelpEnding {
        command: "job approve",
        note: "",
        examples: [
            ("tombolo job approve 1a2b3c4d", "run a held job after all"),
            ("tombolo job approve 1a2b3c4d -o json", "with the whole report"),
        ],
        next: ("tombolo job undo 1a2b3c4d", "if that was wrong"),
    },
    HelpEnding {
        command: "job abort",
        note: "",
        examples: [
            ("tombolo job abort 1a2b3c4d", "drop a held or open job"),
            ("tombolo job abort 1a2b3c4d -o json", "with the whole report"),
        ],
        next: ("tombolo job list", "what else is open or held"),
    },
    HelpEnding {
        command: "job undo",
        note: "",
        examples: [
            ("tombolo job undo 1a2b3c4d --dry-run", "what would be taken back, and what stays"),
            ("tombolo job undo 1a2b3c4d", "all that the job did, untouched since"),
        ],
        next: ("tombolo job list", "the undoing is a job as well"),
    },
    HelpEnding {
        command: "job clear",
        note: "",
        examples: [
            ("tombolo job clear --dry-run", "what is there that is no job, or no whole one"),
            ("tombolo job clear notes.json", "delete only this file; the graph stays as it is"),
        ],
        next: ("tombolo verify", "whether anything is wrong still"),
    },
    HelpEnding {
        command: "check",
        note: MAPPING,
        examples: [
            ("tombolo check", "every file in mappings/"),
            ("tombolo check -o github", "annotations for a workflow"),
        ],
        next: ("tombolo plan", "what they would change"),
    },
    HelpEnding {
        command: "plan",
        note: MAPPING,
        examples: [
            ("tombolo plan --details", "each edge, with the row it comes from"),
            ("tombolo plan --out plan.tbl", "save it; `tombolo apply plan.tbl` applies just that"),
        ],
        next: ("tombolo plan --unmatched", "each row that makes no edge, and why"),
    },
    HelpEnding {
        command: "apply",
        note: MAPPING,
        examples: [
            ("tombolo apply", "every file in mappings/"),
            ("tombolo apply plan.tbl", "exactly a saved plan"),
        ],
        next: ("tombolo job list", "what was applied, and when"),
    },
    HelpEnding {
        command: "explain",
        note: "",
        examples: [
            ("tombolo explain 'alice|owns|laptop-001'", "why an edge exists"),
            ("tombolo explain data/inventory.csv:233", "why a row made none"),
        ],
        next: ("tombolo plan --unmatched", "all rows that make none"),
    },
    HelpEnding {
        command: "new",
        note: MAPPING,
        examples: [
            ("tombolo new okta-jamf-ownership", "asks what it needs, on a terminal"),
            ("tombolo new okta --source exports/*.json", "a source file, guessed from the rows"),
        ],
        next: ("tombolo check", "whether it is sound"),
    },
    HelpEnding {
        command: "schema",
        note: "",
        examples: [
            ("tombolo schema > mappings/mapping.schema.json", "for your editor"),
            ("tombolo schema | less", "every key with its meaning"),
        ],
        next: ("tombolo new okta-jamf-ownership", "a first mapping"),
    },
    HelpEnding {
        command: "query",
        note: QUERIES,
        examples: [
            ("tombolo query 'FIND User THAT !OWNS Device'", "a question in J1QL"),
            ("tombolo query --check --baseline known.toml -o junit", "all of them, for CI"),
        ],
        next: ("tombolo query --explain 'FIND User THAT OWNS Device'", "how it is answered"),
    },
    HelpEnding {
        command: "blast-radius",
        note: ENTITY,
        examples: [
            ("tombolo blast-radius 'alice smith' --depth 3", "what she reaches, by name"),
            (
                "tombolo blast-radius aws::role:billing --for failure -o html > billing.html",
                "only what stops working, as a page with a picture",
            ),
        ],
        next: ("tombolo impact-rules --verb ASSUMES", "why something is reached, or not"),
    },
    HelpEnding {
        command: "owners",
        note: ENTITY,
        examples: [
            ("tombolo owners s3-bucket:invoices --people", "whom to call, and by which chain"),
            ("tombolo owners --class Database --orphans", "those that nobody owns"),
        ],
        next: ("tombolo get s3-bucket:invoices", "everything known about it"),
    },
    HelpEnding {
        command: "impact-rules",
        note: RULES,
        examples: [
            ("tombolo impact-rules --verb HAS", "what one verb passes on"),
            ("tombolo impact-rules -o toml", "to copy from, into tombolo.toml"),
        ],
        next: ("tombolo blast-radius okta-user:alice", "what they say"),
    },
    HelpEnding {
        command: "path",
        note: ENTITY,
        examples: [
            ("tombolo path okta-user:alice s3-bucket:invoices --all", "every shortest chain"),
            ("tombolo path okta-user:alice s3-bucket:invoices --via role:x", "through an entity"),
        ],
        next: ("tombolo path s3-bucket:invoices okta-user:alice --direction both", "either way"),
    },
    HelpEnding {
        command: "cycles",
        note: "",
        examples: [
            ("tombolo cycles", "groups that contain themselves, roles in a circle"),
            ("tombolo cycles --verb ASSUMES --exit-code", "exit 1 if there is one"),
        ],
        next: ("tombolo get group:everyone", "what is around a member"),
    },
    HelpEnding {
        command: "get",
        note: ENTITY,
        examples: [
            ("tombolo get okta::okta-user:alice", "by scope and key"),
            ("tombolo get alice@example.com -o json", "by e-mail, for a program"),
        ],
        next: ("tombolo blast-radius okta-user:alice", "what it reaches"),
    },
    HelpEnding {
        command: "scopes",
        note: "",
        examples: [
            ("tombolo scopes", "each with its counts and last job"),
            ("tombolo scopes -o csv", "for a spreadsheet"),
        ],
        next: ("tombolo job list --scope okta", "the jobs of one"),
    },
    HelpEnding {
        command: "scopes delete",
        note: "",
        examples: [
            (
                "tombolo scopes delete --edges-of laptops --reason CHG-4411",
                "after its mapping was removed",
            ),
            (
                "tombolo scopes delete --edges-of laptops --reason 'moved to jamf' -v",
                "with the whole id of the job",
            ),
        ],
        next: ("tombolo job undo 1a2b3c4d", "brings them back"),
    },
    HelpEnding {
        command: "stats",
        note: "",
        examples: [
            ("tombolo stats", "counts by scope, type and class"),
            ("tombolo stats -o json", "with the size of the file"),
        ],
        next: ("tombolo query 'FIND User'", "the entities of a class"),
    },
    HelpEnding {
        command: "diff",
        note: PAST,
        examples: [
            ("tombolo diff yesterday", "all that changed since"),
            ("tombolo diff 2026-11-24 2026-11-25 --impact okta-user:alice", "and what it means"),
        ],
        next: ("tombolo history okta-user:alice", "who changed one of them, and when"),
    },
    HelpEnding {
        command: "history",
        note: "",
        examples: [
            ("tombolo history okta-user:alice", "each version, with the job behind it"),
            ("tombolo history s3-bucket:invoices -o csv", "a row for each property that changed"),
        ],
        next: ("tombolo job show 1a2b3c4d --changes", "all that one job changed"),
    },
    HelpEnding {
        command: "export",
        note: "",
        examples: [
            ("tombolo export > graph.ndjson", "`tombolo sync graph.ndjson` reads it again"),
            ("tombolo export --scope okta -o graphml > okta.graphml", "for Gephi, yEd, networkx"),
        ],
        next: ("tombolo backup graph-copy.redb", "a copy that is a database"),
    },
    HelpEnding {
        command: "open",
        note: ENTITY,
        examples: [
            ("tombolo open", "search, queries, scopes and jobs"),
            ("tombolo open okta-user:alice", "the page of an entity"),
        ],
        next: ("tombolo serve", "for other machines, with tokens"),
    },
    HelpEnding {
        command: "serve",
        note: "",
        examples: [
            ("tombolo serve", "on 127.0.0.1:7474, for this machine only"),
            (
                "tombolo serve --address 0.0.0.0 --host-name graph.example.com \
                 --tls-cert cert.pem --tls-key key.pem",
                "for others, who need a token",
            ),
        ],
        next: ("tombolo token create ci --right 'write:ci-*'", "a token for a collector"),
    },
    HelpEnding {
        command: "token create",
        note: "",
        examples: [
            ("tombolo token create okta --right 'write:okta-*' --days 90", "a collector"),
            ("tombolo token create dashboard --right read", "somebody who asks"),
        ],
        next: ("tombolo token list", "all, without their texts"),
    },
    HelpEnding {
        command: "token list",
        note: "",
        examples: [
            ("tombolo token list", "what each may do, and until when"),
            ("tombolo token list -o json", "with whole ids"),
        ],
        next: ("tombolo token revoke 1a2b3c4d", "takes one back"),
    },
    HelpEnding {
        command: "token revoke",
        note: "",
        examples: [
            ("tombolo token revoke 1a2b3c4d", "an id, or enough of its end"),
            ("tombolo token revoke 1a2b3c4d -v", "and print the whole id"),
        ],
        next: ("tombolo token list", "which are left"),
    },
    HelpEnding {
        command: "token allow-anonymous",
        note: "",
        examples: [
            ("tombolo token allow-anonymous", "once no token is left"),
            ("tombolo token allow-anonymous -q", "without a word"),
        ],
        next: ("tombolo serve", "lets this machine call without a token"),
    },
    HelpEnding {
        command: "push",
        note: "",
        examples: [
            ("tombolo push http://127.0.0.1:7474 --scope okta okta.json", "to a server"),
            (
                "tombolo push https://graph.example.com --scope okta --dry-run okta/",
                "the token from TOMBOLO_TOKEN",
            ),
        ],
        next: ("tombolo sync --help", "the same into a file of this machine"),
    },
    HelpEnding {
        command: "verify",
        note: "",
        examples: [
            ("tombolo verify", "every row of the file"),
            ("tombolo verify --db copy.redb", "a copy, before it is needed"),
        ],
        next: ("tombolo backup copy.redb", "while it is sound"),
    },
    HelpEnding {
        command: "backup",
        note: "",
        examples: [
            ("tombolo backup tombolo-2026-11-25.redb", "one state, a database like any other"),
            ("tombolo backup /mnt/nightly.redb --quiet", "for a timer"),
        ],
        next: ("tombolo verify --db tombolo-2026-11-25.redb", "whether the copy is sound"),
    },
    HelpEnding {
        command: "compact",
        note: "",
        examples: [
            ("tombolo compact", "as small as it gets"),
            ("tombolo compact --db copy.redb", "a copy"),
        ],
        next: ("tombolo gc", "first purges what was deleted long ago"),
    },
    HelpEnding {
        command: "gc",
        note: "",
        examples: [
            ("tombolo gc", "what was deleted more than 90 days ago"),
            ("tombolo gc --older-than 30", "earlier"),
        ],
        next: ("tombolo compact", "gives the space back"),
    },
    HelpEnding {
        command: "mcp",
        note: "",
        examples: [
            ("tombolo mcp --db /var/lib/tombolo/graph.redb", "as a client starts it"),
            ("tombolo mcp --mappings ./mappings", "files that `plan` may plan"),
        ],
        next: ("tombolo token create assistant --right read", "for /mcp of `tombolo serve`"),
    },
    HelpEnding {
        command: "completions",
        note: "",
        examples: [
            ("tombolo completions bash > /etc/bash_completion.d/tombolo", "for everybody"),
            ("tombolo completions zsh > ~/.zfunc/_tombolo", "for yourself"),
        ],
        next: ("tombolo help", "all commands"),
    },
    HelpEnding {
        command: "upgrade",
        note: "",
        examples: [
            ("tombolo upgrade", "in place, once the new file is whole and verified"),
            ("tombolo upgrade --keep-old before.redb", "and keep the file as it was"),
        ],
        next: ("tombolo verify", "every row of it, once more"),
    },
    HelpEnding {
        command: "man",
        note: "",
        examples: [
            ("tombolo man blast-radius | man -l -", "read one page"),
            ("tombolo man --dir /usr/local/share/man/man1", "install all of them"),
        ],
        next: ("tombolo completions bash", "the other help of a shell"),
    },
    HelpEnding {
        command: "job",
        note: "",
        examples: [
            ("tombolo job list", "newest first"),
            ("tombolo job show 1a2b3c4d", "an id, or enough of its end"),
        ],
        next: ("tombolo job approve 1a2b3c4d", "runs a held one"),
    },
    HelpEnding {
        command: "token",
        note: "",
        examples: [
            ("tombolo token create dashboard --right read", "shown this once"),
            ("tombolo token list", "all, without their texts"),
        ],
        next: ("tombolo serve", "the server that asks for them"),
    },
];

/// The examples of a command and the command to try next, each with what it does. `path` are its words.
pub fn examples(path: &str) -> Option<[(&'static str, &'static str); 3]> {
    let HelpEnding { examples: [first, second], next, .. } =
        ENDINGS.iter().find(|ending| ending.command == path)?;
    Some([*first, *second, *next])
}

impl HelpEnding {
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.note.is_empty() {
            text.push_str(&format!("{}\n\n", self.note));
        }
        text.push_str("`tombolo help` lists the flags of every command.\n\nExamples:\n");
        let width = self.examples.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        let room = |what: &str| 2 + width + 3 + what.len() <= WIDTH;
        // Both examples take the same form, so that a page stays even.
        let beside = self.examples.iter().all(|(_, what)| room(what));
        for (command, what) in self.examples {
            match beside {
                true => text.push_str(&format!("  {command:<width$}   {what}\n")),
                false => text.push_str(&format!("  {command}\n      {what}\n")),
            }
        }
        let (command, what) = self.next;
        let next = format!("\nNext: {command}   {what}");
        text + &match next.len() <= WIDTH {
            true => next,
            false => format!("\nNext: {command}\n      {what}"),
        }
    }
}

/// Gives every page its end, and takes the flags of every command off all pages but the first.
pub fn with_page_endings(root: Command) -> Command {
    // A hidden flag still works; it is only left out of the page.
    let root = root.mut_args(|arg| match arg.is_global_set() {
        true => arg.hide(true),
        false => arg,
    });
    with_subcommand_endings(root.after_help(EVERYWHERE), "")
}

fn with_subcommand_endings(command: Command, path: &str) -> Command {
    command.mut_subcommands(|sub| {
        let path = format!("{path}{}", sub.get_name());
        let ending = ENDINGS.iter().find(|ending| ending.command == path);
        let sub = match ending {
            Some(ending) => sub.after_help(ending.text()),
            None => sub,
        };
        with_subcommand_endings(sub, &format!("{path} "))
    })
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::*;

    /// Splits a command line as a shell does, up to where its output goes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                '>' | '|' if !quoted => break,
                ' ' if !quoted => words.extend(Some(std::mem::take(&mut word))),
                c => word.push(c),
            }
        }
        words.extend(Some(word));
        words.retain(|word| !word.is_empty());
        words
    }

    fn in_this_build(ending: &&HelpEnding) -> bool {
        let command = ending.command.split(' ').next();
        let absent =
            |(name, _, _, there): &(&str, &str, &str, bool)| !there && command == Some(name);
        !super::super::OPTIONAL_COMMANDS.iter().any(absent)
    }

    fn pages(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        for sub in command.get_subcommands() {
            let path = format!("{path}{}", sub.get_name());
            found.push((path.clone(), sub.clone().render_help().to_string()));
            pages(sub, &format!("{path} "), found);
        }
    }

    #[test]
    fn every_page_ends_with_two_examples_and_the_next_command() {
        let mut found = Vec::new();
        pages(&args::command(), "", &mut found);
        for (path, help) in &found {
            let ending = ENDINGS.iter().find(|ending| ending.command == path);
            assert!(ending.is_some(), "`{path}` has no ending in cli/help.rs");
            let end = help.rsplit_once("\nExamples:\n").map(|(_, end)| end.trim_end());
            let end = end.unwrap_or_else(|| panic!("{help}"));
            assert_eq!(end.matches("  tombolo ").count(), 2, "{help}");
            assert_eq!(end.matches("\n\nNext: tombolo ").count(), 1, "{help}");
        }
        for ending in ENDINGS.iter().filter(in_this_build) {
            assert!(found.iter().any(|(path, _)| path == ending.command), "{}", ending.command);
        }
    }

    #[test]
    fn every_example_can_be_typed() {
        for ending in ENDINGS.iter().filter(in_this_build) {
            let own = ending.examples.iter().map(|(line, _)| *line);
            for line in own.clone().chain([ending.next.0]) {
                let read = args::parse(words(line).into_iter().map(Into::into));
                let fine = match &read {
                    Ok(_) => true,
                    Err(e) => !e.use_stderr(),
                };
                assert!(fine, "{line}: {}", read.err().map(|e| e.to_string()).unwrap_or_default());
            }
            for line in own {
                assert!(line.starts_with(&format!("tombolo {}", ending.command)), "{line}");
            }
        }
    }

    #[test]
    fn the_flags_of_every_command_stand_on_the_first_page_alone() {
        let mut command = args::command();
        let first = command.render_help().to_string();
        for arg in args::global().get_arguments() {
            let flag = format!("--{}", arg.get_long().unwrap_or_default());
            assert_eq!(
                first.matches(&flag).count(),
                1 + usize::from(flag == "--exit-code"),
                "{flag}"
            );
        }
        let mut found = Vec::new();
        pages(&command, "", &mut found);
        for (path, help) in found {
            assert!(!help.contains("--message-format"), "{path}: {help}");
        }
    }

    #[test]
    fn exit_codes_are_the_same_everywhere() {
        let sentence = EVERYWHERE.replace('\n', " ");
        for (code, meaning) in EXIT_CODES {
            assert!(sentence.contains(&format!("{code} {meaning}")), "{code} {meaning}");
        }
    }

    #[test]
    fn a_file_that_help_names_is_explained_in_five_lines() {
        for note in [QUERIES, MAPPING] {
            assert!(note.lines().count() <= 6, "{note}");
            let toml: String = note.lines().skip(1).map(|line| format!("{line}\n")).collect();
            let read: Result<toml::Table, _> = toml.parse();
            assert!(read.is_ok(), "{read:?}");
        }
    }

    #[test]
    fn pages_fit_eighty_columns() {
        let own = ENDINGS.iter().map(HelpEnding::text);
        for text in own.chain([EVERYWHERE.to_owned()]) {
            for line in text.lines() {
                // A command line is shown as it is typed.
                let typed = line.starts_with("  tombolo ") || line.starts_with("Next: ");
                assert!(typed || line.chars().count() <= WIDTH, "{line}");
            }
        }
    }
}
