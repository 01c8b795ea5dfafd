//! Lints of a whole file: things that run now and will hurt later.

use super::MappingChecker;
use crate::lang::Diagnostic;
use crate::mapping::format::TomlTable;

impl MappingChecker<'_> {
    pub(in crate::mapping) fn lint_file(&mut self, top: &TomlTable<'_>, scope: Option<&str>) {
        if !top.has("owner") {
            let fault =
                Diagnostic::warning("W02", self.source, "the file has no owner").at(0..0, "");
            let help =
                "add owner = \"team@example.com\": refusals and unmatched rows go to somebody";
            self.push(fault.help(help));
        }
        let stem = self.file.file_stem().map(|s| s.to_string_lossy().into_owned());
        if let (Some(scope), Some(stem), Some(text)) = (scope, stem, top.text("scope"))
            && scope != stem
        {
            let words = format!("the file is called `{stem}`, its scope `{scope}`");
            let fault = Diagnostic::warning("W03", self.source, words).at(text.span, "");
            self.push(fault.help(format!(
                "name the file `{scope}.toml`, so that either is found by the other"
            )));
        }
        self.lint_lookups(top);
        if let Some(at) = needs_toml_1_1(&self.source.text) {
            let words = "a line break or a last comma inside `{ }` needs TOML 1.1";
            let fault = Diagnostic::warning("W08", self.source, words).at(at..at + 1, "");
            self.push(fault.help("write the table on one line, or as a `[table]` of its own"));
        }
    }

    /// The lints of a source file. A built-in has no owner and no file name of its own.
    pub(in crate::mapping) fn lint_source(&mut self, top: &TomlTable<'_>, scope: Option<&str>) {
        match self.given {
            Some(_) => self.lint_lookups(top),
            None => self.lint_file(top, scope),
        }
    }

    fn lint_lookups(&mut self, top: &TomlTable<'_>) {
        if let Some(lookups) = top.table("lookup") {
            for (name, _) in lookups.entries() {
                if !self.used_tables.contains(&name.value) {
                    let words = format!("lookup `{}` is never used", name.value);
                    let fault = Diagnostic::warning("W04", self.source, words).at(name.span, "");
                    self.push(
                        fault.help(format!(
                            "use it with lookup('{}', key), or remove it",
                            name.value
                        )),
                    );
                }
            }
        }
    }
}

/// The first byte that TOML 1.0 does not allow inside an inline table.
fn needs_toml_1_1(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // All signs looked for are ASCII, so bytes inside other characters are skipped.
        let Some(rest) = text.get(at..) else {
            at += 1;
            continue;
        };
        match bytes[at] {
            b'#' => at += rest.find('\n').unwrap_or(rest.len()).saturating_sub(1),
            quote @ (b'"' | b'\'') => {
                let three = if quote == b'"' { "\"\"\"" } else { "'''" };
                // 3 bytes of opening quotes and 2 of the closing ones; the third is stepped over below.
                let end = match rest.starts_with(three) {
                    true => rest[3..].find(three).map(|i| i + 5),
                    false => one_line_end(rest.as_bytes(), quote),
                };
                at += end?;
            }
            opening @ (b'{' | b'[') => open.push(opening),
            b'}' | b']' => {
                open.pop();
            }
            b'\n' if open.last() == Some(&b'{') => return Some(at),
            b',' if open.last() == Some(&b'{') && rest[1..].trim_start().starts_with('}') => {
                return Some(at);
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The byte of the closing quote of a string that begins at byte 0.
fn one_line_end(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b if b == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::needs_toml_1_1;

    #[test]
    fn line_breaks_are_seen_only_inside_inline_tables() {
        assert_eq!(needs_toml_1_1("a = { b = 1 }\n[c]\nd = [\n  { e = \"}\\\"\" },\n]\n"), None);
        assert_eq!(needs_toml_1_1("a = { # {\n b = 1 }"), Some(9));
        assert_eq!(needs_toml_1_1("a = { b = [\n1], c = '''\n''' }"), None);
        assert_eq!(needs_toml_1_1("a = { b = 1, }"), Some(11));
        assert_eq!(needs_toml_1_1("ä = 1 # é"), None);
    }
}
