//! Templates: text with expressions between braces, e.g. `okta-user:{row.login}`.

use super::parse::{ExprDiagnostic, parse_placeholder};
use super::tree::{ExprNode, PathDialect};

/// One part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TemplatePart<R> {
    Text(String),
    /// An expression, with its text for messages.
    Expr(ExprNode<R>, String),
}

/// A parsed template. Neighbouring parts of text are one part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExprTemplate<R> {
    pub parts: Vec<TemplatePart<R>>,
}

impl<R: PathDialect> ExprTemplate<R> {
    /// The expressions between its braces.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &ExprNode<R>> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Expr(expr, _) => Some(expr),
            TemplatePart::Text(_) => None,
        })
    }

    /// The text of a template without expressions.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The first expression between braces, as written; empty if there is none.
    pub(crate) fn first_placeholder(&self) -> &str {
        let text = |part: &'_ TemplatePart<R>| matches!(part, TemplatePart::Expr(..));
        match self.parts.iter().find(|part| text(part)) {
            Some(TemplatePart::Expr(_, text)) => text,
            _ => "",
        }
    }

    /// Calls `visit` for each expression and each one inside it.
    pub(crate) fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e ExprNode<R>)) {
        self.expressions().for_each(|expr| expr.walk(visit));
    }
}

/// Parses a template. Without faults it is usable.
pub(crate) fn parse_template<R: PathDialect>(text: &str) -> (ExprTemplate<R>, Vec<ExprDiagnostic>) {
    let mut template = ExprTemplate { parts: Vec::new() };
    let mut faults = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(len) = text[at..].find(['{', '}']) {
        let brace = at + len;
        plain.push_str(&text[at..brace]);
        let symbol = &text[brace..brace + 1];
        // A doubled brace is one brace of text.
        if text[brace + 1..].starts_with(symbol) {
            plain.push_str(symbol);
            at = brace + 2;
            continue;
        }
        if symbol == "}" {
            faults.push(stray(brace));
            at = brace + 1;
            continue;
        }
        let (expr, closed, more) = parse_placeholder(text, brace + 1);
        let broken = !more.is_empty();
        faults.extend(more);
        // After a fault of form the end of the placeholder is a guess: the next brace.
        let end = closed.or_else(|| {
            let next = text[brace..].find('}').map(|i| brace + i + 1);
            next.filter(|_| broken)
        });
        let Some(end) = end else {
            faults.push(unclosed(brace));
            return (template, faults);
        };
        if !plain.is_empty() {
            template.parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
        }
        template.parts.push(TemplatePart::Expr(expr, text[brace + 1..end - 1].trim().to_owned()));
        at = end;
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        template.parts.push(TemplatePart::Text(plain));
    }
    (template, faults)
}

fn unclosed(brace: usize) -> ExprDiagnostic {
    let message = "unclosed `{` in template".to_owned();
    let mut fault = ExprDiagnostic::new("M0202", message, brace..brace + 1);
    fault.help = Some("write `{{` for a literal brace".to_owned());
    fault
}

fn stray(brace: usize) -> ExprDiagnostic {
    let message = "`}` closes nothing in this template".to_owned();
    let mut fault = ExprDiagnostic::new("M0202", message, brace..brace + 1);
    fault.help = Some("write `}}` for a literal brace".to_owned());
    fault
}

#[cfg(test)]
mod tests {
    use super::super::parse::tests::TestRoot;
    use super::*;

    #[test]
    fn doubled_braces_are_text() {
        let (template, faults) = parse_template::<TestRoot>("a{{b}}c");
        assert_eq!(faults, []);
        assert_eq!(template.parts, [TemplatePart::Text("a{b}c".into())]);
    }

    #[test]
    fn braces_inside_strings_do_not_close() {
        let (template, faults) = parse_template::<TestRoot>("x{row.a = '}'}y");
        assert_eq!(faults, []);
        assert_eq!(template.parts.len(), 3);
    }

    #[test]
    fn open_and_stray_braces_are_faults() {
        let words = |text: &str| -> Vec<String> {
            parse_template::<TestRoot>(text)
                .1
                .into_iter()
                .map(|f| format!("{} {:?}", f.code, f.span))
                .collect()
        };
        assert_eq!(words("a{row.b"), ["M0202 1..2"]);
        assert_eq!(words("a}b"), ["M0202 1..2"]);
        assert_eq!(words("{}"), ["M0201 1..2"]);
        assert_eq!(words("{row.a b} {row.c d}"), ["M0201 7..8", "M0201 17..18"]);
    }
}
