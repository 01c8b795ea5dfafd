//! `plan`: what mapping files would change.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{list, result, text};
use super::{AssistantTool, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{
    AnswerAdvice, AnswerError, CountFormat, ErrorKind, GuardOverrides, MappingFileSet,
    MappingRunJson, MappingRunOptions, MappingSelection,
};
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::mapping::DiagnosticSeverity;

/// The tool.
pub struct Plan;

/// Arguments of `plan`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct PlanArguments {
    /// Scopes of mapping files in the folder of the server; all files of it unless told.
    #[serde(default)]
    scopes: Vec<String>,
    /// Instead: a mapping or source file (TOML) as text. It is planned as if it lay in that folder.
    text: Option<String>,
    /// Changes and rows to show, 40 unless told, at most 500.
    limit: Option<usize>,
}

impl AssistantTool for Plan {
    const NAME: &'static str = "plan";
    const TITLE: &'static str = "Plan of mapping files";
    const ABOUT: &'static str = "What applying mapping files would change, without changing anything: the relationships that \
         would be created, updated and deleted, what becomes of each row, and the rows that link \
         nothing, with the reason. Takes the files of the server, or a mapping file as `text` to try \
         one before it is saved; a file with a fault comes back as an error that marks the place and \
         says the fix.";
    const PAST: bool = false;
    type Arguments = PlanArguments;

    fn result() -> Json {
        let job = json!({
            "type": "object",
            "description": "A report: scope, file, status (PLANNED, REFUSED, FAILED, DISABLED), \
                counts of changes, `rows` by what became of them, `changes`, `unmatched`, `faults`.",
        });
        let list_of = |about: &str| list(about, json!({ "type": "object" }));
        result(
            &[],
            &[
                ("jobs", list("A report for each file, if there is not just one.", job)),
                ("scope", text("The scope of the one file.")),
                ("file", text("The one file.")),
                ("status", text("How far the one file came.")),
                ("changes", list_of("The changed relationships of the one file.")),
                (
                    "unmatched",
                    list_of("The rows of the one file that link nothing, each with a reason."),
                ),
                ("faults", list_of("What is wrong or doubtful, with line, column and help.")),
                ("unmanaged", list_of("Scopes whose mapping has no file any more.")),
                (
                    "broken",
                    list(
                        "Faults of files that cannot be applied.",
                        text("A fault with its place."),
                    ),
                ),
            ],
        )
    }

    fn ask(ground: &QuestionGround<'_>, given: PlanArguments) -> Result<ToolReply, AnswerError> {
        let shown = shown(given.limit);
        let loaded = match given.text {
            Some(_) if !given.scopes.is_empty() => {
                let error = AnswerError::invalid("`scopes` names files, and `text` is one");
                return Err(error.advise(AnswerAdvice::LeaveOutOne));
            }
            Some(_) if !ground.takes_text => return Err(text_not_allowed()),
            Some(text) => MappingFileSet::of_text(&ground.mappings.join(HANDED_IN), &text),
            None => MappingFileSet::load(&selection(ground, &given.scopes)?),
        };
        let faults = loaded.faults.iter();
        let errors = faults.filter(|fault| fault.severity == DiagnosticSeverity::Error).cloned();
        let errors: Vec<_> = errors.take(FAULTS).collect();
        let mut broken: Vec<String> = errors.iter().map(|fault| fault.plain()).collect();
        loaded.check(CountFormat::Plain).map_err(|error| error.with_diagnostics(errors))?;
        let snapshot = ground.snapshot()?;
        // Planning has limits of its own (pairs, rows of files), and holds no account.
        let meter = CostMeter::new(QuestionLimits::default());
        let overrides = GuardOverrides::default();
        let options = MappingRunOptions { overrides: &overrides, details: shown };
        let run = loaded.plan(&ground.context(&snapshot, &meter), &options)?;
        let document = MappingRunJson { run: &run, details: true, exit_code: ground.exit_code };
        let advice = "plan fewer `scopes`, or raise `limit`; the counts are of everything";
        let room = AnswerRoom { nested: shown, ..AnswerRoom::of_items(shown) };
        let mut reply = ToolReply::of(&document, room, advice)?;
        let of_sources = run.sources.iter().flat_map(|source| &source.faults);
        let of_runs = of_sources.chain(run.outcomes.iter().flat_map(|mapping| &mapping.faults));
        let errors = of_runs.filter(|fault| fault.severity == DiagnosticSeverity::Error);
        broken.extend(errors.take(FAULTS).map(|fault| fault.plain()));
        if !broken.is_empty() {
            reply.put("broken", broken);
        }
        Ok(reply)
    }
}

/// The name of a text that is handed in, as a file of the folder.
const HANDED_IN: &str = "handed-in.toml";
/// Faults of files that are told.
const FAULTS: usize = 20;

fn text_not_allowed() -> AnswerError {
    let message = "a mapping file that is handed in needs the right `admin`: it reads files of the \
                   server";
    let hint = "plan the files of the server by `scopes`, or use `tombolo mcp` beside the database";
    AnswerError::new(ErrorKind::Forbidden, message).advise(AnswerAdvice::Words(hint.to_owned()))
}

/// The files of the mappings with these scopes; all of the folder if none is named.
fn selection(
    ground: &QuestionGround<'_>,
    scopes: &[String],
) -> Result<MappingSelection, AnswerError> {
    // A name must stay inside the folder, whatever it holds.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let mut paths = Vec::new();
    for scope in scopes {
        if scope.is_empty() || !scope.chars().all(plain) {
            return Err(AnswerError::invalid(format!("`{scope}` is not the scope of a mapping")));
        }
        paths.push(ground.mappings.join(format!("{scope}.toml")));
    }
    if paths.is_empty() {
        paths.push(ground.mappings.to_owned());
    }
    Ok(MappingSelection { paths, labels: Vec::new() })
}
