//! A strict reading of requests by the grammar of RFC 9110 and 9112, line by line: what a careful
//! server behind the gateway would do.

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Empty if a request of HTTP/1.0 has none.
    pub(super) host: String,
    /// Path and query.
    pub(super) path: String,
    /// The byte behind it.
    pub(super) end: usize,
}

/// The reading of some bytes.
#[derive(Debug)]
pub(super) enum Read {
    Whole(Request),
    /// More bytes have to come.
    Partial,
    /// No server may serve this.
    Broken(&'static str),
}

const TCHAR: &str = "!#$%&'*+-.^_`|~";

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || TCHAR.as_bytes().contains(byte))
}

fn is_field_value(text: &[u8]) -> bool {
    text.iter().all(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7F))
}

fn without_ows(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b" ").or_else(|| text.strip_prefix(b"\t")) {
        text = rest;
    }
    while let Some(rest) = text.strip_suffix(b" ").or_else(|| text.strip_suffix(b"\t")) {
        text = rest;
    }
    text
}

/// The line that begins here, without CR LF; none if its end has not come.
fn line(bytes: &[u8], at: usize) -> Option<Result<&[u8], &'static str>> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    match rest[..end].split_last() {
        Some((b'\r', line)) if !line.contains(&b'\r') => Some(Ok(line)),
        _ => Some(Err("a line does not end with CR LF, or has a CR in it")),
    }
}

pub(super) fn read(bytes: &[u8]) -> Read {
    match read_whole(bytes) {
        Ok(Some(request)) => Read::Whole(request),
        Ok(None) => Read::Partial,
        Err(reason) => Read::Broken(reason),
    }
}

fn read_whole(bytes: &[u8]) -> Result<Option<Request>, &'static str> {
    let mut at = 0;
    // A server should pass over at least one empty line.
    while bytes[at..].starts_with(b"\r\n") && at < 4 {
        at += 2;
    }
    let Some(request_line) = line(bytes, at).transpose()? else { return Ok(None) };
    at += request_line.len() + 2;
    let parts: Vec<&[u8]> = request_line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { return Err("a request line has three parts") };
    if !is_token(method) {
        return Err("a method is a token");
    }
    let is_old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err("a version is HTTP/1.1 or HTTP/1.0"),
    };
    let (authority, path) = split_target(method, target)?;
    let mut fields: Vec<(String, &[u8])> = Vec::new();
    loop {
        let Some(line) = line(bytes, at).transpose()? else { return Ok(None) };
        at += line.len() + 2;
        if line.is_empty() {
            break;
        }
        fields.push(field(line)?);
    }
    let host = host(&fields, authority, is_old)?;
    let Some(end) = body_end(bytes, at, &fields, is_old)? else { return Ok(None) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Some(Request { method: text(method), host: text(host), path: text(&path), end }))
}

fn field(line: &[u8]) -> Result<(String, &[u8]), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field line has a colon")?;
    let (name, value) = (&line[..colon], without_ows(&line[colon + 1..]));
    if !is_token(name) || !is_field_value(value) {
        return Err("a field is a token and a value without control characters");
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
}

/// The authority of a target, if it names one, and its path with the query.
fn split_target<'b>(method: &[u8], target: &'b [u8]) -> Result<(Option<&'b [u8]>, Vec<u8>), &'static str> {
    if !target.iter().all(|byte| byte.is_ascii_graphic() && !b"#\"<>".contains(byte)) {
        return Err("a target has none of these characters");
    }
    if target == b"*" {
        return if method == b"OPTIONS" { Ok((None, b"*".to_vec())) } else { Err("* is for OPTIONS") };
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if path.contains(&b'\\') || path.contains(&b'`') {
        return Err("a path has none of these characters");
    }
    if target.starts_with(b"/") {
        return Ok((None, target.to_vec()));
    }
    let lower = target.to_ascii_lowercase();
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| lower.starts_with(scheme));
    let rest = &target[scheme.ok_or("a target is a path or a URL")?.len()..];
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    Ok((Some(authority), [slash, path].concat()))
}

fn host<'b>(
    fields: &[(String, &'b [u8])],
    authority: Option<&'b [u8]>,
    is_old: bool,
) -> Result<&'b [u8], &'static str> {
    let hosts: Vec<&[u8]> = fields.iter().filter(|(name, _)| name == "host").map(|(_, value)| *value).collect();
    let host = match hosts[..] {
        [] if is_old => None,
        [host] => Some(host),
        _ => return Err("there is one Host"),
    };
    let all = [host, authority];
    if all.into_iter().flatten().all(is_authority) {
        Ok(authority.or(host).unwrap_or_default())
    } else {
        Err("a host is a name or an address, with an optional port")
    }
}

fn is_authority(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, port)) => {
            if literal.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
    is_name && is_port
}

/// The byte behind the body that begins here.
fn body_end(bytes: &[u8], at: usize, fields: &[(String, &[u8])], is_old: bool) -> Result<Option<usize>, &'static str> {
    let values =
        |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| *value).collect::<Vec<_>>();
    match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => Ok(Some(at)),
        ([], [length]) => {
            let text = std::str::from_utf8(length).unwrap_or_default();
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse::<usize>().ok().filter(|_| is_number).ok_or("a length is one number")?;
            Ok(at.checked_add(length).filter(|end| *end <= bytes.len()))
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && !is_old => chunks_end(bytes, at),
        _ => Err("a body has one length, or chunks"),
    }
}

fn chunks_end(bytes: &[u8], mut at: usize) -> Result<Option<usize>, &'static str> {
    loop {
        let Some(line) = line(bytes, at).transpose()? else { return Ok(None) };
        at += line.len() + 2;
        let digits = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
        if digits == 0 || !line[..digits].iter().all(u8::is_ascii_hexdigit) {
            return Err("a chunk begins with its size");
        }
        check_extensions(&line[digits..])?;
        let digits = std::str::from_utf8(&line[..digits]).unwrap_or_default();
        let size = u64::from_str_radix(digits, 16).map_err(|_| "a size is a number")?;
        if size == 0 {
            break;
        }
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).ok_or("a size is in memory")?;
        let Some(behind) = bytes.get(end..) else { return Ok(None) };
        if !b"\r\n".starts_with(&behind[..behind.len().min(2)]) {
            return Err("CR LF ends a chunk");
        }
        if behind.len() < 2 {
            return Ok(None);
        }
        at = end + 2;
    }
    loop {
        let Some(line) = line(bytes, at).transpose()? else { return Ok(None) };
        at += line.len() + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        field(line)?;
    }
}

/// `;name`, `;name=token` and `;name="quoted"`, any number of times.
fn check_extensions(mut rest: &[u8]) -> Result<(), &'static str> {
    let token = |rest: &[u8]| rest.iter().position(|byte| !is_token(&[*byte])).unwrap_or(rest.len());
    while let Some(extension) = rest.strip_prefix(b";") {
        let name = token(extension);
        if name == 0 {
            return Err("an extension has a name");
        }
        rest = &extension[name..];
        if let Some(value) = rest.strip_prefix(b"=\"") {
            let mut end = 0;
            while value.get(end).is_some_and(|byte| *byte != b'"') {
                end += if value[end] == b'\\' { 2 } else { 1 };
            }
            let quoted = value.get(..end).ok_or("a quote ends")?;
            if !is_field_value(quoted) {
                return Err("a quote holds no control characters");
            }
            rest = value.get(end + 1..).ok_or("a quote ends")?;
        } else if let Some(value) = rest.strip_prefix(b"=") {
            let end = token(value);
            if end == 0 {
                return Err("an extension has a value");
            }
            rest = &value[end..];
        }
    }
    if rest.is_empty() { Ok(()) } else { Err("an extension is `;name=value`") }
}
