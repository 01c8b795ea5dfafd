//! Expressions as a tree, and the parser that builds them: recursive descent over [`crate::lang`].
//!
//! ```text
//! expr    = and { "or" and }          and  = not { "and" not }       not = [ "not" ] compare
//! compare = term [ op term ]          op   = = != ^= $= ~= > >= < <= in
//! term    = path | call | string | number | true | false | undefined | "(" expr { "," expr } ")"
//! path    = root { "." name | "[" ( string | integer ) "]" }
//! call    = name "(" [ expr { "," expr } ] ")"
//! ```
//!
//! A word that does not fit ends the expression, so each expression gives one fault of form at most.
//! All names that do not exist are reported. The checker decides which roots are known in a place.

use super::function::ExprFunction;
use crate::graph::Value;
use crate::lang::{ExpressionToken, closest, word_at};
use regex::{Regex, RegexBuilder};
use std::ops::Range;
use std::sync::Arc;

/// The deepest nesting of brackets; the parser recurses.
const DEPTH_MAX: usize = 64;

/// The first name of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathRoot {
    Row,
    Parent,
    Doc,
    File,
    From,
    To,
    Match,
}

impl PathRoot {
    const ALL: [(&'static str, PathRoot); 7] = [
        ("row", PathRoot::Row),
        ("parent", PathRoot::Parent),
        ("doc", PathRoot::Doc),
        ("file", PathRoot::File),
        ("from", PathRoot::From),
        ("to", PathRoot::To),
        ("match", PathRoot::Match),
    ];

    fn named(name: &str) -> Option<PathRoot> {
        PathRoot::ALL.iter().find(|(n, _)| *n == name).map(|(_, root)| *root)
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AccessStep {
    Name(String),
    Index(usize),
}

/// The comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComparisonOperator {
    Equal,
    NotEqual,
    Starts,
    Ends,
    Contains,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    /// The left side is any of the right. With `cidr(...)` on the right: it lies in that network.
    In,
}

/// An expression, with its range of bytes in the text that was parsed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MappingExpr {
    pub kind: MappingExprKind,
    pub span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum MappingExprKind {
    Path(PathRoot, Vec<AccessStep>),
    Call(ExprFunction, Vec<MappingExpr>, Option<CompiledPattern>),
    Literal(Value<'static>),
    Undefined,
    List(Vec<MappingExpr>),
    Not(Box<MappingExpr>),
    And(Vec<MappingExpr>),
    Or(Vec<MappingExpr>),
    Compare(Box<MappingExpr>, ComparisonOperator, Box<MappingExpr>),
    /// Stands in for a part whose fault is already reported; evaluates to undefined.
    Faulty,
}

/// A compiled regular expression; equal if written alike.
#[derive(Clone, Debug)]
pub(super) struct CompiledPattern(pub Arc<Regex>);

impl PartialEq for CompiledPattern {
    fn eq(&self, other: &CompiledPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl MappingExpr {
    /// The function and its arguments, if it is a call.
    pub(super) fn call(&self) -> Option<(ExprFunction, &[MappingExpr])> {
        match &self.kind {
            MappingExprKind::Call(function, arguments, _) => Some((*function, arguments)),
            _ => None,
        }
    }

    /// True if it is a call of `function`, or a list of such calls only.
    pub(super) fn is_call_of(&self, function: ExprFunction) -> bool {
        match &self.kind {
            MappingExprKind::Call(called, ..) => *called == function,
            MappingExprKind::List(items) => items.iter().all(|item| item.is_call_of(function)),
            _ => false,
        }
    }

    /// True if `is` holds for it or for any part of it.
    pub(super) fn any(&self, is: &impl Fn(&MappingExpr) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |expr| found |= is(expr));
        found
    }

    /// True if it names `root`.
    pub(super) fn mentions(&self, root: PathRoot) -> bool {
        self.any(&|expr| matches!(&expr.kind, MappingExprKind::Path(of, _) if *of == root))
    }

    /// True if it names `root` and no other.
    pub(super) fn mentions_only(&self, root: PathRoot) -> bool {
        let other =
            |expr: &MappingExpr| matches!(&expr.kind, MappingExprKind::Path(of, _) if *of != root);
        self.mentions(root) && !self.any(&other)
    }

    /// True if it names anything of a row or an entity, so that it is no constant.
    pub(super) fn names_anything(&self) -> bool {
        self.any(&|expr| matches!(expr.kind, MappingExprKind::Path(..)))
    }

    /// True if it is `undefined` or the empty string, written literally.
    pub(super) fn is_undefined_literal(&self) -> bool {
        matches!(&self.kind, MappingExprKind::Undefined)
            || matches!(&self.kind, MappingExprKind::Literal(Value::Text(text)) if text.is_empty())
    }

    /// The subject of a condition, in one word: its first identifier function, else its first
    /// property, e.g. `serial`.
    pub(super) fn subject(&self) -> Option<String> {
        let (mut function, mut property): (Option<String>, Option<String>) = (None, None);
        self.walk(&mut |expr| match &expr.kind {
            MappingExprKind::Call(called, ..) if called.is_canonicalizing() => {
                function.get_or_insert_with(|| called.name().to_owned());
            }
            MappingExprKind::Path(PathRoot::From | PathRoot::To, steps) => {
                if let (None, Some(AccessStep::Name(name))) = (&property, steps.last()) {
                    property = Some(name.clone());
                }
            }
            _ => {}
        });
        // These fold any text, so the property says more about the condition.
        let plain = ["lower", "upper", "trim", "nfkc"];
        function.filter(|name: &String| !plain.contains(&name.as_str())).or(property)
    }

    /// Calls `visit` for this expression and each one inside it.
    pub(super) fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e MappingExpr)) {
        visit(self);
        match &self.kind {
            MappingExprKind::Call(_, items, _)
            | MappingExprKind::List(items)
            | MappingExprKind::And(items)
            | MappingExprKind::Or(items) => {
                for item in items {
                    item.walk(visit);
                }
            }
            MappingExprKind::Not(inner) => inner.walk(visit),
            MappingExprKind::Compare(left, _, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            MappingExprKind::Path(..)
            | MappingExprKind::Literal(_)
            | MappingExprKind::Undefined
            | MappingExprKind::Faulty => {}
        }
    }
}

/// A fault inside an expression; the checker turns it into a [`super::Diagnostic`] of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ExprDiagnostic {
    pub code: &'static str,
    pub message: String,
    pub span: Range<usize>,
    pub label: String,
    pub help: Option<String>,
    /// A suggested edit: its title, and the text to write instead of `span`.
    pub patch: Option<(String, String)>,
}

impl ExprDiagnostic {
    pub(super) fn new(code: &'static str, message: String, span: Range<usize>) -> ExprDiagnostic {
        ExprDiagnostic { code, message, span, label: String::new(), help: None, patch: None }
    }
}

/// Parses a whole text as one expression. Without faults the expression is usable.
pub(super) fn parse_condition(text: &str) -> (MappingExpr, Vec<ExprDiagnostic>) {
    let mut parser = ExprParser::new(text, 0);
    let parsed = parser.expression().and_then(|expr| match parser.word {
        ExpressionToken::End => Ok(expr),
        _ => Err(parser.unexpected("operator or end")),
    });
    let expr = parser.settle(parsed);
    (expr, parser.faults)
}

/// Parses the expression between braces that begins at byte `from`. Returns it with the byte after
/// the closing brace, or `None` if there is no such brace.
pub(super) fn parse_placeholder(
    text: &str,
    from: usize,
) -> (MappingExpr, Option<usize>, Vec<ExprDiagnostic>) {
    let mut parser = ExprParser::new(text, from);
    let parsed = parser.expression().and_then(|expr| match parser.word {
        // The caller reports the missing brace, at the place of the opening one.
        ExpressionToken::Symbol("}") | ExpressionToken::End => Ok(expr),
        _ => Err(parser.unexpected("operator or `}`")),
    });
    let closed = (parser.word == ExpressionToken::Symbol("}")).then_some(parser.span.end);
    let expr = parser.settle(parsed);
    (expr, closed, parser.faults)
}

/// A parse that ended; the fault is boxed because it is rare and large.
type ExprResult<T> = Result<T, Box<ExprDiagnostic>>;

struct ExprParser<'t> {
    text: &'t str,
    word: ExpressionToken,
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

    fn settle(&mut self, parsed: ExprResult<MappingExpr>) -> MappingExpr {
        parsed.unwrap_or_else(|fault| {
            let span = fault.span.clone();
            self.faults.push(*fault);
            MappingExpr { kind: MappingExprKind::Faulty, span }
        })
    }

    fn advance(&mut self) -> ExpressionToken {
        let (word, span) = word_at(self.text, self.span.end);
        self.done = self.span.end;
        self.span = span;
        std::mem::replace(&mut self.word, word)
    }

    /// Takes the present word if it is this symbol.
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(&self.word, ExpressionToken::Symbol(s) if *s == symbol);
        if found {
            self.advance();
        }
        found
    }

    /// Takes the present word if it is this keyword, in either case.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found =
            matches!(&self.word, ExpressionToken::Name(n) if n.eq_ignore_ascii_case(keyword));
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> Box<ExprDiagnostic> {
        let found = match self.word {
            ExpressionToken::End => "the end".to_owned(),
            _ => format!("`{}`", &self.text[self.span.clone()]),
        };
        let message = format!("expected {expected}, found {found}");
        let mut fault = ExprDiagnostic::new("M0201", message, self.span.clone());
        fault.label = "not expected here".to_owned();
        if self.word == ExpressionToken::Stray('"') {
            fault.help = Some("strings take single quotes here".to_owned());
        }
        if self.word == ExpressionToken::OpenText {
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

    fn expression(&mut self) -> ExprResult<MappingExpr> {
        self.with_nesting(|p| {
            p.chain(
                "or",
                |p| p.chain("and", Self::negation, MappingExprKind::And),
                MappingExprKind::Or,
            )
        })
    }

    /// One or more parts with `keyword` between them.
    fn chain(
        &mut self,
        keyword: &str,
        mut part: impl FnMut(&mut Self) -> ExprResult<MappingExpr>,
        kind: fn(Vec<MappingExpr>) -> MappingExprKind,
    ) -> ExprResult<MappingExpr> {
        let first = part(self)?;
        let start = first.span.start;
        let mut parts = vec![first];
        while self.keyword(keyword) {
            parts.push(part(self)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => MappingExpr { kind: kind(parts), span: start..self.done },
        })
    }

    fn negation(&mut self) -> ExprResult<MappingExpr> {
        let start = self.span.start;
        if !self.keyword("not") {
            return self.comparison();
        }
        let inner = Box::new(self.comparison()?);
        Ok(MappingExpr { kind: MappingExprKind::Not(inner), span: start..self.done })
    }

    fn comparison(&mut self) -> ExprResult<MappingExpr> {
        let left = self.term()?;
        let Some(operator) = self.operator() else { return Ok(left) };
        let right = self.term()?;
        let span = left.span.start..self.done;
        Ok(MappingExpr {
            kind: MappingExprKind::Compare(Box::new(left), operator, Box::new(right)),
            span,
        })
    }

    fn operator(&mut self) -> Option<ComparisonOperator> {
        if self.keyword("in") {
            return Some(ComparisonOperator::In);
        }
        let ExpressionToken::Symbol(symbol) = self.word else { return None };
        let operator = match symbol {
            "=" => ComparisonOperator::Equal,
            "!=" => ComparisonOperator::NotEqual,
            "^=" => ComparisonOperator::Starts,
            "$=" => ComparisonOperator::Ends,
            "~=" => ComparisonOperator::Contains,
            ">" => ComparisonOperator::Greater,
            ">=" => ComparisonOperator::GreaterEqual,
            "<" => ComparisonOperator::Less,
            "<=" => ComparisonOperator::LessEqual,
            _ => return None,
        };
        self.advance();
        Some(operator)
    }

    fn term(&mut self) -> ExprResult<MappingExpr> {
        let span = self.span.clone();
        let kind = match &self.word {
            ExpressionToken::Name(_) => return self.named_term(),
            ExpressionToken::Symbol("(") => return self.bracketed(),
            ExpressionToken::Text(text) => {
                MappingExprKind::Literal(Value::Text(text.clone().into()))
            }
            ExpressionToken::Number(text) => match Value::number(text) {
                Some(value) => MappingExprKind::Literal(value),
                None => return Err(self.unexpected("a number that 64 bits hold exactly")),
            },
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        Ok(MappingExpr { kind, span })
    }

    /// `( a )` is `a`, `( a, b )` is a list.
    fn bracketed(&mut self) -> ExprResult<MappingExpr> {
        let start = self.span.start;
        self.advance();
        let mut items = self.items()?;
        let span = start..self.done;
        Ok(match items.len() {
            1 => MappingExpr { span, ..items.remove(0) },
            _ => MappingExpr { kind: MappingExprKind::List(items), span },
        })
    }

    /// One or more expressions and the closing bracket.
    fn items(&mut self) -> ExprResult<Vec<MappingExpr>> {
        let mut items = vec![self.expression()?];
        while self.symbol(",") {
            items.push(self.expression()?);
        }
        match self.symbol(")") {
            true => Ok(items),
            false => Err(self.unexpected("operator, `,` or `)`")),
        }
    }

    fn named_term(&mut self) -> ExprResult<MappingExpr> {
        let span = self.span.clone();
        let name = &self.text[span.clone()];
        let constant = match name.to_ascii_lowercase().as_str() {
            "true" => Some(MappingExprKind::Literal(Value::Bool(true))),
            "false" => Some(MappingExprKind::Literal(Value::Bool(false))),
            "undefined" => Some(MappingExprKind::Undefined),
            "and" | "or" | "not" | "in" => return Err(self.unexpected("a value")),
            _ => None,
        };
        self.advance();
        if let Some(kind) = constant {
            return Ok(MappingExpr { kind, span });
        }
        if self.symbol("(") {
            return self.call(name, span);
        }
        match PathRoot::named(name) {
            Some(root) => self.path(root, span.start),
            None => self.unqualified(name, span),
        }
    }

    fn path(&mut self, root: PathRoot, start: usize) -> ExprResult<MappingExpr> {
        let mut steps = Vec::new();
        loop {
            if self.symbol(".") {
                match self.advance_if_name() {
                    Some(name) => steps.push(AccessStep::Name(name)),
                    None => return Err(self.unexpected("a name")),
                }
            } else if self.symbol("[") {
                steps.push(self.index()?);
            } else {
                return Ok(MappingExpr {
                    kind: MappingExprKind::Path(root, steps),
                    span: start..self.done,
                });
            }
        }
    }

    fn advance_if_name(&mut self) -> Option<String> {
        match self.word.clone() {
            ExpressionToken::Name(name) => {
                self.advance();
                Some(name)
            }
            _ => None,
        }
    }

    fn index(&mut self) -> ExprResult<AccessStep> {
        let step = match &self.word {
            ExpressionToken::Text(name) => AccessStep::Name(name.clone()),
            ExpressionToken::Number(number) => match number.parse() {
                Ok(index) => AccessStep::Index(index),
                Err(_) => return Err(self.unexpected("a position counted from 0")),
            },
            _ => return Err(self.unexpected("a string or a position")),
        };
        self.advance();
        match self.symbol("]") {
            true => Ok(step),
            false => Err(self.unexpected("`]`")),
        }
    }

    fn call(&mut self, name: &str, span: Range<usize>) -> ExprResult<MappingExpr> {
        let arguments = match self.symbol(")") {
            true => Vec::new(),
            false => self.items()?,
        };
        let whole = span.start..self.done;
        let Some(function) = ExprFunction::named(name) else {
            // Recorded and not returned, so that faults later in the expression are found too.
            self.faults.push(unknown_function(name, span));
            return Ok(MappingExpr { kind: MappingExprKind::Faulty, span: whole });
        };
        if let Some(takes) = function.arity_mismatch(arguments.len()) {
            let message = format!("`{name}` takes {takes}, found {}", arguments.len());
            self.faults.push(ExprDiagnostic::new("M0204", message, whole.clone()));
            return Ok(MappingExpr { kind: MappingExprKind::Faulty, span: whole });
        }
        let mut pattern = None;
        if function.takes_pattern() {
            pattern = self.pattern(name, &arguments[1]);
        }
        let literal =
            |expr: &MappingExpr| matches!(expr.kind, MappingExprKind::Literal(Value::Text(_)));
        if function == ExprFunction::Lookup && !literal(&arguments[0]) {
            let message = "the first argument of `lookup` is the name of a table, in quotes";
            let mut fault =
                ExprDiagnostic::new("M0204", message.to_owned(), arguments[0].span.clone());
            fault.help = Some("e.g. `lookup('team', row.team)`".to_owned());
            self.faults.push(fault);
            return Ok(MappingExpr { kind: MappingExprKind::Faulty, span: whole });
        }
        if function.takes_pattern() && pattern.is_none() {
            return Ok(MappingExpr { kind: MappingExprKind::Faulty, span: whole });
        }
        Ok(MappingExpr { kind: MappingExprKind::Call(function, arguments, pattern), span: whole })
    }

    /// Compiles the pattern of `extract` and `replace`. Matching takes linear time.
    fn pattern(&mut self, name: &str, expr: &MappingExpr) -> Option<CompiledPattern> {
        let MappingExprKind::Literal(Value::Text(text)) = &expr.kind else {
            let message = format!("the pattern of `{name}` must be a string in quotes");
            self.faults.push(ExprDiagnostic::new("M0207", message, expr.span.clone()));
            return None;
        };
        // The limits bound the memory of a pattern, which comes from a file.
        match RegexBuilder::new(text).size_limit(1 << 20).dfa_size_limit(1 << 19).build() {
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
    fn unqualified(&mut self, name: &str, span: Range<usize>) -> ExprResult<MappingExpr> {
        let stepped = matches!(self.word, ExpressionToken::Symbol("." | "["));
        let mut fault =
            ExprDiagnostic::new("M0206", format!("`{name}` is not qualified"), span.clone());
        // Only a name with steps after it can be a misspelt root.
        let similar = closest(name, PathRoot::ALL.map(|(n, _)| n)).filter(|_| stepped);
        match similar {
            Some(root) => {
                fault.patch = Some(("a root with a similar name exists".into(), root.into()));
            }
            None => {
                fault.help = Some(format!(
                    "write `row.{name}` for a column or `from.{name}` for a property"
                ));
            }
        }
        self.faults.push(fault);
        let path = self.path(PathRoot::Row, span.start)?;
        Ok(MappingExpr { kind: MappingExprKind::Faulty, span: path.span })
    }
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
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<(&'static str, String)> {
        parse_condition(text).1.into_iter().map(|f| (f.code, f.message)).collect()
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
        let (expr, _) = parse_condition("row.a or row.b and row.c");
        let MappingExprKind::Or(parts) = expr.kind else { panic!("not an `or`") };
        assert!(matches!(parts[1].kind, MappingExprKind::And(_)));
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
    fn deep_nesting_is_refused() {
        let text = "(".repeat(100_000);
        assert_eq!(codes(&text), [("M0201", "brackets nest deeper than 64".to_owned())]);
    }
}
