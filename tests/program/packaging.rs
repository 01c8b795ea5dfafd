//! What people install from: manual pages, the action, the hooks, the image.

use crate::cli::{World, said};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let world = World::new();
    let said = world.run(&["man", "--dir", "share/man1"]).ok();
    assert!(said.out.contains(" pages in share/man1"), "{said:?}");
    for name in ["tombolo", "tombolo-blast-radius", "tombolo-job-approve", "tombolo-man"] {
        let text = std::fs::read_to_string(world.path("share/man1").join(format!("{name}.1")));
        let text = text.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains(&format!(".TH {name} 1")), "{text}");
    }
    let page = world.run(&["man", "job", "approve"]).ok().out;
    assert!(page.contains(".SH EXAMPLES") && page.contains("tombolo job approve"), "{page}");
    let first = world.run(&["man"]).ok().out;
    assert!(first.contains("EXIT STATUS") && first.contains("blast"), "{first}");
    let said = world.run(&["man", "jobs"]).refused(2, "`tombolo` has no command `jobs`");
    assert!(said.err.contains("blast-radius"), "{said:?}");
    world.run(&["man", "verify", "all"]).refused(2, "`verify` has no command `all`");
}

#[test]
fn yaml_files_can_be_read() {
    for name in ["action.yml", ".pre-commit-hooks.yaml"] {
        let text = read(name);
        for event in saphyr_parser::Parser::new_from_str(&text) {
            event.unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    // No input becomes part of a script: whoever opens a pull request would write it.
    let action = read("action.yml");
    let scripts = action.split("run:").skip(1).map(|rest| rest.split("- name:").next());
    for script in scripts.flatten() {
        assert!(!script.contains("${{"), "{script}");
    }
    for (input, variable) in [("paths", "PATHS"), ("fail-on-changes", "FAIL_ON_CHANGES")] {
        assert!(action.contains(&format!("{variable}: ${{{{ inputs.{input} }}}}")), "{input}");
        assert!(read("packaging/action").contains(variable), "{variable}");
    }
}

/// Runs the step of the action in a folder.
fn action(world: &World, folder: &Path, environment: &[(&str, &str)]) -> crate::cli::Said {
    let program = Path::new(env!("CARGO_BIN_EXE_tombolo")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .arg(root().join("packaging/action"))
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("RUNNER_TEMP", world.folder.path())
        .env("GITHUB_STEP_SUMMARY", world.path("summary.md"))
        .env("GITHUB_OUTPUT", world.path("output"))
        .env_remove("TOMBOLO_DB");
    for (name, value) in environment {
        command.env(name, value);
    }
    said(command.output().expect("bash is there"))
}

#[test]
fn the_action_checks_and_plans() {
    let world = World::new();
    world.run(&["demo", "--dir", "company"]).ok();
    let folder = world.path("company");
    let told = |name: &str| std::fs::read_to_string(world.path(name)).unwrap_or_default();

    action(&world, &folder, &[]).ok();
    assert_eq!(told("output"), "", "without a database nothing is planned");

    let database = ("DATABASE", "tombolo.redb");
    action(&world, &folder, &[database, ("FAIL_ON_CHANGES", "true")]).ok();
    assert!(told("output").ends_with("changes=false\n"), "{}", told("output"));

    let file = folder.join("mappings/okta-aws-access.toml");
    let text = std::fs::read_to_string(&file).expect("the demo has it");
    std::fs::write(&file, text.replace("class = \"", "class = \"NEARLY_")).expect("it is ours");
    let said = action(&world, &folder, &[database]).ok();
    assert!(told("output").ends_with("changes=true\n"), "{said:?}");
    assert!(told("summary.md").contains("okta-aws-access"), "{}", told("summary.md"));
    let said = action(&world, &folder, &[database, ("FAIL_ON_CHANGES", "true")]);
    assert_eq!(said.code, 3, "{said:?}");

    std::fs::write(&file, "scope = ").expect("it is ours");
    let said = action(&world, &folder, &[database]);
    assert!(said.code != 0 && said.out.contains("::error"), "{said:?}");
}

#[test]
fn the_image_runs_commands_that_there_are() {
    let world = World::new();
    let file = read("Dockerfile");
    let words = |start: &str| -> Vec<String> {
        let list = file.lines().find_map(|line| Some(line.split_once(start)?.1)).expect(start);
        serde_json::from_str(list).unwrap_or_else(|e| panic!("{list}: {e}"))
    };
    let health = words("--start-period=10s CMD ");
    assert_eq!(health[0], words("ENTRYPOINT ")[0]);
    world.run(&["init"]).ok();
    let arguments: Vec<&str> = health[1..].iter().map(String::as_str).collect();
    world.run(&arguments).ok();
    let serve: Vec<String> = serde_json::from_str(
        file.lines().find_map(|line| line.strip_prefix("CMD ")).expect("it starts a server"),
    )
    .expect("a list of words");
    let arguments: Vec<&str> = serve.iter().map(String::as_str).collect();
    // It asks for a token, so the words were understood.
    world.run(&arguments).refused(2, "there is no token");
}

#[test]
fn scripts_are_whole() {
    for name in ["packaging/static", "packaging/release", "packaging/action", ".ci/static"] {
        let output = Command::new("bash").arg("-n").arg(root().join(name)).output();
        let said = said(output.expect("bash is there"));
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn the_index_leads_to_every_page() {
    let index = read("docs/README.md");
    for entry in std::fs::read_dir(root().join("docs")).expect("docs can be read") {
        let name = entry.expect("docs can be read").file_name();
        let name = name.to_str().expect("a name of ours").to_owned();
        let known = name == "README.md" || index.contains(&format!("({name})"));
        assert!(known, "docs/README.md does not lead to {name}");
    }
    for link in index.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root().join("docs").join(link).exists(), "{link} is not there");
    }
}
