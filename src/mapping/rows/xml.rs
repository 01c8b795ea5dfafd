//! XML as nested data.
//!
//! ```text
//! <host up="1"><port id="22"/><port id="80"/><name>web</name></host>
//! { "host": { "@up": "1", "port": [{ "@id": "22" }, { "@id": "80" }], "name": "web" } }
//! ```
//!
//! The root element is the document. Namespaces are dropped. Entities of a document type are never
//! expanded, and nothing outside of the file is fetched.

use super::tree::DocumentError;
use crate::lang::{LineIndex, NestedObject, NestedValue};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The deepest nesting of elements.
const DEPTH_MAX: usize = 100;

/// An element that is open.
#[derive(Default)]
struct OpenElement {
    name: String,
    object: NestedObject,
    text: String,
    /// Names of children of which there are several, so that they stand in a list.
    lists: Vec<usize>,
}

/// Reads the root element of an XML text.
///
/// # Errors
///
/// The first trouble.
pub(super) fn read_xml(text: &str) -> Result<NestedValue, DocumentError> {
    let lines = LineIndex::of(text, 1);
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let fail = |words: String, at: u64| {
        let at = (at as usize).min(text.len());
        let start = text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
        let column = text.get(start..at).map_or(0, |t| t.chars().count()) + 1;
        DocumentError { words, line: lines.line(at), column }
    };
    let mut open: Vec<OpenElement> = Vec::new();
    let mut root: Option<NestedValue> = None;
    loop {
        let at = reader.buffer_position();
        let event = reader.read_event();
        let event = event.map_err(|e| fail(e.to_string(), reader.error_position()))?;
        match event {
            Event::Start(tag) => {
                if open.len() >= DEPTH_MAX {
                    return Err(fail(format!("elements nest deeper than {DEPTH_MAX}"), at));
                }
                only_one_root(&root, &open).map_err(|words| fail(words, at))?;
                open.push(element(&tag, lines.line(at as usize)).map_err(|w| fail(w, at))?);
            }
            Event::Empty(tag) => {
                only_one_root(&root, &open).map_err(|words| fail(words, at))?;
                let element = element(&tag, lines.line(at as usize)).map_err(|w| fail(w, at))?;
                close(element, &mut open, &mut root);
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(element, &mut open, &mut root);
                }
            }
            Event::Text(part) => match open.last_mut() {
                Some(element) => element.text.push_str(&part),
                None if part.trim().trim_start_matches('\u{FEFF}').is_empty() => {}
                None => return Err(fail("a text stands outside of the root element".into(), at)),
            },
            Event::CData(part) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&part);
                }
            }
            Event::GeneralRef(name) => {
                let known = reference(&name).map_err(|words| fail(words, at))?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&known);
                }
            }
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
    match (root, open.last()) {
        (_, Some(element)) => {
            let words = format!("the element `{}` is never closed", element.name);
            Err(DocumentError { words, line: element.object.line, column: 1 })
        }
        (Some(root), None) => Ok(root),
        (None, None) => {
            let words = "there is no element".to_owned();
            Err(DocumentError { words, line: 1, column: 1 })
        }
    }
}

/// Refuses an element behind the root element.
fn only_one_root(root: &Option<NestedValue>, open: &[OpenElement]) -> Result<(), String> {
    match root.is_some() && open.is_empty() {
        true => Err("a second element stands behind the root element".to_owned()),
        false => Ok(()),
    }
}

/// The text of `&name;`: the five of XML itself, or a character by its number.
fn reference(name: &quick_xml::events::BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = name.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(character.to_string());
    }
    let name: &str = name;
    match quick_xml::escape::resolve_predefined_entity(name) {
        Some(text) => Ok(text.to_owned()),
        // An entity of a document type may stand for a file, or for billions of characters.
        None => Err(format!("the entity `&{name};` is not expanded; only those of XML itself are")),
    }
}

/// The name without its namespace.
fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).to_owned()
}

fn element(tag: &BytesStart<'_>, line: u32) -> Result<OpenElement, String> {
    let mut element = OpenElement { name: local(tag.name().as_ref()), ..OpenElement::default() };
    element.object.line = line;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let name = attribute.key.as_ref();
        // Declarations of namespaces say nothing about the element.
        if name == "xmlns" || name.starts_with("xmlns:") {
            continue;
        }
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|e| format!("{e}; entities of a document type are not expanded"))?;
        let name = format!("@{}", local(name));
        if element.object.get(&name).is_none() {
            element.object.members.push((name, NestedValue::Text(value.into_owned())));
        }
    }
    Ok(element)
}

/// Puts an element that ends where it belongs.
fn close(element: OpenElement, open: &mut [OpenElement], root: &mut Option<NestedValue>) {
    let OpenElement { name, mut object, text, .. } = element;
    let text = text.trim();
    let value = match (object.members.is_empty(), text.is_empty()) {
        (true, _) => NestedValue::Text(text.to_owned()),
        (false, true) => NestedValue::Object(object),
        (false, false) => {
            object.members.push(("#text".to_owned(), NestedValue::Text(text.to_owned())));
            NestedValue::Object(object)
        }
    };
    let Some(parent) = open.last_mut() else {
        *root = Some(value);
        return;
    };
    match parent.object.members.iter().position(|(known, _)| *known == name) {
        None => parent.object.members.push((name, value)),
        Some(at) if parent.lists.contains(&at) => {
            if let NestedValue::List(list) = &mut parent.object.members[at].1 {
                list.items.push(value);
            }
        }
        Some(at) => {
            parent.lists.push(at);
            let first = std::mem::replace(&mut parent.object.members[at].1, NestedValue::Null);
            parent.object.members[at].1 = NestedValue::List(vec![first, value].into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(xml: &str, json: &str) {
        let read = read_xml(xml).map_err(|e| format!("{}:{} {}", e.line, e.column, e.words));
        assert_eq!(read, Ok(NestedValue::parse_json(json).unwrap()), "{xml}");
    }

    #[test]
    fn elements_attributes_and_texts_become_members() {
        same(
            "<!-- first -->\n<?xml version=\"1.0\"?><h up='1'><p id='2'/><p id='8'/><n>a &amp; b</n></h>",
            r#"{"@up":"1","p":[{"@id":"2"},{"@id":"8"}],"n":"a & b"}"#,
        );
        same("<a xmlns:x='u'><x:b x:c='1'>t</x:b></a>", r##"{"b":{"@c":"1","#text":"t"}}"##);
        same("<a><![CDATA[<x>]]></a>", r#""<x>""#);
    }

    #[test]
    fn entities_are_never_expanded() {
        let bomb =
            "<!DOCTYPE a [<!ENTITY x 'y'><!ENTITY f SYSTEM 'file:///etc/hostname'>]><a>&f;</a>";
        assert!(read_xml(bomb).unwrap_err().words.contains("`&f;` is not expanded"));
        let inside = "<!DOCTYPE a [<!ENTITY x 'y'>]><a b='&x;'/>";
        assert!(read_xml(inside).unwrap_err().words.contains("not expanded"));
    }

    #[test]
    fn troubles_have_a_place() {
        for wrong in ["", "<a>", "<a></b>", "<a/><b/>", "x", "<a>\n<b></a>"] {
            assert!(read_xml(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read_xml("<a>\n<b>\n</a>").unwrap_err().line, 3);
        assert!(read_xml(&"<a>".repeat(10_000)).unwrap_err().words.contains("deeper"));
    }
}
