//! The components that pages are made of. `assets/style.css` has the same names.

use super::page::PageFrame;
use super::visitor::PageVisitor;
use maud::{Markup, html};
use tombolo::answers::{CountFormat, clean, display, rfc3339_text};
use tombolo::graph::{EntityHead, Value};
use tombolo::picture::type_letters;

/// Rows of a page of a long list.
pub const PAGE: usize = 25;

/// A number with its thousands apart.
pub fn count(n: u64) -> String {
    CountFormat::Grouped.number(n)
}

/// A number with its noun.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    CountFormat::Grouped.counted(n, one, many)
}

/// The lines of a text, each made safe to show.
pub fn lines(text: &str) -> Markup {
    html! { @for line in text.lines() { (clean(line)) "\n" } }
}

/// The hidden field by which a form is known as ours.
pub fn csrf(visitor: &PageVisitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf); }
}

/// The name that people use for an entity.
pub fn name(head: &EntityHead) -> String {
    clean(display(head.display_name.as_deref(), &head.key).unwrap_or(&head.key)).into_owned()
}

/// A key, which is shortened in its middle where there is no room.
pub fn key(text: &str) -> Markup {
    let text = clean(text);
    let letters = text.chars().count();
    let tail = (letters * 2 / 5).min(12);
    let cut = text.char_indices().nth(letters - tail).map_or(text.len(), |(at, _)| at);
    html! { span class="key" title=(text) { span { (text[..cut]) } span { (text[cut..]) } } }
}

/// A button that copies a text.
pub fn copy(what: &str, text: &str) -> Markup {
    html! {
        button class="copy" type="button" aria-label={ "Copy " (what) } data-copy=(text) hidden {
            (icon_copy())
        }
    }
}

fn icon_copy() -> Markup {
    html! {
        svg width="14" height="14" viewBox="0 0 16 16" fill="none" stroke="currentColor"
            stroke-width="1.5" aria-hidden="true" {
            rect x="5.5" y="5.5" width="8" height="8" rx="1.5" {}
            path d="M10.5 3v-.5a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1H4" {}
        }
    }
}

/// The badge of an entity: the letters of its type on the colour of its scope.
pub fn badge(frame: &PageFrame, scope: &str, type_name: &str, big: bool) -> Markup {
    let colour = frame.colour(scope).unwrap_or(9);
    let size = if big { " big" } else { "" };
    html! {
        span class={ "badge-l s" (colour) (size) } aria-hidden="true" { (type_letters(type_name)) }
    }
}

/// The dot of a scope; one that only links others has an empty one.
pub fn dot(frame: &PageFrame, scope: &str) -> Markup {
    match frame.colour(scope) {
        Some(colour) => html! { span class={ "dot s" (colour) } {} },
        None => html! { span class="dot bridge" title="holds relationships only" {} },
    }
}

/// An entity in a list: badge, name, key.
pub fn entity(frame: &PageFrame, head: &EntityHead, to: &str) -> Markup {
    let named = display(head.display_name.as_deref(), &head.key).is_some();
    html! {
        span class="ent" {
            (badge(frame, &head.scope, &head.type_name, false))
            span {
                a href=(to) { (name(head)) }
                @if named { (key(&head.key)) }
            }
        }
    }
}

/// A verb with the way of the arrow.
pub fn verb(verb: &str, onward: bool) -> Markup {
    let arrow = if onward { "→" } else { "←" };
    let way = if onward { "to" } else { "from" };
    html! {
        span class="verb" {
            span class="ar" aria-hidden="true" { (arrow) } span class="sr" { (way) } " " (clean(verb))
        }
    }
}

/// A note beside an answer; its kind is `warn`, `fail`, `ok` or empty.
pub fn note(kind: &str, body: &Markup) -> Markup {
    html! {
        div class={ "note " (kind) } { (icon_note(kind)) div { (body) } }
    }
}

fn icon_note(kind: &str) -> Markup {
    html! {
        svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor"
            stroke-width="1.6" stroke-linecap="round" aria-hidden="true" {
            @match kind {
                "warn" | "fail" => {
                    path d="M8 1.8 15 14H1z" stroke-linejoin="round" {}
                    path d="M8 6.5v3.2M8 11.8v.1" {}
                }
                "ok" => {
                    circle cx="8" cy="8" r="6.6" {}
                    path d="m5 8.3 2.1 2.1L11 6" stroke-linejoin="round" {}
                }
                _ => {
                    circle cx="8" cy="8" r="6.6" {}
                    path d="M8 7.4v3.8M8 4.7v.1" {}
                }
            }
        }
    }
}

/// Sentences of an answer, each as a note. What stands in backticks is code.
pub fn notes(sentences: &[String]) -> Markup {
    html! {
        @if !sentences.is_empty() {
            div class="notes" { @for text in sentences { (note("", &sentence(text))) } }
        }
    }
}

/// A sentence in which backticks mark code.
pub fn sentence(text: &str) -> Markup {
    let text = clean(text);
    // A backtick that is not closed is a letter.
    let closed = text.matches('`').count().is_multiple_of(2);
    html! {
        @if closed {
            @for (at, part) in text.split('`').enumerate() {
                @if at % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else {
            (text)
        }
    }
}

/// A command or query to be copied.
pub fn code(what: &str, text: &str) -> Markup {
    html! {
        div class="code" { pre { code { (lines(text)) } } (copy(what, text)) }
    }
}

/// A column of a table.
#[derive(Clone, Copy)]
pub struct TableColumn<'a> {
    name: &'a str,
    class: &'static str,
}

impl<'a> TableColumn<'a> {
    /// A column of texts.
    pub fn text(name: &'a str) -> TableColumn<'a> {
        TableColumn { name, class: "" }
    }

    /// A column of numbers.
    pub fn number(name: &'a str) -> TableColumn<'a> {
        TableColumn { name, class: "num" }
    }

    /// A column of words that explain themselves, so that a narrow screen shows no label.
    pub fn plain(name: &'a str) -> TableColumn<'a> {
        TableColumn { name, class: "nl" }
    }

    /// A column that takes a line of its own on a narrow screen.
    pub fn wide(name: &'a str) -> TableColumn<'a> {
        TableColumn { name, class: "wide" }
    }
}

/// A table whose rows are cards on a narrow screen. The first cell of a row is its head. Roles stand on
/// all of it, since a browser forgets them with the layout of a table.
pub fn table(caption: &str, columns: &[TableColumn<'_>], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div class="scroll" {
            table class="fold" role="table" {
                caption class="sr" { (caption) }
                thead role="rowgroup" { tr role="row" {
                    @for column in columns {
                        @let class = (column.class == "num").then_some("num");
                        th scope="col" role="columnheader" class=[class] { (column.name) }
                    }
                } }
                tbody role="rowgroup" {
                    @for row in rows { tr role="row" {
                        @for (at, (cell, column)) in row.iter().zip(columns).enumerate() {
                            @if at == 0 {
                                th scope="row" role="rowheader" class="lead" { (cell) }
                            } @else {
                                @let class = (!column.class.is_empty()).then_some(column.class);
                                td role="cell" data-l=(column.name) class=[class] { (cell) }
                            }
                        }
                    } }
                }
            }
        }
    }
}

/// A panel with a heading. `id` is that of the heading, and `sub` what stands beside it.
pub fn panel(id: &str, title: &str, sub: &Markup, body: &Markup) -> Markup {
    html! {
        section class="panel" aria-labelledby=(id) {
            header { h2 id=(id) { (title) } span class="sub" { (sub) } }
            (body)
        }
    }
}

/// Which rows of a long list are shown, and the way to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListWindow {
    /// The page, from 1 on.
    pub page: usize,
    /// The number of pages.
    pub pages: usize,
    /// The first row.
    pub start: usize,
    /// One behind the last.
    pub end: usize,
    total: usize,
}

impl ListWindow {
    /// The rows of a page of `size`; a page behind the last is the last.
    pub fn new(page: usize, size: usize, total: usize) -> ListWindow {
        let pages = total.div_ceil(size).max(1);
        let page = page.clamp(1, pages);
        let start = (page - 1) * size;
        ListWindow { page, pages, start, end: (start + size).min(total), total }
    }

    /// The foot of a list: what is shown of how much, and links to the pages around.
    pub fn foot(&self, to: impl Fn(usize) -> String) -> Markup {
        html! {
            @if self.pages > 1 {
                footer {
                    span {
                        (count(self.start as u64 + 1)) " to " (count(self.end as u64)) " of "
                        (count(self.total as u64))
                    }
                    nav class="pages" aria-label="Pages" {
                        @if self.page > 1 {
                            a class="btn small" rel="prev" href=(to(self.page - 1)) { "Previous" }
                        }
                        @if self.page < self.pages {
                            a class="btn small" rel="next" href=(to(self.page + 1)) { "Next" }
                        }
                    }
                }
            }
        }
    }
}

/// How long ago a time was, in the largest unit that says something.
pub fn age(now: i64, then: i64) -> String {
    let seconds = (now - then) / 1000;
    match seconds {
        ..60 => "just now".to_owned(),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The same, with the time itself for who wants to know.
pub fn time(now: i64, then: i64) -> Markup {
    let exact = rfc3339_text(then);
    html! { time datetime=(exact) title=(exact) { (age(now, then)) } }
}

/// A value of a property: a text as it is, a list with commas, everything else as JSON.
pub fn value(value: &Value<'_>) -> Markup {
    match value {
        Value::Text(text) => html! { (clean(text)) },
        Value::List(items) => html! {
            @for (at, item) in items.iter().enumerate() {
                @if at > 0 { ", " }
                (self::value(item))
            }
        },
        Value::Null => html! { span class="dim" { "null" } },
        other => html! { (other) },
    }
}

/// An entity that is a link in running text.
pub fn link(frame: &PageFrame, head: &EntityHead) -> Markup {
    html! { a href=(frame.entity(head)) title=(clean(&head.key)) { (name(head)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_text_whatever_it_holds() {
        assert_eq!(
            key("<script>alert(1)</script>").into_string(),
            "<span class=\"key\" title=\"&lt;script&gt;alert(1)&lt;/script&gt;\">\
             <span>&lt;script&gt;alert(1</span><span>)&lt;/script&gt;</span></span>"
        );
        assert_eq!(sentence("a `<b>` c").into_string(), "a <code>&lt;b&gt;</code> c");
        assert_eq!(sentence("a `b").into_string(), "a `b");
        let hidden = value(&Value::from("a\u{202e}b")).into_string();
        assert_eq!(hidden, "a\\u{202e}b");
    }

    #[test]
    fn a_window_is_never_outside_of_its_list() {
        let window = |page, total| {
            let window = ListWindow::new(page, 25, total);
            (window.page, window.start, window.end)
        };
        assert_eq!(window(1, 0), (1, 0, 0));
        assert_eq!(window(2, 60), (2, 25, 50));
        assert_eq!(window(9, 60), (3, 50, 60));
        assert_eq!(window(0, 25), (1, 0, 25));
    }

    #[test]
    fn ages_are_short() {
        let at = |seconds: i64| age(seconds * 1000, 0);
        let told = [0, 61, 7_200, 200_000].map(at);
        assert_eq!(told, ["just now", "1 min", "2 h", "2 d"]);
        assert_eq!(age(0, 5_000), "just now", "a clock may be ahead");
    }
}
