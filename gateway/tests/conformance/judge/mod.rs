//! An independent judge of what the gateway's reader lets through: where each request ends, which
//! path it names, and which route protects that path in the eyes of the servers behind.
//!
//! Invariant: the judge shares no code with the reader. It is used by the fuzz target `reader` as
//! well, which includes this folder.

mod folding;
mod request;

use std::sync::{Arc, LazyLock};

use gateway::{
    config::{Overrides, Settings, SizeLimits},
    limit::Limiter,
    listen::{
        body::BodyReader,
        head::{HeadReader, Target},
    },
    route::{Headers, RequestView, Route, Table},
};

use self::request::{Read, Request};

const SIZES: SizeLimits =
    SizeLimits { header_bytes: 65_536, header_value_bytes: 16_384, path_bytes: 8_192, body_bytes: None };

/// Most requests of one input that are compared.
const REQUESTS_MAX: usize = 16;

/// Routes of which some protect a part of what others serve. `files` lets every spelling through
/// that a route can allow without saying that its upstream minds the case.
const ROUTES: &str = "
upstreams: { a: { servers: ['127.0.0.1:1'] } }
routes:
  - { name: all, path_prefix: /, upstream: a }
  - { name: v1, path_prefix: /v1, upstream: a }
  - { name: admin, path_prefix: /v1/admin, upstream: a }
  - { name: internal, path_prefix: /internal, upstream: a }
  - { name: keys, path: '/v1/users/{id}/keys', upstream: a }
  - { name: me, path: /v1/users/me, upstream: a }
  - name: files
    path_prefix: /files
    upstream: a
    allow_in_path: [parameters, double_encoding, not_utf8, trailing_dots, trailing_spaces, backslashes,
                    encoded_slashes, empty_segments]
  - { name: private, path_prefix: /files/private, upstream: a }
";

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let settings = Settings::parse(ROUTES, "judge.yaml", &Overrides::default()).expect("valid routes");
    let limiter = Limiter::new();
    Table::new(&settings.routes.into_iter().map(|route| Arc::new(Route::new(route, &limiter))).collect::<Vec<_>>())
});

/// The route that protects a path which a server reads like this; none for those that serve what is
/// left.
fn protector(path: &str) -> Option<&'static str> {
    let mut segments = path.split('/').skip(1).collect::<Vec<_>>();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    match segments[..] {
        ["v1", "admin", ..] => Some("admin"),
        ["internal", ..] => Some("internal"),
        ["v1", "users", "me"] => Some("me"),
        ["v1", "users", _, "keys"] => Some("keys"),
        ["files", "private", ..] => Some("private"),
        _ => None,
    }
}

/// Compares the readings of all requests in some bytes of a client. Returns the number of requests
/// that are whole and read alike, or tells the first difference.
pub(crate) fn compare(mut bytes: &[u8]) -> Result<usize, String> {
    for count in 0..REQUESTS_MAX {
        let Some(taken) = compare_first(bytes)? else { return Ok(count) };
        bytes = &bytes[taken..];
    }
    Ok(REQUESTS_MAX)
}

/// Compares the readings of the first request; its end, if it is whole and served.
fn compare_first(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Ok(read) = HeadReader::default().read(bytes, &SIZES) else {
        // Refused: whatever it is, it goes nowhere.
        return Ok(None);
    };
    let judged = request::read(bytes);
    let Some(head) = read else {
        return match judged {
            Read::Whole(request) => Err(format!("the reader waits behind the end of {request:?}")),
            Read::Partial | Read::Broken(_) => Ok(None),
        };
    };
    let header = head.skipped + head.length;
    let mut body = BodyReader::new(head.framing);
    let mut end = header;
    while !body.is_done() && end < bytes.len() {
        // As the connection does: never more than is known to be of this body.
        let most = end.saturating_add(body.readable()).min(bytes.len());
        match body.advance(&bytes[end..most]) {
            Ok(taken) => end += taken,
            // The upstream sees that the request is not whole.
            Err(_) => return Ok(None),
        }
    }
    let request = match (judged, body.is_done()) {
        (Read::Broken(reason), _) => return Err(format!("the reader lets through what is broken: {reason}")),
        (Read::Whole(request), true) => request,
        (Read::Partial, false) => return Ok(None),
        (judged, is_done) => return Err(format!("the reader is done: {is_done}; the judge says {judged:?}")),
    };
    if request.end != end {
        return Err(format!("the reader sees the end at {end}, the judge at {}", request.end));
    }
    let line = &bytes[head.skipped..header];
    let (method, path) = (&line[..head.method], target(line, head.method, head.target));
    if method != request.method.as_bytes() || path != request.path {
        return Err(format!("the reader names {} {path}, the judge {request:?}", method.escape_ascii()));
    }
    check_route(&request).map(|()| Some(end))
}

/// The path and query that the reader hands on.
fn target(line: &[u8], method: usize, target: Target) -> String {
    let rest = &line[method + 1..];
    let end = rest.windows(2).position(|window| window == b"\r\n").unwrap_or(rest.len()) - " HTTP/1.1".len();
    let path = match target {
        Target::Absolute { scheme, host } => &rest[scheme + host..end],
        Target::Origin | Target::Asterisk => &rest[..end],
    };
    let path = String::from_utf8_lossy(path);
    if path.starts_with('/') || path == "*" { path.into_owned() } else { format!("/{path}") }
}

/// No server behind the gateway takes the path for one that a stricter route protects.
fn check_route(request: &Request) -> Result<(), String> {
    let (path, query) =
        request.path.split_once('?').map_or((&*request.path, None), |(path, query)| (path, Some(query)));
    let (Ok(method), false) = (request.method.parse(), path == "*") else { return Ok(()) };
    let no_headers = http::HeaderMap::new();
    let headers = Headers::Known(&no_headers);
    let view = RequestView { host: Some(&request.host), path, method: &method, headers, query };
    let Ok(route) = TABLE.find(&view) else { return Ok(()) };
    for server in folding::SERVERS {
        for read in (server.readings)(path) {
            if let Some(protector) = protector(&read)
                && protector != &*route.name
            {
                let name = server.name;
                return Err(format!("{path:?} passes on route {}; {name} reads {read:?} of {protector}", route.name));
            }
        }
    }
    Ok(())
}
