//! The target of a request: methods, hosts and forms of targets.

mod host_is_one_and_valid;
mod methods_are_case_sensitive;
mod target_is_a_path_or_a_url;

use crate::suite::{Rules, Suite};

/// The tables of this folder.
pub(crate) const RULES: Rules = &[
    ("host_is_one_and_valid", host_is_one_and_valid::CASES),
    ("methods_are_case_sensitive", methods_are_case_sensitive::CASES),
    ("target_is_a_path_or_a_url", target_is_a_path_or_a_url::CASES),
];

#[tokio::test(flavor = "multi_thread")]
async fn target_and_host_name_one_place() {
    Suite::start().await.run(RULES).await;
}
