//! Addresses of pages: the state of a page is in its address, and nowhere else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a segment of a path leaves as it is. A slash is none of it, so that a key is one segment.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':').remove(b'@');

/// An address under construction.
#[derive(Clone, Debug)]
pub struct PageAddress {
    path: String,
    query: String,
}

impl PageAddress {
    /// A page at a path.
    pub fn new(path: impl Into<String>) -> PageAddress {
        PageAddress { path: path.into(), query: String::new() }
    }

    /// A page about an entity: `/e/SCOPE/KEY`, `/blast/SCOPE/KEY`.
    pub fn about(page: &str, scope: &str, key: &str) -> PageAddress {
        // A browser takes such a segment for a step up, however it is written.
        let steps = |text: &str| matches!(text, "" | "." | "..");
        if steps(scope) || steps(key) {
            let name = format!("{scope}::{key}");
            return PageAddress::new("/open").with("page", page).with("entity", &name);
        }
        let segment = |text| utf8_percent_encode(text, SEGMENT).to_string();
        PageAddress::new(format!("/{page}/{}/{}", segment(scope), segment(key)))
    }

    /// A page about something with one name: `/mappings/SCOPE`.
    pub fn segment(page: &str, name: &str) -> PageAddress {
        PageAddress::new(format!("/{page}/{}", utf8_percent_encode(name, SEGMENT)))
    }

    /// The same with a parameter; an empty value is left out.
    pub fn with(mut self, name: &str, value: &str) -> PageAddress {
        if !value.is_empty() {
            self.query =
                form_urlencoded::Serializer::new(self.query).append_pair(name, value).finish();
        }
        self
    }

    /// The address as text.
    pub fn text(&self) -> String {
        match self.query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, self.query),
        }
    }
}

/// The page that asks a query of the state that it names itself, or of that of now.
pub fn query(text: &str) -> String {
    PageAddress::new("/query").with("q", text).text()
}

/// Where a person goes after signing in: a page of ours, or the first one.
pub fn inside(to: &str) -> &str {
    // Two slashes, in any mixture, begin the name of another host.
    let ours = to.starts_with('/') && !to[1..].starts_with(['/', '\\']);
    if ours && !to.chars().any(|c| c.is_control() || c == '\\') { to } else { "/" }
}

/// The parameters of an address or a form, in their order.
#[derive(Clone, Debug, Default)]
pub struct PageParameters(Vec<(String, String)>);

impl PageParameters {
    /// Reads `name=value&name=value`.
    pub fn parse(text: &[u8]) -> PageParameters {
        PageParameters(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value of this name that is not blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        let own = self.0.iter().find(|(known, value)| known == name && !value.trim().is_empty());
        own.map(|(_, value)| value.as_str())
    }

    /// All of them that are not blank, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(_, value)| !value.trim().is_empty())
    }

    /// The number of a page of a long list, from 1 on.
    pub fn page(&self) -> usize {
        self.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_segment_whatever_it_holds() {
        let at = |scope, key| PageAddress::about("e", scope, key).text();
        assert_eq!(at("okta", "okta-user:alice"), "/e/okta/okta-user:alice");
        assert_eq!(
            at("aws", "arn:aws:iam::1:role/x y?&#"),
            "/e/aws/arn:aws:iam::1:role%2Fx%20y%3F%26%23"
        );
        assert_eq!(at("aws", "../../jobs"), "/e/aws/..%2F..%2Fjobs");
        assert_eq!(at("aws", ".."), "/open?page=e&entity=aws%3A%3A..");
        assert_eq!(at("ä", "<script>"), "/e/%C3%A4/%3Cscript%3E");
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(inside("/e/okta/x?page=2"), "/e/okta/x?page=2");
        for to in ["", "x", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil"]
        {
            assert_eq!(inside(to), "/", "{to}");
        }
    }

    #[test]
    fn parameters_are_read_and_blank_ones_are_none() {
        let read = PageParameters::parse(b"q=a+b&class=X&class=Y&class=&class=X&page=0&name=%3C");
        assert_eq!(read.get("q"), Some("a b"));
        assert_eq!(read.pairs().filter(|(name, _)| *name == "class").count(), 3);
        assert_eq!((read.page(), read.get("name"), read.get("none")), (1, Some("<"), None));
        let address = PageAddress::new("/query").with("q", "a b&c").with("none", "");
        assert_eq!(address.text(), "/query?q=a+b%26c");
    }
}
