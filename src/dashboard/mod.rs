//! The Members' page, embedded: plain ES modules that speak the public protocol and nothing else. Every file
//! that runs or styles is named in the page with its hash, so that a changed one does not.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha384};

const PAGE: &str = include_str!("index.html");
/// Where the page's files are named.
const MARK: &str = "<!-- integrity -->";

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        /// The page's files by name.
        const ASSETS: &[(&str, &str)] = &[$(($name, include_str!($name)),)*];
    };
}

assets![
    "app.js",
    "ask.js",
    "connection.js",
    "digest.js",
    "dom.js",
    "icon.svg",
    "listing.js",
    "pages/access.js",
    "pages/addresses.js",
    "pages/audit.js",
    "pages/freeze.js",
    "pages/history.js",
    "pages/invitation.js",
    "pages/members.js",
    "pages/policies.js",
    "pages/queue.js",
    "pages/request.js",
    "pages/sign_in.js",
    "pages/withdraw.js",
    "scopes.js",
    "style.css",
    "workflows.js",
];

/// The page, and the policy that admits it and nothing else.
#[derive(Clone)]
struct Page {
    text: Arc<str>,
    policy: HeaderValue,
}

/// `/` and `/assets/…`.
pub fn routes() -> Router {
    Router::new().route("/", get(index)).route("/assets/{*name}", get(asset)).with_state(page())
}

fn integrity(text: &str) -> String {
    format!("sha384-{}", STANDARD.encode(Sha384::digest(text)))
}

/// The page with its files named. A module that another one imports has its hash in the import map, which is
/// data, not script, and which the policy admits by its own hash.
fn page() -> Page {
    let scripts = ASSETS.iter().filter(|(name, _)| name.ends_with(".js"));
    let hashes = scripts.map(|(name, text)| format!("\"/assets/{name}\": \"{}\"", integrity(text)));
    let map = format!("{{\"integrity\": {{{}}}}}", hashes.collect::<Vec<_>>().join(", "));
    let mut names = format!("<script type=\"importmap\">{map}</script>\n");
    for (name, text) in ASSETS {
        let hash = integrity(text);
        names.push_str(&match *name {
            "app.js" => format!("    <script type=\"module\" src=\"/assets/{name}\" integrity=\"{hash}\"></script>\n"),
            "style.css" => format!("    <link rel=\"stylesheet\" href=\"/assets/{name}\" integrity=\"{hash}\">\n"),
            // Nothing checks the hash of one.
            "icon.svg" => format!("    <link rel=\"icon\" href=\"/assets/{name}\">\n"),
            _ => format!("    <link rel=\"modulepreload\" href=\"/assets/{name}\" integrity=\"{hash}\">\n"),
        });
    }
    Page { text: PAGE.replace(MARK, names.trim_end()).into(), policy: policy(&map) }
}

/// No script but ours, no inline one, nobody's frame, nothing from elsewhere, and no way from text to markup.
fn policy(map: &str) -> HeaderValue {
    let map = STANDARD.encode(Sha256::digest(map));
    let text = format!(
        "default-src 'none'; script-src 'self' 'sha256-{map}'; style-src 'self'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    HeaderValue::from_str(&text).expect("ASCII")
}

async fn index(State(page): State<Page>) -> Response {
    sealed(&page.policy, "text/html; charset=utf-8", page.text.to_string())
}

async fn asset(State(page): State<Page>, Path(name): Path<String>) -> Response {
    let Some((name, text)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    sealed(&page.policy, kind, (*text).to_owned())
}

/// An answer with everything that keeps other pages out.
fn sealed(policy: &HeaderValue, kind: &'static str, text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    for (name, value) in [
        ("content-type", kind),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("integrity-policy", "blocked-destinations=(script)"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_embedded_and_every_import_is_a_file() {
        let dir = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dashboard"));
        for folder in ["", "pages"] {
            for entry in std::fs::read_dir(dir.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().replace('\\', "/");
                let served = [".js", ".css", ".svg"].iter().any(|end| name.ends_with(end));
                assert!(!served || ASSETS.iter().any(|(known, _)| *known == name), "{name} is not embedded");
            }
        }
        for (name, text) in ASSETS {
            let folder = std::path::Path::new(name).parent().unwrap();
            let imports = text.split("from \"").skip(1).filter_map(|rest| rest.split_once('"'));
            for (import, _) in imports.filter(|(import, _)| import.starts_with('.')) {
                let found = match import.strip_prefix("../") {
                    Some(rest) => rest.to_owned(),
                    None => folder.join(import.trim_start_matches("./")).to_str().unwrap().to_owned(),
                };
                assert!(ASSETS.iter().any(|(known, _)| *known == found), "{name} imports {import}");
            }
        }
    }

    #[test]
    fn the_page_names_every_file_with_its_hash_and_holds_no_script_of_its_own() {
        let page = page().text;
        for (name, _) in ASSETS.iter().filter(|(name, _)| !name.ends_with(".svg")) {
            let named = |attribute| page.contains(&format!("{attribute}=\"/assets/{name}\" integrity=\"sha384-"));
            assert!(named("href") || named("src"), "{name}");
            assert_eq!(page.contains(&format!("\"/assets/{name}\": \"sha384-")), name.ends_with(".js"), "{name}");
        }
        assert_eq!(page.matches("<script type=\"module\" src").count() + page.matches("importmap").count(), 2);
        assert!(page.matches("<script").count() == 2 && !page.contains("<style") && !page.contains(MARK));
    }
}
