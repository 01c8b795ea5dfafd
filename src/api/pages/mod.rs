//! The pages that people look at: the same answers as REST gives, as HTML.
//!
//! A page is asked for with the rights of who is signed in (`visitor`), answered on a thread that may
//! block (`page`), laid into the frame that all pages share (`shell`) out of a few components (`parts`),
//! and sent with the headers that keep a browser from doing anything else with it (`response`). Each
//! page is a file; its whole state is in its address (`address`). Nothing here asks the graph: that is
//! what `tombolo::answers` is for.

mod address;
mod assets;
mod blast;
mod change_parts;
mod completion;
mod diff;
mod entity;
mod forms;
mod history;
mod jobs;
mod mappings;
mod owners;
mod page;
mod parts;
mod path;
mod picture;
mod query;
mod query_rows;
mod response;
mod saved;
mod scopes;
mod search;
mod shell;
mod state;
mod visitor;
mod walk_parts;

pub use visitor::{PageSessions, admit};

use super::AppState;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// The pages for whoever is signed in.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/", get(search::page))
        .route("/suggest", get(search::suggest))
        .route("/open", get(entity::open))
        .route("/e/{scope}/{key}", get(entity::page))
        .route("/blast/{scope}/{key}", get(blast::page))
        .route("/owners/{scope}/{key}", get(owners::page))
        .route("/path", get(path::page))
        .route("/query", get(query::page))
        .route("/complete", get(completion::answer))
        .route("/diff", get(diff::page))
        .route("/history", get(history::page))
        .route("/history/{scope}/{key}", get(history::of_entity))
        .route("/mappings", get(mappings::page))
        .route("/mappings/{scope}", get(mappings::one))
        .route("/scopes", get(scopes::page))
        .route("/jobs/{id}", get(jobs::page))
        .route("/jobs/{id}", post(jobs::decide))
        .route("/signout", post(visitor::sign_out))
}

/// What needs no token: the way in, and what all pages look like.
pub fn open_routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/signin", get(visitor::sign_in_page))
        .route("/signin", post(visitor::sign_in))
        .route("/assets/{name}", get(assets::asset))
}
