//! The picture of an answer in its frame: what colours and states mean, zoom, and the side panel.

use super::super::api_error::ApiError;
use super::super::pictures;
use super::address::{PageAddress, PageParameters};
use super::page::{PageContent, PageFile, PageFrame, PageTask};
use super::shell::PageTab;
use crate::picture_file::{DrawnQuestion, PictureFile};
use maud::{Markup, PreEscaped, html};
use tombolo::answers::clean;
use tombolo::graph::EntityHead;
use tombolo::picture::{OPEN_BY, PictureGraph, PictureLinks, SvgOptions};

/// Times that groups may be opened in one address.
const OPENED: usize = 100;

/// The groups that an address opens.
fn opened_groups(parameters: &PageParameters) -> Vec<String> {
    let own = parameters.pairs().filter(|(name, _)| *name == "open");
    own.map(|(_, id)| id.to_owned()).take(OPENED).collect()
}

/// The address with the groups that are opened.
pub fn opened(parameters: &PageParameters, address: PageAddress) -> PageAddress {
    let groups = opened_groups(parameters);
    groups.iter().fold(address, |address, id| address.with("open", id))
}

/// The addresses behind the cards.
struct CardLinks<'a> {
    /// The page with its question and the groups that are opened.
    page: PageAddress,
    parameters: &'a PageParameters,
    frame: &'a PageFrame,
    /// True if the page tells about a card beside the picture.
    side: bool,
}

impl PictureLinks for CardLinks<'_> {
    fn entity(&self, entity: &EntityHead) -> Option<String> {
        Some(match self.side {
            true => {
                let page = self.page.clone().with("node", &entity.id.to_string());
                format!("{}#picture", page.text())
            }
            false => self.frame.entity(entity),
        })
    }

    fn group(&self, id: &str, _: usize) -> Option<String> {
        let node = self.parameters.get("node").unwrap_or_default();
        let page = self.page.clone().with("open", id).with("node", node);
        Some(format!("{}#picture", page.text()))
    }
}

/// The parameter that asks for the picture as a file.
const SAVE: &str = "save";

/// The picture as the file that the address asks for; `None` if it asks for the page.
///
/// # Errors
///
/// A form that there is not, a group that the picture has not, or any error of reading.
pub fn saved<Q: DrawnQuestion>(
    task: &PageTask<'_>,
    question: &Q,
    answer: &Q::Answer,
    name: &str,
) -> Result<Option<PageContent>, ApiError> {
    let parameters = &task.visit.parameters;
    let Some(word) = parameters.get(SAVE) else { return Ok(None) };
    let Some(format) = pictures::output(Some(word))? else {
        return Err(ApiError::bad("a picture is saved as svg or html"));
    };
    let opened = opened_groups(parameters);
    let file = PictureFile::new(question, answer, &opened);
    let file = if task.frame.past.is_some() { file.of_past(&task.snapshot)? } else { file };
    let text = file.text(&task.snapshot, format)?;
    let name = format!("{name}.{}", pictures::ending(format));
    let file = PageFile { name, kind: pictures::media_type(format), text };
    let content = PageContent::new(PageTab::None, "", html! {});
    Ok(Some(PageContent { file: Some(file), ..content }))
}

/// Links to the picture as a file, with the groups that are opened.
fn save_links(parameters: &PageParameters, page: &PageAddress) -> Markup {
    let to = |form: &str| opened(parameters, page.clone()).with(SAVE, form).text();
    html! {
        span class="save" {
            a href=(to("svg")) download { "as SVG" } " "
            a href=(to("html")) download { "as HTML" }
        }
    }
}

/// The picture. A card leads to what stands beside the picture on pages that have that (`blast`), else to
/// the page of its entity.
pub fn figure(
    task: &PageTask<'_>,
    graph: &PictureGraph<'_>,
    page: &PageAddress,
    side: Option<&Markup>,
) -> Markup {
    let parameters = &task.visit.parameters;
    let picture = graph.layout(&opened_groups(parameters));
    let scopes = task.frame.coloured();
    let states = picture.states();
    let links = CardLinks {
        page: opened(parameters, page.clone()),
        parameters,
        frame: &task.frame,
        side: !states.is_empty(),
    };
    let options = SvgOptions { scopes: &scopes, selected: parameters.get("node") };
    let svg = picture.to_svg(&links, &options);
    let class = if side.is_some() { "pic side" } else { "pic" };
    html! {
        div class=(class) id="pic" {
            figure class="panel" id="picture" {
                div class="tools" {
                    div class="legend" {
                        @for (state, n) in &states {
                            span { span class={ "state " (state.word()) } { (state.word()) } " " (n) }
                        }
                        @for (scope, colour) in picture.scope_colours(&scopes) {
                            span {
                                span class={ "dot s" (colour) } {} (clean(scope))
                                @if graph.stale.contains(scope) { " · stale" }
                            }
                        }
                    }
                    (save_links(parameters, page))
                    div class="zoom" role="group" aria-label="Zoom" {
                        button class="btn small" type="button" data-zoom="out" aria-label="Zoom out" hidden { "−" }
                        output hidden { "100 %" }
                        button class="btn small" type="button" data-zoom="in" aria-label="Zoom in" hidden { "+" }
                        button class="btn small" type="button" data-zoom="fit" hidden { "Fit" }
                    }
                }
                div class="view" tabindex="0" role="region"
                    aria-label={ "Picture, scrolls; a group opens " (OPEN_BY) " at a time" } {
                    (PreEscaped(svg))
                }
            }
            @if let Some(side) = side { (side) }
        }
    }
}
