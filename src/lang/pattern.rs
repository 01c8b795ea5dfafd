//! Regular expressions: compiled within limits, and their size estimated before that.
//!
//! Compiling takes time and memory by the size of the program, which a short text can make huge:
//! `\w{60}` has forty thousand states, and `((a{99}){99}){99}` a million. The size is estimated from
//! the syntax tree, which is no larger than the text; the estimate is never much below the truth.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    Ast, ClassSet, ClassSetItem, GroupKind, RepetitionKind, RepetitionOp, RepetitionRange,
};

/// States of a class with members in many scripts, such as `\w`.
const CLASS: u64 = 700;
/// States of any character at all.
const ANY: u64 = 16;
/// Deepest nesting of groups and classes.
const NESTED_MAX: u32 = 100;

/// The limits of one regular expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatternLimits {
    /// The largest program, in bytes.
    pub program: usize,
    /// Bytes that it may keep in its cache of states while it matches.
    pub learnt: usize,
    /// The deepest nesting of groups.
    pub nesting: u32,
}

/// Compiles a regular expression; matching takes time by the length of the text.
pub(crate) fn compile_pattern(
    text: &str,
    any_case: bool,
    limits: &PatternLimits,
) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .case_insensitive(any_case)
        .size_limit(limits.program)
        .dfa_size_limit(limits.learnt)
        .nest_limit(limits.nesting)
        .build()
}

/// The approximate number of states of a pattern's program. `None` if it is no pattern, or nests too
/// deep: compiling it then gives the reason.
pub(crate) fn pattern_states(pattern: &str) -> Option<u64> {
    let ast = ParserBuilder::new().nest_limit(NESTED_MAX).build().parse(pattern).ok()?;
    Some(states(&ast))
}

/// The states of a syntax tree. Recurses as deep as the pattern nests.
fn states(ast: &Ast) -> u64 {
    let sum = |all: &[Ast]| {
        all.iter().fold(0u64, |sum, one| sum.saturating_add(states(one)).saturating_add(1))
    };
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 1,
        // Letters of other cases may stand for it.
        Ast::Literal(_) => 4,
        Ast::Dot(_) => ANY,
        Ast::ClassUnicode(_) | Ast::ClassPerl(_) => CLASS,
        Ast::ClassBracketed(class) => {
            set(&class.kind).saturating_add(if class.negated { ANY } else { 0 })
        }
        Ast::Repetition(repetition) => {
            let once = states(&repetition.ast).saturating_add(1);
            once.saturating_mul(times(&repetition.op))
        }
        Ast::Group(group) => {
            let inside = states(&group.ast);
            match group.kind {
                GroupKind::NonCapturing(_) => inside,
                _ => inside.saturating_add(2),
            }
        }
        Ast::Alternation(alternation) => sum(&alternation.asts),
        Ast::Concat(concat) => sum(&concat.asts),
    }
}

/// The number of copies of a repeated part in the program.
fn times(op: &RepetitionOp) -> u64 {
    match &op.kind {
        // A loop needs one copy; a range is unrolled up to its bound.
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => 1,
        RepetitionKind::OneOrMore => 1,
        RepetitionKind::Range(range) => u64::from(match range {
            RepetitionRange::Exactly(n) => *n,
            RepetitionRange::AtLeast(n) => n.saturating_add(1),
            RepetitionRange::Bounded(_, most) => *most,
        })
        .max(1),
    }
}

fn set(set: &ClassSet) -> u64 {
    match set {
        ClassSet::Item(item) => class_item(item),
        ClassSet::BinaryOp(op) => self::set(&op.lhs).saturating_add(self::set(&op.rhs)),
    }
}

fn class_item(item: &ClassSetItem) -> u64 {
    match item {
        ClassSetItem::Empty(_) => 0,
        ClassSetItem::Literal(_) => 4,
        ClassSetItem::Range(range) => {
            let width =
                u64::from(range.end.c as u32).saturating_sub(u64::from(range.start.c as u32));
            ANY + width.min(CLASS)
        }
        ClassSetItem::Ascii(_) => ANY,
        ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) => CLASS,
        ClassSetItem::Bracketed(class) => set(&class.kind).saturating_add(ANY),
        ClassSetItem::Union(union) => {
            union.items.iter().fold(0u64, |sum, item| sum.saturating_add(class_item(item)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_repeated_counts_as_often() {
        let states = |text| pattern_states(text).expect("a pattern");
        assert!(states("^prod-[a-z0-9]+\\.example\\.com$") < 500);
        assert!(states(r"\w+@\w+\.com") < 2_000);
        assert!(states(r"\w{60}") > 40_000);
        assert!(states("((a{99}){99}){99}") > 1_000_000);
        assert!(
            states("(((((((((a{1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000}))") > 1 << 60
        );
        assert_eq!(pattern_states("(a"), None);
        assert_eq!(pattern_states(&"(".repeat(5_000)), None);
    }

    proptest! {
        /// A pattern that the library refuses as too large is never small here.
        #[test]
        fn no_small_estimate_is_a_large_program(
            parts in prop::collection::vec(
                (r"a|\.|\w|\W|\d|\pL|[a-z]|[^x]|[\w--a]|(?i:k)|(ab|c)", 0u32..40), 1..6),
        ) {
            let text: String = parts
                .iter()
                .map(|(part, times)| match times { 0 => part.clone(), n => format!("{part}{{{n}}}") })
                .collect();
            if let Some(states) = pattern_states(&text) {
                let built = regex::RegexBuilder::new(&text).size_limit(64 * states as usize + (8 << 10)).build();
                prop_assert!(built.is_ok(), "{}: {} states", text, states);
            }
        }
    }
}
