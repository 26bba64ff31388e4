//! The files that pages need beside their text: the style, the scripts, the charts' library. All are part of the
//! program, so that no other host is asked. Must not know a page. Served by the router; named by [`super::render`].
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file: its name, its media type, its bytes.
type File = (&'static str, &'static str, &'static [u8]);

const CSS: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const FILES: &[File] = &[
    ("zenei.css", CSS, include_bytes!("assets/zenei.css")),
    ("zenei.js", SCRIPT, include_bytes!("assets/zenei.js")),
    ("panels.css", CSS, include_bytes!("assets/panels.css")),
    ("charts.js", SCRIPT, include_bytes!("assets/charts.js")),
    ("uPlot.min.css", CSS, include_bytes!("assets/vendor/uPlot.min.css")),
    ("uPlot.iife.min.js", SCRIPT, include_bytes!("assets/vendor/uPlot.iife.min.js")),
    ("uPlot-LICENSE.txt", TEXT, include_bytes!("assets/vendor/uPlot-LICENSE")),
    ("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
];

/// The first half of each file's SHA-256 as hexadecimal digits, in the order of [`FILES`].
static HASHES: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|(_, _, bytes)| digits(bytes)).collect());

/// The address of a file, which changes whenever its bytes do; `None` for a name that there is not.
pub(crate) fn address(name: &str) -> Option<String> {
    let at = FILES.iter().position(|file| file.0 == name)?;
    Some(format!("/assets/{name}?v={}", HASHES.get(at)?))
}

/// Answers with the file of this name.
pub(crate) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = FILES.iter().zip(HASHES.iter()).find(|((known, _, _), _)| *known == name);
    let Some(((_, media, bytes), hash)) = found else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let tag = format!("\"{hash}\"");
    let kept = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "public, max-age=86400")];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, *media)], *bytes).into_response()
}

fn digits(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(name: &str, known: Option<&str>) -> Response {
        let known = known.map(|tag| (header::IF_NONE_MATCH, tag.parse().unwrap()));
        serve(Path(name.to_owned()), known.into_iter().collect()).await
    }

    #[tokio::test]
    async fn a_file_is_sent_once_and_confirmed_afterwards() {
        let first = get("zenei.css", None).await;
        assert_eq!((first.status(), first.headers()[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, CSS));
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(get("zenei.css", Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("zenei.css", Some("\"0\"")).await.status(), StatusCode::OK);
        assert_eq!(get("../mod.rs", None).await.status(), StatusCode::NOT_FOUND);
        assert!(address("zenei.css").unwrap().contains(tag.trim_matches('"')));
        assert_eq!(address("zenei.exe"), None);
    }

    #[test]
    fn no_file_names_another_host_and_no_script_makes_one() {
        for (name, _, bytes) in FILES {
            let text = String::from_utf8_lossy(bytes).replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("eval("), "{name}");
        }
    }
}
