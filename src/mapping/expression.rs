//! The dialect of expressions that mapping files speak: the roots of their paths. All else about
//! expressions lives in [`crate::lang`].

use crate::lang::{AccessStep, ExprNode, ExprNodeKind, ExprTemplate, PathDialect};

/// An expression of a mapping file.
pub(super) type MappingExpr = ExprNode<PathRoot>;

/// Its kind.
pub(super) type MappingExprKind = ExprNodeKind<PathRoot>;

/// A template of a mapping file.
pub(super) type Template = ExprTemplate<PathRoot>;

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

impl PathDialect for PathRoot {
    const ROOTS: &'static [(&'static str, PathRoot)] = &[
        ("row", PathRoot::Row),
        ("parent", PathRoot::Parent),
        ("doc", PathRoot::Doc),
        ("file", PathRoot::File),
        ("from", PathRoot::From),
        ("to", PathRoot::To),
        ("match", PathRoot::Match),
    ];

    fn qualify(name: &str) -> String {
        format!("write `row.{name}` for a column or `from.{name}` for a property")
    }
}

impl MappingExpr {
    /// The subject of a condition, in one word: its first identifier function, else its first
    /// property, e.g. `serial`.
    pub(crate) fn subject(&self) -> Option<String> {
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
}
