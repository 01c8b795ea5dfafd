//! The parser of expressions: recursive descent over the words of the lexer of [`crate::lang`].
//!
//! ```text
//! expr    = and { "or" and }          and  = not { "and" not }       not = [ "not" ] compare
//! compare = term [ op term ]          op   = = != ^= $= ~= > >= < <= in like
//! term    = path | string | number | true | false | undefined | "(" expr { "," expr } ")"
//! path    = ( root | call ) { step }
//! step    = "." name | "['" any name "']" | "[" integer "]" | "[*]" | "[?" expr "]" | ".*"
//!         | ".." name | "..['" any name "']"
//! call    = name "(" [ expr { "," expr } ] ")"
//! ```
//!
//! A word that does not fit ends the expression, so each expression gives one fault of form at most.
//! All names that do not exist are reported. The language says which roots there are, and its checker
//! which of them are known in a place.

use super::function::ExprFunction;
use super::tree::{AccessStep, CompiledPattern, ExprNode, ExprNodeKind, PathDialect, TermOperator};
use crate::graph::Value;
use crate::lang::{ComparisonOp, LexToken, PatternLimits, closest, compile_pattern, date, word_at};
use std::ops::Range;
use std::sync::Arc;

/// The deepest nesting of brackets; the parser recurses.
const DEPTH_MAX: usize = 64;

/// Patterns come from a file, so the memory of each is bounded.
const PATTERN_LIMITS: PatternLimits =
    PatternLimits { program: 1 << 20, learnt: 1 << 19, nesting: 250 };

/// A fault inside an expression; the checker of a language turns it into a
/// [`crate::lang::Diagnostic`] of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExprDiagnostic {
    pub code: &'static str,
    pub message: String,
    pub span: Range<usize>,
    pub label: String,
    pub help: Option<String>,
    /// A suggested edit: its title, and the text to write instead of `span`.
    pub patch: Option<(String, String)>,
}

impl ExprDiagnostic {
    pub(crate) fn new(code: &'static str, message: String, span: Range<usize>) -> ExprDiagnostic {
        ExprDiagnostic { code, message, span, label: String::new(), help: None, patch: None }
    }
}

/// Parses a whole text as one expression. Without faults the expression is usable.
pub(crate) fn parse_condition<R: PathDialect>(text: &str) -> (ExprNode<R>, Vec<ExprDiagnostic>) {
    let mut parser = ExprParser::new(text, 0);
    let parsed = parser.expression().and_then(|expr| match parser.word {
        LexToken::End => Ok(expr),
        _ => Err(parser.unexpected("operator or end")),
    });
    let expr = parser.settle(parsed);
    (expr, parser.faults)
}

/// Parses the expression between braces that begins at byte `from`. Returns it with the byte after
/// the closing brace, or `None` if there is no such brace.
pub(super) fn parse_placeholder<R: PathDialect>(
    text: &str,
    from: usize,
) -> (ExprNode<R>, Option<usize>, Vec<ExprDiagnostic>) {
    let mut parser = ExprParser::new(text, from);
    let parsed = parser.expression().and_then(|expr| match parser.word {
        // The caller reports the missing brace, at the place of the opening one.
        LexToken::Symbol("}") | LexToken::End => Ok(expr),
        _ => Err(parser.unexpected("operator or `}`")),
    });
    let closed = (parser.word == LexToken::Symbol("}")).then_some(parser.span.end);
    let expr = parser.settle(parsed);
    (expr, closed, parser.faults)
}

/// Parses a path that begins at the row without naming it: `jobs.*.steps[*]`, `..name`, `*`, `.` or
/// a call with steps behind it.
pub(crate) fn parse_items<R: PathDialect>(
    text: &str,
    row: R,
) -> (ExprNode<R>, Vec<ExprDiagnostic>) {
    let whole = 0..text.len();
    let trimmed = text.trim();
    let fault = |words: &str, place| ExprDiagnostic::new("M0201", words.to_owned(), place);
    if trimmed == "." {
        return (ExprNode { kind: ExprNodeKind::Path(row, Vec::new()), span: whole }, Vec::new());
    }
    let name = trimmed.find(|c: char| !is_path_name(c)).unwrap_or(trimmed.len());
    if name > 0 && trimmed[name..].starts_with('(') {
        return parse_condition(text);
    }
    let root = R::ROOTS.iter().find(|(_, known)| *known == row).map_or("row", |(name, _)| name);
    // The path is read as one from the root, so it has one parser.
    let joined = match trimmed.starts_with('[') || trimmed.starts_with("..") {
        true => format!("{root}{trimmed}"),
        false => format!("{root}.{trimmed}"),
    };
    let moved = joined.len() - trimmed.len();
    let lead = text.len() - text.trim_start().len();
    let (mut expr, mut faults) = parse_condition(&joined);
    let place = |span: &Range<usize>| {
        let shift = |at: usize| (at.saturating_sub(moved) + lead).min(text.len());
        shift(span.start)..shift(span.end)
    };
    if faults.is_empty() && !matches!(expr.kind, ExprNodeKind::Path(..)) {
        faults.push(fault("a path is asked for here, and this is a condition", 0..joined.len()));
    }
    if trimmed.is_empty() || trimmed.starts_with('.') && !trimmed.starts_with("..") {
        faults = vec![fault("expected a name, `*`, `[*]`, `..name` or `.`", 0..joined.len())];
    }
    expr.span = whole;
    for fault in &mut faults {
        fault.span = place(&fault.span);
        fault.patch = None;
    }
    (expr, faults)
}

/// True for the characters of a name in a path; other names stand in `['...']`.
fn is_path_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '$' | '#')
}

/// A parse that ended; the fault is boxed because it is rare and large.
type ExprResult<T> = Result<T, Box<ExprDiagnostic>>;

struct ExprParser<'t> {
    text: &'t str,
    word: LexToken,
    span: Range<usize>,
    /// The byte where the word before the present one ended.
    done: usize,
    depth: usize,
    faults: Vec<ExprDiagnostic>,
}

impl<'t> ExprParser<'t> {
    fn new(text: &'t str, from: usize) -> ExprParser<'t> {
        let (word, span) = word_at(text, from);
        ExprParser { text, word, span, done: from, depth: 0, faults: Vec::new() }
    }

    fn settle<R: PathDialect>(&mut self, parsed: ExprResult<ExprNode<R>>) -> ExprNode<R> {
        parsed.unwrap_or_else(|fault| {
            let span = fault.span.clone();
            self.faults.push(*fault);
            ExprNode { kind: ExprNodeKind::Faulty, span }
        })
    }

    fn advance(&mut self) -> LexToken {
        let (word, span) = word_at(self.text, self.span.end);
        self.done = self.span.end;
        self.span = span;
        std::mem::replace(&mut self.word, word)
    }

    /// Takes the present word if it is this symbol.
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(&self.word, LexToken::Symbol(s) if *s == symbol);
        if found {
            self.advance();
        }
        found
    }

    /// Takes the present word if it is this keyword, in either case.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(&self.word, LexToken::Name(n) if n.eq_ignore_ascii_case(keyword));
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> Box<ExprDiagnostic> {
        let found = match self.word {
            LexToken::End => "the end".to_owned(),
            _ => format!("`{}`", &self.text[self.span.clone()]),
        };
        let message = format!("expected {expected}, found {found}");
        let mut fault = ExprDiagnostic::new("M0201", message, self.span.clone());
        fault.label = "not expected here".to_owned();
        if self.word == LexToken::Stray('"') {
            fault.help = Some("strings take single quotes here".to_owned());
        }
        if self.word == LexToken::OpenText {
            fault.message = "expected a closing `'`, found the end".to_owned();
            fault.label = "the string begins here".to_owned();
        }
        Box::new(fault)
    }

    fn with_nesting<T>(&mut self, parse: impl FnOnce(&mut Self) -> ExprResult<T>) -> ExprResult<T> {
        if self.depth == DEPTH_MAX {
            let message = format!("brackets nest deeper than {DEPTH_MAX}");
            return Err(Box::new(ExprDiagnostic::new("M0201", message, self.span.clone())));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression<R: PathDialect>(&mut self) -> ExprResult<ExprNode<R>> {
        self.with_nesting(|p| {
            p.chain("or", |p| p.chain("and", Self::negation, ExprNodeKind::And), ExprNodeKind::Or)
        })
    }

    /// One or more parts with `keyword` between them.
    fn chain<R: PathDialect>(
        &mut self,
        keyword: &str,
        mut part: impl FnMut(&mut Self) -> ExprResult<ExprNode<R>>,
        kind: fn(Vec<ExprNode<R>>) -> ExprNodeKind<R>,
    ) -> ExprResult<ExprNode<R>> {
        let first = part(self)?;
        let start = first.span.start;
        let mut parts = vec![first];
        while self.keyword(keyword) {
            parts.push(part(self)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => ExprNode { kind: kind(parts), span: start..self.done },
        })
    }

    fn negation<R: PathDialect>(&mut self) -> ExprResult<ExprNode<R>> {
        let start = self.span.start;
        if !self.keyword("not") {
            return self.comparison();
        }
        let inner = Box::new(self.comparison()?);
        Ok(ExprNode { kind: ExprNodeKind::Not(inner), span: start..self.done })
    }

    fn comparison<R: PathDialect>(&mut self) -> ExprResult<ExprNode<R>> {
        let left = self.term()?;
        let Some(operator) = self.operator() else { return Ok(left) };
        let right = self.term()?;
        let span = left.span.start..self.done;
        Ok(ExprNode {
            kind: ExprNodeKind::Compare(Box::new(left), operator, Box::new(right)),
            span,
        })
    }

    fn operator(&mut self) -> Option<TermOperator> {
        for (word, operator) in [("in", TermOperator::In), ("like", TermOperator::Like)] {
            if self.keyword(word) {
                return Some(operator);
            }
        }
        let LexToken::Symbol(symbol) = self.word else { return None };
        let operator = match symbol {
            "!=" => TermOperator::NotEqual,
            symbol => TermOperator::Compare(ComparisonOp::written(symbol)?),
        };
        self.advance();
        Some(operator)
    }

    fn term<R: PathDialect>(&mut self) -> ExprResult<ExprNode<R>> {
        let span = self.span.clone();
        let kind = match &self.word {
            LexToken::Name(_) => return self.named_term(),
            LexToken::Symbol("(") => return self.bracketed(),
            LexToken::Text(text) => ExprNodeKind::Literal(Value::Text(text.clone().into())),
            LexToken::Number(text) => match Value::number(text) {
                Some(value) => ExprNodeKind::Literal(value),
                None => return Err(self.unexpected("a number that 64 bits hold exactly")),
            },
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        Ok(ExprNode { kind, span })
    }

    /// `( a )` is `a`, `( a, b )` is a list.
    fn bracketed<R: PathDialect>(&mut self) -> ExprResult<ExprNode<R>> {
        let start = self.span.start;
        self.advance();
        let mut items = self.items()?;
        let span = start..self.done;
        Ok(match items.len() {
            1 => ExprNode { span, ..items.remove(0) },
            _ => ExprNode { kind: ExprNodeKind::List(items), span },
        })
    }

    /// One or more expressions and the closing bracket.
    fn items<R: PathDialect>(&mut self) -> ExprResult<Vec<ExprNode<R>>> {
        let mut items = vec![self.expression()?];
        while self.symbol(",") {
            items.push(self.expression()?);
        }
        match self.symbol(")") {
            true => Ok(items),
            false => Err(self.unexpected("operator, `,` or `)`")),
        }
    }

    fn named_term<R: PathDialect>(&mut self) -> ExprResult<ExprNode<R>> {
        let span = self.span.clone();
        let name = &self.text[span.clone()];
        let constant = match name.to_ascii_lowercase().as_str() {
            "true" => Some(ExprNodeKind::Literal(Value::Bool(true))),
            "false" => Some(ExprNodeKind::Literal(Value::Bool(false))),
            "undefined" => Some(ExprNodeKind::Undefined),
            "and" | "or" | "not" | "in" | "like" => return Err(self.unexpected("a value")),
            _ => None,
        };
        self.advance();
        if let Some(kind) = constant {
            return Ok(ExprNode { kind, span });
        }
        if self.symbol("(") {
            let call = self.call(name, span)?;
            let steps = self.steps()?;
            if steps.is_empty() {
                return Ok(call);
            }
            let span = call.span.start..self.done;
            return Ok(ExprNode { kind: ExprNodeKind::Steps(Box::new(call), steps), span });
        }
        let Some(root) = R::named(name) else { return self.unqualified(name, span) };
        let steps = self.steps()?;
        Ok(ExprNode { kind: ExprNodeKind::Path(root, steps), span: span.start..self.done })
    }

    /// The steps of a path, up to the word that is none.
    fn steps<R: PathDialect>(&mut self) -> ExprResult<Vec<AccessStep<R>>> {
        let mut steps = Vec::new();
        loop {
            steps.push(match self.word {
                LexToken::Symbol(".") => self.dotted()?,
                LexToken::Symbol("[") => self.bracket_step()?,
                _ => return Ok(steps),
            });
        }
    }

    /// Goes on at a byte of the text.
    fn go_to(&mut self, at: usize) {
        self.done = at;
        (self.word, self.span) = word_at(self.text, at);
    }

    /// The text behind the present word, without leading blanks, and where it begins.
    fn behind(&self) -> (&'t str, usize) {
        let rest = self.text[self.span.end..].trim_start();
        (rest, self.text.len() - rest.len())
    }

    /// `.name`, `.*`, `..name` or `..['name']`; the present word is the dot.
    fn dotted<R: PathDialect>(&mut self) -> ExprResult<AccessStep<R>> {
        let (rest, at) = self.behind();
        if rest.starts_with('*') {
            self.go_to(at + 1);
            return Ok(AccessStep::Values);
        }
        let (twice, rest, at) = match rest.strip_prefix('.') {
            Some(rest) => (true, rest, at + 1),
            None => (false, rest, at),
        };
        if twice && rest.starts_with('[') {
            self.go_to(at);
            self.advance();
            return match self.index::<R>()? {
                AccessStep::Name(name) => Ok(AccessStep::Descend(name)),
                _ => Err(self.unexpected("a name in quotes before this")),
            };
        }
        // Names of data have more characters than names of functions, so the lexer is not asked.
        let mut length = rest.find(|c| !is_path_name(c)).unwrap_or(rest.len());
        if length == 0 {
            self.go_to(at);
            return Err(self.unexpected("a name"));
        }
        // Names of OData have a dot: `@odata.type` is one name.
        if let Some(tail) = rest.strip_prefix("@odata.") {
            length = "@odata.".len() + tail.find(|c| !is_path_name(c)).unwrap_or(tail.len());
        }
        self.go_to(at + length);
        let name = rest[..length].to_owned();
        Ok(if twice { AccessStep::Descend(name) } else { AccessStep::Name(name) })
    }

    /// `[*]`, `[?condition]`, `['name']` or `[0]`; the present word is the bracket.
    fn bracket_step<R: PathDialect>(&mut self) -> ExprResult<AccessStep<R>> {
        let (rest, at) = self.behind();
        let step = match rest.as_bytes().first() {
            Some(b'*') => {
                self.go_to(at + 1);
                AccessStep::Each
            }
            Some(b'?') => {
                self.go_to(at + 1);
                AccessStep::Filter(Box::new(self.expression()?))
            }
            _ => {
                self.advance();
                return self.index();
            }
        };
        match self.symbol("]") {
            true => Ok(step),
            false => Err(self.unexpected("`]`")),
        }
    }

    fn index<R: PathDialect>(&mut self) -> ExprResult<AccessStep<R>> {
        let step = match &self.word {
            LexToken::Text(name) => AccessStep::Name(name.clone()),
            LexToken::Number(number) => match number.parse() {
                Ok(index) => AccessStep::Index(index),
                Err(_) => return Err(self.unexpected("a position counted from 0")),
            },
            _ => return Err(self.unexpected("a name in quotes, a position, `*` or `?`")),
        };
        self.advance();
        match self.symbol("]") {
            true => Ok(step),
            false => Err(self.unexpected("`]`")),
        }
    }

    fn call<R: PathDialect>(&mut self, name: &str, span: Range<usize>) -> ExprResult<ExprNode<R>> {
        let arguments: Vec<ExprNode<R>> = match self.symbol(")") {
            true => Vec::new(),
            false => self.items()?,
        };
        let whole = span.start..self.done;
        let Some(function) = ExprFunction::named(name) else {
            // Recorded and not returned, so that faults later in the expression are found too.
            self.faults.push(unknown_function(name, span));
            return Ok(ExprNode { kind: ExprNodeKind::Faulty, span: whole });
        };
        if let Some(takes) = function.arity_mismatch(arguments.len()) {
            let message = format!("`{name}` takes {takes}, found {}", arguments.len());
            self.faults.push(ExprDiagnostic::new("M0204", message, whole.clone()));
            return Ok(ExprNode { kind: ExprNodeKind::Faulty, span: whole });
        }
        let mut pattern = None;
        if function.takes_pattern() {
            pattern = self.pattern(name, &arguments[1]);
        }
        let literal =
            |expr: &ExprNode<R>| matches!(expr.kind, ExprNodeKind::Literal(Value::Text(_)));
        if function == ExprFunction::Lookup && !literal(&arguments[0]) {
            let message = "the first argument of `lookup` is the name of a table, in quotes";
            let mut fault =
                ExprDiagnostic::new("M0204", message.to_owned(), arguments[0].span.clone());
            fault.help = Some("e.g. `lookup('team', row.team)`".to_owned());
            self.faults.push(fault);
            return Ok(ExprNode { kind: ExprNodeKind::Faulty, span: whole });
        }
        if function == ExprFunction::Date && arguments.len() > 1 {
            let format = match &arguments[1].kind {
                ExprNodeKind::Literal(Value::Text(format)) => date::is_format(format),
                _ => false,
            };
            if !format {
                let message = "the second argument of `date` is the format of the day and the time, in quotes";
                let mut fault =
                    ExprDiagnostic::new("M0204", message.to_owned(), arguments[1].span.clone());
                fault.help = Some(
                    "as strptime has it, e.g. `date(row.seen, '%m/%d/%Y %I:%M:%S %p')` or '%d.%m.%Y'"
                        .to_owned(),
                );
                self.faults.push(fault);
                return Ok(ExprNode { kind: ExprNodeKind::Faulty, span: whole });
            }
        }
        if function.takes_pattern() && pattern.is_none() {
            return Ok(ExprNode { kind: ExprNodeKind::Faulty, span: whole });
        }
        Ok(ExprNode { kind: ExprNodeKind::Call(function, arguments, pattern), span: whole })
    }

    /// Compiles the pattern of `extract` and `replace`. Matching takes linear time.
    fn pattern<R: PathDialect>(
        &mut self,
        name: &str,
        expr: &ExprNode<R>,
    ) -> Option<CompiledPattern> {
        let ExprNodeKind::Literal(Value::Text(text)) = &expr.kind else {
            let message = format!("the pattern of `{name}` must be a string in quotes");
            self.faults.push(ExprDiagnostic::new("M0207", message, expr.span.clone()));
            return None;
        };
        // Other programs take a `[` inside of brackets for itself.
        let compiled = compile_pattern(text, false, &PATTERN_LIMITS);
        let literal = |error| match literal_brackets(text) {
            Some(text) => compile_pattern(&text, false, &PATTERN_LIMITS).map_err(|_| error),
            None => Err(error),
        };
        match compiled.or_else(literal) {
            Ok(regex) => Some(CompiledPattern(Arc::new(regex))),
            Err(error) => {
                let (words, span) = regex_fault(text, &error, expr.span.clone());
                let message = format!("regular expression: {words}");
                self.faults.push(ExprDiagnostic::new("M0207", message, span));
                None
            }
        }
    }

    /// A name that is neither root nor call. Its steps are read over, so one fault is reported.
    fn unqualified<R: PathDialect>(
        &mut self,
        name: &str,
        span: Range<usize>,
    ) -> ExprResult<ExprNode<R>> {
        let stepped = matches!(self.word, LexToken::Symbol("." | "["));
        let mut fault =
            ExprDiagnostic::new("M0206", format!("`{name}` is not qualified"), span.clone());
        // Only a name with steps after it can be a misspelt root.
        let similar = closest(name, R::ROOTS.iter().map(|(n, _)| *n)).filter(|_| stepped);
        match similar {
            Some(root) => {
                fault.patch = Some(("a root with a similar name exists".into(), root.into()));
            }
            None => fault.help = Some(R::qualify(name)),
        }
        self.faults.push(fault);
        self.steps::<R>()?;
        Ok(ExprNode { kind: ExprNodeKind::Faulty, span: span.start..self.done })
    }
}

/// A pattern in which each `[` inside of brackets stands for itself; `None` if there is none.
fn literal_brackets(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 4);
    let (mut inside, mut first, mut changed) = (false, false, false);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
                first = false;
                continue;
            }
            '[' if !inside => (inside, first) = (true, true),
            // `[:alpha:]` is a class by its name.
            '[' if chars.peek() != Some(&':') => {
                out.push('\\');
                changed = true;
                first = false;
            }
            '^' if inside && first => {
                out.push(c);
                continue;
            }
            // A `]` that comes first stands for itself.
            ']' if inside && !first => inside = false,
            _ => first = false,
        }
        if c == ']' {
            first = false;
        }
        out.push(c);
    }
    changed.then_some(out)
}

/// The fault of a pattern in words, and its place in the expression.
fn regex_fault(text: &str, error: &regex::Error, whole: Range<usize>) -> (String, Range<usize>) {
    // `regex` gives its fault as text only; its parser also knows the place.
    let parsed = regex_syntax::Parser::new().parse(text);
    let Err(fault) = parsed else {
        let words = match error {
            regex::Error::CompiledTooBig(_) => "too large when compiled".to_owned(),
            other => other.to_string().lines().last().unwrap_or_default().to_owned(),
        };
        return (words, whole);
    };
    let (words, span) = match &fault {
        regex_syntax::Error::Parse(fault) => (fault.kind().to_string(), fault.span()),
        regex_syntax::Error::Translate(fault) => (fault.kind().to_string(), fault.span()),
        other => return (other.to_string(), whole),
    };
    // A doubled quote stands for one, so places in such a text are not those of the expression.
    if text.contains('\'') {
        return (words, whole);
    }
    // One byte more for the opening quote. An empty span would point at nothing, so it gets one byte.
    let (start, end) = (span.start.offset, span.end.offset.max(span.start.offset + 1));
    (words, whole.start + 1 + start..(whole.start + 1 + end).min(whole.end))
}

fn unknown_function(name: &str, span: Range<usize>) -> ExprDiagnostic {
    let mut fault = ExprDiagnostic::new("M0203", format!("unknown function `{name}`"), span);
    fault.label = "not a function".to_owned();
    match closest(name, ExprFunction::ALL.map(|(n, ..)| n)) {
        Some(similar) => {
            let title = "a function with a similar name exists".to_owned();
            fault.patch = Some((title, similar.to_owned()));
        }
        None => {
            let names = ExprFunction::ALL.map(|(n, ..)| n).join(", ");
            fault.help = Some(format!("functions: {names}"));
        }
    }
    fault
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A dialect of two roots.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum TestRoot {
        Row,
        From,
    }

    impl PathDialect for TestRoot {
        const ROOTS: &'static [(&'static str, TestRoot)] =
            &[("row", TestRoot::Row), ("from", TestRoot::From)];

        fn qualify(name: &str) -> String {
            format!("write `row.{name}`")
        }
    }

    fn codes(text: &str) -> Vec<(&'static str, String)> {
        parse_condition::<TestRoot>(text).1.into_iter().map(|f| (f.code, f.message)).collect()
    }

    #[test]
    fn every_form_of_the_grammar_parses() {
        for text in [
            "row.status = ('assigned', 'loaned') and row.owner_email != undefined",
            "NOT row['asset tag'] ^= 'C02' OR row.tags[0] IN ('a', 'b')",
            "lower(trim(row.name)) $= '.example'",
            "(row.a = 1 or row.b > -2.5e3) and not (row.c = TRUE)",
            "row",
        ] {
            assert_eq!(codes(text), [], "{text}");
        }
    }

    #[test]
    fn or_binds_weaker_than_and() {
        let (expr, _) = parse_condition::<TestRoot>("row.a or row.b and row.c");
        let ExprNodeKind::Or(parts) = expr.kind else { panic!("not an `or`") };
        assert!(matches!(parts[1].kind, ExprNodeKind::And(_)));
        assert_eq!(parts[1].span, 9..24);
    }

    #[test]
    fn faults_have_the_words_of_the_format() {
        let cases = [
            ("row.a row.b", "M0201", "expected operator or end, found `row`"),
            ("row.a = \"x\"", "M0201", "expected a value, found `\"`"),
            ("row.a = 'x", "M0201", "expected a closing `'`, found the end"),
            ("row.a =", "M0201", "expected a value, found the end"),
            ("row.", "M0201", "expected a name, found the end"),
            ("emial(row.a)", "M0203", "unknown function `emial`"),
            ("lower()", "M0204", "`lower` takes 1 argument, found 0"),
            ("login = 'x'", "M0206", "`login` is not qualified"),
        ];
        for (text, code, message) in cases {
            assert_eq!(codes(text), [(code, message.to_owned())], "{text}");
        }
    }

    #[test]
    fn all_unknown_names_of_one_expression_are_reported() {
        assert_eq!(codes("lowr(row.a) = b and upperr(c)").len(), 4);
    }

    #[test]
    fn a_bracket_inside_of_brackets_may_stand_for_itself() {
        assert_eq!(literal_brackets("[[][^]]*[]]").as_deref(), Some(r"[\[][^]]*[]]"));
        assert_eq!(literal_brackets("[a-z]+[[:alpha:]]"), None);
        assert_eq!(codes("replace(row.a, '[[][^]]*[]]$', '')"), []);
        assert_eq!(codes("extract(row.a, '[')").len(), 1);
    }

    #[test]
    fn paths_have_all_steps() {
        for text in [
            "row.jobs.*.steps[*].uses",
            "row.bom-ref = row.@odata.type",
            "row.a[?row.b = 'c' and row.d > 1].e",
            "row..name[0]",
            "row..['Fn::GetAtt'] = 'x'",
            "first(row.locations).physicalLocation['a b']",
            "'s3:*' like row.Action",
        ] {
            assert_eq!(codes(text), [], "{text}");
        }
        for text in ["row.a[?", "row.a[*", "row..", "row.a[?row.b]x"] {
            assert_eq!(codes(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn items_begin_at_the_row() {
        for text in [
            ".",
            "*",
            "[*]",
            "..name",
            "jobs.*.steps[*]",
            "['a b'][*]",
            "split(row.a, ',')[*]",
            "parse_json(row.text).users[*]",
            "a-b.@c",
        ] {
            assert_eq!(parse_items(text, TestRoot::Row).1, [], "{text}");
        }
        for text in ["", ".a", "a.", "a = b", "a b", "a[", "..", "[?"] {
            assert!(!parse_items(text, TestRoot::Row).1.is_empty(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = "(".repeat(100_000);
        assert_eq!(codes(&text), [("M0201", "brackets nest deeper than 64".to_owned())]);
    }
}
