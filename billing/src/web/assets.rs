//! The files of console and portal, which `make console` builds. A debug build reads them from
//! where they were built, others have them inside.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../console/dist"]
#[allow_missing = true]
struct Files;

/// A file.
pub(super) struct Asset {
    pub(super) bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub(super) kind: &'static str,
    /// Digest of its content, in quotes.
    pub(super) etag: String,
    /// True if the bytes are compressed.
    pub(super) is_gzip: bool,
}

/// The file at a path of the build; compressed if the reader accepts that and it was built.
pub(super) fn asset(path: &str, accepts_gzip: bool) -> Option<Asset> {
    let compressed = if accepts_gzip { Files::get(&format!("{path}.gz")) } else { None };
    let is_gzip = compressed.is_some();
    let file = compressed.or_else(|| Files::get(path))?;
    let digest = file.metadata.sha256_hash();
    let etag = digest.iter().take(12).fold(String::from("\""), |text, byte| text + &format!("{byte:02x}")) + "\"";
    Some(Asset { bytes: file.data, kind: kind(path), etag, is_gzip })
}

/// The media type of a file, by its name.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
