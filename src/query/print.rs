//! A query printed the way this project writes it: keywords in capitals, one blank between words,
//! noise words left out, a line for each step and clause if one line is too long.
//!
//! The printed query means the same as the one that was read, and printing it again changes nothing.
//! Comments are lost.

use super::lex::{self, QueryToken};
use super::parse::CLAUSES;
use super::syntax::*;

/// The longest query that is put on one line.
const LINE: usize = 90;

/// Prints a query that was read from `text`.
pub(super) fn print(query: &ParsedQuery, text: &str) -> String {
    let printer = QueryPrinter { text };
    let parts = printer.query(query);
    let line = parts.join(" ");
    match line.chars().count() <= LINE {
        true => line,
        false => parts.join("\n  "),
    }
}

struct QueryPrinter<'t> {
    text: &'t str,
}

/// Joins what `each` prints.
fn list<T>(all: &[T], between: &str, each: impl FnMut(&T) -> String) -> String {
    all.iter().map(each).collect::<Vec<_>>().join(between)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn is_name(text: &str) -> bool {
    let (word, span) = lex::word_at(text, 0);
    matches!(word, QueryToken::Name(_)) && span.len() == text.len()
}

/// The name of a verb, class or type, in brackets if it has other characters than names have.
fn named(name: &str) -> String {
    let keyword = CLAUSES.iter().any(|word| word.eq_ignore_ascii_case(name));
    if is_name(name) && !keyword { name.to_owned() } else { format!("[{name}]") }
}

impl QueryPrinter<'_> {
    /// The start of the pattern, then each step and clause.
    fn query(&self, query: &ParsedQuery) -> Vec<String> {
        let mut first = "FIND ".to_owned();
        if query.unique {
            first.push_str("UNIQUE ");
        }
        if let Some(shortest) = &query.shortest {
            first.push_str(if shortest.all { "SHORTEST ALL " } else { "SHORTEST " });
        }
        first.push_str(&self.entity(&query.start));
        let mut parts = vec![first];
        parts.extend(query.elements.iter().map(|element| self.element(element)));
        if let Some(filter) = &query.filter {
            parts.push(format!("WHERE {}", self.cond(filter)));
        }
        match &query.returns {
            ReturnClause::List => {}
            ReturnClause::Tree => parts.push("RETURN TREE".to_owned()),
            ReturnClause::Columns(columns) => {
                parts.push(format!("RETURN {}", list(columns, ", ", |c| self.column(c))));
            }
        }
        if let Some(having) = &query.having {
            parts.push(format!("HAVING {}", self.cond(having)));
        }
        if !query.order.is_empty() {
            let sort = |sort: &SortKey| {
                let way = if sort.descending { " DESC" } else { "" };
                format!("{}{way}", self.expr(&sort.expr, 0))
            };
            parts.push(format!("ORDER BY {}", list(&query.order, ", ", sort)));
        }
        parts.extend(query.skip.map(|skip| format!("SKIP {skip}")));
        parts.extend(query.limit.map(|limit| format!("LIMIT {limit}")));
        parts.extend(query.at.as_ref().map(|at| format!("AT {}", self.string(at))));
        parts
    }

    fn entity(&self, entity: &EntityPattern) -> String {
        let alternative = |alternative: &SelectorAlternative| match alternative {
            SelectorAlternative::Any => "*".to_owned(),
            SelectorAlternative::Name(name) => named(&name.text),
            SelectorAlternative::Text(text) => self.string(text),
            SelectorAlternative::Smart(name) => format!("#{}", name.text),
            SelectorAlternative::SmartOf(name, of) => format!("#{} {}", name.text, of.text),
        };
        let mut out = match entity.alternatives.as_slice() {
            [one] => alternative(one),
            all => format!("({})", list(all, "|", alternative)),
        };
        if let Some(scope) = &entity.scope {
            out.push_str(&format!(" IN SCOPE {}", self.string(scope)));
        }
        if let Some(with) = &entity.with {
            out.push_str(&format!(" WITH {}", self.cond(with)));
        }
        out + &alias(entity.alias.as_ref())
    }

    fn element(&self, element: &PatternElement) -> String {
        match element {
            PatternElement::Step(step) => self.step(step),
            PatternElement::Group { elements, least, most, alias: name } => {
                let times = match (least, most) {
                    (0, 1) => "?".to_owned(),
                    (least, most) => quantifier(*least, *most),
                };
                let inside = list(elements, " ", |element| self.element(element));
                format!("({inside}){times}{}", alias(name.as_ref()))
            }
            PatternElement::Not(elements) => {
                format!("THAT !({})", list(elements, " ", |element| self.element(element)))
            }
            PatternElement::Matches { negated, target, on, .. } => {
                let not = if *negated { "!" } else { "" };
                format!("THAT {not}MATCHES {} ON {}", self.entity(target), self.cond(on))
            }
        }
    }

    fn step(&self, step: &RelationshipPattern) -> String {
        let mut out = "THAT ".to_owned();
        if step.negated {
            out.push('!');
        }
        if step.nearest {
            out.push_str("NEAREST ");
        }
        // Without brackets NEAREST before a verb would be read as a verb itself.
        out.push_str(&verbs(&step.verbs, step.nearest));
        if let Some((least, most)) = step.repeat {
            out.push_str(&quantifier(least, most));
        }
        if !step.by.is_empty() {
            out.push_str(&format!(" BY {}", verbs(&step.by, true)));
        }
        if let Some(via) = &step.via {
            out.push_str(&format!(" VIA {}", self.entity(via)));
        }
        out.push_str(arrow(step.arrow));
        if let Some(scope) = &step.scope {
            out.push_str(&format!(" IN SCOPE {}", self.string(scope)));
        }
        format!("{out}{} {}", alias(step.alias.as_ref()), self.entity(&step.target))
    }

    fn cond(&self, cond: &ConditionExpr) -> String {
        match cond {
            ConditionExpr::Or(all) => list(all, " OR ", |cond| match cond {
                // Brackets keep the tree as it was read.
                ConditionExpr::Or(_) => format!("({})", self.cond(cond)),
                _ => self.cond(cond),
            }),
            ConditionExpr::And(all) => list(all, " AND ", |cond| match cond {
                ConditionExpr::Or(_) | ConditionExpr::And(_) => format!("({})", self.cond(cond)),
                _ => self.cond(cond),
            }),
            ConditionExpr::Not(cond) => format!("!({})", self.cond(cond)),
            ConditionExpr::Compare(compare) => self.compare(compare),
        }
    }

    fn compare(&self, compare: &ComparisonExpr) -> String {
        let op = match compare.op {
            ComparisonOp::Equal => "=",
            ComparisonOp::Contains => "~=",
            ComparisonOp::Begins => "^=",
            ComparisonOp::Ends => "$=",
            ComparisonOp::Less => "<",
            ComparisonOp::LessOrEqual => "<=",
            ComparisonOp::Greater => ">",
            ComparisonOp::GreaterOrEqual => ">=",
        };
        let not = if compare.negated { "!" } else { "" };
        let right = match &compare.right {
            list @ (ComparisonOperand::Or(_) | ComparisonOperand::And(_)) => {
                format!("({})", self.right(list))
            }
            one => self.right(one),
        };
        format!("{} {not}{op} {right}", self.expr(&compare.left, 0))
    }

    fn right(&self, right: &ComparisonOperand) -> String {
        match right {
            ComparisonOperand::Or(all) => list(all, " OR ", |one| match one {
                ComparisonOperand::Or(_) => format!("({})", self.right(one)),
                _ => self.right(one),
            }),
            ComparisonOperand::And(all) => list(all, " AND ", |one| match one {
                ComparisonOperand::Or(_) | ComparisonOperand::And(_) => {
                    format!("({})", self.right(one))
                }
                _ => self.right(one),
            }),
            ComparisonOperand::Value(expr) => self.expr(expr, 0),
            ComparisonOperand::Pattern(_, span) => self.text[span.clone()].to_owned(),
            ComparisonOperand::Query(query) => format!("({})", self.query(query).join(" ")),
        }
    }

    fn column(&self, column: &ReturnColumn) -> String {
        let expr = self.expr(&column.expr, 0);
        match &column.name {
            None => expr,
            Some(name) if is_name(&name.text) => format!("{expr} AS {}", name.text),
            Some(name) => format!("{expr} AS {}", quoted(&name.text)),
        }
    }

    /// An expression. `around` is the binding strength of the operator around it: 1 sums, 2 products, 3
    /// powers.
    fn expr(&self, expr: &ValueExpr, around: u8) -> String {
        match &expr.kind {
            // Printed as written: `2.10` would lose its zero as a number.
            ValueExprKind::Number(_) | ValueExprKind::Bool(_) | ValueExprKind::Undefined => {
                self.text[expr.span.clone()].to_lowercase().split_whitespace().collect()
            }
            ValueExprKind::Time(_) => self.time(&expr.span),
            ValueExprKind::Text(text) => self.string(text),
            ValueExprKind::Path(parts) => path(parts),
            ValueExprKind::All(alias) => format!("{alias}.*"),
            ValueExprKind::Rows => "*".to_owned(),
            ValueExprKind::Call { name, arguments } => {
                format!("{}({})", name.text, list(arguments, ", ", |one| self.expr(one, 0)))
            }
            ValueExprKind::Minus(inner) => format!("-{}", self.expr(inner, 4)),
            ValueExprKind::Binary(left, math, right) => {
                let (sign, binds) = match math {
                    ArithmeticOp::Add => ("+", 1),
                    ArithmeticOp::Subtract => ("-", 1),
                    ArithmeticOp::Multiply => ("*", 2),
                    ArithmeticOp::Divide => ("/", 2),
                    ArithmeticOp::Power => ("^", 3),
                };
                // Sums and products begin at the left, powers at the right.
                let (before, after) = if binds == 3 { (4, 3) } else { (binds, binds + 1) };
                let (left, right) = (self.expr(left, before), self.expr(right, after));
                let out = format!("{left} {sign} {right}");
                if binds < around { format!("({out})") } else { out }
            }
        }
    }

    /// A date as written, with the blanks it should have.
    fn time(&self, span: &TextSpan) -> String {
        let written = &self.text[span.clone()];
        let open = written.find('(').filter(|open| written[..*open].trim().len() == 4);
        let (mut out, mut at) = match open.and_then(|open| Some((open, written.find(')')?))) {
            Some((open, close)) => {
                (format!("date({})", written[open + 1..close].trim()), close + 1)
            }
            None => ("date.now".to_owned(), 0),
        };
        let mut offset = open.is_some();
        loop {
            let (word, range) = lex::word_at(written, at);
            // Words before the first sign belong to `date.now`, which is printed already.
            offset |= matches!(word, QueryToken::Symbol("+" | "-"));
            match word {
                QueryToken::End => return out,
                _ if offset => out.push_str(&format!(" {}", &written[range.clone()])),
                _ => {}
            }
            at = range.end;
        }
    }

    fn string(&self, text: &TextLiteral) -> String {
        match text.hole {
            true => format!("{{{{{}}}}}", text.text),
            false => quoted(&text.text),
        }
    }
}

fn alias(name: Option<&SpannedName>) -> String {
    name.map_or(String::new(), |name| format!(" AS {}", name.text))
}

fn quantifier(least: u32, most: u32) -> String {
    match least == most {
        true => format!("{{{least}}}"),
        false => format!("{{{least},{most}}}"),
    }
}

fn arrow(arrow: StepDirection) -> &'static str {
    match arrow {
        StepDirection::Out => " >>",
        StepDirection::In => " <<",
        StepDirection::Both => "",
    }
}

fn verbs(all: &[VerbPattern], bracket: bool) -> String {
    let own = |way: &Option<StepDirection>| way.map_or("", arrow);
    // `MemberOf` is a spelling of its own; `owns` is `OWNS` in a hurry.
    let capitals = |name: &str| match name.contains(char::is_uppercase) || !is_name(name) {
        true => named(name),
        false => name.to_uppercase(),
    };
    let verb = |verb: &VerbPattern| match verb {
        VerbPattern::Named(name, way) => format!("{}{}", capitals(&name.text), own(way)),
        VerbPattern::Others(way) => format!("*{}", own(way)),
        VerbPattern::Never(name) => format!("!{}", capitals(&name.text)),
        VerbPattern::Smart(name) => format!("#{}", name.text),
    };
    match all {
        [] => "RELATES TO".to_owned(),
        [one @ VerbPattern::Smart(_)] => verb(one),
        [one @ VerbPattern::Named(name, None)]
            if !bracket && !name.text.eq_ignore_ascii_case("RELATES") =>
        {
            verb(one)
        }
        all => format!("({})", list(all, "|", verb)),
    }
}

/// A path; a part that is no plain name stands in brackets.
fn path(parts: &[String]) -> String {
    let part = |(at, part): (usize, &String)| {
        let said = |word: &&str| word.eq_ignore_ascii_case(part);
        let keyword = at == 0
            && (CLAUSES.iter().any(said)
                || ["OR", "AND", "IN", "NOT", "DATE", "TRUE", "FALSE", "UNDEFINED", "NULL"]
                    .iter()
                    .any(said));
        let number = at > 0 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        // A placeholder has brackets of its own.
        match is_name(part) && !keyword || number || part.starts_with("{{") {
            true => part.clone(),
            false => format!("[{part}]"),
        }
    };
    parts.iter().enumerate().map(part).collect::<Vec<_>>().join(".")
}
