//! The largest requests that are served: path, headers and body.

use http::HeaderMap;

use crate::{
    answer::{Code, Problem},
    config::SizeLimits,
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
    let mut total = 0;
    for (name, value) in headers {
        if value.len() > sizes.header_value_bytes {
            let name: String = name.as_str().chars().take(QUOTED_NAME_MAX).collect();
            let (found, most) = (value.len(), sizes.header_value_bytes);
            let detail = format!("the value of `{name}` has {found} bytes; at most {most} are allowed");
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        total += name.as_str().len() + value.len();
    }
    if total > sizes.header_bytes {
        let detail = format!("all headers together have {total} bytes; at most {} are allowed", sizes.header_bytes);
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Refuses a body of more than `limit` bytes, declared or already received.
pub(crate) fn check_body(bytes: u64, limit: u64) -> Result<(), Problem> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Problem::new(Code::BodyTooLarge, format!("the request body may have at most {limit} bytes")))
}
