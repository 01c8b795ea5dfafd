//! Advice for people who type another query language: the same question in J1QL if it is simple
//! enough to translate, else an example of J1QL.

use super::super::pattern::RegexCache;
use super::ParsedQuery;
use super::parse;
use crate::lang::SourceText;

/// An example of a question in J1QL.
const EXAMPLE: &str = "in J1QL a question reads `FIND User WITH active = true AS u THAT OWNS >> \
                       Device AS d RETURN u.email, d._key`";

/// The language of a text, if it is one of a few known ones, and advice on what to write instead.
pub(super) fn advice(text: &str) -> Option<(&'static str, String)> {
    let text = text.trim();
    let first: String = text.chars().take_while(|c| c.is_alphabetic()).collect();
    let (language, put) = match first.to_ascii_uppercase().as_str() {
        "MATCH" | "OPTIONAL" => ("Cypher", cypher(text)),
        "SELECT" => ("SQL", sql(text)),
        "" if text.starts_with('{') => ("GraphQL", graphql(text)),
        "QUERY" | "MUTATION" if operation(&text[first.len()..]) => ("GraphQL", graphql(text)),
        "G" if text.starts_with("g.V") => ("Gremlin", None),
        _ => return None,
    };
    // A translation is only shown if J1QL can read it.
    let readable = |query: &String| {
        let source = SourceText::whole("advice", query.as_str());
        parse(&source, 0, false, &RegexCache::new(None)).is_ok_and(|_: ParsedQuery| true)
    };
    let advice = match put.filter(readable) {
        Some(query) => format!("in J1QL: `{query}`"),
        None => EXAMPLE.to_owned(),
    };
    Some((language, advice))
}

/// True if a text is the rest of a GraphQL operation behind its first word: a name, then a bracket.
fn operation(text: &str) -> bool {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    text.trim_start().trim_start_matches(name).trim_start().starts_with(['{', '('])
}

/// The byte at which a keyword stands outside of quotes and brackets, at or after `from`.
fn keyword(text: &str, word: &str, from: usize) -> Option<usize> {
    // Keywords, quotes and brackets are ASCII, so bytes are safe to compare.
    let bytes = text.as_bytes();
    let (mut depth, mut quote) = (0u32, None);
    for at in 0..bytes.len() {
        let byte = bytes[at];
        match quote {
            Some(open) => quote = (byte != open).then_some(open),
            None if matches!(byte, b'\'' | b'"') => quote = Some(byte),
            None if matches!(byte, b'(' | b'[' | b'{') => depth += 1,
            None if matches!(byte, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            None => {
                let alone =
                    |at: usize| bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
                let here = bytes[at..].get(..word.len());
                if at >= from
                    && depth == 0
                    && here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
                    && (at == 0 || alone(at - 1))
                    && alone(at + word.len())
                {
                    return Some(at);
                }
            }
        }
    }
    None
}

/// The clauses of a text: each keyword with the text between it and the next one.
fn clauses<'t>(text: &'t str, words: &[&'static str]) -> Vec<(&'static str, &'t str)> {
    let mut found: Vec<(usize, &'static str)> =
        words.iter().filter_map(|word| Some((keyword(text, word, 0)?, *word))).collect();
    found.sort_unstable();
    let ends = found.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    let each = found.iter().zip(ends);
    each.map(|((at, word), end)| (*word, text[at + word.len()..end].trim().trim_end_matches(';')))
        .collect()
}

/// A condition in the operators of J1QL.
fn condition(text: &str) -> String {
    let mut out = format!(" {text} ");
    for (theirs, ours) in [
        ("<>", "!="),
        ("==", "="),
        (" CONTAINS ", " ~= "),
        (" STARTS WITH ", " ^= "),
        (" ENDS WITH ", " $= "),
        (" IS NOT NULL ", " != undefined "),
        (" IS NULL ", " = undefined "),
        (" =~ ", " = "),
    ] {
        out = out.replace(theirs, ours).replace(&theirs.to_lowercase(), ours);
    }
    out.trim().to_owned()
}

/// `u:User {active: true}` as a selector with its condition and alias.
fn node(inside: &str) -> Option<String> {
    let (head, map) = match inside.split_once('{') {
        Some((head, map)) => (head, map.strip_suffix('}')?),
        None => (inside, ""),
    };
    let (alias, label) = head.split_once(':').unwrap_or((head, "*"));
    let label = label.trim().replace(':', "|");
    let selector = if label.contains('|') { format!("({label})") } else { label };
    let mut out = selector;
    let pairs: Option<Vec<String>> = map
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once(':')?;
            Some(format!("{} = {}", name.trim(), value.trim()))
        })
        .collect();
    let pairs = pairs?;
    if !pairs.is_empty() {
        out.push_str(&format!(" WITH {}", pairs.join(" AND ")));
    }
    if !alias.trim().is_empty() {
        out.push_str(&format!(" AS {}", alias.trim()));
    }
    Some(out)
}

/// `-[r:OWNS*1..3]->` as a step without its target.
fn edge(arrow: &str) -> Option<String> {
    let (back, forth) = (arrow.starts_with('<'), arrow.ends_with('>'));
    let inside = match arrow.split_once('[') {
        Some((_, rest)) => rest.split_once(']')?.0,
        None => "",
    };
    let (alias, verbs) = inside.split_once(':').unwrap_or((inside, ""));
    let (verbs, far) = match verbs.split_once('*') {
        Some((verbs, range)) => (verbs, Some(range)),
        None => (verbs, None),
    };
    let verbs: Vec<&str> =
        verbs.split('|').map(|verb| verb.trim().trim_start_matches(':')).collect();
    let mut out = match verbs.as_slice() {
        [""] => "THAT RELATES TO".to_owned(),
        [verb] => format!("THAT {verb}"),
        all => format!("THAT ({})", all.join("|")),
    };
    if let Some(range) = far {
        let (least, most) = range.split_once("..").unwrap_or((range, range));
        let number = |text: &str, other: u32| text.trim().parse().unwrap_or(other);
        let least: u32 = number(least, 1);
        // An open range gets an end: every quantifier of J1QL has one.
        out.push_str(&format!("{{{least},{}}}", number(most, least.max(8))));
    }
    out.push_str(match (back, forth) {
        (false, true) => " >>",
        (true, false) => " <<",
        _ => "",
    });
    if !alias.trim().is_empty() {
        out.push_str(&format!(" AS {}", alias.trim()));
    }
    Some(out)
}

/// `(a:A)-[:B]->(c:C)` as a pattern.
fn chain(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let mut out = String::new();
    loop {
        let inside = rest.strip_prefix('(')?;
        let end = inside.find(')')?;
        out.push_str(&node(&inside[..end])?);
        rest = inside[end + 1..].trim_start();
        if rest.is_empty() {
            return Some(out);
        }
        let end = rest.find('(')?;
        out.push_str(&format!(" {} ", edge(rest[..end].trim())?));
        rest = &rest[end..];
    }
}

fn cypher(text: &str) -> Option<String> {
    let parts = clauses(text, &["MATCH", "WHERE", "RETURN", "ORDER BY", "SKIP", "LIMIT"]);
    let mut out = String::new();
    for (word, part) in parts {
        match word {
            "MATCH" => out = format!("FIND {}", chain(part)?),
            "WHERE" => out.push_str(&format!(" WHERE {}", condition(part))),
            // A query for the whole path wants to see it, which TREE shows.
            "RETURN" if part == "p" || part == "path" || part == "*" => {
                out.push_str(" RETURN TREE")
            }
            word => out.push_str(&format!(" {word} {part}")),
        }
    }
    Some(out)
}

fn sql(text: &str) -> Option<String> {
    let parts = clauses(text, &["SELECT", "FROM", "WHERE", "ORDER BY", "LIMIT"]);
    let part = |word: &str| parts.iter().find(|(known, _)| *known == word).map(|(_, part)| *part);
    let mut from = part("FROM")?.split_whitespace().filter(|w| !w.eq_ignore_ascii_case("as"));
    let (table, alias) = (from.next()?, from.next());
    // More words are joins or more tables, which have no simple counterpart.
    if from.next().is_some() {
        return None;
    }
    let mut out = format!("FIND {table}");
    let name = alias.unwrap_or(table);
    let bare = |text: &str| text.replace(&format!("{name}."), "");
    if let Some(cond) = part("WHERE") {
        out.push_str(&format!(" WITH {}", condition(&bare(cond))));
    }
    out.extend(alias.map(|alias| format!(" AS {alias}")));
    let columns = part("SELECT")?;
    if columns != "*" {
        let column = |column: &str| match column.trim() {
            rows if rows.eq_ignore_ascii_case("count(*)") => rows.to_owned(),
            column => format!("{name}.{}", bare(column)),
        };
        let columns: Vec<String> = columns.split(',').map(column).collect();
        out.push_str(&format!(" RETURN {}", columns.join(", ")));
    }
    if let Some(order) = part("ORDER BY") {
        out.push_str(&format!(" ORDER BY {name}.{}", bare(order)));
    }
    out.extend(part("LIMIT").map(|limit| format!(" LIMIT {limit}")));
    Some(out)
}

/// `{ User { email } }`.
fn graphql(text: &str) -> Option<String> {
    let inside = text.split_once('{')?.1;
    let (name, fields) = inside.split_once('{')?;
    let (fields, rest) = fields.split_once('}')?;
    let name = name.trim();
    if rest.trim() != "}" || name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let fields: Vec<String> = fields
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|field| !field.is_empty())
        .map(|field| format!("{name}.{field}"))
        .collect();
    Some(format!("FIND {name} RETURN {}", fields.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_questions_are_put_in_j1ql() {
        for (text, ours) in [
            (
                "MATCH (u:User {active: true})-[r:OWNS|USES]->(d:Device) WHERE d.os CONTAINS 'mac' AND u.mail IS NOT NULL RETURN u.email, d LIMIT 5",
                "FIND User WITH active = true AS u THAT (OWNS|USES) >> AS r Device AS d WHERE d.os ~= 'mac' AND u.mail != undefined RETURN u.email, d LIMIT 5",
            ),
            (
                "match (a:Group)<-[:MemberOf*1..3]-(b) return a;",
                "FIND Group AS a THAT MemberOf{1,3} << * AS b RETURN a",
            ),
            ("MATCH (a)--(b:Host)", "FIND * AS a THAT RELATES TO Host AS b"),
            (
                "SELECT u.name, email FROM User u WHERE u.active = true AND age <> 3 ORDER BY name LIMIT 3",
                "FIND User WITH active = true AND age != 3 AS u RETURN u.name, u.email ORDER BY u.name LIMIT 3",
            ),
            ("select * from Host", "FIND Host"),
            ("{ User { email name } }", "FIND User RETURN User.email, User.name"),
            ("query { User { email } }", "FIND User RETURN User.email"),
        ] {
            let (_, advice) = advice(text).expect("a known language");
            assert_eq!(advice, format!("in J1QL: `{ours}`"));
        }
    }

    #[test]
    fn what_cannot_be_put_simply_gets_an_example() {
        for text in [
            "MATCH p = shortestPath((a)-[*]->(b)) RETURN p",
            "SELECT a FROM b JOIN c ON d",
            "{ a { b { c } } }",
            "g.V().hasLabel('User')",
            "MATCH (",
            "SELECT",
            "{",
            "query (",
        ] {
            assert_eq!(advice(text).expect("a known language").1, EXAMPLE, "{text}");
        }
        for text in ["", "User", "FINDS User", "Matcher", "'text'", "⁂{"] {
            assert!(advice(text).is_none(), "{text}");
        }
    }
}
