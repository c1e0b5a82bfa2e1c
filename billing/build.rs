//! Lets a release build notice that `make console` has built other pages, which it embeds. A debug
//! build reads them as it serves.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile != "debug") {
        println!("cargo:rerun-if-changed=../console/dist");
    }
}
