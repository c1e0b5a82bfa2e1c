//! Criterion benchmarks: what a gateway does for each request, room by room, and the rating of a
//! month.
//!
//! One file per subject in `benches/`. Subjects use the rooms' own public functions, so that what
//! is measured is what runs in production.
