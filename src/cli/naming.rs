//! Names of entities for people, on a terminal.

use super::output::{AnswerWriter, KEY, clean};
use anstyle::Style;
use tombolo::answers;
use tombolo::graph::EntityHead;

/// `Alice Smith (okta-user:00u1a2b3)`: the name of an entity and its key, or the key alone if it
/// has no other name.
pub fn called(out: &AnswerWriter<'_>, name: Option<&str>, key: &str) -> String {
    styled(out, Style::new(), name, key)
}

/// Returns the name and key of an entity, see [`called`].
pub fn shown(out: &AnswerWriter<'_>, entity: &EntityHead) -> String {
    called(out, entity.display_name.as_deref(), &entity.key)
}

/// The same with its scope, at the head of an answer: `Alice Smith (okta-user:1)  (@okta)`.
pub fn heading(out: &AnswerWriter<'_>, entity: &EntityHead) -> String {
    let title = title(out, entity.display_name.as_deref(), &entity.key);
    format!("{title}  (@{})", clean(&entity.scope))
}

/// The name and key alone, at the head of an answer.
pub fn title(out: &AnswerWriter<'_>, name: Option<&str>, key: &str) -> String {
    styled(out, Style::new().bold(), name, key)
}

fn styled(out: &AnswerWriter<'_>, style: Style, name: Option<&str>, key: &str) -> String {
    match answers::display(name, key) {
        Some(name) => {
            let key = out.paint(KEY, &format!("({})", clean(key)));
            format!("{} {key}", out.paint(style, &clean(name)))
        }
        None => out.paint(style, &clean(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_its_key_and_alone_where_they_are_one() {
        let mut out = AnswerWriter::plain(Vec::new());
        assert_eq!(called(&out, Some("Alice Smith"), "okta:1"), "Alice Smith (okta:1)");
        assert_eq!(called(&out, Some("okta:1"), "okta:1"), "okta:1");
        assert_eq!(called(&out, Some("  "), "okta:1"), "okta:1");
        assert_eq!(called(&out, None, "okta:1"), "okta:1");
        assert_eq!(called(&out, Some("a\u{1b}[2J"), "b\n"), "a\\u{1b}[2J (b\\n)");
        out.color = true;
        let title = title(&out, Some("Alice"), "k");
        assert_eq!(title, "\u{1b}[1mAlice\u{1b}[0m \u{1b}[2m(k)\u{1b}[0m");
    }
}
