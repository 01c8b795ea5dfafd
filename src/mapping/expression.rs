//! The dialect of expressions that mapping files speak: the roots of their paths. All else about
//! expressions lives in [`crate::lang`].

use crate::lang::{AccessStep, ExprNode, ExprNodeKind, ExprTemplate, PathDialect};

/// An expression of a mapping file.
pub(super) type MappingExpr = ExprNode<PathRoot>;

/// Its kind.
pub(super) type MappingExprKind = ExprNodeKind<PathRoot>;

/// A step of a path of a mapping file.
pub(super) type PathStep = AccessStep<PathRoot>;

/// A template of a mapping file.
pub(super) type Template = ExprTemplate<PathRoot>;

/// The first name of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathRoot {
    /// The row.
    Row,
    /// The name or the position of the row in what is around it.
    RowKey,
    /// The keys from the document down to the row.
    RowPath,
    /// What was opened last before the row.
    Parent,
    ParentKey,
    /// What was opened before the row, by position: `parents[1]` is the parent of `parent`.
    Parents,
    ParentKeys,
    /// The row of the entity, at whatever depth the row of its relationship lies.
    SelfRow,
    /// The document.
    Doc,
    File,
    /// A template with a name.
    Let,
    /// The element that a condition of `[?...]` asks about.
    It,
    From,
    To,
    Match,
}

impl PathRoot {
    /// True if its value is the document, of which a list is else read element by element.
    pub(super) fn is_around(self) -> bool {
        matches!(self, PathRoot::Doc)
    }
}

impl PathDialect for PathRoot {
    const ROOTS: &'static [(&'static str, PathRoot)] = &[
        ("row", PathRoot::Row),
        ("row_key", PathRoot::RowKey),
        ("row_path", PathRoot::RowPath),
        ("parent", PathRoot::Parent),
        ("parent_key", PathRoot::ParentKey),
        ("parents", PathRoot::Parents),
        ("parent_keys", PathRoot::ParentKeys),
        ("self", PathRoot::SelfRow),
        ("doc", PathRoot::Doc),
        ("file", PathRoot::File),
        ("let", PathRoot::Let),
        ("it", PathRoot::It),
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
