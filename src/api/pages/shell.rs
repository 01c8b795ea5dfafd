//! The frame of all pages: head, navigation, foot; and the pages without an answer: signing in, errors.

use super::super::api_error::ApiError;
use super::address::PageAddress;
use super::page::{PageContent, PageFrame, PageVisit};
use super::parts::{self, count};
use super::visitor::{PageVisitor, VisitorWay};
use super::{assets, state};
use axum::http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use tombolo::answers::clean;

/// The parts of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageTab {
    /// Search, and what it leads to.
    Search,
    /// Questions in J1QL.
    Query,
    /// Scopes and jobs.
    Scopes,
    /// What changed, and histories.
    Diff,
    /// Mappings and sources.
    Mappings,
    /// None of them.
    None,
}

fn head(title: &str, again: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            // A browser keeps the cookie back when a link of another site leads here; asked again from a
            // page of ours, it sends it.
            @if again { meta http-equiv="refresh" content="0"; }
            title { (title) " · Tombolo" }
            link rel="icon" href=(assets::address("mark.svg"));
            link rel="stylesheet" href=(assets::address("style.css"));
            script src=(assets::address("app.js")) defer {}
        }
    }
}

fn brand() -> Markup {
    html! {
        a class="brand" href="/" {
            svg width="24" height="24" viewBox="0 0 24 24" fill="currentColor" aria-hidden="true" {
                path d="M1 3.5h3.5a8.5 8.5 0 0 1 0 17H1z" {}
                path d="M11 10.6h7v2.8h-7z" {}
                circle cx="19.2" cy="12" r="4" {}
            }
            "Tombolo"
        }
    }
}

/// A page in its frame.
pub fn page(visit: &PageVisit, frame: Option<&PageFrame>, content: &PageContent) -> Markup {
    let class = if content.narrow { "page narrow" } else { "page" };
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&clean(&content.title), false))
            body {
                a class="skip" href="#main" { "Skip to content" }
                (top(&visit.visitor, frame, content.tab))
                main class=(class) id="main" {
                    @if let Some(frame) = frame { (state::note(visit, frame)) }
                    (content.body)
                }
                (foot(frame))
                div class="sr" id="say" role="status" aria-live="polite" {}
            }
        }
    }
}

fn top(visitor: &PageVisitor, frame: Option<&PageFrame>, tab: PageTab) -> Markup {
    html! {
        header class="top" { div {
            (brand())
            @if tab != PageTab::Search && frame.is_some() {
                form class="find" role="search" action="/" {
                    label class="sr" for="find" { "Search all scopes" }
                    input id="find" name="q" type="search" autocomplete="off"
                        placeholder="Name, key, e-mail, ARN, serial";
                    @if let Some(frame) = frame { (state::hidden(frame)) }
                    kbd aria-hidden="true" { "/" }
                }
            }
            (navigation(frame, tab))
            (who(visitor))
        } }
    }
}

fn navigation(frame: Option<&PageFrame>, tab: PageTab) -> Markup {
    let held = frame.map_or(0, |frame| frame.held.len());
    let current = |own: PageTab| (own == tab).then_some("page");
    let to = |path: &str| {
        let address = PageAddress::new(path);
        frame.map_or(address.clone(), |frame| frame.keep(address)).text()
    };
    let since = PageAddress::new("/diff").with("from", frame.map_or("", PageFrame::at)).text();
    html! {
        nav class="nav" aria-label="Main" {
            a href=(to("/")) data-g="s" aria-current=[current(PageTab::Search)] { span { "Search" } }
            a href=(to("/query")) data-g="q" aria-current=[current(PageTab::Query)] { span { "Query" } }
            a href=(to("/scopes")) data-g="j" aria-current=[current(PageTab::Scopes)] {
                span { "Scopes" span class="long" { " and jobs" } }
                @if held > 0 {
                    span class="tag warn" { (held) span class="long" { " held" } }
                }
            }
            a href=(since) data-g="d" aria-current=[current(PageTab::Diff)] { span { "Changes" } }
            a href="/mappings" data-g="m" aria-current=[current(PageTab::Mappings)] {
                span { "Mappings" }
            }
        }
    }
}

fn who(visitor: &PageVisitor) -> Markup {
    html! {
        div class="who" {
            @match (&visitor.name, visitor.way) {
                (Some(name), VisitorWay::SignedIn) => {
                    span { (clean(name)) }
                    form method="post" action="/signout" {
                        (parts::csrf(visitor))
                        button class="link" { "Sign out" }
                    }
                }
                (Some(name), _) => { span { (clean(name)) } }
                (None, _) => { span { "this machine" } }
            }
        }
    }
}

fn foot(frame: Option<&PageFrame>) -> Markup {
    html! {
        footer class="foot" {
            @if let Some(frame) = frame {
                @let (entities, relationships) = frame.counts();
                span {
                    "revision " (count(frame.revision)) " · "
                    @if frame.scopes.scopes.is_empty() {
                        "empty database"
                    } @else {
                        (parts::counted(entities, "entity", "entities")) ", "
                        (parts::counted(relationships, "relationship", "relationships")) " in "
                        (parts::counted(frame.scopes.scopes.len() as u64, "scope", "scopes"))
                    }
                }
            } @else {
                span { "nothing is sent anywhere but to this server" }
            }
            span { "Tombolo " (env!("CARGO_PKG_VERSION")) }
        }
    }
}

/// A page for who is not signed in.
fn lone(title: &str, again: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, again))
            body {
                a class="skip" href="#main" { "Skip to content" }
                header class="top" { div { (brand()) } }
                main class="page tiny" id="main" { (body) }
                (foot(None))
                div class="sr" id="say" role="status" aria-live="polite" {}
            }
        }
    }
}

/// The page for signing in, which leads on to `to`.
pub fn sign_in(to: &str, refused: Option<&str>, again: bool) -> Markup {
    let body = html! {
        div class="head" { div {
            h1 { "Sign in" }
            p class="sub" { "This database needs a token, typed once a session." }
        } }
        @if let Some(refused) = refused {
            div class="notes" role="alert" id="refused" { (parts::note("fail", &html! { (refused) })) }
        }
        form class="panel" method="post" action="/signin" { div class="body" {
            input type="hidden" name="to" value=(to);
            div class="field" {
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="current-password" required
                    spellcheck="false" autocapitalize="off" autofocus[refused.is_some()]
                    aria-invalid=[refused.map(|_| "true")]
                    aria-describedby=(if refused.is_some() { "refused token-h" } else { "token-h" });
                p class="hint" id="token-h" {
                    "It begins with " code { "tmb_" } ". Whoever runs this server makes one: "
                    code { "tombolo token create NAME --right read" }
                }
            }
            button class="btn main" { "Sign in" }
        } }
    };
    lone("Sign in", again, &body)
}

/// The page of an error for who is not signed in.
pub fn lone_error(status: StatusCode, fault: ApiError, id: &str) -> Markup {
    let title = status.canonical_reason().unwrap_or("Error");
    lone(title, false, &error(status, fault, id))
}

/// An error: what, why, what to do.
pub fn error(status: StatusCode, fault: ApiError, id: &str) -> Markup {
    let code = fault.code();
    let (message, advice) = fault.told();
    let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
    html! {
        div class="stackv" {
            div {
                p class="sub" {
                    (status.as_u16()) " · " (status.canonical_reason().unwrap_or("error"))
                }
                h1 { (clean(first)) }
            }
            @if !rest.is_empty() { pre class="told" tabindex="0" { (parts::lines(rest)) } }
            @if let Some(advice) = &advice {
                section class="panel" { div class="body" {
                    pre class="told" { (parts::lines(advice)) }
                } }
            }
            p class="sub plain" {
                "Code " code { (code) }
                @if !id.is_empty() { ", request " code { (id) } }
                ". " a href=(PageAddress::new("/").text()) { "Search all scopes" }
            }
        }
    }
}
