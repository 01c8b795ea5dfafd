//! `tombolo query`: J1QL from the command line, a file or standard input.

use super::args::{
    AnswerFormat, DiagnosticFormat, ExplainWhen, MessageFormat, QueryArgs as Args, RowFormat,
};
use super::diagnostics;
use super::failure::{CommandError, MISTAKE};
use super::naming;
use super::output::{AnswerWriter, RowListing, clean, counted, now, thousands};
use super::picture::DrawingFormat;
use super::questions;
use super::tree::{TreeDrawing, TreeNode};
use super::{CommandContext, question};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tombolo::answers::{
    self, QueryFindings, QueryRequest, RelationshipHead, SavedQuestionFile, asked_state, read_query,
};
use tombolo::graph::{EntityHead, GraphRead};
use tombolo::lang::{Diagnostic, SourceText};
use tombolo::limits::CostMeter;
use tombolo::query::{
    AnswerNote, CellValue, Query, QueryAnswer, QueryOptions, QueryParameter, QueryProfile,
    cell_json,
};
use tombolo::store::Snapshot;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &Args) -> Result<u8, CommandError> {
    let questions = SavedQuestionFile::load(&args.questions, args.run.is_some() || args.check)?;
    let request = QueryRequest {
        parameters: parameters(&args.parameters)?,
        now: now(),
        strict: args.strict,
        include_deleted: args.include_deleted,
        smart_classes: questions.smart_classes.clone(),
        smart_verbs: questions.smart_verbs.clone(),
        at: None,
    };
    let rules = context.rules()?;
    let time = args.max_seconds.map(seconds).transpose()?;
    context.limits.time = time.or(context.limits.time);
    let meter = context.meter();
    // Parsing has the same deadline as running, so the meter must exist before the query is read.
    let options = request.options(rules, meter.deadline());
    if args.check {
        return questions::check(context, &questions, &options, args.output, &args.past);
    }
    let source = match &args.run {
        Some(name) => questions.find(name)?.source(&args.questions),
        None => source(args)?,
    };
    if args.parse_only {
        return parse_only(context, &source, options);
    }
    if args.format {
        return print_formatted(context, &source, &options);
    }
    let query = read(context, &source, &options)?;
    all_asked(&query, &options)?;
    if !context.global.quiet {
        diagnostics::tell(context, &query.lints, DiagnosticFormat::Human)?;
    }
    let mut database = context.open_at(&args.past)?;
    let beside = args.past.at.as_deref().map(super::point).transpose()?;
    if query.past_point().is_some()
        && let Some(past) = asked_state(&context.open()?, &query, beside.as_ref())?
    {
        context.of_past(&past);
        database = past;
    }
    let snapshot = database.snapshot()?;
    if args.explain == Some(ExplainWhen::Plan) {
        let profile = query.plan(&snapshot)?;
        write!(context.out, "{}", plan_lines(&profile, false))?;
        return Ok(0);
    }
    let started = Instant::now();
    let question = question(&database, &snapshot, &meter);
    let found = QueryFindings::ask(&question, &query)?;
    if args.explain.is_some() {
        tell_profile(&found, started.elapsed())?;
    }
    let notes = found.notes(&question, &query)?;
    // Notes on an empty answer come first, since nobody reads on behind `0 rows`. Notes on a full
    // one come last, where a long table does not scroll them away.
    if found.answer.is_empty() {
        tell(context, &notes);
    }
    print(&mut context.out, &snapshot, &found, args.output, &meter, &notes)?;
    if !found.answer.is_empty() {
        tell(context, &notes);
    }
    Ok(0)
}

/// Fails on a parameter that no placeholder asks for: it is most likely misspelt.
fn all_asked(query: &Query, options: &QueryOptions) -> Result<(), CommandError> {
    let given = options.parameters.iter().flat_map(|all| all.keys());
    let Some((name, near)) = query.unasked(given) else { return Ok(()) };
    let fault = CommandError::mistake(format!("no placeholder of the query is called `{name}`"));
    Err(match near {
        Some(near) => fault.hint(format!("did you mean --param {near}=VALUE?")),
        None if query.parameters.is_empty() => fault.hint("write `{{name}}` in the query"),
        None => fault.hint(format!(
            "it asks for {}",
            query.parameters.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        )),
    })
}

/// Prints to standard error in which way the rows were found.
fn tell_profile(found: &QueryFindings<'_>, time: Duration) -> Result<(), CommandError> {
    let time = time.as_secs_f64() * 1000.0;
    let mut err = std::io::stderr().lock();
    writeln!(err, "{}", plan_lines(&found.profile, true).trim_end())?;
    let QueryProfile { tested, edges, matches, .. } = found.profile;
    writeln!(err, "walked {} edges, tested {} entities", thousands(edges), thousands(tested))?;
    let (matches, rows) = (counted(matches, "path", "paths"), found.answer.len() as u64);
    Ok(writeln!(err, "matched {matches}, {}, {time:.1} ms", counted(rows, "row", "rows"))?)
}

/// Prints notes to standard error.
fn tell(context: &CommandContext<'_>, notes: &[AnswerNote]) {
    for AnswerNote { text, .. } in notes.iter().filter(|_| !context.global.quiet) {
        match context.global.message_format {
            MessageFormat::Json => eprintln!("{}", json!({ "severity": "note", "message": text })),
            MessageFormat::Human => eprintln!("note: {}", clean(text)),
        }
    }
}

fn seconds(number: f64) -> Result<Duration, CommandError> {
    Duration::try_from_secs_f64(number)
        .map_err(|_| CommandError::mistake(format!("`{number}` is no number of seconds")))
}

/// Returns the text of the query, with its name for faults.
fn source(args: &Args) -> Result<Arc<SourceText>, CommandError> {
    if let Some(text) = &args.text {
        return Ok(SourceText::whole("query", text.as_str()));
    }
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let (name, text) = match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            ("standard input".to_owned(), read.map(|_| text))
        }
        false => (path.display().to_string(), std::fs::read_to_string(path)),
    };
    Ok(SourceText::whole(name, text.map_err(|e| CommandError::file(path, "read", &e))?))
}

/// Reads `NAME=VALUE` pairs. A value that is JSON stands for the JSON value, any other for a text.
fn parameters(pairs: &[String]) -> Result<BTreeMap<String, QueryParameter>, CommandError> {
    let pair = |pair: &String| {
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            CommandError::mistake(format!("parameter `{pair}` has no value"))
                .hint("write --param NAME=VALUE")
        })?;
        Ok((name.trim().to_owned(), QueryParameter::read(text)))
    };
    pairs.iter().map(pair).collect()
}

/// Tells whether the grammar allows the query, and prints faults of its names too.
fn parse_only(
    context: &mut CommandContext<'_>,
    source: &Arc<SourceText>,
    mut options: QueryOptions,
) -> Result<u8, CommandError> {
    // Placeholders need values only when the query is asked, so none is demanded here.
    options.parameters = None;
    if let Err(fault) = Query::grammar(source, &options) {
        return Err(print_syntax_error(context, &fault)?);
    }
    let words = match Query::parse(source, &options) {
        Ok(query) => {
            diagnostics::tell(context, &query.lints, DiagnosticFormat::Human)?;
            "the query can be read"
        }
        Err(fault) => {
            diagnostics::tell(context, std::slice::from_ref(&*fault), DiagnosticFormat::Human)?;
            "the grammar allows the query, but it cannot be asked"
        }
    };
    if !context.global.quiet {
        writeln!(context.out, "{words}")?;
    }
    Ok(0)
}

/// Prints a query as this project writes it.
fn print_formatted(
    context: &mut CommandContext<'_>,
    source: &Arc<SourceText>,
    options: &QueryOptions,
) -> Result<u8, CommandError> {
    match Query::formatted(source, options) {
        Ok(text) => {
            writeln!(context.out, "{text}")?;
            Ok(0)
        }
        Err(fault) => Err(print_syntax_error(context, &fault)?),
    }
}

/// Prints the fault of a query, and returns the error that ends the command.
fn print_syntax_error(
    context: &mut CommandContext<'_>,
    fault: &Diagnostic,
) -> Result<CommandError, CommandError> {
    diagnostics::tell(context, std::slice::from_ref(fault), DiagnosticFormat::Human)?;
    let message = "the query cannot be read".into();
    Ok(CommandError::Fault { message, hint: None, code: MISTAKE })
}

/// Reads a query. A fault is printed in the form of faults of mapping files.
pub fn read(
    context: &mut CommandContext<'_>,
    source: &Arc<SourceText>,
    options: &QueryOptions,
) -> Result<Query, CommandError> {
    read_query(source, options).or_else(|e| match e.diagnostics() {
        [fault, ..] => Err(print_syntax_error(context, fault)?),
        [] => Err(e.into()),
    })
}

/// Lists the entities of the pattern in the order of matching, with the expected numbers. After a
/// run, the numbers met stand beside them.
fn plan_lines(profile: &QueryProfile, run: bool) -> String {
    let mut lines = match (profile.entities.len(), profile.forward) {
        (0, _) => return "nothing has to be matched\n".to_owned(),
        (1, _) => format!("reads by {}\n", profile.access.trim_start_matches("by ")),
        (_, true) => "begins at the start of the pattern\n".to_owned(),
        (_, false) => format!("begins at `{}`\n", clean(&profile.entities[0].selector)),
    };
    let names: Vec<String> = profile.entities.iter().map(|e| clean(&e.selector).into()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    lines.push_str(if run { "  expected       met\n" } else { "  expected\n" });
    for (entity, name) in profile.entities.iter().zip(&names) {
        let met = match run {
            true => format!("{:>10}", thousands(entity.met)),
            false => String::new(),
        };
        let expected = thousands(entity.expected);
        let way = clean(&entity.way);
        lines.push_str(&format!("{expected:>10}{met}  {name:<width$}  {way}\n"));
    }
    lines
}

/// Prints an answer.
pub fn print(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    found: &QueryFindings<'_>,
    format: AnswerFormat,
    meter: &CostMeter,
    notes: &[AnswerNote],
) -> Result<(), CommandError> {
    let answer = &found.answer;
    if !matches!(format, AnswerFormat::Json | AnswerFormat::Ndjson) {
        // These formats lay out all lines together, so all lines are in memory at once.
        meter.hold(shown_bytes(answer))?;
    }
    let rows = match format {
        AnswerFormat::Json => return out.document(&found.document(notes)),
        AnswerFormat::Ndjson => return found.rows().each(|row| out.ndjson(row)),
        AnswerFormat::Table => RowFormat::Table,
        AnswerFormat::Tree => return tree(out, snapshot, answer),
        AnswerFormat::Csv => RowFormat::Csv,
        AnswerFormat::Dot => return draw(out, snapshot, answer, DrawingFormat::Dot),
        AnswerFormat::Mermaid => return draw(out, snapshot, answer, DrawingFormat::Mermaid),
        AnswerFormat::Graphml => return draw(out, snapshot, answer, DrawingFormat::Graphml),
    };
    let one = match answer {
        QueryAnswer::List(entities) => {
            entity_rows(snapshot, entities, rows)?.print(out, rows)?;
            ("entity", "entities")
        }
        QueryAnswer::Table { columns, rows: cells } => {
            table(snapshot, columns, cells, rows)?.print(out, rows)?;
            ("row", "rows")
        }
        QueryAnswer::Tree { entities, relationships, .. } => {
            if rows == RowFormat::Table {
                entity_rows(snapshot, entities, rows)?.print(out, rows)?;
                writeln!(out)?;
            }
            link_rows(snapshot, relationships, rows)?.print(out, rows)?;
            ("entity", "entities")
        }
    };
    if rows == RowFormat::Table && !out.quiet {
        let links = match answer {
            QueryAnswer::Tree { relationships, .. } => {
                format!(
                    ", {}",
                    counted(relationships.len() as u64, "relationship", "relationships")
                )
            }
            _ => String::new(),
        };
        writeln!(out, "\n{}{links}", counted(answer.len() as u64, one.0, one.1))?;
    }
    Ok(())
}

/// Bytes of a named entity or relationship, and of the line that shows it.
const LINE_BYTES: u64 = 800;

/// Estimates the bytes that an answer takes when all of it is shown at once.
fn shown_bytes(answer: &QueryAnswer) -> u64 {
    match answer {
        QueryAnswer::List(entities) => entities.len() as u64 * LINE_BYTES,
        QueryAnswer::Table { rows, .. } => {
            2 * rows.iter().flatten().map(|cell| cell.bytes() as u64).sum::<u64>()
        }
        QueryAnswer::Tree { entities, relationships, .. } => {
            (entities.len() + relationships.len()) as u64 * LINE_BYTES
        }
    }
}

/// Makes a row for each entity. In a table, the name comes first.
pub fn entity_rows(
    snapshot: &Snapshot,
    entities: &[u32],
    format: RowFormat,
) -> Result<RowListing, CommandError> {
    let entities = answers::entities(snapshot, entities)?;
    if format == RowFormat::Table {
        return Ok(named_rows(&entities));
    }
    let mut listing = RowListing::new(&[
        ("_scope", "SCOPE"),
        ("_key", "KEY"),
        ("_type", "TYPE"),
        ("_class", "CLASS"),
        ("displayName", "NAME"),
    ]);
    for entity in entities {
        listing.row([
            json!(entity.scope),
            json!(entity.key),
            json!(entity.type_name),
            json!(entity.classes),
            json!(entity.display_name),
        ]);
    }
    Ok(listing)
}

fn named_rows(entities: &[EntityHead]) -> RowListing {
    let mut listing = RowListing::new(&[
        ("displayName", "NAME"),
        ("_key", "KEY"),
        ("_type", "TYPE"),
        ("_class", "CLASS"),
        ("_scope", "SCOPE"),
    ])
    .keys(&["_key"]);
    for entity in entities {
        let name = answers::display(entity.display_name.as_deref(), &entity.key);
        listing.row([
            json!(name.unwrap_or(&entity.key)),
            json!(name.map_or("", |_| &entity.key)),
            json!(entity.type_name),
            json!(entity.classes),
            json!(entity.scope),
        ]);
    }
    listing
}

fn link_rows(
    snapshot: &Snapshot,
    relationships: &[u32],
    format: RowFormat,
) -> Result<RowListing, CommandError> {
    let mut listing =
        RowListing::new(&[("from", "FROM"), ("_class", "VERB"), ("to", "TO"), ("_scope", "SCOPE")]);
    for link in answers::relationships(snapshot, relationships)? {
        let ends = answers::entities(snapshot, &[link.from, link.to])?;
        let end = |at: usize| ends.get(at).map(|end| cell_name(end, format));
        listing.row([json!(end(0)), json!(link.class), json!(end(1)), json!(link.scope)]);
    }
    Ok(listing)
}

/// Returns an entity as a cell: its name and key in a table, its key in other formats.
fn cell_name(entity: &EntityHead, format: RowFormat) -> String {
    match format {
        RowFormat::Table => answers::label(entity.display_name.as_deref(), &entity.key),
        _ => entity.key.clone(),
    }
}

/// Makes the rows of a query that returns a table.
fn table(
    snapshot: &Snapshot,
    columns: &[String],
    rows: &[Vec<CellValue>],
    format: RowFormat,
) -> Result<RowListing, CommandError> {
    let mut listing = RowListing::named(columns);
    for cells in rows {
        let cell = |cell: &CellValue| -> Result<Json, CommandError> {
            Ok(match cell {
                CellValue::Entity(number) => {
                    json!(cell_name(&answers::entity(snapshot, *number)?, format))
                }
                CellValue::Relationship(number) => {
                    json!(snapshot.relationship(*number)?.map(|link| link.key))
                }
                cell => cell_json(snapshot, cell)?,
            })
        };
        listing.row(cells.iter().map(cell).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(listing)
}

/// Draws a tree from the start of the pattern. Each entity hangs below the one from which it was
/// first reached.
fn tree(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    answer: &QueryAnswer,
) -> Result<(), CommandError> {
    let QueryAnswer::Tree { starts, entities, relationships } = answer else {
        return Err(CommandError::mistake("only a tree can be shown as a tree")
            .hint("end the query with RETURN TREE"));
    };
    let heads: FxHashMap<u32, EntityHead> = answers::entities(snapshot, entities)?
        .into_iter()
        .map(|head| (head.number, head))
        .collect();
    let links = answers::relationships(snapshot, relationships)?;
    let mut touching: FxHashMap<u32, Vec<&RelationshipHead>> = FxHashMap::default();
    for link in &links {
        touching.entry(link.from).or_default().push(link);
        touching.entry(link.to).or_default().push(link);
    }
    let mut nodes = Vec::new();
    let mut seen: FxHashSet<u32> = starts.iter().copied().collect();
    let mut roots = starts.clone();
    // Breadth first, so that each entity hangs on a shortest chain from the start.
    let mut queue: VecDeque<u32> = starts.iter().copied().collect();
    let mut rest = entities.iter();
    loop {
        let Some(at) = queue.pop_front() else {
            // An entity that no relationship joins to the start becomes the root of another tree.
            match rest.find(|&&number| seen.insert(number)) {
                Some(&number) => {
                    roots.push(number);
                    queue.push_back(number);
                    continue;
                }
                None => break,
            }
        };
        for link in touching.get(&at).into_iter().flatten() {
            let forward = link.from == at;
            let other = if forward { link.to } else { link.from };
            let (Some(head), Some(above)) = (heads.get(&other), heads.get(&at)) else { continue };
            if !seen.insert(other) {
                continue;
            }
            let kind = match head.scope == above.scope {
                true => head.type_name.clone(),
                false => format!("{} @{}", head.type_name, head.scope),
            };
            nodes.push(TreeNode {
                number: other,
                parent: at,
                key: head.key.clone(),
                display: head.display_name.clone(),
                kind,
                verb: link.class.clone(),
                forward,
                reported: true,
                mark: None,
            });
            queue.push_back(other);
        }
    }
    let mut tree = TreeDrawing::new(&nodes);
    for root in &roots {
        if let Some(head) = heads.get(root) {
            let name = naming::title(out, head.display_name.as_deref(), &head.key);
            out.line("", &format!("{name}  {}", clean(&head.type_name)), "  ")?;
            tree.print(out, *root)?;
        }
    }
    // An entity hangs in the tree once, so further relationships that lead to it are only counted.
    let left_out = relationships.len() - nodes.len();
    if tree.not_drawn() + left_out > 0 && !out.quiet {
        writeln!(
            out,
            "… not drawn: {}, {}; -o csv lists all relationships",
            counted(tree.not_drawn() as u64, "entity", "entities"),
            counted(left_out as u64, "further relationship", "further relationships"),
        )?;
    }
    Ok(())
}

fn draw(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    answer: &QueryAnswer,
    drawing: DrawingFormat,
) -> Result<(), CommandError> {
    let QueryAnswer::Tree { entities, relationships, .. } = answer else {
        return Err(CommandError::mistake("only a tree can be drawn")
            .hint("end the query with RETURN TREE"));
    };
    let entities = answers::entities(snapshot, entities)?;
    let links = answers::relationships(snapshot, relationships)?;
    let (entities, links): (Vec<_>, Vec<_>) = (entities.iter().collect(), links.iter().collect());
    drawing.draw(out, snapshot, &entities, &links)
}
