//! Answers to requests that no route takes.

use axum::http::{Method, Uri};
use common::api::problem::ProblemCode;

use crate::problem::Problem;

/// Answers a path that does not exist.
pub(super) async fn unknown_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(ProblemCode::NotFound, format!("there is nothing at {path}"))
}

/// Answers a method that the path does not have.
pub(super) async fn unknown_method(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(40).collect();
    Problem::new(
        ProblemCode::MethodNotAllowed,
        format!("{method} is not possible here; the Allow header lists what is"),
    )
}
