//! The largest requests that are served: path, headers and body.

use http::HeaderMap;

use crate::{
    answer::{Code, Problem},
    config::SizeLimits,
    route::HeaderLimits,
};

/// Longest name of a header that a problem quotes, in characters.
const QUOTED_NAME_MAX: usize = 64;

/// Refuses a path and query that are too long together.
pub(crate) fn check_path(bytes: usize, sizes: &SizeLimits) -> Result<(), Problem> {
    if bytes <= sizes.path_bytes {
        return Ok(());
    }
    let detail = format!("path and query have {bytes} bytes; at most {} are allowed", sizes.path_bytes);
    Err(Problem::new(Code::PathTooLong, detail))
}

/// Refuses headers of which one is too large, or all are together.
pub(crate) fn check_headers(headers: &HeaderMap, sizes: &SizeLimits) -> Result<(), Problem> {
    check(headers, sizes.header_value_bytes, sizes.header_bytes, None)
}

/// Refuses headers that are too many or too large for a route.
pub(crate) fn check_headers_of_route(headers: &HeaderMap, limits: &HeaderLimits, route: &str) -> Result<(), Problem> {
    if let Some(most) = limits.count.filter(|most| headers.len() > *most) {
        let detail = format!("there are {} header lines; at most {most} are allowed", headers.len());
        return Err(too_large(detail, Some(route)));
    }
    check(headers, limits.value_bytes.unwrap_or(usize::MAX), limits.bytes.unwrap_or(usize::MAX), Some(route))
}

fn check(headers: &HeaderMap, value_bytes: usize, bytes: usize, route: Option<&str>) -> Result<(), Problem> {
    let mut total = 0;
    for (name, value) in headers {
        if value.len() > value_bytes {
            let name: String = name.as_str().chars().take(QUOTED_NAME_MAX).collect();
            let detail = format!("the value of `{name}` has {} bytes; at most {value_bytes} are allowed", value.len());
            return Err(too_large(detail, route));
        }
        total += name.as_str().len() + value.len();
    }
    if total > bytes {
        let detail = format!("all headers together have {total} bytes; at most {bytes} are allowed");
        return Err(too_large(detail, route));
    }
    Ok(())
}

fn too_large(mut detail: String, route: Option<&str>) -> Problem {
    if let Some(route) = route {
        detail.push_str(" on route `");
        detail.push_str(route);
        detail.push('`');
    }
    Problem::new(Code::HeadersTooLarge, detail)
}

/// Refuses a body of more than `limit` bytes, declared or already received.
pub(crate) fn check_body(bytes: u64, limit: u64) -> Result<(), Problem> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Problem::new(Code::BodyTooLarge, format!("the request body may have at most {limit} bytes")))
}
