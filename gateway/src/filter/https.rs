//! Sends clients of a listener without TLS to the same address under HTTPS.

use http::{StatusCode, header};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::answer::{Code, Problem};

/// The port that HTTPS has unless another is written.
const HTTPS_PORT: u16 = 443;

/// The answer that sends a request to HTTPS on `port`: the same host, path, query and method. A
/// problem if the request names no host that it could be sent to.
pub(crate) fn redirect(
    request: &RequestHeader,
    port: u16,
    request_id: &str,
) -> Result<Result<ResponseHeader, Problem>> {
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(without_port);
    let path = std::str::from_utf8(request.raw_path()).ok().filter(|path| path.starts_with('/'));
    let Some((host, path)) = host.filter(|host| is_host(host)).zip(path) else {
        let detail = "this address only sends requests on to HTTPS, which needs a proper `Host` and path";
        return Ok(Err(Problem::new(Code::InvalidRequest, detail)));
    };
    let location =
        if port == HTTPS_PORT { format!("https://{host}{path}") } else { format!("https://{host}:{port}{path}") };
    let mut answer = ResponseHeader::build(StatusCode::PERMANENT_REDIRECT, Some(4))?;
    answer.insert_header(header::LOCATION, location)?;
    answer.insert_header(header::CONTENT_LENGTH, "0")?;
    answer.insert_header("X-Request-Id", request_id)?;
    Ok(Ok(answer))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: Option<&str>, path: &str, port: u16) -> Option<String> {
        let mut request = RequestHeader::build("POST", path.as_bytes(), None).unwrap();
        if let Some(host) = host {
            request.insert_header(header::HOST, host).unwrap();
        }
        let answer = redirect(&request, port, "id").unwrap().ok()?;
        assert_eq!(answer.status, 308);
        Some(answer.headers[header::LOCATION].to_str().unwrap().to_owned())
    }

    #[test]
    fn host_path_and_query_stay_and_scheme_and_port_change() {
        for (host, path, port, expected) in [
            ("api.example.com", "/", 443, "https://api.example.com/"),
            ("api.example.com:8080", "/a/b?c=%20", 443, "https://api.example.com/a/b?c=%20"),
            ("api.example.com:8080", "/a", 8443, "https://api.example.com:8443/a"),
            ("[::1]:8080", "/", 8443, "https://[::1]:8443/"),
            ("[::1]", "/", 443, "https://[::1]/"),
            ("127.0.0.1", "//other.example/x", 443, "https://127.0.0.1//other.example/x"),
        ] {
            assert_eq!(location(Some(host), path, port).as_deref(), Some(expected));
        }
    }

    #[test]
    fn request_without_proper_host_is_refused() {
        for host in [None, Some(""), Some("a@b"), Some("a/b"), Some("a b")] {
            assert_eq!(location(host, "/", 443), None, "{host:?}");
        }
    }
}
