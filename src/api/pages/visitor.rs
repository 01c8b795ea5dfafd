//! Who looks at a page: a person who signed in, a program with a token, or anyone on this machine.
//!
//! A token is typed once. What the browser keeps is not the token but a random word that means it at this
//! server alone, so that another server on the same machine, to which a browser sends the same cookies,
//! learns nothing. A session ends when its token is revoked, and when it was not used for half a day.

use super::super::api_error::ApiError;
use super::super::{
    ApiCaller, AppState, RequestId, access, account, bearer, body, check_host, cross_site,
    foreign_origin, no_valid_token, now, sent_by_another_site, text, without_token,
};
use super::address::{PageParameters, inside};
use super::page::{PageVisit, error_answer};
use super::response::{self, RequestFacts, hex};
use super::{forms, shell};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tombolo::db::RightSet;
use uuid::Uuid;

/// Time without a page after which a session ends.
const IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions at once; the one that was not used for the longest time makes room.
const SESSIONS: usize = 10_000;

/// The digest of the word in a cookie, by which a session is known.
type SessionKey = [u8; 32];

/// Who is signed in.
pub struct PageSessions {
    /// A secret of this process, for the forms of its pages.
    secret: [u8; 32],
    open: Mutex<HashMap<SessionKey, PageSession>>,
}

struct PageSession {
    token: Uuid,
    used: Instant,
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

fn key_of(word: &str) -> SessionKey {
    Sha256::digest(word.as_bytes()).into()
}

impl PageSessions {
    /// Nobody is signed in.
    pub fn new() -> PageSessions {
        PageSessions { secret: random(), open: Mutex::default() }
    }

    /// Opens a session; gives the word for its cookie.
    fn begin(&self, token: Uuid) -> String {
        let word = hex(&random());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.used.elapsed() < IDLE);
        if open.len() >= SESSIONS
            && let Some(oldest) = open.iter().min_by_key(|(_, s)| s.used).map(|(key, _)| *key)
        {
            open.remove(&oldest);
        }
        open.insert(key_of(&word), PageSession { token, used: Instant::now() });
        word
    }

    /// The token of a session that is open.
    fn look(&self, word: &str) -> Option<Uuid> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get_mut(&key_of(word)).filter(|s| s.used.elapsed() < IDLE)?;
        session.used = Instant::now();
        Some(session.token)
    }

    fn end(&self, word: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&key_of(word));
    }

    /// The word that forms of a session carry; those of callers without one share one.
    fn csrf(&self, word: Option<&str>) -> String {
        let session = word.map_or([0; 32], key_of);
        hex(&Sha256::new().chain_update(self.secret).chain_update(session).finalize())
    }
}

/// How a visitor was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitorWay {
    /// The database needs no token.
    Open,
    /// By a session.
    SignedIn,
    /// By a token in a header, as programs do.
    Bearer,
}

/// Who looks at a page.
#[derive(Clone, Debug)]
pub struct PageVisitor {
    /// The same as any caller.
    pub caller: ApiCaller,
    /// The name of the token.
    pub name: Option<String>,
    /// How they were let in.
    pub way: VisitorWay,
    /// The word that forms carry.
    pub csrf: String,
}

/// The name of the cookie. A browser keeps one set of cookies for all ports of a machine, so servers at
/// different ports need different names.
fn cookie_name(headers: &HeaderMap) -> String {
    let host = text(headers, header::HOST).unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port);
    match port.filter(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())) {
        Some(port) => format!("tombolo-{port}"),
        None => "tombolo".to_owned(),
    }
}

/// The word in the cookie of a request.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let name = cookie_name(headers);
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let mut own = pairs.filter(|(known, _)| known.trim() == name);
    own.next().map(|(_, word)| word.trim())
}

/// Sets or takes back the cookie.
fn set_cookie(app: &AppState, headers: &HeaderMap, word: Option<&str>, response: &mut Response) {
    let secure = app.scheme == "https" || text(headers, "x-forwarded-proto") == Some("https");
    let secure = if secure { "; Secure" } else { "" };
    let name = cookie_name(headers);
    let value = match word {
        Some(word) => format!("{name}={word}; Path=/; HttpOnly; SameSite=Strict{secure}"),
        None => format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}"),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

async fn visitor(
    app: &Arc<AppState>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<PageVisitor, ApiError> {
    check_host(app, headers)?;
    let account = account(headers);
    let access = access(app).await?;
    if let Some(rights) = without_token(app, &access, method, headers)? {
        let (caller, csrf) = (ApiCaller { rights, account }, app.sessions.csrf(None));
        return Ok(PageVisitor { caller, name: None, way: VisitorWay::Open, csrf });
    }
    let (token, word, way) = match bearer(headers) {
        Some(given) => (access.token_of(given, now()), None, VisitorWay::Bearer),
        None => {
            let word = cookie(headers);
            let id = word.and_then(|word| app.sessions.look(word));
            (id.and_then(|id| access.token(id, now())), word, VisitorWay::SignedIn)
        }
    };
    let Some(token) = token else { return Err(no_valid_token(&access, headers)) };
    if way == VisitorWay::SignedIn && method != Method::GET && sent_elsewhere(app, headers) {
        return Err(cross_site());
    }
    let caller = ApiCaller { rights: RightSet(token.rights.clone()), account };
    let csrf = app.sessions.csrf(word);
    Ok(PageVisitor { caller, name: Some(token.name.clone()), way, csrf })
}

/// True if a form comes from a page of another site, as far as the browser says.
fn sent_elsewhere(app: &AppState, headers: &HeaderMap) -> bool {
    foreign_origin(app, headers) || sent_by_another_site(headers)
}

/// Lets a visitor in, or shows the page for signing in.
pub async fn admit(State(app): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let facts = RequestFacts::read(request.headers());
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    match visitor(&app, request.method(), request.headers()).await {
        Ok(visitor) => {
            let parameters =
                PageParameters::parse(request.uri().query().unwrap_or_default().as_bytes());
            let path = request.uri().path().to_owned();
            request.extensions_mut().insert(PageVisit { visitor, facts, path, parameters, id });
            next.run(request).await
        }
        Err(fault) => {
            let (headers, uri) = (request.headers().clone(), request.uri().clone());
            let to = if request.method() == Method::GET { address_of(&uri) } else { "/" };
            // A client that still sends when the connection ends would not see the answer.
            body::drain(request).await;
            match fault.status() {
                StatusCode::UNAUTHORIZED => {
                    let again = came_from_elsewhere(&headers);
                    let page = shell::sign_in(to, None, again);
                    let mut response = response::html(&facts, fault.status(), page.into_string());
                    let scheme = HeaderValue::from_static("Bearer");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
                    response
                }
                status => {
                    let page = shell::lone_error(status, fault, &id);
                    response::html(&facts, status, page.into_string())
                }
            }
        }
    }
}

fn address_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |whole| whole.as_str())
}

/// True if a person followed a link of another site. A browser keeps the cookie back then; from a page of
/// ours it sends it.
fn came_from_elsewhere(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-site") == Some("cross-site")
        && text(headers, "sec-fetch-mode") == Some("navigate")
        && text(headers, "sec-fetch-dest") == Some("document")
}

/// The page for signing in.
pub async fn sign_in_page(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let facts = RequestFacts::read(&headers);
    let asked = PageParameters::parse(uri.query().unwrap_or_default().as_bytes());
    let to = inside(asked.get("to").unwrap_or("/")).to_owned();
    match visitor(&app, &Method::GET, &headers).await {
        Ok(visitor) if visitor.way != VisitorWay::Bearer => response::see_other(&to),
        Err(fault) if fault.status() != StatusCode::UNAUTHORIZED => {
            let status = fault.status();
            response::html(&facts, status, shell::lone_error(status, fault, "").into_string())
        }
        _ => {
            let page = shell::sign_in(&to, None, false);
            response::html(&facts, StatusCode::OK, page.into_string())
        }
    }
}

/// Signs in: the token becomes a cookie.
pub async fn sign_in(State(app): State<Arc<AppState>>, headers: HeaderMap, body: Body) -> Response {
    let facts = RequestFacts::read(&headers);
    let lone = |fault: ApiError| {
        let status = fault.status();
        response::html(&facts, status, shell::lone_error(status, fault, "").into_string())
    };
    let form = forms::read(body).await;
    if let Err(fault) = check_host(&app, &headers) {
        return lone(fault);
    }
    // A page of another site could sign a person in under a token of its own.
    if sent_elsewhere(&app, &headers) {
        return lone(cross_site());
    }
    let (form, access) = match (form, access(&app).await) {
        (Ok(form), Ok(access)) => (form, access),
        (Err(fault), _) | (_, Err(fault)) => return lone(fault),
    };
    let to = inside(form.get("to").unwrap_or("/"));
    let given = form.get("token").unwrap_or_default().trim();
    match access.token_of(given, now()) {
        Some(token) => {
            let mut response = response::see_other(to);
            let word = app.sessions.begin(token.id);
            set_cookie(&app, &headers, Some(&word), &mut response);
            response
        }
        None => {
            let page =
                shell::sign_in(to, Some("This token is not known here, or it has ended."), false);
            response::html(&facts, StatusCode::UNAUTHORIZED, page.into_string())
        }
    }
}

/// Signs out: the session ends, and the browser forgets it and what it kept.
pub async fn sign_out(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match forms::read(body).await {
        Ok(form) => form,
        Err(fault) => return error_answer(&visit, fault),
    };
    if let Err(fault) = forms::check(&visit, &form) {
        return error_answer(&visit, fault);
    }
    if let Some(word) = cookie(&headers) {
        app.sessions.end(word);
    }
    let mut response = response::see_other("/signin");
    set_cookie(&app, &headers, None, &mut response);
    let clear = HeaderValue::from_static("\"cache\"");
    response.headers_mut().insert("clear-site-data", clear);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_word_until_it_ends() {
        let sessions = PageSessions::new();
        let token = Uuid::new_v4();
        let (one, two) = (sessions.begin(token), sessions.begin(token));
        assert!(one != two && one.len() == 64);
        assert_eq!(sessions.look(&one), Some(token));
        assert_eq!(sessions.look("else"), None);
        assert_ne!(sessions.csrf(Some(&one)), sessions.csrf(Some(&two)));
        assert_ne!(sessions.csrf(Some(&one)), PageSessions::new().csrf(Some(&one)));
        sessions.end(&one);
        assert_eq!((sessions.look(&one), sessions.look(&two)), (None, Some(token)));
    }

    #[test]
    fn a_cookie_is_that_of_the_port() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:7474".parse().expect("a header"));
        headers.insert(header::COOKIE, "a=1; tombolo-80=x; tombolo-7474=y".parse().expect("one"));
        assert_eq!(cookie(&headers), Some("y"));
        headers.insert(header::HOST, "graph.example".parse().expect("a header"));
        assert_eq!(cookie(&headers), None);
        headers.insert(header::HOST, "[::1]".parse().expect("a header"));
        assert_eq!(cookie_name(&headers), "tombolo");
    }
}
