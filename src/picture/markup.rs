//! Text of XML that is always well-formed: every text and every value of an attribute is escaped here,
//! and nowhere else.

use crate::answers::clean;
use std::borrow::Cow;

/// Elements, written one after the other.
#[derive(Default)]
pub(super) struct XmlText {
    text: String,
}

impl XmlText {
    /// Begins an element.
    pub fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push('>');
    }

    /// Writes an element without contents.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str("/>\n");
    }

    /// Writes an element that holds a text.
    pub fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.open(name, attributes);
        self.text(text);
        self.end(name);
        // A blank between the parts of a text would be seen.
        if name != "tspan" {
            self.text.push('\n');
        }
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(&escaped(text));
    }

    /// Writes a style sheet of our own, which is no data.
    pub fn style(&mut self, sheet: &'static str) {
        self.text.push_str("<style>\n");
        self.text.push_str(sheet);
        self.text.push_str("</style>\n");
    }

    /// Ends an element.
    pub fn close(&mut self, name: &str) {
        self.end(name);
        self.text.push('\n');
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.text.push_str(&escaped(value));
            self.text.push('"');
        }
    }
}

/// Escapes a text for XML. Characters that XML does not have, or that turn the direction of writing, are
/// spelt out.
fn escaped(text: &str) -> Cow<'_, str> {
    let text = match clean(text) {
        text if text.contains(['\u{fffe}', '\u{ffff}']) => {
            Cow::Owned(text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
        }
        text => text,
    };
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_place() {
        let mut out = XmlText::default();
        out.open("a", &[("href", "x\" onclick=\"alert(1)")]);
        out.leaf("title", &[], "</title><script>alert(1)</script>&amp;\u{1}\u{202e}\u{ffff}\n");
        out.close("a");
        assert_eq!(
            out.finish(),
            "<a href=\"x&quot; onclick=&quot;alert(1)\"><title>&lt;/title&gt;&lt;script&gt;alert(1)\
             &lt;/script&gt;&amp;amp;\\u{1}\\u{202e}\u{fffd}\\n</title>\n</a>\n"
        );
    }
}
