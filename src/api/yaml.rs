//! YAML uploads: the same document as in JSON, written differently.

use super::fault::Fault;

/// The JSON text of a YAML document.
///
/// # Errors
///
/// Where it is not YAML, by line and column; several documents in one text.
pub fn to_json(bytes: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|e| Fault::bad(format!("the body: {e}")))?;
    let mut documents = tombolo::mapping::yaml_documents(text).map_err(Fault::bad)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(Fault::bad("the body must be one YAML document")),
    }
}
