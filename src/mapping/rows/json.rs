//! JSON read element by element: a document that is a list is never held as a whole. Others may follow it
//! without anything between them, as tools write the pages of an API.

use super::files::DOCUMENT_MAX;
use std::io::BufRead;

/// Reads the elements of a JSON list, each as its text.
pub(super) struct JsonListReader<R> {
    input: R,
    /// The line of the next byte, counted from 1.
    line: u32,
    state: ListState,
    /// The elements of the list so far.
    taken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListState {
    /// A list, another document or the end of the file comes next.
    Begin,
    /// An element or the end comes next.
    First,
    /// A comma or the end comes next.
    After,
}

/// The bytes of an element, which nobody looked at yet, and the line that it begins on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonElement {
    pub bytes: Vec<u8>,
    pub line: u32,
    /// Its position in its list; none for a document that is not a list.
    pub position: Option<usize>,
}

/// The reason why a list cannot be read on: words and a line.
#[derive(Debug)]
pub(super) struct JsonListError {
    pub words: String,
    pub line: u32,
}

impl<R: BufRead> JsonListReader<R> {
    /// Begins to read a list.
    pub(super) fn new(input: R) -> JsonListReader<R> {
        JsonListReader { input, line: 1, state: ListState::Begin, taken: 0 }
    }

    fn error(&self, words: impl Into<String>) -> JsonListError {
        JsonListError { words: words.into(), line: self.line }
    }

    fn fill(&mut self) -> Result<&[u8], JsonListError> {
        let line = self.line;
        self.input.fill_buf().map_err(|e| JsonListError { words: e.to_string(), line })
    }

    /// The next byte that is no blank, without taking it; `None` at the end.
    fn peek(&mut self) -> Result<Option<u8>, JsonListError> {
        loop {
            let chunk = self.fill()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blanks = chunk.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let lines = chunk[..blanks].iter().filter(|b| **b == b'\n').count() as u32;
            let found = chunk.get(blanks).copied();
            self.line += lines;
            self.input.consume(blanks);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The next element; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<JsonElement>, JsonListError> {
        while self.state == ListState::Begin {
            match self.peek()? {
                Some(b'[') => {
                    self.input.consume(1);
                    // An empty list has nothing to give, so that what follows it is looked at.
                    match self.peek()? {
                        Some(b']') => self.input.consume(1),
                        _ => (self.state, self.taken) = (ListState::First, 0),
                    }
                }
                Some(b'{') => {
                    let line = self.line;
                    let bytes = self.element(true)?;
                    return Ok(Some(JsonElement { bytes, line, position: None }));
                }
                Some(_) => return Err(self.error("expected a list or an object")),
                None => return Ok(None),
            }
        }
        let mut next = self.peek()?;
        if self.state == ListState::After && next == Some(b',') {
            self.input.consume(1);
            next = self.peek()?;
            if next == Some(b']') {
                return Err(self.error("trailing comma"));
            }
        } else if next == Some(b']') {
            self.input.consume(1);
            self.state = ListState::Begin;
            // What comes next begins anew, and is no list of lists: this calls itself once.
            return self.next();
        } else if self.state == ListState::After {
            return Err(self.error(match next {
                None => "the list is never closed",
                Some(_) => "expected `,` or `]`",
            }));
        }
        if next.is_none() {
            return Err(self.error("the list is never closed"));
        }
        let (line, position) = (self.line, Some(self.taken));
        let bytes = self.element(false)?;
        self.state = ListState::After;
        self.taken += 1;
        Ok(Some(JsonElement { bytes, line, position }))
    }

    /// Takes the bytes of an element: up to the comma or bracket behind it. An object by itself ends with
    /// its own bracket.
    fn element(&mut self, alone: bool) -> Result<Vec<u8>, JsonListError> {
        let mut bytes = Vec::with_capacity(256);
        let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
        loop {
            let chunk = self.fill()?;
            if chunk.is_empty() {
                let what = if alone { "object" } else { "list" };
                return Err(self.error(format!("the {what} is never closed")));
            }
            let mut end = None;
            for (at, &byte) in chunk.iter().enumerate() {
                if quoted {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => quoted = false,
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'"' => quoted = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth > 0 => {
                        depth -= 1;
                        if alone && depth == 0 {
                            end = Some(at + 1);
                            break;
                        }
                    }
                    b',' | b']' | b'}' if depth == 0 => {
                        end = Some(at);
                        break;
                    }
                    _ => {}
                }
            }
            let taken = end.unwrap_or(chunk.len());
            bytes.extend_from_slice(&chunk[..taken]);
            let lines = memchr::memchr_iter(b'\n', &chunk[..taken]).count() as u32;
            self.line += lines;
            self.input.consume(taken);
            if bytes.len() as u64 > DOCUMENT_MAX {
                return Err(self.error("an element is larger than 1 GiB"));
            }
            if end.is_some() {
                return Ok(bytes);
            }
        }
    }
}

/// The words of an error without its place, which may count from a value inside the file.
pub(super) fn plain_words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.rfind(" at line ").map_or(words.clone(), |i| words[..i].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, u32)>, String> {
        // A small buffer, so that elements lie across its borders.
        let mut reader = JsonListReader::new(std::io::BufReader::with_capacity(3, text.as_bytes()));
        let mut all = Vec::new();
        while let Some(e) = reader.next().map_err(|e| format!("{} {}", e.line, e.words))? {
            all.push((String::from_utf8(e.bytes).unwrap().trim_end().to_owned(), e.line));
        }
        Ok(all)
    }

    #[test]
    fn elements_come_with_their_lines() {
        let expected =
            vec![(r#"{"a":"],\""}"#.to_owned(), 1), ("[1,\n2]".to_owned(), 2), ("3".to_owned(), 3)];
        assert_eq!(read("[{\"a\":\"],\\\"\"},\n[1,\n2],3 ]\n"), Ok(expected));
        assert_eq!(read(" [ ] "), Ok(vec![]));
    }

    #[test]
    fn documents_may_follow_each_other() {
        let mut reader = JsonListReader::new("[1,2]\n[] [{}]{\"a\":[1]}\n[3]".as_bytes());
        let mut all = Vec::new();
        while let Some(e) = reader.next().unwrap() {
            all.push((String::from_utf8(e.bytes).unwrap(), e.line, e.position));
        }
        let expected = [
            ("1", 1, Some(0)),
            ("2", 1, Some(1)),
            ("{}", 2, Some(0)),
            ("{\"a\":[1]}", 2, None),
            ("3", 3, Some(0)),
        ];
        assert_eq!(all, expected.map(|(text, line, at)| (text.to_owned(), line, at)));
    }

    #[test]
    fn broken_lists_are_faults() {
        for wrong in ["1", "{", "[1", "[1,", "[1,]", "[1] 2", "[1]]", "[\"a", "[1 2}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
