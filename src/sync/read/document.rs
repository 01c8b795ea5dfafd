//! Documents: a JSON list of objects, or `{"entities": [...], "relationships": [...]}`, read object by
//! object, so that none is held as a whole.

use super::values::json_words;
use super::{InputDiagnostic, InputSource, ReadRow};
use crate::graph::{InputLocation, ObjectKind};
use crate::sync::SyncError;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::ControlFlow;

/// Reads a JSON document and hands its objects over; `visit` may end it. Returns the fault of a
/// document that is none.
///
/// # Errors
///
/// [`SyncError::Read`] if the input cannot be read.
pub fn read_document(
    input: &mut InputSource<'_>,
    number: u32,
    visit: &mut dyn FnMut(ReadRow<'_>) -> ControlFlow<()>,
) -> Result<Option<InputDiagnostic>, SyncError> {
    let reader = std::io::BufReader::with_capacity(1 << 20, &mut input.reader);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let mut document = DocumentReader { input: number, position: 0, visit };
    match json.deserialize_any(DocumentVisitor(&mut document)).and_then(|()| json.end()) {
        Ok(()) => Ok(None),
        Err(e) if e.is_io() => Err(SyncError::read(&input.name, e.into())),
        Err(e) => Ok(Some(InputDiagnostic {
            place: InputLocation { input: number, line: e.line() as u32 },
            column: e.column() as u32,
            path: String::new(),
            key: None,
            message: json_words(&e),
        })),
    }
}

/// A document while it is read.
struct DocumentReader<'v> {
    input: u32,
    position: u32,
    visit: &'v mut dyn FnMut(ReadRow<'_>) -> ControlFlow<()>,
}

struct DocumentVisitor<'t, 'v>(&'t mut DocumentReader<'v>);

impl<'de> Visitor<'de> for DocumentVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, or an object with `entities` and `relationships`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        ListVisitor { document: self.0, name: "", expected: None }.read(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            self.0.position = 0;
            let expected = match name.as_str() {
                "entities" => ObjectKind::Entity,
                "relationships" => ObjectKind::Relationship,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(serde::de::Error::custom(format!(
                        "unknown member `{name}`, expected `entities` or `relationships`"
                    )));
                }
            };
            map.next_value_seed(ListVisitor {
                document: self.0,
                name: &name,
                expected: Some(expected),
            })?;
        }
        Ok(())
    }
}

struct ListVisitor<'t, 'n, 'v> {
    document: &'t mut DocumentReader<'v>,
    name: &'n str,
    expected: Option<ObjectKind>,
}

impl ListVisitor<'_, '_, '_> {
    fn read<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let ListVisitor { document, name, expected } = self;
        while let Some(raw) = seq.next_element::<Box<RawValue>>()? {
            // Positions in a document are positions in its lists: JSON readers do not tell lines.
            let place = InputLocation { input: document.input, line: 0 };
            let element = Some((name, document.position));
            document.position += 1;
            if (document.visit)(ReadRow { text: raw.get(), place, expected, element }).is_break() {
                return Err(serde::de::Error::custom("reading stopped"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ListVisitor<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.read(seq)
    }
}
