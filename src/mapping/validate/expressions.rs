//! The expressions of a file: parsed, and checked for the names that they may use.

use super::MappingChecker;
use crate::graph::Value;
use crate::lang::{
    AccessStep, ComparisonOp, Diagnostic, ExprDiagnostic, ExprFunction, TermOperator, closest,
    parse_condition, parse_template,
};
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot, PathStep, Template};
use crate::mapping::format::SpannedText;

/// The columns of the rows, where they are known beforehand.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct KnownColumns {
    /// In the order of the file; `None` when rows may have any.
    pub names: Option<Vec<String>>,
    /// The file, as written.
    pub file: String,
    /// True if their values are cells, which are texts.
    pub texts: bool,
}

/// The roots that an expression may name in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::mapping) struct KnownRoots {
    pub row: bool,
    pub from: bool,
    pub to: bool,
    pub matched: bool,
    /// Inside of `[?...]`.
    pub it: bool,
    /// In a source file, where templates have names and entities have rows.
    pub named: bool,
}

impl KnownRoots {
    pub(in crate::mapping) const ROW: KnownRoots =
        KnownRoots { row: true, from: false, to: false, matched: false, it: false, named: false };

    fn has(self, root: PathRoot) -> bool {
        match root {
            PathRoot::Row
            | PathRoot::RowKey
            | PathRoot::RowPath
            | PathRoot::Parent
            | PathRoot::ParentKey
            | PathRoot::Parents
            | PathRoot::ParentKeys
            | PathRoot::Doc
            | PathRoot::File => self.row,
            PathRoot::SelfRow | PathRoot::Let => self.named,
            PathRoot::It => self.it,
            PathRoot::From => self.from,
            PathRoot::To => self.to,
            PathRoot::Match => self.matched,
        }
    }

    /// `row, row_key, parent` and the like.
    fn words(self) -> String {
        let roots = [
            (self.row, "row, row_key, row_path, parent, parent_key, doc, file"),
            (self.named, "self, let"),
            (self.it, "it"),
            (self.from, "from"),
            (self.to, "to"),
            (self.matched, "match"),
        ];
        let names: Vec<&str> = roots.iter().filter(|(k, _)| *k).map(|(_, n)| *n).collect();
        names.join(", ")
    }
}

impl MappingChecker<'_> {
    /// Parses a condition that may name the roots of `known`.
    pub(in crate::mapping) fn condition(
        &mut self,
        text: &SpannedText,
        known: KnownRoots,
    ) -> MappingExpr {
        self.expressions += 1;
        let (expr, faults) = parse_condition(&text.value);
        self.take(text, faults);
        self.look(text, &expr, known);
        expr
    }

    /// Parses a template that may name the roots of `known`.
    pub(in crate::mapping) fn template(
        &mut self,
        text: &SpannedText,
        known: KnownRoots,
    ) -> Template {
        self.expressions += 1;
        let (template, faults) = parse_template(&text.value);
        self.take(text, faults);
        for expr in template.expressions() {
            self.look(text, expr, known);
        }
        template
    }

    /// Moves faults of an expression to their place in the file.
    pub(in crate::mapping) fn take(&mut self, text: &SpannedText, faults: Vec<ExprDiagnostic>) {
        for fault in faults {
            let place = text.place(&fault.span);
            let mut moved = self.error(fault.code, fault.message).at(place.clone(), fault.label);
            moved.helps.extend(fault.help);
            // With escapes the place is the whole string, which an edit must not overwrite.
            self.push(match fault.patch.filter(|_| text.inner.is_some()) {
                Some((title, replacement)) => moved.patch(title, place, replacement),
                None => moved,
            });
        }
    }

    pub(in crate::mapping) fn look(
        &mut self,
        text: &SpannedText,
        expr: &MappingExpr,
        known: KnownRoots,
    ) {
        let filters = |expr: &MappingExpr| match &expr.kind {
            MappingExprKind::Path(_, steps) | MappingExprKind::Steps(_, steps) => {
                steps.iter().any(|step| matches!(step, AccessStep::Filter(_)))
            }
            _ => false,
        };
        let known = KnownRoots { it: known.it || expr.any(&filters), ..known };
        // A column that `default` stands in for may be there in some exports only.
        let in_default = |expr: &MappingExpr| {
            matches!(&expr.kind, MappingExprKind::Call(ExprFunction::Default, ..))
        };
        if expr.any(&in_default) {
            let columns = self.columns.names.take();
            expr.walk(&mut |expr| self.check_node(text, expr, known));
            self.columns.names = columns;
            return;
        }
        expr.walk(&mut |expr| self.check_node(text, expr, known));
    }

    pub(in crate::mapping) fn check_node(
        &mut self,
        text: &SpannedText,
        expr: &MappingExpr,
        known: KnownRoots,
    ) {
        match &expr.kind {
            MappingExprKind::Path(root, steps) => self.path(text, expr, *root, steps, known),
            MappingExprKind::Compare(left, operator, right) => {
                self.comparison(text, left, *operator, right)
            }
            _ => {
                if let Some((ExprFunction::Lookup, arguments)) = expr.call() {
                    self.lookup_name(text, &arguments[0]);
                }
            }
        }
    }

    fn path(
        &mut self,
        text: &SpannedText,
        expr: &MappingExpr,
        root: PathRoot,
        steps: &[PathStep],
        known: KnownRoots,
    ) {
        let first = match steps {
            [AccessStep::Name(name)] => Some(name.as_str()),
            _ => None,
        };
        let place = text.place(&expr.span);
        self.mentions_document |= root.is_around();
        if !known.has(root) {
            let root = text.value.get(expr.span.clone()).unwrap_or_default();
            let root = root.split(['.', '[']).next().unwrap_or_default();
            let words = match (root, known.row) {
                (
                    "row" | "row_key" | "row_path" | "parent" | "parent_key" | "parents"
                    | "parent_keys" | "doc" | "file",
                    false,
                ) => {
                    format!("there is no `{root}.` here: this mapping or table has no rows")
                }
                ("it", _) => "`it` is the element inside of `[?...]`".to_owned(),
                ("self" | "let", _) => format!("`{root}` is known in source files only"),
                _ => format!("`{root}.` is not known yet here"),
            };
            let fault = self.error("M0205", words).at(place, "");
            return self.push(fault.help(format!("known here: {}", known.words())));
        }
        let members: &[&str] = match root {
            PathRoot::File => &["path", "stem", "line"],
            PathRoot::Match => &["name", "from", "to"],
            PathRoot::From | PathRoot::To if steps.is_empty() => {
                let fault = self.error("M0206", "an entity is no value").at(place, "");
                return self
                    .push(fault.help("name a property of it, e.g. `from.email` or `from._key`"));
            }
            PathRoot::Row => return self.column(text, expr, first),
            PathRoot::Let => return self.let_name(text, expr, steps),
            _ => return,
        };
        if first.is_none_or(|name| !members.contains(&name)) {
            let root = if root == PathRoot::File { "file" } else { "match" };
            let list: Vec<String> = members.iter().map(|m| format!("`{root}.{m}`")).collect();
            let fault = self.error("M0206", format!("`{root}` has no such member")).at(place, "");
            self.push(fault.help(format!("there are {}", list.join(", "))));
        }
    }

    fn column(&mut self, text: &SpannedText, expr: &MappingExpr, name: Option<&str>) {
        let (Some(columns), Some(name)) = (&self.columns.names, name) else { return };
        if columns.iter().any(|c| c == name) {
            return;
        }
        let words = format!("`{}` has no column `{name}`", self.columns.file);
        let fault = self.error("M0401", words).at(text.place(&expr.span), "used here");
        let fault = fault.note(format!("its columns: {}", columns.join(", ")));
        let similar = closest(name, columns.iter().map(String::as_str));
        self.push(match similar {
            Some(similar) => fault.help(format!("did you mean `row.{similar}`?")),
            None => fault,
        });
    }

    /// The template with a name that `let.name` asks for.
    fn let_name(&mut self, text: &SpannedText, expr: &MappingExpr, steps: &[PathStep]) {
        let name = match steps.first() {
            Some(AccessStep::Name(name)) => name.as_str(),
            _ => "",
        };
        if self.lets.iter().any(|known| known == name) {
            return;
        }
        let fault = self.error("M0210", format!("there is no `{name}` in `[let]`"));
        let fault = fault.at(text.place(&expr.span), "");
        self.push(match closest(name, self.lets.iter().map(String::as_str)) {
            Some(similar) => fault.help(format!("did you mean `let.{similar}`?")),
            None => fault.help("`[let]` gives a template a name"),
        });
    }

    fn lookup_name(&mut self, text: &SpannedText, name: &MappingExpr) {
        let MappingExprKind::Literal(Value::Text(table)) = &name.kind else { return };
        self.used_tables.insert(table.to_string());
        if self.tables.contains_key(table.as_ref()) {
            return;
        }
        let names: Vec<&str> = self.tables.keys().map(String::as_str).collect();
        let fault = self.error("M0210", format!("there is no `[lookup.{table}]` in this file"));
        let fault = fault.at(text.place(&name.span), "");
        self.push(match closest(table, names.iter().copied()) {
            Some(similar) => fault.help(format!("did you mean `{similar}`?")),
            None => fault.help(
                "a lookup is a table `[lookup.NAME]` with `file`, `key` and `value`, or `inline`",
            ),
        });
    }

    /// Lints of one comparison.
    fn comparison(
        &mut self,
        text: &SpannedText,
        left: &MappingExpr,
        operator: TermOperator,
        right: &MappingExpr,
    ) {
        for (folded, bare) in [(left, right), (right, left)] {
            let equality = matches!(
                operator,
                TermOperator::Compare(ComparisonOp::Equal)
                    | TermOperator::NotEqual
                    | TermOperator::In
            );
            let Some((function, _)) = folded.call() else { continue };
            if equality
                && function.is_canonicalizing()
                && matches!(bare.kind, MappingExprKind::Path(..))
            {
                let name = function.name();
                let words =
                    format!("one side of the comparison is folded by `{name}`, the other is not");
                let fault = Diagnostic::warning("W01", self.source, words);
                let fault = fault.at(text.place(&bare.span), "as it stands in the data");
                let bare_text = text.value.get(bare.span.clone()).unwrap_or_default();
                self.push(match text.inner {
                    Some(_) => fault.patch(
                        "fold both sides",
                        text.place(&bare.span),
                        format!("{name}({bare_text})"),
                    ),
                    None => fault.help(format!("write {name}({bare_text})")),
                });
            }
        }
        for (path, other) in [(left, right), (right, left)] {
            let is_number = matches!(
                other.kind,
                MappingExprKind::Literal(Value::Int(_) | Value::UInt(_) | Value::Float(_))
            );
            let is_cell = matches!(path.kind, MappingExprKind::Path(PathRoot::Row, _));
            // A text equals the number that it spells, and it has no order with numbers.
            let orders = matches!(operator, TermOperator::Compare(op) if op.orders());
            if is_number && is_cell && orders && self.columns.texts {
                let words =
                    "a column is read as text, which is neither less nor greater than a number";
                let fault = Diagnostic::warning("W05", self.source, words);
                let fault = fault.at(text.place(&path.span), "a text");
                let written = text.value.get(path.span.clone()).unwrap_or_default();
                self.push(match text.inner {
                    Some(_) => fault.patch(
                        "read it as a number",
                        text.place(&path.span),
                        format!("number({written})"),
                    ),
                    None => fault.help(format!("write number({written})")),
                });
            }
        }
    }

    /// A condition that looks for an entity must look at it.
    pub(in crate::mapping) fn must_mention(
        &mut self,
        text: &SpannedText,
        expr: &MappingExpr,
        root: PathRoot,
        name: &str,
    ) {
        // A faulty part may have meant the entity, and its fault is already reported.
        let faulty = |e: &MappingExpr| matches!(e.kind, MappingExprKind::Faulty);
        if expr.mentions(root) || expr.any(&faulty) {
            return;
        }
        let words = format!("this condition never looks at `{name}.`");
        let fault = self.error("M0208", words).at(text.span.clone(), "");
        self.push(fault.help("a match must mention the entity it is looking for"));
    }
}
